"""Overlapping work: threads that read ahead and write behind.

The calling thread stays in the middle: it takes what a thread has made ahead of it, and hands what
it has made to threads behind it. How far they may be apart bounds what is in memory at any time.
Whatever fails, wherever, ends all of it with that very error.
"""

from __future__ import annotations

import contextvars
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future
from types import TracebackType
from typing import Any, Generic, TypeVar

T = TypeVar("T")
R = TypeVar("R")


class Overlap:
    """Threads that work ahead of the calling one and behind it; to be used in a ``with`` block.

    Where the block ends with an exception, the threads drop what is not begun; otherwise all that
    was handed to them is done before the block is left. Either way no thread is left running.

    Examples
    --------
    >>> written = []
    >>> with Overlap() as overlap:
    ...     write = overlap.behind(written.append)
    ...     for number in overlap.ahead([1, 2, 3]):
    ...         write(number * number)
    >>> written
    [1, 4, 9]
    """

    def __init__(self) -> None:
        self._state = _State()
        self._threads: list[threading.Thread] = []
        self._behind: list[_Channel[Any]] = []

    def ahead(self, items: Iterable[T]) -> Iterator[T]:
        """Give items one by one; a thread makes the next while the caller works on the last.

        Parameters
        ----------
        items : iterable
            Iterated over in that thread, never more than one item ahead.

        Raises
        ------
        BaseException
            What the items, or any other work of this overlap, raised.
        """
        channel: _Channel[T] = _Channel(self._state, 1)
        iterator = iter(items)

        def make() -> None:
            while True:
                channel.reserve()
                try:
                    # Here as in what follows no name keeps an item in memory.
                    channel.send(next(iterator))
                except StopIteration:
                    channel.end()
                    return

        self._start(make)
        return channel.received()

    def behind(self, work: Callable[[T], object], *, depth: int = 1) -> Callable[[T], None]:
        """Give a function that hands items to a thread, which does ``work`` on each in order.

        Parameters
        ----------
        work : callable
        depth : int
            Items that may be on their way or worked on; handing over one more waits.

        Returns
        -------
        callable
            May be called by the work of another ``behind``, too. Raises what any work of this
            overlap has raised.
        """
        channel: _Channel[T] = _Channel(self._state, depth)
        self._behind.append(channel)

        def follow() -> None:
            while True:
                work(channel.take())
                channel.release()

        def hand_over(item: T) -> None:
            channel.reserve()
            channel.send(item)

        self._start(follow)
        return hand_over

    def finish(self) -> None:
        """Wait until all is done that was handed to threads behind.

        Raises
        ------
        BaseException
            What any work of this overlap has raised.
        """
        with self._state.changed:
            self._state.wait(lambda: not any(c.under_way for c in self._behind))

    def _start(self, run: Callable[[], None]) -> None:
        # The thread sees what the caller has set around this call.
        around = contextvars.copy_context()
        thread = threading.Thread(
            target=around.run, args=(self._guarded, run), name="vortex_hep overlap", daemon=True
        )
        self._state.workers.add(thread)
        self._threads.append(thread)
        thread.start()

    def _guarded(self, run: Callable[[], None]) -> None:
        try:
            run()
        except _StoppedError:
            pass
        except BaseException as error:  # noqa: BLE001 - it is raised again where it is waited for
            self._state.stop(error)

    def __enter__(self) -> Overlap:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if error is None:
                self.finish()
        finally:
            self._state.stop(None)
            for thread in self._threads:
                thread.join()


class _StoppedError(Exception):
    """Ends a thread whose work is not wanted any more."""


