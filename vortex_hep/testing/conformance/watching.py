"""Running many attempts one after the other: a hang is told, and memory is bounded."""

from __future__ import annotations

import sys
import threading
import tracemalloc
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Generic, TypeVar

from vortex_hep.testing.conformance.reporting import Subject

C = TypeVar("C")


@dataclass(frozen=True)
class Limits:
    """What an attempt may take.

    Parameters
    ----------
    seconds : float
        After so long an attempt is taken to hang. It is no measure of speed: it must be far above
        what the slowest machine needs.
    memory : int, optional
        Bytes that an attempt may take beyond what was held before; None measures nothing.
    traced_every : int
        One attempt in so many, and the first, is traced by :mod:`tracemalloc`, which sees all that
        Python and NumPy allocate but makes an attempt several times slower. Of every attempt the
        peak of the process is looked at, where the system tells it: memory that was touched, beyond
        the peak that there was before.

    Notes
    -----
    An attempt that hangs is left behind in its thread. Where a library hangs without letting
    other threads run, only something outside of the process can tell.
    """

    seconds: float = 300.0
    memory: int | None = 1 << 28
    traced_every: int = 16


def attempt_all(
    subject: Subject,
    cases: Iterable[C],
    attempt: Callable[[C], object],
    name: Callable[[C], str],
    limits: Limits,
) -> None:
    """Call ``attempt`` with each case, in a thread of its own that is watched.

    Parameters
    ----------
    subject : Subject
    cases : iterable
    attempt : callable
        What it raises is raised here, and ends the attempts.
    name : callable
        Gives a case as the position of errors.
    limits : Limits

    Raises
    ------
    ConformanceError
        An attempt takes longer, or more memory, than it may.
    """
    worker = _Worker(subject, cases, attempt, name, limits)
    thread = threading.Thread(target=worker.run, name="vortex-conformance", daemon=True)
    try:
        thread.start()
        done = -1
        while thread.is_alive():
            thread.join(limits.seconds)
            if thread.is_alive() and worker.done == done:
                raise subject.error(
                    f"an attempt does not end within {limits.seconds:g} s", position=worker.position
                )
            done = worker.done
    finally:
        worker.stopped = True
    if worker.error is not None:
        raise worker.error


class _Worker(Generic[C]):
    """Attempts in a thread, and how far they are."""

    def __init__(
        self, subject: Subject, cases: Iterable[C], attempt: Callable[[C], object],
        name: Callable[[C], str], limits: Limits,
    ) -> None:  # fmt: skip
        self._subject, self._cases, self._attempt = subject, cases, attempt
        self._name, self._limits = name, limits
        self.done = 0
        self.position = ""
        self.stopped = False
        self.error: BaseException | None = None

    def run(self) -> None:
        """Run until all is done, something is raised, or nobody waits any more."""
        try:
            for case in self._cases:
                if self.stopped:
                    return
                self.position = self._name(case)
                self._within_memory(case)
                self.done += 1
        except BaseException as error:  # noqa: BLE001  (raised again where the attempts began)
            self.error = error

    def _within_memory(self, case: C) -> None:
        """Run one attempt, and raise if it takes more memory than it may."""
        limit = self._limits.memory
        if limit is None:
            self._attempt(case)
            return
        before = _peak_resident()
        if self.done % self._limits.traced_every:
            self._attempt(case)
            taken = 0
        else:
            taken = self._traced(case)
        taken = max(taken, _peak_resident() - before)
        if taken > limit:
            raise self._subject.error(
                "an attempt takes too much memory", position=self.position,
                expected=f"at most {limit} bytes", found=taken,
            )  # fmt: skip

    def _traced(self, case: C) -> int:
        """Run one attempt; return the most bytes that were allocated at once."""
        began = not tracemalloc.is_tracing()
        if began:
            tracemalloc.start()
        try:
            tracemalloc.reset_peak()
            before = tracemalloc.get_traced_memory()[0]
            self._attempt(case)
            return tracemalloc.get_traced_memory()[1] - before
        finally:
            if began:
                tracemalloc.stop()


def _peak_resident() -> int:
    """Return the most memory that the process has had, in bytes; 0 where no system tells."""
    if sys.platform == "win32":
        return 0
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak << 10
