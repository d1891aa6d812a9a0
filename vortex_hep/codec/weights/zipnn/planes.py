"""Bit planes of a tensor as the payload of a chunk (SPEC 10.3)."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from vortex_hep.codec.columns import classical
from vortex_hep.codec.columns import column_coders as cc
from vortex_hep.codec.columns.bytecoders import Zstd
from vortex_hep.codec.sections import Reader
from vortex_hep.codec.weights.zipnn.formats import WeightFormat
from vortex_hep.core.schema import Array
from vortex_hep.errors import CorruptionError, UnsupportedFeatureError

#: How a chunk holds its items; ids never change their meaning.
WHOLE, PLANES = 0, 1

_STORED = struct.Struct("<HI")  # SPEC 5.1: coder, bytes of the payload
_SAMPLE = 1 << 14  # items that a plane or a tensor is judged by
#: Bits per item that a plane must promise to save before any coder is tried on it.
_WORTH = 0.05
#: What quick encoding tries: an entropy coder of numbers, and one that sees repeats.
_QUICK: tuple[cc.ColumnCoder, ...] = (cc.PCO, replace(cc.ZSTD, bytecoder=Zstd(level=1)))
#: Quick encoding takes the coder of whole values only where it saves this much of a sample more.
_MARGIN = 0.998


def planes_of(wf: WeightFormat) -> list[tuple[str, int, int]]:
    """Name, position of the lowest bit, and number of bits of every plane.

    Examples
    --------
    >>> from vortex_hep.codec.weights.zipnn.formats import FORMATS
    >>> planes_of(FORMATS["bfloat16"])
    [('sign', 15, 1), ('exponent', 7, 8), ('mantissa 0', 0, 7)]
    """
    if not wf.exponent:
        return []
    planes = [("sign", 8 * wf.width - 1, 1), ("exponent", wf.mantissa, wf.exponent)]
    for low in range(0, wf.mantissa, 8):
        planes.append((f"mantissa {low // 8}", low, min(8, wf.mantissa - low)))
    return planes


def _plane_dtype(bits: int) -> str:
    return "|u1" if bits <= 8 else "<u2"


def split(items: Array, wf: WeightFormat) -> Iterator[tuple[str, int, Array]]:
    """Name, bits and values of every plane of a flat array of carriers."""
    whole = items.view(f"<u{wf.width}")
    scalar = whole.dtype.type
    for name, low, bits in planes_of(wf):
        if bits == 8 and low % 8 == 0:
            values = whole.view("u1")[low // 8 :: wf.width]
        else:
            values = (whole >> scalar(low)) & scalar((1 << bits) - 1)
        yield name, bits, np.ascontiguousarray(values, _plane_dtype(bits))


def encode_plane(values: Array, bits: int, effort: classical.Effort) -> tuple[int, bytes]:
    """Coder and payload of one plane.

    Mantissas are mostly noise: a histogram of a sample tells, and saves the search.
    """
    if values.size and effort != "max":
        step = max(1, values.size // _SAMPLE)
        counts = np.bincount(values[::step][:_SAMPLE], minlength=1)
        share = counts[counts > 0] / counts.sum()
        if len(share) > 1 and -float((share * np.log2(share)).sum()) > bits - _WORTH:
            coder: cc.ColumnCoder = cc.RAW if bits in (8, 16) else cc.BITS
            return coder.id, coder.encode(values)
    return _encode(values, effort)


def _middle(flat: Array) -> Array:
    start = max(0, flat.size - _SAMPLE) // 2
    return flat[start : start + _SAMPLE]


def _encode(values: Array, effort: classical.Effort) -> tuple[int, bytes]:
    """Coder and payload; the probes of the classical choice would be most of a quick one's time."""
    if effort != "fast" or values.size == 0 or cc.is_constant(values):
        return classical.encode_best(values, effort=effort)
    flat = values.reshape(-1)
    sample = _middle(flat)
    coder = min(_QUICK, key=lambda coder: len(coder.encode(sample)))
    payload = coder.encode(flat)
    return (coder.id, payload) if len(payload) < flat.nbytes else (cc.RAW.id, flat.tobytes())


def _pack(choice: tuple[int, bytes]) -> bytes:
    coder, payload = choice
    return _STORED.pack(coder, len(payload)) + payload


def encode_whole(items: Array, effort: classical.Effort) -> bytes:
    """Payload with the items as they are."""
    return bytes((WHOLE,)) + _pack(_encode(items, effort))


def encode_planes(items: Array, wf: WeightFormat, effort: classical.Effort) -> bytes:
    """Payload with the items in planes; only for formats with an exponent."""
    parts = [_pack(encode_plane(v, bits, effort)) for _, bits, v in split(items.reshape(-1), wf)]
    return bytes((PLANES,)) + b"".join(parts)


def encode_items(items: Array, wf: WeightFormat, *, effort: classical.Effort) -> bytes:
    """Payload of a chunk.

    Parameters
    ----------
    items : array of dtype ``wf.carrier``, shape (carriers,) or (rows, row)
        Rows are only for the coders to look along and across.
    wf : WeightFormat
    effort : {"fast", "normal", "max"}
        "fast" lets a sample decide between planes and whole values, the others try both.
    """
    if not wf.exponent or items.size == 0 or cc.is_constant(items):
        return encode_whole(items, effort)
    if effort != "fast":
        return min(encode_whole(items, effort), encode_planes(items, wf, effort), key=len)
    flat = items.reshape(-1)
    sample = _middle(flat)
    if len(encode_whole(sample, effort)) < _MARGIN * len(encode_planes(sample, wf, effort)):
        return encode_whole(flat, effort)
    return encode_planes(flat, wf, effort)


def decode_items(payload: bytes, wf: WeightFormat, count: int) -> Array:
    """Inverse of :func:`encode_items`: ``count`` carriers, as they were.

    Raises
    ------
    CorruptionError
        The payload is not one of exactly so many items.
    UnsupportedFeatureError
        It is held in a way that this release does not know.
    """
    reader = Reader(payload)
    method = reader.take(1)[0]
    if method == WHOLE:
        items = _unpack(reader, wf.carrier, count)
    elif method == PLANES and wf.exponent:
        items = _join(reader, wf, count)
    else:
        msg = f"unsupported method {method} for {wf.name}"
        raise UnsupportedFeatureError(msg, hint="update vortex_hep")
    reader.finish()
    return items


def _unpack(reader: Reader, dtype: str, count: int) -> Array:
    coder, size = _STORED.unpack(reader.take(_STORED.size))
    return classical.decode(coder, reader.take(size), dtype, count)


def _join(reader: Reader, wf: WeightFormat, count: int) -> Array:
    whole: Array = np.zeros(count, f"<u{wf.width}")
    scalar: Any = whole.dtype.type
    for name, low, bits in planes_of(wf):
        values = _unpack(reader, _plane_dtype(bits), count)
        if bits < 8 * values.itemsize and values.size and int(values.max()) >> bits:
            msg = f"the plane {name!r} holds more than {bits} bits"
            raise CorruptionError(msg)
        if bits == 8 and low % 8 == 0:
            whole.view("u1")[low // 8 :: wf.width] = values
        else:
            whole |= values.astype(whole.dtype) << scalar(low)
    return whole.view(wf.carrier)
