"""RNTuple fields as tables and columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from vortex_hep.core.schema import VARBYTES, ColumnSpec, TableSpec
from vortex_hep.readers.conventions.nanoaod import collection_name, link_target
from vortex_hep.readers.root.rntuple.pages import INDEX_TYPES, PageCodec

#: Structural roles and flags of the specification's section "Field Description".
_LEAF, _COLLECTION, _RECORD, _VARIANT, _STREAMER = range(5)
_REPETITIVE, _PROJECTED = 1, 2
_CHAR_TYPES = (0x01, 0x02)
_DEFERRED = 1

#: What a physical column holds: items of a column, numbers of rows of a table, or the lengths and
#: the bytes of byte strings.
DATA, INDEX, LENGTHS, CHARS = "data", "index", "lengths", "chars"
#: Another representation of the column ``target``, which some clusters have in its place.
OTHER = "other"


@dataclass
class RTable:
    """A table: the entries, or the items of a collection at some depth."""

    name: str
    parent: int
    index: int = -1
    #: Column of the parent table with the numbers of rows, where the parent is not the entries.
    counts: str = ""
    columns: list[ColumnSpec] = field(default_factory=list)


@dataclass(frozen=True)
class RColumn:
    """A physical column and where its elements go."""

    role: str
    table: int
    name: str
    per_row: int
    codec: PageCodec
    target: int = -1
    #: Elements, all zero, that came before the column did: no page holds them.
    late: int = 0


class FieldWalker:
    """Lays out the fields of an RNTuple.

    Parameters
    ----------
    fields, columns, aliases : sequence
        uproot's field, column and alias column records.
    """

    def __init__(
        self, fields: Sequence[Any], columns: Sequence[Any], aliases: Sequence[Any] = ()
    ) -> None:
        self._fields = fields
        #: Projected fields such as nJet, by the index column whose counts they give.
        self._cardinalities = {
            int(alias.physical_id): fields[alias.field_id].field_name
            for alias in aliases
            if fields[alias.field_id].type_name.startswith("ROOT::RNTupleCardinality")
        }
        self._columns = columns
        self._children: dict[int, list[int]] = {}
        for number, record in enumerate(fields):
            if record.parent_field_id != number:
                self._children.setdefault(int(record.parent_field_id), []).append(number)
        self._of_field: dict[int, list[int]] = {}
        for number, column in enumerate(columns):
            self._of_field.setdefault(int(column.field_id), []).append(number)
        self.tables = [RTable("", -1)]
        self.columns: dict[int, RColumn] = {}
        self._taken: set[str] = set()

    def walk(self) -> None:
        """Visit all fields.

        Raises
        ------
        ValueError
            A field has an unsupported layout.
        """
        for number, record in enumerate(self._fields):
            if record.parent_field_id == number and not int(record.flags) & _PROJECTED:
                self._visit(number, 0, (), (record.field_name,))
        if set(self.columns) != set(range(len(self._columns))):
            odd = sorted(set(range(len(self._columns))) - set(self.columns))
            msg = f"columns {odd[:5]} belong to no field"
            raise ValueError(msg)
        self._name_tables()
        self._link()

    def _visit(
        self, number: int, table: int, shape: tuple[int, ...], path: tuple[str, ...]
    ) -> None:
        record = self._fields[number]
        role, flags = int(record.struct_role), int(record.flags)
        physical = self._of_field.get(number, [])
        physical, others = self._representations(physical, path)
        if flags & _REPETITIVE:
            shape = (*shape, int(record.repetition))
        codes = [int(self._columns[column].type) for column in physical]
        children = self._children.get(number, [])
        if len(physical) == 2 and codes[0] in INDEX_TYPES and codes[1] in _CHAR_TYPES:
            self._strings(physical, table, shape, path, record)
        elif role == _COLLECTION and len(physical) == 1 and codes[0] in INDEX_TYPES and not shape:
            self._collection(physical[0], table, path, children)
        elif role in (_LEAF, _RECORD) and len(physical) <= 1:
            if physical:
                self._data(physical[0], table, shape, path, record)
            for child in children:
                name = self._fields[child].field_name
                # The one item of an array, enum or atomic has no name of its own.
                below = (*path, name) if role == _RECORD else path
                self._visit(child, table, shape, below)
        else:
            msg = f"field {'.'.join(path)!r} has the unsupported type {record.type_name!r}"
            raise ValueError(msg)
        for first, other in others:
            self._other(first, other, path)

    def _representations(
        self, physical: list[int], path: tuple[str, ...]
    ) -> tuple[list[int], list[tuple[int, int]]]:
        """Columns of a field's first representation, and those that may stand in their place."""
        by_number: dict[int, list[int]] = {}
        for column in physical:
            by_number.setdefault(int(self._columns[column].repr_idx), []).append(column)
        first = by_number.pop(0, [])
        if any(len(columns) != len(first) for columns in by_number.values()):
            msg = f"field {'.'.join(path)!r} has representations of different numbers of columns"
            raise ValueError(msg)
        return first, [
            pair for other in by_number.values() for pair in zip(first, other, strict=True)
        ]

    def _other(self, first: int, other: int, path: tuple[str, ...]) -> None:
        column, codec = self.columns[first], self._codec(other, path)
        counts = {column.codec.code, codec.code} <= INDEX_TYPES
        if not counts and codec.dtype != column.codec.dtype:
            msg = (
                f"field {'.'.join(path)!r} is stored as {column.codec.dtype} in some clusters and"
                f" as {codec.dtype} in others"
            )
            raise ValueError(msg)
        self.columns[other] = RColumn(OTHER, column.table, "", column.per_row, codec, first)

    def _late(self, column: int, table: int, path: tuple[str, ...]) -> int:
        record = self._columns[column]
        if not int(record.flags) & _DEFERRED:
            return 0
        late = int(record.first_element_index)
        if late < 0 or (late and table):
            msg = f"field {'.'.join(path)!r} was added late, within a collection"
            raise ValueError(msg)
        return late

    def _codec(self, column: int, path: tuple[str, ...]) -> PageCodec:
        codec = PageCodec(int(self._columns[column].type), int(self._columns[column].nbits))
        if not codec.known:
            msg = f"field {'.'.join(path)!r} has the unsupported column type {codec.code:#x}"
            raise ValueError(msg)
        return codec

    def _unique(self, path: tuple[str, ...]) -> str:
        parts = [part for part in path if not part.startswith("_collection")]
        base = ".".join(parts) or path[-1]
        choice, number = base, 2
        while choice in self._taken:
            choice = f"{base}#{number}"
            number += 1
        self._taken.add(choice)
        return choice

    def _data(
        self, column: int, table: int, shape: tuple[int, ...], path: tuple[str, ...], record: Any
    ) -> None:
        codec, name = self._codec(column, path), self._unique(path)
        spec = ColumnSpec(name, codec.dtype, shape, record.type_name, record.field_desc)
        self.tables[table].columns.append(spec)
        per_row = 1
        for size in shape:
            per_row *= size
        late = self._late(column, table, path)
        self.columns[column] = RColumn(DATA, table, name, per_row, codec, late=late)

    def _strings(
        self,
        pair: list[int],
        table: int,
        shape: tuple[int, ...],
        path: tuple[str, ...],
        record: Any,
    ) -> None:
        if shape:
            msg = f"field {'.'.join(path)!r} is an array of strings"
            raise ValueError(msg)
        name = self._unique(path)
        kind = "string" if record.type_name == "std::string" else "opaque"
        self.tables[table].columns.append(
            ColumnSpec(name, VARBYTES, (), record.type_name, record.field_desc, None, kind)
        )
        for column, role in zip(pair, (LENGTHS, CHARS), strict=True):
            # No character came before the column did.
            late = self._late(column, table, path) if role == LENGTHS else 0
            self.columns[column] = RColumn(
                role, table, name, 1, self._codec(column, path), late=late
            )

    def _collection(
        self, column: int, table: int, path: tuple[str, ...], children: list[int]
    ) -> None:
        own = len(self.tables)
        parts = [part for part in path if not part.startswith("_collection")]
        self.tables.append(RTable(".".join(parts), table, column))
        if table:
            counts = self._unique((*path, "size"))
            self.tables[own].counts = counts
            self.tables[table].columns.append(ColumnSpec(counts, "<u8", title="number of items"))
        late = self._late(column, table, path)
        self.columns[column] = RColumn(INDEX, table, "", 1, self._codec(column, path), own, late)
        for child in children:
            self._items(child, own, path)

    def _items(self, number: int, table: int, path: tuple[str, ...]) -> None:
        """The item field of a collection; members of a record are named as NanoAOD names them."""
        record = self._fields[number]
        plain = int(record.struct_role) == _RECORD and not int(record.flags) & _REPETITIVE
        if not plain or self._of_field.get(number):
            self._visit(number, table, (), path)
            return
        for child in self._children.get(number, []):
            name = self._fields[child].field_name
            whole = (*path[:-1], f"{path[-1]}_{name}")
            self._visit(child, table, (), (*path[:-1], name) if _unnamed(path) else whole)

    def _name_tables(self) -> None:
        taken = {""}
        for table in self.tables[1:]:
            names = [column.name for column in table.columns]
            counter = self._cardinalities.get(table.index, "")
            base = table.name or collection_name(counter, names) or (names or ["items"])[0]
            name, number = base, 2
            while name in taken:
                name = f"{base}#{number}"
                number += 1
            taken.add(name)
            table.name = name

    def _link(self) -> None:
        names = [table.name for table in self.tables]
        for table in self.tables:
            table.columns = [
                _linked(spec, table.name, names) if spec.dtype[1] in "iu" else spec
                for spec in table.columns
            ]

    def specs(self) -> tuple[TableSpec, ...]:
        """The tables as the data model has them."""
        return tuple(
            TableSpec(
                table.name,
                tuple(table.columns),
                jagged=table.parent >= 0,
                parent=self.tables[table.parent].name if table.parent > 0 else None,
                inner_counts=table.counts or None,
            )
            for table in self.tables
        )


def _unnamed(path: tuple[str, ...]) -> bool:
    return path[-1].startswith("_collection")


def _linked(spec: ColumnSpec, table: str, names: list[str]) -> ColumnSpec:
    if spec.inner:
        return spec
    target = link_target(spec.name, table, names)
    return ColumnSpec(
        spec.name, spec.dtype, spec.inner, spec.typename, spec.title, target, spec.interpretation
    )
