"""What is read by range."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from vortex_hep.errors import TruncatedError

Range = tuple[int, int]


class ByteSource(Protocol):
    """Bytes of known size, read by range."""

    name: str
    size: int

    def read_ranges(self, ranges: Sequence[Range]) -> list[bytes]:
        """Bytes of each ``(offset, size)``; a short read raises TruncatedError."""
        ...

    def close(self) -> None:
        """Release what was opened here (not what the caller opened)."""
        ...


def short_read(name: str, offset: int, size: int, got: int) -> TruncatedError:
    """What is raised where a file ends before a range does."""
    msg = f"wanted {size} bytes, got {got}"
    return TruncatedError(msg, path=name, offset=offset + got, hint="fetch the file again")


def check_ranges(name: str, ranges: Sequence[Range], size: int) -> None:
    """Raise TruncatedError unless all ranges are within a file of ``size`` bytes."""
    for offset, wanted in ranges:
        if offset < 0 or wanted < 0 or offset + wanted > size:
            raise short_read(name, offset, wanted, max(0, size - offset))
