"""Byte layout of the container: constants, structs and limits (SPEC section 2).

Nothing here reads or writes a file; :mod:`container_write` and :mod:`container_read` do.
"""

from __future__ import annotations

import json
import struct
from typing import Any, NamedTuple

import numpy as np
import xxhash

from vortex_hep.core.magic import MAGIC
from vortex_hep.errors import (
    CorruptionError,
    NotVortexError,
    TruncatedError,
    UnsupportedFeatureError,
    UnsupportedTypeError,
    UnsupportedVersionError,
)

#: Format version that this release writes; it reads every version from 1 to this one.
FORMAT_VERSION = 1

KIND_ARCHIVE = 1
KIND_MODEL = 2
KIND_WEIGHTS = 3
FILE_KINDS = {KIND_ARCHIVE: "archive", KIND_MODEL: "model", KIND_WEIGHTS: "compressed weights file"}

#: Required-feature bit: there may be transformers (SPEC 9).
FEATURE_SEQUENCES = 1
#: Required-feature bits this release understands.
KNOWN_FEATURES = FEATURE_SEQUENCES

END_MAGIC = b"\x89CXV\r\n\x1a\n"
FRAME_SYNC = b"\xf5VF\x1a"
FOOTER_SYNC = b"\xf5VI\x1a"

# Limits that a decoder enforces (SPEC 2.7).
MAX_METADATA = 1 << 26  # bytes of the metadata document
MAX_CHUNK_DECODED = 1 << 31  # bytes one chunk decodes to
MAX_TOTAL_DECODED = 1 << 40  # bytes all chunks decode to
MAX_CHUNKS = 1 << 24

_HEADER = struct.Struct("<8sHBBIQQQ")  # SPEC 2.2
_FRAME = struct.Struct("<4sHHIQQI")  # SPEC 2.3
_FOOTER = struct.Struct("<4sIQQ")  # SPEC 2.4
_TRAILER = struct.Struct("<QQQQQQHBBI8s")  # SPEC 2.6

HEADER_SIZE = _HEADER.size
FRAME_SIZE = _FRAME.size
FOOTER_SIZE = _FOOTER.size
TRAILER_SIZE = _TRAILER.size
_TRAILER_CHECKED = 52  # bytes of the trailer under its own check
MIN_FILE = HEADER_SIZE + FOOTER_SIZE + TRAILER_SIZE

#: One row of the index (SPEC 2.5).
CHUNK_DTYPE = np.dtype(
    [
        ("id", "<u4"),
        ("kind", "<u2"),
        ("reserved", "<u2"),
        ("offset", "<u8"),
        ("stored_size", "<u8"),
        ("stored_xxh3", "<u8"),
        ("decoded_size", "<u8"),
        ("decoded_xxh3", "<u8"),
    ]
)


class Header(NamedTuple):
    """What the first bytes of a file say."""

    version: int
    kind: int
    required: int
    optional: int


class Frame(NamedTuple):
    """What the bytes in front of a payload say."""

    id: int
    kind: int
    stored_size: int
    stored_xxh3: int


class Trailer(NamedTuple):
    """What the last bytes of a file say."""

    footer_offset: int
    footer_size: int
    footer_xxh3: int
    file_size: int
    header: Header


def kind_with_article(kind: int) -> str:
    """Say in words what a file of one of :data:`FILE_KINDS` is.

    Examples
    --------
    >>> kind_with_article(KIND_ARCHIVE), kind_with_article(KIND_WEIGHTS)
    ('an archive', 'a compressed weights file')
    """
    name = FILE_KINDS[kind]
    return f"{'an' if name[0] in 'aeiou' else 'a'} {name}"


def xxh3(data: bytes | memoryview) -> int:
    """XXH3-64 with seed 0, the checksum of the whole format."""
    return xxhash.xxh3_64_intdigest(data)


def _check32(data: bytes) -> int:
    return xxh3(data) & 0xFFFFFFFF


