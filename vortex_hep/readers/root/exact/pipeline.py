"""Ordered work on records by several threads, with bounded memory."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Generic, TypeVar

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
        self._waiting: deque[tuple[int, Future[_Result]]] = deque()
        self._bytes = 0

    def submit(self, size: int, function: Callable[..., _Result], *arguments: object) -> None:
        """Run ``function``; ``size`` is about what its arguments take in memory."""
        self._waiting.append((size, self._pool.submit(function, *arguments)))
        self._bytes += size
        while self._bytes > _BYTES or len(self._waiting) > _RECORDS:
            self._next()

    def _next(self) -> None:
        size, future = self._waiting.popleft()
        self._bytes -= size
        self._take(future.result())

    def finish(self) -> None:
        """Hand over all that is left."""
        while self._waiting:
            self._next()

    def __enter__(self) -> Pipeline[_Result]:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._pool.shutdown(cancel_futures=True)
