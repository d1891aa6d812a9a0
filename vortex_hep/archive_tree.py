"""One tree of an archive, read as one reads a TTree with uproot."""

from __future__ import annotations

import fnmatch
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from vortex_hep import arrays as build
from vortex_hep.codec.treecoder import TreeDecoder
from vortex_hep.errors import CorruptionError, NotFoundError, UnsupportedTypeError, VortexError
from vortex_hep.metadata import unpack_clusters, unpack_names, unpack_tables
from vortex_hep.model import CHUNK_TABLE
from vortex_hep.schema import Cluster, ColumnSpec, Member, TableData, TableSpec

if TYPE_CHECKING:
    from vortex_hep.archive import Archive

Filter = str | Sequence[str] | Callable[[str], bool] | None


class TreeView(ABC):
    """What users see of a tree: its branches, read as one reads a TTree with uproot.

    Attributes
    ----------
    name : str
    path : str
        Of the archive.
    num_entries : int
    tables : tuple of TableSpec
        Columns that share their rows.
    """

    def __init__(
        self, name: str, path: str, num_entries: int, tables: tuple[TableSpec, ...]
    ) -> None:
        self.name = name
        self.path = path
        self.num_entries = num_entries
        self.tables = tables
        self._specs = {c.name: c for t in tables for c in t.columns}
        self._table_of = {c.name: t for t in tables for c in t.columns}

    def __repr__(self) -> str:
        return f"<Tree {self.name!r} ({self.num_entries} entries, {len(self._specs)} branches)>"

    @abstractmethod
    def cluster_ranges(self, target_bytes: int) -> list[tuple[int, int]]:
        """Entry ranges of the archive's clusters; ``target_bytes`` is of no effect."""

    @abstractmethod
    def read(self, start: int, stop: int, columns: Sequence[str] | None = None) -> Cluster:
        """Read entries ``start`` to ``stop`` as tables; see :class:`~vortex_hep.schema.TreeSource`.

        Parameters
        ----------
        start, stop : int
        columns : sequence of str, optional
            Branch names; all of them by default.

        Returns
        -------
        dict of str to TableData

        Raises
        ------
        NotFoundError, CorruptionError, ModelMismatchError
            As in :meth:`arrays`.
        """

    @abstractmethod
    def cost(self, *, filter_name: Filter = None) -> dict[str, int]:
        """What reading branches costs.

        Parameters
        ----------
        filter_name : str, sequence of str or callable, optional
            As in :meth:`arrays`.

        Returns
        -------
        dict of str to int
            Stored bytes to fetch, by the unit that is decoded as a whole: a collection,
            ``"/scalars"``, or ``""``, which is the counters.
        """

    def keys(self, *, filter_name: Filter = None) -> list[str]:
        """Names of the branches, table by table."""
        return [n for n in self._specs if _matches(n, filter_name)]

    def __iter__(self) -> Iterator[str]:
        return iter(self._specs)

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
                "no such branch", path=self.path, tree=self.name, branch=name,
                hint=f"did you mean {near}?" if near else None,
            )  # fmt: skip
        return self._specs[name]

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
            Strings as text; records that are stored as they are, as byte strings.

        Raises
        ------
        NotFoundError
            A branch does not exist.
        CorruptionError
            The archive is damaged where it was read.
        ModelMismatchError
            The archive needs a model that was not given.
        """
        if library not in ("ak", "np"):
            raise UnsupportedTypeError(f"library {library!r} is neither 'ak' nor 'np'")
        names = self._names(expressions, filter_name)
        start, stop = self._range(entry_start, entry_stop)
        tables = {t.name: t for t in self.tables}
        counts = [c for n in names for _, c in build.lists_above(self._table_of[n], tables)]
        columns = self.read(start, stop, list(dict.fromkeys([*names, *counts])))
        placed = {n: (self._specs[n], self._table_of[n], columns) for n in names}
        return build.assemble(placed, stop - start, library, tables=tables)

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
        """Read branches piece by piece.

        Parameters
        ----------
        expressions, filter_name, entry_start, entry_stop, library
            As in :meth:`arrays`.
        step_size : int, optional
            Entries per piece; by default the archive's clusters, which is the fastest.

        Yields
        ------
        ak.Array or dict of str to numpy.ndarray

        Raises
        ------
        UnsupportedTypeError
            ``step_size`` is not positive.
        NotFoundError, CorruptionError, ModelMismatchError
            As in :meth:`arrays`.
        """
        names = self._names(expressions, filter_name)
        start, stop = self._range(entry_start, entry_stop)
        if step_size is None:
            ranges = [(max(a, start), min(b, stop)) for a, b in self.cluster_ranges(0)]
        elif step_size < 1:
            raise UnsupportedTypeError(f"step_size {step_size} is not positive")
        else:
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
        return [n for n in dict.fromkeys(names) if _matches(n, filter_name)]

    def _range(self, start: int | None, stop: int | None) -> tuple[int, int]:
        a, b, _ = slice(start, stop).indices(self.num_entries)
        return a, max(a, b)


class ArchiveTree(TreeView):
    """One tree of an archive as it is coded.

    Attributes
    ----------
    family : str
        Name of its tables in the model.
    members : tuple of Member
        The trees that it joins; empty where it is one tree.
    clusters : list of (start, stop, chunk ids)
        Entry ranges that are decoded as a whole.
    """

    def __init__(self, archive: Archive, document: Mapping[str, Any]) -> None:
        self._archive = archive
        self.document = document
        try:
            name, num_entries, self.clusters = unpack_clusters(document)
            tables, self.plans = unpack_tables(document)
            self.family, self.members = unpack_names(document)
        except CorruptionError as error:
            error.path = archive.path
            raise
        super().__init__(name, archive.path, num_entries, tables)
        self._plan_of = {n: p.name for p in self.plans for n in p.columns}
        self._place = {p.name: k for k, p in enumerate(self.plans)}
        self._decoder: TreeDecoder | None = None
        self._recent: tuple[int, dict[str, TableData]] = (-1, {})
        self._checked: set[tuple[int, str]] = set()

    def cost(self, *, filter_name: Filter = None) -> dict[str, int]:
        """What reading branches costs; see :meth:`TreeView.cost`."""
        sizes = self._archive.reader.chunks["stored_size"]
        return {
            name: sum(int(sizes[ids[self._place[name]]]) for _, _, ids in self.clusters)
            for name in self._needed(self.keys(filter_name=filter_name))
        }

    def _needed(self, names: Sequence[str]) -> list[str]:
        wanted = list(dict.fromkeys(self._plan_of[n] for n in names))
        return self._decoder_now().needed(wanted) if wanted else []

    def _decoder_now(self) -> TreeDecoder:
        if self._decoder is None:
            a = self._archive
            models = {} if a.model is None else a.model.tables(self.family)
            self._decoder = TreeDecoder(self.plans, self.tables, models, a.outer, a.inner, a.engine)
        return self._decoder

    def cluster_ranges(self, target_bytes: int) -> list[tuple[int, int]]:
        """Entry ranges of the archive's clusters; ``target_bytes`` is of no effect."""
        del target_bytes
        return [(start, stop) for start, stop, _ in self.clusters]

    def read(self, start: int, stop: int, columns: Sequence[str] | None = None) -> Cluster:
        """Read entries as tables; see :meth:`TreeView.read`."""
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
        return {
            table: build.join_tables(parts[table])
            if parts[table]
            else build.empty_table([self._specs[n] for n in wanted])
            for table, wanted in by_table.items()
        }

    def check(self, number: int) -> None:
        """Decode what was not decoded yet of a cluster, which checks it.

        Raises
        ------
        CorruptionError
            The cluster is damaged.
        """
        missing = [p.name for p in self.plans if (number, p.name) not in self._checked]
        if missing:
            self._cluster(number, self._decoder_now().needed(missing))

    def _cluster(self, number: int, needed: Sequence[str]) -> dict[str, TableData]:
        """Decode plans of a cluster, keeping those of the last one for the next call."""
        # Replaced as a whole, never changed, so that threads may share a tree.
        last, known = self._recent
        known = dict(known) if last == number else {}
        missing = [n for n in needed if n not in known]
        if missing:
            known |= self._decode(number, self._decoder_now().needed(missing))
            self._checked |= {(number, name) for name in known}
            self._recent = (number, known)
        return known

    def _decode(self, number: int, plans: Sequence[str]) -> dict[str, TableData]:
        start, stop, ids = self.clusters[number]
        reader = self._archive.reader
        chunk_ids = [ids[self._place[n]] for n in plans]
        for i in chunk_ids:
            if not 0 <= i < len(reader.chunks) or reader.chunks[i]["kind"] != CHUNK_TABLE:
                raise CorruptionError("a cluster names a chunk of another kind", path=reader.path)
        payloads = dict(zip(plans, reader.read_many(chunk_ids), strict=True))
        rows = {n: reader.chunks[i] for n, i in zip(plans, chunk_ids, strict=True)}
        try:
            return self._decoder_now().decode(payloads, rows, stop - start)
        except VortexError as error:
            error.path, error.tree = self._archive.path, self.name
            raise


