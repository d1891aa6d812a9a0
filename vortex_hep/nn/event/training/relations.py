"""Search for exact arithmetic between columns, by trying formulas on a sample."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from vortex_hep.codec.predictors import SAME_KEY, Input, Predictor, Values, functions
from vortex_hep.codec.tokens import transforms as tf
from vortex_hep.nn.event.training import relation_search as rs
from vortex_hep.nn.event.training.candidates import Candidate
from vortex_hep.nn.event.training.decays import MOST_LEFT, Decays
from vortex_hep.nn.event.training.estimates import cost_estimate, trailing_zeros

Array = npt.NDArray[Any]

#: Columns whose values cost less than this many bits are left to the network, and those that
#: cost less than so many whatever may predict them.
_LEAST_BITS, _FEWEST_BITS = 5.0, 2.0
#: A prediction must leave at most this share of a value's bits, and save this many.
_MOST_LEFT = 0.85
_LEAST_SAVED = 1.0
#: Rows on which formulas are tried, and on which what they leave is measured.
_PROBES = 7
_SAMPLE = 1 << 13
#: Most columns that are tried together: in pairs, in threes, and in fours.
_MOST_PAIRS, _MOST_THREES, _MOST_FOURS = 160, 40, 16
_LIMIT = 64
#: A key has fewer values than this.
_MOST_KEYS = 2000
#: Every further input of a formula must save this much.
_INPUT_BITS = 0.3


@dataclass
class Found:
    """A predictor of a column, and the bits per row that it saves by an estimate."""

    target: Input
    predictor: Predictor
    saved: float


@dataclass
class _Target:
    column: Candidate
    ordered: Array
    shift: int
    bits: float


def find_relations(candidates: Sequence[Candidate], values: Values) -> list[Found]:
    """Choose predictors for columns of a table.

    Parameters
    ----------
    candidates : sequence of Candidate
        Number columns of the table, and of others that come before it, over the same rows.
    values : callable
        Gives the same columns, by input, to predictors.

    Returns
    -------
    list of Found
        At most one per column, those that save most first; no column is predicted, directly or
        not, from itself.
    """
    targets = [t for c in candidates if c.own and (t := _target(c)) is not None]
    useful = [c for c in candidates if _varies(c.reals)]
    found: list[Found] = []
    keys = _keys(candidates)
    decays = Decays(candidates, values)
    for t in targets:
        guesses = list(decays.guesses(t.column))
        if t.bits >= _LEAST_BITS:
            guesses += _guesses(t, useful)
            guesses += (k for k in keys if t.column.source not in k.inputs)
        for predictor in dict.fromkeys(guesses):
            left = _bits_left(t, predictor, values)
            most = MOST_LEFT.get(predictor.kind, _MOST_LEFT)
            if left <= most * t.bits and t.bits - left >= _LEAST_SAVED:
                found.append(Found(t.column.source, predictor, t.bits - left))
    return _without_circles(found)


def _keys(candidates: Sequence[Candidate]) -> list[Predictor]:
    """Columns of few integers: rows of one key may be alike."""
    out = []
    for c in candidates:
        if c.own and c.values.dtype.kind in "iu":
            count = len(np.unique(c.values[:_SAMPLE]))
            if 4 < count < min(_MOST_KEYS, len(c.values) // 16):
                out.append(Predictor(SAME_KEY.number, (c.source,)))
    return out


def _target(c: Candidate) -> _Target | None:
    kind = tf.order_kind(c.values.dtype.str)
    shift = trailing_zeros(c.values) if kind == tf.FLOAT else 0
    width = 8 * c.values.dtype.itemsize
    ordered, _ = tf.ordered_view(tf.bits_of(c.values), kind, width, shift)
    bits = cost_estimate(tf.fit_segments(ordered).compact(ordered)[0][:_SAMPLE])
    before = np.arange(-1, len(ordered) - 1)
    bits = min(bits, cost_estimate(tf.subtract_reference(ordered, before)[:_SAMPLE]))
    return _Target(c, ordered, shift, bits) if bits >= _FEWEST_BITS else None


def _varies(reals: Array) -> bool:
    some = reals[np.isfinite(reals)][:_SAMPLE]
    return len(some) > 1 and bool((some != some[0]).any())


def _bits_left(t: _Target, predictor: Predictor, values: Values) -> float:
    folded = predictor.fold(t.ordered, t.column.values.dtype.str, t.shift, values)
    return cost_estimate(tf.fit_segments(folded).compact(folded)[0][:_SAMPLE])


def _probes(reals: Array) -> Iterator[Array]:
    """Two sets of rows with values that are neither special nor often repeated."""
    some = reals[:_SAMPLE]
    _, inverse, counts = np.unique(some, return_inverse=True, return_counts=True)
    usual = np.isfinite(some) & (some != 0.0) & (counts[inverse.reshape(-1)] * 50 < len(some) + 50)
    rows = np.flatnonzero(usual)
    if len(rows) < 2 * _PROBES:
        return
    for part in np.array_split(rows, 2):
        yield part[np.linspace(0, len(part) - 1, _PROBES).astype(int)]


def _guesses(t: _Target, useful: Sequence[Candidate]) -> Iterator[Predictor]:
    """Formulas that fit a target on some rows."""
    others = [c for c in useful if c.source != t.column.source]
    for rows in _probes(t.column.reals):
        here = [c for c in others if np.isfinite(c.reals[rows]).all()][:_MOST_PAIRS]
        if not here:
            continue
        y = t.column.reals[rows]
        with np.errstate(all="ignore"):
            yield from _ones(t, y, here, rows)
            yield from _powers(t, y, here, rows)
            # What hardly varies here would stand for a constant.
            here = [c for c in here if len(np.unique(c.reals[rows])) > _PROBES // 2]
            yield from _twos(t, y, here, rows)
            floats = [c for c in others if c.own and c.values.dtype.kind == "f"]
            own = [c for c in floats if any(c is other for other in here)]
            yield from _sums(t, y, own[:_MOST_THREES], rows)
            yield from _squares(y, own[:_MOST_FOURS], floats[:_MOST_THREES], rows)
            yield from _energies(y, own[:_MOST_THREES], rows)


def _table(columns: Sequence[Candidate], rows: Array, empty: int = 0) -> Array:
    """Values of columns, and of so many columns of zeros: shape (columns + empty, rows)."""
    found = [c.reals[rows] for c in columns] + [np.zeros(len(rows))] * empty
    return np.array(found).reshape(-1, len(rows))


def _ones(t: _Target, y: Array, here: Sequence[Candidate], rows: Array) -> Iterator[Predictor]:
    x = _table(here, rows)
    for c, ratio in zip(here, y / x, strict=True):
        if not c.own:
            continue
        steady = np.abs(ratio / ratio[0] - 1) <= 0.01
        if steady.all():
            if c.values.dtype == t.column.values.dtype and np.all(ratio == 1):
                yield Predictor(1, (c.source,))
            for factor in _factors(t.column.reals, c.reals):
                yield Predictor(3, (c.source,), (factor, 1.0))
        elif (np.abs(np.abs(ratio / ratio[0]) - 1) <= 0.01).all():
            yield Predictor(6, (c.source,), (1.0,))
            yield Predictor(6, (c.source,), (1.0,), True)


def _powers(t: _Target, y: Array, here: Sequence[Candidate], rows: Array) -> Iterator[Predictor]:
    """Powers of one column: densities of lengths, squares of energies."""
    for c in here:
        x = c.reals[rows]
        for power in (-1, 2, -2, 3, -3):
            ratio = y / x**power
            if not c.own or not (np.abs(np.abs(ratio / ratio[0]) - 1) <= 0.01).all():
                continue
            signs = (1.0 if power > 0 else -1.0,) * abs(power)
            for factor in _factors(t.column.reals, c.reals**power):
                yield Predictor(3, (c.source,) * abs(power), (factor, *signs))


def _factors(y: Array, value: Array) -> Iterator[float]:
    """Factors between two columns: the median, and round numbers near it."""
    ratio = y[:_SAMPLE] / value[:_SAMPLE]
    ratio = ratio[np.isfinite(ratio) & (ratio != 0.0)]
    if not len(ratio):
        return
    middle = float(np.median(ratio))
    if np.isfinite(middle) and middle != 0.0:
        yield from dict.fromkeys(float(f"{middle:.{digits}e}") for digits in (0, 2, 4, 16))


def _twos(t: _Target, y: Array, here: Sequence[Candidate], rows: Array) -> Iterator[Predictor]:
    if len(here) < 2:
        return
    x = _table(here, rows)
    fx = np.stack([f(x) for f in functions.ANGULAR], axis=1)
    found = np.zeros((_LIMIT, 3), np.int64)
    own = np.array([c.own for c in here], np.bool_)
    for form, i, j in found[: rs.search_pairs(y, x, fx, own, found, _LIMIT)].tolist():
        a, b = here[i], here[j]
        inputs = (a.source, b.source)
        make, value = _pair_maker(form, a.reals, b.reals)
        one_sign = bool((np.sign(y) == np.sign(value[rows])).all()) or bool(
            (np.sign(y) == -np.sign(value[rows])).all()
        )
        for factor in _factors(
            t.column.reals if one_sign else np.abs(t.column.reals),
            value if one_sign else np.abs(value),
        ):
            kind, parameters = make(factor)
            yield Predictor(kind, inputs, parameters, not one_sign)


Maker = Callable[[float], "tuple[int, tuple[float, ...]]"]


def _pair_maker(form: int, a: Array, b: Array) -> tuple[Maker, Array]:
    """Kind and parameters for a factor, and the values without it."""
    if form in (rs.SUM, rs.DIFFERENCE):
        sign = 1.0 if form == rs.SUM else -1.0
        return lambda c: (2, (0.0, c, sign * c)), a + sign * b
    if form in (rs.PRODUCT, rs.RATIO, rs.INVERSE):
        first = -1.0 if form == rs.INVERSE else 1.0
        second = 1.0 if form == rs.PRODUCT else -1.0
        value = (a if first > 0 else 1.0 / a) * (b if second > 0 else 1.0 / b)
        return lambda c: (3, (c, first, second)), value
    if form in (rs.HYPOT, rs.LEG):
        sign = 1.0 if form == rs.HYPOT else -1.0
        return lambda c: (4, (c, 1.0, sign)), np.sqrt(np.abs(a * a + sign * b * b))
    number, mode = divmod(form - rs.POLAR, rs.MODES)
    f = functions.ANGULAR[number](b)
    value = a * f if mode == 0 else a / f if mode == 1 else 1.0 / (a * f)
    return lambda c: (5, (c, float(number), float(mode))), value


def _sums(t: _Target, y: Array, own: Sequence[Candidate], rows: Array) -> Iterator[Predictor]:
    # A sum tells something only of terms of its own size.
    size = float(np.abs(y).mean())
    alike = [c for c in own if size / 50 < float(np.abs(c.reals[rows]).mean()) < size * 50]
    if not alike:
        return
    x = _table(alike, rows, 2)
    mine = np.array([True] * len(alike) + [False] * 2)
    found = np.zeros((_LIMIT, 4), np.int64)
    near = 2e-3 * float(np.abs(y - y.mean()).mean())
    for i, j, k, signs in found[: rs.search_sums(y, x, mine, near, found, _LIMIT)].tolist():
        terms = [(alike[n], 1.0 if signs & bit else -1.0)
                 for n, bit in ((i, 1), (j, 2), (k, 4)) if n < len(alike)]  # fmt: skip
        rest = t.column.reals[:_SAMPLE] - sum(s * c.reals[:_SAMPLE] for c, s in terms)
        rest = rest[np.isfinite(rest)]
        if not len(rest):
            continue
        middle = float(np.median(rest))
        inputs = tuple(c.source for c, _ in terms)
        for constant in dict.fromkeys((float(f"{middle:.2g}"), float(f"{middle:.5g}"), 0.0)):
            yield Predictor(2, inputs, (constant, *(s for _, s in terms)))


def _squares(
    y: Array, own: Sequence[Candidate], floats: Sequence[Candidate], rows: Array
) -> Iterator[Predictor]:
    """Sums of three or four squares; ``floats`` are all columns that may be a fourth."""
    if len(own) < 3:
        return
    found = np.zeros((_LIMIT, 5), np.int64)
    squares = _table(own, rows, 1) ** 2 / (y * y)
    tells = (squares > 1e-3).any(axis=1)
    for *places, minus in found[
        : rs.search_squares(y, _table(own, rows, 1), found, _LIMIT)
    ].tolist():
        if not all(tells[n] for n in places if n < len(own)):
            continue  # a term that adds nothing
        kept = [(own[n], -1.0 if minus >> bit & 1 else 1.0)
                for bit, n in enumerate(places) if n < len(own)]  # fmt: skip
        yield from _signed(kept)
        if len(kept) < 4:
            # What adds little on these rows, a mass say, may add much on others.
            for more in floats:
                if all(more is not c for c, _ in kept):
                    yield from _signed([*kept, (more, 1.0)])


def _signed(terms: Sequence[tuple[Candidate, float]]) -> Iterator[Predictor]:
    """Roots of signed squares, with the signs given, and with one of them taken from its column."""
    inputs = tuple(c.source for c, _ in terms)
    yield Predictor(4, inputs, (1.0, *(s for _, s in terms)))
    # A mass may be negative: it then stands for a negative square.
    for n, (c, s) in enumerate(terms):
        if s > 0 and (c.reals[:_SAMPLE] < 0).any():
            signs = [2.0 if m == n else other for m, (_, other) in enumerate(terms)]
            yield Predictor(4, inputs, (1.0, *signs))


def _energies(y: Array, own: Sequence[Candidate], rows: Array) -> Iterator[Predictor]:
    if len(own) < 3:
        return
    x = _table(own, rows)
    found = np.zeros((_LIMIT, 3), np.int64)
    count = rs.search_energies(y, x, functions.cosh(x), found, _LIMIT)
    for places in found[:count].tolist():
        yield Predictor(7, tuple(own[n].source for n in places), (1.0,))


def _without_circles(found: Sequence[Found]) -> list[Found]:
    """Keep the best predictor of each column that makes no circle with those kept before."""
    kept: dict[Input, Found] = {}

    def leans_on(column: Input, other: Input) -> bool:
        if column == other:
            return True
        mine = kept.get(column)
        return mine is not None and any(leans_on(i, other) for i in mine.predictor.inputs)

    for f in sorted(found, key=lambda f: _INPUT_BITS * len(f.predictor.inputs) - f.saved):
        if f.target in kept or any(leans_on(i, f.target) for i in f.predictor.inputs):
            continue
        kept[f.target] = f
    return list(kept.values())
