"""Waiting for events in tests, without limits on the wall clock."""

from __future__ import annotations

import time
from collections.abc import Callable

#: Seconds after which what is waited for is taken to hang: no machine is as slow as that.
PATIENCE = 300.0


def wait_until(happened: Callable[[], object], *, every: float = 0.01) -> None:
    """Wait until something is so.

    Parameters
    ----------
    happened : callable
        Says whether it is; may raise to give up.
    every : float
        Seconds between two looks.
    """
    end = time.monotonic() + PATIENCE
    while not happened():
        if time.monotonic() > end:
            raise TimeoutError("it does not happen")
        time.sleep(every)
