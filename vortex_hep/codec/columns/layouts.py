"""Layouts: reversible re-arrangements of a column's bits that a byte coder likes better.

Every layout turns ``count`` items of ``width`` bytes into a short head and a body whose size
follows from head, width and count, so a decoder knows how much to expect (SPEC 4.2).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import numpy as np

from vortex_hep.core.schema import Array
from vortex_hep.errors import CorruptionError

DType: TypeAlias = "np.dtype[Any]"

_UNSIGNED: dict[int, DType] = {
    1: np.dtype("u1"),
    2: np.dtype("<u2"),
    4: np.dtype("<u4"),
    8: np.dtype("<u8"),
}


def unsigned_view(array: Array) -> Array:
    """The bits of a contiguous array as unsigned integers of the same width."""
    return array.view(_UNSIGNED[array.dtype.itemsize])


def to_ordered(bits: Array, dtype: DType) -> Array:
    """Unsigned integers that sort as the values of ``dtype`` do (SPEC 4.2, "ordered view")."""
    sign = bits.dtype.type(1 << (8 * bits.dtype.itemsize - 1))
    if dtype.kind == "f":
        return np.where(bits & sign, ~bits, bits | sign)
    return bits ^ sign if dtype.kind == "i" else bits


def from_ordered(ordered: Array, dtype: DType) -> Array:
    """Inverse of :func:`to_ordered`."""
    sign = ordered.dtype.type(1 << (8 * ordered.dtype.itemsize - 1))
    if dtype.kind == "f":
        return np.where(ordered & sign, ordered ^ sign, ~ordered)
    return ordered ^ sign if dtype.kind == "i" else ordered


def _shuffle(bits: Array) -> bytes:
    width = bits.dtype.itemsize
    return bits.tobytes() if width == 1 else bits.view("u1").reshape(-1, width).T.tobytes()


def _unshuffle(body: bytes, width: int, count: int) -> Array:
    planes = np.frombuffer(body, "u1").reshape(width, count)
    return np.ascontiguousarray(planes.T).reshape(-1).view(_UNSIGNED[width])


def _to_delta(ordered: Array) -> Array:
    """Wrapping difference to the item before (the first: to 0), sign moved to the lowest bit."""
    delta = ordered.copy()
    delta[1:] -= ordered[:-1]
    top = delta.dtype.type(8 * delta.dtype.itemsize - 1)
    zigzag: Array = (delta << delta.dtype.type(1)) ^ (np.zeros_like(delta) - (delta >> top))
    return zigzag


def _from_delta(zigzag: Array) -> Array:
    one = zigzag.dtype.type(1)
    delta = (zigzag >> one) ^ (np.zeros_like(zigzag) - (zigzag & one))
    ordered: Array = np.cumsum(delta, dtype=zigzag.dtype)
    return ordered


class BitLayout(Protocol):
    """One re-arrangement; ``array`` is one-dimensional, contiguous and not empty."""

    @property
    def name(self) -> str:
        """For people."""
        ...

    @property
    def keeps_items(self) -> bool:
        """Whether the bytes of an item stay together."""
        ...

    def forward(self, array: Array) -> tuple[bytes, bytes]:
        """Head and body."""
        ...

    def head_size(self, width: int) -> int:
        """Size of the head for items of ``width`` bytes."""
        ...

    def body_size(self, head: bytes, width: int, count: int) -> int:
        """Size of the body; a head that cannot be raises CorruptionError."""
        ...

    def inverse(self, head: bytes, body: bytes, dtype: DType, count: int) -> Array:
        """The array, given a head and a body of the sizes that the methods above tell."""
        ...


@dataclass(frozen=True)
class Headless:
    """A layout whose body has the size of the items and that needs no head.

    Parameters
    ----------
    name : str
    keeps_items : bool
    to_body : callable
        Array to bytes.
    from_body : callable
        Bytes, dtype and count to array.
    """

    name: str
    keeps_items: bool
    to_body: Callable[[Array], bytes]
    from_body: Callable[[bytes, DType, int], Array]

    def forward(self, array: Array) -> tuple[bytes, bytes]:
        """No head, and the body."""
        return b"", self.to_body(array)

    def head_size(self, width: int) -> int:
        """Nothing."""
        return 0

    def body_size(self, head: bytes, width: int, count: int) -> int:
        """The size of the items."""
        return width * count

    def inverse(self, head: bytes, body: bytes, dtype: DType, count: int) -> Array:
        """The array of a body."""
        return self.from_body(body, dtype, count)


def _plain_from(body: bytes, dtype: DType, count: int) -> Array:
    return np.frombuffer(body, dtype, count)


def _shuffle_from(body: bytes, dtype: DType, count: int) -> Array:
    return _unshuffle(body, dtype.itemsize, count).view(dtype)


def _delta_of(array: Array) -> Array:
    return _to_delta(to_ordered(unsigned_view(array), array.dtype))


def _delta_to(array: Array) -> bytes:
    return _delta_of(array).tobytes()


def _delta_from(body: bytes, dtype: DType, count: int) -> Array:
    zigzag = np.frombuffer(body, _UNSIGNED[dtype.itemsize], count)
    return from_ordered(_from_delta(zigzag), dtype).view(dtype)


def _delta_shuffle_to(array: Array) -> bytes:
    return _shuffle(_delta_of(array))


def _delta_shuffle_from(body: bytes, dtype: DType, count: int) -> Array:
    zigzag = _unshuffle(body, dtype.itemsize, count)
    return from_ordered(_from_delta(zigzag), dtype).view(dtype)


#: The bytes of the items as they are.
PLAIN = Headless("plain", True, lambda a: a.tobytes(), _plain_from)
#: All lowest bytes, then all second bytes, and so on.
SHUFFLE = Headless("shuffle", False, lambda a: _shuffle(unsigned_view(a)), _shuffle_from)
#: Zigzag differences of the ordered view.
DELTA = Headless("delta", True, _delta_to, _delta_from)
#: Zigzag differences of the ordered view, shuffled.
DELTA_SHUFFLE = Headless("delta-shuffle", False, _delta_shuffle_to, _delta_shuffle_from)


@dataclass(frozen=True)
class BitPlanes:
    """Distance to the least value, one bit plane after another; head: bits, least value."""

    name: str = "bits"
    keeps_items: bool = False

    def forward(self, array: Array) -> tuple[bytes, bytes]:
        """Number of bits and least value; the planes, lowest bit first."""
        ordered = to_ordered(unsigned_view(array), array.dtype)
        least = ordered.min()
        above = ordered - least
        bits = int(above.max()).bit_length()
        one = above.dtype.type(1)
        planes = [
            np.packbits((above >> above.dtype.type(b)) & one, bitorder="little").tobytes()
            for b in range(bits)
        ]
        return bytes((bits,)) + least.tobytes(), b"".join(planes)

    def head_size(self, width: int) -> int:
        """One byte and one item."""
        return 1 + width

    def body_size(self, head: bytes, width: int, count: int) -> int:
        """Each plane takes whole bytes."""
        if head[0] > 8 * width:
            msg = f"{head[0]} bit planes in items of {8 * width} bits"
            raise CorruptionError(msg)
        return head[0] * ((count + 7) // 8)

    def inverse(self, head: bytes, body: bytes, dtype: DType, count: int) -> Array:
        """The array of head and planes."""
        unsigned = _UNSIGNED[dtype.itemsize]
        planes = np.frombuffer(body, "u1").reshape(head[0], (count + 7) // 8)
        if count % 8 and (planes[:, -1] >> (count % 8)).any():
            msg = "padding bits of a bit plane are not zero"
            raise CorruptionError(msg)
        above = np.zeros(count, unsigned)
        for b, plane in enumerate(planes):
            flags = np.unpackbits(plane, count=count, bitorder="little").astype(unsigned)
            above |= flags << unsigned.type(b)
        above += np.frombuffer(head, unsigned, 1, 1)[0]
        return from_ordered(above, dtype).view(dtype)


#: Bit planes of the distance to the least value.
BIT_PLANES = BitPlanes()
