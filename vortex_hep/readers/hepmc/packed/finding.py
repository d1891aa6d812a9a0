"""Detection of HepMC text by its first bytes: plain, packed, and inside tar archives."""

from __future__ import annotations

import re
import tarfile
import zlib
from typing import Any, cast

from vortex_hep.core.zstd import zstd
from vortex_hep.readers.hepmc.packed.stream import (
    PLAIN,
    ZSTD,
    Stream,
    StreamFile,
    make_unpacker,
    packing_of,
    unpack_some,
)

#: What listings of events begin with, and the version of HepMC whose lines they have.
LISTINGS = {
    b"HepMC::Asciiv3-START_EVENT_LISTING": 3,
    b"HepMC::IO_GenEvent-START_EVENT_LISTING": 2,
    b"HepMC::IO_ExtendedAscii-START_EVENT_LISTING": 2,
    b"HepMC::IO_Ascii-START_EVENT_LISTING": 2,
}
#: Bytes of text in which a listing has to begin.
HEAD = 1024
_START = re.compile(rb"\s*HepMC::(?:Version\b|[A-Za-z0-9_]+-START_EVENT_LISTING)")
_LISTING = re.compile(b"|".join(re.escape(name) for name in LISTINGS))
_BLOCK = 512
#: How far to look for text in tar archives.
_MOST_MEMBERS, _FARTHEST = 1000, 1 << 28


def version_of(text: bytes) -> int:
    """Version of HepMC whose lines a text has, by its beginning; 0 if it is no such text."""
    if not _START.match(text):
        return 0
    found = _LISTING.search(text, 0, HEAD)
    return LISTINGS[found[0]] if found else 0


def is_hepmc(head: bytes) -> bool:
    """Whether a file is HepMC text, or may hold some, as far as its first bytes tell."""
    packing = packing_of(head)
    if packing != PLAIN:
        head = _unpacked(packing, head)
        if not head and packing == ZSTD:
            # A block of Zstandard unpacks as a whole or not at all.
            return True
    return bool(version_of(head)) or _is_tar(head)


def _unpacked(packing: str, head: bytes) -> bytes:
    try:
        return unpack_some(packing, make_unpacker(packing), head)[0]
    except (zlib.error, zstd.ZstdError):
        return b""


def _is_tar(head: bytes) -> bool:
    return head[257:262] == b"ustar"


def find_text(stream: Stream) -> tuple[int, int | None, int]:
    """Find the text in what a file holds.

    Returns
    -------
    start : int
    stop : int or None
        None where the text ends with the stream.
    version : int
        Of HepMC; 0 if there is no text.

    Raises
    ------
    SourceError
        The packed data are damaged.
    """
    head = stream.read(0, max(HEAD, _BLOCK))
    version = version_of(head)
    if version or not _is_tar(head):
        return 0, None, version
    try:
        with tarfile.open(fileobj=cast("Any", StreamFile(stream)), mode="r:") as archive:
            for number, member in enumerate(archive):
                if number == _MOST_MEMBERS or member.offset > _FARTHEST:
                    break
                if not member.isreg() or member.issparse():
                    continue
                start = member.offset_data
                version = version_of(stream.read(start, start + min(HEAD, member.size)))
                if version:
                    return start, start + member.size, version
    except tarfile.TarError:
        pass
    return 0, None, 0
