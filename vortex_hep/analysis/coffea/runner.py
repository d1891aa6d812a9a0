"""coffea's ``Runner`` for file sets of archives, ROOT files, or both.

``metadata_fetcher_root``, ``_work_function`` and ``_normalize_fileset`` are no public interface of
coffea; what is used of it is in this module only.
"""

from __future__ import annotations

import pickle
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from dataclasses import dataclass, field
from typing import Any, cast

from vortex_hep.analysis.coffea.nano import EventsOptions, build_events, with_cache
from vortex_hep.analysis.extras import check_interface, needs
from vortex_hep.analysis.files import tree_of
from vortex_hep.archive.archive import Archive, OpenOptions
from vortex_hep.archive.handle import check_fingerprint
from vortex_hep.errors import VortexError

with needs("coffea"):
    import lz4.frame  # type: ignore[import-untyped]
    from coffea import processor
    from coffea.nanoevents.util import key_to_tuple
    from coffea.processor.accumulator import set_accumulator
    from coffea.processor.executor import FileMeta

check_interface(
    processor.Runner,
    [
        "metadata_fetcher_root(item)", "_normalize_fileset(treename)", "_trace_preload",
        "_work_function(item)", "_work_function(processor_instance)",
        "_work_function(cache_function)", "_work_function(checkpointer)",
    ],
    "coffea",
)  # fmt: skip
check_interface(FileMeta, ["populated(clusters)", "chunks(align_clusters)", "metadata"], "coffea")

#: Names that end so are archives; all others are ROOT files.
SUFFIX = ".vxc"


def is_archive(path: str) -> bool:
    """Whether a file of a file set is an archive, by its name.

    Examples
    --------
    >>> is_archive("root://host//a/b.vxc"), is_archive("a.root")
    (True, False)
    """
    return path.split("?")[0].endswith(SUFFIX)


class ArchiveMeta(FileMeta):  # type: ignore[misc]
    """What is known of an archive before it is processed; its chunks are made of whole clusters."""

    __slots__: list[str] = []

    def populated(self, clusters: bool = False) -> bool:
        """Whether entries and clusters are known."""
        return bool(super().populated(clusters=True))

    def chunks(self, target_chunksize: int, align_clusters: bool) -> Any:
        """Yield work items that end where clusters do."""
        return super().chunks(target_chunksize, True)


@dataclass
class Runner(processor.Runner):  # type: ignore[misc]
    """coffea's ``Runner`` that takes archives beside ROOT files.

    Files whose names end in ``.vxc`` are archives; others are read as coffea reads them.

    Parameters
    ----------
    open_options : dict
        ``model``, ``threads``, ``device`` and ``cache``, as :func:`vortex_hep.open` takes them. By
        default one thread for each task. Give paths of models rather than models, which would
        travel with every task, or let them lie beside the archives.
    metadata_cache : mutable mapping, optional
        What is known of files. By default one of this runner alone, as files may be replaced
        between two.
    align_archives : bool
        Whether chunks of archives end where their clusters do, so that no cluster is decoded by
        two tasks. A chunk then is at least ``chunksize`` entries, up to the end of a cluster.

    Notes
    -----
    Further keywords are those of coffea's ``processor.Runner``; ``format`` stays ``"root"``.

    Raises
    ------
    UnsupportedFeatureError
        coffea is missing, or a release whose inner workings are unknown.

    Examples
    --------
    >>> import contextlib, io
    >>> import awkward as ak
    >>> from coffea import processor
    >>> from coffea.nanoevents import BaseSchema
    >>> from vortex_hep.analysis.coffea.runner import Runner
    >>> class Counts(processor.ProcessorABC):
    ...     def process(self, events):
    ...         return {"events": len(events), "muons": int(ak.sum(events.nMuon))}
    ...     def postprocess(self, accumulator):
    ...         return accumulator
    >>> executor = processor.IterativeExecutor(status=False)
    >>> run = Runner(executor=executor, schema=BaseSchema)
    >>> with contextlib.redirect_stdout(io.StringIO()):  # progress bars
    ...     counted = run({"TT": ["c.vxc", "a.root"]}, Counts(), treename="Events")
    >>> counted["events"]
    240
    """

    metadata_cache: MutableMapping[Any, Any] | None = None
    open_options: OpenOptions = field(default_factory=OpenOptions)
    align_archives: bool = True

    def __post_init__(self) -> None:
        if self.metadata_cache is None:
            # coffea's own outlives runners: what it knows of an archive that is replaced is wrong.
            self.metadata_cache = {}
        super().__post_init__()
        options = cast("OpenOptions", {"threads": 1, **self.open_options})
        # The base class gives these to partial(), so they take the place of static methods.
        self.metadata_fetcher_root = _Fetcher(options, processor.Runner.metadata_fetcher_root)
        self._work_function = _Work(options, processor.Runner._work_function)

    def _normalize_fileset(self, fileset: Any, treename: str | None) -> Iterator[Any]:
        for meta in processor.Runner._normalize_fileset(fileset, treename):
            if is_archive(meta.filename) and self.align_archives:
                yield ArchiveMeta(*(getattr(meta, name) for name in FileMeta.__slots__))
            else:
                yield meta

    def _trace_preload(self, fileset: list[Any], *args: Any) -> None:
        """Find out which columns are touched; of archives no others are read anyway."""
        super()._trace_preload([m for m in fileset if not is_archive(m.filename)], *args)


