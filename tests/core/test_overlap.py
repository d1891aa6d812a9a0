"""Tests of threads that read ahead and write behind: order, bounds, errors."""

from __future__ import annotations

import contextvars
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from vortex_hep.core.overlap import Overlap, mapped

#: Seconds after which what should overlap is taken not to.
PATIENCE = 20


@pytest.fixture(autouse=True)
def _no_threads_left():
    yield
    assert not [t for t in threading.enumerate() if t.name == "vortex_hep overlap"]


def test_all_in_order():
    out: list[int] = []
    with Overlap() as overlap:
        write = overlap.behind(out.append)
        for number in overlap.ahead(range(50)):
            write(number)
        overlap.finish()
        assert out == list(range(50))
        write(50)
    assert out[-1] == 50


def test_the_next_is_made_while_the_last_is_worked_on():
    second = threading.Event()

    def items():
        yield 1
        second.set()
        yield 2

    with Overlap() as overlap:
        for number in overlap.ahead(items()):
            assert number == 2 or second.wait(PATIENCE)


def test_no_more_is_made_ahead_than_one():
    made = taken = 0

    def items():
        nonlocal made
        for number in range(30):
            assert made <= taken + 1
            made += 1
            yield number

    with Overlap() as overlap:
        for _ in overlap.ahead(items()):
            taken += 1
    assert made == taken == 30


def test_work_behind_goes_on_beside_the_next():
    started, handed = threading.Event(), threading.Event()

    def work(number):
        if number == 0:
            started.set()
            assert handed.wait(PATIENCE)

    with Overlap() as overlap:
        put = overlap.behind(work, depth=2)
        put(0)
        assert started.wait(PATIENCE)
        put(1)
        handed.set()


@pytest.mark.parametrize("depth", [1, 3])
def test_no_more_waits_behind_than_allowed(depth):
    handed = done = 0

    def work(_):
        nonlocal done
        assert handed <= done + depth + 1
        done += 1

    with Overlap() as overlap:
        put = overlap.behind(work, depth=depth)
        for number in range(30):
            put(number)
            handed += 1
    assert done == 30


def test_one_behind_the_other():
    out: list[int] = []
    with Overlap() as overlap:
        last = overlap.behind(out.append)

        def square(number: int) -> None:
            last(number * number)

        first = overlap.behind(square)
        for number in range(20):
            first(number)
    assert out == [number * number for number in range(20)]


class OddError(Exception):
    pass


@pytest.mark.parametrize("error", [OddError, KeyboardInterrupt, MemoryError])
def test_errors_ahead_keep_their_type(error):
    def items():
        yield 1
        raise error("no more")

    seen: list[int] = []
    with pytest.raises(error, match="no more"), Overlap() as overlap:
        seen.extend(overlap.ahead(items()))
    assert seen in ([], [1])


def test_errors_behind_end_the_wait_for_the_next():
    failed = threading.Event()

    def work(_):
        failed.set()
        raise OddError("disk full")

    def items():
        yield 1
        assert failed.wait(PATIENCE)
        yield 2
        yield 3

    def run():
        with Overlap() as overlap:
            put = overlap.behind(work)
            for number in overlap.ahead(items()):
                put(number)
            overlap.finish()

    with pytest.raises(OddError, match="disk full"):
        run()


def test_errors_at_the_end_of_a_chain():
    def work(number):
        if number == 5:
            raise OddError("five")

    def run():
        with Overlap() as overlap:
            last = overlap.behind(work)
            first = overlap.behind(last)
            for number in range(1000):
                first(number)

    with pytest.raises(OddError, match="five"):
        run()


def test_the_last_item_may_fail():
    def work(_):
        raise OddError

    with pytest.raises(OddError), Overlap() as overlap:
        overlap.behind(work)(1)


def test_an_error_of_the_caller_drops_what_is_not_begun():
    begun, release = threading.Event(), threading.Event()
    done = []

    def work(number):
        begun.set()
        assert release.wait(PATIENCE)
        done.append(number)

    def run():
        with Overlap() as overlap:
            put = overlap.behind(work, depth=3)
            next(overlap.ahead(range(5)))
            for number in range(3):
                put(number)
            assert begun.wait(PATIENCE)
            threading.Timer(0.05, release.set).start()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run()
    assert done == [0]


def test_threads_see_what_the_caller_has_set():
    variable = contextvars.ContextVar("variable", default="none")
    variable.set("mine")
    seen = []
    with Overlap() as overlap:
        put = overlap.behind(lambda _: seen.append(variable.get()))
        for value in overlap.ahead(variable.get() for _ in range(1)):
            put(value)
            seen.append(value)
    assert seen == ["mine", "mine"]


def test_mapped_keeps_order_and_bounds():
    lock = threading.Lock()
    running = most = 0

    def work(number):
        nonlocal running, most
        with lock:
            running += number
            most = max(most, running)
        with lock:
            running -= number
        return -number

    numbers = [3, 9, 1, 1, 1, 12, 2, 2]
    with ThreadPoolExecutor(4) as pool:
        out = list(mapped(pool, work, numbers, size=lambda number: number, most=10))
    assert out == [-number for number in numbers]
    assert most <= 12


def test_mapped_passes_on_errors():
    def work(number):
        if number == 2:
            raise OddError
        return number

    def items():
        yield from (1, 2)
        while True:
            yield 3

    with ThreadPoolExecutor(2) as pool, pytest.raises(OddError):
        list(mapped(pool, work, items(), size=lambda _: 1, most=2))
