"""Awkward layouts as tables: lists become rows, nested lists tables of their own."""

from __future__ import annotations

from collections.abc import Container, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from vortex_hep.core.schema import (
    COLUMN_DTYPES,
    VARBYTES,
    Array,
    ColumnSpec,
    TableData,
    TableSpec,
    VarBytes,
)
from vortex_hep.errors import UnsupportedTypeError


@dataclass
class _Table:
    """A table in the making."""

    offsets: Array
    specs: list[ColumnSpec] = field(default_factory=list)
    columns: dict[str, Array | VarBytes] = field(default_factory=dict)
    parent: str | None = None
    counts: str | None = None
    jagged: bool = True


class _Tables(dict[str, _Table]):
    """Tables in the making, by name; ``field`` is being laid out, one of ``fields``."""

    def __init__(self, fields: Container[str]) -> None:
        self.fields, self.field = fields, ""
        self._columns: set[str] = set()

    def new_column(self, name: str) -> str:
        """Name for a column: unique among all tables, and that of no other field."""
        choice = self._free(name, self._columns)
        self._columns.add(choice)
        return choice

    def new_table(self, name: str) -> str:
        """Name for a table."""
        return self._free(name, self)

    def _free(self, name: str, taken: Container[str]) -> str:
        choice, number = name, 2
        while choice in taken or (choice in self.fields and choice != self.field):
            choice = f"{name}#{number}"
            number += 1
        return choice


def awkward_tables(
    fields: Mapping[str, Any], entries: int
) -> tuple[list[TableSpec], dict[str, TableData]]:
    """Lay out named arrays as tables.

    Parameters
    ----------
    fields : mapping of str to array
        NumPy or awkward arrays, all of ``entries`` items.
    entries : int

    Returns
    -------
    tables : list of TableSpec
        What has one item per entry is table ``""``; a list is a table of its own name, whose
        columns are named ``list_field`` where it is of records.
    data : dict of str to TableData

    Raises
    ------
    UnsupportedTypeError
        A type has no lossless form here.
    """
    import awkward as ak

    tables = _Tables(fields)
    tables[""] = _Table(np.arange(entries + 1, dtype=np.int64), jagged=False)
    for name, values in fields.items():
        tables.field = name
        if np.ma.is_masked(values):
            raise _refused(name, "values are masked")
        if isinstance(values, np.ndarray) and values.dtype.kind != "O":
            _put(tables, "", name, _plain(name, values))
            continue
        try:
            layout = _layout(name, values)
        except UnsupportedTypeError:
            raise
        except Exception as error:
            raise _refused(name, str(error).split("\n")[0]) from error
        _walk(name, ak.to_packed(layout, highlevel=False), "", tables)
    out = [
        TableSpec(n, tuple(t.specs), None, t.jagged, t.parent, t.counts)
        for n, t in tables.items()
        if t.specs
    ]
    return out, {n: TableData(t.offsets, t.columns) for n, t in tables.items() if t.specs}


def _layout(name: str, values: Any) -> Any:
    """Awkward layout of what is no array of numbers."""
    import awkward as ak

    if not isinstance(values, (list, tuple, np.ndarray)):
        return ak.to_layout(values)
    items = list(values)
    if items and all(isinstance(item, np.ndarray) and item.ndim == 1 for item in items):
        if len({item.dtype for item in items}) > 1:
            raise _refused(name, "its arrays are of several types")
        counts = [len(item) for item in items]
        return ak.unflatten(ak.from_numpy(np.concatenate(items)), counts, highlevel=False)
    layout = ak.from_iter(items, highlevel=False)
    # Numbers may have been converted to a type that holds all of them, but only nearly.
    if not _equal(items, ak.to_list(layout)):
        raise _refused(name, "it mixes types of numbers, or arrays of several dimensions")
    return layout


def _equal(a: Any, b: Any) -> bool:
    """Whether what was made of nested lists is what they hold, in value and precision."""
    if isinstance(a, (np.ndarray, np.generic)):
        return a.dtype in (np.int64, np.float64, np.bool_) and _equal(a.tolist(), b)
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(map(_equal, a, b))
    if isinstance(a, dict):
        return all(_equal(value, b[key]) for key, value in a.items())
    return bool(a == b or (a != a and b != b))


def _refused(name: str, why: str) -> UnsupportedTypeError:
    return UnsupportedTypeError(
        f"cannot be stored without loss: {why}", branch=name,
        hint="numbers, booleans, strings, and lists and records of these can be; missing values"
        " can be filled first, as with ak.fill_none",
    )  # fmt: skip


def _plain(name: str, values: Array) -> Array:
    """A column of NumPy's own, little-endian."""
    values = np.ascontiguousarray(values).reshape(values.shape)
    if values.dtype.kind == "S":
        return values.view("|u1").reshape((*values.shape, values.dtype.itemsize))
    out = values.astype(values.dtype.newbyteorder("<"), copy=False)
    if out.dtype.str not in COLUMN_DTYPES:
        raise _refused(name, f"type {values.dtype}")
    return out


def _put(
    tables: _Tables,
    within: str,
    name: str,
    column: Array | VarBytes,
    interpretation: str = "",
) -> str:
    """Add a column; return what it is called, which is unique among all tables."""
    name = tables.new_column(name)
    if isinstance(column, VarBytes):
        kind = "string" if interpretation == "text" else "bytes"
        spec = ColumnSpec(name, VARBYTES, typename=kind, interpretation=interpretation)
    else:
        inner = column.shape[1:]
        spec = ColumnSpec(
            name, column.dtype.str, inner, "".join(f"{n} * " for n in inner) + column.dtype.name
        )
    tables[within].specs.append(spec)
    tables[within].columns[name] = column
    return name


def _is_array(layout: Any) -> bool:
    """Whether a layout is an array of numbers, of any dimensions."""
    while layout.is_regular and layout.parameter("__array__") is None:
        layout = layout.content
    return bool(layout.is_numpy)


def _walk(name: str, layout: Any, within: str, tables: _Tables) -> None:
    """Add one layout, whose items are rows of table ``within``."""
    import awkward as ak

    kind = layout.parameter("__array__")
    if kind in ("string", "bytestring"):
        offsets = layout.to_ListOffsetArray64(True)
        column = VarBytes(
            np.asarray(offsets.offsets, np.int64), np.asarray(offsets.content.data, np.uint8)
        )
        _put(tables, within, name, column, "text" if kind == "string" else "opaque")
    elif _is_array(layout):
        _put(tables, within, name, _plain(name, ak.to_numpy(layout)))
    elif layout.is_record and layout.fields:
        for label, content in zip(layout.fields, layout.contents, strict=True):
            _walk(f"{name}_{label}", content[: len(layout)], within, tables)
    elif layout.is_list or layout.is_regular:
        layout = layout.to_ListOffsetArray64(True)
        _walk(name, layout.content, _add_list(name, layout, within, tables), tables)
    else:
        raise _refused(name, f"type {layout.form.type}")


def _add_list(name: str, layout: Any, within: str, tables: _Tables) -> str:
    """Add a table for the items of a list; return its name."""
    offsets = np.asarray(layout.offsets, np.int64)
    above = tables[within]
    if not above.jagged:
        inner = tables.new_table(name)
        tables[inner] = _Table(offsets)
        return inner
    counts = _put(tables, within, f"{name}_counts", np.diff(offsets).astype("<u4"))
    inner = tables.new_table(f"{name}_items")
    tables[inner] = _Table(offsets[above.offsets], parent=within, counts=counts)
    return inner