@dataclass(frozen=True)
class _Fetcher:
    """Entries, clusters and fingerprint of an archive; of other files, what coffea finds."""

    options: OpenOptions
    other: Callable[..., Any]

    def __call__(self, *args: Any) -> Any:
        item = args[-1]
        if not is_archive(item.filename):
            return self.other(*args)
        with Archive(item.filename, **self.options) as archive:
            tree = tree_of(archive, item.treename)
            metadata = {
                **(item.metadata or {}),
                "numentries": tree.num_entries,
                "uuid": bytes.fromhex(archive.fingerprint),
                "clusters": [0, *(stop for _, stop in tree.cluster_ranges(0))],
            }
        return set_accumulator([type(item)(item.dataset, item.filename, item.treename, metadata)])


@dataclass(frozen=True)
class _Work:
    """Run a processor over a chunk of an archive; over other files, as coffea does."""

    options: OpenOptions
    other: Callable[..., Any]

    def __call__(
        self, format: str, timeout: int, schema: Any, use_dataframes: bool, savemetrics: bool,
        item: Any, processor_instance: Any, **options: Any,
    ) -> Any:  # fmt: skip
        chunk, process = item, processor_instance
        if isinstance(process, str) and process == "heavy":  # DaskExecutor sends it with each item
            chunk, process = item
        if not is_archive(chunk.filename):
            return self.other(
                format, timeout, schema, use_dataframes, savemetrics, item, processor_instance,
                **options,
            )  # fmt: skip
        if isinstance(process, bytes):
            process = pickle.loads(lz4.frame.decompress(process))
        metadata = _metadata(chunk)
        checkpoints = options.get("checkpointer")
        kept = None if checkpoints is None else checkpoints.load(metadata, process)
        if kept is not None:
            return kept
        out = self._process(chunk, process, schema, metadata, savemetrics, options)
        if use_dataframes:
            out = out["out"]
        if checkpoints is not None:
            checkpoints.save(out, metadata, process)
        return out

    def _process(
        self, chunk: Any, process: Any, schema: Any, metadata: Mapping[str, Any],
        savemetrics: bool, options: Mapping[str, Any],
    ) -> dict[str, Any]:  # fmt: skip
        touched: list[Any] = []
        entries = chunk.entrystart, chunk.entrystop
        how = EventsOptions(
            chunk.treename, schema, entries, metadata, touched, options["cache_function"]()
        )
        with Archive(chunk.filename, **with_cache(self.options)) as archive:
            check_fingerprint(
                archive.fingerprint, chunk.fileuuid.hex(), archive.path,
                hint="start anew, with a new Runner and without an old metadata_cache",
            )  # fmt: skip
            events = build_events(archive, how)
            began = time.perf_counter()
            try:
                out = process.process(events) if hasattr(process, "process") else process(events)
            except VortexError:
                raise
            except Exception as error:
                raise VortexError(
                    f"the processor failed on entries {entries[0]} to {entries[1]}: {error!r}",
                    path=archive.path, tree=chunk.treename,
                ) from error  # fmt: skip
            seconds = time.perf_counter() - began
            if out is None:
                raise VortexError("the processor gave None", hint="return an accumulator")
            result = {"out": out, "processed": {chunk}}
            if savemetrics:
                result["metrics"] = {
                    "bytesread": archive.reader.bytes_read,
                    "columns": {f"{t.branch}-{key_to_tuple(t.buffer_key)[3]}" for t in touched},
                    "entries": len(events),
                    "processtime": seconds,
                }
            return result


def _metadata(chunk: Any) -> dict[str, Any]:
    """What a processor finds in ``events.metadata``."""
    return {
        "dataset": chunk.dataset,
        "filename": chunk.filename,
        "treename": chunk.treename,
        "entrystart": chunk.entrystart,
        "entrystop": chunk.entrystop,
        "fileuuid": str(uuid.UUID(bytes=chunk.fileuuid)),
        **(chunk.usermeta or {}),
    }
