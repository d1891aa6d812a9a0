"""Variable-length byte strings: their lengths as a numeric column, their content as one blob."""

from __future__ import annotations

import struct

import numpy as np

from vortex_hep.codec.columns import column_coders as cc
from vortex_hep.codec.columns.bytecoders import Zstd
from vortex_hep.codec.columns.choose import Effort, decode, encode_best
from vortex_hep.codec.columns.layouts import PLAIN
from vortex_hep.core.schema import Array, VarBytes
from vortex_hep.errors import CorruptionError, UnsupportedTypeError

#: SPEC 4.6: coder and payload size of the lengths, their width, coder and size of the content.
_HEAD = struct.Struct("<HIBHI")
_WIDTHS = {1: "|u1", 2: "<u2", 4: "<u4"}
#: Bytes above which it matters how long a coder takes.
_LARGE = 1 << 20
#: The level is not stored: this decodes as any zstd.
_QUICK = cc.Laid(cc.ZSTD.id, cc.ZSTD.name, PLAIN, Zstd(level=6))


def encode_varbytes(strings: VarBytes) -> bytes:
    """Encode byte strings.

    Parameters
    ----------
    strings : VarBytes
        Rows are kept; content before the first or after the last row is not.

    Returns
    -------
    bytes

    Raises
    ------
    UnsupportedTypeError
        Offsets decrease or leave the content, or there are more than 2^31 bytes.
    """
    offsets = np.asarray(strings.offsets, dtype=np.int64)
    if len(offsets) < 1 or offsets[0] < 0 or offsets[-1] > len(strings.content):
        msg = "offsets are missing or lie outside the content"
        raise UnsupportedTypeError(msg)
    lengths = np.diff(offsets)
    content = cc.check_array(strings.content[offsets[0] : offsets[-1]])
    if (lengths < 0).any() or content.dtype.str != "|u1" or content.size > cc.MAX_DECODED:
        msg = "offsets decrease, or the content is not up to 2^31 bytes of uint8"
        raise UnsupportedTypeError(msg)
    if len(lengths) == 0:
        return b""
    longest = int(lengths.max())
    width = next(w for w in _WIDTHS if longest < 1 << 8 * w)
    coder, payload = encode_best(lengths.astype(_WIDTHS[width]))
    content_coder, blob = _encode_content(content)
    return _HEAD.pack(coder, len(payload), width, content_coder, content.size) + payload + blob


def encode_bytes(blob: bytes, effort: Effort = "normal") -> tuple[int, bytes]:
    """Encode a byte string by the coder that makes it smallest: (coder id, payload).

    With effort "fast" not all coders are tried on large ones, nor as hard.
    """
    content = np.frombuffer(blob, np.uint8)
    if effort == "fast" and content.size > _LARGE and not cc.is_constant(content):
        choices = ((c.id, c.encode(content)) for c in (cc.RAW, _QUICK))
        return min(choices, key=lambda choice: len(choice[1]))
    return _encode_content(content)


def _encode_content(content: Array) -> tuple[int, bytes]:
    """Text repeats strings, which LZ sees; numeric coders are no help but on short blobs."""
    if content.size == 0:
        return cc.RAW.id, b""
    if cc.is_constant(content):
        return cc.CONSTANT.id, cc.CONSTANT.encode(content)
    coders = (cc.RAW, cc.ZSTD, cc.LZMA) if content.size > 64 else (cc.RAW, cc.ZSTD)
    return min(((c.id, c.encode(content)) for c in coders), key=lambda choice: len(choice[1]))


def decode_varbytes(payload: bytes, rows: int) -> VarBytes:
    """Inverse of :func:`encode_varbytes`.

    Parameters
    ----------
    payload : bytes
    rows : int

    Returns
    -------
    VarBytes

    Raises
    ------
    CorruptionError
        The payload does not decode to exactly ``rows`` strings.
    """
    if rows == 0:
        if payload:
            msg = f"{len(payload)} bytes for no strings"
            raise CorruptionError(msg)
        return VarBytes(np.zeros(1, np.int64), np.empty(0, np.uint8))
    if len(payload) < _HEAD.size:
        msg = "strings begin with a head that is cut"
        raise CorruptionError(msg)
    coder, size, width, content_coder, total = _HEAD.unpack_from(payload)
    stop = _HEAD.size + size
    if width not in _WIDTHS or stop > len(payload):
        msg = "the head of strings has a value that is not allowed"
        raise CorruptionError(msg)
    lengths = decode(coder, payload[_HEAD.size : stop], _WIDTHS[width], rows)
    offsets = np.zeros(rows + 1, np.int64)
    np.cumsum(lengths, dtype=np.int64, out=offsets[1:])
    if int(offsets[-1]) != total:
        msg = f"the strings have {int(offsets[-1])} bytes together, the head says {total}"
        raise CorruptionError(msg)
    return VarBytes(offsets, decode(content_coder, payload[stop:], "|u1", total))
