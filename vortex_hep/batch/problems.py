"""Lists of problems, reported together before work begins."""

from __future__ import annotations

from vortex_hep.core.text import plural
from vortex_hep.errors import UnsupportedTypeError, VortexError

#: Problems that are spelt out; the others are counted.
SHOWN = 10


class Problems:
    """Collects what is wrong, to say it at once.

    Parameters
    ----------
    title : str
        What they are about, in the plural: "problems with the inputs".
    """

    def __init__(self, title: str) -> None:
        self._title = title
        self._first: list[VortexError] = []
        self._count = 0

    def add(self, error: VortexError) -> None:
        """Add one."""
        self._count += 1
        if len(self._first) < SHOWN:
            self._first.append(error)

    def check(self) -> None:
        """Raise what was added.

        Raises
        ------
        VortexError
            The one problem there is, as it was added.
        UnsupportedTypeError
            The first :data:`SHOWN` of several problems, and how many more there are.
        """
        if self._count == 1:
            raise self._first[0]
        if self._count:
            lines = [f"{n}) {error}" for n, error in enumerate(self._first, 1)]
            if self._count > SHOWN:
                lines.append(f"and {self._count - SHOWN:,} more")
            msg = f"{plural(self._count, 'problem')[: -len(' problems')]} {self._title}: "
            raise UnsupportedTypeError(msg + "; ".join(lines))
