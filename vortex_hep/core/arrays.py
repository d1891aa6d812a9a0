"""Decoded tables as the arrays that users work with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from vortex_hep.core.schema import (
    VARBYTES,
    Array,
    Cluster,
    ColumnSpec,
    TableData,
    TableSpec,
    VarBytes,
)
from vortex_hep.errors import CorruptionError


def cut(
    decoded: Mapping[str, TableData],
    plan_of: Mapping[str, str],
    wanted: Sequence[str],
    low: int,
    high: int,
) -> TableData:
    """Take lanes ``low`` to ``high`` of the wanted columns of one table.

    Parameters
    ----------
    decoded : mapping of str to TableData
        By plan.
    plan_of : mapping of str to str
        Plan of each column.
    wanted : sequence of str
        Columns, at least one.
    low, high : int
    """
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


def owned(table: TableData) -> TableData:
    """Return a table whose arrays its user may change, or cannot: not those that are kept."""

    def own(array: Array) -> Array:
        return array.copy() if array.flags.writeable else array

    columns: dict[str, Array | VarBytes] = {}
    for name, column in table.columns.items():
        if isinstance(column, VarBytes):
            columns[name] = VarBytes(column.offsets, own(column.content))
        else:
            columns[name] = own(column)
    return TableData(table.offsets, columns)


def empty_table(specs: Sequence[ColumnSpec]) -> TableData:
    """Build a table without lanes."""
    columns: dict[str, Array | VarBytes] = {}
    for s in specs:
        if s.dtype == VARBYTES:
            columns[s.name] = VarBytes(np.zeros(1, np.int64), np.zeros(0, np.uint8))
        else:
            columns[s.name] = np.zeros((0, *s.inner), s.dtype)
    return TableData(np.zeros(1, np.int64), columns)


def join_tables(parts: Sequence[TableData]) -> TableData:
    """Join the rows of several stretches of one table."""
    if len(parts) == 1:
        return parts[0]
    columns: dict[str, Array | VarBytes] = {}
    for name, first in parts[0].columns.items():
        pieces: list[Any] = [p.columns[name] for p in parts]
        if isinstance(first, VarBytes):
            content = [p.content[p.offsets[0] : p.offsets[-1]] for p in pieces]
            offsets = _join_offsets([p.offsets for p in pieces])
            columns[name] = VarBytes(offsets, np.concatenate(content))
        else:
            columns[name] = np.concatenate(pieces)
    return TableData(_join_offsets([p.offsets for p in parts]), columns)


def _join_offsets(parts: Sequence[Array]) -> Array:
    counts = np.concatenate([np.diff(p) for p in parts])
    out = np.zeros(len(counts) + 1, np.int64)
    np.cumsum(counts, out=out[1:])
    return out


def lists_above(table: TableSpec, tables: Mapping[str, TableSpec]) -> list[tuple[str, str]]:
    """List the lists that a table's rows are within, innermost first.

    Parameters
    ----------
    table : TableSpec
    tables : mapping of str to TableSpec

    Returns
    -------
    list of (str, str)
        Name of the list's table, and its column that counts.
    """
    out = []
    while table.parent is not None and table.inner_counts is not None:
        out.append((table.parent, table.inner_counts))
        table = tables[table.parent]
    return out


def assemble(
    columns: Mapping[str, tuple[ColumnSpec, TableSpec, Cluster]],
    entries: int,
    library: str,
    *,
    tables: Mapping[str, TableSpec] | None = None,
) -> Any:
    """Build the result of ``arrays()``.

    Parameters
    ----------
    columns : mapping of str to (ColumnSpec, TableSpec, Cluster)
        By branch name, in the order of the result.
    entries : int
    library : {"ak", "np"}
    tables : mapping of str to TableSpec, optional
        All tables of the tree, where there are lists within lists. The clusters then hold the
        columns of :func:`lists_above` too.

    Returns
    -------
    ak.Array or dict of str to numpy.ndarray

    Raises
    ------
    CorruptionError
        A string does not fit its length, or lists do not hold what they say.
    """
    if library == "np":
        return {
            name: _numpy(s, cluster[t.name], _lists(s, t, cluster, tables or {}))
            for name, (s, t, cluster) in columns.items()
        }
    import awkward as ak

    contents = [
        _layout(s, cluster[t.name], _lists(s, t, cluster, tables or {}))
        for s, t, cluster in columns.values()
    ]
    return ak.Array(ak.contents.RecordArray(contents, list(columns), length=entries))


def empty_cluster(tables: Sequence[TableSpec]) -> Cluster:
    """Build all tables without lanes, from which their types can be told."""
    return {t.name: empty_table(t.columns) for t in tables}


def _is_list(table: TableSpec) -> bool:
    return table.jagged or table.counter is not None


def _lists(
    spec: ColumnSpec, table: TableSpec, cluster: Cluster, tables: Mapping[str, TableSpec]
) -> list[Array]:
    """Offsets of the lists that a column's rows are in, innermost first, up to the lanes."""
    if not _is_list(table):
        return []
    out = []
    above = lists_above(table, tables)
    rows = cluster[table.name].num_rows
    for parent, counts in above:
        sizes = np.asarray(cluster[parent].columns[counts])
        offsets = np.zeros(len(sizes) + 1, np.int64)
        np.cumsum(sizes, out=offsets[1:])
        if (sizes < 0).any() or offsets[-1] != rows:
            raise CorruptionError(
                f"the lengths {counts!r} of the lists do not add up to {rows} rows",
                branch=spec.name,
            )
        out.append(offsets)
        rows = len(sizes)
    out.append(cluster[above[-1][0] if above else table.name].offsets)
    return out


