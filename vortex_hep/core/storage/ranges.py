"""Ranges of a file, read with few requests."""

from __future__ import annotations

from collections.abc import Sequence

from vortex_hep.core.storage.bytesource import ByteSource, Range
from vortex_hep.core.storage.source import open_binary

__all__ = ["COALESCE_GAP", "COALESCE_LIMIT", "ByteSource", "Range", "open_binary", "read_coalesced"]

#: Ranges nearer than this are fetched in one request, where each costs a round trip.
COALESCE_GAP = 1 << 16
#: A merged request grows no further than this, so that one read stays bounded in memory.
COALESCE_LIMIT = 1 << 26


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
    gap = 0 if getattr(source, "vectored", False) else COALESCE_GAP
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
    blobs = source.read_ranges([(start, stop - start) for start, stop in merged]) if merged else []
    views = []
    for (offset, size), m in zip(ranges, where, strict=True):
        begin = offset - merged[m][0]
        views.append(memoryview(blobs[m])[begin : begin + size])
    return views
