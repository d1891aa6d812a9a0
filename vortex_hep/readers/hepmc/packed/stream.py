"""Unpacked bytes of a file, plain, gzip or Zstandard, read by range.

Ranges are read in order for the most part. Going back is possible: gzip leaves marks to go on
from, Zstandard begins anew.
"""

from __future__ import annotations

import threading
import zlib
from bisect import bisect_right
from collections.abc import Iterator
from typing import Any, Protocol

from vortex_hep.core.storage.bytesource import ByteSource
from vortex_hep.core.storage.readonly import ReadOnlyFile
from vortex_hep.core.zstd import zstd
from vortex_hep.errors import SourceError

GZIP, ZSTD, PLAIN = "gzip", "zstd", "plain"
_MAGIC = {b"\x1f\x8b\x08": GZIP, b"\x28\xb5\x2f\xfd": ZSTD}
#: Bytes read, and unpacked, at once.
_INPUT, _OUTPUT = 1 << 18, 1 << 20
#: Unpacked bytes between two marks.
_MARK_EVERY = 1 << 24


def packing_of(head: bytes) -> str:
    """How a file is packed, by its first bytes."""
    return next((name for magic, name in _MAGIC.items() if head.startswith(magic)), PLAIN)


class Unpacker(Protocol):
    """What zlib and Zstandard have in common."""

    eof: bool

    @property
    def unused_data(self) -> bytes:
        """Bytes behind the end."""
        ...


def unpack_some(packing: str, unpacker: Any, data: bytes) -> tuple[bytes, bytes]:
    """Unpack at most a megabyte; return it and the input that is left."""
    if packing == GZIP:
        out = unpacker.decompress(data, _OUTPUT)
        return out, unpacker.unused_data if unpacker.eof else unpacker.unconsumed_tail
    out = unpacker.decompress(data, _OUTPUT)
    return out, unpacker.unused_data if unpacker.eof else b""


def make_unpacker(packing: str) -> Any:
    """A new state of unpacking."""
    return zlib.decompressobj(31) if packing == GZIP else zstd.ZstdDecompressor()


class Stream:
    """The unpacked bytes of a file.

    Parameters
    ----------
    source : ByteSource
        Closed by :meth:`close`.

    Attributes
    ----------
    packing : str
        ``"plain"``, ``"gzip"`` or ``"zstd"``.
    size : int
        Known once the end was read; -1 before.
    members : int
        Packed streams that follow one another, as far as read.
    packed_end : int
        Where packed streams end, and bytes follow that are none; known as ``size`` is.
    """

    def __init__(self, source: ByteSource) -> None:
        self.source = source
        self.packing = packing_of(source.read_ranges([(0, min(4, source.size))])[0])
        self.size = source.size if self.packing == PLAIN else -1
        self.packed_end = source.size
        self.members = 1
        self._marks: list[tuple[int, int, int, Any]] = []
        self._lock = threading.Lock()
        self._restart()

    def _restart(self) -> None:
        self._input, self._input_at = b"", 0
        self._ready, self._ready_at = b"", 0
        self._unpacker = None if self.packing == PLAIN else make_unpacker(self.packing)
        self._member = 1

    def read(self, start: int, stop: int) -> bytes:
        """Bytes ``start`` to ``stop``; fewer where the stream ends before.

        Raises
        ------
        SourceError
            The packed data are damaged, or end too early.
        """
        with self._lock:
            if self.packing == PLAIN:
                stop = min(stop, self.size)
                return bytes(self.source.read_ranges([(start, max(0, stop - start))])[0])
            return self._read(start, stop)

    def _read(self, start: int, stop: int) -> bytes:
        if start < self._ready_at:
            self._go_back(start)
        parts = []
        while start < stop:
            end = self._ready_at + len(self._ready)
            if start < end:
                part = self._ready[start - self._ready_at : stop - self._ready_at]
                parts.append(part)
                start += len(part)
                continue
            more = self._more()
            if more is None:
                self.size = end
                break
            self._ready, self._ready_at = more, end
        return b"".join(parts)

    def _go_back(self, start: int) -> None:
        place = bisect_right([m[0] for m in self._marks], start) - 1
        self._restart()
        if place >= 0:
            self._ready_at, self._input_at, self._member, state = self._marks[place]
            self._unpacker = state.copy()

    def _more(self) -> bytes | None:
        """The next unpacked bytes; None at the end."""
        while True:
            unpacker = self._unpacker
            if unpacker is None:
                return None
            if unpacker.eof:
                if not self._next_member():
                    return None
                continue
            if not self._input and (self.packing == GZIP or unpacker.needs_input):
                self._mark()
                size = min(_INPUT, self.source.size - self._input_at)
                if not size:
                    raise self._damaged("the file ends before its compressed data do")
                self._input = bytes(self.source.read_ranges([(self._input_at, size)])[0])
                self._input_at += size
            try:
                out, self._input = unpack_some(self.packing, unpacker, self._input)
            except (zlib.error, zstd.ZstdError) as error:
                raise self._damaged(f"the compressed data are damaged: {error}") from error
            if out:
                return out

    def _mark(self) -> None:
        """Remember where to go on from."""
        at = self._ready_at + len(self._ready)
        last = self._marks[-1][0] if self._marks else 0
        if self.packing == GZIP and at >= last + _MARK_EVERY and self._unpacker is not None:
            self._marks.append((at, self._input_at, self._member, self._unpacker.copy()))

    def _next_member(self) -> bool:
        """Go on with a packed stream that follows; False if there is none."""
        rest = self._input_at - len(self._input)
        head = self.source.read_ranges([(rest, min(4, self.source.size - rest))])[0]
        if packing_of(head) != self.packing:
            self.packed_end = rest
            self._unpacker = None
            return False
        self._member += 1
        self.members = max(self.members, self._member)
        self._unpacker = make_unpacker(self.packing)
        return True

    def _damaged(self, message: str) -> SourceError:
        return SourceError(
            message, path=self.source.name, offset=self._input_at - len(self._input),
            hint="fetch the file again",
        )  # fmt: skip

    def pieces(self, start: int, stop: int | None = None, size: int = 1 << 22) -> Iterator[bytes]:
        """Bytes from ``start`` to ``stop`` (or the end) in pieces."""
        while stop is None or start < stop:
            piece = self.read(start, start + size if stop is None else min(start + size, stop))
            if not piece:
                return
            yield piece
            start += len(piece)

    def close(self) -> None:
        """Close the file."""
        self.source.close()


class StreamFile(ReadOnlyFile):
    """A stream as a file object, for :mod:`tarfile`."""

    def __init__(self, stream: Stream) -> None:
        super().__init__()
        self._stream = stream

    def fill(self, target: memoryview, start: int) -> int:
        """Take bytes of the stream; fewer at its end."""
        data = self._stream.read(start, start + len(target))
        target[: len(data)] = data
        return len(data)

    def readall(self) -> bytes:
        """Read what is left of the stream."""
        data = b"".join(self._stream.pieces(self._at))
        self._at += len(data)
        return data


def gzip_header(source: ByteSource) -> bytes:
    """The header of the first gzip member (RFC 1952, section 2.3), as it stands."""
    head = bytes(source.read_ranges([(0, min(source.size, 1 << 17))])[0])
    flags, at = head[3], 10
    if flags & 4:
        at += 2 + int.from_bytes(head[at : at + 2], "little")
    for bit in (8, 16):
        if flags & bit:
            at = head.index(b"\0", at) + 1
    if flags & 2:
        at += 2
    return head[:at]
