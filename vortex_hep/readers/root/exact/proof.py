"""Proof of which records are restored byte for byte, and the blobs for all others."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import xxhash

from vortex_hep.core.schema import Array, Cluster
from vortex_hep.core.storage.identity import Identity
from vortex_hep.readers.holes import pieces
from vortex_hep.readers.root.contents import RootContents
from vortex_hep.readers.root.exact.pipeline import Pipeline
from vortex_hep.readers.root.exact.places import PLACE, ExactPlan, Numbering, pack_plan
from vortex_hep.readers.root.exact.rebuild import PAGE_CHECKSUM, Rebuilder
from vortex_hep.readers.root.exact.recompress import Setting
from vortex_hep.readers.root.exact.survey import Record, Survey
from vortex_hep.readers.root.file.bytesource import ByteReader
from vortex_hep.readers.root.file.directories import Entry
from vortex_hep.readers.root.file.tkey import Key
from vortex_hep.readers.root.rntuple.envelopes import Anchor, walk_footer
from vortex_hep.readers.root.rntuple.source import RNTupleSource
from vortex_hep.readers.root.skeleton import read_blobs

#: Bytes that hold the key of a basket, up to its class.
_KEY_ROOM = 1 << 11
#: Raw bytes of columns that are read at a time.
_CLUSTER_BYTES = 1 << 24
#: Bytes and number of records that are fetched at a time.
_FETCH_BYTES, _FETCH_RECORDS = 1 << 23, 1 << 9


def survey_of(source: RootContents) -> Survey:
    """Try a sample of a file's records."""
    records = [
        Record(ref.seek, ref.nbytes)
        for tree in source.tree_records
        if tree.source is not None
        for plan in tree.source.plans
        for ref in plan.baskets
        if ref.embedded is None
    ]
    codes = [source.records.header.compress]
    for tree in source.tree_records:
        codes += [branch.compress for branch in tree.branches]
    for entry, ntuple in source.ntuple_records:
        records += [Record(*place) for place in _envelopes(source, entry, ntuple)]
        for column, pages in ntuple.each_column():
            codes.append(pages.settings)
            records += [
                Record(page.offset, page.size, column.codec.size(page.elements))
                for page in pages.pages
            ]
    keys = [*(entry.key for entry in source.records.entries), source.records.info_key]
    records += [
        Record(key.seek, key.nbytes) for key in keys if key is not None and key.nbytes > key.keylen
    ]
    records.sort(key=lambda record: (record.offset, record.size))
    return Survey(source.records.reader, records, list(dict.fromkeys(codes)))


def exact_blobs(
    source: RootContents, blobs: Mapping[str, bytes], survey: Survey, identity: Identity
) -> Iterator[tuple[str, bytes]]:
    """Blobs with which a remainder brings back all bytes of its file.

    Parameters
    ----------
    source : RootContents
    blobs : mapping of str to bytes
        The remainder so far.
    survey : Survey
    identity : Identity
        Of the file.
    """
    skeleton = read_blobs(blobs)
    numbering = Numbering(skeleton)
    places = _places(source, numbering)
    directories = [directory.key.seek for directory in source.records.directories]
    reader = source.records.reader
    folders = _basket_directories(source, directories)
    plan = ExactPlan(identity, directories, places, numbering.fixed, folders)
    apart = _apart(places)
    with _Judge(reader, survey, places, apart, numbering.count) as judge:
        Rebuilder(skeleton, numbering, plan, judge).run(
            {name: tree.cluster_ranges(_CLUSTER_BYTES) for name, tree in source.sources.items()},
            lambda name, start, stop: _read(source, name, start, stop),
        )
        judge.finish()
    yield from pack_plan(plan)
    for number, piece in enumerate(pieces(plan.kept_ranges())):
        yield f"root/exact/kept/{number}", b"".join(reader.read_ranges(piece))


def _basket_directories(source: RootContents, directories: Sequence[int]) -> dict[int, int]:
    """Folders that the keys of baskets name, by number of the tree, where it is not the tree's."""
    out = {}
    for number, tree in enumerate(source.tree_records):
        if tree.source is None:
            continue
        free = (r for plan in tree.source.plans for r in plan.baskets if r.embedded is None)
        first = next(free, None)
        if first is not None:
            head = source.records.reader.read(first.seek, min(first.nbytes, _KEY_ROOM))
            folder = Key.unpack(head)[0].directory
            if folder != directories[tree.entry.directory]:
                out[number] = folder
    return out


def _envelopes(
    source: RootContents, entry: Entry, ntuple: RNTupleSource
) -> list[tuple[int, int, int]]:
    """Offset, stored size and length of header, footer and page lists of an RNTuple."""
    anchor = Anchor.unpack(source.records.object_bytes(entry.key))
    groups = walk_footer(ntuple.footer)
    return [anchor.header, anchor.footer, *((g.offset, g.size, g.length) for g in groups)]


