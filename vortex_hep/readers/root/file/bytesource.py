"""Bytes of a ROOT file by range, through the handler that uproot opened it with."""

from __future__ import annotations

import queue
from collections.abc import Sequence
from typing import Any

from vortex_hep.core.storage.bytesource import Range, is_vectored
from vortex_hep.core.storage.ranges import coalesced
from vortex_hep.errors import SourceError, VortexError


class ByteReader:
    """Random access to the bytes behind an uproot file.

    Parameters
    ----------
    source : uproot.source.chunk.Source
    path : str
        Named in errors.
    """

    def __init__(self, source: Any, path: str) -> None:
        self.source = source
        self.path = path
        self.name = path
        self.size = int(source.num_bytes)

    def read(self, start: int, size: int) -> memoryview:
        """``size`` bytes from ``start``.

        Raises
        ------
        SourceError
            The file ends before.
        """
        return self.read_many([(start, size)])[0]

    def read_ranges(self, ranges: Sequence[Range]) -> list[bytes]:
        """As :meth:`read_many`, copied out of the file."""
        return [bytes(view) for view in self.read_many(ranges)]

    def close(self) -> None:
        """Close the file."""
        self.source.close()

    def read_many(self, ranges: Sequence[Range]) -> list[memoryview]:
        """Bytes of each ``(start, size)``; neighbours are fetched together."""
        for start, size in ranges:
            if start < 0 or size < 0 or start + size > self.size:
                msg = f"needs {size} bytes but the file ends at byte {self.size}"
                raise SourceError(
                    msg, path=self.path, offset=start, hint="the file is truncated or damaged"
                )
        return coalesced(self._chunks, ranges, vectored=is_vectored(self.source))

    def _chunks(self, ranges: list[Range]) -> list[memoryview]:
        out = []
        wanted = [(start, start + size) for start, size in ranges if size]
        # All requests are under way before the first answer is waited for.
        try:
            chunks = iter(self.source.chunks(wanted, notifications=queue.Queue()) if wanted else ())
        except VortexError:  # of a URL: it says all there is to say
            raise
        except OSError as error:
            raise SourceError(f"cannot be read: {error}", path=self.path) from error
        for start, size in ranges:
            if not size:
                out.append(memoryview(b""))
                continue
            try:
                data = next(chunks).raw_data
            except (OSError, ValueError, RuntimeError) as error:
                msg = f"cannot read {size} bytes: {error}"
                raise SourceError(msg, path=self.path, offset=start) from error
            view = memoryview(data).cast("B")
            if len(view) < size:
                msg = f"read {len(view)} bytes instead of {size}"
                raise SourceError(msg, path=self.path, offset=start)
            out.append(view[:size])
        return out
