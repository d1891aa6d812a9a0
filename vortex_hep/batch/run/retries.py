"""Rules for retrying failed files, and for pausing a run when nearly everything fails."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass

from vortex_hep.batch.states import Outcome, Reason

#: Workers that a file may cost.
MOST_LOSSES = 2
#: Times that a file is tried again whose worker was lost for no fault of it.
_MOST_UNLUCKY = 20
#: Files tried one by one, all in vain, after which a run gives up.
_MOST_PROBES = 8
#: Seconds between two attempts at most.
_LONGEST = 600.0


@dataclass(frozen=True)
class Policy:
    """How hard a run tries.

    Parameters
    ----------
    attempts : int
        Of a file whose failure may pass, in one run.
    backoff : float
        Seconds until the second attempt; they double with each one.
    group_bytes : int
        Small files are put together in tasks of about so many bytes.
    """

    attempts: int = 3
    backoff: float = 5.0
    group_bytes: int = 32 << 20


class Retries:
    """Counts failures in one run.

    Parameters
    ----------
    policy : Policy

    Notes
    -----
    Where a server is down, or a quota full, every file fails. So that not all of them use up their
    attempts, a run goes on with one file at a time after a row of such failures, and later each
    time, until one succeeds; after some of them it gives up.
    """

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._failures: Counter[int] = Counter()
        self._losses: Counter[int] = Counter()
        self._unlucky: Counter[int] = Counter()
        self._row = 0
        self._probes = 0

    def delay(self, outcome: Outcome, *, lost: bool = False, blamed: bool = True) -> float | None:
        """Seconds until a file that failed is tried again; None if it is not.

        Parameters
        ----------
        outcome : Outcome
        lost : bool
            Whether the worker was lost, so that the driver itself says what became of the file.
        blamed : bool
            Whether the worker was at this file then.
        """
        number, reason = outcome.number, Reason(outcome.reason)
        if not reason.transient:
            return None
        if lost and not blamed:
            self._unlucky[number] += 1
            return 0.0 if self._unlucky[number] <= _MOST_UNLUCKY else None
        if lost or reason is Reason.CRASHED:
            self._losses[number] += 1
            if self._losses[number] >= MOST_LOSSES:
                return None
        self._failures[number] += 1
        if self._failures[number] >= self._policy.attempts:
            return None
        return 0.0 if lost else self._wait(self._failures[number])

    def _wait(self, failures: int) -> float:
        seconds = min(self._policy.backoff * 2.0 ** min(failures - 1, 30), _LONGEST)
        # Files that failed together are not to come back together.
        return seconds * random.uniform(0.75, 1.25)

    def note(self, outcome: Outcome) -> None:
        """Learn from an outcome how things go in general."""
        if outcome.reason in (Reason.NETWORK.value, Reason.NO_SPACE.value):
            self._row += 1
        else:
            self._row = self._probes = 0

    def storm(self, threads: int) -> bool:
        """Whether nearly everything fails, so that one file at a time is enough."""
        return self._row >= max(4, 2 * threads)

    def pause(self) -> float | None:
        """Seconds to wait before the next file is tried in a storm; None to give up."""
        self._probes += 1
        if self._probes > _MOST_PROBES:
            return None
        return self._wait(self._probes)
