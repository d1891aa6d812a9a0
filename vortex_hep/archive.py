"""Reading archives as one reads ROOT files with uproot."""

from __future__ import annotations

import fnmatch
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Any, BinaryIO

import numpy as np

from vortex_hep import arrays as build
from vortex_hep.codec import classical
from vortex_hep.codec.container import KIND_ARCHIVE, ContainerReader, check_decoded
from vortex_hep.codec.treecoder import TreeDecoder
from vortex_hep.errors import (
    CorruptionError,
    ModelMismatchError,
    NotFoundError,
    NotVortexError,
    VortexError,
)
from vortex_hep.metadata import unpack_tables
from vortex_hep.model import CHUNK_REMAINDER, CHUNK_TABLE, Model
from vortex_hep.options import thread_count
from vortex_hep.sampling import join_tables_whole
from vortex_hep.schema import Cluster, ColumnSpec, TableData

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


class Archive(Mapping[str, ArchiveTree]):
    """An open archive: its trees by name.

    Parameters
    ----------
    source : str, path or binary file
        A path, an fsspec URL, or a seekable file. Only what is asked for is read.
    model : Model, optional
        Needed where the archive names a model but does not hold it.
    threads : int, optional
        Workers; one per core by default.
    """

    def __init__(
        self,
        source: str | os.PathLike[str] | BinaryIO,
        *,
        model: Model | None = None,
        threads: int | None = None,
    ) -> None:
        self.reader = ContainerReader(source)
        self.path = str(self.reader.path)
        try:
            if self.reader.kind != KIND_ARCHIVE:
                raise NotVortexError("this is a model, not an archive", path=self.path)
            self._given = model
            self._model: Model | None = None
            self._check_model()
            documents = self.reader.metadata.get("trees")
            if not isinstance(documents, list):
                raise CorruptionError("the archive lists no trees", path=self.path)
            workers = thread_count(threads)
            self.outer = ThreadPoolExecutor(workers)
            self.inner = ThreadPoolExecutor(workers)
            trees = [ArchiveTree(self, d) for d in documents]
            self.trees = {t.name: t for t in trees}
        except BaseException:
            self.reader.close()
            raise

    def _check_model(self) -> None:
        """Compare names of models before anything is decoded."""
        document = self.reader.metadata.get("model")
        if document is None or self._given is None:
            return
        if document.get("tables") is None and self._given.sha256 != document.get("sha256"):
            raise ModelMismatchError(
                f"made with model {str(document.get('sha256'))[:16]}..., but given"
                f" {self._given.sha256[:16]}...",
                path=self.path, hint="pass the model that the archive names",
            )  # fmt: skip

    @property
    def model(self) -> Model | None:
        """The model that the archive was made with; None where it needs none."""
        document = self.reader.metadata.get("model")
        if document is None:
            return None
        if self._model is None:
            if document.get("tables") is not None:
                self._model = Model.read_from(self.reader, document)
            elif self._given is not None:
                self._model = self._given
            else:
                raise ModelMismatchError(
                    f"needs model {str(document.get('sha256'))[:16]}..., which is not stored here",
                    path=self.path, hint="pass it with model=Model.load(...) or --model",
                )  # fmt: skip
        return self._model

    def model_for(self, tree: str) -> dict[str, Any]:
        """Table models of a tree's plans."""
        model = self.model
        if model is None:
            return {}
        plans = {p.name for p in self[tree].plans}
        return {k: v for k, v in model.tables(tree).items() if k in plans}

    def __getitem__(self, name: str) -> ArchiveTree:
        key = name.split(";")[0] if name not in self.trees else name
        if key not in self.trees:
            known = ", ".join(self.trees) or "none"
            raise NotFoundError(f"no such tree; there are {known}", path=self.path, tree=name)
        return self.trees[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self.trees)

    def __len__(self) -> int:
        return len(self.trees)

    def __repr__(self) -> str:
        return f"<Archive {self.path!r}: {', '.join(self.trees)}>"

    def remainder(self) -> Iterator[tuple[str, bytes]]:
        """Named blobs of what is not columns; see :class:`FileSource`."""
        for name, number in self.reader.metadata.get("remainder", []):
            row = self.reader.chunks[number]
            payload = self.reader.read(number)
            if row["kind"] != CHUNK_REMAINDER or len(payload) < 2:
                raise CorruptionError("a chunk of the remainder is none", path=self.path)
            coder = int.from_bytes(payload[:2], "little")
            blob = classical.decode(coder, payload[2:], "|u1", int(row["decoded_size"])).tobytes()
            check_decoded(row, blob, path=self.path)
            yield str(name), blob

    def info(self) -> dict[str, Any]:
        """Sizes of everything: file, model, trees, tables and columns."""
        chunks = self.reader.chunks
        document = self.reader.metadata.get("model")
        model_bytes = 0
        if document is not None and document.get("tables") is not None:
            model_bytes = sum(int(chunks[i]["stored_size"]) for _, _, i in document["tables"])
        trees = [_tree_info(t, chunks) for t in self.trees.values()]
        return {
            "path": self.path,
            "format_version": 1,
            "writer": self.reader.metadata.get("writer"),
            "stored_bytes": self.reader.size,
            "raw_bytes": sum(table["raw_bytes"] for t in trees for table in t["tables"]),
            "remainder_bytes": int(
                sum(chunks[i]["stored_size"] for _, i in self.reader.metadata.get("remainder", []))
            ),
            "model": {
                "sha256": None if document is None else document.get("sha256"),
                "embedded": document is not None and document.get("tables") is not None,
                "bytes": model_bytes,
            },
            "trees": trees,
        }

    def close(self) -> None:
        """Close the file and stop the workers."""
        self.reader.close()
        self.outer.shutdown()
        self.inner.shutdown()

    def __enter__(self) -> Archive:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _tree_info(tree: ArchiveTree, chunks: Any) -> dict[str, Any]:
    document = tree._document
    coders = document.get("coders", [])
    place = {p.name: k for k, p in enumerate(tree.plans)}
    tables = []
    for spec, d in zip(tree.tables, document["tables"], strict=True):
        plans = [p for p in tree.plans if p.table == spec.name]
        stored = sum(
            int(chunks[ids[place[p.name]]]["stored_size"])
            for p in plans
            for _, _, ids in tree.clusters
        )
        columns = [
            {
                "name": c.name,
                "typename": c.typename,
                "coder": coders[k] if 0 <= k < len(coders) else "none",
                "raw_bytes": raw,
                "stored_bytes": size,
            }
            for c, k, size, raw in zip(spec.columns, d["coder"], d["stored"], d["raw"], strict=True)
        ]
        first = next((c for c in spec.columns if c.dtype != "bytes"), None)
        rows = 0
        if first is not None and columns:
            width = int(np.prod(first.inner, dtype=np.int64)) * np.dtype(first.dtype).itemsize
            raw = next(c["raw_bytes"] for c in columns if c["name"] == first.name)
            rows = raw // max(1, width)
        tables.append(
            {
                "name": spec.name,
                "rows": rows,
                "raw_bytes": sum(c["raw_bytes"] for c in columns),
                "stored_bytes": stored,
                "columns": columns,
            }
        )
    return {"name": tree.name, "entries": tree.num_entries, "tables": tables}


def open(  # noqa: A001 - the name that uproot and h5py have taught users
    path: str | os.PathLike[str] | BinaryIO,
    *,
    model: Model | None = None,
    threads: int | None = None,
) -> Archive:
    """Open an archive for reading; see :class:`Archive`."""
    return Archive(path, model=model, threads=threads)
