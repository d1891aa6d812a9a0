"""The journal of a job as text, for readers and for programs."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vortex_hep.batch.journal.journal import Journal
from vortex_hep.batch.report.advice import advice
from vortex_hep.batch.report.summary import Failure, summarise
from vortex_hep.batch.report.summarytext import failure_line, failure_lines, summary_text
from vortex_hep.batch.states import State
from vortex_hep.cli.datasets.jobrunning import open_journal
from vortex_hep.core.options import EVENT_TABLE
from vortex_hep.core.text import (
    format_bytes,
    format_duration,
    format_moment,
    format_ratio,
    format_table,
    one_line,
    plural,
)
from vortex_hep.errors import MissingError, NotFoundError, VortexError

if TYPE_CHECKING:
    from vortex_hep.batch.journal.journal import FileRow
    from vortex_hep.batch.states import Outcome

#: Files that are named where a name means several.
MOST_CANDIDATES = 5


def print_jobs(folders: Sequence[str], *, as_json: bool) -> None:
    """List the journals in folders and below, each with its counts.

    Raises
    ------
    MissingError
        A folder does not exist.
    """
    found = [details for folder in folders for details in _journals(folder)]
    if as_json:
        print(json.dumps(found, indent=2))
        return
    rows = [
        [
            one_line(item["journal"]),
            item["command"],
            *(f"{item[state.value]['files']:,}" for state in State),
            format_bytes(item["done"]["source_bytes"]),
            item["created"],
        ]
        for item in found
    ]
    header = ["journal", "command", *(state.value for state in State), "bytes done", "created"]
    print(format_table(header, rows, left=(0, 1)) if rows else "no jobs found")


def _journals(folder: str) -> Iterator[dict[str, Any]]:
    """What there is to say of each journal in a folder."""
    if not Path(folder).is_dir():
        raise MissingError("no such folder", path=folder)
    for place, folders, names in os.walk(folder):
        folders.sort()
        for name in sorted(names):
            if not name.endswith(".sqlite"):
                continue
            path = str(Path(place) / name)
            try:
                with open_journal(path) as journal:
                    yield {"journal": path, **_details(journal)}
            except (VortexError, OSError):
                continue  # somebody else's SQLite file, or one that may not be read


def _details(journal: Journal) -> dict[str, Any]:
    """Command and counts of a journal."""
    counts = journal.counts()
    document = journal.document
    return {
        "command": str(document.get("command", "")),
        "created": _clock(document.get("created")),
        **{
            state.value: asdict(counts[state])
            if state in counts
            else {"files": 0, "source_bytes": 0, "target_bytes": 0}
            for state in State
        },
    }


def print_summary(journal: Journal, *, as_json: bool) -> None:
    """Print a job's figures and its first failures."""
    summary = summarise(journal)
    if not as_json:
        lines = failure_lines(summary)
        print("\n".join([summary_text(summary), *([""] if lines else []), *lines]))
        return
    total, sets = asdict(summary.total), summary.datasets
    print(
        json.dumps(
            {
                "journal": summary.journal,
                "document": dict(summary.document),
                "total": total,
                "datasets": {name: asdict(tally) for name, tally in sets.items()},
                "failures": summary.reasons,
                "groups": {
                    name: {"raw_bytes": raw, "stored_bytes": stored}
                    for name, (raw, stored) in summary.groups.items()
                },
                "slowest": [asdict(file) for file in summary.slowest],
            },
            indent=2,
            default=str,
        )
    )


def print_failed(journal: Journal, *, as_json: bool) -> None:
    """Print every file that failed, one a line."""
    rows = journal.rows(State.FAILED)
    if as_json:
        print(json.dumps([_as_json(row) for row in rows], indent=2, default=str))
        return
    for row in rows:
        reason, error = str(row.reason or "other"), str(row.error or "")
        print(failure_line(Failure(row.source, row.dataset, reason, error, row.attempts)))


def print_file(journal: Journal, name: str, *, as_json: bool) -> None:
    """Print all that is known of a file.

    Raises
    ------
    NotFoundError
        The job has no such file, or several.
    """
    row = find_row(journal, name)
    history = journal.history(row.number)
    if as_json:
        found = {**_as_json(row), "history": [asdict(outcome) for outcome in history]}
        print(json.dumps(found, indent=2, default=str))
    else:
        print(_file_text(row, history))


