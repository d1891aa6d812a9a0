"""Writing archives: a file's trees cluster by cluster, then everything else it holds."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from vortex_hep import _version
from vortex_hep.codec import classical
from vortex_hep.codec.container import KIND_ARCHIVE, ContainerWriter, atomic_output, xxh3
from vortex_hep.codec.plan import make_plans
from vortex_hep.codec.sequencecoder import LaneChoice
from vortex_hep.codec.tablechunk import TableChunk
from vortex_hep.codec.treecoder import TreeDecoder, TreeEncoder
from vortex_hep.errors import CorruptionError, LayoutError, UnsupportedTypeError
from vortex_hep.exactness import exact_source
from vortex_hep.metadata import pack_names, pack_tables
from vortex_hep.model import CHUNK_REMAINDER, CHUNK_TABLE, Model
from vortex_hep.nn.engine import Engine, get_engine
from vortex_hep.novelty import what_is_new
from vortex_hep.options import (
    CompressReport,
    TrainOptions,
    check_device,
    check_effort,
    thread_count,
    tree_names,
)
from vortex_hep.progress import SILENT, Progress, Task
from vortex_hep.readers import open_source
from vortex_hep.readers.kinds import unit_of
from vortex_hep.recordwidth import width_for
from vortex_hep.schema import FileSource, TreeSource

#: Raw bytes of columns in a cluster: what a reader of one event pays, and what memory is
#: bounded by.
CLUSTER_BYTES = 16 << 20


def compress_file(
    source: str | os.PathLike[str] | Any,
    path: str | os.PathLike[str],
    *,
    model: Model | None = None,
    trees: str | Sequence[str] | None = None,
    effort: str = "normal",
    threads: int | None = None,
    device: str = "cpu",
    overwrite: bool = False,
    embed_model: bool = True,
    check: bool = True,
    exact: bool = False,
    record: int | None = None,
    lanes: LaneChoice | None = None,
    progress: Progress | None = None,
) -> CompressReport:
    """Compress a file to an archive that restores it.

    Parameters
    ----------
    source : str, path or uproot file
        A path, an fsspec URL, or an open file.
    path : str or path
        The archive; it appears only when it is complete.
    model : Model, optional
        Predicts the columns. Without one, a model is fitted to the file and embedded, where
        that makes the archive smaller (and torch is installed; the report says if not).
    trees : str or sequence of str, optional
        Only these trees; all by default.
    effort : {"fast", "normal", "max"}
        Time spent on fitting and on classical coders; "max" compares every column with all
        of them.
    threads : int, optional
        Workers; one per core by default. The archive does not depend on it.
    device : {"cpu", "cuda", "auto"}
        Where a model is fitted and the network runs; what is read back does not depend on it.
    overwrite : bool
        Whether an existing archive may be replaced.
    embed_model : bool
        Whether a given model is stored in the archive, that is, those of its tables that code
        any of it; if not, readers must be given it.
    check : bool
        Decode every chunk right after it is made and compare it with the source.
    exact : bool
        Promise to restore the file byte for byte, with its adler32, and not only all that it
        holds. :func:`~vortex_hep.exact_forecast` says what that costs; a file that cannot be
        made again is carried whole, without columns.
    record : int, optional
        Take the file as records of so many bytes each, whatever it is: its bytes become one
        column, whose rows a model predicts byte by byte. A model of such records is used so
        without being told; see :func:`~vortex_hep.recordwidth.record_width`.
    lanes : LaneChoice, optional
        How transformers cut rows into lanes and chunks, and whether they keep memory; by default
        as they were trained.
    progress : Progress, optional

    Returns
    -------
    CompressReport

    Raises
    ------
    SourceError
        The source cannot be read.
    NotFoundError
        One of ``trees`` is not in the source.
    UnsupportedFeatureError
        ``exact`` is asked of arrays, or of a file of which ``trees`` leaves out a part.
    UnsupportedTypeError
        An option has a value that does not exist, or ``record`` is asked of what is no path.
    OutputError
        The archive cannot be written.
    """
    check_effort(effort)
    check_device(device)
    began = time.monotonic()
    selected = tree_names(trees)
    how = _How(
        effort, thread_count(threads), model is None or embed_model, progress or SILENT, check,
        model is not None, get_engine(device), exact, lanes,
    )  # fmt: skip
    width = width_for(source, record, model)
    with (
        open_source(source, trees=selected, exact=exact, record=width) as file,
        atomic_output(path, overwrite=overwrite) as out,
    ):
        messages = [exact_source(file).exact_forecast()] if exact else []
        if model is None:
            model = _own_model(file, how, device, messages)
        report = _write(file, out, model, how, selected)
        report.messages[:0] = messages + file.notes()
    report.path = os.fspath(path)
    report.seconds = time.monotonic() - began
    return report


def compress_tree(
    tree: Any,
    model: Model | None = None,
    *,
    path: str | os.PathLike[str] | None = None,
    **options: Any,
) -> CompressReport:
    """Compress what analysis code has at hand: one tree, or arrays in memory.

    Parameters
    ----------
    tree : uproot TTree or RNTuple, h5py Dataset or Group, ak.Array, or dict of arrays
        Arrays have one item, or list of items, per entry.
    model : Model, optional
        See :func:`compress_file`.
    path : str or path, optional
        The archive; by default the tree's name and ``.vxc``, in the current folder.
    **options
        As :func:`compress_file` takes them.

    Returns
    -------
    CompressReport

    Raises
    ------
    UnsupportedTypeError
        ``tree`` is nothing of the kind.
    """
    source, name = _tree_of(tree)
    if path is None:
        path = f"{(name or 'arrays').replace('/', '_')}.vxc"
    trees = None if source is tree else [name]
    return compress_file(source, path, model=model, trees=trees, **options)


def _tree_of(tree: Any) -> tuple[Any, str]:
    """What to open for a tree, and the tree's name there."""
    library = type(tree).__module__.partition(".")[0]
    if library == "uproot" and hasattr(tree, "num_entries"):
        name = getattr(tree, "object_path", None) or getattr(tree, "name", "")
        parts = [part.split(";")[0] for part in str(name).strip("/").split("/")]
        return tree.file, "/".join(parts)
    if library == "h5py":
        return tree, str(tree.name).strip("/")
    if library in ("awkward", "numpy") or isinstance(tree, Mapping):
        return tree, "arrays"
    raise UnsupportedTypeError(
        f"expected a tree or arrays, got {type(tree).__name__}",
        hint="open the file with uproot.open(path)['Events'], or pass a dict of arrays",
    )


