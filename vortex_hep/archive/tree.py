"""Trees of an archive as they are coded, and parts of trees that were joined."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field, replace
from typing import Any

from vortex_hep.archive.handle import Handle
from vortex_hep.archive.metadata import unpack_clusters, unpack_names, unpack_tables
from vortex_hep.archive.view import ArchiveBranch, Filter, TreeView
from vortex_hep.core import arrays as build
from vortex_hep.core.conversions import Conversion
from vortex_hep.core.schema import Cluster, Member, TableData
from vortex_hep.core.text import fault_of
from vortex_hep.errors import CorruptionError, VortexError
from vortex_hep.models.model import CHUNK_TABLE
from vortex_hep.nn.coding.treecoder import DecodedTable, TreeDecoder

#: Bytes of later clusters that are fetched together with one, where a call reads several.
AHEAD_BYTES = 1 << 24

__all__ = ["ArchiveBranch", "ArchiveTree", "Filter", "MemberTree", "TreeView"]


class ArchiveTree(TreeView):
    """One tree of an archive as it is coded.

    Parameters
    ----------
    handle : Handle
        The open archive.
    document : mapping
        What its metadata say of the tree.

    Attributes
    ----------
    family : str
        Name of its tables in the model.
    members : tuple of Member
        The trees that it joins; empty where it is one tree.
    clusters : list of (start, stop, chunk ids)
        Entry ranges that are decoded as a whole.
    """

    def __init__(self, handle: Handle, document: Mapping[str, Any]) -> None:
        self._handle = handle
        self.document = document
        try:
            name, num_entries, self.clusters = unpack_clusters(document)
            tables, self.plans = unpack_tables(document)
            self.family, self.members = unpack_names(document)
        except CorruptionError as error:
            error.path = handle.path
            raise
        super().__init__(name, handle.path, num_entries, tables)
        self._plan_of = {n: p.name for p in self.plans for n in p.columns}
        self._place = {p.name: k for k, p in enumerate(self.plans)}
        self._decoder: tuple[Executor, TreeDecoder] | None = None
        self._recent: tuple[int, dict[str, DecodedTable]] = (-1, {})
        self._checked: set[tuple[int, str]] = set()

    def __reduce__(self) -> tuple[Any, ...]:
        return _coded, (self._handle, self.name)

    def cost(self, *, filter_name: Filter = None) -> dict[str, int]:
        """What reading branches costs; see :meth:`TreeView.cost`."""
        sizes = self._handle.reader.chunks["stored_size"]
        wanted = self._plans_of(self.keys(filter_name=filter_name))
        return {
            name: sum(int(sizes[ids[self._place[name]]]) for _, _, ids in self.clusters)
            for name in (self._decoder_now().needed(wanted) if wanted else ())
        }

    def conversions(self) -> Mapping[str, Conversion]:
        """How columns become values; see :meth:`TreeView.conversions`."""
        return self._handle.values(self.name)

    def member_conversions(self, name: str) -> Mapping[str, Conversion]:
        """How columns of one of the trees that are joined here become values."""
        return self._handle.values(name)

    def raw_bytes(self, names: Sequence[str]) -> int:
        """Bytes of branches as values; see :meth:`TreeView.raw_bytes`."""
        sizes: dict[str, int] = {}
        try:
            for table, described in zip(self.tables, self.document["tables"], strict=True):
                raw = [int(size) for size in described["raw"]]
                sizes |= dict(zip([c.name for c in table.columns], raw, strict=True))
        except (KeyError, TypeError, ValueError) as error:
            raise CorruptionError(
                f"invalid 'raw' in 'tables' of the metadata: {fault_of(error)}",
                path=self.path, tree=self.name,
            ) from error  # fmt: skip
        return sum(sizes[n] for n in names)

    def _plans_of(self, names: Sequence[str]) -> list[str]:
        return list(dict.fromkeys(self._plan_of[n] for n in names))

    def _decoder_now(self) -> TreeDecoder:
        handle, pool = self._handle, self._handle.outer
        if self._decoder is None or self._decoder[0] is not pool:
            models = {} if handle.model is None else handle.model.tables(self.family)
            decoder = TreeDecoder(
                self.plans, self.tables, models, pool, handle.inner, handle.engine
            )
            self._decoder = pool, decoder
        return self._decoder[1]

    def cluster_ranges(self, target_bytes: int) -> list[tuple[int, int]]:
        """Entry ranges of the archive's clusters; ``target_bytes`` is of no effect."""
        return [(start, stop) for start, stop, _ in self.clusters]

    def read(self, start: int, stop: int, columns: Sequence[str] | None = None) -> Cluster:
        """Read entries as tables; see :meth:`TreeView.read`."""
        names = list(self._specs) if columns is None else list(columns)
        by_table: dict[str, list[str]] = {}
        for n in names:
            self._spec(n)
            by_table.setdefault(self._table_of[n].name, []).append(n)
        parts: dict[str, list[TableData]] = {t: [] for t in by_table}
        plans = self._plans_of(names)
        touched = [k for k, (a, b, _) in enumerate(self.clusters) if max(a, start) < min(b, stop)]
        payloads = _Payloads(touched)
        for number in touched:
            a, b, _ = self.clusters[number]
            low, high = max(a, start), min(b, stop)
            decoded = self._cluster(number, plans, payloads)
            for table, wanted in by_table.items():
                parts[table].append(build.cut(decoded, self._plan_of, wanted, low - a, high - a))
        out: Cluster = {}
        for table, wanted in by_table.items():
            if len(parts[table]) == 1:
                out[table] = build.owned(parts[table][0])
            elif parts[table]:
                out[table] = build.join_tables(parts[table])
            else:
                out[table] = build.empty_table([self._specs[n] for n in wanted])
        return out

    def check(self, number: int) -> None:
        """Decode what was not decoded yet of a cluster, which checks it.

        Raises
        ------
        CorruptionError
            The cluster is damaged.
        """
        missing = self.unchecked(number)
        if missing:
            self._cluster(number, missing, _Payloads([number]))

    def unchecked(self, number: int) -> list[str]:
        """Plans of a cluster that were not decoded yet."""
        return [p.name for p in self.plans if (number, p.name) not in self._checked]

    def _cluster(
        self, number: int, wanted: Sequence[str], payloads: _Payloads
    ) -> dict[str, DecodedTable]:
        """Plans of a cluster, of which those of the last one are kept for the next call."""
        # Replaced as a whole, never changed, so that threads may share a tree.
        last, known = self._recent
        known = dict(known) if last == number else {}
        missing = self._cached(number, wanted, known)
        if missing:
            decoder = self._decoder_now()
            # Their dependencies may be in the cache, too.
            self._cached(number, decoder.needed(missing, known), known)
            decoded = self._decode(number, decoder.needed(missing, known), known, payloads)
            self._checked |= {(number, name) for name in decoded}
            known |= decoded
        self._recent = (number, known)
        return known

    def _cached(
        self, number: int, plans: Sequence[str], known: dict[str, DecodedTable]
    ) -> list[str]:
        """Add what is cached to what is known; return what is not."""
        missing = [n for n in plans if n not in known]
        if self._handle.cache is None:
            return missing
        for name in missing:
            found = self._handle.cache.get(self._key(number, name))
            if found is not None:
                known[name] = found
        return [n for n in missing if n not in known]

    def _chunk_ids(self, number: int, plans: Sequence[str]) -> list[int]:
        chunks = self._handle.reader.chunks
        ids = [self.clusters[number][2][self._place[n]] for n in plans]
        for i in ids:
            if not 0 <= i < len(chunks) or chunks[i]["kind"] != CHUNK_TABLE:
                raise CorruptionError("a cluster names a chunk of another kind", path=self.path)
        return ids

    def _fetch(self, number: int, plans: Sequence[str], into: _Payloads) -> None:
        """Fetch plans of a cluster, and of those after it as far as one request should go."""
        sizes = self._handle.reader.chunks["stored_size"]
        ids = self._chunk_ids(number, plans)
        size = 0
        for later in into.clusters[into.clusters.index(number) + 1 :]:
            more = self._chunk_ids(later, plans)
            size += sum(int(sizes[i]) for i in more)
            if size > AHEAD_BYTES:
                break
            ids += more
        into.fetched = dict(zip(ids, self._handle.reader.read_many(ids), strict=True))

    def _key(self, number: int, plan: str) -> str:
        chunk = self.clusters[number][2][self._place[plan]]
        return f"{self._handle.reader.fingerprint}-{number}-{chunk}"

    def _decode(
        self,
        number: int,
        plans: Sequence[str],
        known: Mapping[str, DecodedTable],
        fetched: _Payloads,
    ) -> dict[str, DecodedTable]:
        start, stop, _ = self.clusters[number]
        reader, cache = self._handle.reader, self._handle.cache
        ids = self._chunk_ids(number, plans)
        if not fetched.have(ids):
            self._fetch(number, plans, fetched)
        payloads = dict(zip(plans, fetched.take(ids), strict=True))
        rows = {n: reader.chunks[i] for n, i in zip(plans, ids, strict=True)}
        try:
            decoded = self._decoder_now().decode(payloads, rows, stop - start, known)
        except VortexError as error:
            error.path, error.tree = self._handle.path, self.name
            raise
        if cache is not None:
            for name, table in decoded.items():
                cache.put(self._key(number, name), table)
        return decoded


