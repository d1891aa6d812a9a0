"""The summary of a job: totals, data sets, slowest files, failures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from heapq import nlargest
from itertools import count
from typing import TYPE_CHECKING, Any

from vortex_hep.batch.report.series import Series
from vortex_hep.batch.states import State

if TYPE_CHECKING:
    from vortex_hep.batch.journal.journal import FileRow, Journal
    from vortex_hep.batch.states import Outcome

#: Failures that are kept one by one; all are counted.
KEPT_FAILURES = 1000
SLOWEST = 10


@dataclass
class Tally:
    """Files taken together.

    Parameters
    ----------
    done, failed, waiting : int
        Files by state; those that run count as waiting.
    original_bytes, stored_bytes, raw_bytes, model_bytes : int
        Of the files that are done: the files as they were, their archives, all columns without
        any compression, models inside archives.
    read_bytes : int
        What was read to do so: files when compressing, archives when restoring.
    seconds : float
        Work on these files, of all workers together.
    adopted : int
        Of the files that are done, those whose output was there already and held.
    """

    done: int = 0
    failed: int = 0
    waiting: int = 0
    original_bytes: int = 0
    stored_bytes: int = 0
    raw_bytes: int = 0
    model_bytes: int = 0
    read_bytes: int = 0
    seconds: float = 0.0
    adopted: int = 0

    @property
    def files(self) -> int:
        """Files in any state."""
        return self.done + self.failed + self.waiting


@dataclass(frozen=True)
class FileFigures:
    """What a table says of a file that is done: bytes, seconds."""

    source: str
    original_bytes: int | None
    stored_bytes: int | None
    seconds: float
    worker: str


@dataclass(frozen=True)
class Failure:
    """A file that failed, and why."""

    source: str
    dataset: str | None
    reason: str
    error: str
    attempts: int


@dataclass
class JobSummary:
    """A job in figures, of bounded size however many files it has.

    Parameters
    ----------
    journal : str
        Path of the journal.
    document : mapping
        What the journal says of the job as a whole.
    seconds : float, optional
        How long the run took that this summary ends; None where a journal was just read.
    total : Tally
    datasets : dict
        Tally of each data set; files of none are under "".
    failures : list of Failure
        The first :data:`KEPT_FAILURES`.
    reasons : dict
        Failed files by reason, the most frequent first.
    slowest : list of FileFigures
        The :data:`SLOWEST` files that took longest, the longest first.
    groups : dict
        Bytes of each branch group over all files: raw, stored. "" is what there is once per event.
    series : Series
        Figures of each file.
    """

    journal: str
    document: Mapping[str, Any]
    seconds: float | None = None
    total: Tally = field(default_factory=Tally)
    datasets: dict[str, Tally] = field(default_factory=dict)
    failures: list[Failure] = field(default_factory=list)
    reasons: dict[str, int] = field(default_factory=dict)
    slowest: list[FileFigures] = field(default_factory=list)
    groups: dict[str, tuple[int, int]] = field(default_factory=dict)
    series: Series = field(default_factory=Series)

    @property
    def command(self) -> str:
        """What the job does: compress, verify or restore."""
        return str(self.document.get("command", "job"))

    @property
    def done(self) -> int:
        """Files that are done."""
        return self.total.done

    @property
    def failed(self) -> int:
        """Files that failed."""
        return self.total.failed

    @property
    def waiting(self) -> int:
        """Files that are neither."""
        return self.total.waiting

    @property
    def exit_code(self) -> int:
        """0 where every file is done, else 1."""
        return 0 if self.total.done == self.total.files else 1


def summarise(journal: Journal, *, seconds: float | None = None) -> JobSummary:
    """Read the figures of a job from its journal, in one pass.

    Parameters
    ----------
    journal : Journal
    seconds : float, optional
        How long the run took that ends with this.

    Returns
    -------
    JobSummary
    """
    summary = JobSummary(str(journal.path), dict(journal.document), seconds)
    reasons: dict[str, int] = {}
    slowest: list[tuple[float, int, FileFigures]] = []
    order = count()
    for row in journal.rows():
        tallies = (summary.total, summary.datasets.setdefault(row.dataset or "", Tally()))
        if row.outcome is not None:
            summary.series.work(row.outcome)
        if row.state is State.DONE:
            figures = _done(summary, row, tallies)
            slowest.append((figures.seconds, next(order), figures))
            if len(slowest) > 10 * SLOWEST:
                slowest = nlargest(SLOWEST, slowest)
        elif row.state is State.FAILED:
            _failed(summary, row, reasons)
            for tally in tallies:
                tally.failed += 1
        else:
            for tally in tallies:
                tally.waiting += 1
    summary.slowest = [figures for _, _, figures in nlargest(SLOWEST, slowest)]
    summary.reasons = dict(sorted(reasons.items(), key=lambda item: -item[1]))
    return summary


def sizes(command: str, outcome: Outcome) -> tuple[int | None, int | None]:
    """Bytes of a file and of its archive, as far as the outcome of a command tells them."""
    if command == "compress":
        return outcome.source_size, outcome.target_size
    return outcome.target_size, outcome.source_size


def seconds_of(outcome: Outcome) -> float:
    """Seconds of work on a file."""
    if outcome.stages:
        return float(sum(outcome.stages.values()))
    return max(0.0, outcome.finished - outcome.started)


def _done(summary: JobSummary, row: FileRow, tallies: tuple[Tally, ...]) -> FileFigures:
    """Count a file that is done."""
    outcome = row.outcome
    if outcome is None:
        for tally in tallies:
            tally.done += 1
        return FileFigures(row.source, row.size, None, 0.0, "")
    original, stored = sizes(summary.command, outcome)
    seconds = seconds_of(outcome)
    for tally in tallies:
        tally.done += 1
        tally.original_bytes += original or 0
        tally.stored_bytes += stored or 0
        tally.raw_bytes += outcome.raw_bytes or 0
        tally.model_bytes += outcome.model_bytes or 0
        tally.read_bytes += outcome.source_size or 0
        tally.seconds += seconds
        tally.adopted += outcome.adopted
    for group, (raw, held) in outcome.groups.items():
        before = summary.groups.get(group, (0, 0))
        summary.groups[group] = (before[0] + raw, before[1] + held)
    nan = float("nan")
    summary.series.ratios.append(original / stored if original and stored else nan)
    timed = seconds > 0 and not outcome.adopted
    summary.series.speeds.append((outcome.source_size or 0) / seconds / 1e6 if timed else nan)
    return FileFigures(row.source, original, stored, seconds, outcome.worker)


def _failed(summary: JobSummary, row: FileRow, reasons: dict[str, int]) -> None:
    """Count a file that failed."""
    reason = str(row.reason or "other")
    reasons[reason] = reasons.get(reason, 0) + 1
    if len(summary.failures) < KEPT_FAILURES:
        error = str(row.error or "")
        summary.failures.append(Failure(row.source, row.dataset, reason, error, row.attempts))
