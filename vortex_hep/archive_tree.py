"""One tree of an archive, read as one reads a TTree with uproot."""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from vortex_hep import arrays as build
from vortex_hep.codec.treecoder import TreeDecoder
from vortex_hep.errors import CorruptionError, NotFoundError, UnsupportedTypeError, VortexError
from vortex_hep.metadata import unpack_tables
from vortex_hep.model import CHUNK_TABLE
from vortex_hep.schema import Cluster, ColumnSpec, TableData

if TYPE_CHECKING:
    from vortex_hep.archive import Archive

Filter = str | Sequence[str] | Callable[[str], bool] | None


class ArchiveTree:
    """One tree of an archive.

    Attributes
    ----------
    name : str
    num_entries : int
    tables : tuple of TableSpec
    """

    def __init__(self, archive: Archive, document: Mapping[str, Any]) -> None:
        self._archive = archive
        self._document = document
        try:
            self.name = str(document["name"])
            self.num_entries = int(document["entries"])
            self.tables, self.plans = unpack_tables(document)
            self.clusters = [
                (int(start), int(stop), [int(i) for i in ids])
                for start, stop, ids in document["clusters"]
            ]
        except (KeyError, TypeError, ValueError) as error:
            if isinstance(error, VortexError):
                raise
            raise CorruptionError("a tree's metadata make no sense", path=archive.path) from error
        at = 0
        for start, stop, ids in self.clusters:
            if start != at or stop <= start or len(ids) != len(self.plans):
                raise CorruptionError("clusters leave gaps or overlap", path=archive.path)
            at = stop
        if at != self.num_entries:
            raise CorruptionError("clusters do not cover the tree", path=archive.path)
        self._specs = {c.name: c for t in self.tables for c in t.columns}
        self._plan_of = {n: p.name for p in self.plans for n in p.columns}
        self._table_of = {c.name: t for t in self.tables for c in t.columns}
        self._decoder: TreeDecoder | None = None
        self._recent: dict[tuple[int, str], TableData] = {}

    def __repr__(self) -> str:
        return f"<ArchiveTree {self.name!r} ({self.num_entries} entries, {len(self._specs)} branches)>"

    def keys(self, *, filter_name: Filter = None) -> list[str]:
        """Names of the branches, in the order of the source."""
        return [n for n in self._specs if _matches(n, filter_name)]

    def __contains__(self, name: object) -> bool:
        return name in self._specs

    def __len__(self) -> int:
        return len(self._specs)

    def __getitem__(self, name: str) -> ArchiveBranch:
        return ArchiveBranch(self, self._spec(name))

    def typenames(self, *, filter_name: Filter = None) -> dict[str, str]:
        """Types of the branches, as uproot names them."""
        return {n: self._specs[n].typename for n in self.keys(filter_name=filter_name)}

    def _spec(self, name: str) -> ColumnSpec:
        if name not in self._specs:
            near = build.near_misses(name, list(self._specs))
            raise NotFoundError(
                "no such branch", path=self._archive.path, tree=self.name, branch=name,
                hint=f"did you mean {near}?" if near else None,
            )  # fmt: skip
        return self._specs[name]

    def cost(self, *, filter_name: Filter = None) -> dict[str, int]:
        """What reading these branches costs: stored bytes to fetch, by table that is decoded."""
        names = self.keys(filter_name=filter_name)
        needed = self._needed(names)
        place = {p.name: k for k, p in enumerate(self.plans)}
        sizes = self._archive.reader.chunks["stored_size"]
        return {
            name: sum(int(sizes[ids[place[name]]]) for _, _, ids in self.clusters)
            for name in needed
        }

    def arrays(
        self,
        expressions: str | Sequence[str] | None = None,
        *,
        filter_name: Filter = None,
        entry_start: int | None = None,
        entry_stop: int | None = None,
        library: str = "ak",
    ) -> Any:
        """Read branches.

        Parameters
        ----------
        expressions : str or sequence of str, optional
            Branch names; unlike ``filter_name``, one that does not exist is an error.
        filter_name : str, sequence of str or callable, optional
            Glob patterns, or a function of the name.
        entry_start, entry_stop : int, optional
            Range of entries; negative numbers count from the end.
        library : {"ak", "np"}
            A record array of Awkward Array, or a dict of NumPy arrays (of objects, where
            the branch is jagged).

        Returns
        -------
        ak.Array or dict of str to numpy.ndarray

        Raises
        ------
        NotFoundError
            A branch does not exist.
        CorruptionError
            The archive is damaged where it was read.
        """
        if library not in ("ak", "np"):
            raise NotFoundError(f"library {library!r} is neither 'ak' nor 'np'")
        names = self._names(expressions, filter_name)
        start, stop = self._range(entry_start, entry_stop)
        columns = self.read(start, stop, names)
        return build.assemble(
            {n: (self._specs[n], self._table_of[n], columns) for n in names}, stop - start, library
        )

    def iterate(
        self,
        expressions: str | Sequence[str] | None = None,
        *,
        filter_name: Filter = None,
        step_size: int | None = None,
        entry_start: int | None = None,
        entry_stop: int | None = None,
        library: str = "ak",
    ) -> Iterator[Any]:
        """Read branches piece by piece; see :meth:`arrays`.

        Parameters
        ----------
        step_size : int, optional
            Entries per piece; by default the archive's clusters, which is the fastest.
        """
        names = self._names(expressions, filter_name)
        start, stop = self._range(entry_start, entry_stop)
        if step_size is None:
            ranges = [(max(a, start), min(b, stop)) for a, b, _ in self.clusters]
        else:
            if step_size < 1:
                raise NotFoundError(f"step_size {step_size} is not positive")
            ranges = [(a, min(a + step_size, stop)) for a in range(start, stop, step_size)]
        for a, b in ranges:
            if a < b:
                yield self.arrays(names, entry_start=a, entry_stop=b, library=library)

    def _names(self, expressions: str | Sequence[str] | None, filter_name: Filter) -> list[str]:
        if expressions is None:
            return self.keys(filter_name=filter_name)
        names = [expressions] if isinstance(expressions, str) else list(expressions)
        for name in names:
            self._spec(name)
        return [n for n in names if _matches(n, filter_name)]

    def _range(self, start: int | None, stop: int | None) -> tuple[int, int]:
        a, b, _ = slice(start, stop).indices(self.num_entries)
        return a, max(a, b)

    def _needed(self, names: Sequence[str]) -> list[str]:
        wanted = list(dict.fromkeys(self._plan_of[n] for n in names))
        return self._decoder_now().needed(wanted) if wanted else []

    def _decoder_now(self) -> TreeDecoder:
        if self._decoder is None:
            a = self._archive
            self._decoder = TreeDecoder(
                self.plans, self.tables, a.model_for(self.name), a.outer, a.inner
            )
        return self._decoder

    def cluster_ranges(self, target_bytes: int) -> list[tuple[int, int]]:
        """Entry ranges of the archive's clusters; ``target_bytes`` is of no effect."""
        del target_bytes
        return [(start, stop) for start, stop, _ in self.clusters]

    def read(self, start: int, stop: int, columns: Sequence[str] | None = None) -> Cluster:
        """Data of entries ``start`` to ``stop`` as tables; see :class:`TreeSource`."""
        names = list(self._specs) if columns is None else list(columns)
        by_table: dict[str, list[str]] = {}
        for n in names:
            self._spec(n)
            by_table.setdefault(self._table_of[n].name, []).append(n)
        parts: dict[str, list[TableData]] = {t: [] for t in by_table}
        needed = self._needed(names)
        for number, (a, b, _) in enumerate(self.clusters):
            low, high = max(a, start), min(b, stop)
            if low >= high:
                continue
            decoded = self._cluster(number, needed)
            for table, wanted in by_table.items():
                parts[table].append(build.cut(decoded, self._plan_of, wanted, low - a, high - a))
        out: Cluster = {}
        for table, wanted in by_table.items():
            if parts[table]:
                out[table] = join_tables_whole(parts[table])
            else:
                out[table] = build.empty_table([self._specs[n] for n in wanted])
        return out

    def _cluster(self, number: int, needed: Sequence[str]) -> dict[str, TableData]:
        """Decode plans of a cluster, keeping those of the last one for the next call."""
        self._recent = {k: v for k, v in self._recent.items() if k[0] == number}
        missing = [n for n in needed if (number, n) not in self._recent]
        if missing:
            start, stop, ids = self.clusters[number]
            to_read = [n for n in needed if n in missing or n == ""]
            place = {p.name: k for k, p in enumerate(self.plans)}
            chunk_ids = [ids[place[n]] for n in to_read]
            reader = self._archive.reader
            rows = {}
            for name, i in zip(to_read, chunk_ids, strict=True):
                if not 0 <= i < len(reader.chunks) or reader.chunks[i]["kind"] != CHUNK_TABLE:
                    raise CorruptionError("a cluster names a chunk of another kind", path=reader.path)
                rows[name] = reader.chunks[i]
            payloads = dict(zip(to_read, reader.read_many(chunk_ids), strict=True))
            try:
                decoded = self._decoder_now().decode(payloads, rows, stop - start)
            except VortexError as error:
                error.path, error.tree = self._archive.path, self.name
                raise
            for name, data in decoded.items():
                self._recent[number, name] = data
        return {n: self._recent[number, n] for n in needed}


class ArchiveBranch:
    """One branch of an archive's tree."""

    def __init__(self, tree: ArchiveTree, spec: ColumnSpec) -> None:
        self._tree = tree
        self.name = spec.name
        self.typename = spec.typename
        self.title = spec.title

    def array(
        self, *, entry_start: int | None = None, entry_stop: int | None = None, library: str = "ak"
    ) -> Any:
        """Read the branch; see :meth:`ArchiveTree.arrays`."""
        out = self._tree.arrays(
            [self.name], entry_start=entry_start, entry_stop=entry_stop, library=library
        )
        return out[self.name]


def _matches(name: str, filter_name: Filter) -> bool:
    if filter_name is None:
        return True
    if callable(filter_name):
        return bool(filter_name(name))
    patterns = [filter_name] if isinstance(filter_name, str) else filter_name
    return any(fnmatch.fnmatchcase(name, p) for p in patterns)