def pack_header(header: Header) -> bytes:
    """Bytes of the file header (SPEC 2.2)."""
    body = _HEADER.pack(
        MAGIC, header.version, header.kind, 0, 0, header.required, header.optional, 0
    )[:-8]
    return body + xxh3(body).to_bytes(8, "little")


def unpack_header(data: bytes, path: str | None = None) -> Header:
    """Parse and check the file header (SPEC 2.2); ``data`` may be cut or foreign."""
    head = data[: len(MAGIC)]
    if not head or not MAGIC.startswith(head):
        what = describe_foreign(data)
        msg = f"not a vortex_hep archive, model or compressed weights file; it is {what}"
        raise NotVortexError(msg, path=path, offset=0)
    if len(data) < HEADER_SIZE:
        msg = f"the file ends after {len(data)} bytes, inside its header"
        raise TruncatedError(msg, path=path, offset=len(data), hint="fetch the file again")
    _, version, kind, reserved, reserved2, required, optional, check = _HEADER.unpack(
        data[:HEADER_SIZE]
    )
    if xxh3(data[: HEADER_SIZE - 8]) != check:
        msg = "checksum of the file header does not hold"
        raise CorruptionError(msg, path=path, offset=0)
    header = Header(version, kind, required, optional)
    check_header(header, reserved | reserved2, path, offset=8)
    return header


def check_header(header: Header, reserved: int, path: str | None, offset: int) -> None:
    """Refuse versions, kinds, features and reserved values that this release does not know."""
    if not 1 <= header.version <= FORMAT_VERSION:
        msg = f"format version {header.version}; this release reads versions 1 to {FORMAT_VERSION}"
        raise UnsupportedVersionError(msg, path=path, offset=offset, hint="update vortex_hep")
    unknown = header.required & ~KNOWN_FEATURES
    if unknown:
        msg = f"the file requires features that this release does not know (bits {unknown:#x})"
        raise UnsupportedFeatureError(msg, path=path, offset=offset, hint="update vortex_hep")
    if header.kind not in FILE_KINDS or reserved:
        msg = f"file kind {header.kind} or a reserved field has a value that version 1 forbids"
        raise UnsupportedFeatureError(msg, path=path, offset=offset, hint="update vortex_hep")


def pack_frame(frame: Frame) -> bytes:
    """Bytes in front of a payload (SPEC 2.3)."""
    body = _FRAME.pack(
        FRAME_SYNC, frame.kind, 0, frame.id, frame.stored_size, frame.stored_xxh3, 0
    )[:-4]
    return body + _check32(body).to_bytes(4, "little")


def unpack_frame(data: bytes, path: str | None, offset: int) -> Frame:
    """Parse and check a frame header (SPEC 2.3) of exactly ``FRAME_SIZE`` bytes."""
    sync, kind, reserved, number, size, digest, check = _FRAME.unpack(data)
    if sync != FRAME_SYNC or _check32(data[:-4]) != check:
        msg = "no valid frame header where a frame begins"
        raise CorruptionError(msg, path=path, offset=offset)
    if reserved or kind == 0:
        msg = "a reserved field of a frame header has a value that version 1 forbids"
        raise UnsupportedFeatureError(msg, path=path, offset=offset, hint="update vortex_hep")
    return Frame(number, kind, size, digest)


def pack_footer_head(chunks: int, metadata_size: int, stored_size: int) -> bytes:
    """Bytes in front of the index (SPEC 2.4)."""
    return _FOOTER.pack(FOOTER_SYNC, chunks, metadata_size, stored_size)


def unpack_footer_head(data: bytes) -> tuple[bool, int, int, int]:
    """Whether the sync is right, number of chunks, metadata size, its stored size."""
    sync, chunks, metadata_size, stored_size = _FOOTER.unpack(data[:FOOTER_SIZE])
    return sync == FOOTER_SYNC, chunks, metadata_size, stored_size


