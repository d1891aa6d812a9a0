"""The report of a job as one self-contained HTML file."""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from itertools import islice
from typing import TYPE_CHECKING

from vortex_hep.batch.report.advice import advice
from vortex_hep.batch.report.plots import Plot, job_plots
from vortex_hep.batch.report.summary import JobSummary, seconds_of, sizes, summarise
from vortex_hep.batch.report.summarytext import speed
from vortex_hep.batch.states import State
from vortex_hep.core.install import install_hint
from vortex_hep.core.text import format_bytes, format_duration, format_moment, format_ratio, plural
from vortex_hep.core.version import __version__
from vortex_hep.errors import UnsupportedFeatureError

if TYPE_CHECKING:
    from vortex_hep.batch.journal.journal import FileRow, Journal

#: Files that are listed one by one, and data sets.
MOST_FILES, MOST_DATASETS = 1000, 500
#: Characters of a message that a table shows.
MOST_TEXT = 500


@dataclass(frozen=True)
class Table:
    """A table of the page; columns that are not in ``left`` are figures."""

    caption: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    left: Sequence[int] = (0,)
    note: str = ""


@dataclass(frozen=True)
class Section:
    """A heading and what is under it."""

    title: str
    tables: Sequence[Table] = ()
    plots: Sequence[Plot] = field(default=())


def report_page(journal: Journal, summary: JobSummary | None = None) -> str:
    """Make the report of a job.

    Parameters
    ----------
    journal : Journal
        Is only read.
    summary : JobSummary, optional
        Of this journal as it is now, where it is at hand.

    Returns
    -------
    str
        HTML with all plots in it; it refers to no other file and runs no script.

    Raises
    ------
    UnsupportedFeatureError
        matplotlib or jinja2 is not installed.
    """
    try:
        from jinja2 import Environment, StrictUndefined
    except ImportError as error:
        msg = "reports need jinja2"
        raise UnsupportedFeatureError(msg, hint=install_hint("grid")) from error
    if summary is None:
        summary = summarise(journal)
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    source = files("vortex_hep.batch.report").joinpath("page.html.jinja").read_text("utf-8")
    total = summary.total
    verdict = f"{total.done:,} of {plural(total.files, 'file')} done"
    verdict += f", {total.failed:,} failed" if total.failed else ""
    verdict += f", {total.waiting:,} waiting" if total.waiting else ""
    return environment.from_string(source).render(
        title=f"vortex_hep: {summary.command}",
        verdict=f"{verdict}.",
        summary=summary,
        sections=list(_sections(journal, summary)),
        version=__version__,
    )


def _sections(journal: Journal, summary: JobSummary) -> Iterator[Section]:
    yield Section("Totals", [_totals(summary), _document(summary)])
    if summary.failures:
        yield Section("Failures", [_reasons(summary), _failures(summary)])
    if set(summary.datasets) - {""}:
        yield Section("Data sets", [_datasets(summary)])
    plots = job_plots(summary)
    if plots:
        yield Section("Plots", plots=plots)
    if summary.groups:
        yield Section("Branch groups", [_groups(summary)])
    if summary.slowest:
        yield Section("Slowest files", [_slowest(summary)])
    yield Section("Files", [_files(journal, summary)])


def _totals(summary: JobSummary) -> Table:
    total = summary.total
    rows = [
        ["files", f"{total.files:,}"],
        ["done", f"{total.done:,}"],
        ["of these, there already", f"{total.adopted:,}"],
        ["failed", f"{total.failed:,}"],
        ["waiting", f"{total.waiting:,}"],
        ["files, bytes", format_bytes(total.original_bytes)],
        ["archives, bytes", format_bytes(total.stored_bytes)],
        ["ratio", format_ratio(total.original_bytes, total.stored_bytes)],
        ["columns without compression", format_bytes(total.raw_bytes)],
        ["models inside archives", format_bytes(total.model_bytes)],
        ["work of all workers", format_duration(total.seconds)],
        ["MB/s of one worker", speed(total, total.seconds)],
        ["from the first file to the last", format_duration(summary.series.span)],
        ["workers", f"{len(summary.series.names):,}"],
    ]
    if summary.seconds is not None:
        rows.append(["this run", format_duration(summary.seconds)])
    return Table("All files together", ["figure", "value"], rows)


def _document(summary: JobSummary) -> Table:
    rows = [
        [key, value if isinstance(value, str) else json.dumps(value, default=str)]
        for key, value in summary.document.items()
        if key != "created"
    ]
    rows.append(["created", format_moment(float(summary.document.get("created", 0)))])
    rows = [[key, _shorten(value)] for key, value in rows]
    return Table("What the journal says of the job", ["name", "value"], rows, left=(0, 1))


