"""Exact conversion between decimal text and doubles, compiled.

Both directions multiply by a power of ten that is known to 128 bits, and tell the rare numbers
for which that does not decide the last bit or digit; callers leave those to Python.
"""

# mypy: disable-error-code="no-untyped-def, misc, no-untyped-call"
# ruff: noqa: ANN001, ANN201, ANN202
from __future__ import annotations

import math

import numba as nb
import numpy as np

from vortex_hep.core.compiled import kernel

#: Kinds of tokens that :func:`read_number` tells.
ODD, NUMBER, BARE_ZERO = 0, 1, 2
#: Digits behind the point that :func:`digits_of` can give: 18 digits fit 63 bits.
MAX_PRECISION = 17

_U = nb.uint64
_LOW = np.uint64(0xFFFFFFFF)
_HALF = np.uint64(32)
_ONE = np.uint64(1)
_ZERO = np.uint64(0)
#: Powers of ten in the table: 10^-_REACH to 10^_REACH.
_REACH = 345

SPACE, NEWLINE, MINUS, PLUS, POINT, DIGIT_0, LETTER_E = 32, 10, 45, 43, 46, 48, 101


def _powers() -> tuple[np.ndarray, np.ndarray]:
    """10^q as 128-bit integers whose top bit is set: cut off for q >= 0, rounded up for q < 0."""
    high, low = (np.zeros(2 * _REACH + 1, np.uint64) for _ in range(2))
    for q in range(-_REACH, _REACH + 1):
        if q >= 0:
            power = 10**q
            shift = power.bit_length() - 128
            value = power >> shift if shift >= 0 else power << -shift
        else:
            power = 10**-q
            value = -(-(1 << (power.bit_length() + 127)) // power)
        high[q + _REACH], low[q + _REACH] = value >> 64, value & (1 << 64) - 1
    return high, low


_HIGH, _LOWER = _powers()
_TENS = np.array([10**k for k in range(19)], np.int64)


@kernel
def _product(a, b):
    """High and low 64 bits of the product of two u64."""
    a0, a1, b0, b1 = a & _LOW, a >> _HALF, b & _LOW, b >> _HALF
    low, mid, other = a0 * b0, a1 * b0, a0 * b1
    carry = (low >> _HALF) + (mid & _LOW) + (other & _LOW)
    high = a1 * b1 + (mid >> _HALF) + (other >> _HALF) + (carry >> _HALF)
    return high, (low & _LOW) | (carry << _HALF)


@kernel
def _scaled(mantissa, power):
    """Upper 128 bits of ``mantissa`` (top bit set) times 10^power; wrong by few units at most."""
    high, low = _product(mantissa, _HIGH[power + _REACH])
    more, _ = _product(mantissa, _LOWER[power + _REACH])
    total = low + more
    if total < low:
        high += _ONE
    return high, total


@kernel
def to_double(digits, power):
    """Bits of the double nearest to ``digits * 10**power``.

    Parameters
    ----------
    digits : int64, not negative
    power : int64

    Returns
    -------
    bits : int64
    sure : bool
        False where this method does not decide: subnormal and huge numbers, and near ties.
    """
    # The method of Eisel and Lemire ("Number parsing at a gigabyte per second", 2021).
    if digits == 0:
        return np.int64(0), True
    if power < -330 or power > 308:
        return np.int64(0), False
    w = _U(digits)
    zeros = 0
    while w >> np.uint64(56) == _ZERO:
        w <<= np.uint64(8)
        zeros += 8
    while w >> np.uint64(63) == _ZERO:
        w <<= _ONE
        zeros += 1
    high, low = _scaled(w, power)
    top = np.int64(high >> np.uint64(63))
    shift = _U(top + 9)
    mantissa = high >> shift
    exponent = ((217706 * power) >> 16) + 63 + top - zeros + 1023
    rest = high & ((_ONE << shift) - _ONE)
    half = (mantissa & _ONE) == _ONE
    # Too near to the middle of two doubles: 128 bits do not tell on which side.
    if half and rest == _ZERO and low <= np.uint64(8):
        if not 0 <= power <= 27:
            return np.int64(0), False
        # 5^power has less than 64 bits: the product is exact, and so is the tie.
        if low == _ZERO and (mantissa & np.uint64(3)) == _ONE:
            mantissa &= ~_ONE
    if not half and rest == (_ONE << shift) - _ONE and low >= np.uint64(0xFFFFFFFFFFFFFFF0):
        return np.int64(0), False
    mantissa = (mantissa + (mantissa & _ONE)) >> _ONE
    if mantissa >> np.uint64(53):
        mantissa >>= _ONE
        exponent += 1
    if exponent <= 0 or exponent >= 2047:
        return np.int64(0), False
    bits = (_U(exponent) << np.uint64(52)) | (mantissa & np.uint64(0xFFFFFFFFFFFFF))
    return np.int64(bits), True


@kernel
def digits_of(bits, precision):
    """Digits that ``"%.{precision}e"`` prints of a double, its sign left aside.

    Parameters
    ----------
    bits : int64
    precision : int64
        At most :data:`MAX_PRECISION`.

    Returns
    -------
    digits : int64
        As one integer, the point left out.
    exponent : int64
    sure : bool
        False where this method does not decide: subnormal and not finite numbers, and near ties.
    """
    magnitude = bits & np.int64(0x7FFFFFFFFFFFFFFF)
    if magnitude == 0:
        return np.int64(0), np.int64(0), True
    biased = magnitude >> 52
    if biased == 0 or biased == 2047:
        return np.int64(0), np.int64(0), False
    mantissa = (_U(magnitude) << np.uint64(11)) | (_ONE << np.uint64(63))
    binary = biased - 1023
    exponent = (binary * 78913) >> 18
    for _ in range(2):
        power = precision - exponent
        high, low = _scaled(mantissa, power)
        # value * 10^power = (high, low) / 2^shift
        shift = 62 - binary - ((217706 * power) >> 16)
        cut = _U(shift)
        digits = np.int64(high >> cut)
        rest = high & ((_ONE << cut) - _ONE)
        half = _ONE << _U(shift - 1)
        if (rest == half and low <= np.uint64(8)) or (
            rest + _ONE == half and low >= np.uint64(0xFFFFFFFFFFFFFFF0)
        ):
            return np.int64(0), np.int64(0), False
        if rest >= half:
            digits += 1
        if digits < _TENS[precision + 1]:
            return digits, np.int64(exponent), True
        exponent += 1
        if digits == _TENS[precision + 1]:
            return _TENS[precision], np.int64(exponent), True
    return np.int64(0), np.int64(0), False


def double_of(text: str) -> int:
    """Bits of the double that Python reads; for what :func:`to_double` does not decide."""
    return int(np.float64(text).view(np.int64))


def printed(bits: int, precision: int) -> tuple[int, int]:
    """Digits and exponent as Python prints them; for what :func:`digits_of` does not decide."""
    value = abs(float(np.int64(bits).view(np.float64)))
    if not math.isfinite(value):
        return 0, 0
    mantissa, _, exponent = f"{value:.{precision}e}".partition("e")
    return int(mantissa.replace(".", "")), int(exponent)


@kernel
def token_end(text, at, stop):
    """First space or line feed from ``at`` on."""
    while at < stop and text[at] != SPACE and text[at] != NEWLINE:
        at += 1
    return at


@kernel
def read_integer(text, at, stop):
    """Read an integer that prints as it stands: no plus, no leading zero, no minus zero.

    Returns
    -------
    value : int64
    at : int64
        Behind it; unchanged where there is no such integer of at most 18 digits.
    """
    begin = at
    negative = at < stop and text[at] == MINUS
    if negative:
        at += 1
    first = at
    value = np.int64(0)
    while at < stop and DIGIT_0 <= text[at] <= DIGIT_0 + 9 and at - first < 19:
        value = value * 10 + np.int64(text[at] - DIGIT_0)
        at += 1
    size = at - first
    if size == 0 or size > 18 or (text[first] == DIGIT_0 and (size > 1 or negative)):
        return np.int64(0), begin
    return (-value if negative else value), at


@kernel
def read_number(text, at, stop, precision):
    """Read a number as ``"%.{precision}e"`` prints it.

    Returns
    -------
    kind : int
        NUMBER, BARE_ZERO (``0``) or ODD (anything else).
    negative : bool
    digits, exponent : int64
    at : int64
        Behind the token.
    """
    begin = at
    zero = np.int64(0)
    negative = at < stop and text[at] == MINUS
    if negative:
        at += 1
    if at + precision + 5 > stop or (precision > 0 and text[at + 1] != POINT):
        at = token_end(text, begin, stop)
        bare = at == begin + 1 and text[begin] == DIGIT_0
        return (BARE_ZERO if bare else ODD), False, zero, zero, at
    digits = np.int64(text[at]) - DIGIT_0
    good = 0 <= digits <= 9
    leading = digits
    at += 1 if precision == 0 else 2
    for k in range(precision):
        d = np.int64(text[at + k]) - DIGIT_0
        good &= 0 <= d <= 9
        digits = digits * 10 + d
    at += precision
    good &= text[at] == LETTER_E and (text[at + 1] == PLUS or text[at + 1] == MINUS)
    below = text[at + 1] == MINUS
    at += 2
    first = at
    exponent = zero
    while at < stop and DIGIT_0 <= text[at] <= DIGIT_0 + 9 and at - first < 4:
        exponent = exponent * 10 + np.int64(text[at] - DIGIT_0)
        at += 1
    size = at - first
    good &= size == 2 or (size == 3 and text[first] != DIGIT_0)
    good &= at < stop and (text[at] == SPACE or text[at] == NEWLINE)
    good &= leading > 0 or (digits == 0 and exponent == 0)
    good &= not (below and exponent == 0)
    if not good:
        return ODD, False, zero, zero, token_end(text, begin, stop)
    return NUMBER, negative, digits, (-exponent if below else exponent), at


@kernel
def write_integer(out, at, value):
    """Write an integer; return the place behind it."""
    if value < 0:
        out[at] = MINUS
        at += 1
        value = -value
    size = 1
    while size < 19 and value >= _TENS[min(size, 18)]:
        size += 1
        if size == 19:
            break
    rest = value
    for k in range(size - 1, -1, -1):
        out[at + k] = DIGIT_0 + rest % 10
        rest //= 10
    return at + size


@kernel
def write_number(out, at, negative, digits, exponent, precision):
    """Write what :func:`read_number` reads; return the place behind it."""
    if negative:
        out[at] = MINUS
        at += 1
    rest = digits
    for k in range(precision, 0, -1):
        out[at + k + 1] = DIGIT_0 + rest % 10
        rest //= 10
    out[at] = DIGIT_0 + rest % 10
    if precision > 0:
        out[at + 1] = POINT
        at += precision + 1
    out[at + 1] = LETTER_E
    out[at + 2] = MINUS if exponent < 0 else PLUS
    at += 3
    size = abs(exponent)
    if size >= 100:
        out[at] = DIGIT_0 + size // 100 % 10
        at += 1
        size %= 100
    out[at] = DIGIT_0 + size // 10
    out[at + 1] = DIGIT_0 + size % 10
    return at + 2