def pack_trailer(trailer: Trailer) -> bytes:
    """Bytes of the trailer (SPEC 2.6)."""
    header = trailer.header
    body = _TRAILER.pack(
        *trailer[:4], header.required, header.optional, header.version, header.kind, 0, 0, b""
    )[:_TRAILER_CHECKED]
    return body + _check32(body).to_bytes(4, "little") + END_MAGIC


def unpack_trailer(data: bytes, file_size: int, path: str | None) -> Trailer:
    """Parse and check the trailer (SPEC 2.6) of a file of ``file_size`` bytes."""
    at = file_size - TRAILER_SIZE
    *fields, required, optional, version, kind, reserved, check, end = _TRAILER.unpack(data)
    checked = _check32(data[:_TRAILER_CHECKED]) == check
    if not checked and end != END_MAGIC:
        msg = "the file does not end with a trailer: it was cut, or bytes were appended"
        raise TruncatedError(msg, path=path, offset=file_size, hint="fetch the file again")
    if not checked or end != END_MAGIC:
        msg = "checksum or end mark of the trailer does not hold"
        raise CorruptionError(msg, path=path, offset=at)
    trailer = Trailer(
        fields[0], fields[1], fields[2], fields[3], Header(version, kind, required, optional)
    )
    check_header(trailer.header, reserved, path, offset=at)
    if trailer.file_size != file_size:
        error = TruncatedError if trailer.file_size > file_size else CorruptionError
        msg = f"the trailer tells of {trailer.file_size} bytes, the file has {file_size}"
        raise error(msg, path=path, offset=at)
    if (
        trailer.footer_offset < HEADER_SIZE
        or trailer.footer_size < FOOTER_SIZE
        or trailer.footer_offset + trailer.footer_size != at
    ):
        msg = "the footer does not lie between the frames and the trailer"
        raise CorruptionError(msg, path=path, offset=at)
    return trailer


def dump_metadata(metadata: dict[str, Any]) -> bytes:
    """Canonical JSON (SPEC 2.4): ASCII, sorted keys, no spaces, no NaN or infinity."""
    try:
        text = json.dumps(metadata, sort_keys=True, separators=(",", ":"), allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        msg = f"metadata cannot be written as JSON: {error}"
        raise UnsupportedTypeError(msg) from error
    return text.encode("ascii")


def load_metadata(document: bytes, path: str | None, offset: int) -> dict[str, Any]:
    """Parse metadata, refusing whatever :func:`dump_metadata` would not have written."""
    try:
        metadata = json.loads(document.decode("ascii"))
        canonical = isinstance(metadata, dict) and dump_metadata(metadata) == document
    except (ValueError, RecursionError, UnsupportedTypeError) as error:
        msg = "the metadata is not JSON"
        raise CorruptionError(msg, path=path, offset=offset) from error
    if not canonical:
        msg = "the metadata is not a JSON object in canonical form"
        raise CorruptionError(msg, path=path, offset=offset)
    return dict(metadata)


_TEXT_MODE = "a vortex_hep file damaged by a transfer in text mode (newlines were changed)"
_FOREIGN = (
    (b"root", "a ROOT file"),
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file"),
    (b"HepMC::", "a HepMC text file"),
    (b"\nHepMC::", "a HepMC text file"),
    (b"\x1f\x8b", "a gzip file"),
    (b"\xfd7zXZ\x00", "an xz file"),
    (b"\x28\xb5\x2f\xfd", "a zstd file"),
    (b"BZh", "a bzip2 file"),
    (b"PK\x03\x04", "a zip file"),
    (b"PAR1", "a Parquet file"),
    (b"\x89VXC\n", _TEXT_MODE),
    (b"\x89VXC\r\r", _TEXT_MODE),
    (b"\tVXC", "a vortex_hep file damaged by a transfer in 7-bit mode"),
)


def describe_foreign(data: bytes) -> str:
    """Say in words what a file that is not ours looks like."""
    if not data:
        return "an empty file"
    for start, name in _FOREIGN:
        if data.startswith(start):
            return name
    if all(byte in b"\t\n\r\f" or 32 <= byte < 127 for byte in data[:64]):
        return "a text file"
    return "a binary file of another kind"
