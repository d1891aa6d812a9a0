"""Tests of every kind of predictor: its predictions, and values restored bit for bit."""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.codec.predictors import plain
from vortex_hep.codec.predictors import KINDS, SAME_KEY, Input, Predictor, kinds
from vortex_hep.codec.predictors.scans import take_key
from vortex_hep.codec.tokens import transforms as tf
from vortex_hep.core.schema import COLUMN_DTYPES

NUMBERS = [d for d in COLUMN_DTYPES if d != "|b1"]
FLOATS = [d for d in NUMBERS if d[1] == "f"]


@dataclass
class Case:
    """What is to be known of a kind: numbers of inputs, parameters, and pinned results.

    ``pinned`` are parameters, inputs, and the bits of the prediction as binary64 in hexadecimal.
    """

    name: str
    inputs: tuple[int, int]
    parameters: Sequence[tuple[float, ...]]
    pinned: list[tuple[tuple[float, ...], tuple[float, ...], str]]


#: Every kind needs an entry.
CASES: dict[int, Case] = {
    1: Case("copy", (1, 1), [()], [((), (-0.0,), "8000000000000000")]),
    2: Case(
        "linear", (1, 4), [(0.5, -2.0), (0.0, 1.0, -1.0), (1.0, 1e300, 2.0, 3.0, -4.0)],
        [((0.1, 3.0, -0.7), (1.1, 2.3), "3FFCA3D70A3D70A6")],
    ),
    3: Case(
        "product", (1, 4), [(2.0, 1.0), (-0.3, 1.0, -1.0), (7.0, -1.0, -1.0, 1.0, 0.0)],
        [((0.1, 1.0, -1.0), (1.1, 2.3), "3FA87CA92EBF7189")],
    ),
    4: Case(
        "hypot", (1, 4), [(1.0, 1.0), (0.9, 1.0, -1.0), (-2.0, 1.0, 2.0, -2.0, -1.0)],
        [((2.0, 1.0, -1.0, 2.0), (1.1, 2.3, -0.5), "C010A59CA80B7BD9")],
    ),
    5: Case(
        "polar", (2, 2),
        [(1.5, f, m) for f in (0.0, 1.0, 2.0, 3.0, 4.0) for m in (0.0, 1.0, 2.0)]
        + [(1.0, 5.0, 0.0), (1.0, 0.5, 0.0), (1.0, 0.0, 3.0)],
        [((2.0, 0.0, 0.0), (1.1, 2.3), "BFF773F24CB50177"),
         ((2.0, 3.0, 1.0), (1.1, 2.3), "3FDBF3B12D6371EE"),
         ((2.0, 4.0, 2.0), (1.1, 2.3), "3FFDAE82AE12150A")],
    ),
    6: Case("magnitude", (1, 1), [(1.0,), (-0.1,)], [((3.0,), (-0.1,), "3FD3333333333334")]),
    7: Case("energy", (3, 3), [(1.0,), (0.5,)], [((1.0,), (1.1, 2.3, -0.4), "40161B1F1D32C867")]),
    32: Case("same-key", (1, 4), [()], []),
    33: Case("balance", (1, 2), [()], []),
    34: Case("inherit", (1, 1), [()], []),
    35: Case("drift", (4, 4), [()], []),
}  # fmt: skip
POINTWISE = [n for n, kind in KINDS.items() if kind.formula is not None]


def test_every_kind_has_a_case() -> None:
    assert CASES.keys() == KINDS.keys()
    for number, case in CASES.items():
        kind = KINDS[number]
        assert (kind.number, kind.name, kind.inputs) == (number, case.name, case.inputs)
        assert case.pinned or kind.formula is None


def test_no_kind_is_registered_twice() -> None:
    before = dict(KINDS)
    for number, name in ((1, "another"), (900, "copy")):
        with pytest.raises(ValueError, match="registered twice"):
            kinds._add(kinds.Kind(number, name, (1, 1), lambda n: 0, None))
        with pytest.raises(ValueError, match="registered twice"):
            kinds._register(number, name, (1, 1), lambda n: 0)(lambda x, p: x[0])
    assert before == KINDS


def inputs_of(count: int) -> tuple[Input, ...]:
    return tuple(Input("t", f"x{k}") for k in range(count))


