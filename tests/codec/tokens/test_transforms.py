"""Tests of the transforms: ordered view, references and segments are lossless."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from vortex_hep.codec.tokens import transforms as tf
from vortex_hep.core.schema import COLUMN_DTYPES

NUMERIC = [d for d in COLUMN_DTYPES if d != "|b1"]


def bits_strategy(dtype: str) -> st.SearchStrategy[np.ndarray]:
    width = np.dtype(dtype).itemsize
    return hnp.arrays(f"<u{width}", st.integers(0, 200))


@pytest.mark.parametrize("dtype", NUMERIC)
@settings(max_examples=60)
@given(data=st.data())
def test_ordered_view_round_trips(dtype: str, data: st.DataObject) -> None:
    bits = data.draw(bits_strategy(dtype))
    kind, width = tf.order_kind(dtype), 8 * bits.itemsize
    ordered, ok = tf.ordered_view(bits, kind, width, 0)
    assert ok.all()
    back = np.empty_like(bits)
    tf.bits_from_ordered(ordered, kind, width, 0, back)
    np.testing.assert_array_equal(back, bits)


@pytest.mark.parametrize("dtype", NUMERIC)
def test_ordered_view_keeps_order(dtype: str) -> None:
    values = np.array([1, 5, 100, 2, 0, 77], dtype)
    if np.dtype(dtype).kind != "u":
        values = np.concatenate([values, -values[:4]]).astype(dtype)
    kind = tf.order_kind(dtype)
    ordered, _ = tf.ordered_view(tf.bits_of(values), kind, 8 * values.itemsize, 0)
    assert (np.argsort(ordered, kind="stable") == np.argsort(values, kind="stable")).all()


def test_signed_zeros_and_nan_payloads_stay_apart() -> None:
    bits = np.array([0, 1 << 31, 0x7FC00001, 0xFFC12345, 0x7F800000], np.uint32)
    ordered, ok = tf.ordered_view(bits, tf.FLOAT, 32, 0)
    assert ok.all()
    assert len(set(ordered.tolist())) == len(bits)


def test_low_bits_that_should_be_zero_are_escapes() -> None:
    bits = np.array([1 << 12, (1 << 12) + 1], np.uint32)
    _, ok = tf.ordered_view(bits, tf.FLOAT, 32, 12)
    assert ok.tolist() == [True, False]


@settings(max_examples=60)
@given(hnp.arrays("<u8", st.integers(1, 100)), st.data())
def test_references_round_trip(ordered: np.ndarray, data: st.DataObject) -> None:
    n = len(ordered)
    reference = np.array([data.draw(st.integers(-1, i - 1)) for i in range(n)], np.int64)
    escape = np.array(data.draw(st.lists(st.booleans(), min_size=n, max_size=n)))
    folded = tf.subtract_reference(ordered, reference)
    folded[escape] = 0
    back = tf.add_reference(folded, reference, ~escape, ordered)
    np.testing.assert_array_equal(back, ordered)


@settings(max_examples=100)
@given(hnp.arrays("<u8", st.integers(1, 300)))
def test_segments_hold_what_they_were_fitted_to(ordered: np.ndarray) -> None:
    segments = tf.fit_segments(ordered)
    compact, ok = segments.compact(ordered)
    assert ok.all()
    assert int(compact.max()) <= segments.top
    np.testing.assert_array_equal(segments.ordered(compact), ordered)


def test_segments_close_the_gap_to_a_sentinel() -> None:
    values = np.concatenate([np.arange(1000, 1256), [1 << 40]]).astype(np.uint64)
    segments = tf.fit_segments(np.repeat(values, 50))
    assert segments.width == 9


def test_segments_at_the_top_of_the_range() -> None:
    top = np.array([0, (1 << 64) - 1], np.uint64)
    segments = tf.fit_segments(top)
    compact, ok = segments.compact(top)
    assert ok.all()
    assert compact.tolist() == [0, 1]
    _, ok = segments.compact(np.array([5], np.uint64))
    assert not ok.any()


def test_whole_range_of_64_bits() -> None:
    segments = tf.Segments(np.zeros(1, np.uint64), np.full(1, (1 << 64) - 1, np.uint64))
    values = np.array([0, 1, (1 << 64) - 1], np.uint64)
    compact, ok = segments.compact(values)
    assert ok.all()
    assert segments.width == 64
    np.testing.assert_array_equal(segments.ordered(compact), values)
