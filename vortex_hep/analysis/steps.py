"""Entry ranges in which trees are read."""

from __future__ import annotations

from collections.abc import Sequence

from vortex_hep.errors import UnsupportedTypeError
from vortex_hep.sizes import byte_count
from vortex_hep.tree_view import TreeView

Range = tuple[int, int]


def entries_per_step(tree: TreeView, names: Sequence[str], step_size: int | str) -> int:
    """How many entries a step has.

    Parameters
    ----------
    tree : TreeView
    names : sequence of str
        Branches that are read.
    step_size : int or str
        Entries, or the bytes of these branches in memory, such as ``"100 MB"``.

    Raises
    ------
    UnsupportedTypeError
        It is neither.
    """
    if isinstance(step_size, str):
        wanted = byte_count(step_size)
        total = tree.raw_bytes(names)
        return max(1, wanted * tree.num_entries // total) if total else max(1, tree.num_entries)
    if step_size < 1:
        raise UnsupportedTypeError(f"step_size {step_size} is not positive")
    return int(step_size)


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
