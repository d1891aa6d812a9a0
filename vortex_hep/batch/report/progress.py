"""The progress bar of a job, one for all of its files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from vortex_hep.batch.report.summary import sizes
from vortex_hep.batch.states import State
from vortex_hep.core.text import one_line

if TYPE_CHECKING:
    from vortex_hep.batch.journal.journal import Counts
    from vortex_hep.batch.states import Outcome
    from vortex_hep.core.progress import Progress, Task

#: Failures that are told as they happen; more would bury the bar.
TOLD_FAILURES = 20


@contextmanager
def watching(
    progress: Progress,
    command: str,
    counts: Mapping[State, Counts],
    *,
    dashboard: str | None = None,
) -> Iterator[JobWatch]:
    """Report the progress of one run of a job.

    The bar counts bytes of files yet to do, which is what tells speed and time left; how many
    files, the ratio and failures stand beside it. Where no file's size is known it counts files.

    Parameters
    ----------
    progress : Progress
    command : str
        "compress", "verify" or "restore".
    counts : mapping of State to Counts
        As the journal has them when the run starts.
    dashboard : str, optional
        Address of dask's pages, to be told.

    Yields
    ------
    JobWatch
    """
    left = [counts[state] for state in (State.WAITING, State.RUNNING) if state in counts]
    total_bytes = sum(part.source_bytes for part in left)
    unit = "B" if total_bytes else "files"
    total = total_bytes or sum(part.files for part in left)
    with progress.task(command, total, unit) as task:
        if dashboard:
            task.note(f"dashboard at {dashboard}")
        watch = JobWatch(task, command, counts, by_bytes=bool(total_bytes))
        watch.update(())
        yield watch
        watch.close(total)


class JobWatch:
    """Takes what became of files, and tells it.

    Parameters
    ----------
    task : Task
        The bar.
    command : str
    counts : mapping of State to Counts
        When the run starts.
    by_bytes : bool
        Whether the bar counts bytes, or files.
    """

    def __init__(
        self, task: Task, command: str, counts: Mapping[State, Counts], *, by_bytes: bool
    ) -> None:
        self._task, self._command, self._by_bytes = task, command, by_bytes
        self._files = sum(part.files for part in counts.values())
        self._done = counts[State.DONE].files if State.DONE in counts else 0
        self._failed = counts[State.FAILED].files if State.FAILED in counts else 0
        self._told = self._retried = self._advanced = 0
        self._original = self._stored = 0

    def update(self, finished: Sequence[Outcome], *, retried: int = 0) -> None:
        """Report files that are through.

        Parameters
        ----------
        finished : sequence of Outcome
            Files that are done, or failed for good.
        retried : int
            Files that failed and will be tried again.
        """
        amount = 0
        for outcome in finished:
            amount += (outcome.source_size or 0) if self._by_bytes else 1
            if outcome.ok:
                self._done += 1
                original, stored = sizes(self._command, outcome)
                if original and stored:
                    self._original += original
                    self._stored += stored
            else:
                self._failed += 1
                self._tell(outcome)
        self._retried += retried
        self._advanced += amount
        self._task.advance(amount, **self._postfix())

    def close(self, total: int) -> None:
        """Fill the bar where every file is through: of files that failed no bytes were counted."""
        if self._done + self._failed == self._files:
            self._task.advance(max(0, total - self._advanced), **self._postfix())

    def _postfix(self) -> dict[str, object]:
        figures: dict[str, object] = {"files": f"{self._done}/{self._files}"}
        if self._stored:
            figures["ratio"] = f"{self._original / self._stored:.2f}"
        figures["failed"] = self._failed
        if self._retried:
            figures["retried"] = self._retried
        return figures

    def _tell(self, outcome: Outcome) -> None:
        """Say what failed, the first times."""
        self._told += 1
        if self._told <= TOLD_FAILURES:
            message = one_line(outcome.error or "")
            self._task.note(f"file {outcome.number} failed: {outcome.reason}: {message}")
        elif self._told == TOLD_FAILURES + 1:
            self._task.note("more files failed; the summary counts them")