def _layout(spec: ColumnSpec, data: TableData, lists: Sequence[Array]) -> Any:
    import awkward as ak

    column = data.columns[spec.name]
    if isinstance(column, VarBytes):
        starts, stops = _text_range(column, spec)
        kind, item = ("string", "char") if _is_text(spec) else ("bytestring", "byte")
        content: Any = ak.contents.ListArray(
            ak.index.Index64(starts),
            ak.index.Index64(stops),
            ak.contents.NumpyArray(column.content, parameters={"__array__": item}),
            parameters={"__array__": kind},
        ).to_ListOffsetArray64(True)
    elif column.dtype.kind == "S":
        content = _byte_strings(column)
    else:
        if column.dtype.kind == "V":
            # Awkward Array has no type for them but bytes.
            column = column.view(np.uint8).reshape(*column.shape, column.dtype.itemsize)
        content = ak.contents.NumpyArray(np.ascontiguousarray(column))
        if column.ndim > 1:
            content = content.to_RegularArray()
    for offsets in lists:
        content = ak.contents.ListOffsetArray(ak.index.Index64(offsets), content)
    return content


def _byte_strings(column: Array) -> Any:
    """Byte strings of fixed size, without the zeros at their ends."""
    import awkward as ak

    flat = np.ascontiguousarray(column).reshape(-1)
    width = flat.dtype.itemsize
    starts = np.arange(len(flat), dtype=np.int64) * width
    content: Any = ak.contents.ListArray(
        ak.index.Index64(starts),
        ak.index.Index64(starts + np.char.str_len(flat)),
        ak.contents.NumpyArray(flat.view(np.uint8), parameters={"__array__": "byte"}),
        parameters={"__array__": "bytestring"},
    ).to_ListOffsetArray64(True)
    for size in reversed(column.shape[1:]):
        content = ak.contents.RegularArray(content, size, zeros_length=len(column))
    return content


def _numpy(spec: ColumnSpec, data: TableData, lists: Sequence[Array]) -> Array:
    column = data.columns[spec.name]
    if isinstance(column, VarBytes):
        column = _objects(column, spec)
    for offsets in lists:
        out = np.empty(len(offsets) - 1, object)
        for i in range(len(out)):
            out[i] = column[offsets[i] : offsets[i + 1]]
        column = out
    return column


def _objects(column: VarBytes, spec: ColumnSpec) -> Array:
    """Strings as an array of str, or of bytes."""
    starts, stops = _text_range(column, spec)
    whole = column.content.tobytes()
    out = np.empty(len(column), object)
    for i in range(len(out)):
        item = whole[starts[i] : stops[i]]
        out[i] = item.decode("utf-8", "surrogateescape") if _is_text(spec) else item
    return out


def _is_text(spec: ColumnSpec) -> bool:
    return spec.interpretation in ("string", "text")


def _text_range(column: VarBytes, spec: ColumnSpec) -> tuple[Array, Array]:
    """Where each string begins and ends; ROOT's strings come without their length prefix."""
    starts, stops = column.offsets[:-1].copy(), column.offsets[1:].copy()
    if spec.interpretation == "string" and len(starts):
        # ROOT's length prefix: one byte, or 255 and four bytes
        if not (stops > starts).all():
            raise CorruptionError("the length of a string is missing", branch=spec.name)
        starts += np.where(column.content[starts] == 255, 5, 1)
        if (starts > stops).any():
            raise CorruptionError("a string is shorter than its length", branch=spec.name)
    return starts, stops
