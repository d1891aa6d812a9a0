"""The protocol of sources read by range."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from typing import BinaryIO, Protocol

from vortex_hep.core.storage import traffic
from vortex_hep.errors import SourceError, TruncatedError

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


def is_vectored(source: object) -> bool:
    """Whether several ranges go out in one request, so that what lies between is not fetched."""
    return bool(getattr(source, "vectored", False))


def short_read(name: str, offset: int, size: int, got: int) -> TruncatedError:
    """What is raised where a file ends before a range does."""
    msg = f"wanted {size} bytes, got {got}"
    return TruncatedError(msg, path=name, offset=offset + got, hint="fetch the file again")


def check_ranges(name: str, ranges: Sequence[Range], size: int) -> None:
    """Raise TruncatedError unless all ranges are within a file of ``size`` bytes."""
    for offset, wanted in ranges:
        if offset < 0 or wanted < 0 or offset + wanted > size:
            raise short_read(name, offset, wanted, max(0, size - offset))


class FileObjectSource:
    """A seekable file that somebody else opened."""

    def __init__(self, file: BinaryIO, name: str | None = None) -> None:
        self._file = file
        self._lock = threading.Lock()  # seek and read must not be torn apart
        self.name = name if name is not None else str(getattr(file, "name", "<file object>"))
        try:
            self.size = file.seek(0, os.SEEK_END)
        except (OSError, ValueError) as error:
            msg = f"the file is not seekable: {error}"
            raise SourceError(msg, path=self.name) from error

    def _read(self, offset: int, size: int) -> bytes:
        parts: list[bytes] = []
        got = 0
        try:
            with self._lock:
                self._file.seek(offset)
                while got < size:  # raw files may return less than asked for
                    part = self._file.read(size - got)
                    if not part:
                        break
                    parts.append(part)
                    got += len(part)
        except (OSError, ValueError) as error:
            msg = f"reading failed: {error}"
            raise SourceError(msg, path=self.name, offset=offset) from error
        traffic.note(1, got)
        if got != size:
            raise short_read(self.name, offset, size, got)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def read_ranges(self, ranges: Sequence[Range]) -> list[bytes]:
        """Bytes of each ``(offset, size)``."""
        return [self._read(offset, size) for offset, size in ranges]

    def close(self) -> None:
        """Leave the caller's file open."""