def predictor(kind: int, parameters: tuple[float, ...], magnitude: bool = False) -> Predictor:
    """A predictor of as many inputs as the parameters are for."""
    low, high = CASES[kind].inputs
    count = next(n for n in range(low, high + 1) if KINDS[kind].parameters(n) == len(parameters))
    return Predictor(kind, inputs_of(count), parameters, magnitude)


class Columns:
    """Values of inputs by column name."""

    def __init__(self, columns: Mapping[str, np.ndarray], known: np.ndarray | None = None) -> None:
        self.columns = columns
        self.known = known

    @property
    def entry(self) -> np.ndarray:
        """All rows are of one entry."""
        return np.zeros(len(next(iter(self.columns.values()))), np.int64)

    def __call__(self, i: Input, /) -> tuple[np.ndarray, np.ndarray] | None:
        column = self.columns.get(i.column)
        if column is None:
            return None
        return column, np.ones(len(column), np.bool_) if self.known is None else self.known


@pytest.mark.parametrize("number", CASES)
def test_what_a_kind_allows(number: int) -> None:
    low, high = CASES[number].inputs
    for parameters in CASES[number].parameters:
        assert predictor(number, parameters).allowed
        given = predictor(number, parameters)
        for wrong in ((*parameters, 1.0), parameters[:-1] or (1.0, 1.0)):
            assert not Predictor(number, given.inputs, wrong).allowed
        for value in (math.nan, math.inf, -math.inf):
            if parameters:
                assert not Predictor(number, given.inputs, (value, *parameters[1:])).allowed
    for count in (low - 1, high + 1):
        assert not KINDS[number].allows(count, [1.0] * KINDS[number].parameters(count))
    assert not Predictor(1000 + number, inputs_of(low), ()).allowed


@pytest.mark.parametrize("number", POINTWISE)
def test_predictions_are_pinned(number: int) -> None:
    for parameters, values, expected in CASES[number].pinned:
        formula = KINDS[number].formula
        assert formula is not None
        found = formula([np.array([v]) for v in values], parameters)
        assert struct.pack(">d", found[0]).hex().upper() == expected
        assert (
            struct.pack(">d", plain.predict(number, parameters, values)).hex().upper() == expected
        )


ANY_FLOAT = st.one_of(
    st.floats(), st.floats(-4, 4), st.sampled_from([0.0, -0.0, 5e-324, math.inf, math.nan, 710.0])
)


@pytest.mark.parametrize("number", POINTWISE)
@settings(max_examples=60)
@given(data=st.data())
def test_formulas_are_those_of_the_format(number: int, data: st.DataObject) -> None:
    parameters = data.draw(st.sampled_from(CASES[number].parameters))
    made = predictor(number, parameters)
    rows = data.draw(st.lists(st.tuples(*[ANY_FLOAT] * len(made.inputs)), min_size=1, max_size=9))
    formula = KINDS[number].formula
    assert formula is not None
    with np.errstate(all="ignore"):
        found = formula([np.array(c) for c in zip(*rows, strict=True)], parameters)
    for row, value in zip(rows, found.tolist(), strict=True):
        wanted = plain.predict(number, parameters, row)
        if math.isfinite(wanted):
            assert struct.pack("<d", value) == struct.pack("<d", wanted)
        else:
            assert not math.isfinite(value)


def from_bits(drawn: list[int], dtype: str) -> np.ndarray:
    width = np.dtype(dtype).itemsize
    mask = (1 << 8 * width) - 1
    return np.array([v & mask for v in drawn], f"<u{width}").view(dtype)


@st.composite
def any_bits(draw: st.DrawFn, dtype: str, rows: int) -> np.ndarray:
    """Values of a dtype among which are NaN payloads, infinities, zeros and extremes."""
    width = 8 * np.dtype(dtype).itemsize
    special = [0, 1, 1 << (width - 1), (1 << width) - 1, (1 << (width - 1)) - 1]
    if dtype[1] == "f":
        inf = {16: 0x7C00, 32: 0x7F800000, 64: 0x7FF << 52}[width]
        special += [inf, inf | 1 << (width - 1), inf + 1, inf - 1, inf | (1 << (width - 1)) + 77]
        near = {16: 0x3C00, 32: 0x3F800000, 64: 0x3FF << 52}[width]
        special += [near, near + 3]
    one = st.one_of(st.integers(0, (1 << width) - 1), st.sampled_from(special))
    return from_bits(draw(st.lists(one, min_size=rows, max_size=rows)), dtype)


