"""The integer arithmetic of transformers (docs/SPEC.md, "Sequence models"), in NumPy.

Everything is defined on integers of 64 bits; ``>>`` and ``//`` round down. Engines may compute
it in any way that gives the same integers.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from vortex_hep.nn.arithmetic import exp2_weight, shares

Array = npt.NDArray[Any]

#: Activations are clipped to -LIMIT..LIMIT.
LIMIT = 127
#: 1.0 in the residual stream, and what it is clipped to.
ONE = 1 << 12
RESIDUAL_LIMIT = 1 << 23
#: Multipliers of sums have so many fractional bits.
SHIFT = 20
#: Those of embeddings.
EMBED_SHIFT = 8
#: Fractional bits of a normalisation's factor.
NORM_SHIFT = 24
#: Attention weights have 12 bits, their quotients 38 fractional bits, and what is mixed 4.
WEIGHT_SHIFT = 3
QUOTIENT_SHIFT = 30
ATTENTION_SHIFT = 38
MIX_SHIFT = 12
#: A gate is a number of 1/256 below 16 in size; SiLU has 10 fractional bits.
GATE_ONE = 256
GATE_LIMIT = 4095
SILU_ONE = 1024
UP_LIMIT = 2047
#: Sines: 1024 to the circle, of size 127.
SINES = 1024
#: Logits are clipped to this many 1/1024 bits.
LOGIT_LIMIT = 1 << 20
#: Longest sum of products of two 8-bit numbers that a float32 holds exactly.
EXACT_TERMS = 1024


@cache
def sine_table() -> Array:
    """Integers nearest ``127 * sin(2 pi k / 1024)`` (int64, shape (1024,)).

    Examples
    --------
    >>> sine_table()[[0, 1, 256, 768]].tolist()
    [0, 1, 127, -127]
    """
    table: Array = np.rint(127 * np.sin(2 * np.pi * np.arange(SINES) / SINES)).astype(np.int64)
    table.setflags(write=False)
    return table


@cache
def silu_table() -> Array:
    """Integers nearest ``1024 * x / (1 + exp(-x))``, x = (k - 4095) / 256 (int64, shape (8191,)).

    Examples
    --------
    >>> silu_table()[[0, 4095, 4095 + 256, 8190]].tolist()
    [0, 0, 749, 16380]
    """
    x = np.arange(-GATE_LIMIT, GATE_LIMIT + 1) / GATE_ONE
    table: Array = np.rint(SILU_ONE * x / (1 + np.exp(-x))).astype(np.int64)
    table.setflags(write=False)
    return table


def scaled(sums: Array, factor: Array | int, bias: Array | int = 0) -> Array:
    """``(sums * factor + bias + 2**19) >> 20``: a sum in the units of what follows."""
    whole: Array = sums * factor + bias + (1 << (SHIFT - 1))
    out: Array = whole >> SHIFT
    return out


def clipped(x: Array, limit: int = LIMIT) -> Array:
    """Clip to ``-limit..limit``."""
    out: Array = np.clip(x, -limit, limit)
    return out


def root(n: Array) -> Array:
    """Largest integers whose squares do not exceed ``n`` (int64, below 2**62).

    Examples
    --------
    >>> root(np.array([0, 1, 15, 16, (1 << 60) - 1])).tolist()
    [0, 1, 3, 4, 1073741823]
    """
    r = np.sqrt(n.astype(np.float64)).astype(np.int64)
    r -= r * r > n
    r += (r + 1) * (r + 1) <= n
    return r


def normalised(x: Array, unit: int) -> Array:
    """Divide rows by their root mean square, which becomes ``unit``; clip.

    Parameters
    ----------
    x : int64 array, shape (..., d)
        Not above 2**23 in size.
    unit : int

    Returns
    -------
    int64 array, shape (..., d)
    """
    mean = (x * x).sum(axis=-1, keepdims=True) // x.shape[-1]
    factor = (unit << NORM_SHIFT) // np.maximum(root(mean), 1)
    return clipped((x * factor + (1 << (NORM_SHIFT - 1))) >> NORM_SHIFT)


def centred(x: Array) -> Array:
    """Subtract from rows their mean, rounded down."""
    out: Array = x - x.sum(axis=-1, keepdims=True) // x.shape[-1]
    return out


def attention(logits: Array, values: Array, visible: Array | None, factor: int) -> Array:
    """Mean of values under attention weights, in 1/16 of an activation's unit.

    Parameters
    ----------
    logits : int64 array, shape (queries, keys)
        In 1/1024 of a bit.
    values : int64 array, shape (keys, width)
    visible : bool array, shape (queries, keys), or None
        Keys that a query may see; at least one.
    factor : int
        Units of the values in units of the result, with 8 fractional bits.
    """
    hidden = np.zeros(logits.shape, np.bool_) if visible is None else ~visible
    top = np.where(hidden, np.int64(-(1 << 62)), logits).max(axis=1, keepdims=True)
    distance = np.where(hidden, 0, top - logits)
    weight = np.where(hidden, 0, exp2_weight(distance) >> WEIGHT_SHIFT)
    quotient = (factor << QUOTIENT_SHIFT) // weight.sum(axis=1, keepdims=True)
    out: Array = ((weight @ values) * quotient + (1 << (ATTENTION_SHIFT - 1))) >> ATTENTION_SHIFT
    return out


def mixed(local: Array, memory: Array | None, gate: Array) -> Array:
    """Mix what :func:`attention` gave of window and memory; gate in 1/256."""
    if memory is None:
        return clipped((local + 8) >> 4)
    both = gate * memory + (256 - gate) * local
    return clipped((both + (1 << (MIX_SHIFT - 1))) >> MIX_SHIFT)


def high_frequencies(logits: Array) -> Array:
    """Frequencies of the high nibbles of bytes with these logits (int64, shape (rows, 256))."""
    weight = exp2_weight(logits.max(axis=1, keepdims=True) - logits)
    return shares(weight.reshape(-1, 16, 16).sum(axis=2))


def low_frequencies(logits: Array, high: Array) -> Array:
    """Frequencies of the low nibbles, given the high ones (int64, shape (rows,))."""
    group = logits.reshape(-1, 16, 16)[np.arange(len(logits)), high]
    return shares(exp2_weight(group.max(axis=1, keepdims=True) - group))
