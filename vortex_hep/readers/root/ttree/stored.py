"""Stored trees: the bytes of a tree's object, with positions to be filled in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from vortex_hep.core.schema import Array
from vortex_hep.errors import CorruptionError
from vortex_hep.readers.root.ttree.layout import BranchPlan
from vortex_hep.readers.root.ttree.streamed import StreamedBranch


@dataclass
class StoredTree:
    """A tree as the remainder describes it, ready to be filled with baskets."""

    name: str
    #: Headers of classes in front of that of TTree.
    headers: int
    shared: bool
    data: bytearray
    branches: list[StreamedBranch]
    plans: list[BranchPlan]
    entries: int
    total_bytes: int
    fields: Array
    raw_tails: dict[int, bytes]
    raw_headers: dict[int, bytes]
    stored: dict[int, bytes]
    #: Numbers of branches of a shared tree whose baskets are elsewhere.
    left: frozenset[int] = frozenset()


def table(data: bytearray, branch: StreamedBranch, which: str) -> Array:
    """One of a branch's basket tables, as a writable view of the tree's bytes."""
    at, dtype = {
        "bytes": (branch.at_basket_bytes, ">i4"),
        "entry": (branch.at_basket_entry, branch.entry_dtype),
        "seek": (branch.at_basket_seek, branch.seek_dtype),
    }[which]
    return np.frombuffer(data, dtype, branch.max_baskets, at)


def number_at(data: bytearray, position: int, dtype: str = ">i8") -> Array:
    """The number at ``position``, as a writable view of one item."""
    return np.frombuffer(data, dtype, 1, position)


class Stored(Protocol):
    """A tree of any kind as an archive describes it."""

    name: str
    entries: int


def ranges_of(
    tree: Stored, trees: Mapping[str, Sequence[tuple[int, int]]]
) -> Sequence[tuple[int, int]]:
    """Entry ranges of a tree, checked to cover it."""
    ranges = trees.get(tree.name)
    if ranges is None:
        msg = "the remainder has this tree, the columns do not"
        raise CorruptionError(msg, tree=tree.name)
    expected = 0
    for start, stop in ranges:
        if start != expected or stop <= start:
            msg = f"entries {start} to {stop} do not follow on entry {expected}"
            raise CorruptionError(msg, tree=tree.name)
        expected = stop
    if expected != tree.entries:
        msg = f"columns hold {expected} of {tree.entries} entries"
        raise CorruptionError(msg, tree=tree.name)
    return ranges


def fill_shared(tree: StoredTree, placed: Sequence[tuple[int, int]]) -> None:
    """Point an older cycle of a tree to the baskets that the newest one has written."""
    for number, branch in enumerate(tree.branches):
        if number in tree.left:
            continue
        seeks, sizes = table(tree.data, branch, "seek"), table(tree.data, branch, "bytes")
        for index, basket in enumerate(seeks.tolist()):
            if basket:
                seeks[index], sizes[index] = placed[basket - 1]
