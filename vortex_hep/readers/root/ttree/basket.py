"""TBasket: its header, and the table of entry offsets behind its data.

The layout follows ROOT's ``TBasket::Streamer`` and ``TBasket::WriteBuffer``. What is stored of a
basket is its header's fields; the offsets follow from the lengths of the entries, which the columns
give. :func:`build_tail` is used by the reader, to check that, and by the restorer.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

import numpy as np

from vortex_hep.core.schema import Array
from vortex_hep.readers.root.file.tkey import Key

#: TBasket: fVersion, fBufferSize, fNevBufSize; fNevBufSize < 0 announces the byte fIOBits.
_HEADER = struct.Struct(">Hii")
#: TBasket: fNevBuf, fLast, flag.
_HEADER_END = struct.Struct(">iiB")

#: TBasket::EIOBits::kGenerateOffsetMap.
GENERATE_OFFSET_MAP = 1

#: How the bytes behind the data follow from the lengths of the entries.
TAIL_NONE, TAIL_OFFSETS, TAIL_SIZES, TAIL_RAW = range(4)

_INT = np.dtype(">i4")


@dataclass(frozen=True)
class BasketHeader:
    """What a TBasket adds to its TKey."""

    version: int
    buffer_size: int
    nev_buf_size: int
    io_bits: int
    nev: int
    last: int
    flag: int

    @classmethod
    def unpack(
        cls, data: bytes | bytearray | memoryview, position: int
    ) -> tuple[BasketHeader, int]:
        """Parse the header behind a key's strings; also the position behind it."""
        try:
            version, buffer_size, nev_buf_size = _HEADER.unpack_from(data, position)
            position += _HEADER.size
            io_bits = 0
            if nev_buf_size < 0:
                io_bits = data[position]
                position += 1
            nev, last, flag = _HEADER_END.unpack_from(data, position)
        except (struct.error, IndexError) as error:
            msg = f"not a TBasket: {error}"
            raise ValueError(msg) from error
        header = cls(version, buffer_size, nev_buf_size, io_bits, nev, last, flag)
        return header, position + _HEADER_END.size

    def pack(self) -> bytes:
        """The header as streamed."""
        bits = bytes([self.io_bits]) if self.nev_buf_size < 0 else b""
        return (
            _HEADER.pack(self.version, self.buffer_size, self.nev_buf_size)
            + bits
            + _HEADER_END.pack(self.nev, self.last, self.flag)
        )


def pack_basket_key(key: Key, header: BasketHeader) -> bytes:
    """A basket's key and header as they stand in the file."""
    return key.pack() + header.pack()


def build_tail(mode: int, lengths: Array, keylen: int, last: int) -> bytes:
    """The bytes that ROOT stores behind the data of a basket.

    Parameters
    ----------
    mode : int
        One of ``TAIL_NONE``, ``TAIL_OFFSETS``, ``TAIL_SIZES``.
    lengths : int64 array, shape (entries,)
        Bytes of each entry.
    keylen : int
        Offsets count from the start of the key.
    last : int
        Value of the unused last item (ROOT leaves there what was there before).
    """
    if mode == TAIL_NONE:
        return b""
    nev = len(lengths)
    out = np.empty(nev + 2, _INT)
    out[0] = nev + 1
    out[-1] = last
    if mode == TAIL_OFFSETS:
        out[1:-1] = entry_offsets(lengths, keylen)
    else:
        out[1:-1] = np.concatenate((np.zeros(min(nev, 1), np.int64), lengths[:-1]))
    return out.tobytes()


def entry_offsets(lengths: Array, keylen: int) -> Array:
    """FEntryOffset of contiguous entries: ``keylen`` plus the bytes before each entry."""
    offsets = np.empty(len(lengths), np.int64)
    offsets[:1] = keylen
    np.cumsum(lengths[:-1], out=offsets[1:])
    offsets[1:] += keylen
    return offsets


def split_tail(
    tail: memoryview | bytes, nev: int, keylen: int, border: int
) -> tuple[int, int, Array | None]:
    """Find how a tail came to be: ``(mode, last, lengths of the entries)``.

    ``TAIL_RAW`` says that no rule gives these bytes; lengths are None where the tail has none.
    """
    if len(tail) == 0:
        return TAIL_NONE, 0, None
    if nev == 0 or len(tail) != _INT.itemsize * (nev + 2):
        return TAIL_RAW, 0, None
    items = np.frombuffer(tail, _INT)
    last = int(items[-1])
    if items[0] != nev + 1:
        return TAIL_RAW, 0, None
    if items[1] == keylen:
        lengths = lengths_of(items[1:-1], keylen, border)
        mode = TAIL_OFFSETS
    else:
        sizes = items[2:-1].astype(np.int64)
        lengths = np.append(sizes, border - sizes.sum())
        mode = TAIL_SIZES
    if (lengths < 0).any() or build_tail(mode, lengths, keylen, last) != bytes(tail):
        return TAIL_RAW, 0, None
    return mode, last, lengths


def lengths_of(offsets: Array, keylen: int, border: int) -> Array:
    """Bytes of each entry, from fEntryOffset and the size of the data."""
    lengths = np.empty(len(offsets), np.int64)
    np.subtract(offsets[1:], offsets[:-1], out=lengths[:-1], casting="unsafe")
    if len(offsets):
        lengths[-1] = border + keylen - int(offsets[-1])
    return lengths
