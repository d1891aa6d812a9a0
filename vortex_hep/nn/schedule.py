"""The training schedule: learning rate, time budget, early stopping.

Without torch, so that every trainer and every command can use it.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

T = TypeVar("T")


def cosine_with_warmup(
    step: float, steps: float, warmup: float, floor: float, peak: float = 1.0
) -> float:
    """Return the learning rate of a step: a linear warm-up times a cosine.

    Parameters
    ----------
    step : float
        Steps taken before; a fraction where a clock drives the schedule.
    steps : float
        Where the cosine ends.
    warmup : float
        Steps of the warm-up; 0 and 1 are none.
    floor : float
        What is left at the end, as a fraction of ``peak``.
    peak : float

    Examples
    --------
    >>> [round(cosine_with_warmup(n, 100, 10, 0.1), 3) for n in (0, 9, 50, 100)]
    [0.1, 0.982, 0.55, 0.1]
    """
    warm = min(1.0, (step + 1) / max(1, warmup))
    # The order of the operations is fixed: what was trained with a seed must come out the same.
    return peak * warm * (floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * step / steps)))


@dataclass
class Pace:
    """Where a training stands between its first and its last step.

    Parameters
    ----------
    steps : int
        Optimiser steps.
    rate : float
        Peak learning rate.
    warmup : float
        Steps of the warm-up.
    floor : float
        Last learning rate over ``rate``.
    seconds : float, optional
        Limit on the wall clock. It drives the schedule where it is nearer than the last step, so
        that a training that is cut short still ends with small steps.
    step : int
        Steps taken.
    spent : float
        Seconds spent before this object was made.

    Examples
    --------
    >>> pace = Pace(steps=4, rate=1.0, warmup=1, floor=0.0)
    >>> rates = []
    >>> pace.take(rates.append, 2)
    >>> [round(r, 3) for r in rates], pace.step, pace.over
    ([1.0, 0.854], 2, False)
    """

    steps: int
    rate: float
    warmup: float
    floor: float
    seconds: float | None = None
    step: int = 0
    spent: float = 0.0
    _began: float = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._began = time.monotonic()

    @property
    def elapsed(self) -> float:
        """Seconds since the training began, without those between two runs of it."""
        return self.spent + time.monotonic() - self._began

    @property
    def position(self) -> float:
        """Place in the schedule, in steps: the later of what steps and clock say."""
        if self.seconds is None:
            return self.step
        return min(self.steps, max(self.step, self.steps * (self.elapsed / self.seconds)))

    @property
    def over(self) -> bool:
        """Whether the last step is taken or the time is up."""
        return self.position >= self.steps

    def current_rate(self) -> float:
        """Return the learning rate of the next step."""
        return cosine_with_warmup(self.position, self.steps, self.warmup, self.floor, self.rate)

    def take(
        self, step: Callable[[float], T], limit: int, report: Callable[[T], None] | None = None
    ) -> None:
        """Take up to ``limit`` steps, fewer where the training is over.

        This is the one loop that all trainers share; what a step does is theirs.

        Parameters
        ----------
        step : callable
            Called with the learning rate.
        limit : int
        report : callable, optional
            Called after each step, once it counts as taken, with what the step returned.
        """
        for _ in range(limit):
            if self.over:
                return
            taken = step(self.current_rate())
            self.step += 1
            if report is not None:
                report(taken)


@dataclass
class EarlyStopping:
    """Says when a figure that should fall has stopped to do so.

    Parameters
    ----------
    patience : int
        Updates in a row without a clear improvement after which to stop.
    min_delta : float
        What a clear improvement is: at least so much below the last one.

    Examples
    --------
    >>> stopping = EarlyStopping(patience=2, min_delta=0.1)
    >>> [stopping.update(v) for v in (3.0, 2.5, 2.45, 2.48)], stopping.best, stopping.stop
    ([True, True, True, False], 2.45, True)
    """

    patience: int = 5
    min_delta: float = 1e-4
    best: float = math.inf
    waited: int = 0
    _reference: float = field(default=math.inf, repr=False)

    def update(self, value: float) -> bool:
        """Take note of a figure; return whether it is the lowest so far (NaN never is).

        Several small improvements count as a clear one once they add up to it.
        """
        if value <= self._reference - self.min_delta:
            self._reference = value
            self.waited = 0
        else:
            self.waited += 1
        if value < self.best:
            self.best = value
            return True
        return False

    @property
    def stop(self) -> bool:
        """Whether patience is at its end."""
        return self.waited >= self.patience

    def state(self) -> dict[str, float | None]:
        """Return what :meth:`restore` takes, as JSON knows it."""
        known = math.isfinite(self.best), math.isfinite(self._reference)
        return {
            "best": self.best if known[0] else None,
            "reference": self._reference if known[1] else None,
            "waited": self.waited,
        }

    def restore(self, state: dict[str, float | None]) -> None:
        """Go on where another object was when it gave its :meth:`state`."""
        best, reference = state["best"], state["reference"]
        self.best = math.inf if best is None else best
        self._reference = math.inf if reference is None else reference
        self.waited = int(state["waited"] or 0)