def find_row(journal: Journal, name: str) -> FileRow:
    """The one file that a name means.

    Parameters
    ----------
    journal : Journal
    name : str
        Source or target, the end of one from a ``/`` on, or the file's number.

    Raises
    ------
    NotFoundError
        The job has no such file, or several.
    """
    ends: list[FileRow] = []
    for row in journal.rows():
        names = (row.source, row.target or "")
        if name in names or name == str(row.number):
            return row
        if any(known.endswith(f"/{name.lstrip('/')}") for known in names):
            ends.append(row)
    if len(ends) == 1:
        return ends[0]
    if not ends:
        raise NotFoundError(
            f"the job has no file {name!r}", path=str(journal.path), hint="a source, a target, or"
            " the end of one"
        )  # fmt: skip
    shown = ", ".join(row.source for row in ends[:MOST_CANDIDATES])
    more = ", ..." if len(ends) > MOST_CANDIDATES else ""
    msg = f"{name!r} may be any of {len(ends)} files: {shown}{more}"
    raise NotFoundError(msg, path=str(journal.path))


def _as_json(row: FileRow) -> dict[str, Any]:
    found = asdict(row)
    found["state"] = row.state.value
    return found


def _file_text(row: FileRow, history: Sequence[Outcome]) -> str:
    lines = [
        f"file      {one_line(row.source)}",
        f"target    {one_line(row.target or '-')}",
        f"number    {row.number}",
        f"state     {row.state.value}, {plural(row.attempts, 'attempt')}",
    ]
    if row.dataset:
        lines.append(f"data set  {one_line(row.dataset)}")
    if row.size is not None:
        lines.append(f"listed    {format_bytes(row.size)}, modified {_clock(row.mtime)}")
    if row.state is State.WAITING and row.not_before > 0:
        lines.append(f"retry     not before {_clock(row.not_before)}")
    if row.reason:
        lines.append(f"reason    {row.reason}")
    if row.error:
        lines.append(f"error     {one_line(row.error)}")
    if row.state is State.FAILED:
        lines.append(f"to do     {advice(row.reason)}")
    if len(history) > 1:
        lines += [
            f"attempt {outcome.attempt:<2}{_clock(outcome.finished)}"
            f" on {one_line(outcome.worker)}: {_what_became(outcome)}"
            for outcome in history
        ]
    if history:
        lines += _outcome_lines(history[-1])
    return "\n".join(lines)


def _what_became(outcome: Outcome) -> str:
    return "done" if outcome.ok else f"{outcome.reason}: {one_line(outcome.error or '')}"


def _outcome_lines(outcome: Outcome) -> list[str]:
    """What the last attempt found."""
    lines = []
    for label, size, adler32 in (
        ("source", outcome.source_size, outcome.source_adler32),
        ("written", outcome.target_size, outcome.target_adler32),
    ):
        if size is not None:
            lines.append(f"{label:10}{size:,} bytes, adler32 {adler32 or 'not known'}")
    if outcome.source_size and outcome.target_size:
        large, small = sorted((outcome.source_size, outcome.target_size), reverse=True)
        lines.append(f"ratio     {format_ratio(large, small)}")
    if outcome.model_bytes:
        lines.append(f"model     {format_bytes(outcome.model_bytes)} in the archive")
    if outcome.adopted:
        lines.append("adopted   the output was there already, and held")
    if outcome.worker:
        lines.append(f"worker    {one_line(outcome.worker)}")
    if outcome.started > 0:
        lines.append(f"from      {_clock(outcome.started)} to {_clock(outcome.finished)}")
    if outcome.stages:
        parts = [f"{name} {format_duration(s)}" for name, s in outcome.stages.items()]
        lines.append(f"stages    {', '.join(parts)}")
    lines += [f"note      {one_line(message)}" for message in outcome.messages]
    if outcome.groups:
        largest = sorted(outcome.groups.items(), key=lambda item: -item[1][1])
        rows = [
            [name or EVENT_TABLE, format_bytes(raw), format_bytes(held), format_ratio(raw, held)]
            for name, (raw, held) in largest
        ]
        lines += ["", format_table(["branch group", "raw", "stored", "ratio"], rows)]
    return lines


def _clock(moment: Any) -> str:
    """A time in UTC; what is no number of seconds stays as it is."""
    if isinstance(moment, (int, float)):
        return format_moment(moment)
    return str(moment or "")
