"""RNTuple column encodings: pages to elements and back.

The section "Column Encodings" of ROOT's RNTuple ``BinaryFormatSpecification.md`` (1.0) defines the
types; :meth:`PageCodec.encode` is the exact inverse of :meth:`PageCodec.decode`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vortex_hep.core.schema import Array

#: Type code: dtype of the elements, and whether they are split, zigzag or delta encoded.
_TYPES: dict[int, tuple[str, bool, bool, bool]] = {
    0x00: ("|b1", False, False, False), 0x01: ("|u1", False, False, False),
    0x02: ("|u1", False, False, False), 0x03: ("|i1", False, False, False),
    0x04: ("|u1", False, False, False), 0x05: ("<i2", False, False, False),
    0x06: ("<u2", False, False, False), 0x07: ("<i4", False, False, False),
    0x08: ("<u4", False, False, False), 0x09: ("<i8", False, False, False),
    0x0A: ("<u8", False, False, False), 0x0B: ("<f2", False, False, False),
    0x0C: ("<f4", False, False, False), 0x0D: ("<f8", False, False, False),
    0x0E: ("<u4", False, False, False), 0x0F: ("<u8", False, False, False),
    0x11: ("<i2", True, True, False), 0x12: ("<u2", True, False, False),
    0x13: ("<i4", True, True, False), 0x14: ("<u4", True, False, False),
    0x15: ("<i8", True, True, False), 0x16: ("<u8", True, False, False),
    0x17: ("<f2", True, False, False), 0x18: ("<f4", True, False, False),
    0x19: ("<f8", True, False, False), 0x1A: ("<u4", True, False, True),
    0x1B: ("<u8", True, False, True), 0x1C: ("<f4", False, False, False),
    0x1D: ("<u4", False, False, False),
}  # fmt: skip
INDEX_TYPES = frozenset({0x0E, 0x0F, 0x1A, 0x1B})
_BIT, _TRUNCATED, QUANTIZED = 0x00, 0x1C, 0x1D


@dataclass(frozen=True)
class PageCodec:
    """Encoding of one physical column.

    Parameters
    ----------
    code : int
        Column type of the specification.
    nbits : int
        Bits of an element on disk.
    """

    code: int
    nbits: int

    @property
    def known(self) -> bool:
        """Whether the type is one this module decodes."""
        return self.code in _TYPES

    @property
    def dtype(self) -> str:
        """Dtype of the decoded elements; quantized reals stay the integers that are stored."""
        return _TYPES[self.code][0]

    def size(self, count: int) -> int:
        """Bytes of an uncompressed page of ``count`` elements."""
        return (count * self.nbits + 7) // 8

    def decode(self, raw: bytes | memoryview, count: int) -> Array:
        """Elements of a page, little-endian.

        Parameters
        ----------
        raw : bytes
            Uncompressed page, ``size(count)`` bytes.
        """
        dtype, split, zigzag, delta = _TYPES[self.code]
        data = np.frombuffer(raw, np.uint8)
        if self.code == _BIT:
            return np.unpackbits(data, count=count, bitorder="little").view(np.bool_)
        if self.code in (_TRUNCATED, QUANTIZED):
            return self._unpack_bits(data, count)
        width = np.dtype(dtype).itemsize
        if split:
            data = np.ascontiguousarray(data.reshape(width, count).T).reshape(-1)
        items = data.view(f"<u{width}") if width > 1 else data
        if zigzag:
            items = (items >> 1) ^ (~(items & 1) + 1)
        elif delta:
            items = np.cumsum(items, dtype=items.dtype)
        return items.view(dtype)

    def encode(self, items: Array) -> bytes:
        """The page that holds ``items``."""
        dtype, split, zigzag, delta = _TYPES[self.code]
        items = np.ascontiguousarray(items)
        if self.code == _BIT:
            return np.packbits(items.view(np.uint8), bitorder="little").tobytes()
        if self.code in (_TRUNCATED, QUANTIZED):
            return self._pack_bits(items)
        width = np.dtype(dtype).itemsize
        plain = items.view(f"<u{width}") if width > 1 else items.view(np.uint8)
        if zigzag:
            # All bits of (x >> 63) ^ (x << 1), in unsigned arithmetic.
            plain = (plain << 1) ^ (~(plain >> (8 * width - 1)) + 1)
        elif delta:
            plain = np.diff(plain, prepend=plain.dtype.type(0))
        data = plain.view(np.uint8)
        if split:
            data = np.ascontiguousarray(data.reshape(-1, width).T)
        return data.tobytes()

    def _unpack_bits(self, data: Array, count: int) -> Array:
        bits = np.unpackbits(data, count=count * self.nbits, bitorder="little")
        wide = np.zeros((count, 32), np.uint8)
        low = 32 - self.nbits if self.code == _TRUNCATED else 0
        wide[:, low : low + self.nbits] = bits.reshape(count, self.nbits)
        items = np.packbits(wide.reshape(-1), bitorder="little").view("<u4")
        return items.view(_TYPES[self.code][0])

    def _pack_bits(self, items: Array) -> bytes:
        wide = np.unpackbits(items.view(np.uint8), bitorder="little").reshape(-1, 32)
        low = 32 - self.nbits if self.code == _TRUNCATED else 0
        bits = wide[:, low : low + self.nbits].reshape(-1)
        return np.packbits(bits, bitorder="little").tobytes()
