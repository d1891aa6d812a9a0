"""Ordered work on records by several threads, with bounded memory."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Generic, TypeVar

from vortex_hep.core.overlap import InOrder

_Result = TypeVar("_Result")

#: Bytes and number of records that wait at most.
_BYTES, _RECORDS = 1 << 26, 1 << 10


class Pipeline(Generic[_Result]):
    """Runs functions in threads and hands over what they return, in the order they came.

    Parameters
    ----------
    take : callable
        Called with each result, in the thread that submits.
    """

    def __init__(self, take: Callable[[_Result], None]) -> None:
        self._take = take
        self._pool = ThreadPoolExecutor(min(4, os.cpu_count() or 1))
        self._under_way: InOrder[_Result] = InOrder(self._pool, _BYTES, _RECORDS)

    def submit(self, size: int, function: Callable[..., _Result], *arguments: object) -> None:
        """Run ``function``; ``size`` is about what its arguments take in memory."""
        for result in self._under_way.room(size):
            self._take(result)
        self._under_way.submit(size, function, *arguments)

    def finish(self) -> None:
        """Hand over all that is left."""
        for result in self._under_way.rest():
            self._take(result)

    def __enter__(self) -> Pipeline[_Result]:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._pool.shutdown(cancel_futures=True)
