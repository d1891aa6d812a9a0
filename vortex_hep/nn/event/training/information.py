"""Estimates of mutual information between quantities, from a sample."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from vortex_hep.codec.tokens.fields import BUCKETS

Array = npt.NDArray[Any]

#: Rows that are looked at.
_SAMPLE = 1 << 15


def _sum_of_logs(counts: Array) -> float:
    c = counts[counts > 0].astype(np.float64)
    return float((c * np.log2(c)).sum())


def mutual_information(a: Array, b: Array) -> float:
    """Bits per row that the buckets ``a`` tell of the buckets ``b``.

    Parameters
    ----------
    a, b : uint8 arrays, shape (rows,)
        Below :data:`~vortex_hep.codec.tokens.fields.BUCKETS`.

    Returns
    -------
    float
        The plug-in estimate less its bias for independent quantities (Miller, Madow 1955).
    """
    step = max(1, len(a) // _SAMPLE)
    a, b = a[::step].astype(np.int64), b[::step].astype(np.int64)
    n = len(a)
    if n == 0:
        return 0.0
    joint = np.bincount(a * BUCKETS + b, minlength=BUCKETS * BUCKETS)
    table = joint.reshape(BUCKETS, BUCKETS)
    rows, columns = table.sum(axis=1), table.sum(axis=0)
    plain = np.log2(n) + (_sum_of_logs(joint) - _sum_of_logs(rows) - _sum_of_logs(columns)) / n
    cells = (np.count_nonzero(rows) - 1) * (np.count_nonzero(columns) - 1)
    return max(0.0, float(plain - cells / (2 * n * np.log(2))))
