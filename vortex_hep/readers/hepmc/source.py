"""HepMC files as trees of events and a remainder."""

from __future__ import annotations

import re
import zlib
from array import array
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from vortex_hep.core.arrays import join_tables
from vortex_hep.core.schema import Cluster, Member, TableData, TreeSource, Unread
from vortex_hep.core.storage.identity import Identity, identity_of
from vortex_hep.errors import SourceError
from vortex_hep.readers.hepmc.leshouches.events import BlockLayout, infer_blocks, read_blocks
from vortex_hep.readers.hepmc.packed.finding import LES_HOUCHES
from vortex_hep.readers.hepmc.packed.packing import describe, find_exact, packed_adler32
from vortex_hep.readers.hepmc.packed.stream import GZIP, PLAIN, Stream
from vortex_hep.readers.hepmc.tables.infer import infer_layout
from vortex_hep.readers.hepmc.tables.layout import TextLayout, dump
from vortex_hep.readers.hepmc.tables.reading import read_events, unix_lines

#: Name of the only tree.
TREE = "events"
#: Bytes of text whose events decide the layout.
_SAMPLE = 1 << 24
_SAMPLE_EVENTS = 4096
#: Bytes of one blob.
_BLOB = 1 << 24
#: Bytes of text that are taken apart at once.
_BATCH = 1 << 22
#: Bytes of columns that a byte of text becomes, about.
_SHRINKAGE = 0.45
#: Where events begin and end; those of HepMC, and blocks of Les Houches events.
_LINES = re.compile(rb"\n(?:E |HepMC::)")
_BLOCKS = re.compile(rb"\n(?:<event[ >]|</LesHouchesEvents)")
_BEGINS = (b"\nE ", b"\n<event>", b"\n<event ")
_LONGEST = len(b"\n</LesHouchesEvents")


class EventIndex:
    """Where the events of a text stand.

    Parameters
    ----------
    stream : Stream
    start, stop : int, int or None
        The text; None for the end of the stream, which is then found.
    boundary : pattern
        Where events begin and end.

    Attributes
    ----------
    start, stop : int
    starts, stops : int64 arrays, shape (events,)
    crlf : bool
        Whether the first line ends with carriage return and line feed.
    crc32 : int
        Of the whole stream, as all other attributes found in one pass.
    """

    def __init__(
        self, stream: Stream, start: int, stop: int | None, boundary: re.Pattern[bytes] = _LINES
    ) -> None:
        starts, stops = array("q"), array("q")
        inside = False
        first_line = b""
        self.crc32 = 0
        end = start
        tail = b"\n"  # a line begins where the text does
        for at, piece in self._pieces(stream, start, stop):
            self.crc32 = zlib.crc32(piece, self.crc32)
            if at < start or (stop is not None and at >= stop):
                continue
            if len(first_line) < _SAMPLE and b"\n" not in first_line:
                first_line += piece
            text = tail + piece
            base = at - len(tail)
            for found in boundary.finditer(text):
                place = base + found.start() + 1
                if inside:
                    stops.append(place)
                inside = found[0] in _BEGINS
                if inside:
                    starts.append(place)
            end = at + len(piece)
            tail = self._tail(text, boundary)
        if inside:
            stops.append(end)
        self.start, self.stop = start, end
        self.crlf = first_line[: first_line.find(b"\n") + 1].endswith(b"\r\n")
        self.starts, self.stops = (np.array(a, np.int64) for a in (starts, stops))

    @staticmethod
    def _pieces(stream: Stream, start: int, stop: int | None) -> Iterator[tuple[int, bytes]]:
        """Pieces of the whole stream with their places, cut where the text begins and ends."""
        at = 0
        for low, high in ((0, start), (start, stop), (stop, None)):
            if low is None:
                return
            for piece in stream.pieces(low, high):
                yield at, piece
                at += len(piece)

    @staticmethod
    def _tail(text: bytes, boundary: re.Pattern[bytes]) -> bytes:
        """The end of a piece, in which a boundary may begin that goes on in the next piece."""
        place = text.rfind(b"\n", max(0, len(text) - _LONGEST + 1))
        # Not one that was found already.
        return b"" if place < 0 or boundary.match(text, place) else text[place:]