class MemberTree(TreeView):
    """One of several trees that are coded together.

    Parameters
    ----------
    tree : ArchiveTree
        What is coded.
    member : Member
    """

    def __init__(self, tree: ArchiveTree, member: Member) -> None:
        self._tree = tree
        self._prefix = member.prefix
        tables = tuple(
            replace(
                t,
                name=self._strip_table(t.name),
                counter=None if t.counter is None else self._strip(t.counter),
                parent=None if t.parent is None else self._strip_table(t.parent),
                inner_counts=None if t.inner_counts is None else self._strip(t.inner_counts),
                columns=tuple(replace(c, name=self._strip(c.name)) for c in t.columns),
            )
            for t in tree.tables
            if all(c.name.startswith(member.prefix) for c in t.columns)
        )
        super().__init__(member.name, tree.path, tree.num_entries, tables)

    def _strip(self, name: str) -> str:
        return name.removeprefix(self._prefix)

    def _strip_table(self, name: str) -> str:
        return name.removeprefix(self._prefix.rstrip("/")).removeprefix("/")

    def cluster_ranges(self, target_bytes: int) -> list[tuple[int, int]]:
        """Entry ranges of the archive's clusters; ``target_bytes`` is of no effect."""
        return self._tree.cluster_ranges(target_bytes)

    def read(self, start: int, stop: int, columns: Sequence[str] | None = None) -> Cluster:
        """Read entries as tables; see :meth:`TreeView.read`."""
        names = list(self._specs) if columns is None else list(columns)
        for name in names:
            self._spec(name)
        whole = self._tree.read(start, stop, [self._prefix + n for n in names])
        return {
            self._strip_table(table): TableData(
                data.offsets, {self._strip(n): c for n, c in data.columns.items()}
            )
            for table, data in whole.items()
        }

    def cost(self, *, filter_name: Filter = None) -> dict[str, int]:
        """What reading branches costs; see :meth:`TreeView.cost`."""
        names = {self._prefix + n for n in self.keys(filter_name=filter_name)}
        return self._tree.cost(filter_name=names.__contains__)


class ArchiveBranch:
    """One branch of an archive's tree.

    Attributes
    ----------
    name, typename, title : str
    """

    def __init__(self, tree: TreeView, spec: ColumnSpec) -> None:
        self._tree = tree
        self.name = spec.name
        self.typename = spec.typename
        self.title = spec.title

    def __repr__(self) -> str:
        return f"<ArchiveBranch {self.name!r} of {self._tree.name!r}: {self.typename}>"

    @property
    def num_entries(self) -> int:
        """Entries of the tree."""
        return self._tree.num_entries

    def array(
        self, *, entry_start: int | None = None, entry_stop: int | None = None, library: str = "ak"
    ) -> Any:
        """Read the branch.

        Parameters
        ----------
        entry_start, entry_stop : int, optional
            Range of entries; negative numbers count from the end.
        library : {"ak", "np"}

        Returns
        -------
        ak.Array or numpy.ndarray

        Raises
        ------
        CorruptionError, ModelMismatchError
            As in :meth:`TreeView.arrays`.
        """
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
