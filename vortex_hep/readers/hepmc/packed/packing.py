"""Packing text again as its source was packed, and whether that gives the same bytes."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import Any, Protocol

from vortex_hep.core.text import fault_of
from vortex_hep.core.zstd import zstd
from vortex_hep.errors import CorruptionError
from vortex_hep.readers.hepmc.packed.stream import GZIP, PLAIN, ZSTD, Stream, gzip_header

#: Levels when the packed bytes need not be the same.
_GZIP_LEVEL, _ZSTD_LEVEL = 6, 3
#: What the header's XFL says of levels (RFC 1952, section 2.3.1).
_BY_XFL = {2: 9, 4: 1}
_PIECE = 1 << 20


class Packer(Protocol):
    """Text goes in piece by piece; packed bytes come out."""

    def compress(self, data: bytes) -> bytes:
        """Take some text."""
        ...

    def finish(self) -> bytes:
        """End the packed stream."""
        ...


class _Plain:
    def compress(self, data: bytes) -> bytes:
        return data

    def finish(self) -> bytes:
        return b""


class _Gzip:
    def __init__(self, header: bytes, level: int, memory: int) -> None:
        self._header = header
        self._deflate = zlib.compressobj(level, zlib.DEFLATED, -15, memory)
        self._crc, self._size = 0, 0

    def compress(self, data: bytes) -> bytes:
        header, self._header = self._header, b""
        self._crc = zlib.crc32(data, self._crc)
        self._size += len(data)
        return header + self._deflate.compress(data)

    def finish(self) -> bytes:
        end = self._crc.to_bytes(4, "little") + (self._size & 0xFFFFFFFF).to_bytes(4, "little")
        return self._header + self._deflate.flush() + end


class _Zstd:
    def __init__(self, level: int, size: int, *, checksum: bool, sized: bool, workers: int) -> None:
        parameter = zstd.CompressionParameter
        options: dict[Any, int] = {
            parameter.compression_level: level,
            parameter.checksum_flag: int(checksum),
            parameter.content_size_flag: int(sized),
        }
        if workers:
            options[parameter.nb_workers] = workers
        self._compressor = zstd.ZstdCompressor(options=options)
        if sized:
            self._compressor.set_pledged_input_size(size)

    def compress(self, data: bytes) -> bytes:
        return bytes(self._compressor.compress(data))

    def finish(self) -> bytes:
        return bytes(self._compressor.flush())


def describe(stream: Stream) -> dict[str, Any]:
    """How a stream is packed, as JSON values; what :func:`make_packer` needs."""
    if stream.packing == PLAIN:
        return {"packing": PLAIN}
    tail = stream.source.size - stream.packed_end
    out: dict[str, Any] = {"packing": stream.packing, "tail": tail}
    if stream.packing == GZIP:
        header = gzip_header(stream.source)
        out |= {
            "header": header.hex(), "level": _BY_XFL.get(header[8], _GZIP_LEVEL), "memory": 8,
        }  # fmt: skip
    else:
        # Frame_Header_Descriptor (RFC 8878, section 3.1.1.1.1)
        flags = stream.source.read_ranges([(4, 1)])[0][0]
        out |= {
            "level": _ZSTD_LEVEL, "checksum": bool(flags & 4), "sized": bool(flags >> 5),
            "workers": 0,
        }  # fmt: skip
    return out


def make_packer(document: dict[str, Any], size: int) -> Packer:
    """Begin to pack.

    Parameters
    ----------
    document : dict
        From :func:`describe`.
    size : int
        Of the text.

    Raises
    ------
    CorruptionError
        ``document`` is invalid.
    """
    try:
        if document["packing"] == PLAIN:
            return _Plain()
        if document["packing"] == GZIP:
            header = bytes.fromhex(document["header"])
            return _Gzip(header, int(document["level"]), int(document["memory"]))
        if document["packing"] == ZSTD:
            return _Zstd(
                int(document["level"]), size, checksum=bool(document["checksum"]),
                sized=bool(document["sized"]), workers=int(document["workers"]),
            )  # fmt: skip
    except (KeyError, TypeError, ValueError, zlib.error, zstd.ZstdError) as error:
        msg = f"invalid key 'packing' in the blob 'hepmc/layout': {fault_of(error)}"
        raise CorruptionError(msg) from error
    msg = f"unknown packing {document['packing']!r} in the blob 'hepmc/layout'"
    raise CorruptionError(msg)


def _candidates(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    if document["packing"] == GZIP:
        levels = sorted(range(1, 10), key=lambda n: (n != document["level"], n != 9, n))
        for level in levels:
            for memory in (8, 9):
                yield document | {"level": level, "memory": memory}
    else:
        for level in range(1, 23):
            for workers in (0, 1):
                yield document | {"level": level, "workers": workers}


def find_exact(stream: Stream, document: dict[str, Any]) -> dict[str, Any] | None:
    """Find settings that give a packed file's bytes again; None if there are none.

    Parameters
    ----------
    stream : Stream
        Read to its end before.
    document : dict
        From :func:`describe`.
    """
    if stream.packing == PLAIN:
        return document
    if stream.members > 1:
        return None
    for candidate in _candidates(document):
        if _gives(stream, candidate):
            return candidate
    return None


def _gives(stream: Stream, document: dict[str, Any]) -> bool:
    packer, at = make_packer(document, stream.size), 0

    def same(packed: bytes) -> bool:
        nonlocal at
        if at + len(packed) > stream.packed_end:
            return False
        at += len(packed)
        start = at - len(packed)
        return bool(stream.source.read_ranges([(start, len(packed))])[0] == packed)

    for piece in stream.pieces(0, size=_PIECE):
        if not same(packer.compress(piece)):
            return False
    return same(packer.finish()) and at == stream.packed_end


def packed_adler32(stream: Stream) -> int:
    """Adler-32 of a file as it is, as file catalogues keep it."""
    value = 1
    for start in range(0, stream.source.size, _PIECE):
        size = min(_PIECE, stream.source.size - start)
        value = zlib.adler32(stream.source.read_ranges([(start, size)])[0], value)
    return value
