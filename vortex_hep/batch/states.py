"""States, tasks and outcomes of the files of a job."""

from __future__ import annotations

import errno
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from vortex_hep.core.storage.failures import NETWORK
from vortex_hep.errors import (
    ChangedError,
    CorruptionError,
    DeniedError,
    MissingError,
    ModelMismatchError,
    NetworkError,
    NotVortexError,
    OutputError,
    SourceError,
    UnsupportedVersionError,
    VerificationError,
)


class State(str, Enum):
    """Where a file of a job stands."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


class Reason(str, Enum):
    """Why a file failed; the values are what users read."""

    VANISHED = "vanished"
    DENIED = "no permission"
    BEING_WRITTEN = "being written"
    DAMAGED = "unreadable"
    NETWORK = "network"
    NO_SPACE = "no space"
    NOT_WRITABLE = "not writable"
    EXISTS = "output exists"
    DIFFERENT = "differs from its source"
    MODEL = "model does not fit"
    MEMORY = "out of memory"
    CRASHED = "worker lost"
    OTHER = "other"

    @property
    def transient(self) -> bool:
        """Whether the same may succeed later, so that it is worth another attempt."""
        return self in _TRANSIENT


_TRANSIENT = frozenset(
    {Reason.NETWORK, Reason.BEING_WRITTEN, Reason.NO_SPACE, Reason.MEMORY, Reason.CRASHED}
)

#: Numbers that mean the same whatever was being done.
_ANYWHERE = {
    errno.ENOSPC: Reason.NO_SPACE,
    errno.EDQUOT: Reason.NO_SPACE,
    errno.ENOMEM: Reason.MEMORY,
    **dict.fromkeys(NETWORK, Reason.NETWORK),
}

#: Classes in the order in which they are tried: subclasses come before their bases.
_CLASSES: tuple[tuple[type[BaseException], Reason], ...] = (
    (MemoryError, Reason.MEMORY),
    (ChangedError, Reason.BEING_WRITTEN),
    (MissingError, Reason.VANISHED),
    (DeniedError, Reason.DENIED),
    (NetworkError, Reason.NETWORK),
    (VerificationError, Reason.DIFFERENT),
    (ModelMismatchError, Reason.MODEL),
    (SourceError, Reason.DAMAGED),
    (CorruptionError, Reason.DAMAGED),
    (NotVortexError, Reason.DAMAGED),
    (UnsupportedVersionError, Reason.DAMAGED),
    (FileNotFoundError, Reason.VANISHED),
    (FileExistsError, Reason.EXISTS),
    (PermissionError, Reason.DENIED),
    (ConnectionError, Reason.NETWORK),
    (TimeoutError, Reason.NETWORK),
    (EOFError, Reason.DAMAGED),
)

#: What dask and process pools raise when a worker has gone, by name: they are not imported here.
_LOST = frozenset(
    {
        "KilledWorker", "WorkerClosedError", "FutureCancelledError", "FuturesTimeoutError",
        "CommClosedError", "BrokenProcessPool", "NoValidWorkerError",
    }
)  # fmt: skip


def reason_of(error: BaseException) -> Reason:
    """Why a file failed, by the class and number of the error.

    Parameters
    ----------
    error : BaseException
        As the work on the file, or the scheduler, raised it.

    Examples
    --------
    >>> reason_of(MissingError("no such file")), reason_of(OSError(28, "No space left on device"))
    (<Reason.VANISHED: 'vanished'>, <Reason.NO_SPACE: 'no space'>)
    """
    if any(base.__name__ in _LOST for base in type(error).__mro__):
        return Reason.CRASHED
    # A reader may have wrapped it as what it failed to read.
    if isinstance(error.__cause__, MemoryError):
        return Reason.MEMORY
    number = error.errno if isinstance(error, OSError) else None
    if number in _ANYWHERE:
        return _ANYWHERE[number]
    if isinstance(error, OutputError):
        return Reason.EXISTS if number == errno.EEXIST else Reason.NOT_WRITABLE
    for kind, reason in _CLASSES:
        if isinstance(error, kind):
            return reason
    return Reason.OTHER


@dataclass(frozen=True)
class Order:
    """What a worker is asked to do with one file.

    Parameters
    ----------
    number : int
        Of the file in its job.
    source : str
        Path or URL.
    target : str or None
        Where the output goes; None where there is none.
    attempt : int
        1 at first.
    size : int or None
        Bytes of the source when it was listed, where that is known.
    mtime : float or None
        Seconds since 1970 of its last change then.
    """

    number: int
    source: str
    target: str | None
    attempt: int
    size: int | None
    mtime: float | None


@dataclass(frozen=True)
class Outcome:
    """What became of an order; ``dataclasses.asdict`` of it can be written as JSON.

    Parameters
    ----------
    number, attempt : int
        Those of the order.
    ok : bool
    reason : str or None
        Value of a :class:`Reason`, where it failed.
    error : str or None
        The error in one line.
    source_size : int or None
        Bytes.
    source_mtime : float or None
        Seconds since 1970.
    source_adler32 : str or None
        Eight hexadecimal digits.
    target_size : int or None
    target_adler32 : str or None
    raw_bytes : int or None
        Bytes of the columns before compression.
    model_bytes : int or None
        Bytes of the model that the archive holds.
    groups : mapping of str to (int, int)
        Raw and stored bytes by branch group: a collection, or ``""`` for the event scalars.
    stages : mapping of str to float
        Seconds, by what was done ("compress", "verify", ...).
    messages : tuple of str
        What users should know though nothing failed.
    adopted : bool
        Whether the output was there already, and found right.
    worker : str
    started, finished : float
        Seconds since 1970.
    """

    number: int
    attempt: int
    ok: bool
    reason: str | None = None
    error: str | None = None
    source_size: int | None = None
    source_mtime: float | None = None
    source_adler32: str | None = None
    target_size: int | None = None
    target_adler32: str | None = None
    raw_bytes: int | None = None
    model_bytes: int | None = None
    groups: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    stages: Mapping[str, float] = field(default_factory=dict)
    messages: tuple[str, ...] = ()
    adopted: bool = False
    worker: str = ""
    started: float = 0.0
    finished: float = 0.0
