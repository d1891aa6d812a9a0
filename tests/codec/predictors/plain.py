"""A plain, slow implementation of the predictors, from docs/SPEC.md 6.8, one number at a time."""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from fractions import Fraction

HALF_PI = tuple(map(float.fromhex, (
    "0x1.921fb544p+0", "0x1.0b4611a6p-34", "0x1.3198a2e037073p-69",
)))  # fmt: skip
TWO_OVER_PI = float.fromhex("0x1.45f306dc9c883p-1")
LN2 = (float.fromhex("0x1.62e42feep-1"), float.fromhex("0x1.a39ef35793c76p-33"))
LOG2_E = float.fromhex("0x1.71547652b82fep+0")


def series(first: int, step: int, terms: int, sign: int, z: float) -> float:
    """Horner's rule from the highest power down; coefficients rounded once."""
    out = 0.0
    for k in range(terms - 1, -1, -1):
        c = float(Fraction(sign**k, math.factorial(first + step * k)))
        out = c if k == terms - 1 else out * z + c
    return out


def turned(x: float, quarters: int) -> float:
    if not abs(x) <= 1e5:
        return math.nan
    n = float(round(x * TWO_OVER_PI))
    r = ((x - n * HALF_PI[0]) - n * HALF_PI[1]) - n * HALF_PI[2]
    z = r * r
    quarter = (int(n) + quarters) % 4
    out = series(0, 2, 9, -1, z) if quarter % 2 else r * series(1, 2, 9, -1, z)
    return -out if quarter >= 2 else out


def exp(x: float) -> float:
    if not abs(x) <= 700.0:
        return math.nan
    k = float(round(x * LOG2_E))
    r = (x - k * LN2[0]) - k * LN2[1]
    return series(0, 1, 14, 1, r) * 2.0 ** int(k)


def sinh(x: float) -> float:
    if abs(x) < 1.0:
        return x * series(1, 2, 9, 1, x * x)
    e = exp(x)
    return (e - 1.0 / e) / 2.0


def cosh(x: float) -> float:
    e = exp(x)
    return (e + 1.0 / e) / 2.0


def quotient(a: float, b: float) -> float:
    if b == 0.0:
        if a == 0.0 or math.isnan(a):
            return math.nan
        return math.copysign(math.inf, a) * math.copysign(1.0, b)
    return a / b


def times(*factors: float) -> float:
    """A product from left to right; 0 times infinity is no number."""
    out = factors[0]
    for f in factors[1:]:
        out = out * f
    return out


def predict(kind: int, p: Sequence[float], x: Sequence[float]) -> float:
    """Value of a pointwise kind."""
    if kind == 1:
        return x[0]
    if kind == 2:
        out = p[0]
        for c, v in zip(p[1:], x, strict=True):
            out = out + c * v
        return out
    if kind == 3:
        out = p[0]
        for e, v in zip(p[1:], x, strict=True):
            out = out * v if e > 0 else quotient(out, v)
        return out
    if kind == 4:
        t = 0.0
        for s, v in zip(p[1:], x, strict=True):
            square = v * abs(v) if abs(s) > 1 else v * v
            t = t + square if s > 0 else t - square
        return p[0] * math.copysign(math.sqrt(abs(t)), t)
    if kind == 5:
        if p[1] not in (0, 1, 2, 3, 4) or p[2] not in (0, 1, 2):
            return math.nan
        f = [
            lambda v: turned(v, 1), lambda v: turned(v, 0), sinh, cosh,
            lambda v: quotient(sinh(v), cosh(v)),
        ][int(p[1])](x[1])  # fmt: skip
        if p[2] == 0:
            return p[0] * (x[0] * f)
        return p[0] * quotient(x[0], f) if p[2] == 1 else quotient(p[0], x[0] * f)
    if kind == 6:
        return p[0] * abs(x[0])
    m = x[0] * cosh(x[1])
    t = m * m + x[2] * abs(x[2])
    return math.nan if math.isnan(t) else p[0] * math.sqrt(max(t, 0.0))


FORMATS = {"<f2": "<e", "<f4": "<f", "<f8": "<d"}


def bits(value: float, dtype: str) -> int:
    """Bits of a finite number rounded to a float type; beyond its range, of infinity."""
    width = int(dtype[2])
    try:
        return int.from_bytes(struct.pack(FORMATS[dtype], value), "little")
    except OverflowError:
        exponent = {2: 0x7C00, 4: 0x7F800000}[width]
        return exponent | (1 << (8 * width - 1) if value < 0 else 0)


def ordered(u: int, dtype: str, shift: int = 0) -> int:
    """Ordered integer (6.1) of an item's bits."""
    s = 1 << (8 * int(dtype[2]) - 1)
    if dtype[1] == "u":
        return u
    if dtype[1] == "i":
        return u ^ s
    half = s >> shift
    return half - 1 - ((u ^ s) >> shift) if u >= s else half + (u >> shift)


def expected(value: float, dtype: str, shift: int) -> int | None:
    """Ordered integer of a prediction; None where there is none."""
    if not math.isfinite(value):
        return None
    width = 8 * int(dtype[2])
    if dtype[1] == "f":
        u = bits(value, dtype)
        s = 1 << (width - 1)
        m = u & (s - 1)
        if shift:
            m = min(m + (1 << (shift - 1)), s - 1) >> shift << shift
        return ordered((u & s) | m, dtype, shift)
    n = round(value)
    low = -(1 << (width - 1)) if dtype[1] == "i" else 0
    if not low <= n < low + (1 << width):
        return None
    return ordered(n % (1 << width), dtype)


def folded(o: int, e: int | None, dtype: str, shift: int, magnitude: bool) -> int:
    """The integer that is cut into segments (6.1), for an ordered integer and a prediction."""
    if not magnitude:
        d = (o - (e or 0)) % (1 << 64)
        return ((d << 1) ^ -(d >> 63)) % (1 << 64)
    half = 1 << (8 * int(dtype[2]) - 1 - shift)

    def size(v: int) -> int:
        return half - 1 - v if v < half else v - half

    m = (size(o) - (size(e) if e is not None else 0)) % (1 << 63)
    z = ((m << 1) ^ -(m >> 62)) % (1 << 63)
    return 2 * z + (o < half)
