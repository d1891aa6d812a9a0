"""The writer of archives: the trees of an opened file by cluster, then its remainder.

Reading of the next cluster, modelling and coding of this one, proof and writing of those before go
on at the same time. The archive is the same as if they did not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

from vortex_hep.archive.exact import exact_source
from vortex_hep.archive.metadata import pack_names, pack_tables
from vortex_hep.archive.report import CompressReport
from vortex_hep.codec.columns import classical
from vortex_hep.codec.container.container import KIND_ARCHIVE, ContainerWriter, xxh3
from vortex_hep.codec.plan import make_plans
from vortex_hep.core import version as _version
from vortex_hep.core.overlap import Overlap, mapped
from vortex_hep.core.progress import SILENT, Progress, Task
from vortex_hep.core.schema import Cluster, FileSource, TreeSource
from vortex_hep.errors import CorruptionError
from vortex_hep.models.model import CHUNK_REMAINDER, CHUNK_TABLE, Model
from vortex_hep.models.novelty import what_is_new
from vortex_hep.nn.coding.engine import Engine
from vortex_hep.nn.coding.tablechunk import TableChunk
from vortex_hep.nn.coding.treecoder import TreeDecoder, TreeEncoder
from vortex_hep.nn.sequence.coder import LaneChoice
from vortex_hep.readers.kinds import unit_of

#: Bytes of the remainder that are coded side by side: LZMA takes twelve times as much.
_BLOBS_AT_ONCE = 1 << 25
#: Part of an archive that a model may be which is stored in it though it could lie beside it: less
#: than anybody would notice, for an archive that needs nothing else.
EMBEDDED_SHARE = 0.01
#: Clusters of coded bytes that may wait to be written.
_WRITES = 2


@dataclass(frozen=True)
class Settings:
    """How an archive is to be written.

    Parameters
    ----------
    effort : {"fast", "normal", "max"}
    workers : int
    cluster_bytes : int
        Raw bytes of columns in a cluster.
    embed_model : bool or None
        Whether the archive is to hold the model; None for where that costs next to nothing.
    may_leave_out : bool
        Whether it need not: the user has it.
    check : bool
        Decode each cluster once it is coded.
    exact : bool
        Promise the source's bytes.
    engine : Engine, optional
        Computes what models predict.
    lanes : LaneChoice, optional
    progress : Progress
    source_bytes : int
        Size of the source; 0 where it is not known.
    """

    effort: Any
    workers: int
    cluster_bytes: int
    embed_model: bool | None = True
    may_leave_out: bool = False
    check: bool = True
    exact: bool = False
    engine: Engine | None = None
    lanes: LaneChoice | None = None
    progress: Progress = SILENT
    source_bytes: int = 0


@dataclass(frozen=True)
class _Blob:
    """Bytes of the remainder, coded: the payload is the coder's id, then the coder's."""

    payload: bytes
    decoded_xxh3: int
    decoded_size: int


#: Where to put the ids that chunks get, and the chunks to be written.
_Chunks = tuple[list[int], Iterable[TableChunk | _Blob]]


def write_archive(
    file: FileSource, out: BinaryIO, model: Model, how: Settings, selected: list[str] | None
) -> CompressReport:
    """Write the archive of a file.

    Parameters
    ----------
    file : FileSource
    out : binary file
        At its beginning.
    model : Model
    how : Settings
    selected : list of str or None
        Trees that were asked for.

    Returns
    -------
    CompressReport
        Without ``path``, ``source_bytes`` and ``seconds``.

    Raises
    ------
    LayoutError
        The data contradict the layout of the tables: call ``file.settle()`` and write anew.
    SourceError
        The file cannot be read.
    OutputError
        The archive cannot be written.
    """
    writer = ContainerWriter(out, kind=KIND_ARCHIVE, features=model.features)
    report = CompressReport("", 0, 0, 0, 0, 0, [], [], 0.0)
    document: dict[str, Any] = {
        "writer": f"vortex_hep {_version.__version__}",
        "source": {"name": Path(str(file.path)).name, "kind": file.kind, "trees": selected},
    }
    if how.source_bytes:
        document["source"]["bytes"] = how.source_bytes
    unread = [[u.tree, u.branch, u.reason] for u in file.unread()]
    if unread:
        document["source"]["unread"] = unread
    if how.exact:
        document["source"]["exact"] = exact_source(file).identity().document
    used: dict[str, set[str]] = {}
    with ThreadPoolExecutor(how.workers) as outer, ThreadPoolExecutor(how.workers) as inner:
        with Overlap() as overlap:
            trees = _Trees(file, model, how, (outer, inner), overlap, partial(_add, writer))
            document["trees"] = trees.write(report, used)
        before = writer.position
        document["model"] = _write_model(model, used, writer, embed=how.embed_model)
        report.model_bytes = writer.position - before
        if document["model"] is not None and document["model"]["tables"] is None:
            report.beside_bytes = model.nbytes
        before = writer.position
        with Overlap() as overlap:
            write = overlap.behind(partial(_add, writer))
            names, ids = _write_remainder(file, how.effort, outer, write)
        document["remainder"] = [[name, number] for name, number in zip(names, ids, strict=True)]
        report.remainder_bytes = writer.position - before
    writer.finish(document)
    report.stored_bytes = writer.position
    if report.model_bytes > 0.1 * report.stored_bytes and how.may_leave_out:
        report.messages.append(
            f"the model stored inside is {report.model_bytes / report.stored_bytes:.0%} of the"
            " archive: without it (--no-embed, embed_model=False) the archive is smaller but"
            " needs the model to be read"
        )
    return report


class _Trees:
    """Writes the trees of a file, one after the other."""

    def __init__(
        self,
        file: FileSource,
        model: Model,
        how: Settings,
        pools: tuple[Executor, Executor],
        overlap: Overlap,
        write: Callable[[_Chunks], object],
    ) -> None:
        self._trees = list(file.trees.values())
        self._ranges = [
            [
                (start, stop)
                for start, stop in tree.cluster_ranges(how.cluster_bytes)
                if start < stop
            ]
            for tree in self._trees
        ]
        self._unit = unit_of(file.kind)
        self._model, self._how, self._pools = model, how, pools
        self._clusters = overlap.ahead(self._read())
        self._write = overlap.behind(write, depth=_WRITES)
        self._prove = overlap.behind(self._proven)

    def _read(self) -> Iterator[Cluster]:
        for tree, ranges in zip(self._trees, self._ranges, strict=True):
            for start, stop in ranges:
                yield tree.read(start, stop)

    def _proven(self, proof: _Proof) -> None:
        proof.run()
        self._write((proof.ids, proof.chunks.values()))

    def write(self, report: CompressReport, used: dict[str, set[str]]) -> list[dict[str, Any]]:
        """Write all trees; return what the metadata say of them, and note what models they use."""
        total = sum(max(1, tree.num_entries) for tree in self._trees)
        out = []
        with self._how.progress.task("compressing", total, unit=self._unit) as task:
            for tree, ranges in zip(self._trees, self._ranges, strict=True):
                encoder = TreeEncoder(
                    make_plans(tree.tables), tree.tables, self._model.tables(tree.family),
                    self._how.effort, *self._pools, self._how.engine, self._how.lanes,
                )  # fmt: skip
                out.append(self._write_tree(tree, ranges, encoder, report, task))
                used.setdefault(tree.family, set()).update(encoder.used)
                report.messages += what_is_new(tree, self._model)
        return out

    def _write_tree(
        self,
        tree: TreeSource,
        ranges: Sequence[tuple[int, int]],
        encoder: TreeEncoder,
        report: CompressReport,
        task: Task,
    ) -> dict[str, Any]:
        clusters = []
        costs: dict[str, tuple[str, int, float]] = {}
        for start, stop in ranges:
            ids: list[int] = []
            chunks = encoder.encode(next(self._clusters))
            for c in (column for chunk in chunks.values() for column in chunk.columns):
                coder, raw, stored = costs.get(c.name, (c.coder, 0, 0.0))
                coder = coder if coder == c.coder else "mixed"
                costs[c.name] = (coder, raw + c.raw_bytes, stored + c.stored_bytes)
            if self._how.check:
                self._prove(_Proof(ids, chunks, encoder.decoder(), tree.name, stop - start))
            else:
                self._write((ids, chunks.values()))
            clusters.append([start, stop, ids])
            task.advance(stop - start)
        for plan in encoder.plans:
            for name in plan.columns:
                coder, raw, stored = costs.get(name, ("none", 0, 0.0))
                report.raw_bytes += raw
                report.columns.append(
                    {"tree": tree.name, "table": plan.table, "name": name, "coder": coder,
                     "raw_bytes": raw, "stored_bytes": round(stored)}
                )  # fmt: skip
        return {
            **pack_names(tree),
            "entries": tree.num_entries,
            **pack_tables(tree.tables, encoder.plans, costs),
            # The ids are filled in as chunks are written.
            "clusters": clusters,
        }


@dataclass(frozen=True)
class _Proof:
    """Chunks that are to be decoded before they are written."""

    ids: list[int]
    chunks: Mapping[str, TableChunk]
    decoder: TreeDecoder
    tree: str
    lanes: int

    def run(self) -> None:
        """Decode them; raise unless they give back what went in."""
        promised = {
            name: {
                "id": 0, "offset": 0,
                "decoded_size": c.decoded_size, "decoded_xxh3": c.decoded_xxh3,
            }
            for name, c in self.chunks.items()
        }  # fmt: skip
        payloads = {name: c.payload for name, c in self.chunks.items()}
        try:
            self.decoder.decode(payloads, promised, self.lanes)
        except CorruptionError as error:
            raise CorruptionError(
                f"what was encoded does not decode: {error.message}",
                tree=self.tree, branch=error.branch,
                hint="this is a fault of vortex_hep; nothing was written, please report it",
            ) from error  # fmt: skip


def _add(writer: ContainerWriter, chunks: _Chunks) -> None:
    """Append chunks to the container."""
    ids, parts = chunks
    for part in parts:
        ids.append(
            writer.add(
                CHUNK_TABLE if isinstance(part, TableChunk) else CHUNK_REMAINDER, part.payload,
                decoded_xxh3=part.decoded_xxh3, decoded_size=part.decoded_size,
            )
        )  # fmt: skip


def _write_model(
    model: Model, used: Mapping[str, set[str]], writer: ContainerWriter, *, embed: bool | None
) -> dict[str, Any] | None:
    """Name the model; where it is to be stored, only the tables that some chunk needs."""
    if not any(used.values()):
        return None
    named = {"sha256": model.sha256, "tables": None}
    if embed is False:
        return named
    kept = Model(
        {
            tree: {plan: table for plan, table in model.tables(tree).items() if plan in plans}
            for tree, plans in used.items()
            if plans
        }
    )
    if embed is None and kept.nbytes > EMBEDDED_SHARE * writer.position:
        return named
    return kept.add_to(writer)


def _write_remainder(
    file: FileSource, effort: classical.Effort, pool: Executor, write: Callable[[_Chunks], object]
) -> tuple[list[str], list[int]]:
    """Write the blobs of the remainder; their names, and the ids that they get in the end."""
    names: list[str] = []
    ids: list[int] = []

    def blobs() -> Iterator[bytes]:
        for name, blob in file.remainder():
            names.append(name)
            yield blob

    for blob in mapped(
        pool, partial(_coded, effort=effort), blobs(), size=len, most=_BLOBS_AT_ONCE
    ):
        write((ids, [blob]))
    return names, ids


def _coded(blob: bytes, *, effort: classical.Effort) -> _Blob:
    coder, payload = classical.encode_bytes(blob, effort)
    packed = coder.to_bytes(2, "little") + payload
    return _Blob(packed, xxh3(blob), len(blob))
