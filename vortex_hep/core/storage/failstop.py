"""Sources that stay failed after an error, and their view as Python files."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

from vortex_hep.core.storage.bytesource import ByteSource, Range, is_vectored
from vortex_hep.core.storage.readonly import ReadOnlyFile
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
        self.vectored = is_vectored(source)
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


class SourceFile(ReadOnlyFile):
    """A source as a file that is open for reading, for libraries that want one.

    Parameters
    ----------
    source : ByteSource
        Left open by :meth:`close`.
    """

    def __init__(self, source: ByteSource) -> None:
        super().__init__(source.size)
        self._source = source
        self._blocks: OrderedDict[int, bytes] = OrderedDict()

    def fill(self, target: memoryview, start: int) -> int:
        """Fetch what is asked for, in blocks where it is little."""
        size = len(target)
        if size >= _BLOCK:
            target[:] = self._source.read_ranges([(start, size)])[0]
            return size
        done = 0
        while done < size:
            number, inside = divmod(start + done, _BLOCK)
            part = self._block(number)[inside : inside + size - done]
            target[done : done + len(part)] = part
            done += len(part)
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
