"""Predictors along the rows of a chunk, from the rows before (SPEC 6.8)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from vortex_hep.core.compiled import kernel

Array = npt.NDArray[Any]


def take_key(keys: Sequence[Array]) -> Array:
    """Find the latest earlier row with the same key, or -1 (int64, shape (rows,)).

    Parameters
    ----------
    keys : sequence of arrays, shape (rows,)
        Compared by their bits.
    """
    rows = len(keys[0])
    number = np.zeros(rows, np.int64)
    for key in keys:
        bits = np.ascontiguousarray(key).view(f"u{key.dtype.itemsize}")
        _, place = np.unique(bits, return_inverse=True)
        _, number = np.unique(number * (int(place.max(initial=0)) + 1) + place, return_inverse=True)
    out: Array = _latest(number.reshape(-1), int(number.max(initial=0)) + 1)
    return out


@kernel
def _latest(number, count):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    last = np.full(count, -1, np.int64)
    out = np.empty(len(number), np.int64)
    for i in range(len(number)):
        out[i] = last[number[i]]
        last[number[i]] = i
    return out
