"""The integer arithmetic that every engine shares: activation range, shifts, and softmax.

``exp2_weight`` and the frequency rule are normative (docs/SPEC.md, "Frequencies").
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

#: Activations are clipped to 0..ACTIVATION_MAX.
ACTIVATION_MAX = 127
#: The trunk's sums are divided by 2**TRUNK_SHIFT, rounding half up.
TRUNK_SHIFT = 6
#: Frequency mass shared out by the network; one unit of the total stays with each symbol.
SHARED = (1 << 16) - 16


def exp2_weight(distance: Array) -> Array:
    """Return about ``2**15 * 2**(-distance / 1024)`` for int64 ``distance`` >= 0, exactly defined.

    Examples
    --------
    >>> exp2_weight(np.array([0, 1024, 2048])).tolist()
    [32768, 16384, 8192]
    """
    shift = np.minimum(distance >> 10, 31)
    r = distance & 1023
    weight: Array = (32768 - (((22007 - ((5623 * r) >> 10)) * r) >> 10)) >> shift
    return weight


def shares(weights: Array) -> Array:
    """Turn 16 weights into frequencies that sum to 65536, each at least 1.

    Parameters
    ----------
    weights : int64 array, shape (rows, 16)
        Not negative, below 2**20, not all zero. The first of the largest gets what rounding
        leaves.
    """
    scale = (SHARED << 15) // weights.sum(axis=1, keepdims=True)
    freq: Array = 1 + ((weights * scale) >> 15)
    best = weights.argmax(axis=1)
    freq[np.arange(len(freq)), best] += 65536 - freq.sum(axis=1)
    return freq


def frequencies(logits: Array) -> Array:
    """Turn integer logits (1/1024 of a bit) into frequencies that sum to 65536.

    Parameters
    ----------
    logits : int64 array, shape (rows, 16)

    Returns
    -------
    int64 array, shape (rows, 16), all at least 1
    """
    # Only a distance of 0 has the largest weight: the first of the highest logits takes the rest.
    return shares(exp2_weight(logits.max(axis=1, keepdims=True) - logits))
