"""Folded lists: lists of equal length as one row per lane with a fixed inner shape.

The weights of a parton density set come 103 to an event: as rows of one column each knows only
its neighbour, as 103 components of one row each knows all before it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from vortex_hep.core.schema import VARBYTES, Array, ColumnSpec, TableData, VarBytes

#: Longest list that is folded.
MAX_FOLD = 128


def common_length(offsets: Array) -> int:
    """Return the length that all lists have, or 0 where they differ or are not to be folded."""
    return common_length_of(np.diff(offsets))


def common_length_of(counts: Array | None) -> int:
    """Return the value that all counts have, or 0 where they differ or are not known."""
    if counts is None or len(counts) == 0:
        return 0
    if counts.min() != counts.max() or not 2 <= counts[0] <= MAX_FOLD:
        return 0
    return int(counts[0])


def fold_specs(specs: Sequence[ColumnSpec], length: int) -> tuple[ColumnSpec, ...]:
    """Specs of the folded columns."""
    return tuple(replace(s, inner=(length, *s.inner)) for s in specs)


def foldable(specs: Sequence[ColumnSpec]) -> bool:
    """Whether all columns are of fixed width."""
    return all(s.dtype != VARBYTES for s in specs)


def fold(data: TableData, length: int) -> TableData:
    """View lists of ``length`` rows as one row per lane."""
    lanes = len(data.offsets) - 1
    columns: dict[str, Array | VarBytes] = {}
    for name, c in data.columns.items():
        columns[name] = np.reshape(c, (lanes, length, *np.shape(c)[1:]))  # type: ignore[arg-type]
    return TableData(np.arange(lanes + 1, dtype=np.int64), columns)


def unfold(data: TableData, length: int) -> TableData:
    """Invert :func:`fold`."""
    lanes = len(data.offsets) - 1
    columns: dict[str, Array | VarBytes] = {}
    for name, c in data.columns.items():
        columns[name] = np.reshape(c, (lanes * length, *np.shape(c)[2:]))  # type: ignore[arg-type]
    return TableData(np.arange(lanes + 1, dtype=np.int64) * length, columns)
