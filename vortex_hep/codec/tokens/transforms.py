"""Exact maps between column values and the compact integers that the event model codes.

A value's bits are first seen as an unsigned integer that keeps the numeric order of its type
(the *ordered view*), then as the difference to a reference row where that is shorter, and
finally as a position in a short list of *segments*, the ranges of integers that occur. What
no segment holds is an *escape*: it is stored apart and put back after decoding.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from vortex_hep.core.compiled import kernel

Array = npt.NDArray[Any]

#: How a value's bits become an ordered integer; stored in models, never renumbered.
UNSIGNED, SIGNED, FLOAT = 0, 1, 2

_KINDS = {"b": UNSIGNED, "u": UNSIGNED, "i": SIGNED, "f": FLOAT}


def order_kind(dtype: str) -> int:
    """Return the ordered-view rule for a little-endian dtype string.

    Examples
    --------
    >>> order_kind("<f4") == FLOAT
    True
    """
    return _KINDS[np.dtype(dtype).kind]


def bits_of(column: Array) -> Array:
    """Return the bits of a fixed-width column as unsigned integers of the same width.

    Parameters
    ----------
    column : array, any shape
        Little-endian values.

    Returns
    -------
    unsigned integer array of the same shape
    """
    column = np.ascontiguousarray(column)
    return column.view(f"<u{column.dtype.itemsize}")


@kernel
def ordered_view(bits, kind, width, shift):  # type: ignore[no-untyped-def]
    """Ordered integers of ``bits``; ``ok`` is False where the dropped low bits are not zero.

    Parameters
    ----------
    bits : unsigned integer array, shape (rows,)
    kind : int
        UNSIGNED, SIGNED or FLOAT.
    width : int
        Bits of a value, 8 to 64.
    shift : int
        Low bits of the magnitude of a FLOAT that are dropped because they are always zero.

    Returns
    -------
    (uint64 array, bool array)
    """
    n = len(bits)
    out = np.empty(n, np.uint64)
    ok = np.ones(n, np.bool_)
    one = np.uint64(1)
    sign = one << np.uint64(width - 1)
    low = (one << np.uint64(shift)) - one
    half = sign >> np.uint64(shift)
    for i in range(n):
        v = np.uint64(bits[i])
        if kind == 2:
            magnitude = v & (sign - one)
            if magnitude & low:
                ok[i] = False
            m = magnitude >> np.uint64(shift)
            out[i] = half - one - m if v & sign else half + m
        elif kind == 1:
            out[i] = v ^ sign
        else:
            out[i] = v
    return out, ok


@kernel
def bits_from_ordered(ordered, kind, width, shift, out):  # type: ignore[no-untyped-def]
    """Write to ``out`` (unsigned, shape (rows,)) the bits whose ordered view is ``ordered``."""
    one = np.uint64(1)
    sign = one << np.uint64(width - 1)
    half = sign >> np.uint64(shift)
    for i in range(len(ordered)):
        v = ordered[i]
        if kind == 2:
            v = (
                ((half - one - v) << np.uint64(shift)) | sign
                if v < half
                else (v - half) << np.uint64(shift)
            )
        elif kind == 1:
            v = v ^ sign
        out[i] = v


@kernel
def subtract_reference(ordered, reference):  # type: ignore[no-untyped-def]
    """Differences (mod 2**64) to the reference rows, zigzag folded; no reference: against 0.

    Parameters
    ----------
    ordered : uint64 array, shape (rows,)
    reference : int64 array, shape (rows,)
        Row that each row is compared with, always an earlier one, or -1.
    """
    out = np.empty_like(ordered)
    for i in range(len(ordered)):
        d = ordered[i] - ordered[reference[i]] if reference[i] >= 0 else ordered[i]
        out[i] = (d << np.uint64(1)) ^ (np.uint64(0) - (d >> np.uint64(63)))
    return out


@kernel
def add_reference(folded, reference, ok, known):  # type: ignore[no-untyped-def]
    """Invert :func:`subtract_reference`; rows are rebuilt in order.

    Where ``ok`` is False the row is an escape and its ordered integer is ``known[i]``.
    """
    out = np.empty_like(folded)
    for i in range(len(folded)):
        if not ok[i]:
            out[i] = known[i]
            continue
        d = (folded[i] >> np.uint64(1)) ^ (np.uint64(0) - (folded[i] & np.uint64(1)))
        out[i] = d + out[reference[i]] if reference[i] >= 0 else d
    return out


@kernel
def subtract_expected(ordered, expected, known):  # type: ignore[no-untyped-def]
    """Differences (mod 2**64) to ordered integers that are ``known``, else to 0, zigzag folded.

    Parameters
    ----------
    ordered, expected : uint64 arrays, shape (rows,)
    known : bool array, shape (rows,)
    """
    out = np.empty_like(ordered)
    for i in range(len(ordered)):
        d = ordered[i] - expected[i] if known[i] else ordered[i]
        out[i] = (d << np.uint64(1)) ^ (np.uint64(0) - (d >> np.uint64(63)))
    return out


@kernel
def add_expected(folded, expected, known):  # type: ignore[no-untyped-def]
    """Invert :func:`subtract_expected`."""
    out = np.empty_like(folded)
    for i in range(len(folded)):
        d = (folded[i] >> np.uint64(1)) ^ (np.uint64(0) - (folded[i] & np.uint64(1)))
        out[i] = d + expected[i] if known[i] else d
    return out


_LOW63 = np.uint64((1 << 63) - 1)


@kernel
def subtract_magnitude(ordered, expected, known, half):  # type: ignore[no-untyped-def]
    """Differences (mod 2**63) of magnitudes, zigzag folded, with the sign as the lowest bit.

    Parameters
    ----------
    ordered, expected : uint64 arrays, shape (rows,)
        Ordered views of floats.
    known : bool array, shape (rows,)
    half : int
        Ordered integer of zero.
    """
    out = np.empty_like(ordered)
    one = np.uint64(1)
    middle = np.uint64(half)
    for i in range(len(ordered)):
        o = ordered[i]
        negative = one if o < middle else np.uint64(0)
        m = middle - one - o if negative else o - middle
        if known[i]:
            e = expected[i]
            m -= middle - one - e if e < middle else e - middle
        m &= _LOW63
        m = ((m << one) & _LOW63) ^ (_LOW63 if m >> np.uint64(62) else np.uint64(0))
        out[i] = (m << one) | negative
    return out


@kernel
def add_magnitude(folded, expected, known, half):  # type: ignore[no-untyped-def]
    """Invert :func:`subtract_magnitude`."""
    out = np.empty_like(folded)
    one = np.uint64(1)
    middle = np.uint64(half)
    for i in range(len(folded)):
        z = folded[i] >> one
        m = (z >> one) ^ (_LOW63 if z & one else np.uint64(0))
        if known[i]:
            e = expected[i]
            m += middle - one - e if e < middle else e - middle
        m &= _LOW63
        out[i] = middle - one - m if folded[i] & one else middle + m
    return out


def ordered_from_reals(reals: Array, known: Array, dtype: str, shift: int) -> tuple[Array, Array]:
    """Round real numbers to values of a column; return their ordered integers.

    Parameters
    ----------
    reals : float64 array, shape (rows,)
    known : bool array, shape (rows,)
        Where there is a number at all.
    dtype : str
    shift : int
        Low bits of a float's magnitude that its column does not have; rounded half up.

    Returns
    -------
    ordered : uint64 array, shape (rows,)
    known : bool array, shape (rows,)
        False also where the number is not finite, or beyond the integers of the type.
    """
    kind, width = order_kind(dtype), 8 * np.dtype(dtype).itemsize
    known = known & np.isfinite(reals)
    if kind == FLOAT:
        bits = bits_of(np.where(known, reals, 0.0).astype(dtype)).astype(np.uint64)
        sign = np.uint64(1 << (width - 1))
        magnitude = bits & (sign - np.uint64(1))
        if shift:
            magnitude = np.minimum(magnitude + np.uint64(1 << (shift - 1)), sign - np.uint64(1))
            magnitude &= ~np.uint64((1 << shift) - 1)
        ordered, _ = ordered_view((bits & sign) | magnitude, kind, width, shift)
        return ordered, known
    low = 0.0 if kind == UNSIGNED else -(2.0 ** (width - 1))
    high = 2.0 ** (width if kind == UNSIGNED else width - 1)
    whole = np.rint(reals)
    known &= (whole >= low) & (whole < high)
    whole = np.where(known, whole, 0.0)
    if kind == SIGNED:
        bits = whole.astype(np.int64).view(np.uint64) & np.uint64((1 << width) - 1)
    else:
        bits = whole.astype(np.uint64)
    ordered, _ = ordered_view(bits, kind, width, 0)
    return ordered, known


@kernel
def _to_segments(ordered, start, length, base, out, ok):  # type: ignore[no-untyped-def]
    for i in range(len(ordered)):
        v = ordered[i]
        lo = 0
        hi = len(start)
        while lo < hi:
            mid = (lo + hi) >> 1
            if start[mid] <= v:
                lo = mid + 1
            else:
                hi = mid
        s = lo - 1
        # The last segment may reach the top of the range: compare by difference, not by end.
        if s >= 0 and v - start[s] <= length[s]:
            out[i] = base[s] + (v - start[s])
        else:
            out[i] = np.uint64(0)
            ok[i] = False


@kernel
def _from_segments(compact, start, base, out):  # type: ignore[no-untyped-def]
    for i in range(len(compact)):
        v = compact[i]
        lo = 0
        hi = len(base)
        while lo < hi:
            mid = (lo + hi) >> 1
            if base[mid] <= v:
                lo = mid + 1
            else:
                hi = mid
        out[i] = start[lo - 1] + (v - base[lo - 1])


@dataclass(frozen=True)
class Segments:
    """An order-keeping map from scattered ranges of integers onto 0, 1, 2, ...

    Parameters
    ----------
    start : uint64 array, shape (segments,)
        First integer of each range, increasing.
    length : uint64 array, shape (segments,)
        Integers in each range, less one (so that 2**64 fits).
    """

    start: Array
    length: Array
    base: Array = field(init=False)

    def __post_init__(self) -> None:
        sizes = self.length.astype(np.uint64) + np.uint64(1)
        base = np.zeros(len(sizes), np.uint64)
        np.cumsum(sizes[:-1], out=base[1:])
        object.__setattr__(self, "base", base)

    @property
    def top(self) -> int:
        """Largest compact integer."""
        return int(self.base[-1]) + int(self.length[-1])

    @property
    def width(self) -> int:
        """Bits of a compact integer, 0 where only one value exists."""
        return self.top.bit_length()

    def compact(self, ordered: Array) -> tuple[Array, Array]:
        """Return (compact integers, ok); where not ``ok`` the integer is 0."""
        out = np.empty(len(ordered), np.uint64)
        ok = np.ones(len(ordered), np.bool_)
        _to_segments(ordered, self.start, self.length, self.base, out, ok)
        return out, ok

    def ordered(self, compact: Array) -> Array:
        """Invert :meth:`compact`. Integers above :attr:`top` wrap; they are no valid input."""
        out = np.empty(len(compact), np.uint64)
        _from_segments(compact, self.start, self.base, out)
        return out


#: A column with this many values, each seen often, is coded by rank.
_DICTIONARY_LIMIT = 4096
#: Expected share of rows with values never seen in training that a dictionary may have.
_UNSEEN_LIMIT = 2e-4
_MAX_GAPS = 48


def fit_segments(ordered: Array) -> Segments:
    """Choose segments for a sample of ordered integers.

    Well-sampled columns of few values get one segment per value (a dictionary; whether they
    are well sampled is told by the Good-Turing estimate, the share of values seen once).
    Others keep all integers in range but for the widest empty gaps, so that a sentinel such
    as -99 does not cost every value three bits.
    """
    if len(ordered) == 0:
        return Segments(np.zeros(1, np.uint64), np.zeros(1, np.uint64))
    values, counts = np.unique(ordered, return_counts=True)
    n = len(values)
    gaps = values[1:] - values[:-1]
    unseen = np.count_nonzero(counts == 1) / len(ordered)
    if n <= 2 or (n <= _DICTIONARY_LIMIT and unseen <= _UNSEEN_LIMIT):
        cut = np.flatnonzero(gaps > 1)
    else:
        span = float(values[-1] - values[0]) + 1.0
        chosen = []
        for g in np.argsort(-gaps.astype(np.float64), kind="stable")[:_MAX_GAPS]:
            if float(gaps[g]) < span / 8 or gaps[g] < 16:
                break
            chosen.append(int(g))
            span -= float(gaps[g]) - 1.0
        cut = np.sort(np.array(chosen, np.int64))
    first = np.concatenate([[0], cut + 1]).astype(np.int64)
    last = np.concatenate([cut, [n - 1]]).astype(np.int64)
    return Segments(values[first], values[last] - values[first])
