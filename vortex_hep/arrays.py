"""From decoded tables to the arrays users work with."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from vortex_hep.errors import CorruptionError
from vortex_hep.schema import VARBYTES, Array, Cluster, ColumnSpec, TableData, TableSpec, VarBytes


def near_misses(name: str, known: list[str]) -> str:
    """Up to three names that resemble ``name``, for an error message."""
    return ", ".join(repr(n) for n in difflib.get_close_matches(name, known, 3))


def cut(
    decoded: Mapping[str, TableData],
    plan_of: Mapping[str, str],
    wanted: Sequence[str],
    low: int,
    high: int,
) -> TableData:
    """Lanes ``low`` to ``high`` of the wanted columns of one table."""
    offsets = decoded[plan_of[wanted[0]]].offsets
    first, last = int(offsets[low]), int(offsets[high])
    columns: dict[str, Array | VarBytes] = {}
    for name in wanted:
        column = decoded[plan_of[name]].columns[name]
        if isinstance(column, VarBytes):
            at = column.offsets[first : last + 1]
            columns[name] = VarBytes(at - at[0], column.content[at[0] : at[-1]])
        else:
            columns[name] = column[first:last]
    return TableData(offsets[low : high + 1] - first, columns)


def empty_table(specs: Sequence[ColumnSpec]) -> TableData:
    """A table without lanes."""
    columns: dict[str, Array | VarBytes] = {}
    for s in specs:
        if s.dtype == VARBYTES:
            columns[s.name] = VarBytes(np.zeros(1, np.int64), np.zeros(0, np.uint8))
        else:
            columns[s.name] = np.zeros((0, *s.inner), s.dtype)
    return TableData(np.zeros(1, np.int64), columns)


def assemble(
    columns: Mapping[str, tuple[ColumnSpec, TableSpec, Cluster]], entries: int, library: str
) -> Any:
    """Build the result of ``arrays()``."""
    import awkward as ak

    out = {}
    for name, (spec, table, cluster) in columns.items():
        data = cluster[table.name]
        out[name] = _layout(spec, table, data)
    if library == "np":
        return {name: _to_numpy(layout) for name, layout in out.items()}
    if not out:
        return ak.Array(ak.contents.RecordArray([], [], length=entries))
    return ak.Array(ak.contents.RecordArray(list(out.values()), list(out), length=entries))


def _layout(spec: ColumnSpec, table: TableSpec, data: TableData) -> Any:
    import awkward as ak

    column = data.columns[spec.name]
    if isinstance(column, VarBytes):
        content: Any = _strings(column, spec)
    else:
        content = ak.contents.NumpyArray(np.ascontiguousarray(column))
        if column.ndim > 1:
            content = content.to_RegularArray()
    if table.jagged or table.counter is not None:
        return ak.contents.ListOffsetArray(ak.index.Index64(data.offsets), content)
    return content


def _strings(column: VarBytes, spec: ColumnSpec) -> Any:
    """Text without its length prefix, or the bytes of each record as they are stored."""
    import awkward as ak

    text = spec.interpretation == "string"
    starts, stops = column.offsets[:-1].copy(), column.offsets[1:].copy()
    if text and len(starts):
        # ROOT's length prefix: one byte, or 255 and four bytes
        filled = stops > starts
        if not filled.all():
            raise CorruptionError("a string without its length", branch=spec.name)
        long = column.content[starts] == 255
        starts = starts + np.where(long, 5, 1)
        if (starts > stops).any():
            raise CorruptionError("a string shorter than its length", branch=spec.name)
    kind, item = ("string", "char") if text else ("bytestring", "byte")
    return ak.contents.ListArray(
        ak.index.Index64(starts),
        ak.index.Index64(stops),
        ak.contents.NumpyArray(column.content, parameters={"__array__": item}),
        parameters={"__array__": kind},
    )


def _to_numpy(layout: Any) -> Any:
    import awkward as ak

    if layout.is_numpy or layout.is_regular:
        return np.asarray(ak.to_numpy(layout))
    array = ak.Array(layout)
    out = np.empty(len(array), object)
    if layout.parameter("__array__") in ("string", "bytestring"):
        out[:] = ak.to_list(array)
        return out
    for i, item in enumerate(array):
        out[i] = np.asarray(item)
    return out
