"""One attempt at one file: a watched source, and an output under a temporary name until checked."""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from vortex_hep.batch.states import Order, Outcome, Reason, reason_of
from vortex_hep.batch.workoptions import WorkOptions
from vortex_hep.core import storage
from vortex_hep.core.storage import Identity, Stat
from vortex_hep.core.text import one_line
from vortex_hep.errors import (
    ChangedError,
    MissingError,
    SourceError,
    UnsupportedTypeError,
    VerificationError,
    VortexError,
)

#: Bytes of a file's name that a temporary name keeps: most file systems take 255 in all.
_NAME_BYTES = 200
#: Failures that a source which changes meanwhile explains.
_EXPLAINED = frozenset(
    {Reason.VANISHED, Reason.DAMAGED, Reason.DIFFERENT, Reason.MODEL, Reason.OTHER}
)


class BegunElsewhereError(VortexError):
    """Another worker had begun this very attempt, and left its temporary file behind."""


def temporary_name(target: str, job: str, attempt: int) -> str:
    """Name of an output until it is known to be right; no two attempts have the same.

    Examples
    --------
    >>> temporary_name("root://host//store/a.vxc", "5f3a", 2)
    'root://host//store/.a.vxc.5f3a-2.part'
    """
    name = storage.name(target).encode()[:_NAME_BYTES].decode(errors="ignore")
    return storage.join(storage.parent(target), f".{name}.{job}-{attempt}.part")


def temporary_names(target: str, job: str, attempts: int) -> list[str]:
    """Names of an output in its first ``attempts`` attempts, which killed workers leave behind."""
    return [temporary_name(target, job, attempt) for attempt in range(1, attempts + 1)]


