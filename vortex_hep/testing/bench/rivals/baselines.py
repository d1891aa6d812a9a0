"""Baselines: the source file, its format's settings, whole columns, whole streams."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

from vortex_hep.errors import VerificationError
from vortex_hep.readers.root.file.compression import Compression
from vortex_hep.testing.bench.content import Content
from vortex_hep.testing.bench.measure import Measurement, Timing, timed
from vortex_hep.testing.bench.rivals.baskets import ROOT_SETTINGS, Baskets
from vortex_hep.testing.bench.rivals.columncodecs import COLUMN_CODECS, ColumnCodec
from vortex_hep.testing.bench.rivals.streams import measure_streams

Part = TypeVar("Part")

AS_IT_CAME = "the file as it came"

#: A codec that took this many seconds is not timed with more threads.
_LONG = 90.0


def measure_file(path: str, content: Content) -> Measurement:
    """The file itself: its size on disk; nothing is timed."""
    return Measurement(
        AS_IT_CAME, content.raw_bytes, Path(path).stat().st_size, (), verified=True, settings={}
    )


def measure_baskets(
    name: str, how: Compression, baskets: Baskets, raw_bytes: int, threads: tuple[int, ...]
) -> Measurement:
    """A file rewritten with another of ROOT's settings.

    Parameters
    ----------
    name : str
    how : Compression
    baskets : Baskets
    raw_bytes : int
        Bytes of the columns, which ratio and speed refer to.
    threads : tuple of int
        Numbers of threads to time.
    """
    places = range(len(baskets.data))
    stored, timings = _timed_both(
        name,
        places,
        lambda i: baskets.compressed(i, how),
        lambda data, i: baskets.restored(i, data),
        lambda i: baskets.data[i],
        threads,
    )
    size = baskets.overhead + sum(map(len, stored))
    settings = {"algorithm": how.algorithm, "level": how.level, "unit": "basket"}
    return Measurement(name, raw_bytes, size, timings, verified=True, settings=settings)


def measure_columns(codec: ColumnCodec, content: Content, threads: tuple[int, ...]) -> Measurement:
    """All columns, each as one byte string.

    What the file holds besides the columns is added with the better of xz -9 and zstd -19, so that
    every row of a comparison stands for the same content. It is not timed.
    """
    columns = [column for column in content.columns if column.data]
    stored, timings = _timed_both(
        codec.name, columns, codec.encode, codec.decode, lambda column: column.data, threads
    )
    size = sum(map(len, stored)) + content.stored_remainder
    return Measurement(
        codec.name, content.raw_bytes, size, timings, verified=True, settings={"unit": "column"}
    )


def _timed_both(
    name: str,
    parts: Sequence[Part],
    encode: Callable[[Part], bytes],
    decode: Callable[[bytes, Part], bytes],
    original: Callable[[Part], bytes],
    threads: tuple[int, ...],
) -> tuple[list[bytes], tuple[Timing, ...]]:
    """Encode, decode and compare all parts with each number of threads."""
    timings = []
    stored: list[bytes] = []
    for count in threads:
        stored, encode_seconds = timed(encode, parts, threads=count)
        pairs = list(zip(stored, parts, strict=True))
        restored, decode_seconds = timed(lambda pair: decode(*pair), pairs, threads=count)
        timings.append(Timing(count, encode_seconds, decode_seconds))
        if any(data != original(part) for data, part in zip(restored, parts, strict=True)):
            # A measurement of a codec that loses data must not exist.
            raise VerificationError(f"{name} does not give back the same bytes")
        if encode_seconds + decode_seconds > _LONG:
            break
    return stored, tuple(timings)


def measure_all(
    path: str, content: Content, baskets: Baskets | None, threads: tuple[int, ...]
) -> Iterator[Measurement]:
    """Every baseline that applies to the file, one after another."""
    yield measure_file(path, content)
    if baskets is not None:
        for name, how in ROOT_SETTINGS:
            yield measure_baskets(name, how, baskets, content.raw_bytes, threads)
    if content.kind == "hdf5":
        from vortex_hep.testing.bench.rivals.hdf5gzip import measure_gzip

        yield measure_gzip(path, content.raw_bytes)
    yield from measure_streams(content)
    if not content.columns:
        return
    for codec in COLUMN_CODECS:
        if codec.available:
            yield measure_columns(codec, content, threads)
