"""Comparing two sources bit for bit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import islice, zip_longest
from typing import Any

import numpy as np

from vortex_hep.core.schema import Array, Cluster, FileSource, TreeSource, VarBytes
from vortex_hep.errors import LayoutError
from vortex_hep.readers.holes import pieces
from vortex_hep.readers.kinds import kind_module

#: Raw bytes compared at a time.
_CLUSTER_BYTES = 1 << 25


class Difference(str):
    """A line that says what differs.

    Attributes
    ----------
    outside : bool
        Whether it is in no branch: in objects beside the trees, in titles, in the layout of a file.
    """

    outside: bool = False

    @classmethod
    def beside(cls, text: str) -> Difference:
        """One that is in no branch."""
        out = cls(text)
        out.outside = True
        return out


def compare_sources(a: FileSource, b: FileSource, *, limit: int = 100) -> list[Difference]:
    """Differences between two sources; an empty list says they are equal bit for bit.

    Compares trees, numbers of entries, tables, columns with their types and titles, and all data,
    a cluster at a time.

    Parameters
    ----------
    a, b : FileSource
    limit : int
        Number of differences after which to stop.
    """
    if not _laid_out_alike(a, b):
        # One may have been laid out by all of its data, the other by what was read at first.
        a.settle()
        b.settle()
    try:
        return list(islice(_differences(a, b), limit))
    except LayoutError:
        a.settle()
        b.settle()
        return list(islice(_differences(a, b), limit))


def _laid_out_alike(a: FileSource, b: FileSource) -> bool:
    first, second = ({name: t.tables for name, t in x.trees.items()} for x in (a, b))
    return first == second


def _differences(a: FileSource, b: FileSource) -> Iterator[Difference]:
    if a.kind != b.kind:
        yield Difference(f"a file of kind {a.kind!r} against one of kind {b.kind!r}")
        return
    for name in a.trees:
        if name not in b.trees:
            yield Difference(f"tree {name!r}: only in the first")
    for name in b.trees:
        if name not in a.trees:
            yield Difference(f"tree {name!r}: only in the second")
            continue
        for found in _trees(a.trees[name], b.trees[name]):
            line = Difference(f"tree {name!r}: {found}")
            line.outside = isinstance(found, Difference) and found.outside
            yield line
    # Last, because a remainder is complete only once all data were read.
    yield from map(Difference.beside, _others(a, b))


def _others(a: FileSource, b: FileSource) -> Iterator[str]:
    """Differences between what is not in trees."""
    if hasattr(a, "objects") and hasattr(b, "objects"):
        first, second = (_objects(source) for source in (a, b))
        for key in sorted(first.keys() | second.keys()):
            if first.get(key) != second.get(key):
                yield f"object {key[0]!r} ({key[1]}, cycle {key[2]}) differs"
        yield from _fixed(a, b)
        return
    describe = getattr(kind_module(a.kind), "describe", None)
    if describe is not None:
        # What the blobs mean together, for kinds in which no single one has a meaning.
        blobs = [dict(source.remainder()) for source in (a, b)]
        if blobs[0] == blobs[1]:
            return
        first, second = (describe(found) for found in blobs)
        for what in sorted(first.keys() | second.keys()):
            if first.get(what) != second.get(what):
                yield f"{what} differs"
    else:
        content_of = kind_module(a.kind).content_of
        for (name, first_bytes), (_, second_bytes) in zip_longest(
            a.remainder(), b.remainder(), fillvalue=("", b"")
        ):
            if content_of(name, first_bytes) != content_of(name, second_bytes):
                yield f"bytes of {name!r} differ"


def _fixed(a: Any, b: Any) -> Iterator[str]:
    """Differences between what both files have at the same place."""
    for piece in pieces(_common(a.fixed(), b.fixed())):
        for offset, size in piece:
            if a.bytes_at(offset, size) != b.bytes_at(offset, size):
                yield f"bytes {offset} to {offset + size} differ"


def _common(
    first: Sequence[tuple[int, int]], second: Sequence[tuple[int, int]]
) -> Iterator[tuple[int, int]]:
    """What ranges (offset, size) have in common, as (start, stop); both are in order."""
    i = k = 0
    while i < len(first) and k < len(second):
        stops = [offset + size for offset, size in (first[i], second[k])]
        start = max(first[i][0], second[k][0])
        if start < min(stops):
            yield start, min(stops)
        if stops[0] < stops[1]:
            i += 1
        else:
            k += 1


def _objects(source: Any) -> dict[tuple[str, str, int], bytes]:
    out = {(path, kind, cycle): data for path, kind, cycle, data in source.objects()}
    return out | {("", "bytes behind the end", 0): b"".join(source.tail())}


def _trees(a: TreeSource, b: TreeSource) -> Iterator[str]:
    if a.num_entries != b.num_entries:
        yield f"{a.num_entries} entries against {b.num_entries}"
        return
    first, second = ({table.name: table for table in tree.tables} for tree in (a, b))
    for name in sorted(first.keys() ^ second.keys()):
        yield f"table {name!r}: only in the {'first' if name in first else 'second'}"
    for name in first.keys() & second.keys():
        if first[name] != second[name]:
            yield from _tables(name, first[name].columns, second[name].columns)
            if first[name].counter != second[name].counter:
                yield f"table {name!r}: counted by {first[name].counter} and {second[name].counter}"
            if (first[name].parent, first[name].inner_counts) != (
                second[name].parent, second[name].inner_counts
            ):  # fmt: skip
                yield f"table {name!r}: within {first[name].parent} and {second[name].parent}"
    reported: set[str] = set()
    for start, stop in a.cluster_ranges(_CLUSTER_BYTES):
        for where, text in _clusters(a.read(start, stop), b.read(start, stop), start):
            if where not in reported:
                reported.add(where)
                yield f"{where}: {text}"


def _tables(name: str, a: tuple, b: tuple) -> Iterator[str]:  # type: ignore[type-arg]
    first, second = ({column.name: column for column in columns} for columns in (a, b))
    for column in sorted(first.keys() | second.keys()):
        one, other = first.get(column), second.get(column)
        if one == other:
            continue
        if one is not None and other is not None and replace(one, title=other.title) == other:
            text = f"column {column!r}: the title {one.title!r} against {other.title!r}"
            yield Difference.beside(text)
        else:
            yield f"table {name!r}: {one} against {other}"
    if list(first) != list(second):
        yield Difference.beside(f"table {name!r}: columns in another order")


def _clusters(a: Cluster, b: Cluster, start: int) -> Iterator[tuple[str, str]]:
    for name in a.keys() & b.keys():
        first, second = a[name], b[name]
        if not np.array_equal(first.offsets, second.offsets):
            lane = _first_difference(np.diff(first.offsets), np.diff(second.offsets))
            yield f"table {name!r}", f"numbers of rows differ from entry {start + lane} on"
            continue
        for column in first.columns.keys() & second.columns.keys():
            row = _column_difference(first.columns[column], second.columns[column])
            if row is not None:
                lane = int(np.searchsorted(first.offsets, row, "right")) - 1
                yield f"column {column!r}", f"differs from entry {start + lane} on"


def _column_difference(a: Array | VarBytes, b: Array | VarBytes) -> int | None:
    """First row that differs, or None."""
    if isinstance(a, VarBytes) or isinstance(b, VarBytes):
        if not isinstance(a, VarBytes) or not isinstance(b, VarBytes):
            return 0
        if not np.array_equal(a.offsets, b.offsets):
            return _first_difference(np.diff(a.offsets), np.diff(b.offsets))
        if np.array_equal(a.content, b.content):
            return None
        byte = _first_difference(a.content, b.content)
        return int(np.searchsorted(a.offsets, byte, "right")) - 1
    if a.dtype != b.dtype or a.shape != b.shape:
        return 0
    first, second = (np.ascontiguousarray(x).reshape(-1).view(np.uint8) for x in (a, b))
    if np.array_equal(first, second):
        return None
    return _first_difference(first, second) * len(a) // len(first)


def _first_difference(a: Array, b: Array) -> int:
    size = min(len(a), len(b))
    unequal = np.flatnonzero(a[:size] != b[:size])
    return int(unequal[0]) if len(unequal) else size
