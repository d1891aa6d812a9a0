"""Predictors along the links between rows of a list, as in decay chains (SPEC 6.8).

A *parent* is the position of an earlier row in the same list. Rows of one parent are *siblings*.
"""

# mypy: disable-error-code="no-untyped-def, misc"
# ruff: noqa: ANN001, ANN202
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from vortex_hep.core.compiled import kernel

Array = npt.NDArray[Any]


def list_starts(entry: Array) -> Array:
    """First row of the list of every row (int64, shape (rows,)).

    Parameters
    ----------
    entry : int64 array, shape (rows,)
        Entry of each row, never decreasing.
    """
    begins = np.flatnonzero(np.diff(entry, prepend=-1) != 0)
    out: Array = np.repeat(begins, np.diff(begins, append=len(entry)))
    return out


def places(column: Array, there: Array) -> Array:
    """Positions in a list as int64; -1 where a column has none."""
    if column.dtype.kind not in "iu":
        return np.full(len(column), -1, np.int64)
    near = column < np.uint64(1 << 62) if column.dtype == np.uint64 else True
    out: Array = np.where(there & near, column, -1).astype(np.int64)
    return out


@kernel
def _parent_row(place, i, first):
    """Row of a parent, or -1: it comes earlier in the list."""
    return first + place if 0 <= place < i - first else -1


@kernel
def _put(ordered, shift, bits, i):
    """Put a float into ``bits`` by its ordered integer."""
    sign = np.uint64(1) << np.uint64(8 * bits.itemsize - 1)
    half = sign >> np.uint64(shift)
    if ordered >= half:
        bits[i] = (ordered - half) << np.uint64(shift)
    else:
        bits[i] = sign | ((half - np.uint64(1) - ordered) << np.uint64(shift))


@kernel
def _ordered(value, shift, bits, reals):
    """Ordered integer of a number, rounded to the type of ``reals``; both hold one item."""
    one = np.uint64(1)
    sign = one << np.uint64(8 * bits.itemsize - 1)
    half = sign >> np.uint64(shift)
    reals[0] = value
    u = np.uint64(bits[0])
    m = u & (sign - one)
    if shift:
        m = min(m + (one << np.uint64(shift - 1)), sign - one) >> np.uint64(shift)
    return half - one - m if u & sign else half + m


@kernel
def _fold(ordered, expected):
    d = ordered - expected
    return (d << np.uint64(1)) ^ (np.uint64(0) - (d >> np.uint64(63)))


@kernel
def _unfold(folded, expected):
    return ((folded >> np.uint64(1)) ^ (np.uint64(0) - (folded & np.uint64(1)))) + expected


@kernel
def _members(parent, partner, first):
    """Last row of every parent, or -1 where not all that it sums up comes before that."""
    n = len(parent)
    last = np.full(n, -1, np.int64)
    for i in range(n):
        p = _parent_row(parent[i], i, first[i])
        if p >= 0:
            last[p] = i
    late = np.zeros(n, np.bool_)
    for i in range(n):
        leader = first[i] + partner[i]
        if 0 <= partner[i] < n - first[i] and first[leader] == first[i] and last[leader] <= i:
            late[leader] = True
    for i in range(n):
        if late[i]:
            last[i] = -1
    return last


@kernel
def _balance(integers, ok, known, back, parent, partner, first, shift, bits, reals, one, real):
    n = len(integers)
    out = np.empty(n, np.uint64)
    total = np.zeros(n, np.float64)
    last = _members(parent, partner, first)
    for i in range(n):
        p = _parent_row(parent[i], i, first[i])
        expected = np.uint64(0)
        if p >= 0 and last[p] == i and np.isfinite(total[p]):
            expected = _ordered(total[p], shift, one, real)
        if back:
            out[i] = _unfold(integers[i], expected) if ok[i] else known[i]
            _put(out[i], shift, bits, i)
        else:
            out[i] = _fold(integers[i], expected)
            _put(integers[i], shift, bits, i)
        x = np.float64(reals[i])
        total[i] += x
        leader = first[i] + partner[i]
        if 0 <= partner[i] < n - first[i] and first[leader] == first[i]:
            total[leader] += x
        if p >= 0:
            total[p] -= x
    return out


@kernel
def _inherit(integers, ok, known, back, parent, first):
    n = len(integers)
    out = np.empty(n, np.uint64)
    sibling = np.full(n, -1, np.int64)
    for i in range(n):
        p = _parent_row(parent[i], i, first[i])
        like = -1
        if p >= 0:
            like = sibling[p] if sibling[p] >= 0 else p
            sibling[p] = i
        if back:
            expected = out[like] if like >= 0 else np.uint64(0)
            out[i] = _unfold(integers[i], expected) if ok[i] else known[i]
        else:
            expected = integers[like] if like >= 0 else np.uint64(0)
            out[i] = _fold(integers[i], expected)
    return out


@kernel
def _drift(
    integers, ok, known, back, parent, time, momentum, energy, first, shift, bits, reals, one, real
):
    n = len(integers)
    out = np.empty(n, np.uint64)
    sibling = np.full(n, -1, np.int64)
    for i in range(n):
        p = _parent_row(parent[i], i, first[i])
        expected = np.uint64(0)
        if p >= 0:
            like = sibling[p]
            if like >= 0:
                expected = out[like] if back else integers[like]
            else:
                speed = momentum[p] / energy[p] if energy[p] != 0.0 else np.nan
                far = np.float64(reals[p]) + (time[i] - time[p]) * speed
                if np.isfinite(far):
                    expected = _ordered(far, shift, one, real)
            sibling[p] = i
        if back:
            out[i] = _unfold(integers[i], expected) if ok[i] else known[i]
            _put(out[i], shift, bits, i)
        else:
            out[i] = _fold(integers[i], expected)
            _put(integers[i], shift, bits, i)
    return out


def walk(
    name: str,
    integers: Array,
    ok: Array | None,
    known: Array | None,
    taken: Sequence[tuple[Array, Array]],
    entry: Array,
    dtype: str,
    shift: int,
) -> Array:
    """Differences to what rows have from their parents, folded; or the values from these.

    Parameters
    ----------
    name : {"balance", "inherit", "drift"}
    integers : uint64 array, shape (rows,)
        Ordered integers; the folded differences where ``ok`` is given.
    ok : bool array, shape (rows,), or None
        False where a row's ordered integer is known already.
    known : uint64 array, shape (rows,), or None
        Those ordered integers.
    taken : sequence of (array, bool array)
        The predictor's inputs, and where they are.
    entry : int64 array, shape (rows,)
    dtype : str
    shift : int

    Returns
    -------
    uint64 array, shape (rows,)
    """
    rows = len(integers)
    back = ok is not None
    given = np.ones(rows, np.bool_) if ok is None else ok
    before = integers if known is None else known
    first = list_starts(entry)
    parent = places(*taken[0])
    if name == "inherit":
        out: Array = _inherit(integers, given, before, back, parent, first)
        return out
    reals = np.zeros(rows, dtype)
    real = np.zeros(1, dtype)
    whole = f"u{reals.itemsize}"
    room = (shift, reals.view(whole), reals, real.view(whole), real)
    if name == "balance":
        partner = places(*taken[1]) if len(taken) > 1 else np.full(rows, -1, np.int64)
        out = _balance(integers, given, before, back, parent, partner, first, *room)
    else:
        with np.errstate(invalid="ignore"):  # signalling NaN
            time, momentum, energy = (
                np.where(there, column, np.nan).astype(np.float64) for column, there in taken[1:]
            )
        out = _drift(integers, given, before, back, parent, time, momentum, energy, first, *room)
    return out