def _reasons(summary: JobSummary) -> Table:
    rows = [[reason, f"{n:,}", advice(reason)] for reason, n in summary.reasons.items()]
    return Table("Failures by reason", ["reason", "files", "what to do"], rows, left=(0, 2))


def _failures(summary: JobSummary) -> Table:
    rows = [
        [
            failure.source,
            failure.reason,
            f"{failure.attempts}",
            _shorten(failure.error),
            advice(failure.reason),
        ]
        for failure in summary.failures
    ]
    header = ["file", "reason", "attempts", "message", "what to do"]
    note = _more(
        summary.failed, len(rows), f"vortex-hep jobs show {shlex.quote(summary.journal)} --failed"
    )
    return Table("Files that failed", header, rows, left=(0, 1, 3, 4), note=note)


def _datasets(summary: JobSummary) -> Table:
    rows = [
        [
            name or "(none)",
            f"{tally.done:,}",
            f"{tally.failed:,}",
            f"{tally.waiting:,}",
            format_bytes(tally.original_bytes),
            format_bytes(tally.stored_bytes),
            format_ratio(tally.original_bytes, tally.stored_bytes),
            speed(tally, tally.seconds),
        ]
        for name, tally in islice(summary.datasets.items(), MOST_DATASETS)
    ]
    header = ["data set", "done", "failed", "waiting", "files", "archives", "ratio", "MB/s each"]
    note = _more(
        len(summary.datasets),
        len(rows),
        f"vortex-hep jobs show {shlex.quote(summary.journal)} --json",
    )
    return Table("Data sets", header, rows, note=note)


def _groups(summary: JobSummary) -> Table:
    largest = sorted(summary.groups.items(), key=lambda item: -item[1][1])
    rows = [
        [name or "(event)", format_bytes(raw), format_bytes(held), format_ratio(raw, held)]
        for name, (raw, held) in largest[:MOST_FILES]
    ]
    return Table("Bytes of branch groups", ["group", "raw", "stored", "ratio"], rows)


def _slowest(summary: JobSummary) -> Table:
    rows = [
        [
            file.source,
            format_bytes(file.original_bytes or 0),
            format_duration(file.seconds),
            file.worker,
        ]
        for file in summary.slowest
    ]
    header = ["file", "size", "time", "worker"]
    return Table("Files that took longest", header, rows, left=(0, 3))


def _files(journal: Journal, summary: JobSummary) -> Table:
    rows = [_file(summary.command, row) for row in islice(journal.rows(), MOST_FILES)]
    header = ["file", "state", "data set", "size", "archive", "ratio", "time", "finished"]
    query = f"sqlite3 -csv {shlex.quote(summary.journal)} 'SELECT * FROM files'"
    note = _more(summary.total.files, len(rows), query)
    return Table("Files", header, rows, left=(0, 1, 2), note=note)


def _file(command: str, row: FileRow) -> list[str]:
    outcome = row.outcome
    if outcome is None or row.state is not State.DONE:
        size = "" if row.size is None else format_bytes(row.size)
        return [row.source, row.state.value, row.dataset or "", size, "", "", "", ""]
    original, stored = sizes(command, outcome)
    return [
        row.source,
        row.state.value,
        row.dataset or "",
        "" if original is None else format_bytes(original),
        "" if stored is None else format_bytes(stored),
        format_ratio(original or 0, stored or 0),
        format_duration(seconds_of(outcome)),
        format_moment(outcome.finished),
    ]


def _shorten(text: str) -> str:
    return text if len(text) <= MOST_TEXT else f"{text[:MOST_TEXT]}..."


def _more(all_rows: int, shown: int, command: str) -> str:
    """Say that a table is not complete, and what shows the rest."""
    if all_rows <= shown:
        return ""
    return f"The first {shown:,} of {all_rows:,}; this shows all: {command}"


def write_report(
    journal: Journal, path: str | os.PathLike[str], summary: JobSummary | None = None
) -> None:
    """Write the report of a job; it appears whole, and replaces an earlier one.

    Parameters
    ----------
    journal : Journal
    path : path or URL
    summary : JobSummary, optional
        Of this journal as it is now, where it is at hand.

    Raises
    ------
    OutputError
        The file cannot be written.
    UnsupportedFeatureError
        matplotlib or jinja2 is not installed.
    """
    from vortex_hep.core.storage.atomic import atomic_output

    page = report_page(journal, summary).encode("utf-8", "replace")
    with atomic_output(path, overwrite=True) as file:
        file.write(page)