class _State:
    """What all threads of an overlap share."""

    def __init__(self) -> None:
        #: Guards every field here and in channels, and tells those who wait of every change.
        self.changed = threading.Condition()
        self.workers: set[threading.Thread] = set()
        self._stopped = False
        self._failure: BaseException | None = None

    def stop(self, failure: BaseException | None) -> None:
        """End all waiting; the first failure is the one that counts."""
        with self.changed:
            if not self._stopped:
                self._stopped, self._failure = True, failure
                self.changed.notify_all()

    def wait(self, until: Callable[[], bool]) -> None:
        """Wait for a condition, with ``changed`` held; raises once all has been stopped."""
        while not self._stopped and not until():
            self.changed.wait()
        if self._stopped:
            if self._failure is None or threading.current_thread() in self.workers:
                raise _StoppedError
            raise self._failure


class _Channel(Generic[T]):
    """Items on their way from one thread to another, in order."""

    def __init__(self, state: _State, depth: int) -> None:
        self._state = state
        self._depth = depth
        self._items: deque[T] = deque()
        self._ended = False
        #: Items that room was reserved for and not released.
        self.under_way = 0

    def reserve(self) -> None:
        """Wait for room for one item more."""
        with self._state.changed:
            self._state.wait(lambda: self.under_way < self._depth)
            self.under_way += 1

    def send(self, item: T) -> None:
        """Pass on an item for which room was reserved."""
        with self._state.changed:
            self._items.append(item)
            self._state.changed.notify_all()

    def end(self) -> None:
        """Say that no item follows."""
        with self._state.changed:
            self._ended = True
            self._state.changed.notify_all()

    def take(self) -> T:
        """Wait for the next item; its room stays reserved."""
        with self._state.changed:
            self._state.wait(lambda: bool(self._items))
            return self._items.popleft()

    def release(self) -> None:
        """Give back the room of one item."""
        with self._state.changed:
            self.under_way -= 1
            self._state.changed.notify_all()

    def received(self) -> Iterator[T]:
        """Items until the end, the room of each released as it is given."""
        while True:
            with self._state.changed:
                self._state.wait(lambda: bool(self._items) or self._ended)
                if not self._items:
                    return
            self.release()
            yield self._items.popleft()


class InOrder(Generic[R]):
    """Work that is done side by side and whose results come in order, with bounded memory.

    Parameters
    ----------
    pool : Executor
    most : int
        What all work under way may count for together; more is taken by itself.
    items : int, optional
        How many pieces of work may be under way; any number by default.
    """

    def __init__(self, pool: Executor, most: int, items: int | None = None) -> None:
        self._pool = pool
        self._most, self._items = most, items
        self._waiting: deque[tuple[int, Future[R]]] = deque()
        self._total = 0

    def room(self, weight: int) -> Iterator[R]:
        """Give results until there is room for work that counts for ``weight``."""
        while self._waiting and (
            self._total + weight > self._most or len(self._waiting) == self._items
        ):
            taken, future = self._waiting.popleft()
            yield future.result()
            self._total -= taken

    def submit(self, weight: int, work: Callable[..., R], *arguments: Any) -> None:
        """Begin work; see to it that there is room."""
        self._waiting.append((weight, self._pool.submit(work, *arguments)))
        self._total += weight

    def rest(self) -> Iterator[R]:
        """Give the results that are left."""
        while self._waiting:
            yield self._waiting.popleft()[1].result()
        self._total = 0

    def cancel(self) -> None:
        """Drop what is not begun."""
        for _, future in self._waiting:
            future.cancel()


def mapped(
    pool: Executor,
    work: Callable[[T], R],
    items: Iterable[T],
    *,
    size: Callable[[T], int],
    most: int,
) -> Iterator[R]:
    """Do work on items side by side and give the results in order, with bounded memory.

    Parameters
    ----------
    pool : Executor
    work : callable
    items : iterable
        Asked for the next item only where there is room for it.
    size : callable
        What an item counts for: its bytes, say.
    most : int
        What all items under way may count for together; a larger one is taken by itself.

    Yields
    ------
    object
        What ``work`` returned for each item.
    """
    under_way: InOrder[R] = InOrder(pool, most)
    try:
        for item in items:
            weight = size(item)
            yield from under_way.room(weight)
            under_way.submit(weight, work, item)
        yield from under_way.rest()
    finally:
        under_way.cancel()