@dataclass
class _Payloads:
    """Payloads that were fetched for the clusters of one call, by chunk.

    Parameters
    ----------
    clusters : list of int
        Numbers of the clusters that the call reads, in order.
    """

    clusters: list[int]
    fetched: dict[int, bytes] = field(default_factory=dict)

    def have(self, ids: Sequence[int]) -> bool:
        """Whether all of these chunks are here."""
        return all(i in self.fetched for i in ids)

    def take(self, ids: Sequence[int]) -> list[bytes]:
        """Payloads of chunks, which are kept no longer."""
        out = [self.fetched[i] for i in ids]
        for i in ids:
            self.fetched.pop(i, None)
        return out


def _coded(handle: Handle, name: str) -> ArchiveTree:
    """Unpickle a tree; the file is the one that it was in, which has been compared."""
    documents = handle.described("trees", list)
    return ArchiveTree(handle, next(d for d in documents if str(d["name"]) == name))


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

    def conversions(self) -> Mapping[str, Conversion]:
        """How columns become values; see :meth:`TreeView.conversions`."""
        return self._tree.member_conversions(self.name)

    def raw_bytes(self, names: Sequence[str]) -> int:
        """Bytes of branches as values; see :meth:`TreeView.raw_bytes`."""
        return self._tree.raw_bytes([self._prefix + n for n in names])

    def cost(self, *, filter_name: Filter = None) -> dict[str, int]:
        """What reading branches costs; see :meth:`TreeView.cost`."""
        names = {self._prefix + n for n in self.keys(filter_name=filter_name)}
        return self._tree.cost(filter_name=names.__contains__)
