"""Records that keep their place in a restored file.

What is not understood may name other records by their offsets. So it stays where it was, with the
records that nothing else names, and all others are written around it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from vortex_hep.errors import CorruptionError
from vortex_hep.readers.holes import PIECE, pieces
from vortex_hep.readers.root.file.bytesource import ByteReader
from vortex_hep.readers.root.file.tkey import Key

#: Bytes in which any key's class stands.
_KEY_ROOM = 256
_BLOB = "root/fixed/{}"


@dataclass(frozen=True)
class Unnamed:
    """A record, or bytes of unknown meaning (``class_name`` empty), that no other record names."""

    offset: int
    size: int
    class_name: bytes


def unnamed_records(
    reader: ByteReader, named: Iterable[tuple[int, int]], end: int
) -> Iterator[Unnamed]:
    """Everything outside of the records ``named`` as (offset, size) that is not a gap."""
    position = 0
    for start, size in [*sorted(set(named)), (end, 0)]:
        while position < start:
            found = _record_at(reader, position, end)
            if found is None:
                yield Unnamed(position, start - position, b"")
                break
            length, class_name = found
            if class_name is not None:
                yield Unnamed(position, length, class_name)
            position += length
        position = max(position, start + size)


def _record_at(reader: ByteReader, position: int, end: int) -> tuple[int, bytes | None] | None:
    """Size and class of a record, without class for a gap; None for what is neither."""
    head = reader.read(position, min(_KEY_ROOM, end - position))
    nbytes = int.from_bytes(head[:4], "big", signed=True)
    if len(head) >= 4 and nbytes < 0:
        return -nbytes, None
    try:
        key, _ = Key.unpack(head)
    except ValueError:
        return None
    if key.nbytes < key.keylen or key.keylen <= 0 or key.seek != position:
        return None
    return key.nbytes, key.class_name


def merged(places: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Ranges as (offset, size) in order, joined where they touch."""
    out: list[tuple[int, int]] = []
    for offset, size in sorted(places):
        if size <= 0:
            continue
        if out and offset <= out[-1][0] + out[-1][1]:
            first, before = out[-1]
            out[-1] = first, max(before, offset + size - first)
        else:
            out.append((offset, size))
    return out


def fixed_blobs(
    reader: ByteReader, places: Sequence[tuple[int, int]]
) -> Iterator[tuple[str, bytes]]:
    """The bytes of ranges of a file, one after the other, in blobs."""
    for number, piece in enumerate(pieces((a, a + size) for a, size in places)):
        yield _BLOB.format(number), b"".join(bytes(reader.read(*part)) for part in piece)


class FixedRecords:
    """Ranges of a file that an archive keeps, with their places.

    Parameters
    ----------
    places : sequence of (offset, size)
        In order, apart from one another.
    blobs : mapping of str to bytes
        Holds what :func:`fixed_blobs` gave; asked for one blob at a time.

    Raises
    ------
    CorruptionError
        The ranges overlap.
    """

    def __init__(self, places: Sequence[tuple[int, int]], blobs: Mapping[str, bytes]) -> None:
        self.places = list(places)
        self._blobs = blobs
        self._starts = [0]
        behind = 0
        for offset, size in self.places:
            if offset < behind or size <= 0:
                msg = f"a record of {size} bytes is to stay at byte {offset}, within another"
                raise CorruptionError(msg)
            behind = offset + size
            self._starts.append(self._starts[-1] + size)

    def pieces(self, number: int) -> Iterator[memoryview]:
        """The bytes of one range.

        Raises
        ------
        CorruptionError
            A blob is missing or short.
        """
        at, stop = self._starts[number], self._starts[number + 1]
        while at < stop:
            blob, start = divmod(at, PIECE)
            size = min(stop - at, PIECE - start)
            data = memoryview(self._blobs.get(_BLOB.format(blob), b""))[start : start + size]
            if len(data) != size:
                msg = f"blob {_BLOB.format(blob)!r} is missing or short"
                raise CorruptionError(msg)
            yield data
            at += size
