"""Quick estimates of the information in columns."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from vortex_hep.codec.tokens import transforms as tf

Array = npt.NDArray[Any]


def trailing_zeros(column: Array) -> int:
    """Low bits of the magnitude that are zero in every value of a float column."""
    bits = tf.bits_of(column)
    union = int(np.bitwise_or.reduce(bits, axis=None)) if bits.size else 0
    union &= (1 << (8 * column.dtype.itemsize - 1)) - 1
    return (union & -union).bit_length() - 1 if union else 0


#: A value in more than this share of rows is told as such.
_OFTEN = 0.005


def cost_estimate(integers: Array) -> float:
    """Bits per value of integers told by their length and leading bits: a quick yardstick.

    Values that are frequent, such as sentinels, have no low bits to tell.
    """
    if len(integers) == 0:
        return 0.0
    length = np.zeros(len(integers), np.int64)
    rest = integers.copy()
    for step in (32, 16, 8, 4, 2, 1):
        big = rest >= np.uint64(1) << np.uint64(step)
        length[big] += step
        rest[big] >>= np.uint64(step)
    below = np.maximum(length - 3, 0)
    key = length * 16 + (integers >> below.astype(np.uint64)).astype(np.int64)
    _, place, repeats = np.unique(integers, return_inverse=True, return_counts=True)
    place = place.reshape(-1)
    often = repeats[place] > max(2, _OFTEN * len(integers))
    key[often] = -1 - place[often]
    below[often] = 0
    _, counts = np.unique(key, return_counts=True)
    share = counts / len(integers)
    return float(-(share * np.log2(share)).sum() + below.mean())
