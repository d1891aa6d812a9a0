"""Figures of a job's files, in columns."""

from __future__ import annotations

from array import array
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vortex_hep.batch.states import Outcome


@dataclass
class Series:
    """Some 40 bytes per file: small for 100,000 files.

    Parameters
    ----------
    ratios : array of float
        Source over stored bytes; NaN where there is none.
    speeds : array of float
        MB of source per second of work on the file; NaN where no time was taken.
    started, finished : array of float
        Seconds since 1970; for failed files too, as ``workers``.
    workers : array of int
        Number of the worker in ``names``.
    names : dict
        Workers and their numbers, in order of appearance.
    """

    ratios: array[float] = field(default_factory=lambda: array("d"))
    speeds: array[float] = field(default_factory=lambda: array("d"))
    started: array[float] = field(default_factory=lambda: array("d"))
    finished: array[float] = field(default_factory=lambda: array("d"))
    workers: array[int] = field(default_factory=lambda: array("l"))
    names: dict[str, int] = field(default_factory=dict)

    def work(self, outcome: Outcome) -> None:
        """Note when, and on which worker, something was done."""
        if outcome.finished <= 0 or not outcome.worker:
            return
        self.started.append(outcome.started)
        self.finished.append(outcome.finished)
        self.workers.append(self.names.setdefault(outcome.worker, len(self.names)))

    @property
    def span(self) -> float:
        """Seconds from the first start to the last end; 0 without any."""
        return max(self.finished) - min(self.started) if self.started else 0.0
