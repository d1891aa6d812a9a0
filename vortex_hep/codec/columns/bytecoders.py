"""Byte coders below the column coders: store, zstd and LZMA2, all strict about sizes."""

from __future__ import annotations

import lzma
from dataclasses import dataclass
from typing import Any, Protocol

from vortex_hep.core import zstd
from vortex_hep.errors import CorruptionError

#: An LZMA2 decoder never needs a longer dictionary (SPEC 4.3).
LZMA_MAX_DICT = 1 << 26
_LZMA_MIN_DICT = 1 << 12


class ByteCoder(Protocol):
    """Bytes to bytes; the decoder is told the size of the data."""

    @property
    def name(self) -> str:
        """For people."""
        ...

    def encode(self, data: bytes, width: int) -> bytes:
        """Compress; ``width`` is the period of the data in bytes, a hint."""
        ...

    def decode(self, payload: bytes, size: int) -> bytes:
        """Decompress to exactly ``size`` bytes or raise CorruptionError."""
        ...


@dataclass(frozen=True)
class Store:
    """The data itself."""

    name: str = "store"

    def encode(self, data: bytes, width: int) -> bytes:
        """Return the data."""
        return data

    def decode(self, payload: bytes, size: int) -> bytes:
        """Return the payload if it has the right size."""
        if len(payload) != size:
            msg = f"{len(payload)} bytes where {size} belong"
            raise CorruptionError(msg)
        return payload


@dataclass(frozen=True)
class Zstd:
    """zstd at ``level``, which is not stored."""

    level: int = 19
    name: str = "zstd"

    def encode(self, data: bytes, width: int) -> bytes:
        """Compress to one frame without magic."""
        return zstd.compress(data, self.level)

    def decode(self, payload: bytes, size: int) -> bytes:
        """Decompress one frame without magic."""
        return zstd.decompress(payload, size)


@dataclass(frozen=True)
class Lzma:
    """LZMA2 without a container: the archive has its own sizes and checksums.

    Parameters
    ----------
    nice_len : int
        Effort of the encoder.
    aligned : bool
        Tune literal and position contexts to the width of the items. Neither is stored apart
        from what the stream itself says.
    """

    nice_len: int = 64
    aligned: bool = True
    name: str = "lzma"

    def encode(self, data: bytes, width: int) -> bytes:
        """Compress to one raw LZMA2 stream."""
        # Literal contexts by the position in the item where items stand side by side.
        period = {2: 1, 4: 2, 8: 3}.get(width, 0) if self.aligned else 0
        filters: list[dict[str, Any]] = [
            {
                "id": lzma.FILTER_LZMA2,
                "preset": 6,
                # A dictionary beyond the data costs set-up time and memory for nothing.
                "dict_size": _dict_size(len(data)),
                "lc": min(3, 4 - period),
                "lp": period,
                "pb": period,
                "nice_len": self.nice_len,
            }
        ]
        return lzma.compress(data, lzma.FORMAT_RAW, filters=filters)

    def decode(self, payload: bytes, size: int) -> bytes:
        """Decompress one raw LZMA2 stream."""
        filters = [{"id": lzma.FILTER_LZMA2, "dict_size": _dict_size(size)}]
        decoder = lzma.LZMADecompressor(lzma.FORMAT_RAW, filters=filters)
        try:
            # One byte more than wanted: to notice a longer stream, and to reach its end mark.
            data = decoder.decompress(payload, size + 1)
        except (lzma.LZMAError, EOFError) as error:
            msg = f"LZMA2 stream is damaged: {error}"
            raise CorruptionError(msg) from error
        if len(data) != size or not decoder.eof:
            msg = f"LZMA2 stream does not hold exactly {size} bytes"
            raise CorruptionError(msg)
        if decoder.unused_data:
            msg = f"{len(decoder.unused_data)} bytes follow the LZMA2 stream"
            raise CorruptionError(msg)
        return data


def _dict_size(size: int) -> int:
    return min(max(size, _LZMA_MIN_DICT), LZMA_MAX_DICT)
