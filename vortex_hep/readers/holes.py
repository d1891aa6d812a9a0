"""Kept bytes of files with holes, and the blobs they are stored in."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from vortex_hep.core.schema import Array

#: Bytes of one blob of kept bytes.
PIECE = 1 << 24


def kept_ranges(holes: Array, size: int) -> list[tuple[int, int]]:
    """Ranges of a file, as (start, stop), between its holes.

    Parameters
    ----------
    holes : structured array
        With fields ``offset`` and ``size``, by offset.
    size : int
        Bytes of the file.
    """
    starts = np.concatenate([[0], holes["offset"] + holes["size"]])
    stops = np.concatenate([holes["offset"], [size]])
    return [(a, b) for a, b in zip(starts.tolist(), stops.tolist(), strict=True) if b > a]


def pieces(ranges: Iterable[tuple[int, int]]) -> Iterator[list[tuple[int, int]]]:
    """Cut ranges into lists of (offset, size) of :data:`PIECE` bytes each, but the last."""
    piece: list[tuple[int, int]] = []
    room = PIECE
    for low, stop in ranges:
        start = low
        while start < stop:
            size = min(room, stop - start)
            piece.append((start, size))
            start, room = start + size, room - size
            if not room:
                yield piece
                piece, room = [], PIECE
    if piece:
        yield piece
