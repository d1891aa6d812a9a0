"""Real functions built from IEEE 754 additions, products, quotients and roots alone.

The C library's functions differ in their last bits from machine to machine; these do not. They
need not be the best approximations there are, but they are defined to the last bit (SPEC 6.8).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from vortex_hep.errors import UnsupportedFeatureError

Array = npt.NDArray[Any]

#: pi / 2 in three parts; the first two have 33 bits each, so that small multiples are exact.
_HALF_PI = (1.57079632673412561417e00, 6.07710050630396597660e-11, 2.02226624879595063154e-21)
_TWO_OVER_PI = 6.36619772367581382433e-01
#: ln 2 in two parts, the first of 32 bits.
_LN2 = (6.93147180369123816490e-01, 1.90821492927058770002e-10)
_LOG2_E = 1.44269504088896338700e00
#: Beyond these arguments there is no value.
_MOST_ANGLE = 1e5
_MOST_EXPONENT = 700.0

#: Coefficients of Taylor series in z = x * x, from the highest power down: sin x / x, cos x,
#: sinh x / x.
_FACTORIALS = [1.0]
for _n in range(1, 20):
    _FACTORIALS.append(_FACTORIALS[-1] * _n)
SIN = [(-1.0) ** k / _FACTORIALS[2 * k + 1] for k in range(8, -1, -1)]
COS = [(-1.0) ** k / _FACTORIALS[2 * k] for k in range(8, -1, -1)]
SINH = [1.0 / _FACTORIALS[2 * k + 1] for k in range(8, -1, -1)]
EXP = [1.0 / _FACTORIALS[k] for k in range(13, -1, -1)]


#: Sums whose results tell whether denormal numbers are kept and halves rounded to even. Given and
#: compared by their bits, as even a comparison takes denormal numbers for zero where they are off.
_ONE, _HALF_STEP = 0x3FF << 52, (0x3FF - 53) << 52
_MINUS = 1 << 63
_PROBE = np.array(
    [[1, _ONE, _ONE, _ONE | _MINUS], [1, _HALF_STEP, _HALF_STEP + 1, _HALF_STEP | _MINUS]],
    np.uint64,
).view(np.float64)
_PROBE_SUM = np.array([2, _ONE, _ONE + 1, _ONE | _MINUS], np.uint64).tobytes()


def check_arithmetic() -> None:
    """Raise unless this thread computes as IEEE 754 says.

    Libraries built for speed alone switch denormal numbers off for the threads that load them.

    Raises
    ------
    UnsupportedFeatureError
        Denormal numbers are taken for zero, or results are not rounded to nearest.
    """
    with np.errstate(all="ignore"):
        found = _PROBE[0] + _PROBE[1]
    if found.tobytes() != _PROBE_SUM:
        raise UnsupportedFeatureError(
            "this process does not compute as IEEE 754 says, which predicting columns needs",
            hint="another library has switched denormal numbers or rounding; start without it",
        )


def _horner(coefficients: Sequence[float], z: Array) -> Array:
    out = np.full(z.shape, coefficients[0])
    for c in coefficients[1:]:
        out = out * z + c
    return out


def _reduced(x: Array) -> tuple[Array, Array]:
    """Angle less the nearest multiple of pi / 2, and that multiple mod 4; NaN where too large."""
    x = np.where(np.abs(x) <= _MOST_ANGLE, x, np.nan)
    n = np.rint(x * _TWO_OVER_PI) + 0.0  # never a negative zero
    r = ((x - n * _HALF_PI[0]) - n * _HALF_PI[1]) - n * _HALF_PI[2]
    return r, np.where(np.isnan(n), 0.0, n).astype(np.int64) & 3


def _turned(x: Array, quarters: int) -> Array:
    r, n = _reduced(x)
    n = (n + quarters) & 3
    z = r * r
    s, c = r * _horner(SIN, z), _horner(COS, z)
    out = np.where(n & 1, c, s)
    return np.where(n & 2, -out, out)


def sin(x: Array) -> Array:
    """Sine of angles up to 1e5."""
    return _turned(x, 0)


def cos(x: Array) -> Array:
    """Cosine of angles up to 1e5."""
    return _turned(x, 1)


def exp(x: Array) -> Array:
    """Exponential of numbers up to 700."""
    x = np.where(np.abs(x) <= _MOST_EXPONENT, x, np.nan)
    k = np.rint(x * _LOG2_E)
    r = (x - k * _LN2[0]) - k * _LN2[1]
    # NumPy has no ldexp of 64-bit powers where a C long has 32 bits.
    out: Array = np.ldexp(_horner(EXP, r), np.where(np.isnan(k), 0.0, k).astype(np.int32))
    return out


def sinh(x: Array) -> Array:
    """Hyperbolic sine."""
    e = exp(x)
    return np.where(np.abs(x) < 1.0, x * _horner(SINH, x * x), (e - 1.0 / e) / 2.0)


def cosh(x: Array) -> Array:
    """Hyperbolic cosine."""
    e = exp(x)
    return (e + 1.0 / e) / 2.0


def tanh(x: Array) -> Array:
    """Hyperbolic tangent."""
    return sinh(x) / cosh(x)


#: By number, as models name them; numbers are never used again.
ANGULAR = (cos, sin, sinh, cosh, tanh)
