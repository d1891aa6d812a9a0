"""Codecs that get a whole file as one stream: what a user of plain files would do."""

from __future__ import annotations

import gzip
import lzma
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from vortex_hep.bench.content import Content
from vortex_hep.bench.measure import Measurement, Timing
from vortex_hep.errors import VerificationError


@dataclass(frozen=True)
class StreamCodec:
    """A codec for a stream of bytes, with one thread.

    Parameters
    ----------
    name : str
    encode, decode : callable
    """

    name: str
    encode: Callable[[bytes], bytes]
    decode: Callable[[bytes], bytes]


def _xz(data: bytes) -> bytes:
    return lzma.compress(data, preset=9)


def _gzip(data: bytes) -> bytes:
    return gzip.compress(data, 9, mtime=0)


#: Codecs by kind of file: the one its users have, and xz.
STREAM_CODECS = {
    "hepmc": (
        StreamCodec("gzip -9, whole text", _gzip, gzip.decompress),
        StreamCodec("xz -9, whole text", _xz, lzma.decompress),
    ),
    "hdf5": (StreamCodec("xz -9, whole file", _xz, lzma.decompress),),
    "opaque": (
        StreamCodec("gzip -9, whole file", _gzip, gzip.decompress),
        StreamCodec("xz -9, whole file", _xz, lzma.decompress),
    ),
}


def measure_streams(content: Content) -> Iterator[Measurement]:
    """Measure the codecs that apply to a file.

    Parameters
    ----------
    content : Content

    Raises
    ------
    VerificationError
        A codec loses data.
    """
    for codec in STREAM_CODECS.get(content.kind, ()):
        if content.stream is not None:
            yield _measure(codec, content.stream, content.raw_bytes)


def _measure(codec: StreamCodec, data: bytes, raw_bytes: int) -> Measurement:
    start = time.perf_counter()
    stored = codec.encode(data)
    encode = time.perf_counter() - start
    start = time.perf_counter()
    restored = codec.decode(stored)
    decode = time.perf_counter() - start
    if restored != data:
        raise VerificationError(f"{codec.name} does not give back the same bytes")
    return Measurement(
        codec.name, raw_bytes, len(stored), (Timing(1, encode, decode),), verified=True,
        settings={"unit": "stream"},
    )  # fmt: skip
