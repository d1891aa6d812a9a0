"""Any file as records of a given length.

No file is taken so by what it looks like: whoever opens it says how long a record is.
"""

from __future__ import annotations

import operator
import os
import zlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from vortex_hep.core.schema import (
    Cluster,
    ColumnSpec,
    Member,
    TableData,
    TableSpec,
    TreeSource,
    Unread,
)
from vortex_hep.core.storage.atomic import atomic_output
from vortex_hep.core.storage.identity import Identity, identity_of, joined_identity
from vortex_hep.core.storage.ranges import ByteSource, open_binary
from vortex_hep.errors import CorruptionError, NotFoundError, UnsupportedTypeError
from vortex_hep.readers.kinds import ReadCluster, RestoreOptions

#: Name of the tree, under which models know it too, and of its column.
TREE, COLUMN = "bytes", "record"
#: Bytes of the longest record: its bytes are coded one by one, as columns are.
MAX_WIDTH = 1 << 12
#: Records of a cluster at most: where each begins takes eight bytes, more than a short one itself.
_MOST_RECORDS = 1 << 22
#: Blob of what is behind the last whole record.
_TAIL = "bytes/tail"


def check_width(width: int) -> int:
    """Return the bytes of a record as a plain integer.

    Raises
    ------
    UnsupportedTypeError
        It is no integer from 1 to :data:`MAX_WIDTH`.

    Examples
    --------
    >>> check_width(4)
    4
    """
    try:
        found = operator.index(width)
    except TypeError:
        found = 0
    if not 1 <= found <= MAX_WIDTH:
        raise UnsupportedTypeError(
            f"record must be a whole number from 1 to {MAX_WIDTH}, not {width!r}",
            hint="it is the length of a record in bytes",
        )
    return found