@dataclass(frozen=True)
class _How:
    """What a caller chose."""

    effort: Any
    workers: int
    embed_model: bool
    progress: Progress
    check: bool = True
    may_leave_out: bool = False
    engine: Engine | None = None
    exact: bool = False
    lanes: LaneChoice | None = None


def _own_model(file: FileSource, how: _How, device: str, messages: list[str]) -> Model:
    """Fit a model to the file itself; an empty one without torch, or where none pays."""
    from vortex_hep.training import can_train, fit_model

    worth: dict[str, list[TreeSource]] = {}
    for tree in file.trees.values():
        if tree.num_entries >= _FEW_ENTRIES:
            worth.setdefault(tree.family, []).append(tree)
    if not worth:
        return Model({})
    if not can_train():
        messages.append(
            "no network was fitted, for torch is not installed: pip install 'vortex-hep[train]',"
            " or pass a trained model"
        )
        return Model({})
    options = TrainOptions(effort=how.effort, threads=how.workers, device=device)
    try:
        return fit_model(worth, options, how.progress, self_contained=True)
    except LayoutError:
        file.settle()
        return fit_model(worth, options, how.progress, self_contained=True)


#: Trees with fewer entries are left to the classical coders.
_FEW_ENTRIES = 100


def _write(
    file: FileSource, out: BinaryIO, model: Model, how: _How, selected: list[str] | None
) -> CompressReport:
    start = out.tell()
    try:
        return _write_once(file, out, model, how, selected)
    except LayoutError:
        # Rare: a later basket contradicts the type of its branch. Start over, laid out anew.
        file.settle()
        out.seek(start)
        out.truncate()
        return _write_once(file, out, model, how, selected)