class HepmcTree:
    """The events of a text; see :class:`~vortex_hep.core.schema.TreeSource`."""

    name = TREE
    family = TREE
    members: tuple[Member, ...] = ()

    def __init__(self, stream: Stream, index: EventIndex, version: int) -> None:
        self._stream = stream
        self._index = index
        self.num_entries = len(index.starts)
        self.layout: TextLayout | BlockLayout
        if version == LES_HOUCHES:
            self.layout = infer_blocks(index.crlf, self._sample())
        else:
            self.layout = infer_layout(version, index.crlf, self._sample())
        self.tables = self.layout.tables()
        self.kept_as_text: set[int] = set()

    def _sample(self) -> list[bytes]:
        out: list[bytes] = []
        size = 0
        for entry in range(min(self.num_entries, _SAMPLE_EVENTS)):
            event = self._stream.read(int(self._index.starts[entry]), int(self._index.stops[entry]))
            size += len(event)
            if (plain := unix_lines(event, crlf=self._index.crlf)) is not None:
                out.append(plain)
            if size >= _SAMPLE:
                break
        return out

    def cluster_ranges(self, target_bytes: int) -> list[tuple[int, int]]:
        """Entry ranges (start, stop) that cover the tree, each near ``target_bytes`` raw."""
        out = []
        start, size = 0, max(1, int(target_bytes / _SHRINKAGE))
        stops = self._index.stops
        while start < self.num_entries:
            most = int(self._index.starts[start]) + size
            stop = max(start + 1, int(np.searchsorted(stops, most, "right")))
            out.append((start, stop))
            start = stop
        return out

    def read(self, start: int, stop: int, columns: Sequence[str] | None = None) -> Cluster:
        """Data of entries ``start`` to ``stop``; all columns, or only those named."""
        parts = [self._read(low, high) for low, high in self._batches(start, stop)]
        cluster = {name: join_tables([p[name] for p in parts]) for name in parts[0]}
        whole = cluster[""].columns["text"]
        self.kept_as_text.update((np.flatnonzero(np.diff(whole.offsets)) + start).tolist())  # type: ignore[union-attr]
        if columns is None:
            return cluster
        wanted = set(columns)
        return {
            name: TableData(table.offsets, {n: c for n, c in table.columns.items() if n in wanted})
            for name, table in cluster.items()
            if not wanted.isdisjoint(table.columns)
        }

    def _batches(self, start: int, stop: int) -> list[tuple[int, int]]:
        """Ranges of events of a few megabytes of text: what is worked on at once."""
        edges = [start]
        while edges[-1] < stop:
            most = int(self._index.starts[edges[-1]]) + _BATCH
            edge = int(np.searchsorted(self._index.stops, most, "right"))
            edges.append(min(stop, max(edges[-1] + 1, edge)))
        return list(pairwise(edges)) or [(start, stop)]

    def _read(self, start: int, stop: int) -> Cluster:
        starts, stops = (a[start:stop].tolist() for a in (self._index.starts, self._index.stops))
        begins = [int(self._index.stops[k - 1]) if k else starts[0] for k in range(start, stop)]
        low = begins[0] if begins else 0
        text = self._stream.read(low, stops[-1]) if begins else b""
        if begins and len(text) != stops[-1] - low:
            raise SourceError("the file has changed while it was read", path=self._path, tree=TREE)
        events = [text[a - low : b - low] for a, b in zip(starts, stops, strict=True)]
        before = [text[a - low : b - low] for a, b in zip(begins, starts, strict=True)]
        if isinstance(self.layout, BlockLayout):
            return read_blocks(self.layout, events, before, start)
        return read_events(self.layout, events, before, start)

    @property
    def _path(self) -> str:
        return self._stream.source.name

    def place_of(self, entry: int) -> int:
        """Where an event begins in the text."""
        return int(self._index.starts[entry]) - self._index.start


