"""Metrics of a job on the dashboard: per worker, and in total.

A worker of dask reports what is in its ``metrics`` with every heartbeat; the dashboard's page
"Workers" shows each as a column, with a first row of totals.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from distributed import WorkerPlugin, get_worker

from vortex_hep.batch.report.summary import sizes

if TYPE_CHECKING:
    from vortex_hep.batch.states import Outcome

NAME = "vortex-hep-figures"


class FiguresPlugin(WorkerPlugin):
    """Counts what its worker does, and shows it on the dashboard.

    The columns are "files done", "files failed" (attempts, in fact: a file that is tried again
    counts again), "MB in", "MB out" and "ratio".
    """

    name = NAME
    idempotent = True

    def __init__(self) -> None:
        self.done = self.failed = 0
        self.read = self.written = 0
        self.original = self.stored = 0

    def setup(self, worker: Any) -> None:
        """Add the columns."""
        figures = {
            "files done": lambda _: self.done,
            "files failed": lambda _: self.failed,
            "MB in": lambda _: round(self.read / 1e6, 3),
            "MB out": lambda _: round(self.written / 1e6, 3),
            # Text: ratios are not to be added up.
            "ratio": lambda _: f"{self.original / self.stored:.2f}" if self.stored else "-",
        }
        worker.metrics.update(figures)

    def add(self, command: str, outcomes: Iterable[Outcome]) -> None:
        """Count files that are through."""
        for outcome in outcomes:
            if not outcome.ok:
                self.failed += 1
                continue
            self.done += 1
            self.read += outcome.source_size or 0
            self.written += outcome.target_size or 0
            original, stored = sizes(command, outcome)
            if original and stored:
                self.original += original
                self.stored += stored


def count(command: str, outcomes: Iterable[Outcome]) -> None:
    """Count files on the worker that this runs on; nothing where it counts none.

    Parameters
    ----------
    command : str
        "compress", "verify" or "restore".
    outcomes : iterable of Outcome
    """
    try:
        plugin = get_worker().plugins.get(NAME)
    except ValueError:  # called directly, on no worker
        return
    if isinstance(plugin, FiguresPlugin):
        plugin.add(command, outcomes)
