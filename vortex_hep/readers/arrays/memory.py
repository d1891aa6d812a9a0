"""Arrays in memory as a source: a dict of arrays, a structured array, or an awkward array."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from vortex_hep.core.arrays import cut
from vortex_hep.core.schema import (
    MOST_ROWS,
    Cluster,
    Member,
    TableData,
    TableSpec,
    TreeSource,
    Unread,
    VarBytes,
)
from vortex_hep.errors import NotFoundError, UnsupportedFeatureError, UnsupportedTypeError
from vortex_hep.readers.arrays.awkward_tables import awkward_tables
from vortex_hep.readers.kinds import ReadCluster, RestoreOptions

#: Name of the tree that arrays without a name of their own become.
TREE = "arrays"


class ArraysTree:
    """Tables that are in memory as a whole (a :class:`~vortex_hep.core.schema.TreeSource`).

    Parameters
    ----------
    name : str
    tables : sequence of TableSpec
    data : mapping of str to TableData
        By table name, all over the same lanes.
    num_entries : int
    """

    def __init__(
        self,
        name: str,
        tables: Sequence[TableSpec],
        data: Mapping[str, TableData],
        num_entries: int,
    ) -> None:
        self.name = self.family = name
        self.members: tuple[Member, ...] = ()
        self.tables = tuple(tables)
        self.num_entries = num_entries
        self._data = data
        self._table_of = {c.name: t.name for t in tables for c in t.columns}

    def cluster_ranges(self, target_bytes: int) -> list[tuple[int, int]]:
        """Entry ranges that cover the tree, each near ``target_bytes`` raw."""
        size = sum(_size(c) for t in self._data.values() for c in t.columns.values())
        entries = self.num_entries
        rows = max((t.num_rows for t in self._data.values()), default=0)
        step = int(target_bytes * entries / max(1, size))
        step = max(1, min(step, MOST_ROWS * entries // max(rows, entries, 1)))
        return [
            (start, min(start + step, self.num_entries))
            for start in range(0, self.num_entries, step)
        ]

    def read(self, start: int, stop: int, columns: Sequence[str] | None = None) -> Cluster:
        """Views of entries ``start`` to ``stop``."""
        return {
            t.name: cut(self._data, self._table_of, wanted, start, stop)
            for t in self.tables
            if (wanted := [c.name for c in t.columns if columns is None or c.name in columns])
        }


def _size(column: Any) -> int:
    if isinstance(column, VarBytes):
        return int(column.content.nbytes + column.offsets.nbytes)
    return int(column.nbytes)


class MemorySource:
    """Arrays as a :class:`~vortex_hep.core.schema.FileSource`; there is no file to restore."""

    kind = "arrays"

    def __init__(self, tree: ArraysTree) -> None:
        self.path = "<memory>"
        self.trees: Mapping[str, TreeSource] = {tree.name: tree}

    def remainder(self) -> Iterator[tuple[str, bytes]]:
        """Nothing but the arrays."""
        return iter(())

    def settle(self) -> None:
        """Nothing to settle."""

    def notes(self) -> list[str]:
        """Nothing unusual."""
        return []

    def unread(self) -> list[Unread]:
        """Nothing."""
        return []

    def close(self) -> None:
        """Nothing to close."""

    def __enter__(self) -> MemorySource:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing to close."""


def open_file(
    source: Any, *, trees: Sequence[str] | None = None, exact: bool = False
) -> MemorySource:
    """Take arrays as a source; see :mod:`vortex_hep.readers.kinds`.

    Parameters
    ----------
    source : dict of arrays, structured array or ak.Array
        One item, or list of items, per entry; all of one length.
    trees : sequence of str, optional
        Only ``"arrays"`` exists.
    exact : bool
        Refused: there is no file.

    Raises
    ------
    UnsupportedTypeError
        Lengths differ, or a type has no lossless form here; the message names the field.
    UnsupportedFeatureError
        ``exact`` was asked for.
    """
    import awkward as ak

    if exact:
        raise UnsupportedFeatureError(
            "exact=True is for files, and these are arrays in memory",
            hint="leave exact=True out: all bits of the arrays are restored anyway",
        )
    for name in trees or ():
        if name != TREE:
            raise NotFoundError(f"no such tree; there is {TREE}", tree=name)
    if isinstance(source, np.ndarray) and source.dtype.names is not None:
        source = {name: source[name] for name in source.dtype.names}
    if isinstance(source, Mapping):
        fields = dict(source)
    elif isinstance(source, ak.Array) and ak.fields(source):
        fields = {name: source[name] for name in ak.fields(source)}
    else:
        raise UnsupportedTypeError(
            f"{type(source).__name__} has no named fields",
            hint="pass a dict of arrays, as in {'pt': array}",
        )
    named = {str(name): values for name, values in fields.items()}
    if len(named) != len(fields):
        raise UnsupportedTypeError("two arrays have the same name", hint="names must be text")
    lengths = {_length(name, values) for name, values in named.items()}
    if not lengths:
        raise UnsupportedTypeError("no arrays to compress", hint="give at least one array")
    if len(lengths) != 1:
        raise UnsupportedTypeError(
            f"the arrays differ in length: {', '.join(map(str, sorted(lengths)[:5]))}",
            hint="all arrays must have one item per entry",
        )
    entries = lengths.pop()
    tables, data = awkward_tables(named, entries)
    return MemorySource(ArraysTree(TREE, tables, data, entries))


def _length(name: str, values: Any) -> int:
    """Items of an array."""
    if isinstance(values, (np.ndarray, Sequence)) or hasattr(values, "layout"):
        try:
            if not isinstance(values, (str, bytes, bytearray, memoryview)):
                return len(values)
        except TypeError:  # of no dimension
            pass
    raise UnsupportedTypeError(
        f"expected an array, got {type(values).__name__}", branch=name,
        hint="one item, or list of items, per entry",
    )  # fmt: skip


def restore_file(
    blobs: Mapping[str, bytes],
    trees: Mapping[str, Sequence[tuple[int, int]]],
    read_cluster: ReadCluster,
    out_path: str | os.PathLike[str],
    options: RestoreOptions,
) -> None:
    """There is no file to write; see :mod:`vortex_hep.readers.kinds`."""
    raise UnsupportedFeatureError(
        "the archive was made from arrays in memory: there is no file to restore",
        path=os.fspath(out_path),
        hint=f"read it with vortex_hep.open(path)[{TREE!r}].arrays()",
    )


def content_of(name: str, blob: bytes) -> Any:
    """Return the blob."""
    return blob
