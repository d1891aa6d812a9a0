"""Tests of the shared integer arithmetic."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from vortex_hep.nn.arithmetic import exp2_weight, frequencies

LOGITS = arrays(np.int64, (5, 16), elements=st.integers(-(1 << 24) + 1, (1 << 24) - 1))
CLOSE = arrays(np.int64, (5, 16), elements=st.integers(-3000, 3000))


def test_exp2_weight_falls_from_its_top_to_nothing():
    weight = exp2_weight(np.arange(40 << 10))
    assert weight[0] == 32768
    assert (np.diff(weight) <= 0).all()
    assert weight[-1] == 0
    assert (weight >= 0).all()


def test_exp2_weight_is_close_to_the_power_of_two():
    distance = np.arange(8 << 10)
    exact = 32768 * 2.0 ** (-distance / 1024)
    assert np.abs(exp2_weight(distance) / exact - 1).max() < 0.01


def test_exp2_weight_of_any_distance_is_defined():
    assert exp2_weight(np.array([1 << 25, 1 << 40])).tolist() == [0, 0]


@given(LOGITS | CLOSE)
def test_frequencies_sum_to_the_total_and_every_symbol_has_some(logits):
    freq = frequencies(logits)
    assert (freq.sum(axis=1) == 65536).all()
    assert freq.min() >= 1
    assert freq.max() <= 65521


@given(LOGITS | CLOSE)
def test_frequencies_rise_with_the_logits(logits):
    freq = frequencies(logits)
    order = np.argsort(logits, axis=1, kind="stable")
    ranked = np.take_along_axis(freq, order, axis=1)
    top = np.take_along_axis(logits, order, axis=1)
    rises = np.diff(ranked, axis=1) >= 0
    # Of several highest logits the first takes the remainder, and it alone may stand out.
    assert (rises | (top[:, 1:] == top[:, -1:])).all()


def test_the_first_of_equal_logits_takes_the_remainder():
    freq = frequencies(np.zeros((1, 16), np.int64))
    assert freq.tolist() == [[4096] * 16]
    freq = frequencies(np.array([[0, 5, 5, *[0] * 13]]))[0]
    assert freq[1] > freq[2]
