"""Detection of decay relations: conserved sums, positions and flights along links."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from vortex_hep.codec.predictors import BALANCE, DRIFT, INHERIT, Predictor, Values
from vortex_hep.codec.predictors.trees import list_starts, places
from vortex_hep.nn.event.training.candidates import Candidate

Array = npt.NDArray[Any]

#: Share of a value's bits that predictors of these kinds may leave. A network knows the row that
#: is pointed to as well, so copies of it alone must be nearly all there is.
MOST_LEFT = {BALANCE.number: 0.92, INHERIT.number: 0.75, DRIFT.number: 0.9}
#: Rows that must have a parent, and rows by which flights are found.
_LEAST_PARENTS = 0.2
_PROBES = 9
#: How near a place must be to where a flight leads, as a share of its length.
_NEAR = 1e-3


class Decays:
    """Columns of a table whose rows descend from one another.

    Parameters
    ----------
    candidates : sequence of Candidate
    values : callable
        Tells the entries of the same rows.
    """

    def __init__(self, candidates: Sequence[Candidate], values: Values) -> None:
        own = [c for c in candidates if c.own]
        self._first = list_starts(values.entry)
        whole = [(c, _places(c)) for c in own if c.values.dtype.kind in "iu"]
        rows = np.arange(len(self._first))
        self._parents = [
            (c, np.where(p >= 0, self._first + p, -1))
            for c, p in whole
            if (p < rows - self._first).all()
            and (p >= -1).all()
            and (p >= 0).mean() >= _LEAST_PARENTS
        ]
        ends = np.searchsorted(values.entry, values.entry, "right") - self._first
        self._partners = [
            c for c, p in whole if (p < ends).all() and (p >= 0).any() and (p == -1).mean() > 0.5
        ]
        self._floats = [c for c in own if c.values.dtype.str in BALANCE.dtypes]

    def guesses(self, target: Candidate) -> Iterator[Predictor]:
        """Predictors along links that a column may have."""
        if not any(target is c for c in self._floats):
            return
        for parent, rows in self._parents:
            alone = (parent.source,)
            yield Predictor(INHERIT.number, alone)
            yield Predictor(BALANCE.number, alone)
            for partner in self._partners:
                if partner is not parent:
                    yield Predictor(BALANCE.number, (parent.source, partner.source))
            for time, momentum, energy in self._flights(target, rows):
                inputs = (parent, time, momentum, energy)
                yield Predictor(DRIFT.number, tuple(c.source for c in inputs))

    def _flights(
        self, target: Candidate, parents: Array
    ) -> Iterator[tuple[Candidate, Candidate, Candidate]]:
        """Time, momentum and energy of flights that lead from parents' places to a column's."""
        rows = np.flatnonzero(parents >= 0)
        start = parents[rows]
        with np.errstate(all="ignore"):
            away = target.reals[rows] - target.reals[start]
            far = np.isfinite(away) & (np.abs(away) > 1e-6 * np.abs(target.reals[start]))
        rows, start, away = rows[far], start[far], away[far]
        if len(rows) < _PROBES:
            return
        some = np.linspace(0, len(rows) - 1, _PROBES).astype(int)
        rows, start, away = rows[some], start[some], away[some]
        others = [c for c in self._floats if c is not target]
        with np.errstate(all="ignore"):
            for time in others:
                passed = time.reals[rows] - time.reals[start]
                if not (np.abs(passed) > 0).all():
                    continue
                for momentum in others:
                    speed = away / passed / momentum.reals[start]
                    for energy in others:
                        if len({id(c) for c in (time, momentum, energy)}) < 3:
                            continue
                        off = np.abs(speed * energy.reals[start] - 1) > _NEAR
                        # Few may come from elsewhere, or fly too short to tell.
                        if off.sum() <= _PROBES // 3:
                            yield time, momentum, energy


def _places(c: Candidate) -> Array:
    return places(c.values, np.ones(len(c.values), np.bool_))
