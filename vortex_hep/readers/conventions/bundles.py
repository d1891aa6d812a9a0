"""Bundles: flat trees of one folder with as many entries, coded as one tree.

A row of one is a row of the others, though they were written as trees of their own, such as track
parameters and their covariances. Coded together, columns of one can predict those of another.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np

from vortex_hep.core.schema import VARBYTES, Cluster, Member, TableData, TableSpec, TreeSource
from vortex_hep.errors import NotFoundError

#: Trees with fewer entries, in all folders, are not worth it.
_FEW_ENTRIES = 100
#: Bytes that are assumed of a byte string.
_STRING_SIZE = 16


class Bundle:
    """Several trees as one (a :class:`~vortex_hep.core.schema.TreeSource`).

    Tables are called as the trees, and columns have the name of their tree in front.

    Parameters
    ----------
    trees : sequence of TreeSource
        At least two, of one folder, with one table each and as many entries.
    """

    def __init__(self, trees: Sequence[TreeSource]) -> None:
        self._trees = {_base(tree.name): tree for tree in trees}
        self.name = f"{trees[0].name}+{len(trees) - 1}"
        folder = trees[0].family[: -len(_base(trees[0].family))]
        self.family = folder + "+".join(_base(tree.family) for tree in trees)
        self.num_entries = trees[0].num_entries
        self.members = tuple(Member(t.name, f"{base}/") for base, t in self._trees.items())

    @property
    def tables(self) -> tuple[TableSpec, ...]:
        """One table for every tree."""
        return tuple(
            replace(
                table,
                name=base,
                columns=tuple(replace(c, name=f"{base}/{c.name}") for c in table.columns),
            )
            for base, tree in self._trees.items()
            for table in tree.tables
        )

    def cluster_ranges(self, target_bytes: int) -> list[tuple[int, int]]:
        """Entry ranges (start, stop) that cover the trees, each near ``target_bytes`` raw."""
        width = sum(
            _STRING_SIZE
            if c.dtype == VARBYTES
            else np.dtype(c.dtype).itemsize * int(np.prod(c.inner, dtype=np.int64))
            for table in self.tables
            for c in table.columns
        )
        pieces = max(1, round(self.num_entries * width / max(target_bytes, 1)))
        bounds = {self.num_entries * k // pieces for k in range(pieces + 1)}
        return list(pairwise(sorted(bounds)))

    def read(self, start: int, stop: int, columns: Sequence[str] | None = None) -> Cluster:
        """Data of entries ``start`` to ``stop``; all columns, or only those named.

        Raises
        ------
        NotFoundError, LayoutError, SourceError
            As the trees raise them.
        """
        wanted: dict[str, list[str]] = {}
        for column in columns or ():
            base, _, name = column.partition("/")
            if base not in self._trees:
                raise NotFoundError(f"no column {column!r}", tree=self.name)
            wanted.setdefault(base, []).append(name)
        out: Cluster = {}
        for base, tree in self._trees.items():
            if columns is None or base in wanted:
                (data,) = tree.read(start, stop, wanted.get(base)).values()
                renamed = {f"{base}/{name}": column for name, column in data.columns.items()}
                out[base] = TableData(data.offsets, renamed)
        return out


def bundled(trees: Mapping[str, TreeSource]) -> dict[str, TreeSource]:
    """Join the trees that go together.

    Trees go together if they have as many entries, in every folder of their kind in the file: two
    trees that happen to agree in one folder are not coded in another way than in the next file.

    Parameters
    ----------
    trees : mapping of str to TreeSource

    Returns
    -------
    dict of str to TreeSource
        Bundles stand where the first of their members stood.
    """
    sizes: dict[str, dict[str, int]] = {}
    for tree in trees.values():
        sizes.setdefault(tree.family, {})[_folder(tree.name)] = tree.num_entries
    uneven = {tree.family for tree in trees.values() if not _is_flat(tree)}
    groups: dict[tuple[object, ...], list[TreeSource]] = {}
    for tree in trees.values():
        entries = sizes[tree.family]
        if tree.family not in uneven and max(entries.values()) >= _FEW_ENTRIES:
            key = _folder(tree.name), _folder(tree.family), tuple(sorted(entries.items()))
            groups.setdefault(key, []).append(tree)
    bundle_of: dict[str, list[TreeSource]] = {
        tree.name: group for group in groups.values() if len(group) > 1 for tree in group
    }
    out: dict[str, TreeSource] = {}
    for name, tree in trees.items():
        group = bundle_of.get(name)
        if group is None:
            out[name] = tree
        elif group[0] is tree:
            bundle = Bundle(group)
            out[bundle.name] = bundle
    return out


def _base(name: str) -> str:
    return name.rpartition("/")[2]


def _folder(name: str) -> str:
    return name.rpartition("/")[0]


def _is_flat(tree: TreeSource) -> bool:
    tables = tree.tables
    return (
        len(tables) == 1 and not tables[0].jagged and bool(tables[0].columns) and not tree.members
    )
