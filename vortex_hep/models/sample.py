"""Training samples: clusters taken evenly from files, joined table by table."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from vortex_hep.codec.plan import make_plans
from vortex_hep.core.arrays import join_tables
from vortex_hep.core.progress import SILENT, Progress
from vortex_hep.core.schema import VARBYTES, Cluster, TableData, TableSpec, TreeSource
from vortex_hep.nn.coding.treecoder import plan_specs
from vortex_hep.nn.event.training.prepare import TableSample

#: Size of the pieces that are read and chosen from.
_PIECE = 1 << 23
#: Rows of a table to learn from, about.
_ROWS = 1 << 20

#: Entries of a tree.
_Piece = tuple[TreeSource, int, int]


def common_tables(trees: Sequence[TreeSource]) -> tuple[TableSpec, ...]:
    """Tables of the first tree, less the columns that another tree lacks or types differently."""
    out = []
    for table in trees[0].tables:
        columns = list(table.columns)
        for other in trees[1:]:
            theirs = {(t.name, c.name, c.dtype, c.inner) for t in other.tables for c in t.columns}
            columns = [c for c in columns if (table.name, c.name, c.dtype, c.inner) in theirs]
        if columns:
            out.append(TableSpec(table.name, tuple(columns), table.counter, table.jagged))
    return tuple(out)


def _pieces(trees: Sequence[TreeSource], budget: int) -> list[_Piece]:
    pieces = [
        (tree, start, stop)
        for tree in trees
        for start, stop in tree.cluster_ranges(_PIECE)
        if stop > start
    ]
    most = max(1, budget // _PIECE)
    return _evenly(pieces, most)


def _evenly(pieces: list[_Piece], most: int) -> list[_Piece]:
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
    plans = []
    for plan in make_plans(tables):
        # No network learns from byte strings.
        specs = tuple(s for s in plan_specs(plan, tables) if s.dtype != VARBYTES)
        if specs:
            plans.append((plan, specs))
    wanted = [s.name for _, specs in plans for s in specs]
    clusters: list[Cluster] = []
    pieces = _pieces(trees, budget)
    first, start, stop = pieces[0]
    read = first.read(start, stop, wanted)
    rows = max((table.num_rows for table in read.values()), default=0)
    pieces = _evenly(pieces, max(1, _ROWS // max(rows, 1)))
    with progress.task("reading", len(pieces), unit="clusters") as task:
        for number, (tree, start, stop) in enumerate(pieces):
            clusters.append(tree.read(start, stop, wanted) if number else read)
            task.advance(1)
    samples = []
    for plan, specs in plans:
        parts = [
            TableData(c[plan.table].offsets, {s.name: c[plan.table].columns[s.name] for s in specs})
            for c in clusters
        ]
        samples.append(TableSample(plan, specs, join_tables(parts)))
    return samples
