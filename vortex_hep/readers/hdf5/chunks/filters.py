"""The filters of chunks, undone and applied again as the HDF5 library does it.

Numbers of filters are those of the HDF5 File Format Specification, IV.A.2.l, and of the HDF Group's
list of registered filters.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from vortex_hep.core.compiled import kernel
from vortex_hep.core.schema import Array

DEFLATE, SHUFFLE, FLETCHER32, SZIP = 1, 2, 3, 4
_NAMES = {1: "deflate", 2: "shuffle", 3: "fletcher32", 4: "szip", 5: "nbit", 6: "scaleoffset",
          307: "bzip2", 32000: "lzf", 32001: "blosc", 32004: "lz4", 32008: "bitshuffle",
          32013: "zfp", 32015: "zstd", 32017: "sz", 32018: "fcidecomp", 32024: "sz3",
          32026: "blosc2", 32028: "sperr"}  # fmt: skip


class FilterError(ValueError):
    """A chunk is not what its filters should have made."""


@dataclass(frozen=True)
class Filter:
    """One filter of a pipeline.

    Parameters
    ----------
    number : int
    flags : int
    values : tuple of int
        The filter's parameters.
    """

    number: int
    flags: int
    values: tuple[int, ...]

    @property
    def name(self) -> str:
        """Name, or number where the name is not known."""
        return _NAMES.get(self.number, f"filter {self.number}")

    @property
    def sound(self) -> bool:
        """Whether the parameters are such that the HDF5 library can be trusted with them.

        Of szip it does not check the bits and pixels that it divides by.
        """
        return self.number != SZIP or (len(self.values) >= 4 and all(self.values[1:4]))


@dataclass(frozen=True)
class FilterPipeline:
    """The filters of a dataset, in the order in which they are applied to its chunks."""

    filters: tuple[Filter, ...] = ()

    @property
    def plain(self) -> bool:
        """Whether all filters are undone and applied here, without the HDF5 library."""
        return all(f.number in (DEFLATE, SHUFFLE, FLETCHER32) for f in self.filters)

    @property
    def deflates(self) -> bool:
        """Whether one of the filters is deflate, whose result depends on level and library."""
        return any(f.number == DEFLATE for f in self.filters)

    @property
    def level(self) -> int:
        """Level of the deflate filter."""
        levels = [f.values[0] for f in self.filters if f.number == DEFLATE and f.values]
        return min(levels[0], 9) if levels else 6

    def decode(self, raw: bytes | memoryview, mask: int, size: int) -> Array:
        """Undo the filters.

        Parameters
        ----------
        raw : bytes
            The chunk as stored.
        mask : int
            Bit i is set where filter i was skipped.
        size : int
            Bytes that the chunk must have.

        Returns
        -------
        uint8 array, shape (size,)

        Raises
        ------
        FilterError
            The chunk is damaged, or of another size.
        """
        data: Any = raw
        room = size + 4 * len(self.filters)
        for number in reversed(range(len(self.filters))):
            if mask >> number & 1:
                continue
            data = _undo(self.filters[number], data, room)
        out = np.frombuffer(data, np.uint8)
        if len(out) != size:
            msg = f"the chunk has {len(out)} bytes instead of {size}"
            raise FilterError(msg)
        return out

    def encode(self, data: Array, mask: int, level: int) -> bytes:
        """Apply the filters; the inverse of :meth:`decode`, with Python's zlib."""
        out: Any = np.ascontiguousarray(data).reshape(-1).view(np.uint8)
        for number, one in enumerate(self.filters):
            if mask >> number & 1:
                continue
            if one.number == DEFLATE:
                out = np.frombuffer(zlib.compress(out, level), np.uint8)
            elif one.number == SHUFFLE:
                out = shuffle(out, one.values[0] if one.values else 1)
            else:
                out = _with_checksum(out)
        return bytes(out)


def _undo(one: Filter, data: Any, room: int) -> Any:
    if one.number == DEFLATE:
        return _inflate(data, room)
    array = np.frombuffer(data, np.uint8)
    if one.number == SHUFFLE:
        return unshuffle(array, one.values[0] if one.values else 1)
    if len(array) < 4 or fletcher32(array[:-4]) != int.from_bytes(array[-4:].tobytes(), "little"):
        msg = "the chunk's checksum does not match"
        raise FilterError(msg)
    return array[:-4]


def _inflate(data: Any, room: int) -> bytes:
    stream = zlib.decompressobj()
    try:
        out = stream.decompress(data, room + 1)
    except zlib.error as error:
        msg = f"the chunk does not decompress: {error}"
        raise FilterError(msg) from error
    if not stream.eof or stream.unused_data or len(out) > room:
        msg = "the chunk does not decompress to its size"
        raise FilterError(msg)
    return out


def shuffle(data: Array, width: int) -> Array:
    """Bytes of elements, regrouped: all first bytes, then all second ones, and so on."""
    count = len(data) // max(width, 1)
    if width <= 1 or count <= 1:
        return data
    out = np.empty_like(data)
    whole = count * width
    out[:whole].reshape(width, count)[...] = data[:whole].reshape(count, width).T
    out[whole:] = data[whole:]
    return out


def unshuffle(data: Array, width: int) -> Array:
    """Undo :func:`shuffle`."""
    count = len(data) // max(width, 1)
    if width <= 1 or count <= 1:
        return data
    out = np.empty_like(data)
    whole = count * width
    out[:whole].reshape(count, width)[...] = data[:whole].reshape(width, count).T
    out[whole:] = data[whole:]
    return out


@kernel
def fletcher32(data: Array) -> Any:
    """Checksum of bytes as the library computes it: over big-endian 16-bit words."""
    low, high = np.uint64(0), np.uint64(0)
    words = len(data) // 2
    at = 0
    while at < words:
        for k in range(at, min(at + 360, words)):
            low += np.uint64(data[2 * k]) << np.uint64(8) | np.uint64(data[2 * k + 1])
            high += low
        low = (low & np.uint64(0xFFFF)) + (low >> np.uint64(16))
        high = (high & np.uint64(0xFFFF)) + (high >> np.uint64(16))
        at += 360
    if len(data) % 2:
        low += np.uint64(data[len(data) - 1]) << np.uint64(8)
        high += low
        low = (low & np.uint64(0xFFFF)) + (low >> np.uint64(16))
        high = (high & np.uint64(0xFFFF)) + (high >> np.uint64(16))
    low = (low & np.uint64(0xFFFF)) + (low >> np.uint64(16))
    high = (high & np.uint64(0xFFFF)) + (high >> np.uint64(16))
    return (high << np.uint64(16)) | low


def _with_checksum(data: Array) -> Array:
    checksum = int(fletcher32(data)).to_bytes(4, "little")
    return np.concatenate([data, np.frombuffer(checksum, np.uint8)])


def pack_pipeline(pipeline: FilterPipeline) -> list[list[int]]:
    """Describe filters as JSON values: number, flags, parameters."""
    return [[f.number, f.flags, *f.values] for f in pipeline.filters]


def unpack_pipeline(items: Sequence[Sequence[int]]) -> FilterPipeline:
    """Read what :func:`pack_pipeline` wrote."""
    return FilterPipeline(
        tuple(Filter(int(i[0]), int(i[1]), tuple(int(v) for v in i[2:])) for i in items)
    )
