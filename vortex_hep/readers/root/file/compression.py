"""ROOT's compressed records: a sequence of blocks, each with its own nine-byte header."""

from __future__ import annotations

import lzma
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass

import cramjam
import xxhash

from vortex_hep.errors import UnsupportedTypeError

#: R__zip block header: algorithm (2), method, compressed size (3, LE), uncompressed size (3, LE).
_BLOCK = struct.Struct("<2sBHBHB")
#: Largest number of uncompressed bytes in one block (kMAXZIPBUF).
MAX_BLOCK = 0xFFFFFF

#: ROOT::RCompressionSetting::EAlgorithm, the hundreds of fCompress. 0 means "global default"; 3 is
#: ROOT's own zlib of before 2010, which is only read.
_ALGORITHMS = {0: "zlib", 1: "zlib", 2: "lzma", 3: "zlib", 4: "lz4", 5: "zstd"}
_CODES = {"zlib": 1, "lzma": 2, "lz4": 4, "zstd": 5}
_TAGS = {"zlib": b"ZL", "lzma": b"XZ", "lz4": b"L4", "zstd": b"ZS"}
_METHODS = {"zlib": 8, "lzma": 0, "lz4": 1, "zstd": 1}
_LEVELS = {"zlib": 9, "lzma": 9, "lz4": 12, "zstd": 22}
#: LZ4 blocks start with the big-endian XXH64 of what follows.
_XXH64_SIZE = 8


class BlockError(ValueError):
    """A compressed record is damaged or uses an unknown method."""


