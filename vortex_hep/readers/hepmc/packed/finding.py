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
#: What is said of Les Houches events in place of a version.
LES_HOUCHES = 1
#: Bytes of text in which a listing has to begin.
HEAD = 1024
_START = re.compile(rb"\s*HepMC::(?:Version\b|[A-Za-z0-9_]+-START_EVENT_LISTING)")
_BLOCKS = re.compile(rb"\s*(?:<\?xml[^>]*>\s*)?(?:<!--.*?-->\s*)?<LesHouchesEvents[\s>]", re.DOTALL)
_LISTING = re.compile(b"|".join(re.escape(name) for name in LISTINGS))
_EVENT = re.compile(rb"^E ([^\n]*)\n", re.MULTILINE)
#: Bytes of text in which an event is looked for; numbers that stand on its first line in version 3,
#: besides a position. Version 2 has ten at least.
_FIRST_EVENT, _TOKENS3 = 1 << 16, 3
_BLOCK = 512
#: How far to look for text in tar archives.
_MOST_MEMBERS, _FARTHEST = 1000, 1 << 28


def version_of(text: bytes) -> int:
    """Version of HepMC whose lines a text has, by its beginning; 0 if it is no such text.

    That of Les Houches events is :data:`LES_HOUCHES`.
    """
    if _BLOCKS.match(text, 0, HEAD):
        return LES_HOUCHES
    if not _START.match(text):
        return 0
    found = _LISTING.search(text, 0, HEAD)
    return LISTINGS[found[0]] if found else 0


def _by_lines(version: int, text: bytes) -> int:
    """Version whose lines an event has: some programs put those of 3 in the brackets of 2."""
    found = _EVENT.search(text)
    if found is None or version == LES_HOUCHES:
        return version
    tokens = found[1].split()
    return 3 if len(tokens) <= _TOKENS3 or b"@" in tokens else 2


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
    if version:
        return 0, None, _by_lines(version, stream.read(0, _FIRST_EVENT))
    if not _is_tar(head):
        return 0, None, 0
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
                    stop = start + member.size
                    first = stream.read(start, min(stop, start + _FIRST_EVENT))
                    return start, stop, _by_lines(version, first)
    except tarfile.TarError:
        pass
    return 0, None, 0