def _read(source: RootContents, name: str, start: int, stop: int) -> Cluster:
    return source.sources[name].read(start, stop)


def _places(source: RootContents, numbering: Numbering) -> Array:
    """Places of all records that the remainder describes."""
    found: list[tuple[int, int, int]] = []
    for first, tree in zip(numbering.baskets, source.tree_records, strict=True):
        if tree.source is None:
            continue
        for plan in tree.source.plans:
            found += [
                (first + tree.source.log.row(plan.number, ref), ref.seek, ref.nbytes)
                for ref in plan.baskets
                if ref.embedded is None
            ]
    records = source.records
    for first, at, (entry, ntuple) in zip(
        numbering.pages, numbering.envelopes, source.ntuple_records, strict=True
    ):
        pages = (page for _, column in ntuple.each_column() for page in column.pages)
        for item, page in enumerate(pages, first):
            size = page.size + (PAGE_CHECKSUM if page.has_checksum else 0)
            found.append((item, page.offset, size))
        found += [
            (item, offset, size)
            for item, (offset, size, _) in enumerate(_envelopes(source, entry, ntuple), at)
        ]
    for item, entry in enumerate(records.entries, numbering.keys):
        found.append((item, entry.key.seek, entry.key.nbytes))
    if records.info_key is not None:
        found.append((numbering.info, records.info_key.seek, records.info_key.nbytes))
    places = np.zeros(len(found), PLACE)
    for name, values in zip(("item", "offset", "size"), np.array(found).T, strict=True):
        places[name] = values
    return places[np.lexsort((places["item"], places["size"], places["offset"]))]


def _apart(places: Array) -> Array:
    """Which records, by row, do not begin within one before them.

    Equal pages of an RNTuple may be one and the same; of these the first counts.
    """
    ends = np.maximum.accumulate(places["offset"] + places["size"])
    out = np.ones(len(places), bool)
    out[1:] = places["offset"][1:] >= ends[:-1]
    return out


class _Judge:
    """Compares records that were made again with the file's (a RecordSink).

    What comes back gets its method and level in ``places``.
    """

    def __init__(
        self, reader: ByteReader, survey: Survey, places: Array, apart: Array, count: int
    ) -> None:
        self._reader, self._survey, self._places, self._apart = reader, survey, places, apart
        self._row = np.full(count, -1, np.int64)
        self._row[places["item"]] = np.arange(len(places))
        self._pipeline: Pipeline[tuple[int, Setting | None]] = Pipeline(self._take)
        self._batch: list[tuple[int, bytes, bytes | memoryview, bool]] = []
        self._batch_bytes = 0

    def put(
        self, item: int, head: bytes, payload: bytes | memoryview, *, checksum: bool = False
    ) -> None:
        row = int(self._row[item])
        if row < 0 or not self._apart[row]:
            return
        self._batch.append((row, head, payload, checksum))
        self._batch_bytes += len(payload)
        if self._batch_bytes > _FETCH_BYTES or len(self._batch) > _FETCH_RECORDS:
            self._fetch()

    def _fetch(self) -> None:
        """Read what waits, neighbours in one request, and have it judged."""
        batch, self._batch, self._batch_bytes = self._batch, [], 0
        places = self._places[[row for row, *_ in batch]]
        ranges = list(zip(places["offset"].tolist(), places["size"].tolist(), strict=True))
        for (row, head, payload, checksum), raw in zip(
            batch, self._reader.read_many(ranges), strict=True
        ):
            self._pipeline.submit(len(payload), self._judge, row, raw, head, payload, checksum)

    def _judge(
        self, row: int, raw: memoryview, head: bytes, payload: bytes | memoryview, checksum: bool
    ) -> tuple[int, Setting | None]:
        stored = raw[len(head) : len(raw) - (PAGE_CHECKSUM if checksum else 0)]
        if raw[: len(head)] != head:
            return row, None
        if checksum and xxhash.xxh3_64_intdigest(stored) != int.from_bytes(
            raw[-PAGE_CHECKSUM:], "little"
        ):
            return row, None
        return row, self._survey.find(payload, stored)

    def _take(self, found: tuple[int, Setting | None]) -> None:
        row, setting = found
        # A record of no bytes is no hole.
        if setting is not None and self._places["size"][row]:
            self._places["method"][row], self._places["level"][row] = setting.method, setting.level

    def finish(self) -> None:
        """Wait for all verdicts."""
        self._fetch()
        self._pipeline.finish()

    def __enter__(self) -> _Judge:
        self._pipeline.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self._pipeline.__exit__(None, None, None)
