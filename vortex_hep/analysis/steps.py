"""Entry ranges for reading trees piece by piece."""

from __future__ import annotations

from vortex_hep.archive.view import TreeView

Range = tuple[int, int]


def even_steps(start: int, stop: int, entries: int) -> list[Range]:
    """Ranges of so many entries, but for the last."""
    return [(a, min(a + entries, stop)) for a in range(start, stop, entries)]


def cluster_steps(tree: TreeView, entries: int) -> list[Range]:
    """Ranges of whole clusters, of no more than so many entries where one cluster has no more."""
    out: list[Range] = []
    for start, stop in tree.cluster_ranges(0):
        if out and stop - out[-1][0] <= entries:
            out[-1] = (out[-1][0], stop)
        else:
            out.append((start, stop))
    return out
