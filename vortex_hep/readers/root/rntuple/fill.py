"""Pages of an RNTuple from its columns, and the envelopes around them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from vortex_hep.core.schema import Array, Cluster, VarBytes
from vortex_hep.errors import CorruptionError
from vortex_hep.readers.root.file.compression import Compression, compress
from vortex_hep.readers.root.file.rootwriter import BlobWriter
from vortex_hep.readers.root.file.sinks import PageSink
from vortex_hep.readers.root.rntuple.envelopes import (
    Anchor,
    Page,
    clear_page_list,
    place_group,
    place_page,
    place_settings,
    seal_envelope,
    walk_footer,
    walk_page_list,
)
from vortex_hep.readers.root.rntuple.pages import PageCodec
from vortex_hep.readers.root.rntuple.schema import (
    CHARS,
    DATA,
    INDEX,
    LENGTHS,
    OTHER,
    RColumn,
    RTable,
)
from vortex_hep.readers.root.ttree.decode import as_strings

if TYPE_CHECKING:
    from vortex_hep.readers.root.rntuple.source import RNTupleSource

#: Roles whose elements are the lengths of what the page holds the end offsets of.
_COUNTED = (INDEX, LENGTHS)


@dataclass
class StoredNTuple:
    """An RNTuple as the remainder describes it."""

    name: str
    entries: int
    header: bytes
    footer: bytearray
    page_lists: list[bytearray]
    tables: list[RTable]
    columns: list[RColumn]
    raw_ends: dict[tuple[int, int, int], bytes]


def pack_ntuple(source: RNTupleSource) -> tuple[dict[str, Any], list[tuple[str, bytes]]]:
    """JSON item and blobs of an RNTuple."""
    source.complete_log()
    raw = sorted(source.raw_ends)
    item = {
        "name": source.name,
        "entries": source.num_entries,
        "tables": [[t.name, t.parent, t.index, t.counts] for t in source.rtables],
        "columns": [
            [
                *(c.role, c.table, c.name, c.per_row, c.codec.code, c.codec.nbits, c.target),
                *((c.late,) if c.late else ()),
            ]
            for c in source.columns
        ],
        "header": len(source.header),
        "footer": len(source.footer),
        "page_lists": [len(data) for data in source.page_lists],
        "raw_ends": [[*key, len(source.raw_ends[key])] for key in raw],
    }
    envelopes = [source.header, source.footer, *map(clear_page_list, source.page_lists)]
    return item, [
        ("envelopes", b"".join(envelopes)),
        ("extra", b"".join(source.raw_ends[key] for key in raw)),
    ]


def unpack_ntuple(item: Mapping[str, Any], envelopes: bytes, extra: bytes) -> StoredNTuple:
    """The inverse of :func:`pack_ntuple`."""
    parts, position = [], 0
    for size in (item["header"], item["footer"], *item["page_lists"]):
        parts.append(envelopes[position : position + size])
        position += size
    raw_ends: dict[tuple[int, int, int], bytes] = {}
    position = 0
    for cluster, column, page, size in item["raw_ends"]:
        raw_ends[cluster, column, page] = extra[position : position + size]
        position += size
    return StoredNTuple(
        item["name"],
        item["entries"],
        parts[0],
        bytearray(parts[1]),
        [bytearray(part) for part in parts[2:]],
        [RTable(*table) for table in item["tables"]],
        [
            RColumn(role, table, name, per_row, PageCodec(code, nbits), *rest)
            for role, table, name, per_row, code, nbits, *rest in item["columns"]
        ],
        raw_ends,
    )


@dataclass(frozen=True)
class _Place:
    """A page to come.

    Its cluster, physical column, number in both, page list, number in all, compression setting.
    """

    cluster: int
    physical: int
    number: int
    page: Page
    page_list: int
    count: int
    settings: int


@dataclass
class _PageStream:
    """Elements of one column that wait for their page, and the pages to come."""

    column: RColumn
    #: Elements to come that no page holds.
    late: int
    pages: list[_Place] = field(default_factory=list)
    next: int = 0
    waiting: Array | None = None
    #: Cluster that ``base`` belongs to, and the last end offset in it.
    cluster: int = -1
    base: int = 0


def _as_items(data: Array | VarBytes, dtype: str) -> Array:
    items = np.asarray(data).reshape(-1)
    if items.dtype != np.dtype(dtype):
        msg = f"dtype {items.dtype.str} instead of {dtype}"
        raise TypeError(msg)
    return items


class NTupleFiller:
    """Makes the pages of one RNTuple, and completes its page lists.

    Parameters
    ----------
    ntuple : StoredNTuple
        Its page lists, but for their checksums, are complete after :meth:`run`.
    sink : PageSink
        Where pages go.
    """

    def __init__(self, ntuple: StoredNTuple, sink: PageSink) -> None:
        self._ntuple = ntuple
        self._sink = sink
        self._streams = [_PageStream(column, column.late) for column in ntuple.columns]
        cluster = count = 0
        for number, data in enumerate(ntuple.page_lists):
            for columns in walk_page_list(data).clusters:
                for physical, found in enumerate(columns):
                    column = ntuple.columns[physical]
                    stream = self._streams[column.target if column.role == OTHER else physical]
                    for k, page in enumerate(found.pages):
                        stream.pages.append(
                            _Place(cluster, physical, k, page, number, count, found.settings)
                        )
                        count += 1
                cluster += 1

    def run(
        self,
        ranges: Sequence[tuple[int, int]],
        read_cluster: Callable[[str, int, int], Cluster],
    ) -> None:
        """Ask for the clusters one after the other and write the pages they complete."""
        for start, stop in ranges:
            cluster = read_cluster(self._ntuple.name, start, stop)
            for stream in self._streams:
                if stream.column.role != OTHER:
                    self._feed(stream, self._elements(stream.column, cluster))
        for stream in self._streams:
            self._feed(stream, np.empty(0, np.uint8))
            if stream.next < len(stream.pages) or (
                stream.waiting is not None and len(stream.waiting)
            ):
                msg = "columns and pages have different numbers of elements"
                raise CorruptionError(msg, tree=self._ntuple.name, branch=stream.column.name)

    def _elements(self, column: RColumn, cluster: Cluster) -> Array:
        """What a cluster adds to a physical column; lengths for one of offsets."""
        tables = self._ntuple.tables
        try:
            if column.role == INDEX:
                target = tables[column.target]
                if target.parent == 0:
                    return np.diff(cluster[target.name].offsets)
                counts = cluster[tables[target.parent].name].columns[target.counts]
                return np.asarray(counts).astype(np.int64)
            data = cluster[tables[column.table].name].columns[column.name]
            if column.role == DATA:
                return _as_items(data, column.codec.dtype)
            data = as_strings(data)
        except (KeyError, TypeError) as error:
            msg = f"column does not fit the remainder: {error}"
            raise CorruptionError(msg, tree=self._ntuple.name, branch=column.name) from error
        if column.role == CHARS:
            return data.content[int(data.offsets[0]) : int(data.offsets[-1])]
        return np.diff(data.offsets)

    def _feed(self, stream: _PageStream, more: Array) -> None:
        late = min(stream.late, len(more))
        stream.late -= late
        more = more[late:]
        if stream.waiting is not None and len(stream.waiting):
            more = np.concatenate((stream.waiting, more)) if len(more) else stream.waiting
        position = 0
        while stream.next < len(stream.pages):
            page = stream.pages[stream.next].page
            if position + page.elements > len(more):
                break
            self._write(stream, more[position : position + page.elements])
            position += page.elements
        # A copy: what waits must not keep the whole cluster in memory.
        stream.waiting = np.array(more[position:])

    def _write(self, stream: _PageStream, items: Array) -> None:
        place = stream.pages[stream.next]
        cluster, page, codec = (
            place.cluster, place.page, self._ntuple.columns[place.physical].codec
        )  # fmt: skip
        stream.next += 1
        if stream.column.role in _COUNTED:
            if cluster != stream.cluster:
                stream.cluster, stream.base = cluster, 0
            ends = np.cumsum(items) + stream.base
            stream.base = int(ends[-1]) if len(ends) else stream.base
            items = ends.astype(codec.dtype)
        plain = codec.encode(items)
        end = self._ntuple.raw_ends.get((cluster, place.physical, place.number))
        if end is not None:
            plain = plain[: len(plain) - len(end)] + end
        size, offset = self._sink.put(
            place.count, place.settings, plain, checksum=page.has_checksum
        )
        place_page(self._ntuple.page_lists[place.page_list], page, size, offset)


def write_envelopes(
    ntuple: StoredNTuple, blobs: BlobWriter, how: Compression | None, anchor: bytes
) -> bytes:
    """Write page lists, header and footer of an RNTuple whose pages are written.

    Parameters
    ----------
    ntuple : StoredNTuple
    blobs : BlobWriter
        Closed at the end.
    how : Compression or None
        Of the pages; None for each column's own setting.
    anchor : bytes
        The old one.

    Returns
    -------
    bytes
        The anchor that points to the envelopes.
    """
    envelopes = how or Compression("zstd", 5)
    groups = walk_footer(ntuple.footer)
    for number, data in enumerate(ntuple.page_lists):
        if how is not None:
            for cluster in walk_page_list(data).clusters:
                for column in cluster:
                    place_settings(data, column, how.code)
        seal_envelope(data)
        stored = compress(bytes(data), envelopes)
        offset = blobs.write(stored)
        place_group(ntuple.footer, groups[number], len(stored), offset)
    seal_envelope(ntuple.footer)
    places = []
    for envelope in (ntuple.header, bytes(ntuple.footer)):
        stored = compress(envelope, envelopes)
        places.append((blobs.write(stored), len(stored)))
    blobs.close()
    out = Anchor.unpack(anchor)
    out.place(places[0], places[1])
    return out.pack()
