"""Small files on servers, fetched in one request."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from vortex_hep.core.storage.bytesource import ByteSource, Range, check_ranges
from vortex_hep.core.storage.paths import is_url

#: Files up to so many bytes are fetched whole: many requests take longer than so many bytes.
SMALL = 4 << 20


class WholeSource:
    """A source that is fetched whole when the first range of it is asked for.

    Parameters
    ----------
    source : ByteSource
        Closed by :meth:`close`.
    """

    def __init__(self, source: ByteSource) -> None:
        self._source = source
        self.name, self.size = source.name, source.size
        self._lock = threading.Lock()
        self._data: bytes | None = None

    def read_ranges(self, ranges: Sequence[Range]) -> list[bytes]:
        """Bytes of each ``(offset, size)``."""
        check_ranges(self.name, ranges, self.size)
        with self._lock:
            if self._data is None:
                self._data = self._source.read_ranges([(0, self.size)])[0]
            data = self._data
        return [data[offset : offset + size] for offset, size in ranges]

    def close(self) -> None:
        """Close the source."""
        self._source.close()
        self._data = None


def whole_if_small(source: ByteSource) -> ByteSource:
    """Fetch a file whole if it is small and on a server; for those who read nearly all of it.

    Parameters
    ----------
    source : ByteSource

    Returns
    -------
    ByteSource
    """
    return WholeSource(source) if is_url(source.name) and source.size <= SMALL else source
