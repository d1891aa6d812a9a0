"""Gathering rows to learn from: clusters taken evenly from files, joined table by table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from vortex_hep.codec.plan import make_plans
from vortex_hep.codec.treecoder import plan_data, plan_specs
from vortex_hep.nn.fit import TableSample
from vortex_hep.progress import SILENT, Progress
from vortex_hep.schema import Cluster, TableData, TableSpec, TreeSource, VarBytes

#: Size of the pieces that are read and chosen from.
_PIECE = 1 << 23


def common_tables(trees: Sequence[TreeSource]) -> tuple[TableSpec, ...]:
    """Tables of the first tree, less the columns that another tree lacks or types differently."""
    out = []
    for table in trees[0].tables:
        columns = list(table.columns)
        for other in trees[1:]:
            theirs = {
                (t.name, c.name, c.dtype, c.inner) for t in other.tables for c in t.columns
            }
            columns = [c for c in columns if (table.name, c.name, c.dtype, c.inner) in theirs]
        if columns:
            out.append(TableSpec(table.name, tuple(columns), table.counter, table.jagged))
    return tuple(out)


def _pieces(trees: Sequence[TreeSource], budget: int) -> list[tuple[TreeSource, int, int]]:
    pieces = [
        (tree, start, stop)
        for tree in trees
        for start, stop in tree.cluster_ranges(_PIECE)
        if stop > start
    ]
    most = max(1, budget // _PIECE)
    if len(pieces) <= most:
        return pieces
    chosen = np.unique(np.linspace(0, len(pieces) - 1, most).astype(int))
    return [pieces[i] for i in chosen]


def gather(
    trees: Sequence[TreeSource], budget: int, progress: Progress = SILENT
) -> list[TableSample]:
    """Read a sample of trees of one kind.

    Parameters
    ----------
    trees : sequence of TreeSource
        The same tree of several files.
    budget : int
        Bytes of columns to read at most, about.
    progress : Progress

    Returns
    -------
    list of TableSample
        In the order of the plans; empty where there are no entries.
    """
    trees = [t for t in trees if t.num_entries > 0]
    if not trees:
        return []
    tables = common_tables(trees)
    wanted = [c.name for t in tables for c in t.columns]
    pieces = _pieces(trees, budget)
    clusters: list[Cluster] = []
    with progress.task("reading", len(pieces), unit="clusters") as task:
        for tree, start, stop in pieces:
            clusters.append(tree.read(start, stop, wanted))
            task.advance(1)
    samples = []
    for plan in make_plans(tables):
        specs = plan_specs(plan, tables)
        data = join_tables([plan_data(plan, c) for c in clusters])
        samples.append(TableSample(plan, specs, data))
    return samples


def join_tables(parts: Sequence[TableData]) -> TableData:
    """Join the rows of several stretches of one table."""
    if len(parts) == 1:
        return parts[0]
    offsets = [np.zeros(1, np.int64)]
    at = 0
    for p in parts:
        offsets.append(p.offsets[1:] + at)
        at += int(p.offsets[-1])
    columns: dict[str, Any] = {}
    for name, first in parts[0].columns.items():
        if isinstance(first, VarBytes):
            continue  # no network learns from byte strings
        columns[name] = np.concatenate([p.columns[name] for p in parts])
    return TableData(np.concatenate(offsets), columns)


def join_tables_whole(parts: Sequence[TableData]) -> TableData:
    """Join the rows of several stretches of one table, byte strings included."""
    if len(parts) == 1:
        return parts[0]
    joined = join_tables(parts)
    for name, first in parts[0].columns.items():
        if isinstance(first, VarBytes):
            joined.columns[name] = _join_strings([p.columns[name] for p in parts])
    joined.columns = {name: joined.columns[name] for name in parts[0].columns}
    return joined


def _join_strings(parts: Sequence[Any]) -> VarBytes:
    offsets = [np.zeros(1, np.int64)]
    at = 0
    for p in parts:
        offsets.append(p.offsets[1:] - p.offsets[0] + at)
        at += int(p.offsets[-1] - p.offsets[0])
    content = [p.content[p.offsets[0] : p.offsets[-1]] for p in parts]
    return VarBytes(np.concatenate(offsets), np.concatenate(content))
