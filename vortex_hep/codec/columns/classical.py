"""Classical coding of columns, groups of small columns and byte strings: SPEC section 4."""

from __future__ import annotations

from vortex_hep.codec.columns.choose import Effort, decode, encode_best, likely_size
from vortex_hep.codec.columns.column_coders import COLUMN_CODERS, MAX_DECODED, ColumnCoder
from vortex_hep.codec.columns.solid import decode_solid, encode_solid
from vortex_hep.codec.columns.varbytes import decode_varbytes, encode_bytes, encode_varbytes

__all__ = [
    "COLUMN_CODERS",
    "MAX_DECODED",
    "ColumnCoder",
    "Effort",
    "decode",
    "decode_solid",
    "decode_varbytes",
    "encode_best",
    "encode_bytes",
    "encode_solid",
    "encode_varbytes",
    "likely_size",
]
