"""From awkward layouts to tables: lists become rows, lists within lists tables of their own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from vortex_hep.errors import UnsupportedTypeError
from vortex_hep.schema import (
    COLUMN_DTYPES,
    VARBYTES,
    Array,
    ColumnSpec,
    TableData,
    TableSpec,
    VarBytes,
)


@dataclass
class _Table:
    """A table in the making."""

    offsets: Array
    specs: list[ColumnSpec] = field(default_factory=list)
    columns: dict[str, Array | VarBytes] = field(default_factory=dict)
    parent: str | None = None
    counts: str | None = None
    jagged: bool = True


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

    tables = {"": _Table(np.arange(entries + 1, dtype=np.int64), jagged=False)}
    for name, values in fields.items():
        if isinstance(values, np.ndarray) and values.dtype.kind != "O":
            _put(tables[""], str(name), _plain(str(name), values))
            continue
        try:
            layout = ak.to_layout(values if not isinstance(values, np.ndarray) else list(values))
        except (TypeError, ValueError) as error:
            raise _refused(str(name), str(error).split("\n")[0]) from error
        _walk(str(name), ak.to_packed(layout, highlevel=False), "", tables)
    out = [
        TableSpec(n, tuple(t.specs), None, t.jagged, t.parent, t.counts)
        for n, t in tables.items()
        if t.specs
    ]
    return out, {n: TableData(t.offsets, t.columns) for n, t in tables.items() if t.specs}


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


def _put(table: _Table, name: str, column: Array | VarBytes, interpretation: str = "") -> None:
    if isinstance(column, VarBytes):
        kind = "string" if interpretation == "text" else "bytes"
        spec = ColumnSpec(name, VARBYTES, typename=kind, interpretation=interpretation)
    else:
        inner = column.shape[1:]
        spec = ColumnSpec(
            name, column.dtype.str, inner, "".join(f"{n} * " for n in inner) + column.dtype.name
        )
    table.specs.append(spec)
    table.columns[name] = column


def _walk(name: str, layout: Any, within: str, tables: dict[str, _Table]) -> None:
    """Add one layout, whose items are rows of table ``within``."""
    kind = layout.parameter("__array__")
    if kind in ("string", "bytestring"):
        column = VarBytes(
            np.asarray(layout.offsets, np.int64), np.asarray(layout.content.data, np.uint8)
        )
        _put(tables[within], name, column, "text" if kind == "string" else "opaque")
    elif layout.is_numpy:
        _put(tables[within], name, _plain(name, np.asarray(layout.data)))
    elif layout.is_regular:
        try:
            _put(tables[within], name, _plain(name, np.asarray(layout.to_NumpyArray().data)))
        except (TypeError, ValueError, AttributeError):
            _walk(name, layout.to_ListOffsetArray64(True), within, tables)
    elif layout.is_record:
        for label, content in zip(layout.fields, layout.contents, strict=True):
            _walk(f"{name}_{label}", content[: len(layout)], within, tables)
    elif layout.is_list:
        _walk(name, layout.content, _add_list(name, layout, within, tables), tables)
    else:
        raise _refused(name, f"type {layout.form.type}")


def _add_list(name: str, layout: Any, within: str, tables: dict[str, _Table]) -> str:
    """Add a table for the items of a list; return its name."""
    offsets = np.asarray(layout.offsets, np.int64)
    above = tables[within]
    if not above.jagged:
        tables[name] = _Table(offsets)
        return name
    counts = f"{name}_counts"
    _put(above, counts, np.diff(offsets).astype("<u4"))
    inner = f"{name}_items"
    tables[inner] = _Table(offsets[above.offsets], parent=within, counts=counts)
    return inner
