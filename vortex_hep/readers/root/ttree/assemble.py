"""Rows of a range of entries, assembled from baskets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from vortex_hep.core.schema import Array, VarBytes
from vortex_hep.readers.root.ttree import layout
from vortex_hep.readers.root.ttree.decode import BasketData
from vortex_hep.readers.root.ttree.layout import BranchPlan
from vortex_hep.readers.root.ttree.tables import covers


@dataclass
class Assembled:
    """Columns of one branch, which may share memory with its baskets.

    ``counts`` holds the rows of each entry by table; it lacks tables with one row per entry.
    """

    columns: dict[str, Array | VarBytes] = field(default_factory=dict)
    counts: dict[str, Array] = field(default_factory=dict)


def assemble(
    plan: BranchPlan, pieces: Sequence[BasketData], start: int, stop: int, entries: int
) -> Assembled:
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
    """
    if plan.kind == layout.RECORDS:
        return _assemble_records(plan, pieces, start, stop)
    out = Assembled()
    counts: list[Array] = []
    columns: list[list[Array]] = [
        [] for _ in range(1 if plan.kind == layout.BYTES else len(plan.parts))
    ]
    lengths: list[Array] = []
    for piece in pieces:
        low, high = _within(piece, start, stop)
        rows = slice(low, high)
        if piece.row_offsets is not None:
            rows = slice(int(piece.row_offsets[low]), int(piece.row_offsets[high]))
            if plan.kind == layout.BYTES:
                lengths.append(np.diff(piece.row_offsets[low : high + 1]))
            elif piece.counts is not None:
                counts.append(piece.counts[low:high])
        for column, array in zip(columns, piece.arrays, strict=True):
            column.append(np.asarray(array)[rows])
    if plan.kind == layout.BYTES:
        content = _joined(columns[0], np.uint8, ())
        out.columns[plan.name] = VarBytes(_running(lengths), content)
    else:
        for column, part in zip(columns, plan.parts, strict=True):
            out.columns[part.name] = _joined(column, part.dtype, part.inner)
    if plan.kind in (layout.COUNTED, layout.OWN):
        inside = _joined(counts, np.int64, ())
    elif covers(plan, entries):
        return out
    else:
        inside = np.ones(max(0, min(stop, plan.stop) - max(start, plan.first)), np.int64)
    if len(inside) != stop - start:
        whole = np.zeros(stop - start, np.int64)
        low = min(max(0, plan.first - start), stop - start)
        whole[low : low + len(inside)] = inside
        inside = whole
    out.counts[plan.table] = inside
    return out


def _within(piece: BasketData, start: int, stop: int) -> tuple[int, int]:
    first = piece.ref.start
    return max(start, first) - first, min(stop, piece.ref.stop) - first


def _assemble_records(
    plan: BranchPlan, pieces: Sequence[BasketData], start: int, stop: int
) -> Assembled:
    out = Assembled()
    counts: list[list[Array]] = [[] for _ in plan.tables]
    columns: list[list[Array]] = [[] for _ in plan.parts]
    lengths: list[list[Array]] = [[] for _ in plan.parts]
    outputs = plan.program.outputs if plan.program is not None else []
    for piece in pieces:
        low, high = _within(piece, start, stop)
        if piece.levels is None:  # pragma: no cover - records have levels
            continue
        for level, parts in enumerate(counts):
            parts.append(np.diff(piece.levels[level, low : high + 1]))
        for number, (part, array) in enumerate(zip(plan.parts, piece.arrays, strict=True)):
            bounds = piece.levels[outputs[part.output].level]
            rows = slice(int(bounds[low]), int(bounds[high]))
            if isinstance(array, VarBytes):
                at = array.offsets[rows.start : rows.stop + 1]
                lengths[number].append(np.diff(at))
                columns[number].append(array.content[int(at[0]) : int(at[-1])])
            else:
                columns[number].append(array[rows])
    for number, part in enumerate(plan.parts):
        if part.dtype == "bytes":
            content = _joined(columns[number], np.uint8, ())
            out.columns[part.name] = VarBytes(_running(lengths[number]), content)
        else:
            out.columns[part.name] = _joined(columns[number], part.dtype, part.inner)
    for level, name in enumerate(plan.tables[1:], 1):
        out.counts[name] = _joined(counts[level], np.int64, ())
    return out


def single(assembled: Assembled) -> Array:
    """The only column of a branch of plain numbers."""
    (column,) = assembled.columns.values()
    return np.asarray(column)


def _joined(parts: list[Array], dtype: Any, inner: tuple[int, ...]) -> Array:
    if len(parts) == 1:
        return parts[0]
    return np.concatenate(parts) if parts else np.empty((0, *inner), dtype)


def _running(lengths: list[Array]) -> Array:
    out = np.zeros(sum(map(len, lengths)) + 1, np.int64)
    np.cumsum(_joined(lengths, np.int64, ()), out=out[1:])
    return out