class HepmcSource:
    """A HepMC text, in whatever it is packed; see :class:`~vortex_hep.core.schema.FileSource`.

    Parameters
    ----------
    stream : Stream
        Closed by :meth:`close`.
    path : str
    text : (start, stop, version)
        Where in the stream the text is, and of which version of HepMC.
    exact : bool
        Whether a packed file is to come back with the same bytes.

    Raises
    ------
    NotExactError
        It would not.
    SourceError
        The packed data are damaged.
    """

    kind = "hepmc"

    def __init__(
        self, stream: Stream, path: str, text: tuple[int, int | None, int], *, exact: bool
    ) -> None:
        self.path = path
        self._stream = stream
        boundary = _BLOCKS if text[2] == LES_HOUCHES else _LINES
        self._index = EventIndex(stream, text[0], text[1], boundary)
        if text[1] is not None and self._index.stop != text[1]:
            raise SourceError("the tar archive ends within a member", path=path)
        self._packing = describe(stream)
        self._exact = exact
        if exact:
            found = find_exact(stream, self._packing)
            if found is None:
                raise NotExactError
            self._packing = found | {"adler32": packed_adler32(stream)}
        self._tree = HepmcTree(stream, self._index, text[2])
        self.trees: Mapping[str, TreeSource] = {TREE: self._tree}

    def settle(self) -> None:
        """Nothing to settle: what does not fit the layout is kept as text."""

    def remainder(self) -> Iterator[tuple[str, bytes]]:
        """The layout, and the bytes in front of the first event and behind the last."""
        index, stream = self._index, self._stream
        document = {
            "version": self._tree.layout.format_version,
            "layout": self._tree.layout.pack(),
            "packing": self._packing,
            "size": stream.size,
            "crc32": index.crc32,
        }
        yield "hepmc/layout", dump(document)
        first = int(index.starts[0]) if len(index.starts) else index.stop
        last = int(index.stops[-1]) if len(index.starts) else index.stop
        for name, start, stop in (
            ("prefix", 0, index.start), ("head", index.start, first),
            ("foot", last, index.stop), ("suffix", index.stop, stream.size),
        ):  # fmt: skip
            for number, piece in enumerate(stream.pieces(start, stop, _BLOB)):
                yield f"hepmc/{name}/{number}", piece
        if stream.packing != PLAIN and stream.packed_end < stream.source.size:
            end = stream.packed_end
            tail = stream.source.read_ranges([(end, stream.source.size - end)])[0]
            yield "hepmc/tail", bytes(tail)

    def unread(self) -> list[Unread]:
        """Nothing: what is kept as text is part of its event's columns."""
        return []

    def notes(self) -> list[str]:
        """What of the text is kept as such, of all that was read so far."""
        out = []
        kept = self._tree.kept_as_text
        if kept:
            first = min(kept)
            out.append(
                f"{len(kept)} of {self._tree.num_entries} events are carried as text: the first"
                f" is number {first}, at byte {self._tree.place_of(first)} of the text"
            )
        if self._stream.members > 1 and not self._exact:
            out.append(
                f"{self._stream.members} {self._stream.packing} streams follow one another:"
                " the restored file has the same text in one"
            )
        return out

    def identity(self) -> Identity:
        """Size and checksum of the file."""
        return identity_of(self._stream.source)

    def exact_forecast(self) -> str:
        """Say whether the file would come back with the same bytes, compression included."""
        if self._stream.packing == PLAIN:
            return "the file comes back with the same bytes: it is not compressed"
        found = self._packing if self._exact else find_exact(self._stream, self._packing)
        if found is None:
            return (
                f"the {self._stream.packing} data cannot be made again: with exact=True the"
                " compressed file is carried whole"
            )
        memory = f", memory level {found['memory']}" if self._stream.packing == GZIP else ""
        how = f"{found['packing']} level {found['level']}{memory}"
        return f"the file comes back with the same bytes ({how})"

    def close(self) -> None:
        """Close the file."""
        self._stream.close()

    def __enter__(self) -> HepmcSource:
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()


class NotExactError(Exception):
    """A packed file cannot be made again byte for byte; it is carried whole instead."""
