"""Tests of the exact functions: fixed bits, accuracy, no dependence on the position in an array."""

from __future__ import annotations

import math
import struct
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vortex_hep.codec.predictors import functions
from vortex_hep.errors import UnsupportedFeatureError

FUNCTIONS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "cos": functions.cos,
    "sin": functions.sin,
    "sinh": functions.sinh,
    "cosh": functions.cosh,
    "tanh": functions.tanh,
    "exp": functions.exp,
}

#: Arguments and the bits of what each function gives: any change changes what archives decode to.
ARGUMENTS = (0.5, -0.75, 1.0, -2.4, 3.0, 100.0)
PINNED = {
    "cos": [
        "3FEC1528065B7D50",
        "3FE769FEC655211F",
        "3FE14A280FB5068C",
        "BFE798BAB490D185",
        "BFEFAE04BE85E5D2",
        "3FEB981DBF665FE0",
    ],
    "sin": [
        "3FDEAEE8744B05F0",
        "BFE5CFFC16BF8F0E",
        "3FEAED548F090CEE",
        "BFE59D64F5C3D19B",
        "3FC210386DB6D55B",
        "BFE03425B78C4DB8",
    ],
    "sinh": [
        "3FE0ACD00FE63B97",
        "BFEA506B2DD3C690",
        "3FF2CD9FC44EB983",
        "C015DD6B30E4B6E8",
        "40240926E70949AE",
        "48E3494A9B171BF5",
    ],
    "cosh": [
        "3FF20AC1862AE8D0",
        "3FF4B705D1E5D6A8",
        "3FF8B07551D9F551",
        "40163A505BAEDDE8",
        "402422A497D6185E",
        "48E3494A9B171BF5",
    ],
    "tanh": [
        "3FDD9353D7568AF4",
        "BFE45323E552F228",
        "3FE85EFAB514F394",
        "BFEF7A43B1F6234E",
        "3FEFD77D111A0B01",
        "3FF0000000000000",
    ],
    "exp": [
        "3FFA61298E1E069C",
        "3FDE3B40EBEFCD7E",
        "4005BF0A8B14576A",
        "3FB7394AB289BFC4",
        "403415E5BF6FB106",
        "48F3494A9B171BF5",
    ],
}


def bits(values: np.ndarray) -> list[str]:
    return [struct.pack(">d", v).hex().upper() for v in values.tolist()]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_bits_are_pinned(name: str) -> None:
    assert bits(FUNCTIONS[name](np.array(ARGUMENTS))) == PINNED[name]


def test_every_angular_function_is_pinned() -> None:
    assert [f.__name__ for f in functions.ANGULAR] == ["cos", "sin", "sinh", "cosh", "tanh"]
    assert PINNED.keys() == FUNCTIONS.keys()


@pytest.mark.parametrize(
    ("name", "reach", "ulps"),
    [
        ("cos", 1e5, 2), ("sin", 1e5, 2), ("sinh", 700, 4), ("cosh", 700, 3), ("tanh", 700, 5),
        ("exp", 700, 2),
    ],
)  # fmt: skip
def test_close_to_the_true_values(name: str, reach: float, ulps: int) -> None:
    rng = np.random.default_rng(1)
    x = np.concatenate([rng.uniform(-s, s, 3000) for s in (0.01, 1, 3, 30, reach)])
    x = np.concatenate([x, np.arange(-40, 40) * (np.pi / 4), [0.0, reach, -reach]])
    x = x[np.abs(x) <= reach]
    true = np.array([getattr(math, name)(v) for v in x])
    found = FUNCTIONS[name](x)
    # Near zeros of sine and cosine the error is that of the reduced angle.
    near = np.spacing(np.maximum(np.abs(true), 1e-13))
    assert (np.abs(found - true) <= ulps * near).all()


@pytest.mark.parametrize(
    ("name", "beyond"), [("cos", 1.0001e5), ("sin", -2e5), ("exp", 700.1), ("sinh", -701.0),
                         ("cosh", 1e300), ("tanh", 701.0)],
)  # fmt: skip
def test_no_value_beyond_the_range(name: str, beyond: float) -> None:
    x = np.array([beyond, np.nan, np.inf, -np.inf, 0.5])
    with np.errstate(all="ignore"):
        found = FUNCTIONS[name](x)
    assert np.isnan(found[:4]).all()
    assert np.isfinite(found[4])


@pytest.mark.parametrize("name", FUNCTIONS)
def test_same_bits_wherever_a_value_stands(name: str) -> None:
    """Remainders of vector loops, strides and odd addresses must not matter."""
    f = FUNCTIONS[name]
    x = np.random.default_rng(2).normal(0, 3, 97)
    whole = bits(f(x))
    for size in range(1, 20):
        for start in range(5):
            assert bits(f(x[start : start + size])) == whole[start : start + size]
    assert bits(f(x[::3])) == whole[::3]
    assert bits(f(x[::-1])) == whole[::-1]
    raw = bytearray(8 * len(x) + 3)
    shifted = np.frombuffer(raw, "<f8", len(x), 3)
    shifted[:] = x
    assert not shifted.flags.aligned
    assert bits(f(shifted)) == whole
    assert bits(np.concatenate([f(x[i : i + 1]) for i in range(len(x))])) == whole


@settings(max_examples=200)
@given(st.floats(allow_nan=True, allow_infinity=True))
def test_any_number_has_a_value_or_none(x: float) -> None:
    with np.errstate(all="ignore"):
        for name, f in FUNCTIONS.items():
            found = float(f(np.array([x]))[0])
            reach = 1e5 if name in ("sin", "cos") else 700
            assert math.isfinite(found) == (abs(x) <= reach)


def test_arithmetic_that_is_not_exact_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    functions.check_arithmetic()
    for k in range(4):
        wrong = bytearray(functions._PROBE_SUM)
        wrong[8 * k] ^= 1
        with monkeypatch.context() as patch:
            patch.setattr(functions, "_PROBE_SUM", bytes(wrong))
            with pytest.raises(UnsupportedFeatureError, match=r"IEEE 754.*another library"):
                functions.check_arithmetic()


def test_denormal_numbers_taken_for_zero_are_noticed() -> None:
    torch = pytest.importorskip("torch")
    if not torch.set_flush_denormal(True):
        pytest.skip("this processor keeps denormal numbers")
    try:
        with pytest.raises(UnsupportedFeatureError, match=r"IEEE 754"):
            functions.check_arithmetic()
    finally:
        torch.set_flush_denormal(False)
    functions.check_arithmetic()
