"""Rows of a range of entries, from the baskets that hold them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from vortex_hep.readers.root import layout
from vortex_hep.readers.root.decode import BasketData
from vortex_hep.readers.root.layout import BranchPlan
from vortex_hep.readers.root.tables import covers
from vortex_hep.schema import Array, VarBytes


def assemble(
    plan: BranchPlan, pieces: Sequence[BasketData], start: int, stop: int, entries: int
) -> tuple[Array | None, list[Array | VarBytes]]:
    """Put the pieces of one branch together.

    Parameters
    ----------
    plan : BranchPlan
    pieces : sequence of BasketData
        Baskets that overlap the range, in order.
    start, stop : int
        Range of entries.
    entries : int
        Entries of the tree.

    Returns
    -------
    counts : int64 array or None
        Rows of each entry; None where each has one.
    columns : list of array or VarBytes
        One for each part. They may share memory with the pieces.
    """
    counts: list[Array] = []
    columns: list[list[Array]] = [
        [] for _ in range(1 if plan.kind == layout.BYTES else len(plan.parts))
    ]
    lengths: list[Array] = []
    for piece in pieces:
        low = max(start, piece.ref.start) - piece.ref.start
        high = min(stop, piece.ref.stop) - piece.ref.start
        rows = slice(low, high)
        if piece.row_offsets is not None:
            rows = slice(int(piece.row_offsets[low]), int(piece.row_offsets[high]))
            if plan.kind == layout.BYTES:
                lengths.append(np.diff(piece.row_offsets[low : high + 1]))
            elif piece.counts is not None:
                counts.append(piece.counts[low:high])
        for column, array in zip(columns, piece.arrays, strict=True):
            column.append(array[rows])
    if plan.kind == layout.BYTES:
        offsets = _running(lengths)
        out: list[Array | VarBytes] = [VarBytes(offsets, _joined(columns[0], np.uint8, ()))]
    else:
        out = [
            _joined(column, part.dtype, part.inner)
            for column, part in zip(columns, plan.parts, strict=True)
        ]
    if plan.kind in (layout.COUNTED, layout.OWN):
        inside = _joined(counts, np.int64, ())
    elif covers(plan, entries):
        return None, out
    else:
        inside = np.ones(max(0, min(stop, plan.stop) - max(start, plan.first)), np.int64)
    if len(inside) == stop - start:
        return inside, out
    whole = np.zeros(stop - start, np.int64)
    low = min(max(0, plan.first - start), stop - start)
    whole[low : low + len(inside)] = inside
    return whole, out


def _joined(parts: list[Array], dtype: Any, inner: tuple[int, ...]) -> Array:
    if len(parts) == 1:
        return parts[0]
    return np.concatenate(parts) if parts else np.empty((0, *inner), dtype)


def _running(lengths: list[Array]) -> Array:
    out = np.zeros(sum(map(len, lengths)) + 1, np.int64)
    np.cumsum(_joined(lengths, np.int64, ()), out=out[1:])
    return out
