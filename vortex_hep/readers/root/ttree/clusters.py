"""Entry ranges for reading a tree, along common boundaries of its baskets where possible."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from vortex_hep.core.schema import MOST_ROWS
from vortex_hep.readers.root.ttree import layout
from vortex_hep.readers.root.ttree.layout import BranchPlan
from vortex_hep.readers.root.ttree.streamed import StreamedBranch

#: A boundary counts as common where baskets holding this fraction of the data share it.
_COMMON = 0.5


def cluster_ranges(
    plans: Sequence[BranchPlan],
    branches: Sequence[StreamedBranch],
    entries: int,
    target_bytes: int,
) -> list[tuple[int, int]]:
    """Entry ranges that cover the tree, each near ``target_bytes`` of uncompressed data."""
    if entries == 0:
        return []
    weights: dict[int, int] = {}
    total = rows = 0
    for plan, branch in zip(plans, branches, strict=True):
        if not plan.has_columns:
            continue
        size = branch_bytes(plan, branch)
        total += size
        rows = max(rows, size // max(plan.stride, 1) if plan.is_counted else entries)
        for ref in plan.baskets:
            weights[ref.start] = weights.get(ref.start, 0) + size
    common = sorted(
        start for start, weight in weights.items() if weight >= _COMMON * total and start > 0
    )
    return near_target(common, entries, (total, rows), target_bytes)


def near_target(
    common: Sequence[int], entries: int, size: tuple[int, int], target_bytes: int
) -> list[tuple[int, int]]:
    """Ranges near ``target_bytes`` that keep to the ``common`` boundaries where they can.

    Parameters
    ----------
    common : sequence of int
        Entries at which many columns have a boundary.
    entries : int
    size : (bytes, rows)
        Of all entries: their bytes, and the rows of the table that has most.
    target_bytes : int
    """
    if entries == 0:
        return []
    total, rows = size
    step = round(target_bytes * entries / max(total, 1))
    step = max(1, min(step, MOST_ROWS * entries // max(rows, entries)))
    bounds = [0]
    for stop in [*(start for start in common if start < entries), entries]:
        bounds += _split(bounds[-1], stop, step)
    merged = [0]
    for low, high in zip(bounds[1:], [*bounds[2:], None], strict=True):
        # Take in clusters as long as the next one would not go beyond the target.
        if high is None or high - merged[-1] > step * 1.25:
            merged.append(low)
    return list(pairwise(merged))


def _split(start: int, stop: int, step: int) -> list[int]:
    pieces = max(1, round((stop - start) / step))
    return [start + (stop - start) * (i + 1) // pieces for i in range(pieces)]


def branch_bytes(plan: BranchPlan, branch: StreamedBranch) -> int:
    """Uncompressed bytes of a branch, nearly."""
    if plan.kind == layout.FIXED:
        return (plan.stop - plan.first) * plan.stride
    return max(layout.data_bytes(plan, branch), 0)
