"""The numeric codec pcodec in its wrapped form: no magic, no counts, external sizes."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
from pcodec import ChunkConfig, PagingSpec
from pcodec.wrapped import FileCompressor, FileDecompressor

from vortex_hep.core.schema import Array
from vortex_hep.errors import CorruptionError

#: Values per pco chunk; pco adapts its bins and its delta order once per chunk.
BLOCK = 1 << 18

_LENGTH = struct.Struct("<I")  # SPEC 4.5: bytes of every block but the last
_NAMES = {
    "<i2": "i16", "<u2": "u16", "<i4": "i32", "<u4": "u32", "<i8": "i64", "<u8": "u64",
    "<f2": "f16", "<f4": "f32", "<f8": "f64", "|i1": "i8", "|u1": "u8", "|b1": "u8",
}  # fmt: skip


def compress(array: Array, level: int) -> bytes:
    """Compress a contiguous, non-empty, one-dimensional array.

    Parameters
    ----------
    array : array of a dtype in COLUMN_DTYPES
        Booleans are taken as the bytes they are.
    level : int
        0 to 12; not stored.
    """
    values = array.view("u1") if array.dtype.kind == "b" else array
    native = values.view(values.dtype.newbyteorder("="))
    file = FileCompressor()
    parts: list[bytes] = [file.write_header()]
    for start in range(0, len(native), BLOCK):
        block = native[start : start + BLOCK]
        config = ChunkConfig(
            compression_level=level,
            paging_spec=PagingSpec.exact_page_sizes([len(block)]),
            enable_8_bit=True,
        )
        chunk = file.chunk_compressor(block, config)
        body = chunk.write_meta() + chunk.write_page(0)
        if start + BLOCK < len(native):
            parts.append(_LENGTH.pack(len(body)))
        parts.append(body)
    return b"".join(parts)


def decompress(payload: bytes, dtype: np.dtype[Any], count: int) -> Array:
    """Inverse of :func:`compress`.

    Raises
    ------
    CorruptionError
        The payload is damaged, cut or followed by other bytes.
    """
    out = np.empty(count, "u1" if dtype.kind == "b" else dtype.newbyteorder("="))
    try:
        _fill(out, payload, _NAMES[dtype.str])
    except (RuntimeError, TypeError, ValueError, struct.error) as error:
        msg = f"pco stream is damaged: {error}"
        raise CorruptionError(msg) from error
    except BaseException as error:
        # A panic of the Rust code under pcodec; its type is not importable.
        if type(error).__name__ != "PanicException":
            raise
        msg = "pco stream is damaged"
        raise CorruptionError(msg) from error
    return out.view(dtype)


def _fill(out: Array, payload: bytes, name: str) -> None:
    """Decode all blocks into ``out``; raises ValueError unless they fill payload and array."""
    file, position = FileDecompressor.new(payload)
    for start in range(0, len(out), BLOCK):
        size = min(BLOCK, len(out) - start)
        stop = len(payload)
        if start + BLOCK < len(out):
            stop = position + _LENGTH.size
            stop += _LENGTH.unpack(payload[position:stop])[0]
            position += _LENGTH.size
        body = payload[position:stop]
        chunk, used = file.chunk_decompressor(body, name)
        progress, rest = chunk.read_page_into(body[used:], size, out[start : start + size])
        if progress.n_processed != size or used + rest != len(body):
            msg = "a block has another size"
            raise ValueError(msg)
        position = stop
    if position != len(payload):
        msg = f"{len(payload) - position} bytes follow the last block"
        raise ValueError(msg)
