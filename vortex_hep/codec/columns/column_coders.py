"""The classical column coders and their registry (SPEC section 4).

A column coder turns the bits of an array into a payload that is decoded from the coder's id, the
payload, the dtype and the number of items alone. All are exact in bits for every dtype.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from vortex_hep.codec.columns import pco
from vortex_hep.codec.columns.bytecoders import ByteCoder, Lzma, Store, Zstd
from vortex_hep.codec.columns.layouts import (
    BIT_PLANES,
    DELTA,
    DELTA_SHUFFLE,
    PLAIN,
    SHUFFLE,
    BitLayout,
)
from vortex_hep.codec.columns.registry import Registry
from vortex_hep.core.schema import COLUMN_DTYPES, Array
from vortex_hep.errors import CorruptionError, UnsupportedTypeError

#: Bytes that one payload may decode to (SPEC 2.7).
MAX_DECODED = 1 << 31


class ColumnCoder(Protocol):
    """The contract of a classical coder: frozen, stateless, its id stored in archives."""

    @property
    def id(self) -> int:
        """Stored in archives; never reused."""
        ...

    @property
    def name(self) -> str:
        """For people; unique."""
        ...

    def encode(self, array: Array) -> bytes:
        """Payload of an array of any shape and of a dtype in COLUMN_DTYPES."""
        ...

    def decode(self, payload: bytes, dtype: str | np.dtype[Any], count: int) -> Array:
        """One-dimensional array of ``count`` items; CorruptionError unless all is exact."""
        ...


def check_array(array: Array) -> Array:
    """A contiguous view or copy of ``array``; raises UnsupportedTypeError for other dtypes."""
    if array.dtype.str not in COLUMN_DTYPES:
        msg = f"dtype {array.dtype.str!r} is not one of {', '.join(COLUMN_DTYPES)}"
        raise UnsupportedTypeError(msg, hint="columns are little-endian and of fixed width")
    if array.nbytes > MAX_DECODED:
        msg = f"{array.nbytes} bytes are more than a payload may hold ({MAX_DECODED})"
        raise UnsupportedTypeError(msg, hint="encode it in parts")
    return np.ascontiguousarray(array)


def check_request(dtype: str | np.dtype[Any], count: int) -> np.dtype[Any]:
    """The dtype, after bounding what a decoder is asked to produce."""
    found = np.dtype(dtype)
    if found.str not in COLUMN_DTYPES:
        msg = f"dtype {found.str!r} is not one of {', '.join(COLUMN_DTYPES)}"
        raise UnsupportedTypeError(msg)
    if not 0 <= count * found.itemsize <= MAX_DECODED:
        msg = f"{count} items of {found.itemsize} bytes are more than a payload may hold"
        raise CorruptionError(msg)
    return found


@dataclass(frozen=True)
class _Base:
    """Checks and the empty array, which every coder stores as no bytes at all."""

    id: int
    name: str

    def encode(self, array: Array) -> bytes:
        """Payload of ``array``."""
        checked = check_array(array)
        return self._encode(checked) if checked.size else b""

    def decode(self, payload: bytes, dtype: str | np.dtype[Any], count: int) -> Array:
        """Array of ``count`` items from a payload."""
        found = check_request(dtype, count)
        if count == 0:
            if payload:
                msg = f"{len(payload)} bytes for a column without items"
                raise CorruptionError(msg)
            return np.empty(0, found)
        try:
            return self._decode(bytes(payload), found, count)
        except CorruptionError as error:
            msg = f"coder {self.name!r}: {error.message}"
            raise CorruptionError(msg) from error

    def _encode(self, array: Array) -> bytes:
        raise NotImplementedError

    def _decode(self, payload: bytes, dtype: np.dtype[Any], count: int) -> Array:
        raise NotImplementedError


@dataclass(frozen=True)
class Constant(_Base):
    """All items have the same bits; the payload is one of them."""

    def _encode(self, array: Array) -> bytes:
        if not is_constant(array):
            msg = "the column is not constant"
            raise UnsupportedTypeError(msg)
        return array.reshape(-1)[:1].tobytes()

    def _decode(self, payload: bytes, dtype: np.dtype[Any], count: int) -> Array:
        if len(payload) != dtype.itemsize:
            msg = f"{len(payload)} bytes for one item of {dtype.itemsize}"
            raise CorruptionError(msg)
        return np.frombuffer(payload, dtype).repeat(count)


@dataclass(frozen=True)
class Laid(_Base):
    """A layout, then a byte coder."""

    layout: BitLayout
    bytecoder: ByteCoder

    def _encode(self, array: Array) -> bytes:
        head, body = self.layout.forward(array.reshape(-1))
        period = array.dtype.itemsize if self.layout.keeps_items else 1
        return head + self.bytecoder.encode(body, period)

    def _decode(self, payload: bytes, dtype: np.dtype[Any], count: int) -> Array:
        cut = self.layout.head_size(dtype.itemsize)
        if len(payload) < cut:
            msg = f"{len(payload)} bytes where a head of {cut} belongs"
            raise CorruptionError(msg)
        head = payload[:cut]
        size = self.layout.body_size(head, dtype.itemsize, count)
        body = self.bytecoder.decode(payload[cut:], size)
        # A copy where the layout made none: arrays handed out are the caller's to write to.
        array = self.layout.inverse(head, body, dtype, count)
        return array if array.flags.writeable else array.copy()


@dataclass(frozen=True)
class Pco(_Base):
    """pcodec; ``level`` steers the encoder only."""

    level: int = 8

    def _encode(self, array: Array) -> bytes:
        return pco.compress(array.reshape(-1), self.level)

    def _decode(self, payload: bytes, dtype: np.dtype[Any], count: int) -> Array:
        return pco.decompress(payload, dtype, count)


@dataclass(frozen=True)
class Components(_Base):
    """Rows of several items, coded component after component by another coder.

    The payload begins with the number of items per row, as 4 bytes.
    """

    base: ColumnCoder

    def _encode(self, array: Array) -> bytes:
        row = math.prod(array.shape[1:])
        parts = np.ascontiguousarray(array.reshape(len(array), row).T)
        return row.to_bytes(4, "little") + self.base.encode(parts.reshape(-1))

    def _decode(self, payload: bytes, dtype: np.dtype[Any], count: int) -> Array:
        row = int.from_bytes(payload[:4], "little")
        if len(payload) < 4 or row == 0 or count % row:
            msg = f"{count} items do not make rows of {row}"
            raise CorruptionError(msg)
        parts = self.base.decode(payload[4:], dtype, count).reshape(row, count // row)
        return np.ascontiguousarray(parts.T).reshape(-1)


def is_constant(array: Array) -> bool:
    """Whether all items of a non-empty array have the same bits."""
    bits = array.reshape(-1).view(f"u{array.dtype.itemsize}")
    # The ends differ in nearly every column that is not constant: look there first.
    return bool(bits[0] == bits[-1] and (bits == bits[0]).all())


#: All classical coders, by id and by name (SPEC 4.1).
COLUMN_CODERS: Registry[ColumnCoder] = Registry("column coder")

_ZSTD, _LZMA = Zstd(), Lzma()

RAW = Laid(1, "raw", PLAIN, Store())
CONSTANT = Constant(2, "constant")
BITS = Laid(3, "bits", BIT_PLANES, Store())
PCO = Pco(4, "pco")
ZSTD = Laid(16, "zstd", PLAIN, _ZSTD)
SHUFFLE_ZSTD = Laid(17, "shuffle-zstd", SHUFFLE, _ZSTD)
DELTA_ZSTD = Laid(18, "delta-zstd", DELTA, _ZSTD)
DELTA_SHUFFLE_ZSTD = Laid(19, "delta-shuffle-zstd", DELTA_SHUFFLE, _ZSTD)
BITS_ZSTD = Laid(20, "bits-zstd", BIT_PLANES, _ZSTD)
LZMA = Laid(32, "lzma", PLAIN, _LZMA)
SHUFFLE_LZMA = Laid(33, "shuffle-lzma", SHUFFLE, _LZMA)
DELTA_LZMA = Laid(34, "delta-lzma", DELTA, _LZMA)
DELTA_SHUFFLE_LZMA = Laid(35, "delta-shuffle-lzma", DELTA_SHUFFLE, _LZMA)
BITS_LZMA = Laid(36, "bits-lzma", BIT_PLANES, _LZMA)
#: Coders of rows with several items have the id of their base plus this.
COMPONENTS = 256

_SIMPLE: tuple[ColumnCoder, ...] = (
    RAW, CONSTANT, BITS, PCO,
    ZSTD, SHUFFLE_ZSTD, DELTA_ZSTD, DELTA_SHUFFLE_ZSTD, BITS_ZSTD,
    LZMA, SHUFFLE_LZMA, DELTA_LZMA, DELTA_SHUFFLE_LZMA, BITS_LZMA,
)  # fmt: skip
for _coder in _SIMPLE:
    COLUMN_CODERS.register(_coder)
    if _coder.id > BITS.id:
        _name = f"{_coder.name}-components"
        COLUMN_CODERS.register(Components(COMPONENTS + _coder.id, _name, _coder))
