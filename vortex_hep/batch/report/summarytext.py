"""The summary of a job as text for a terminal."""

from __future__ import annotations

import shlex
import textwrap

from vortex_hep.batch.report.advice import advice
from vortex_hep.batch.report.summary import Failure, JobSummary, Tally
from vortex_hep.core.text import (
    format_bytes,
    format_duration,
    format_ratio,
    format_table,
    one_line,
    plural,
)

#: Failures to print one by one before it is clear enough.
MOST_FAILURES = 20
#: Data sets to print one by one.
MOST_DATASETS = 30
WIDTH = 96
#: Slow files are worth a table where there are at least so many files.
MANY_FILES = 20


def summary_text(summary: JobSummary) -> str:
    """The figures of a job as paragraphs and tables, without the failed files' messages.

    Parameters
    ----------
    summary : JobSummary

    Returns
    -------
    str
        Lines without a last line end.
    """
    parts = [_totals(summary)]
    if set(summary.datasets) - {""}:
        parts.append(_datasets(summary))
    if summary.done >= MANY_FILES:
        parts.append(_slowest(summary))
    if summary.reasons:
        parts.append(_reasons(summary))
    return "\n\n".join(parts)


def failure_lines(summary: JobSummary) -> list[str]:
    """One line per failed file, up to :data:`MOST_FAILURES`; the last line counts the others."""
    lines = [failure_line(failure) for failure in summary.failures[:MOST_FAILURES]]
    more = summary.failed - len(lines)
    if more > 0:
        lines.append(
            f"... and {plural(more, 'more file', 'more files')}:"
            f" vortex-hep jobs show {shlex.quote(summary.journal)} --failed"
        )
    return lines


def failure_line(failure: Failure) -> str:
    """What happened to one file."""
    message = one_line(failure.error).removeprefix(f"{failure.source}: ")
    tries = "" if failure.attempts < 2 else f" ({failure.attempts} attempts)"
    return f"{one_line(failure.source)}: {failure.reason}{tries}: {message}"


def speed(tally: Tally, seconds: float) -> str:
    """MB/s of what was read, or a dash."""
    return f"{tally.read_bytes / seconds / 1e6:.1f}" if seconds > 0 else "-"


def _totals(summary: JobSummary) -> str:
    total = summary.total
    text = f"{summary.command}: {total.done:,} of {plural(total.files, 'file')} done"
    if total.adopted:
        text += f" ({total.adopted:,} were there already)"
    if total.failed:
        text += f", {total.failed:,} failed"
    if total.waiting:
        text += f", {total.waiting:,} waiting"
    if summary.seconds is not None:
        text += f", in {format_duration(summary.seconds)}"
    lines = [text]
    if total.stored_bytes and total.original_bytes:
        ratio = format_ratio(total.original_bytes, total.stored_bytes)
        lines.append(
            f"  files {format_bytes(total.original_bytes)},"
            f" archives {format_bytes(total.stored_bytes)}, ratio {ratio}"
        )
    elif total.read_bytes:
        lines.append(f"  read {format_bytes(total.read_bytes)}")
    if total.seconds > 0:
        workers = plural(max(1, len(summary.series.names)), "worker")
        lines.append(
            f"  {format_duration(total.seconds)} of work on {workers},"
            f" {speed(total, total.seconds)} MB/s each"
        )
    if summary.document.get("model_sha256"):
        lines.append(f"  model {summary.document['model_sha256']}")
    lines.append(f"  journal {summary.journal}")
    return "\n".join(lines)


def _datasets(summary: JobSummary) -> str:
    shown = list(summary.datasets.items())[:MOST_DATASETS]
    rows = [
        [
            one_line(name) or "(none)",
            f"{tally.done:,}",
            f"{tally.failed:,}",
            f"{tally.waiting:,}",
            format_bytes(tally.original_bytes),
            format_bytes(tally.stored_bytes),
            format_ratio(tally.original_bytes, tally.stored_bytes),
            speed(tally, tally.seconds),
        ]
        for name, tally in shown
    ]
    header = ["data set", "done", "failed", "waiting", "files", "archives", "ratio", "MB/s each"]
    text = format_table(header, rows)
    more = len(summary.datasets) - len(shown)
    return f"{text}\n... and {plural(more, 'more data set', 'more data sets')}" if more else text


def _slowest(summary: JobSummary) -> str:
    rows = [
        [
            one_line(file.source),
            format_bytes(file.original_bytes or 0),
            format_duration(file.seconds),
            one_line(file.worker),
        ]
        for file in summary.slowest
    ]
    return format_table(["slowest files", "size", "time", "worker"], rows, left=(0, 3))


def _reasons(summary: JobSummary) -> str:
    paragraphs = [
        textwrap.fill(
            f"{reason} ({plural(n, 'file')}): {advice(reason)}",
            width=WIDTH,
            initial_indent="  ",
            subsequent_indent="    ",
            break_on_hyphens=False,
        )
        for reason, n in summary.reasons.items()
    ]
    return "\n".join(["what to do about files that failed:", *paragraphs])
