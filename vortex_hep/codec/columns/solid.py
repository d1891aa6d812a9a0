"""Solid groups: many small columns in one stream with one header and one dictionary."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from vortex_hep.codec.columns.bytecoders import ByteCoder, Lzma, Store, Zstd
from vortex_hep.codec.columns.column_coders import MAX_DECODED, check_array, check_request
from vortex_hep.codec.columns.layouts import SHUFFLE
from vortex_hep.core.schema import Array
from vortex_hep.errors import CorruptionError

#: By the first byte of the payload (SPEC 4.7).
_METHODS: tuple[ByteCoder, ...] = (Store(), Zstd(), Lzma())


def encode_solid(arrays: Sequence[Array]) -> bytes:
    """Encode small columns together.

    Parameters
    ----------
    arrays : sequence of arrays of dtypes in COLUMN_DTYPES, any shapes
        Columns that resemble one another should be neighbours.

    Returns
    -------
    bytes
        dtypes and sizes are not stored.
    """
    flat = [check_array(array).reshape(-1) for array in arrays]
    body = b"".join([SHUFFLE.forward(array)[1] for array in flat if array.size])
    if not body:
        return b""
    coded = [bytes((i,)) + method.encode(body, 1) for i, method in enumerate(_METHODS)]
    return min(coded, key=len)


def decode_solid(payload: bytes, columns: Sequence[tuple[str | np.dtype[Any], int]]) -> list[Array]:
    """Inverse of :func:`encode_solid`.

    Parameters
    ----------
    payload : bytes
    columns : sequence of (dtype, count)
        As the arrays were given.

    Returns
    -------
    list of arrays of shape (count,)

    Raises
    ------
    CorruptionError
        The payload does not decode to exactly these columns.
    """
    found = [(check_request(dtype, count), count) for dtype, count in columns]
    size = sum(dtype.itemsize * count for dtype, count in found)
    if size > MAX_DECODED:
        msg = f"{size} bytes are more than a payload may hold"
        raise CorruptionError(msg)
    if not size:
        if payload:
            msg = f"{len(payload)} bytes for columns without items"
            raise CorruptionError(msg)
        return [np.empty(0, dtype) for dtype, _ in found]
    if not payload or payload[0] >= len(_METHODS):
        msg = "a solid group begins with a byte that names no method"
        raise CorruptionError(msg)
    body = _METHODS[payload[0]].decode(payload[1:], size)
    arrays = []
    position = 0
    for dtype, count in found:
        stop = position + dtype.itemsize * count
        # Copied, so that one column kept does not keep the others.
        arrays.append(SHUFFLE.inverse(b"", body[position:stop], dtype, count).copy())
        position = stop
    return arrays
