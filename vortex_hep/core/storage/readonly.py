"""Read-only Python files over bytes from anywhere."""

from __future__ import annotations

import io
from abc import ABC, abstractmethod
from typing import Any


class ReadOnlyFile(io.RawIOBase, ABC):
    """A file that is open for reading, for libraries that want one.

    Parameters
    ----------
    size : int, optional
        Bytes; not known where none are given.
    """

    def __init__(self, size: int | None = None) -> None:
        super().__init__()
        self._size = size
        self._at = 0

    @abstractmethod
    def fill(self, target: memoryview, start: int) -> int:
        """Put the bytes from ``start`` on into ``target``.

        Parameters
        ----------
        target : memoryview
            Of bytes, at least one; it does not reach beyond the end if that is known.
        start : int

        Returns
        -------
        int
            How many there are: fewer than there is room for only at the end of the file.
        """

    def readable(self) -> bool:
        """Whether it can be read: always."""
        return True

    def seekable(self) -> bool:
        """Whether one can move in it: always."""
        return True

    def tell(self) -> int:
        """Where the next byte is read from."""
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """Go to another place; see :meth:`io.IOBase.seek`.

        Raises
        ------
        io.UnsupportedOperation
            The place is told from the end, which is not known.
        """
        if whence == io.SEEK_END and self._size is None:
            raise io.UnsupportedOperation("the end of the file is not known")
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size or 0}[whence]
        self._at = max(0, base + offset)
        return self._at

    def readinto(self, buffer: Any, /) -> int:
        """Fill ``buffer`` as far as the file goes.

        Raises
        ------
        SourceError, CorruptionError
            What the bytes come from cannot be read.
        """
        target = memoryview(buffer).cast("B")
        if self._size is not None:
            target = target[: max(0, self._size - self._at)]
        count = self.fill(target, self._at) if len(target) else 0
        self._at += count
        return count
