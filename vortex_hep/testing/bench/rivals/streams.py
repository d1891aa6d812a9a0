"""Codecs on a whole file as one stream."""

from __future__ import annotations

import gzip
import lzma
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from vortex_hep.errors import VerificationError
from vortex_hep.testing.bench.content import Content
from vortex_hep.testing.bench.measure import Measurement, Timing, timed


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
            yield measure_stream(codec, content.stream, content.raw_bytes)


def measure_stream(
    codec: StreamCodec, data: bytes, raw_bytes: int, *, repeat: int = 1
) -> Measurement:
    """Encode a stream with one thread, decode it, and compare.

    Parameters
    ----------
    codec : StreamCodec
    data : bytes
    raw_bytes : int
        Bytes that ratio and speed refer to.
    repeat : int
        Runs; the fastest counts.

    Raises
    ------
    VerificationError
        The codec loses data.
    """
    (stored,), encode = timed(codec.encode, [data], threads=1, repeat=repeat)
    (restored,), decode = timed(codec.decode, [stored], threads=1, repeat=repeat)
    if restored != data:
        raise VerificationError(f"{codec.name} does not give back the same bytes")
    return Measurement(
        codec.name, raw_bytes, len(stored), (Timing(1, encode, decode),), verified=True,
        settings={"unit": "stream"},
    )  # fmt: skip
