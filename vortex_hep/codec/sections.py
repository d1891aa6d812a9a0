"""Length-prefixed sections: the parts of chunk payloads."""

from __future__ import annotations

import struct
from collections.abc import Iterable

from vortex_hep.errors import CorruptionError

_SIZE = struct.Struct("<I")  # SPEC "Sections": bytes that follow


def join(parts: Iterable[bytes]) -> bytes:
    """Join byte strings, each behind its size."""
    return b"".join(_SIZE.pack(len(p)) + p for p in parts)


class Reader:
    """Reads a payload front to back and never past its end.

    Examples
    --------
    >>> r = Reader(join([b"ab", b""]))
    >>> r.section(), r.section()
    (b'ab', b'')
    >>> r.finish()
    """

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def take(self, size: int) -> bytes:
        """Return the next ``size`` bytes."""
        stop = self._at + size
        if size < 0 or stop > len(self._data):
            msg = f"a chunk ends {stop - len(self._data)} bytes early"
            raise CorruptionError(msg)
        part = self._data[self._at : stop]
        self._at = stop
        return part

    @property
    def left(self) -> int:
        """Bytes not read yet."""
        return len(self._data) - self._at

    def section(self) -> bytes:
        """Return the next section."""
        (size,) = _SIZE.unpack(self.take(_SIZE.size))
        return self.take(size)

    def finish(self) -> None:
        """Raise CorruptionError if bytes are left over."""
        if self._at != len(self._data):
            msg = f"{len(self._data) - self._at} bytes too many in a chunk"
            raise CorruptionError(msg)