def _write_once(
    file: FileSource, out: BinaryIO, model: Model, how: _How, selected: list[str] | None
) -> CompressReport:
    writer = ContainerWriter(out, kind=KIND_ARCHIVE, features=model.features)
    report = CompressReport("", 0, 0, 0, 0, _source_size(file), [], [], 0.0)
    document: dict[str, Any] = {
        "writer": f"vortex_hep {_version.__version__}",
        "source": {"name": Path(str(file.path)).name, "kind": file.kind, "trees": selected},
    }
    if how.exact:
        document["source"]["exact"] = exact_source(file).identity().document
    total = sum(max(1, t.num_entries) for t in file.trees.values())
    used: dict[str, set[str]] = {}
    with (
        ThreadPoolExecutor(how.workers) as outer,
        ThreadPoolExecutor(how.workers) as inner,
        how.progress.task("compressing", total, unit=unit_of(file.kind)) as task,
    ):
        trees = []
        for tree in file.trees.values():
            plans = make_plans(tree.tables)
            models = model.tables(tree.family)
            encoder = TreeEncoder(
                plans, tree.tables, models, how.effort, outer, inner, how.engine, how.lanes
            )
            trees.append(_write_tree(tree, encoder, writer, report, task, check=how.check))
            used.setdefault(tree.family, set()).update(encoder.used)
            report.messages += what_is_new(tree, model)
    document["trees"] = trees
    before = writer.position
    document["model"] = _write_model(model, used, writer, embed=how.embed_model)
    report.model_bytes = writer.position - before
    before = writer.position
    document["remainder"] = [_write_blob(name, blob, writer) for name, blob in file.remainder()]
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


def _write_model(
    model: Model, used: Mapping[str, set[str]], writer: ContainerWriter, *, embed: bool
) -> dict[str, Any] | None:
    """Name the model; where it is to be stored, only the tables that some chunk needs."""
    if not any(used.values()):
        return None
    if not embed:
        return {"sha256": model.sha256, "tables": None}
    kept = {
        tree: {plan: table for plan, table in model.tables(tree).items() if plan in plans}
        for tree, plans in used.items()
        if plans
    }
    return Model(kept).add_to(writer)


def _write_tree(
    tree: TreeSource,
    encoder: TreeEncoder,
    writer: ContainerWriter,
    report: CompressReport,
    task: Task,
    *,
    check: bool,
) -> dict[str, Any]:
    clusters = []
    costs: dict[str, tuple[str, int, float]] = {}
    for start, stop in tree.cluster_ranges(CLUSTER_BYTES):
        if stop <= start:
            continue
        ids = []
        chunks = encoder.encode(tree.read(start, stop))
        if check:
            _prove(chunks, encoder.decoder(), tree.name, stop - start)
        for chunk in chunks.values():
            ids.append(
                writer.add(
                    CHUNK_TABLE, chunk.payload,
                    decoded_xxh3=chunk.decoded_xxh3, decoded_size=chunk.decoded_size,
                )
            )  # fmt: skip
            for c in chunk.columns:
                coder, raw, stored = costs.get(c.name, (c.coder, 0, 0.0))
                coder = coder if coder == c.coder else "mixed"
                costs[c.name] = (coder, raw + c.raw_bytes, stored + c.stored_bytes)
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
        "clusters": clusters,
    }


def _prove(chunks: Mapping[str, TableChunk], decoder: TreeDecoder, tree: str, lanes: int) -> None:
    """Decode chunks before they are written; raise unless they give back what went in."""
    promised = {
        name: {
            "id": 0, "offset": 0,
            "decoded_size": c.decoded_size, "decoded_xxh3": c.decoded_xxh3,
        }
        for name, c in chunks.items()
    }  # fmt: skip
    try:
        decoder.decode({name: c.payload for name, c in chunks.items()}, promised, lanes)
    except CorruptionError as error:
        raise CorruptionError(
            f"what was encoded does not decode: {error.message}", tree=tree, branch=error.branch,
            hint="this is a fault of vortex_hep; nothing was written, please report it",
        ) from error  # fmt: skip


def _write_blob(name: str, blob: bytes, writer: ContainerWriter) -> list[Any]:
    """Store bytes of the remainder; the payload is the coder's id, then its payload."""
    coder, payload = classical.encode_bytes(blob)
    packed = coder.to_bytes(2, "little") + payload
    return [
        name,
        writer.add(CHUNK_REMAINDER, packed, decoded_xxh3=xxh3(blob), decoded_size=len(blob)),
    ]


def _source_size(file: FileSource) -> int:
    try:
        return Path(str(file.path)).stat().st_size
    except OSError:
        return 0
