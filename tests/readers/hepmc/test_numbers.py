"""Tests of doubles and their decimal text, against Python's."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vortex_hep.readers.hepmc.text import numbers
from vortex_hep.readers.hepmc.text.cells import Style, from_doubles, to_doubles


def _compare(bits, precision):
    """What is sure must be what Python says; returns whether it was."""
    value = abs(float(np.int64(bits).view(np.float64)))
    if not np.isfinite(value):
        return True
    text = f"{value:.{precision}e}"
    digits, exponent, printed = numbers.digits_of(bits, precision)
    expected = numbers.printed(bits, precision)
    if printed:
        assert (digits, exponent) == expected, text
    back, read = numbers.to_double(expected[0], expected[1] - precision)
    if read:
        assert back == numbers.double_of(text), text
    return printed and read


@given(st.integers(-(2**63), 2**63 - 1), st.integers(0, numbers.MAX_PRECISION))
def test_any_bits(bits, precision):
    _compare(bits, precision)


@pytest.mark.parametrize("precision", [0, 5, 8, 15, 16, 17])
def test_awkward_numbers(precision):
    tens = 10.0 ** np.arange(-300, 300)
    values = np.concatenate(
        [
            tens, np.nextafter(tens, 0), np.arange(2000) / 8, np.arange(2000) * 1e17,
            np.float32(np.random.default_rng(1).normal(size=2000)).astype(float),
        ]
    )  # fmt: skip
    sure = [_compare(int(b), precision) for b in values.view(np.int64)]
    assert np.mean(sure) > (0.95 if precision >= 15 else 0.5)


@pytest.mark.parametrize("precision", [15, 16, 17])
@pytest.mark.parametrize("bare", [False, True])
def test_doubles_there_and_back(precision, bare):
    rng = np.random.default_rng(precision)
    values = np.concatenate(
        [rng.normal(size=500) * 10.0 ** rng.integers(-300, 300, 500), [0.0, -0.0, 5e-324, 1e308]]
    )
    style = Style(precision, bare)
    cells = from_doubles(values, style)
    again, other = to_doubles(cells, style)
    exact = [float(f"{v:.{precision}e}") == v for v in values]
    assert np.array_equal(again.view(np.int64)[exact], values.view(np.int64)[exact])
    assert not other[exact].any()


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("1.50e+00", numbers.NUMBER), ("-0.00e+00", numbers.NUMBER), ("0", numbers.BARE_ZERO),
        ("1.50e+000", numbers.ODD), ("1.50e-00", numbers.ODD), ("0.50e+00", numbers.ODD),
        ("1.50E+00", numbers.ODD), ("1.5e+00", numbers.ODD), ("+1.50e+00", numbers.ODD),
        ("nan", numbers.ODD), ("1.50e+1000", numbers.ODD), ("1.50e+012", numbers.ODD),
        ("", numbers.ODD), ("-", numbers.ODD), ("1.50e+123", numbers.NUMBER),
    ],
)  # fmt: skip
def test_tokens(text, kind):
    data = np.frombuffer(text.encode() + b" ", np.uint8)
    found, _, _, _, at = numbers.read_number(data, 0, len(data), 2)
    assert found == kind
    assert at == len(text)


@pytest.mark.parametrize("text", ["", "-", "+1", "01", "-0", "1" * 19, "1.0", "x"])
def test_integers_that_do_not_print_as_they_stand(text):
    data = np.frombuffer(text.encode() + b" ", np.uint8)
    value, at = numbers.read_integer(data, 0, len(data))
    assert at in (0, 1)  # nothing, or what stands in front of something else
    assert at == 0 or text[at] == "."
    assert value == int(text[:at] or 0)


@given(st.integers(-(10**18) + 1, 10**18 - 1))
def test_integers(value):
    out = np.zeros(32, np.uint8)
    end = numbers.write_integer(out, 0, value)
    assert bytes(out[:end]) == b"%d" % value
    assert numbers.read_integer(out, 0, end) == (value, end)