class Attempt:
    """What happens to one file.

    Parameters
    ----------
    order : Order
    how : WorkOptions
    """

    def __init__(self, order: Order, how: WorkOptions) -> None:
        self.order, self.how = order, how
        self._began = time.time()
        self._stages: dict[str, float] = {}
        self._source: Stat | None = None

    @property
    def target(self) -> str:
        """Where the output goes.

        Raises
        ------
        UnsupportedTypeError
            It goes nowhere.
        """
        if self.order.target is None:
            raise UnsupportedTypeError("no output was named", path=self.order.source)
        return self.order.target

    @contextlib.contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Count the seconds of the block as a stage of the work."""
        began = time.perf_counter()
        try:
            yield
        finally:
            spent = time.perf_counter() - began
            self._stages[name] = self._stages.get(name, 0.0) + spent

    def look_at_source(self) -> None:
        """Remember size and time of the source, which are to stay.

        Raises
        ------
        MissingError, DeniedError, NetworkError, SourceError
            It cannot be read.
        ChangedError
            It was listed with another size, or has changed a moment ago.
        """
        order = self.order
        found = storage.stat(order.source)
        if found.is_folder:
            raise SourceError("this is a folder", path=order.source)
        self._source = found
        # What an earlier attempt found is in the order: a file that was replaced once is taken at
        # the next attempt.
        if order.size is not None and found.size != order.size:
            raise ChangedError(
                f"has {found.size} bytes, and had {order.size} when it was looked at before",
                path=order.source, hint="it is still being written, or was replaced",
            )  # fmt: skip
        settle = self.how.settle
        if settle > 0 and found.mtime is not None and time.time() - found.mtime < settle:
            raise ChangedError(
                f"changed less than {settle:g} s ago", path=order.source,
                hint="it may still be being written",
            )  # fmt: skip

    def check_unchanged(self) -> None:
        """Compare the source with what it was.

        Raises
        ------
        ChangedError
            It is not the same.
        MissingError, DeniedError, NetworkError, SourceError
            It cannot be looked at.
        """
        found = storage.stat(self.order.source)
        if found != self._source:
            raise ChangedError(
                "changed while it was read", path=self.order.source,
                hint="it is still being written, or was replaced",
            )  # fmt: skip

    def remove_leftovers(self) -> None:
        """Remove what earlier attempts left behind.

        Raises
        ------
        OutputError
        """
        for name in temporary_names(self.target, self.how.job, self.order.attempt - 1):
            storage.remove(name)

    @contextlib.contextmanager
    def temporary(self) -> Iterator[str]:
        """A name for the output beside where it goes; what has it afterwards is removed.

        Raises
        ------
        BegunElsewhereError
            Something has the name. Dask gives a task to another worker if the first one seems to
            be lost, which may yet be at it: one of them has to stop.
        OutputError
            The folder cannot be made.
        """
        storage.make_folder(storage.parent(self.target))
        name = temporary_name(self.target, self.how.job, self.order.attempt)
        if storage.exists(name):
            raise BegunElsewhereError(
                "the worker that had begun with this file was lost", path=self.order.source
            )
        try:
            yield name
        finally:
            # What cannot be removed now is removed by the next attempt, or at the end of the job.
            with contextlib.suppress(OSError):
                storage.remove(name)

    def check_arrived(self, name: str, written: Identity) -> None:
        """Read back what was written under a temporary name.

        Raises
        ------
        VerificationError
            It is not the same.
        SourceError
            It cannot be read.
        """
        found = storage.identity(name)
        if found != written:
            raise VerificationError(
                f"{found} were read back, where {written} were written", path=self.target,
                hint="the disk, its server or the network damages files",
            )  # fmt: skip

    def done(self, found: Mapping[str, Any]) -> Outcome:
        """The outcome of an attempt that succeeded, with all that was found out."""
        return self._outcome(ok=True, **found)

    def failed(self, error: BaseException) -> Outcome:
        """The outcome of an attempt that an error ended."""
        reason = self._reason(error)
        if reason in _EXPLAINED and self._source is not None:
            try:
                self.check_unchanged()
            except (ChangedError, MissingError) as cause:
                error, reason = cause, reason_of(cause)
            except VortexError:  # what it says is no worse than what is known
                pass
        return self._outcome(ok=False, reason=reason.value, error=_text(error))

    def _reason(self, error: BaseException) -> Reason:
        return Reason.CRASHED if isinstance(error, BegunElsewhereError) else reason_of(error)

    def _outcome(self, **found: Any) -> Outcome:
        size = mtime = None
        if self._source is not None:
            size, mtime = self._source.size, self._source.mtime
        return Outcome(
            number=self.order.number, attempt=self.order.attempt, source_size=size,
            source_mtime=mtime, stages=self._stages, worker=worker_name(), started=self._began,
            finished=time.time(), **found,
        )  # fmt: skip


def attempted(
    order: Order, how: WorkOptions, work: Callable[[Attempt], Mapping[str, Any]]
) -> Outcome:
    """Attempt a file: whatever goes wrong becomes an outcome.

    Parameters
    ----------
    order : Order
    how : WorkOptions
    work : callable
        Does it; returns fields of the outcome.
    """
    attempt = Attempt(order, how)
    try:
        return attempt.done(work(attempt))
    except Exception as error:  # noqa: BLE001 - one file must not stop the others
        return attempt.failed(error)


def _text(error: BaseException) -> str:
    """An error in one line, with the place where it was raised if it is not ours."""
    if isinstance(error, VortexError):
        return one_line(str(error))
    where = ""
    trace = error.__traceback__
    while trace is not None:
        name = os.path.basename(trace.tb_frame.f_code.co_filename)  # noqa: PTH119
        where = f" (at {name}:{trace.tb_lineno})"
        trace = trace.tb_next
    return one_line(f"{type(error).__name__}: {error}{where}")


def worker_name() -> str:
    """Address of the worker that this runs on; host and process where it is not one of dask's."""
    worker = dask_worker()
    return f"{socket.gethostname()}:{os.getpid()}" if worker is None else str(worker.address)


def dask_worker() -> Any:
    """The dask worker whose task this is, or None."""
    try:
        from distributed import get_worker

        return get_worker()
    except (ImportError, ValueError):
        return None
