"""Sources that stay failed after an error, and their view as Python files."""

from __future__ import annotations

import io
import os
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

from vortex_hep.core.storage.bytesource import ByteSource, Range
from vortex_hep.errors import SourceError

#: Bytes that are fetched at once for a library that reads in small steps, and how many such blocks
#: are kept.
_BLOCK, _BLOCKS = 1 << 18, 64


class FailStopSource:
    """A source that raises its first failure again at every later read.

    Parameters
    ----------
    source : ByteSource
        Closed by :meth:`close`.

    Notes
    -----
    Libraries take a failure to read for data that they cannot interpret, and go on; what is made
    of the file then would depend on the network. So nothing more can be read.
    """

    def __init__(self, source: ByteSource) -> None:
        self._source = source
        self.name, self.size = source.name, source.size
        self.failure: SourceError | None = None

    def read_ranges(self, ranges: Sequence[Range]) -> list[bytes]:
        """Bytes of each ``(offset, size)``."""
        if self.failure is not None:
            raise self.failure
        try:
            return self._source.read_ranges(ranges)
        except SourceError as error:
            self.failure = error
            raise

    def close(self) -> None:
        """Close the source."""
        self._source.close()


class SourceFile(io.RawIOBase):
    """A source as a file that is open for reading, for libraries that want one.

    Parameters
    ----------
    source : ByteSource
        Left open by :meth:`close`.
    """

    def __init__(self, source: ByteSource) -> None:
        super().__init__()
        self._source = source
        self._at = 0
        self._blocks: OrderedDict[int, bytes] = OrderedDict()

    def readable(self) -> bool:
        """Yes."""
        return True

    def seekable(self) -> bool:
        """Yes."""
        return True

    def tell(self) -> int:
        """Where the next byte is read from."""
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        """Go to another place."""
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._source.size}[whence]
        self._at = max(0, base + offset)
        return self._at

    def readinto(self, buffer: Any, /) -> int:
        """Fill ``buffer``, as far as the file goes.

        Raises
        ------
        SourceError
            The file cannot be read.
        """
        view = memoryview(buffer).cast("B")
        stop = min(self._at + len(view), self._source.size)
        size = max(0, stop - self._at)
        if size >= _BLOCK:
            view[:size] = self._source.read_ranges([(self._at, size)])[0]
            self._at += size
            return size
        done = 0
        while done < size:
            number, inside = divmod(self._at, _BLOCK)
            part = self._block(number)[inside : inside + size - done]
            view[done : done + len(part)] = part
            done += len(part)
            self._at += len(part)
        return size

    def _block(self, number: int) -> bytes:
        block = self._blocks.pop(number, None)
        if block is None:
            start = number * _BLOCK
            size = min(_BLOCK, self._source.size - start)
            block = self._source.read_ranges([(start, size)])[0]
            if len(self._blocks) >= _BLOCKS:
                self._blocks.popitem(last=False)
        self._blocks[number] = block
        return block
