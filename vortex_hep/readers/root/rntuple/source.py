"""An RNTuple as tables of columns, read cluster by cluster."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from vortex_hep.core.schema import Array, Cluster, Member, TableData, TableSpec, VarBytes
from vortex_hep.errors import NotFoundError, SourceError
from vortex_hep.readers.root.file.bytesource import ByteReader
from vortex_hep.readers.root.file.compression import BlockError, decompress
from vortex_hep.readers.root.rntuple.cache import PAGE_CHECKSUM, PageCache, Span, UsedPages
from vortex_hep.readers.root.rntuple.envelopes import (
    Anchor,
    ColumnPages,
    Page,
    check_envelope,
    has_attribute_sets,
    walk_footer,
    walk_page_list,
)
from vortex_hep.readers.root.rntuple.schema import (
    CHARS,
    DATA,
    INDEX,
    LENGTHS,
    OTHER,
    FieldWalker,
    RColumn,
)
from vortex_hep.readers.root.ttree.clusters import near_target

#: Kinds of envelopes (specification, "Envelopes").
HEADER, FOOTER, PAGE_LIST = 1, 2, 3
#: Uncompressed bytes of a cluster that is fetched in one request. Of a larger one, those pages that
#: are needed are found table by table.
_WHOLE = 1 << 25


class RNTupleSource:
    """One RNTuple of an opened file (a :class:`~vortex_hep.core.schema.TreeSource`).

    Parameters
    ----------
    name : str
    ntuple : uproot RNTuple
        Asked for its field and column records only.
    reader : ByteReader
    payload : bytes
        The anchor.

    Raises
    ------
    ValueError
        An unsupported layout.
    """

    def __init__(self, name: str, ntuple: Any, reader: ByteReader, payload: bytes) -> None:
        self.name = self.family = name
        self.members: tuple[Member, ...] = ()
        self._reader = reader
        anchor = Anchor.unpack(payload)
        self.header = self._envelope(*anchor.header, HEADER)
        self.footer = self._envelope(*anchor.footer, FOOTER)
        self._envelopes = [anchor.header[:2], anchor.footer[:2]]
        self.page_lists = [
            self._envelope(group.offset, group.size, group.length, PAGE_LIST)
            for group in walk_footer(self.footer)
        ]
        #: Whether it has RNTuples of attributes, which its footer names by their offsets.
        self.has_attributes = has_attribute_sets(self.footer)
        walker = FieldWalker(
            ntuple.field_records, ntuple.column_records, ntuple.alias_column_records
        )
        walker.walk()
        self.rtables = walker.tables
        self.columns: list[RColumn] = [walker.columns[i] for i in range(len(walker.columns))]
        self.tables: tuple[TableSpec, ...] = walker.specs()
        lists = [walk_page_list(data) for data in self.page_lists]
        self._pages: list[list[ColumnPages]] = [c for pages in lists for c in pages.clusters]
        for columns in self._pages:
            # Columns that came later are not in the lists of before.
            missing = len(self.columns) - len(columns)
            columns += [ColumnPages([], -1, 0) for _ in range(missing)]
        self.clusters: list[tuple[int, int]] = [e for pages in lists for e in pages.entries]
        self._check_clusters()
        self._depths = self._depths_of_tables()
        self._labels = [self._label(column) for column in self.columns]
        used = [self._used(*cluster) for cluster in zip(self.clusters, self._pages, strict=True)]
        self._cache = PageCache(reader, name, self.columns, self._labels, used)

    def _label(self, column: RColumn) -> str:
        if column.role == OTHER:
            return self._label(self.columns[column.target])
        return column.name or self.rtables[column.target].name

    def _used(self, entries: tuple[int, int], columns: Sequence[ColumnPages]) -> list[UsedPages]:
        """Of each column the pages that a cluster has, in whatever representation."""
        used = [
            UsedPages(found.pages, number, column.codec)
            for number, (column, found) in enumerate(zip(self.columns, columns, strict=True))
        ]
        for number, column in enumerate(self.columns):
            if column.role == OTHER and used[number].pages:
                if used[column.target].pages:
                    msg = f"column {self._labels[number]!r} has two representations in one cluster"
                    raise ValueError(msg)
                used[column.target] = used[number]
                used[number] = replace(used[number], pages=[])
        for number, column in enumerate(self.columns):
            if column.late:
                first, size = (n * column.per_row for n in entries)
                late = min(max(column.late - first, 0), size)
                if late + sum(page.elements for page in used[number].pages) != size:
                    msg = f"column {self._labels[number]!r} came at element {column.late}, it says"
                    raise ValueError(msg)
                used[number] = replace(used[number], late=late)
        return used

    def _depths_of_tables(self) -> list[int]:
        """How many tables are above each."""
        depths: list[int] = []
        for table in self.rtables:  # each behind the one above it
            depths.append(depths[table.parent] + 1 if table.parent >= 0 else 0)
        return depths

    @property
    def raw_ends(self) -> dict[tuple[int, int, int], bytes]:
        """Ends of pages that do not follow from their elements, by (cluster, column, page)."""
        return self._cache.raw_ends

    def _envelope(self, offset: int, size: int, length: int, kind: int) -> bytes:
        try:
            data = decompress(self._reader.read(offset, size), length)
            check_envelope(data, kind)
        except (BlockError, ValueError) as error:
            raise SourceError(
                str(error), path=self._reader.path, tree=self.name, offset=offset
            ) from error
        return data

    def _check_clusters(self) -> None:
        expected = 0
        for (first, entries), columns in zip(self.clusters, self._pages, strict=True):
            if first != expected or len(columns) > len(self.columns):
                msg = f"cluster at entry {first} with {len(columns)} columns"
                raise ValueError(msg)
            expected = first + entries
            for pages in columns:
                for page in pages.pages:
                    self._check_page(page)
        self.num_entries = expected

    def _check_page(self, page: Page) -> None:
        size = page.size + (PAGE_CHECKSUM if page.has_checksum else 0)
        if page.offset + size > self._reader.size:
            msg = f"a page should end at byte {page.offset + size}"
            hint = f"the file has {self._reader.size} bytes: truncated or damaged"
            raise SourceError(
                msg, path=self._reader.path, tree=self.name, offset=page.offset, hint=hint
            )

    def places(self) -> Iterator[tuple[int, int]]:
        """Offset and size of all envelopes and pages, pages with their checksums."""
        yield from self._envelopes
        yield from ((group.offset, group.size) for group in walk_footer(self.footer))
        for _, column in self.each_column():
            for page in column.pages:
                yield page.offset, page.size + (PAGE_CHECKSUM if page.has_checksum else 0)

    def each_column(self) -> Iterator[tuple[RColumn, ColumnPages]]:
        """Physical columns and their pages, cluster by cluster."""
        for cluster in self._pages:
            yield from zip(self.columns, cluster, strict=True)

    def cluster_ranges(self, target_bytes: int) -> list[tuple[int, int]]:
        """Entry ranges (start, stop) that cover the RNTuple, each near ``target_bytes`` raw."""
        total = 0
        rows = dict.fromkeys(self.columns, 0)
        for column, pages in self.each_column():
            elements = sum(page.elements for page in pages.pages)
            total += column.codec.size(elements)
            # A character of a string is no row.
            rows[column] += (
                elements // max(column.per_row, 1) if column.role in (DATA, INDEX) else 0
            )
        bounds = [first for first, _ in self.clusters if first]
        return near_target(
            bounds, self.num_entries, (total, max(rows.values(), default=0)), target_bytes
        )

    def read(self, start: int, stop: int, columns: Sequence[str] | None = None) -> Cluster:
        """Data of entries ``start`` to ``stop``; all columns, or only those named.

        Raises
        ------
        NotFoundError
            A column does not exist.
        SourceError
            The file is damaged.
        """
        if not 0 <= start <= stop <= self.num_entries:
            msg = f"entries {start} to {stop} of an RNTuple with {self.num_entries}"
            raise ValueError(msg)
        names = {spec.name for table in self.tables for spec in table.columns}
        wanted = names if columns is None else set(columns)
        for name in sorted(wanted - names):
            msg = f"no column {name!r}"
            raise NotFoundError(msg, path=self._reader.path, tree=self.name)
        everything = columns is None
        needed = self._needed(wanted, everything=everything)
        parts = []
        for number, (first, entries) in enumerate(self.clusters):
            low, high = max(start, first), min(stop, first + entries)
            if low < high:
                offsets, spans = self._fetch(number, low - first, high - first, needed)
                parts.append(self._part(number, offsets, wanted, everything))
                self._cache.keep(number, spans)
        return self._joined(parts, wanted, everything)

    def _needed(self, wanted: set[str], *, everything: bool) -> list[int]:
        """Physical columns behind the named ones, with the offsets above them."""
        if everything:
            return [n for n, column in enumerate(self.columns) if column.role != OTHER]
        out: set[int] = set()
        for number, column in enumerate(self.columns):
            hit = column.name in wanted and column.role != OTHER
            if column.role == INDEX:
                hit = self.rtables[column.target].counts in wanted
            if hit:
                out.add(number)
                table = column.table
                while table > 0:
                    out.add(self.rtables[table].index)
                    table = self.rtables[table].parent
        return sorted(out)

    def _fetch(
        self, cluster: int, low: int, high: int, needed: Sequence[int]
    ) -> tuple[dict[int, Array], list[Span]]:
        """Fetch what entries ``low`` to ``high`` of a cluster need.

        Returns
        -------
        dict of int to int64 array, shape (high - low + 1,)
            By table: the first row of each entry, counted in the cluster.
        list of (column, first element, element behind)
            What was fetched.
        """
        if self._cache.bytes_of(cluster, needed) <= _WHOLE:
            self._cache.fetch(cluster, self._cache.spans(cluster, needed))
        offsets = {0: np.arange(low, high + 1, dtype=np.int64)}
        spans: list[Span] = []
        for depth in range(max(self._depths) + 1):
            here = [n for n in needed if self._depths[self.columns[n].table] == depth]
            rows = {n: offsets[self.columns[n].table] for n in here}
            found = [self._span(n, rows[n]) for n in here if self.columns[n].role != CHARS]
            self._cache.fetch(cluster, found)
            texts = [n for n in here if self.columns[n].role == LENGTHS]
            ends = {n: self._ends(cluster, n, rows[n]) for n in texts}
            content = [(n + 1, int(ends[n][0]), int(ends[n][-1])) for n in texts]
            self._cache.fetch(cluster, content)
            spans += found + content
            for n in here:
                if self.columns[n].role == INDEX:
                    first = int(rows[n][0])
                    offsets[self.columns[n].target] = self._ends(cluster, n, rows[n])[
                        rows[n] - first
                    ]
        return offsets, spans

    def _span(self, number: int, rows: Array) -> Span:
        """Elements of a column behind the rows of some entries."""
        column = self.columns[number]
        first, stop = int(rows[0]), int(rows[-1])
        if column.role == DATA:
            return number, first * column.per_row, stop * column.per_row
        # A row begins where the one before ends.
        return number, max(0, first - 1), stop

    def _ends(self, cluster: int, number: int, rows: Array) -> Array:
        """Where the first row begins, and where each row ends, by an index column.

        Parameters
        ----------
        rows : int64 array
            First row of each of some entries.
        """
        ends = self._cache.elements(cluster, self._span(number, rows)).astype(np.int64)
        if int(rows[0]) == 0:
            ends = np.concatenate((np.zeros(1, np.int64), ends))
        if (np.diff(ends) < 0).any():
            msg = "offsets of a collection go back"
            raise SourceError(
                msg, path=self._reader.path, tree=self.name, branch=self._labels[number]
            )
        return ends

    def _part(
        self, cluster: int, offsets: Mapping[int, Array], wanted: set[str], everything: bool
    ) -> Cluster:
        """Entries of one cluster, by the rows of its tables."""
        out: Cluster = {}
        for number, table in enumerate(self.rtables):
            if not everything and not any(spec.name in wanted for spec in table.columns):
                continue
            rows = offsets[number]
            data = TableData(rows - rows[0])
            for position, column in enumerate(self.columns):
                name = column.name
                if column.role == INDEX and column.table == number:
                    name = self.rtables[column.target].counts
                    if name and name in wanted:
                        counts = np.diff(self._ends(cluster, position, rows))
                        data.columns[name] = counts.astype("<u8")
                elif column.table != number or name not in wanted:
                    continue
                elif column.role == DATA:
                    shape = next(s.inner for s in table.columns if s.name == name)
                    items = self._cache.elements(cluster, self._span(position, rows))
                    data.columns[name] = items.reshape(int(rows[-1] - rows[0]), *shape)
                elif column.role == LENGTHS:
                    ends = self._ends(cluster, position, rows)
                    content = (position + 1, int(ends[0]), int(ends[-1]))
                    data.columns[name] = VarBytes(
                        ends - ends[0], self._cache.elements(cluster, content)
                    )
            out[table.name] = data
        return out

    def _joined(self, parts: list[Cluster], wanted: set[str], everything: bool) -> Cluster:
        if len(parts) == 1:
            return parts[0]
        out: Cluster = {}
        for table in self.tables:
            if not everything and not any(spec.name in wanted for spec in table.columns):
                continue
            pieces = [part[table.name] for part in parts]
            data = TableData(_chain([piece.offsets for piece in pieces]))
            for spec in table.columns:
                if spec.name not in wanted:
                    continue
                arrays = [piece.columns[spec.name] for piece in pieces]
                data.columns[spec.name] = _concatenate(arrays, spec.dtype, spec.inner)
            out[table.name] = data
        return out

    def complete_log(self) -> None:
        """Decode, and so check, every page that no :meth:`read` has touched yet."""
        self._cache.complete()

    def settle(self) -> tuple[str, ...]:
        """Nothing to settle: an RNTuple's columns are what its header says."""
        return ()


def _chain(offsets: list[Array]) -> Array:
    out = [np.zeros(1, np.int64)]
    for part in offsets:
        out.append(part[1:] + out[-1][-1])
    return np.concatenate(out)


def _concatenate(
    arrays: list[Array | VarBytes], dtype: str, inner: tuple[int, ...]
) -> Array | VarBytes:
    if dtype == "bytes":
        strings = [array for array in arrays if isinstance(array, VarBytes)]
        content = [string.content for string in strings] or [np.empty(0, np.uint8)]
        return VarBytes(_chain([s.offsets for s in strings]), np.concatenate(content))
    plain = [array for array in arrays if not isinstance(array, VarBytes)]
    return np.concatenate(plain) if plain else np.empty((0, *inner), dtype)
