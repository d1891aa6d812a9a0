"""The zstd module: the standard library's from Python 3.14 on, else its backport.

``zstd`` is that library. What :func:`compress` makes is a single frame without the four magic bytes
and, where the encoder can leave it out, without the content size: the container knows both (SPEC
"zstd streams").
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from vortex_hep.errors import CorruptionError

if TYPE_CHECKING or sys.version_info < (3, 14):
    from backports import zstd
else:  # pragma: no cover - the same API under its standard name
    from compression import zstd

__all__ = ["compress", "decompress", "zstd"]

_MAGIC = b"\x28\xb5\x2f\xfd"


def compress(data: bytes | memoryview, level: int = 19) -> bytes:
    """Compress to one zstd frame without its magic bytes.

    Parameters
    ----------
    data : bytes-like
        May be empty.
    level : int
        zstd level; steers the encoder only, nothing of it is stored.

    Returns
    -------
    bytes
    """
    options: dict[int, int] = {
        zstd.CompressionParameter.compression_level: level,
        zstd.CompressionParameter.content_size_flag: 0,
    }
    # One call with FLUSH_FRAME tells zstd the size, so that its parameters fit small inputs.
    frame: bytes = zstd.ZstdCompressor(options=options).compress(
        data, mode=zstd.ZstdCompressor.FLUSH_FRAME
    )
    return frame[4:]


def decompress(payload: bytes | memoryview, size: int) -> bytes:
    """Decompress what :func:`compress` wrote, to exactly ``size`` bytes.

    Parameters
    ----------
    payload : bytes-like
    size : int
        Size the data must have; output is bounded by it whatever the payload says.

    Returns
    -------
    bytes

    Raises
    ------
    CorruptionError
        The frame is damaged, cut, followed by other bytes, or of another size.
    """
    decoder = zstd.ZstdDecompressor()
    try:
        decoder.decompress(_MAGIC)
        # One byte more than wanted: enough to notice a longer stream, and to reach its end mark.
        data: bytes = decoder.decompress(payload, max_length=size + 1)
    except (zstd.ZstdError, EOFError) as error:
        msg = f"zstd stream is damaged: {error}"
        raise CorruptionError(msg) from error
    if len(data) != size or not decoder.eof:
        msg = f"zstd stream does not hold exactly {size} bytes"
        raise CorruptionError(msg)
    if decoder.unused_data:
        msg = f"{len(decoder.unused_data)} bytes follow the zstd stream"
        raise CorruptionError(msg)
    return data
