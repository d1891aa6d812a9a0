"""Progress reports of long calls: a protocol, and a silent default.

The library prints nothing unasked. It reports to whatever :class:`Progress` it was given; the
command line, and ``progress=True``, give one that draws bars or writes lines
(:mod:`vortex_hep.core.terminal`).
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from types import TracebackType
from typing import Protocol


class Task(Protocol):
    """One piece of work in progress, as yielded by :meth:`Progress.task`."""

    def advance(self, n: int | float = 1, **postfix: object) -> None:
        """Report that ``n`` more units are done.

        Parameters
        ----------
        n : int or float
            Units completed since the last call; 0 only refreshes the postfix.
        **postfix
            Figures to show next to the bar, such as ``loss=3.14``.
        """
        ...

    def note(self, text: str) -> None:
        """Report a line that is to stay, such as the figures of an evaluation.

        Parameters
        ----------
        text : str
            One line without its end.
        """
        ...


class Progress(Protocol):
    """Receives the progress of long-running calls."""

    def task(
        self, label: str, total: int | float | None, unit: str = "B"
    ) -> AbstractContextManager[Task]:
        """Start a task; leaving the context ends it, finished or not.

        Parameters
        ----------
        label : str
            What is being done, in a word or two.
        total : int, float or None
            Units there are in all; ``None`` where that is not known.
        unit : str
            ``"B"`` for bytes (shown as MB and GB), else a name such as ``"clusters"``.
        """
        ...


class _SilentTask:
    """A task that nobody watches."""

    def __enter__(self) -> _SilentTask:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        return None

    def advance(self, n: int | float = 1, **postfix: object) -> None:
        """Drop the report."""

    def note(self, text: str) -> None:
        """Drop the line."""


class SilentProgress:
    """The default: reports nothing.

    Examples
    --------
    >>> with SilentProgress().task("reading", 100) as task:
    ...     task.advance(100)
    """

    def task(
        self, label: str, total: int | float | None, unit: str = "B"
    ) -> AbstractContextManager[Task]:
        """Start a task that drops its reports."""
        return _SilentTask()


#: Shared silent instance; it holds no state.
SILENT: Progress = SilentProgress()
