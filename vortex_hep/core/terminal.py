"""Progress on a terminal: bars where possible, plain lines elsewhere.

Nothing is shown unless a caller asks for it: the command line does, and ``progress=True``.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, TypeAlias

from vortex_hep.core.progress import SILENT, Progress, Task
from vortex_hep.core.text import format_bytes, format_duration
from vortex_hep.errors import UnsupportedTypeError

#: Seconds between two lines of one task where no bar can be drawn: the first comes soon, so that
#: one knows how long it will take; a later one when a third of the time so far has passed again, or
#: so many seconds; and in the end a part of the time so far, so that a log of days stays readable.
FIRST_LINE = 1.0
LINE_INTERVAL = 20.0
LINE_FRACTION = 1 / 60


def terminal_progress() -> Progress:
    """The progress that suits where stderr goes."""
    return BarProgress() if sys.stderr.isatty() else LineProgress()


class BarProgress:
    """Draws a tqdm bar per task on stderr."""

    def task(
        self, label: str, total: int | float | None, unit: str = "B"
    ) -> AbstractContextManager[Task]:
        """Start a task with a bar of its own."""
        return self._bar(label, total, unit)

    @contextmanager
    def _bar(self, label: str, total: int | float | None, unit: str) -> Iterator[Task]:
        from tqdm import tqdm

        with tqdm(
            total=total,
            desc=label,
            unit=unit if unit == "B" else f" {unit}",
            unit_scale=unit == "B",
            file=sys.stderr,
            leave=True,
            mininterval=0.2,
            dynamic_ncols=True,
        ) as bar:
            yield _BarTask(bar)


class _BarTask:
    def __init__(self, bar: Any) -> None:
        self._bar = bar

    def advance(self, n: int | float = 1, **postfix: object) -> None:
        if postfix:
            self._bar.set_postfix(postfix, refresh=False)
        self._bar.update(n)

    def note(self, text: str) -> None:
        self._bar.write(text, file=sys.stderr)


class LineProgress:
    """Writes a line when a task starts, now and then, and when it ends: for logs."""

    def task(
        self, label: str, total: int | float | None, unit: str = "B"
    ) -> AbstractContextManager[Task]:
        """Start a task that reports in lines."""
        return self._lines(label, total, unit)

    @contextmanager
    def _lines(self, label: str, total: int | float | None, unit: str) -> Iterator[Task]:
        task = _LineTask(label, total, unit)
        yield task
        task.report(finished=True)


class _LineTask:
    def __init__(self, label: str, total: int | float | None, unit: str) -> None:
        self._label, self._total, self._unit = label, total, unit
        self._done: int | float = 0
        self._postfix: dict[str, object] = {}
        self._start = self._reported = time.monotonic()

    def advance(self, n: int | float = 1, **postfix: object) -> None:
        self._done += n
        self._postfix.update(postfix)
        now = time.monotonic()
        if now - self._reported >= _interval(now - self._start):
            self.report(finished=False)

    def note(self, text: str) -> None:
        _say(f"{self._label}: {text}")

    def report(self, *, finished: bool) -> None:
        """Write one line on stderr."""
        self._reported = time.monotonic()
        parts = [self._amount(self._done)]
        if not finished and self._total:
            parts.append(f"of {self._amount(self._total)}")
        seconds = self._reported - self._start
        parts.append(f"in {format_duration(seconds)}")
        if not finished and self._total and self._done and seconds:
            left = seconds * max(0.0, self._total / self._done - 1)
            parts[-1] += f", {self._amount(self._done / seconds)}/s, {format_duration(left)} left"
        parts += [f"{name}={value}" for name, value in self._postfix.items()]
        _say(f"{self._label}: {' '.join(parts)}")

    def _amount(self, value: int | float) -> str:
        return format_bytes(value) if self._unit == "B" else f"{value:.6g} {self._unit}"


def _interval(seconds: float) -> float:
    """Seconds between lines of a task that has taken so many.

    Examples
    --------
    >>> [round(_interval(t), 1) for t in (0.5, 6, 600, 36_000)]
    [1.0, 2.0, 20.0, 600.0]
    """
    return max(FIRST_LINE, min(LINE_INTERVAL, seconds / 3), LINE_FRACTION * seconds)


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


#: What calls take as ``progress``: True shows it on standard error, False and None nowhere.
ProgressLike: TypeAlias = Progress | bool | None


def progress_of(progress: ProgressLike) -> Progress:
    """Give the progress that a caller asks for.

    Raises
    ------
    UnsupportedTypeError
        It is something else.

    Examples
    --------
    >>> progress_of(None) is progress_of(False) is SILENT
    True
    """
    if progress is None or progress is False:
        return SILENT
    if progress is True:
        return terminal_progress()
    if not hasattr(progress, "task"):
        raise UnsupportedTypeError(
            f"progress must be True, False or a Progress, not {type(progress).__name__}",
            hint="True shows bars on standard error",
        )
    return progress