def ordered_of(column: np.ndarray, shift: int) -> tuple[np.ndarray, np.ndarray]:
    kind, width = tf.order_kind(column.dtype.str), 8 * column.dtype.itemsize
    ordered, ok = tf.ordered_view(tf.bits_of(column), kind, width, shift)
    return ordered, ok


def shifts(dtype: str) -> st.SearchStrategy[int]:
    if dtype[1] != "f":
        return st.just(0)
    width = 8 * np.dtype(dtype).itemsize
    return st.sampled_from([0, 1, width // 2, width - 2, width - 1])


@pytest.mark.parametrize("dtype", NUMBERS)
@pytest.mark.parametrize("number", CASES)
@settings(max_examples=12)
@given(data=st.data())
def test_any_bits_come_back(number: int, dtype: str, data: st.DataObject) -> None:
    if dtype not in (KINDS[number].dtypes or NUMBERS):
        return  # models with such a field are rejected
    rows = data.draw(st.integers(0, 12))
    shift = data.draw(shifts(dtype))
    magnitude = data.draw(st.booleans()) and dtype[1] == "f" and number in POINTWISE
    made = predictor(number, data.draw(st.sampled_from(CASES[number].parameters)), magnitude)
    others = {
        i.column: data.draw(any_bits(data.draw(st.sampled_from(NUMBERS)), rows))
        for i in made.inputs
    }
    known = np.array(data.draw(st.lists(st.booleans(), min_size=rows, max_size=rows)), np.bool_)
    values = Columns(others, known)
    column = data.draw(any_bits(dtype, rows))
    ordered, ok = ordered_of(column, shift)
    folded = made.fold(ordered, dtype, shift, values)
    escaped = np.array(data.draw(st.lists(st.booleans(), min_size=rows, max_size=rows)), np.bool_)
    garbage = np.where(escaped, np.uint64(data.draw(st.integers(0, (1 << 64) - 1))), folded)
    back = made.unfold(garbage, ~escaped, ordered, dtype, shift, values)
    assert np.array_equal(back[~escaped], ordered[~escaped])
    bits = np.zeros(rows, f"<u{column.dtype.itemsize}")
    width = 8 * column.dtype.itemsize
    tf.bits_from_ordered(back, tf.order_kind(dtype), width, shift, bits)
    good = ok & ~escaped
    assert np.array_equal(bits[good], tf.bits_of(column)[good])


@pytest.mark.parametrize("dtype", NUMBERS)
@pytest.mark.parametrize("number", POINTWISE)
@settings(max_examples=15)
@given(data=st.data())
def test_differences_are_those_of_the_format(number: int, dtype: str, data: st.DataObject) -> None:
    rows = data.draw(st.integers(1, 6))
    shift = data.draw(shifts(dtype))
    magnitude = data.draw(st.booleans()) and dtype[1] == "f"
    made = predictor(number, data.draw(st.sampled_from(CASES[number].parameters)), magnitude)
    # Of numbers alone: NumPy and Python need not agree on which NaN a sum is.
    draw = st.lists(st.floats(-1e3, 1e3) | ANY_FLOAT, min_size=rows, max_size=rows)
    others = {i.column: np.array(data.draw(draw)) for i in made.inputs}
    column = data.draw(any_bits(dtype, rows))
    ordered, _ = ordered_of(column, shift)
    found = made.fold(ordered, dtype, shift, Columns(others))
    for r in range(rows):
        row = [float(others[i.column][r]) for i in made.inputs]
        if number == 1 and dtype == "<f8":
            u = int(others["x0"].view("<u8")[r])
            guess: int | None = plain.ordered(u, dtype, shift)
        else:
            guess = plain.expected(plain.predict(number, made.parameters, row), dtype, shift)
        assert plain.ordered(int(tf.bits_of(column)[r]), dtype, shift) == int(ordered[r])
        assert int(found[r]) == plain.folded(int(ordered[r]), guess, dtype, shift, magnitude)


@pytest.mark.parametrize("dtype", NUMBERS)
def test_copies_of_the_same_type_leave_nothing(dtype: str) -> None:
    width = np.dtype(dtype).itemsize
    rng = np.random.default_rng(3)
    column = rng.integers(0, 1 << 63, 200, "u8").astype(f"<u{width}").view(dtype)
    values = Columns({"x0": column})
    made = Predictor(1, inputs_of(1))
    shift = 8 if dtype[1] == "f" else 0
    ordered, _ = ordered_of(column, shift)
    assert not made.fold(ordered, dtype, shift, values).any()
    if dtype[1] == "f":
        negated = column.copy()
        negated.view(f"<u{width}")[::2] ^= np.array(1 << (8 * width - 1), f"<u{width}")
        folded = Predictor(1, inputs_of(1), (), True).fold(
            ordered_of(negated, shift)[0], dtype, shift, values
        )
        assert folded.max() == 1


@pytest.mark.parametrize("dtype", NUMBERS)
@settings(max_examples=40)
@given(value=ANY_FLOAT | st.floats(-1e20, 1e20), data=st.data())
def test_predictions_are_rounded_as_the_format_says(
    dtype: str, value: float, data: st.DataObject
) -> None:
    shift = data.draw(shifts(dtype))
    with np.errstate(all="ignore"):
        found, known = tf.ordered_from_reals(np.array([value]), np.ones(1, np.bool_), dtype, shift)
    wanted = plain.expected(value, dtype, shift)
    assert bool(known[0]) == (wanted is not None)
    if wanted is not None:
        assert int(found[0]) == wanted


@pytest.mark.parametrize(
    ("dtype", "value", "expected"),
    [
        ("|u1", 255.4, 255), ("|u1", 255.5, None), ("|u1", -0.5, 0), ("|u1", -0.51, None),
        ("|u1", 2.5, 2), ("|i1", 127.5, None), ("|i1", -128.5, 0), ("|i1", -129.0, None),
        ("<u8", 2.0**64, None), ("<u8", 2.0**64 - 2048, (1 << 64) - 2048),
        ("<i8", 2.0**63, None), ("<i8", -(2.0**63), 0), ("<i8", 1.0, (1 << 63) + 1),
        ("<f2", 65519.9, 0x8000 + 0x7BFF), ("<f2", 65520.0, 0x8000 + 0x7C00), ("<f2", 1e9, 0xFC00),
        ("<f4", 1e-46, 1 << 31), ("<f4", -1e-46, (1 << 31) - 1), ("<f4", math.nan, None),
        ("<f8", math.inf, None),
    ],
)  # fmt: skip
def test_predictions_at_the_edges(dtype: str, value: float, expected: int | None) -> None:
    with np.errstate(all="ignore"):
        found, known = tf.ordered_from_reals(np.array([value]), np.ones(1, np.bool_), dtype, 0)
    assert bool(known[0]) == (expected is not None)
    if expected is not None:
        assert int(found[0]) == expected


@pytest.mark.parametrize("number", POINTWISE)
def test_same_predictions_wherever_a_row_stands(number: int) -> None:
    rng = np.random.default_rng(number)
    for parameters in CASES[number].parameters:
        made = predictor(number, parameters)
        others = {i.column: rng.normal(0, 2, 71).astype("<f4") for i in made.inputs}
        ordered = rng.integers(0, 1 << 32, 71, "u8")
        whole = made.fold(ordered, "<f4", 0, Columns(others))
        for start, size in ((0, 1), (1, 2), (2, 3), (3, 5), (5, 7), (1, 31), (7, 64)):
            part = slice(start, start + size)
            some = Columns({name: c[part] for name, c in others.items()})
            assert np.array_equal(made.fold(ordered[part], "<f4", 0, some), whole[part])


def test_latest_row_of_the_same_key() -> None:
    a = np.array([1.0, 2.0, 1.0, np.nan, 1.0, np.nan, -0.0, 0.0, 2.0])
    assert take_key([a]).tolist() == [-1, -1, 0, -1, 2, 3, -1, -1, 1]
    b = np.array([0, 0, 1, 0, 0, 0, 0, 0, 0], "|i1")
    assert take_key([a, b]).tolist() == [-1, -1, -1, -1, 0, 3, -1, -1, 1]
    assert take_key([a[:0], b[:0]]).tolist() == []


@settings(max_examples=50)
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3), st.integers(0, 2)), max_size=40))
def test_latest_row_of_several_keys(rows: list[tuple[int, int, int]]) -> None:
    keys = [np.array([r[k] for r in rows], "<u2") for k in range(3)]
    last: dict[tuple[int, ...], int] = {}
    wanted = []
    for i, row in enumerate(rows):
        wanted.append(last.get(row, -1))
        last[row] = i
    assert take_key(keys).tolist() == wanted


