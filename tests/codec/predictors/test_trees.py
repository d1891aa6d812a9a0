"""Tests of predictors along links between rows, against the specification."""

from __future__ import annotations

import math
import struct
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.codec.predictors import plain
from vortex_hep.codec.predictors import BALANCE, DRIFT, INHERIT, Input, Predictor
from vortex_hep.codec.predictors.trees import list_starts, places
from vortex_hep.codec.tokens import transforms as tf

NAMES = ("parent", "partner", "t", "p", "e")
INPUTS = {
    (BALANCE.number, 1): ("parent",), (BALANCE.number, 2): ("parent", "partner"),
    (INHERIT.number, 1): ("parent",), (DRIFT.number, 4): ("parent", "t", "p", "e"),
}  # fmt: skip
NUMBERS = st.one_of(
    st.floats(-1e3, 1e3), st.sampled_from([0.0, -0.0, 1e308, -1e308, math.inf, math.nan, 5e-324])
)


class Lists:
    """Columns of rows in lists."""

    def __init__(self, columns: dict[str, np.ndarray], counts: list[int]) -> None:
        self.columns = columns
        self.entry = np.repeat(np.arange(len(counts)), counts)

    def __call__(self, i: Input, /) -> tuple[np.ndarray, np.ndarray]:
        column = self.columns[i.column]
        return column, np.ones(len(column), np.bool_)


def made(kind: int, count: int) -> Predictor:
    return Predictor(kind, tuple(Input("t", name) for name in INPUTS[kind, count]))


def number(o: int, dtype: str, shift: int) -> float:
    """The float of an ordered integer."""
    s = 1 << (8 * int(dtype[2]) - 1)
    half = s >> shift
    u = (o - half) << shift if o >= half else s | (half - 1 - o) << shift
    packed = u.to_bytes(int(dtype[2]), "little")
    return float(struct.unpack(plain.FORMATS[dtype], packed)[0])


def expected(
    made: Predictor, ordered: list[int], lists: Lists, dtype: str, shift: int
) -> list[int | None]:
    """Predictions for all rows, list by list, as SPEC 6.8.10 to 6.8.12 say them."""
    out: list[int | None] = []
    bounds = [*np.flatnonzero(np.diff(lists.entry, prepend=-1)).tolist(), len(lists.entry)]
    for first, stop in pairwise(bounds):
        rows = range(stop - first)
        given = {n: lists.columns[n][first:stop].tolist() for n in lists.columns}
        o = ordered[first:stop]
        parent = [n if 0 <= n < j else None for j, n in enumerate(given["parent"])]
        if made.name == "balance":
            x = [number(v, dtype, shift) for v in o]
            leader: list[int | None] = [None for _ in rows]
            if len(made.inputs) > 1:
                leader = [n if 0 <= n < len(rows) else None for n in given["partner"]]
            total = [0.0 for _ in rows]
            for r in rows:
                q, e = parent[r], None
                if q is not None and r == max(k for k in rows if parent[k] == q) and all(
                    k < r for k in rows if leader[k] == q
                ):  # fmt: skip
                    e = plain.expected(total[q], dtype, shift)
                out.append(e)
                total[r] = total[r] + x[r]
                m = leader[r]
                if m is not None:
                    total[m] = total[m] + x[r]
                if q is not None:
                    total[q] = total[q] - x[r]
            continue
        for r in rows:
            q = parent[r]
            like = [k for k in range(r) if q is not None and parent[k] == q]
            if q is None:
                out.append(None)
            elif like:
                out.append(o[like[-1]])
            elif made.name == "inherit":
                out.append(o[q])
            else:
                t, p, e = (given[n] for n in ("t", "p", "e"))
                speed = p[q] / e[q] if e[q] != 0 else math.nan
                y = number(o[q], dtype, shift) + (t[r] - t[q]) * speed
                out.append(plain.expected(y, dtype, shift))
    return out


@st.composite
def cases(draw: st.DrawFn, dtype: str) -> tuple[Lists, np.ndarray]:
    counts = draw(st.lists(st.integers(0, 7), min_size=1, max_size=4))
    rows = sum(counts)
    place = st.one_of(st.integers(-1, 6), st.sampled_from([-128, 127]))
    columns = {
        name: np.array(draw(st.lists(place, min_size=rows, max_size=rows)), draw(
            st.sampled_from(["|i1", "<i2", "<i8"])
        ))
        for name in NAMES[:2]
    }  # fmt: skip
    for name in NAMES[2:]:
        columns[name] = np.array(draw(st.lists(NUMBERS, min_size=rows, max_size=rows)))
    with np.errstate(all="ignore"):
        values = np.array(draw(st.lists(NUMBERS, min_size=rows, max_size=rows)), dtype)
    return Lists(columns, counts), values


@pytest.mark.parametrize("dtype", ["<f4", "<f8"])
@pytest.mark.parametrize(("kind", "count"), INPUTS)
@settings(max_examples=80)
@given(data=st.data())
def test_predictions_are_those_of_the_format(
    kind: int, count: int, dtype: str, data: st.DataObject
) -> None:
    lists, column = data.draw(cases(dtype))
    shift = data.draw(st.sampled_from([0, 1, 12, 8 * column.itemsize - 2]))
    predictor = made(kind, count)
    ordered, _ = tf.ordered_view(tf.bits_of(column), tf.FLOAT, 8 * column.itemsize, shift)
    found = predictor.fold(ordered, dtype, shift, lists)
    wanted = expected(predictor, ordered.tolist(), lists, dtype, shift)
    assert found.tolist() == [
        plain.folded(o, e, dtype, shift, False)
        for o, e in zip(ordered.tolist(), wanted, strict=True)
    ]
    rows = len(column)
    escaped = np.array(data.draw(st.lists(st.booleans(), min_size=rows, max_size=rows)), np.bool_)
    garbage = np.where(escaped, np.uint64(12345), found)
    back = predictor.unfold(garbage, ~escaped, ordered, dtype, shift, lists)
    assert np.array_equal(back, ordered)


def test_what_comes_of_a_row_adds_up() -> None:
    lists = Lists({"parent": np.array([-1, 0, 0, -1, 0, 0])}, [3, 3])
    column = np.array([0.1, 0.7, 0.1 - 0.7, 5.0, 2.0, 3.0])
    ordered, _ = tf.ordered_view(tf.bits_of(column), tf.FLOAT, 64, 0)
    found = made(BALANCE.number, 1).fold(ordered, "<f8", 0, lists)
    assert (found == 0).tolist() == [False, False, True, False, False, True]


def test_lists_and_places() -> None:
    assert list_starts(np.array([0, 0, 2, 2, 2, 5])).tolist() == [0, 0, 2, 2, 2, 5]
    assert list_starts(np.zeros(0, np.int64)).tolist() == []
    there = np.array([True, False, True])
    assert places(np.array([3, 4, 1 << 63], np.uint64), there).tolist() == [3, -1, -1]
    assert places(np.array([1.0, 2.0, 3.0]), there).tolist() == [-1, -1, -1]
