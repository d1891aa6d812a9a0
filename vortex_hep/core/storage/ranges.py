"""Files opened for reading by range, and ranges read with few requests."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import BinaryIO, TypeAlias

from vortex_hep.core.storage.backend import backend_of
from vortex_hep.core.storage.bytesource import ByteSource, FileObjectSource, Range, is_vectored
from vortex_hep.core.storage.local import PathSource
from vortex_hep.core.storage.paths import is_url
from vortex_hep.errors import UnsupportedTypeError

__all__ = [
    "COALESCE_GAP", "COALESCE_LIMIT", "ByteSource", "Range", "coalesced", "open_binary",
    "read_coalesced",
]  # fmt: skip

#: Ranges nearer than this are fetched in one request, where each costs a round trip.
COALESCE_GAP = 1 << 16
#: A merged request grows no further than this, so that one read stays bounded in memory.
COALESCE_LIMIT = 1 << 25

#: Gives the bytes of each range.
Fetch: TypeAlias = Callable[[list[Range]], Sequence[bytes | memoryview]]


def open_binary(source: str | os.PathLike[str] | BinaryIO) -> ByteSource:
    """Open a local path, a URL or a seekable binary file for ranged reads.

    Parameters
    ----------
    source : str, path or binary file object
        A string with ``://`` is a URL: ``root://`` is read with the XRootD client, all else with
        fsspec. A file object stays the caller's to close.

    Returns
    -------
    ByteSource
        Its ranges can be asked for by several threads at once.

    Raises
    ------
    MissingError, DeniedError, NetworkError, SourceError
        The source does not exist or cannot be opened.
    UnsupportedFeatureError
        What reads such a URL is not installed.
    """
    if isinstance(source, (str, os.PathLike)):
        name = os.fspath(source)
        return backend_of(name).source(name) if is_url(name) else PathSource(name)
    if hasattr(source, "read") and hasattr(source, "seek"):
        return FileObjectSource(source)
    msg = f"expected a path, a URL or a binary file, got {type(source).__name__}"
    raise UnsupportedTypeError(msg)


def read_coalesced(source: ByteSource, ranges: Sequence[Range]) -> list[memoryview]:
    """Read ranges in the order given, fetching neighbours in one request.

    Parameters
    ----------
    source : ByteSource
    ranges : sequence of (offset, size)
        In any order; may repeat.

    Returns
    -------
    list of memoryview
    """
    return coalesced(source.read_ranges, ranges, vectored=is_vectored(source))


def coalesced(fetch: Fetch, ranges: Sequence[Range], *, vectored: bool = False) -> list[memoryview]:
    """Read ranges as :func:`read_coalesced` does, from what is no :class:`ByteSource`.

    Parameters
    ----------
    fetch : callable
        Called once, with ranges in increasing order, if there are any.
    ranges : sequence of (offset, size)
    vectored : bool
        Whether several ranges go out in one request: then only those are merged that touch.

    Returns
    -------
    list of memoryview
    """
    gap = 0 if vectored else COALESCE_GAP
    order = sorted(range(len(ranges)), key=lambda i: ranges[i])
    merged: list[list[int]] = []
    where = [0] * len(ranges)
    for i in order:
        start, stop = ranges[i][0], ranges[i][0] + ranges[i][1]
        if (
            merged
            and start - merged[-1][1] <= gap
            and max(stop, merged[-1][1]) - merged[-1][0] <= COALESCE_LIMIT
        ):
            merged[-1][1] = max(merged[-1][1], stop)
        else:
            merged.append([start, stop])
        where[i] = len(merged) - 1
    blobs = fetch([(start, stop - start) for start, stop in merged]) if merged else []
    views = []
    for (offset, size), m in zip(ranges, where, strict=True):
        begin = offset - merged[m][0]
        views.append(memoryview(blobs[m])[begin : begin + size])
    return views
