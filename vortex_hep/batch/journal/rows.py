"""Conversion between rows of a journal and objects, and objects as JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

from vortex_hep.batch.states import Outcome, State
from vortex_hep.core.text import fault_of
from vortex_hep.errors import CorruptionError, UnsupportedTypeError

_OUTCOME_FIELDS = tuple(field.name for field in fields(Outcome))
#: Columns of the table of files that a :class:`FileRow` is made of, less the outcome.
COLUMNS = (
    "f.number, f.source, f.target, f.dataset, f.state, f.attempts, f.reason, f.error, f.size,"
    " f.mtime, f.not_before"
)


@dataclass(frozen=True)
class FileRow:
    """One file of a job as the journal has it.

    Parameters
    ----------
    number : int
        Of the file in its job, from 1.
    source : str
    target, dataset : str or None
    state : State
    attempts : int
        Begun so far.
    reason, error : str or None
        Of the last failure; None once it is done.
    size : int or None
        Bytes of the source.
    mtime : float or None
        Seconds since 1970.
    not_before : float
        Seconds since 1970; a waiting file is not taken before.
    outcome : Outcome or None
        Of the last attempt, if that has ended.
    """

    number: int
    source: str
    target: str | None
    dataset: str | None
    state: State
    attempts: int
    reason: str | None
    error: str | None
    size: int | None
    mtime: float | None
    not_before: float
    outcome: Outcome | None


@dataclass(frozen=True)
class Counts:
    """Files in one state.

    Parameters
    ----------
    files : int
    source_bytes : int
        Of the sources, as far as their sizes are known.
    target_bytes : int
        Of the outputs.
    """

    files: int = 0
    source_bytes: int = 0
    target_bytes: int = 0


def row_of(row: Sequence[Any], path: str) -> FileRow:
    """A file from :data:`COLUMNS` and its outcome as JSON, or None.

    Raises
    ------
    CorruptionError
        They are invalid; ``path`` is the journal's.
    """
    number, source, target, dataset, state, attempts, reason, error, size, mtime, due, text = row
    return FileRow(
        number, source, target, dataset, state_of(state, path), attempts, reason, error,
        size, mtime, due, None if text is None else outcome_of(text, path),
    )  # fmt: skip


def state_of(text: Any, path: str) -> State:
    """A state by its value.

    Raises
    ------
    CorruptionError
    """
    try:
        return State(text)
    except ValueError as error:
        msg = f"unknown state {text!r} of a file"
        raise CorruptionError(msg, path=path) from error


def outcome_text(outcome: Outcome) -> str:
    """An outcome as JSON."""
    return json_text({name: getattr(outcome, name) for name in _OUTCOME_FIELDS})


def outcome_of(text: str, path: str) -> Outcome:
    """An outcome from JSON.

    Raises
    ------
    CorruptionError
    """
    try:
        # Later releases may say more of an attempt.
        found = {k: v for k, v in json.loads(text).items() if k in _OUTCOME_FIELDS}
        found["groups"] = {g: (int(a), int(b)) for g, (a, b) in found["groups"].items()}
        found["messages"] = tuple(found["messages"])
        return Outcome(**found)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        msg = f"invalid outcome of a file: {fault_of(error)}"
        raise CorruptionError(msg, path=path) from error


def json_text(value: Any) -> str:
    """A value as JSON.

    Raises
    ------
    UnsupportedTypeError
        JSON cannot say it.
    """
    try:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    except (TypeError, ValueError) as error:
        msg = f"cannot be written as JSON: {error}"
        raise UnsupportedTypeError(msg) from error
