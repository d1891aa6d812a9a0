"""Writing archives: a file's trees cluster by cluster, then everything else it holds."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from vortex_hep import _version
from vortex_hep.codec import classical
from vortex_hep.codec.container import KIND_ARCHIVE, ContainerWriter, atomic_output, xxh3
from vortex_hep.codec.plan import make_plans
from vortex_hep.codec.treecoder import TreeEncoder
from vortex_hep.errors import UnsupportedTypeError
from vortex_hep.metadata import pack_tables
from vortex_hep.model import CHUNK_REMAINDER, CHUNK_TABLE, Model
from vortex_hep.options import CompressReport, TrainOptions, check_effort, thread_count
from vortex_hep.progress import SILENT, Progress
from vortex_hep.readers import LayoutError, open_source
from vortex_hep.schema import FileSource, TreeSource

#: Raw bytes of columns in a cluster: what a reader of one event pays, and what memory is
#: bounded by.
CLUSTER_BYTES = 16 << 20


def compress_file(
    source: str | os.PathLike[str] | Any,
    path: str | os.PathLike[str],
    *,
    model: Model | None = None,
    trees: list[str] | tuple[str, ...] | None = None,
    effort: str = "normal",
    threads: int | None = None,
    device: str = "cpu",
    overwrite: bool = False,
    embed_model: bool = True,
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
        that makes the archive smaller.
    trees : sequence of str, optional
        Only these trees; all by default.
    effort : {"fast", "normal", "max"}
        Time spent on fitting and on classical coders; "max" compares every column with all
        of them.
    threads : int, optional
        Workers; one per core by default. The archive does not depend on it.
    device : {"cpu", "cuda", "auto"}
        Where a model is fitted.
    overwrite : bool
        Whether an existing archive may be replaced.
    embed_model : bool
        Whether a given model is stored in the archive; if not, readers must be given it.
    progress : Progress, optional

    Returns
    -------
    CompressReport

    Raises
    ------
    SourceError
        The source cannot be read.
    OutputError
        The archive cannot be written.
    """
    check_effort(effort)
    began = time.monotonic()
    progress = progress or SILENT
    workers = thread_count(threads)
    with open_source(source, trees=trees) as file, atomic_output(path, overwrite=overwrite) as out:
        if model is None:
            model = _own_model(file, effort, workers, device, progress)
            embed_model = True
        selected = None if trees is None else list(trees)
        report = _write(file, out, model, effort, workers, embed_model, progress, selected)
    report.path = os.fspath(path)
    report.seconds = time.monotonic() - began
    return report


def compress_tree(
    tree: Any, model: Model | None = None, *, path: str | os.PathLike[str], **options: Any
) -> CompressReport:
    """Compress one TTree of an open uproot file.

    Parameters
    ----------
    tree : uproot.TTree
    model : Model, optional
        See :func:`compress_file`.
    path : str or path
        The archive.
    **options
        As :func:`compress_file` takes them.

    Returns
    -------
    CompressReport

    Raises
    ------
    UnsupportedTypeError
        ``tree`` is no uproot tree.
    """
    file, name = getattr(tree, "file", None), getattr(tree, "object_path", None)
    if file is None or name is None or not hasattr(tree, "num_entries"):
        raise UnsupportedTypeError(
            f"expected an uproot TTree, got {type(tree).__name__}",
            hint="open the file with uproot.open(path)['Events']",
        )
    name = "/".join(part.split(";")[0] for part in str(name).strip("/").split("/"))
    return compress_file(file, path, model=model, trees=[name], **options)


def _own_model(
    file: FileSource, effort: str, workers: int, device: str, progress: Progress
) -> Model:
    """A model of the file itself; without torch, or where none pays, an empty one."""
    from vortex_hep.training import fit_model

    worth = {
        name: [tree] for name, tree in file.trees.items() if _is_worth_fitting(tree)
    }
    if not worth:
        return Model({})
    options = TrainOptions(effort=effort, threads=workers, device=device)
    return _settled(file, lambda: fit_model(worth, options, progress, self_contained=True))


#: Trees with fewer entries are left to the classical coders.
_FEW_ENTRIES = 100


def _is_worth_fitting(tree: TreeSource) -> bool:
    return tree.num_entries >= _FEW_ENTRIES


def _settled(file: FileSource, work: Any) -> Any:
    """Run ``work``; where a branch turns out not to fit its type, lay the file out anew."""
    try:
        return work()
    except LayoutError:
        file.settle()
        return work()


def _write(
    file: FileSource,
    out: Any,
    model: Model,
    effort: Any,
    workers: int,
    embed_model: bool,
    progress: Progress,
    selected: list[str] | None,
) -> CompressReport:
    start_of_data = out.tell()
    try:
        return _write_once(file, out, model, effort, workers, embed_model, progress, selected)
    except LayoutError:
        # Rare: a later basket contradicts the type of its branch. Start over, laid out anew.
        file.settle()
        out.seek(start_of_data)
        out.truncate()
        return _write_once(file, out, model, effort, workers, embed_model, progress, selected)


