"""Groups of lanes: the parts of a table chunk that are coded independently."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

#: Lanes of a group: at least this many, and enough for this many symbols.
MIN_LANES_LOG2 = 9
_GROUP_SYMBOLS = 1 << 17
MAX_LANES_LOG2 = 20


@dataclass
class Groups:
    """Lanes of a chunk, cut into groups that are coded independently."""

    log2: int
    lanes: list[Array]
    active: list[Array]
    rows: list[int]


def cut_groups(offsets: Array, log2: int) -> Groups:
    """Cut lanes into groups of ``2**log2``, those with most rows first within each."""
    counts = np.diff(offsets)
    lanes, active, rows = [], [], []
    for start in range(0, len(counts), 1 << log2):
        c = counts[start : start + (1 << log2)]
        order = np.argsort(-c, kind="stable")
        lanes.append((order + start).astype(np.int64))
        sizes = np.bincount(c, minlength=1)
        # lanes with more than j rows, for every j below the longest list
        active.append((len(c) - np.cumsum(sizes))[: int(c.max(initial=0))].astype(np.int64))
        rows.append(int(c.sum()))
    return Groups(log2, lanes, active, rows)


def group_log2(lanes: int, symbols: int) -> int:
    """Choose the size of groups: small enough to run side by side, with little overhead each."""
    log2 = MIN_LANES_LOG2
    while log2 < MAX_LANES_LOG2 and (1 << log2) < lanes:
        if symbols * (1 << log2) / max(1, lanes) >= _GROUP_SYMBOLS:
            break
        log2 += 1
    return log2
