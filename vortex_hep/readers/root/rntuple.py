"""An RNTuple as tables of columns, read cluster by cluster."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import xxhash

from vortex_hep.errors import NotFoundError, SourceError
from vortex_hep.readers.root.bytesource import ByteReader
from vortex_hep.readers.root.clusters import near_target
from vortex_hep.readers.root.compression import BlockError, decompress
from vortex_hep.readers.root.rnt_meta import (
    Anchor,
    ColumnPages,
    Page,
    check_envelope,
    walk_footer,
    walk_page_list,
)
from vortex_hep.readers.root.rnt_schema import DATA, LENGTHS, FieldWalker, RColumn
from vortex_hep.schema import Array, Cluster, Member, TableData, TableSpec, VarBytes

#: Kinds of envelopes (specification, "Envelopes").
HEADER, FOOTER, PAGE_LIST = 1, 2, 3
_PAGE_CHECKSUM = 8


class RNTupleSource:
    """One RNTuple of an opened file (a :class:`~vortex_hep.schema.TreeSource`).

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
        A layout that is not known.
    """

    def __init__(self, name: str, ntuple: Any, reader: ByteReader, payload: bytes) -> None:
        self.name = self.family = name
        self.members: tuple[Member, ...] = ()
        self._reader = reader
        anchor = Anchor.unpack(payload)
        self.header = self._envelope(*anchor.header, HEADER)
        self.footer = self._envelope(*anchor.footer, FOOTER)
        self.page_lists = [
            self._envelope(group.offset, group.size, group.length, PAGE_LIST)
            for group in walk_footer(self.footer)
        ]
        walker = FieldWalker(
            ntuple.field_records, ntuple.column_records, ntuple.alias_column_records
        )
        walker.walk()
        self.rtables = walker.tables
        self.columns: list[RColumn] = [walker.columns[i] for i in range(len(walker.columns))]
        self.tables: tuple[TableSpec, ...] = walker.specs()
        lists = [walk_page_list(data) for data in self.page_lists]
        self._pages: list[list[ColumnPages]] = [c for pages in lists for c in pages.clusters]
        self.clusters: list[tuple[int, int]] = [e for pages in lists for e in pages.entries]
        self._check_clusters()
        self._cache: dict[tuple[int, int], Array] = {}
        #: Ends of pages that do not follow from their elements (unused bits, mostly), by (cluster,
        #: column, page).
        self.raw_ends: dict[tuple[int, int, int], bytes] = {}
        self._seen: set[tuple[int, int]] = set()

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
            if first != expected or len(columns) != len(self.columns):
                msg = f"cluster at entry {first} with {len(columns)} columns"
                raise ValueError(msg)
            expected = first + entries
            for pages in columns:
                for page in pages.pages:
                    self._check_page(page)
        self.num_entries = expected

    def _check_page(self, page: Page) -> None:
        size = page.size + (_PAGE_CHECKSUM if page.has_checksum else 0)
        if page.offset + size > self._reader.size:
            msg = f"a page should end at byte {page.offset + size}"
            hint = f"the file has {self._reader.size} bytes: truncated or damaged"
            raise SourceError(
                msg, path=self._reader.path, tree=self.name, offset=page.offset, hint=hint
            )

    def each_column(self) -> Iterator[tuple[RColumn, ColumnPages]]:
        """Physical columns and their pages, cluster by cluster."""
        for cluster in self._pages:
            yield from zip(self.columns, cluster, strict=True)

    def cluster_ranges(self, target_bytes: int) -> list[tuple[int, int]]:
        """Entry ranges (start, stop) that cover the RNTuple, each near ``target_bytes`` raw."""
        total = sum(
            column.codec.size(page.elements)
            for cluster in self._pages
            for column, pages in zip(self.columns, cluster, strict=True)
            for page in pages.pages
        )
        bounds = [first for first, _ in self.clusters if first]
        return near_target(bounds, self.num_entries, total, target_bytes)

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
        parts = []
        for number, (first, entries) in enumerate(self.clusters):
            low, high = max(start, first), min(stop, first + entries)
            if low < high:
                self._load(number, self._needed(wanted, everything=everything))
                parts.append(self._part(number, low - first, high - first, wanted, everything))
        keep = {number for number, (first, n) in enumerate(self.clusters) if first + n > stop}
        self._cache = {key: data for key, data in self._cache.items() if key[0] in keep}
        return self._joined(parts, wanted, everything)

    def _needed(self, wanted: set[str], *, everything: bool) -> list[int]:
        """Physical columns behind the named ones, with the offsets above them."""
        if everything:
            return list(range(len(self.columns)))
        out: set[int] = set()
        for number, column in enumerate(self.columns):
            hit = column.name in wanted
            if column.target >= 0:
                hit = self.rtables[column.target].counts in wanted
            if hit:
                out.add(number)
                table = column.table
                while table > 0:
                    out.add(self.rtables[table].index)
                    table = self.rtables[table].parent
        return sorted(out)

    def _load(self, cluster: int, columns: Sequence[int]) -> None:
        missing = [column for column in columns if (cluster, column) not in self._cache]
        pages = [
            (column, page) for column in missing for page in self._pages[cluster][column].pages
        ]
        extra = [_PAGE_CHECKSUM if page.has_checksum else 0 for _, page in pages]
        raw = self._reader.read_many(
            [(page.offset, page.size + more) for (_, page), more in zip(pages, extra, strict=True)]
        )
        decoded: dict[int, list[Array]] = {column: [] for column in missing}
        for (column, page), data in zip(pages, raw, strict=True):
            number = len(decoded[column])
            decoded[column].append(self._decode(cluster, column, number, page, data))
        for column in missing:
            parts = decoded[column]
            dtype = self.columns[column].codec.dtype
            whole = (
                np.concatenate(parts)
                if len(parts) != 1 and parts
                else (parts[0] if parts else np.empty(0, dtype))
            )
            self._cache[cluster, column] = whole
            self._seen.add((cluster, column))

    def _decode(self, cluster: int, column: int, number: int, page: Page, raw: memoryview) -> Array:
        codec = self.columns[column].codec
        where: dict[str, Any] = {
            "path": self._reader.path,
            "tree": self.name,
            "branch": self._label(column),
        }
        data = raw[: page.size]
        if page.has_checksum:
            stored = int.from_bytes(raw[page.size :], "little")
            if stored != xxhash.xxh3_64_intdigest(data):
                msg = "checksum of a page is wrong"
                raise SourceError(msg, offset=page.offset, **where)
        try:
            plain = decompress(data, codec.size(page.elements))
        except BlockError as error:
            raise SourceError(str(error), offset=page.offset, **where) from error
        items = codec.decode(plain, page.elements)
        rebuilt = codec.encode(items)
        if rebuilt != plain:
            unequal = np.frombuffer(rebuilt, np.uint8) != np.frombuffer(plain, np.uint8)
            self.raw_ends[cluster, column, number] = plain[int(np.argmax(unequal)) :]
        return items

    def _label(self, column: int) -> str:
        item = self.columns[column]
        return item.name or self.rtables[item.target].name

    def _ends(self, cluster: int, column: int) -> Array:
        """Offsets that an index column holds, with the 0 in front, checked to be rising."""
        ends = self._cache[cluster, column].astype(np.int64)
        offsets = np.concatenate((np.zeros(1, np.int64), ends))
        if (np.diff(offsets) < 0).any():
            msg = "offsets of a collection go back"
            raise SourceError(
                msg, path=self._reader.path, tree=self.name, branch=self._label(column)
            )
        return offsets

    def _row_offsets(self, cluster: int, table: int) -> Array:
        """First row of each entry of a cluster."""
        if table == 0:
            return np.arange(self.clusters[cluster][1] + 1, dtype=np.int64)
        above = self._row_offsets(cluster, self.rtables[table].parent)
        return self._ends(cluster, self.rtables[table].index)[above]

    def _part(
        self, cluster: int, low: int, high: int, wanted: set[str], everything: bool
    ) -> Cluster:
        """Entries ``low`` to ``high`` of one cluster."""
        out: Cluster = {}
        for number, table in enumerate(self.rtables):
            if not everything and not any(spec.name in wanted for spec in table.columns):
                continue
            offsets = self._row_offsets(cluster, number)[low : high + 1]
            data = TableData(offsets - offsets[0])
            rows = slice(int(offsets[0]), int(offsets[-1]))
            for position, column in enumerate(self.columns):
                name = column.name
                if column.target >= 0 and column.table == number:
                    name = self.rtables[column.target].counts
                    if name and name in wanted:
                        counts = np.diff(self._ends(cluster, position))[rows]
                        data.columns[name] = counts.astype("<u8")
                elif column.table != number or name not in wanted:
                    continue
                elif column.role == DATA:
                    shape = next(s.inner for s in table.columns if s.name == name)
                    items = self._cache[cluster, position].reshape(-1, *shape)
                    data.columns[name] = items[rows]
                elif column.role == LENGTHS:
                    ends = self._ends(cluster, position)[rows.start : rows.stop + 1]
                    content = self._cache[cluster, position + 1]
                    data.columns[name] = VarBytes(
                        ends - ends[0], content[int(ends[0]) : int(ends[-1])]
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
        for cluster in range(len(self.clusters)):
            missing = [i for i in range(len(self.columns)) if (cluster, i) not in self._seen]
            if missing:
                cache = dict(self._cache)
                self._load(cluster, missing)
                self._cache = cache

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