@dataclass(frozen=True)
class Compression:
    """Algorithm and level that records are written with.

    Parameters
    ----------
    algorithm : str
        ``"none"``, ``"zlib"``, ``"lzma"``, ``"lz4"`` or ``"zstd"``.
    level : int
    """

    algorithm: str
    level: int

    @classmethod
    def parse(cls, text: str) -> Compression | None:
        """Read ``"zstd:5"``; ``"original"`` gives None.

        Examples
        --------
        >>> Compression.parse("zstd:5")
        Compression(algorithm='zstd', level=5)
        """
        if text == "original":
            return None
        if text == "none":
            return cls("none", 0)
        algorithm, _, level = text.partition(":")
        if algorithm not in _TAGS or not (level or "0").isdecimal():
            msg = f"unknown compression {text!r}"
            raise UnsupportedTypeError(
                msg, hint='use "zstd:5", "zlib:1", "lzma:9", "lz4:4", "none" or "original"'
            )
        return cls(algorithm, min(int(level or 1), _LEVELS[algorithm]))

    @property
    def code(self) -> int:
        """The setting as ROOT writes it: hundreds for the algorithm, the rest for the level."""
        return 0 if self.algorithm == "none" else 100 * _CODES[self.algorithm] + self.level

    @classmethod
    def from_code(cls, code: int) -> Compression:
        """The setting that ROOT writes as ``fCompress``, such as 505 for zstd level 5."""
        if code <= 0 or code % 100 == 0:
            return cls("none", 0)
        algorithm = _ALGORITHMS.get(code // 100, "zlib")
        return cls(algorithm, min(code % 100, _LEVELS[algorithm]))


def _inflate_raw(data: bytes | memoryview, size: int) -> bytes:
    return zlib.decompress(data, -zlib.MAX_WBITS, size)


def _decompress_lz4(data: bytes | memoryview, size: int) -> bytes:
    body = data[_XXH64_SIZE:]
    if xxhash.xxh64_digest(body) != bytes(data[:_XXH64_SIZE]):
        msg = "checksum of an LZ4 block is wrong"
        raise BlockError(msg)
    return bytes(cramjam.lz4.decompress_block(body, output_len=size))


def _decompress_zstd(data: bytes | memoryview, size: int) -> bytes:
    return bytes(cramjam.zstd.decompress(data, output_len=size))


_DECOMPRESSORS: dict[bytes, Callable[[bytes | memoryview, int], bytes]] = {
    b"ZL": lambda data, size: zlib.decompress(data, bufsize=size),
    b"XZ": lambda data, size: lzma.decompress(data),
    b"L4": _decompress_lz4,
    b"ZS": _decompress_zstd,
    b"CS": _inflate_raw,
}


def decompress(data: memoryview, size: int) -> bytes:
    """Decompress a record's blocks to exactly ``size`` bytes.

    Parameters
    ----------
    data : memoryview of bytes
        The record without its TKey.
    size : int
        ``fObjlen``. A record whose length equals it is stored as it is.

    Returns
    -------
    bytes

    Raises
    ------
    BlockError
    """
    if len(data) == size:
        return bytes(data)
    parts = []
    position = total = 0
    while total < size:
        if position + _BLOCK.size > len(data):
            msg = "compressed record ends early"
            raise BlockError(msg)
        tag, _, c_low, c_high, u_low, u_high = _BLOCK.unpack_from(data, position)
        packed, unpacked = c_low | c_high << 16, u_low | u_high << 16
        position += _BLOCK.size
        try:
            part = _DECOMPRESSORS[tag](data[position : position + packed], unpacked)
        except KeyError:
            msg = f"unknown compression algorithm {tag!r}"
            raise BlockError(msg) from None
        except (zlib.error, lzma.LZMAError, cramjam.DecompressionError, EOFError) as error:
            msg = f"a {tag.decode()} block does not decompress: {error}"
            raise BlockError(msg) from error
        if len(part) != unpacked:
            msg = f"a block holds {len(part)} bytes where its header says {unpacked}"
            raise BlockError(msg)
        parts.append(part)
        position += packed
        total += unpacked
    if total != size or position != len(data):
        msg = f"compressed record holds {total} bytes where its key says {size}"
        raise BlockError(msg)
    return parts[0] if len(parts) == 1 else b"".join(parts)


def _compress_lzma(data: bytes | memoryview, level: int) -> bytes:
    # ROOT's own choice of dictionary; a larger one costs memory and buys little on a basket.
    dictionary = max(4096, len(data) // 4)
    chain = [{"id": lzma.FILTER_LZMA2, "preset": level, "dict_size": dictionary}]
    return lzma.compress(data, lzma.FORMAT_XZ, lzma.CHECK_CRC32, filters=chain)


def _compress_lz4(data: bytes | memoryview, level: int) -> bytes:
    # As ROOT does: the high-compression variant from level 4 on.
    mode = {"mode": "high_compression", "compression": level} if level >= 4 else {"mode": "default"}
    body = bytes(cramjam.lz4.compress_block(data, store_size=False, **mode))
    return xxhash.xxh64_digest(body) + body


_COMPRESSORS: dict[str, Callable[[bytes | memoryview, int], bytes]] = {
    "zlib": lambda data, level: zlib.compress(data, level),
    "lzma": _compress_lzma,
    "lz4": _compress_lz4,
    "zstd": lambda data, level: bytes(cramjam.zstd.compress(data, level)),
}


def compress(data: bytes | memoryview, how: Compression) -> bytes:
    """Compress a record to ROOT blocks; what does not shrink is returned as it is."""
    if how.algorithm == "none" or len(data) == 0:
        return bytes(data)
    parts = []
    view = memoryview(data)
    for start in range(0, len(view), MAX_BLOCK):
        block = view[start : start + MAX_BLOCK]
        packed = _COMPRESSORS[how.algorithm](block, how.level)
        if len(packed) > MAX_BLOCK:
            return bytes(data)
        parts.append(block_header(how.algorithm, len(packed), len(block)))
        parts.append(packed)
    out = b"".join(parts)
    return out if len(out) < len(view) else bytes(data)


def block_header(algorithm: str, packed: int, unpacked: int) -> bytes:
    """The nine bytes in front of a block."""
    return _BLOCK.pack(
        _TAGS[algorithm],
        _METHODS[algorithm],
        packed & 0xFFFF,
        packed >> 16,
        unpacked & 0xFFFF,
        unpacked >> 16,
    )
