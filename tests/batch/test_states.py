"""Tests of the classification of failures."""

from __future__ import annotations

import errno
import json
from dataclasses import asdict

import pytest

from vortex_hep.batch.states import Outcome, Reason, reason_of
from vortex_hep.errors import (
    ChangedError,
    CorruptionError,
    DeniedError,
    MissingError,
    ModelMismatchError,
    NetworkError,
    OutputError,
    SourceError,
    UnsupportedFeatureError,
    VerificationError,
)


class KilledWorker(Exception):  # noqa: N818 - so it is called in distributed
    """Stands for distributed's, which is known by its name."""


def _numbered(error: OSError, number: int) -> OSError:
    error.errno = number
    return error


def _wrapped() -> SourceError:
    error = SourceError("cannot be read")
    error.__cause__ = MemoryError()
    return error


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (MissingError("x"), Reason.VANISHED),
        (FileNotFoundError(errno.ENOENT, "x"), Reason.VANISHED),
        (DeniedError("x"), Reason.DENIED),
        (ChangedError("x"), Reason.BEING_WRITTEN),
        (NetworkError("x"), Reason.NETWORK),
        (TimeoutError(), Reason.NETWORK),
        (SourceError("x"), Reason.DAMAGED),
        (CorruptionError("x"), Reason.DAMAGED),
        (_numbered(OutputError("x"), errno.ENOSPC), Reason.NO_SPACE),
        (_numbered(OutputError("x"), errno.EDQUOT), Reason.NO_SPACE),
        (_numbered(OutputError("x"), errno.ETIMEDOUT), Reason.NETWORK),
        (_numbered(OutputError("x"), errno.EACCES), Reason.NOT_WRITABLE),
        (_numbered(OutputError("x"), errno.EEXIST), Reason.EXISTS),
        (OutputError("x"), Reason.NOT_WRITABLE),
        (VerificationError("x"), Reason.DIFFERENT),
        (ModelMismatchError("x"), Reason.MODEL),
        (MemoryError(), Reason.MEMORY),
        (_wrapped(), Reason.MEMORY),
        (KilledWorker("task"), Reason.CRASHED),
        (UnsupportedFeatureError("x"), Reason.OTHER),
        (RuntimeError("x"), Reason.OTHER),
    ],
)
def test_reason_of(error, reason):
    assert reason_of(error) is reason


def test_distributed_calls_a_lost_worker_so():
    distributed = pytest.importorskip("distributed")
    assert reason_of(distributed.scheduler.KilledWorker("task", None, 1)) is Reason.CRASHED


def test_what_may_succeed_later():
    assert {reason for reason in Reason if reason.transient} == {
        Reason.NETWORK, Reason.BEING_WRITTEN, Reason.NO_SPACE, Reason.MEMORY, Reason.CRASHED,
    }  # fmt: skip


def test_an_outcome_is_json():
    outcome = Outcome(1, 2, ok=True, groups={"Jet": (10, 3)}, stages={"compress": 0.5})
    assert json.loads(json.dumps(asdict(outcome)))["groups"] == {"Jet": [10, 3]}