def _write_once(
    file: FileSource,
    out: Any,
    model: Model,
    effort: Any,
    workers: int,
    embed_model: bool,
    progress: Progress,
    selected: list[str] | None,
) -> CompressReport:
    writer = ContainerWriter(out, kind=KIND_ARCHIVE)
    report = CompressReport("", 0, 0, 0, 0, _source_size(file), [], [], 0.0)
    used = Model({name: tables for name, tables in model.trees.items() if name in file.trees})
    document: dict[str, Any] = {
        "writer": f"vortex_hep {_version.__version__}",
        "source": {"name": Path(str(file.path)).name, "kind": file.kind, "trees": selected},
        "model": None,
    }
    if embed_model and used.trees:
        # What the file does not have need not be stored; the name is then of what is.
        document["model"] = used.add_to(writer)
        report.model_bytes = writer.position
    elif used.trees:
        used = model
        document["model"] = {"sha256": model.sha256, "tables": None}
    total = sum(max(1, t.num_entries) for t in file.trees.values())
    with (
        ThreadPoolExecutor(workers) as outer,
        ThreadPoolExecutor(workers) as inner,
        progress.task("compressing", total, unit="events") as task,
    ):
        document["trees"] = [
            _write_tree(tree, used.tables(name), writer, effort, outer, inner, report, task)
            for name, tree in file.trees.items()
        ]
    before = writer.position
    document["remainder"] = [_write_blob(name, blob, writer) for name, blob in file.remainder()]
    report.remainder_bytes = writer.position - before
    writer.finish(document)
    report.stored_bytes = writer.position
    return report


def _write_tree(
    tree: TreeSource,
    models: Mapping[str, Any],
    writer: ContainerWriter,
    effort: Any,
    outer: ThreadPoolExecutor,
    inner: ThreadPoolExecutor,
    report: CompressReport,
    task: Any,
) -> dict[str, Any]:
    plans = make_plans(tree.tables)
    known = {p.name for p in plans}
    encoder = TreeEncoder(
        plans, tree.tables, {k: v for k, v in models.items() if k in known}, effort, outer, inner
    )
    clusters = []
    costs: dict[str, list[Any]] = {}
    for start, stop in tree.cluster_ranges(CLUSTER_BYTES):
        if stop <= start:
            continue
        chunks = encoder.encode(tree.read(start, stop))
        ids = []
        for plan in plans:
            chunk = chunks[plan.name]
            ids.append(
                writer.add(
                    CHUNK_TABLE, chunk.payload,
                    decoded_xxh3=chunk.decoded_xxh3, decoded_size=chunk.decoded_size,
                )
            )  # fmt: skip
            for c in chunk.columns:
                entry = costs.setdefault(c.name, [c.coder, 0, 0.0])
                entry[0] = c.coder if entry[0] == c.coder else "mixed"
                entry[1] += c.raw_bytes
                entry[2] += c.stored_bytes
                report.raw_bytes += c.raw_bytes
        clusters.append([start, stop, ids])
        task.advance(stop - start)
    for plan in plans:
        for name in plan.columns:
            coder, raw, stored = costs.get(name, ["none", 0, 0.0])
            report.columns.append(
                {"tree": tree.name, "table": plan.table, "name": name, "coder": coder,
                 "raw_bytes": raw, "stored_bytes": round(stored)}
            )  # fmt: skip
    _say_what_is_new(tree, models, plans, report)
    return {
        "name": tree.name,
        "entries": tree.num_entries,
        **pack_tables(tree.tables, plans, costs),
        "clusters": clusters,
    }


def _say_what_is_new(
    tree: TreeSource, models: Mapping[str, Any], plans: Any, report: CompressReport
) -> None:
    """Name what the model does not know of the file, and what the file lacks of the model."""
    if not models:
        return
    here = {name for p in plans for name in p.columns}
    known = {n for m in models.values() for f in m.fields for n in f.columns}
    missing = sorted(known - here)
    if missing:
        report.messages.append(
            f"tree {tree.name!r} lacks {len(missing)} of the model's branches, such as"
            f" {missing[0]!r}"
        )


def _write_blob(name: str, blob: bytes, writer: ContainerWriter) -> list[Any]:
    """Store bytes of the remainder; the payload is the coder's id, then its payload."""
    coder, payload = classical.encode_bytes(blob)
    packed = coder.to_bytes(2, "little") + payload
    return [name, writer.add(CHUNK_REMAINDER, packed, decoded_xxh3=xxh3(blob), decoded_size=len(blob))]


def _source_size(file: FileSource) -> int:
    try:
        return Path(str(file.path)).stat().st_size
    except OSError:
        return 0