class RecordsTree:
    """The whole records of a file (a :class:`~vortex_hep.core.schema.TreeSource`): an entry each.

    Parameters
    ----------
    source : ByteSource
    width : int
        Bytes of a record.
    """

    def __init__(self, source: ByteSource, width: int) -> None:
        self.name = self.family = TREE
        self.members: tuple[Member, ...] = ()
        self.num_entries = source.size // width
        inner = (width,) if width > 1 else ()
        typename = f"uint8[{width}]" if inner else "uint8"
        self.tables = (TableSpec("", (ColumnSpec(COLUMN, "|u1", inner, typename),)),)
        self._source, self._width = source, width

    def cluster_ranges(self, target_bytes: int) -> list[tuple[int, int]]:
        """Entry ranges (start, stop) that cover the file, of ``target_bytes`` or less."""
        step = max(1, min(target_bytes // self._width, _MOST_RECORDS))
        return [
            (start, min(start + step, self.num_entries))
            for start in range(0, self.num_entries, step)
        ]

    def read(self, start: int, stop: int, columns: Sequence[str] | None = None) -> Cluster:
        """Records ``start`` to ``stop``, read from the file; nothing if none of ``columns`` is.

        Raises
        ------
        SourceError
            The file cannot be read.
        TruncatedError
            It has become shorter.
        """
        if columns is not None and COLUMN not in columns:
            return {}
        span = (start * self._width, (stop - start) * self._width)
        (spec,) = self.tables[0].columns
        records = np.frombuffer(self._source.read_ranges([span])[0], "|u1")
        shape = (stop - start, *spec.inner)
        offsets = np.arange(stop - start + 1, dtype=np.int64)
        return {"": TableData(offsets, {COLUMN: records.reshape(shape)})}


class RecordsSource:
    """A file as one tree of records, and what is behind the last whole one as its remainder.

    Parameters
    ----------
    source : ByteSource
        Closed by :meth:`close`.
    path : str
    width : int
        Bytes of a record.
    """

    kind = "bytes"

    def __init__(self, source: ByteSource, path: str, width: int) -> None:
        self.path = path
        self.trees: Mapping[str, TreeSource] = {TREE: RecordsTree(source, width)}
        self._source, self._width = source, width

    def settle(self) -> None:
        """Nothing to settle."""

    def remainder(self) -> Iterator[tuple[str, bytes]]:
        """The bytes behind the last whole record, if there are any."""
        size = self._source.size
        tail = size % self._width
        if tail:
            yield _TAIL, bytes(self._source.read_ranges([(size - tail, tail)])[0])

    def notes(self) -> list[str]:
        """Return how the file was taken."""
        records, tail = divmod(self._source.size, self._width)
        behind = f" and {tail} behind the last" if tail else ""
        return [f"taken as records, {records} of {self._width} bytes{behind}"]

    def unread(self) -> list[Unread]:
        """Nothing: all bytes are in the column."""
        return []

    def exact_forecast(self) -> str:
        """Say that the file comes back as it is."""
        return f"the file ({self._source.size / 1e6:.3g} MB) comes back byte for byte"

    def identity(self) -> Identity:
        """Size and checksum of the file."""
        return identity_of(self._source)

    def close(self) -> None:
        """Close the file."""
        self._source.close()

    def __enter__(self) -> RecordsSource:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def open_file(
    source: Any, *, trees: Sequence[str] | None, exact: bool = False, width: int = 1
) -> RecordsSource:
    """Open any file as records; see :mod:`vortex_hep.readers.kinds`.

    Parameters
    ----------
    source : str or path
        A path or an fsspec URL.
    trees : sequence of str or None
        ``["bytes"]``, which is the only one.
    exact : bool
        Of no effect: the file always comes back byte for byte.
    width : int
        Bytes of a record, 1 to :data:`MAX_WIDTH`.

    Raises
    ------
    UnsupportedTypeError
        There are no records of ``width`` bytes, or ``source`` is no path.
    NotFoundError
        One of ``trees`` is not there.
    SourceError
        The file cannot be opened.
    """
    width = check_width(width)
    if not isinstance(source, (str, os.PathLike)):
        raise UnsupportedTypeError(
            f"expected the path or URL of a file of records, got {type(source).__name__}",
            hint="what a library has open or in memory has columns of its own",
        )
    path = os.fspath(source)
    for name in trees or ():
        if name != TREE:
            raise NotFoundError(f"no such tree; there is {TREE!r}", path=path, tree=name)
    return RecordsSource(open_binary(source), path, width)


def width_of(trees: Mapping[str, TreeSource], path: str) -> int:
    """Bytes of a record, by the trees of an archive of this kind.

    Parameters
    ----------
    trees : mapping of str to TreeSource
    path : str
        Of the archive; for messages.

    Raises
    ------
    CorruptionError
        They are not those of a file of records.
    """
    if set(trees) == {TREE}:
        columns = [c for table in trees[TREE].tables for c in table.columns]
        if [(c.name, c.dtype) for c in columns] == [(COLUMN, "|u1")]:
            inner = columns[0].inner or (1,)
            if len(inner) == 1 and 1 <= inner[0] <= MAX_WIDTH:
                return inner[0]
    raise CorruptionError(
        f"expected the tree {TREE!r} with the column {COLUMN!r} of bytes", path=path
    )


def restore_file(
    blobs: Mapping[str, bytes],
    trees: Mapping[str, Sequence[tuple[int, int]]],
    read_cluster: ReadCluster,
    out_path: str | os.PathLike[str],
    options: RestoreOptions,
) -> None:
    """Write records and what was behind them; see :mod:`vortex_hep.readers.kinds`."""
    path = os.fspath(out_path)
    if set(trees) != {TREE} or not set(blobs) <= {_TAIL}:
        raise CorruptionError(
            f"expected the tree {TREE!r} and the blob {_TAIL!r}, got {sorted(trees)} and"
            f" {sorted(blobs)}",
            path=path,
        )
    with atomic_output(path, overwrite=options.overwrite) as out:
        parts = []
        for piece in _pieces(blobs, trees[TREE], read_cluster, path):
            out.write(piece)
            parts.append((len(piece), zlib.adler32(piece)))
        if options.exact and options.identity is not None:
            options.identity.check(joined_identity(parts), path)


def _pieces(
    blobs: Mapping[str, bytes],
    ranges: Sequence[tuple[int, int]],
    read_cluster: ReadCluster,
    path: str,
) -> Iterator[bytes]:
    """Bytes of the file, cluster by cluster."""
    for start, stop in ranges:
        tables = read_cluster(TREE, start, stop)
        column = tables[""].columns.get(COLUMN) if set(tables) == {""} else None
        if not isinstance(column, np.ndarray) or column.dtype != np.uint8:
            raise CorruptionError(f"expected the column {COLUMN!r} of bytes", path=path, tree=TREE)
        yield column.tobytes()
    if _TAIL in blobs:
        yield blobs[_TAIL]


def content_of(name: str, blob: bytes) -> Any:
    """Return the blob: nothing of it is a matter of layout."""
    return blob
