"""A cache of column elements of an RNTuple, by range; pages are fetched together.

A cluster may be larger than what is worked on at once, so it is pages that are read, not clusters.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import xxhash

from vortex_hep.core.schema import Array
from vortex_hep.errors import SourceError
from vortex_hep.readers.root.file.bytesource import ByteReader
from vortex_hep.readers.root.file.compression import BlockError, decompress
from vortex_hep.readers.root.rntuple.envelopes import Page
from vortex_hep.readers.root.rntuple.pages import PageCodec
from vortex_hep.readers.root.rntuple.schema import INDEX, LENGTHS, RColumn

#: Bytes of XXH3-64 behind a page.
PAGE_CHECKSUM = 8
#: Uncompressed bytes of pages that are fetched at once where nothing tells how many are needed.
_BATCH = 1 << 25

#: A column, and its elements from one to before another.
Span = tuple[int, int, int]


@dataclass(frozen=True)
class UsedPages:
    """Pages of a column in a cluster, in the representation that the cluster has.

    Parameters
    ----------
    pages : list of Page
    physical : int
        The physical column that these are of.
    codec : PageCodec
    late : int
        Zeros in front, which no page holds.
    """

    pages: list[Page]
    physical: int
    codec: PageCodec
    late: int = 0


class PageCache:
    """The pages of an RNTuple.

    Parameters
    ----------
    reader : ByteReader
    tree : str
        Named in errors.
    columns : list of RColumn
    labels : list of str
        What errors call them.
    clusters : list of list of UsedPages
        Pages of each column in each cluster.

    Attributes
    ----------
    raw_ends : dict of (cluster, column, page) to bytes
        Ends of pages that do not follow from their elements (unused bits, mostly).
    """

    def __init__(
        self,
        reader: ByteReader,
        tree: str,
        columns: Sequence[RColumn],
        labels: Sequence[str],
        clusters: Sequence[Sequence[UsedPages]],
    ) -> None:
        self._reader, self._tree = reader, tree
        self._columns, self._labels, self._clusters = columns, labels, clusters
        self._pages: dict[tuple[int, int], dict[int, Array]] = {}
        self._first: dict[tuple[int, int], list[int]] = {}
        #: One bit for each page that was decoded.
        self._seen: dict[tuple[int, int], int] = {}
        self.raw_ends: dict[tuple[int, int, int], bytes] = {}

    def bytes_of(self, cluster: int, columns: Sequence[int]) -> int:
        """Uncompressed bytes of some columns of a cluster."""
        return sum(
            self._clusters[cluster][column].codec.size(page.elements)
            for column in columns
            for page in self._clusters[cluster][column].pages
        )

    def spans(self, cluster: int, columns: Sequence[int]) -> list[Span]:
        """All elements of some columns of a cluster."""
        return [(column, 0, self._starts(cluster, column)[-1]) for column in columns]

    def _starts(self, cluster: int, column: int) -> list[int]:
        """First element of each page, and the number of elements, with those in no page."""
        found = self._first.get((cluster, column))
        if found is None:
            found = [self._clusters[cluster][column].late]
            for page in self._clusters[cluster][column].pages:
                found.append(found[-1] + page.elements)
            self._first[cluster, column] = found
        return found

    def _overlapping(self, cluster: int, span: Span) -> range:
        column, low, high = span
        starts = self._starts(cluster, column)
        if low >= high:
            return range(0)
        if high > starts[-1]:
            raise SourceError(
                f"needs {high} elements of a cluster that has {starts[-1]}",
                path=self._reader.path, tree=self._tree, branch=self._labels[column],
            )  # fmt: skip
        if high <= starts[0]:
            return range(0)
        first = max(0, bisect_right(starts, low) - 1)
        stop = first + 1
        while starts[stop] < high:
            stop += 1
        return range(first, stop)

    def fetch(self, cluster: int, spans: Sequence[Span]) -> None:
        """Read all pages of some elements that are not at hand, together.

        Raises
        ------
        SourceError
            The file is damaged.
        """
        missing = [
            (column, number)
            for column, low, high in spans
            for number in self._overlapping(cluster, (column, low, high))
            if number not in self._pages.get((cluster, column), ())
        ]
        for (column, number), items in zip(missing, self._read(cluster, missing), strict=True):
            self._pages.setdefault((cluster, column), {})[number] = items

    def _read(self, cluster: int, wanted: Sequence[tuple[int, int]]) -> Iterator[Array]:
        pages = [self._clusters[cluster][column].pages[number] for column, number in wanted]
        raw = self._reader.read_many(
            [(p.offset, p.size + (PAGE_CHECKSUM if p.has_checksum else 0)) for p in pages]
        )
        for (column, number), page, data in zip(wanted, pages, raw, strict=True):
            yield self._decode(cluster, column, number, page, data)

    def _decode(self, cluster: int, column: int, number: int, page: Page, raw: memoryview) -> Array:
        used = self._clusters[cluster][column]
        codec = used.codec
        path, branch = self._reader.path, self._labels[column]
        data = raw[: page.size]
        if page.has_checksum:
            stored = int.from_bytes(raw[page.size :], "little")
            if stored != xxhash.xxh3_64_intdigest(data):
                msg = "checksum of a page is wrong"
                raise SourceError(
                    msg, path=path, tree=self._tree, branch=branch, offset=page.offset
                )
        try:
            plain = decompress(data, codec.size(page.elements))
        except BlockError as error:
            raise SourceError(
                str(error), path=path, tree=self._tree, branch=branch, offset=page.offset
            ) from error
        items = codec.decode(plain, page.elements)
        rebuilt = codec.encode(items)
        if rebuilt != plain:
            unequal = np.frombuffer(rebuilt, np.uint8) != np.frombuffer(plain, np.uint8)
            self.raw_ends[cluster, used.physical, number] = plain[int(np.argmax(unequal)) :]
        self._seen[cluster, column] = self._seen.get((cluster, column), 0) | 1 << number
        return items

    def elements(self, cluster: int, span: Span) -> Array:
        """Some elements of a column, whose pages were fetched."""
        column, low, high = span
        starts = self._starts(cluster, column)
        dtype = self._columns[column].codec.dtype
        parts = []
        if low < starts[0]:
            parts.append(np.zeros(min(high, starts[0]) - low, dtype))
        for number in self._overlapping(cluster, span):
            at = starts[number]
            parts.append(self._pages[cluster, column][number][max(0, low - at) : high - at])
        if len(parts) == 1:
            return parts[0]
        return np.concatenate(parts) if parts else np.empty(0, dtype)

    def keep(self, cluster: int, spans: Sequence[Span]) -> None:
        """Forget all pages but those from the ends of some elements of a cluster on."""
        kept = {}
        for column, _, high in spans:
            # Numbers of rows follow from where the row before ends.
            last = high - 1 if self._columns[column].role in (INDEX, LENGTHS) else high
            starts = self._starts(cluster, column)
            pages = self._pages.get((cluster, column), {})
            kept[cluster, column] = {n: p for n, p in pages.items() if starts[n + 1] > last}
        self._pages = kept
        self._first = {key: starts for key, starts in self._first.items() if key[0] == cluster}

    def complete(self) -> None:
        """Decode, and so check, every page that was not decoded yet; keeps none of them."""
        for cluster, columns in enumerate(self._clusters):
            batch: list[tuple[int, int]] = []
            size = 0
            for column, pages in enumerate(columns):
                seen = self._seen.get((cluster, column), 0)
                for number, page in enumerate(pages.pages):
                    if seen >> number & 1:
                        continue
                    batch.append((column, number))
                    size += pages.codec.size(page.elements)
                    if size >= _BATCH:
                        self._check(cluster, batch)
                        batch, size = [], 0
            self._check(cluster, batch)

    def _check(self, cluster: int, pages: Sequence[tuple[int, int]]) -> None:
        for _ in self._read(cluster, pages):
            pass