def test_same_key_repeats_escapes_too() -> None:
    made = Predictor(SAME_KEY.number, inputs_of(1))
    values = Columns({"x0": np.array([1, 2, 1, 1])})
    ordered = np.array([100, 50, 100, 101], np.uint64)
    folded = made.fold(ordered, "<u8", 0, values)
    assert folded.tolist() == [200, 100, 0, 2]
    ok = np.array([False, True, True, True])
    assert made.unfold(folded, ok, ordered, "<u8", 0, values).tolist() == ordered.tolist()


def test_missing_inputs() -> None:
    made = Predictor(2, inputs_of(2), (0.0, 1.0, 1.0))
    assert not made.available(Columns({"x0": np.zeros(3)}))
    assert made.available(Columns({"x0": np.zeros(3), "x1": np.zeros(3)}))
    with pytest.raises(KeyError, match="x1"):
        made.fold(np.zeros(3, np.uint64), "<f8", 0, Columns({"x0": np.zeros(3)}))


class TestRefitting:
    """A chunk's own first parameter."""

    x = np.random.default_rng(5).normal(2, 1, (3, 9000))

    def values(self, count: int) -> Columns:
        return Columns({f"x{k}": self.x[k] for k in range(count)})

    @pytest.mark.parametrize("number", [n for n in POINTWISE if n != 1])
    def test_a_factor_or_a_constant_is_found(self, number: int) -> None:
        parameters = {
            2: (1.0, 2.0, -1.0), 3: (1.0, 1.0, -1.0), 4: (1.0, 1.0, 1.0), 5: (1.0, 1.0, 0.0),
            6: (1.0,), 7: (1.0,),
        }[number]  # fmt: skip
        made = predictor(number, parameters)
        formula = KINDS[number].formula
        assert formula is not None
        reals = [self.x[k] for k in range(len(made.inputs))]
        wanted = formula(reals, (3.25, *parameters[1:]))
        found = made.refitted(wanted, self.values(3))
        assert found.parameter == pytest.approx(3.25, rel=1e-12)
        assert found.parameters[1:] == made.parameters[1:]
        assert made.with_parameter(3.25).refitted(wanted, self.values(3)).parameter == 3.25
        signed = np.where(np.arange(len(wanted)) % 2, wanted, -wanted)
        if not KINDS[number].adds and number != 5:
            only = Predictor(number, made.inputs, parameters, True)
            assert only.refitted(signed, self.values(3)).parameter == pytest.approx(3.25)

    def test_the_own_parameter_stays_where_it_is_as_good(self) -> None:
        made = Predictor(3, inputs_of(1), (2.0, 1.0))
        column = self.x[0] * 2.1 * np.random.default_rng(6).uniform(0.8, 1.2, len(self.x[0]))
        assert made.refitted(column, self.values(1)) is made

    @pytest.mark.parametrize("column", [
        np.full(50, np.nan), np.zeros(50), np.full(50, np.inf), np.zeros(0),
        np.array([1.7e308] * 50), np.array([1.7e308, -1.7e308] * 25),
    ])  # fmt: skip
    def test_nothing_is_made_of_nothing(self, column: np.ndarray) -> None:
        values = Columns({"x0": np.full(len(column), 1e-3), "x1": np.full(len(column), -1e300)})
        for made in (
            Predictor(3, inputs_of(1), (2.0, 1.0)), Predictor(2, inputs_of(1), (0.0, 1.0)),
            Predictor(3, inputs_of(2), (2.0, 1.0, 1.0)), Predictor(1, inputs_of(1)),
            Predictor(SAME_KEY.number, inputs_of(1)),
        ):  # fmt: skip
            found = made.refitted(column, values)
            assert found.allowed
            assert found.parameters[1:] == made.parameters[1:]
