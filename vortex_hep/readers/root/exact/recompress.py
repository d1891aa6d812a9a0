"""Compression of records as in the source file: methods of known libraries.

A method is an algorithm and all that decides its output but the level. Which one made a record is
found by trying; the record is then its uncompressed bytes, a method and a level.
"""

from __future__ import annotations

import lzma
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import cramjam
import xxhash

from vortex_hep.core.zstd import zstd
from vortex_hep.readers.root.exact import zstd14
from vortex_hep.readers.root.file.compression import MAX_BLOCK, block_header

#: Ids of methods; stored, so never to be used again with another meaning.
KEPT, STORED, ZLIB, XZ, XZ_PRESET, LZ4, LZ4_HC, ZSTD, ZSTD_STREAM, ZSTD_14 = range(10)

#: Dictionaries of liblzma's presets 0 to 9, as powers of two (lzma_lzma_preset).
_XZ_DICTIONARIES = (18, 20, 21, 22, 22, 23, 23, 24, 25, 26)


@dataclass(frozen=True)
class Setting:
    """A method and a level.

    Parameters
    ----------
    method : int
    level : int
        As the library counts it.
    """

    method: int
    level: int = 0


def _xz(data: memoryview, level: int) -> bytes:
    # ROOT takes the preset's dictionary, but none larger than a quarter of the data.
    size = min(max(4096, len(data) // 4), 1 << _XZ_DICTIONARIES[level])
    chain = [{"id": lzma.FILTER_LZMA2, "preset": level, "dict_size": size}]
    return lzma.compress(data, lzma.FORMAT_XZ, lzma.CHECK_CRC32, filters=chain)


def _lz4(data: memoryview, **how: Any) -> bytes:
    body = bytes(cramjam.lz4.compress_block(data, store_size=False, **how))
    return xxhash.xxh64_digest(body) + body


def _zstd14(data: memoryview, level: int) -> bytes:
    return zstd.compress(data, options=zstd14.options_of(level, len(data)))


#: Algorithm and function of each method that compresses.
_METHODS: dict[int, tuple[str, Callable[[memoryview, int], bytes]]] = {
    ZLIB: ("zlib", lambda data, level: zlib.compress(data, level)),
    XZ: ("lzma", _xz),
    XZ_PRESET: ("lzma", lambda data, level: lzma.compress(data, preset=level)),
    LZ4: ("lz4", lambda data, _: _lz4(data, mode="default")),
    LZ4_HC: ("lz4", lambda data, level: _lz4(data, mode="high_compression", compression=level)),
    ZSTD: ("zstd", lambda data, level: zstd.compress(data, level)),
    ZSTD_STREAM: ("zstd", lambda data, level: bytes(cramjam.zstd.compress(data, level))),
    ZSTD_14: ("zstd", _zstd14),
}
#: Levels that a method takes.
LEVELS: dict[int, Sequence[int]] = {
    STORED: range(1), ZLIB: range(10), XZ: range(10), XZ_PRESET: range(10), LZ4: range(1),
    LZ4_HC: range(1, 13), ZSTD: range(1, 23), ZSTD_STREAM: range(1, 23), ZSTD_14: zstd14.LEVELS,
}  # fmt: skip


def recompress(payload: bytes | memoryview, setting: Setting) -> bytes | memoryview:
    """The stored form of a record's uncompressed bytes.

    Raises
    ------
    ValueError
        There is no such method or level, the library refuses, or a block would not fit its header.
    """
    if setting.level not in LEVELS.get(setting.method, ()):
        msg = f"unknown compression method {setting.method}, level {setting.level}"
        raise ValueError(msg)
    if setting.method == STORED:
        return payload
    algorithm, function = _METHODS[setting.method]
    view = memoryview(payload).cast("B")
    parts = []
    for start in range(0, len(view), MAX_BLOCK):
        block = view[start : start + MAX_BLOCK]
        try:
            packed = function(block, setting.level)
        except (zlib.error, lzma.LZMAError, cramjam.CompressionError, zstd.ZstdError) as error:
            msg = f"method {setting.method} of level {setting.level}: {error}"
            raise ValueError(msg) from error
        if len(packed) > MAX_BLOCK:
            msg = "a compressed block has more bytes than its header can say"
            raise ValueError(msg)
        parts += [block_header(algorithm, len(packed), len(block)), packed]
    return b"".join(parts)


def candidates(tag: bytes, body: bytes | memoryview, codes: Sequence[int]) -> list[Setting]:
    """Settings that may have made a block, likeliest first.

    Parameters
    ----------
    tag : bytes
        First two bytes of the block's header.
    body : bytes
        The block itself, or its beginning.
    codes : sequence of int
        Settings that file and branches name (``fCompress``).
    """
    levels = [code % 100 for code in codes if code > 0]
    if tag == b"ZL":
        # FLEVEL (RFC 1950, section 2.2) tells the levels apart in four groups.
        groups = ((1, 0), (4, 3, 5, 2), (6,), (9, 8, 7))
        found = [Setting(ZLIB, n) for n in groups[body[1] >> 6]] if len(body) > 1 else []
    elif tag == b"XZ":
        found = [Setting(m, n) for m in (XZ, XZ_PRESET) for n in (*levels, *range(1, 10))]
    elif tag == b"L4":
        found = [Setting(LZ4_HC, n) for n in levels] + [Setting(LZ4)]
        found += [Setting(LZ4_HC, n) for n in (4, 9, 3, 5, 6, 7, 8, 10, 11, 12)]
    elif tag == b"ZS":
        # ROOT doubles its level; other writers give it to the library as it is.
        doubled = [2 * n for n in (*levels, 5, 1, 2, 3, 4, 6, 7, 8, 9)]
        found = [Setting(m, n) for n in doubled[:2] for m in (ZSTD, ZSTD_14)]
        found += [Setting(m, n) for n in (*levels, 5) for m in (ZSTD_STREAM, ZSTD)]
        found += [Setting(m, n) for m in (ZSTD, ZSTD_14) for n in doubled]
    else:
        found = []
    return [s for s in dict.fromkeys(found) if s.level in LEVELS[s.method]]
