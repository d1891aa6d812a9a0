"""Cutting HepMC text between events; the lines of each event stay as they are."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from vortex_hep.core.storage.ranges import open_binary
from vortex_hep.errors import SourceError
from vortex_hep.readers.hepmc.packed.finding import find_text
from vortex_hep.readers.hepmc.packed.stream import Stream

#: What a line that begins an event, and a line that belongs to none, begin with.
_EVENT, _BRACKET = b"E ", b"HepMC::"


def count_events(path: Path) -> int:
    """Events of a text: plain, gzip or Zstandard, alone or in a tar archive.

    Raises
    ------
    SourceError
        It is no HepMC text, or damaged.
    """
    return sum(line.startswith(_EVENT) for line in _lines(path))


def cut_events(source: Path, target: Path, start: int, stop: int) -> None:
    """Write events ``start`` to ``stop`` with the head and the end of the text, not compressed.

    Parameters
    ----------
    source, target : Path
    start, stop : int

    Raises
    ------
    SourceError
        It is no HepMC text, or damaged.
    """
    number = -1
    with target.open("wb") as out:
        for line in _lines(source):
            if line.startswith(_EVENT):
                number += 1
            if number < 0 or start <= number < stop or line.startswith(_BRACKET):
                out.write(line)


def _lines(path: Path) -> Iterator[bytes]:
    """Lines with their ends."""
    stream = Stream(open_binary(path))
    try:
        first, last, known = find_text(stream)
        if not known:
            raise SourceError("is no HepMC text", path=str(path))
        rest = b""
        for piece in stream.pieces(first, last):
            lines = (rest + piece).split(b"\n")
            rest = lines.pop()
            yield from (line + b"\n" for line in lines)
        if rest:
            yield rest
    finally:
        stream.close()
