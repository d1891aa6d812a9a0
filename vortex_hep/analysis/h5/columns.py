"""The data of one dataset, assembled from the columns of an archive."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from h5py import h5t

from vortex_hep.analysis.h5.selecting import Selection
from vortex_hep.core.schema import Array, TableData
from vortex_hep.errors import CorruptionError
from vortex_hep.readers.hdf5.chunks.recordtype import (
    ElementPart,
    convert_items,
    extract,
    insert,
)
from vortex_hep.readers.hdf5.image import PlannedDataset

if TYPE_CHECKING:
    from vortex_hep.archive.view import TreeView


@dataclass(frozen=True)
class _Field:
    """What becomes one field of the result, or all of it: where it is, and where it goes.

    Parameters
    ----------
    offset, size : int
        Its bytes in an element of the file.
    place : int
        Its first byte in an item of the result.
    parts : tuple of ElementPart
        Columns that it is made of.
    conversion : tuple of h5py TypeID, optional
        Types in the file and in memory, where these differ.
    """

    offset: int
    size: int
    place: int
    parts: tuple[ElementPart, ...]
    conversion: tuple[Any, Any] | None = None


class DatasetColumns:
    """Columns of one dataset.

    Parameters
    ----------
    tree : callable
        Gives the tree of the archive; never the same in two processes.
    planned : PlannedDataset
        What the dataset is made of.
    type_id : h5py TypeID
        Of its elements.
    """

    def __init__(self, tree: Callable[[], TreeView], planned: PlannedDataset, type_id: Any) -> None:
        self.layout = planned.layout
        self._tree = tree
        self._table = planned.table
        self._type = type_id
        self._fields: dict[Any, list[_Field] | None] = {}
        lay = self.layout
        stops = [-(-stop // lay.slab_rows) for _, stop in tree().cluster_ranges(0)]
        #: Places along the first axis where one cluster ends and the next begins.
        self._bounds = sorted({0, *stops, lay.shape[0]})

    def readable(self, dtype: Any) -> bool:
        """Whether :meth:`read` can give items of this type."""
        return self._fields_of(dtype) is not None

    def read(self, selection: Selection, dtype: Any) -> Any:
        """Read a part of the dataset; clusters are decoded one after the other.

        Parameters
        ----------
        selection : Selection
        dtype : dtype
            One that is :meth:`readable`.

        Returns
        -------
        array or scalar
            As h5py would give it.

        Raises
        ------
        VortexError
            The archive is damaged, or its model is missing.
        """
        inner = self.layout.shape[1:]
        fields = self._fields_of(dtype) or []
        width = dtype.itemsize
        if selection.whole:
            first = int(selection.rows[0]) if len(selection.rows) else 0
            raw = np.zeros((len(selection.rows), *inner, width), np.uint8)
            for low, high in self._pieces(selection):
                self._fill(raw[low - first : high - first], low, high, fields)
        else:
            parts = []
            for low, high in self._pieces(selection):
                chosen = selection.among(low, high)
                piece = np.zeros((high - low, *inner, width), np.uint8)
                self._fill(piece, low, high, fields)
                parts.append(selection.cut(piece, chosen, low))
            # So that the shape is right where there are no rows.
            nothing = selection.cut(np.zeros((0, *inner, width), np.uint8), range(0), 0)
            raw = np.concatenate(parts or [nothing])
        base, more = dtype.subdtype or (dtype, ())
        out = raw.reshape(-1).view(base).reshape(raw.shape[:-1] + more)
        return out[0] if selection.scalar else out

    def elements(self, low: int, high: int) -> Array:
        """Bytes of the dataset's elements from ``low`` to ``high`` along the first axis.

        Returns
        -------
        uint8 array, shape (high - low, *shape[1:], size)
        """
        lay = self.layout
        out = np.zeros((high - low, *lay.shape[1:], lay.size), np.uint8)
        self._fill(out, low, high, [_Field(0, lay.size, 0, lay.parts)])
        return out

    def _pieces(self, selection: Selection) -> Iterator[tuple[int, int]]:
        """Ranges along the first axis, each within a cluster, from the first row to the last."""
        for low, high in zip(self._bounds[:-1], self._bounds[1:], strict=True):
            chosen = selection.among(low, high)
            if len(chosen):
                yield int(chosen[0]), int(chosen[-1]) + 1

    def _fields_of(self, dtype: Any) -> list[_Field] | None:
        if dtype not in self._fields:
            known = not dtype.hasobject and dtype.itemsize > 0
            self._fields[dtype] = self._find_fields(dtype) if known else None
        return self._fields[dtype]

    def _find_fields(self, dtype: Any) -> list[_Field] | None:
        kind = self._type
        if dtype.names is None:
            whole = self._field(0, kind, dtype, 0)
            return None if whole is None else [whole]
        if kind.get_class() != h5t.COMPOUND:
            return None
        members = {kind.get_member_name(k): k for k in range(kind.get_nmembers())}
        found = []
        for name in dtype.names:
            number = members.get(name.encode("utf-8", "surrogateescape"))
            if number is None:
                return None
            inner, place, *_ = dtype.fields[name]
            offset = kind.get_member_offset(number)
            field = self._field(offset, kind.get_member_type(number), inner, place)
            if field is None:
                return None
            found.append(field)
        return found

    def _field(self, offset: int, type_id: Any, dtype: Any, place: int) -> _Field | None:
        """Find how bytes of the file become a field; None where only h5py knows."""
        size = type_id.get_size()
        parts = tuple(p for p in self.layout.parts if offset <= p.offset < offset + size)
        field = _Field(offset, size, place, parts)
        try:
            # As h5py would ask the library for them: an enumeration as its integers.
            wanted = h5t.py_create(dtype)
            if type_id.equal(wanted) or type_id.equal(h5t.py_create(dtype, logical=True)):
                return field
            if type_id.get_class() in (h5t.COMPOUND, h5t.ARRAY, h5t.REFERENCE):
                return None
            convert_items(np.zeros((1, size), np.uint8), type_id, wanted)
        except (OSError, TypeError, ValueError):
            return None
        return replace(field, conversion=(type_id, wanted))

    def _fill(self, out: Array, low: int, high: int, fields: Sequence[_Field]) -> None:
        """Put items ``low`` to ``high`` of the first axis into ``out``, as bytes."""
        lay = self.layout
        start, stop = low * lay.slab_rows, high * lay.slab_rows
        names = list(dict.fromkeys(p.name for f in fields for p in f.parts))
        if not names:
            return
        table = self._tree().read(start, stop, names).get(self._table)
        if table is None:
            raise self._error(f"no table {self._table!r}")
        if lay.pad is None:
            if table.num_rows != stop - start:
                raise self._error("a table has another number of rows")
            _build(out, fields, self._columns(table, names, (stop - start, *lay.inner)))
            return
        lengths = np.diff(table.offsets)
        if len(lengths) != stop - start or int(lengths.max()) > lay.inner[0]:
            raise self._error(f"a list has more than {lay.inner[0]} elements")
        # Elements of the lists, and behind them the one that fills up rows.
        pad = np.frombuffer(lay.pad, np.uint8).reshape(1, -1)
        items = np.zeros((table.num_rows + 1, out.shape[-1]), np.uint8)
        _build(items[:-1], fields, self._columns(table, names, (table.num_rows,)))
        _build(items[-1:], fields, {p.name: extract(pad, p) for p in lay.parts})
        whole = f"V{out.shape[-1]}"
        target, source = out.view(whole)[..., 0], items.view(whole)[:, 0]
        target[...] = source[-1]
        target[np.arange(lay.inner[0]) < lengths[:, None]] = source[:-1]

    def _columns(
        self, table: TableData, names: Sequence[str], shape: tuple[int, ...]
    ) -> dict[str, Array]:
        """Columns by name, checked to be as the layout says."""
        parts = {p.name: p for p in self.layout.parts}
        out = {}
        for name in names:
            column = table.columns.get(name)
            if not isinstance(column, np.ndarray) or column.dtype != np.dtype(parts[name].dtype):
                raise self._error("a column is missing, or of another type", name)
            if column.shape != shape + parts[name].shape:
                raise self._error("a column of another shape", name)
            out[name] = column
        return out

    def _error(self, message: str, branch: str | None = None) -> CorruptionError:
        tree = self._tree()
        return CorruptionError(message, path=tree.path, tree=tree.name, branch=branch)


def _build(out: Array, fields: Sequence[_Field], columns: dict[str, Array]) -> None:
    """Put columns into the fields of items, which are bytes of shape (..., width)."""
    for field in fields:
        if field.conversion is None:
            for part in field.parts:
                to = part.offset - field.offset + field.place
                insert(out, replace(part, offset=to), columns[part.name])
            continue
        stored = np.zeros((*out.shape[:-1], field.size), np.uint8)
        for part in field.parts:
            insert(stored, replace(part, offset=part.offset - field.offset), columns[part.name])
        made = convert_items(stored, *field.conversion)
        out[..., field.place : field.place + made.shape[-1]] = made
