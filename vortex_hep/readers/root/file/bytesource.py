"""Bytes of a ROOT file by range, through the handler that uproot opened it with."""

from __future__ import annotations

import queue
from collections.abc import Sequence
from typing import Any

from vortex_hep.errors import SourceError, VortexError

#: Ranges closer together than this are fetched in one request.
_COALESCE_GAP = 1 << 16
#: A merged request stays below this many bytes.
_COALESCE_LIMIT = 1 << 25


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

    def read_ranges(self, ranges: Sequence[tuple[int, int]]) -> list[bytes]:
        """As :meth:`read_many`, copied out of the file."""
        return [bytes(view) for view in self.read_many(ranges)]

    def close(self) -> None:
        """Close the file."""
        self.source.close()

    def read_many(self, ranges: Sequence[tuple[int, int]]) -> list[memoryview]:
        """Bytes of each ``(start, size)``; neighbours are fetched together."""
        order = sorted(range(len(ranges)), key=lambda i: ranges[i])
        groups: list[tuple[int, int, list[int]]] = []
        for i in order:
            start, stop = ranges[i][0], ranges[i][0] + ranges[i][1]
            if start < 0 or stop > self.size or stop < start:
                msg = f"needs {stop - start} bytes but the file ends at byte {self.size}"
                raise SourceError(
                    msg, path=self.path, offset=start, hint="the file is truncated or damaged"
                )
            if groups:
                low, high, members = groups[-1]
                if start <= high + _COALESCE_GAP and max(high, stop) - low <= _COALESCE_LIMIT:
                    members.append(i)
                    groups[-1] = (low, max(high, stop), members)
                    continue
            groups.append((start, stop, [i]))
        out: list[memoryview] = [memoryview(b"")] * len(ranges)
        chunks = self._chunks([(low, high) for low, high, _ in groups])
        for (low, _, members), chunk in zip(groups, chunks, strict=True):
            for i in members:
                start, size = ranges[i]
                out[i] = chunk[start - low : start - low + size]
        return out

    def _chunks(self, ranges: list[tuple[int, int]]) -> list[memoryview]:
        out = []
        wanted = [(low, high) for low, high in ranges if low < high]
        # All requests are under way before the first answer is waited for.
        try:
            chunks = iter(self.source.chunks(wanted, notifications=queue.Queue()) if wanted else ())
        except VortexError:  # of a URL: it says all there is to say
            raise
        except OSError as error:
            raise SourceError(f"cannot be read: {error}", path=self.path) from error
        for low, high in ranges:
            if low == high:
                out.append(memoryview(b""))
                continue
            try:
                data = next(chunks).raw_data
            except (OSError, ValueError, RuntimeError) as error:
                msg = f"cannot read {high - low} bytes: {error}"
                raise SourceError(msg, path=self.path, offset=low) from error
            view = memoryview(data).cast("B")
            if len(view) < high - low:
                msg = f"read {len(view)} bytes instead of {high - low}"
                raise SourceError(msg, path=self.path, offset=low)
            out.append(view[: high - low])
        return out
