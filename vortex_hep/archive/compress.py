"""Compressing files: a file's trees cluster by cluster, then everything else it holds."""

from __future__ import annotations

import contextlib
import inspect
import io
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, BinaryIO, TypeAlias, cast

from vortex_hep.archive.exact import exact_source
from vortex_hep.archive.report import CompressReport
from vortex_hep.archive.write import Settings, write_archive
from vortex_hep.codec.container.container import atomic_output
from vortex_hep.core import storage
from vortex_hep.core.install import install_hint
from vortex_hep.core.options import (
    check_effort,
    checked_options,
    thread_count,
    tree_names,
)
from vortex_hep.core.schema import FileSource, TreeSource
from vortex_hep.core.terminal import ProgressLike, progress_of
from vortex_hep.errors import (
    LayoutError,
    OutputError,
    SourceError,
    UnsupportedTypeError,
)
from vortex_hep.models.find import ModelLike, model_of
from vortex_hep.models.model import Model
from vortex_hep.models.options import TrainOptions
from vortex_hep.models.record_width import width_for
from vortex_hep.nn.coding.engine import get_engine
from vortex_hep.nn.sequence.coder import LaneChoice
from vortex_hep.readers import open_source
from vortex_hep.readers.opaque import open_file as open_whole

#: Raw bytes of columns in a cluster: what a reader of one event pays, and what memory is
#: bounded by.
CLUSTER_BYTES = 16 << 20

#: A binary file that is open for writing.
Writable: TypeAlias = BinaryIO | io.BufferedIOBase | io.RawIOBase


@checked_options
def compress_file(
    source: str | os.PathLike[str] | Any,
    path: str | os.PathLike[str] | Writable,
    *,
    model: ModelLike = None,
    trees: str | Sequence[str] | None = None,
    effort: str = "normal",
    threads: int | None = None,
    device: str = "auto",
    overwrite: bool = False,
    embed_model: bool | None = True,
    check: bool = True,
    exact: bool = False,
    record: int | None = None,
    lanes: LaneChoice | None = None,
    progress: ProgressLike = None,
) -> CompressReport:
    """Compress a file to an archive that restores it.

    Parameters
    ----------
    source : str, path or uproot file
        A path, an fsspec URL, or an open file.
    path : str, path or binary file
        The archive: a local path or a URL, where it appears only when it is complete. A file that
        is open for writing, at its beginning, stays the caller's to close, and to remove after
        an error; one that cannot ``seek`` will do unless the archive must be started over.
    model : Model, str or path, optional
        Predicts the columns. Without one, a model is fitted to the file and embedded, where
        that makes the archive smaller (and torch is installed; the report says if not).
    trees : str or sequence of str, optional
        Only these trees; all by default.
    effort : {"fast", "normal", "max"}
        Time spent on fitting and on classical coders; "max" compares every column with all
        of them.
    threads : int, optional
        Workers that model and code; one per core by default. Reading what comes next, checking and
        writing what is done go on beside them. The archive does not depend on it.
    device : {"auto", "cpu", "cuda"}
        Where a model is fitted and the network runs; what is read back does not depend on it. By
        default a model is fitted on a GPU if torch sees one.
    overwrite : bool
        Whether an existing archive may be replaced.
    embed_model : bool or None
        Whether a given model is stored in the archive, that is, those of its tables that code
        any of it; if not, readers must be given it, or find it beside the archive. None stores it
        where the archive gets no more than 1 % larger, as the command ``vortex-hep compress`` does;
        ``beside_bytes`` of the report tells whether readers will need it.
    check : bool
        Decode every chunk right after it is made and compare it with the source.
    exact : bool
        Promise to restore the file byte for byte, with its adler32, and not only all that it
        holds. :func:`~vortex_hep.exact_forecast` says what that costs; a file that cannot be
        made again is carried whole, without columns.
    record : int, optional
        Take the file as records of so many bytes each, whatever it is: its bytes become one
        column, whose rows a model predicts byte by byte. A model of such records is used so
        without being told; see :func:`~vortex_hep.models.record_width.record_width`.
    lanes : LaneChoice, optional
        How transformers cut rows into lanes and chunks, and whether they keep memory; by default
        as they were trained.
    progress : Progress or bool, optional
        Where progress is shown; True shows it on standard error.

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
        The archive cannot be written, or would be written over the source.

    Notes
    -----
    The archive of a local file gets that file's permissions, as xz does it.
    """
    check_effort(effort)
    if isinstance(model, (str, os.PathLike)) and (target := _path_of(path)) is not None:
        storage.check_distinct(target, model, what="the model")
    model = model_of(model)
    began = time.monotonic()
    selected = tree_names(trees)
    how = Settings(
        effort, thread_count(threads), CLUSTER_BYTES,
        embed_model=True if model is None else embed_model, may_leave_out=model is not None,
        check=check, exact=exact, engine=get_engine(device), lanes=lanes,
        progress=progress_of(progress),
    )  # fmt: skip
    width = width_for(source, record, model)
    with (
        _distinct(source, path),
        open_source(source, trees=selected, exact=exact, record=width) as file,
        _output(path, overwrite=overwrite) as out,
    ):
        how = replace(how, source_bytes=_source_size(file))
        messages = [exact_source(file).exact_forecast()] if exact else []
        if model is None:
            model = _own_model(file, how, device, messages)
        report = _write(file, out, model, how, selected)
        messages += file.notes()
        regret = getattr(file, "regret", lambda: None)()
        origin = _path_of(source)
        if regret and origin is not None and report.stored_bytes > how.source_bytes:
            _start_over(out)
            with open_whole(origin, trees=None, reason=regret) as whole:
                report = _write(whole, out, Model({}), how, None)
                messages += whole.notes()
        report.messages[:0] = messages
    report.path = os.fspath(path) if isinstance(path, (str, os.PathLike)) else _name(path)
    report.source_bytes = how.source_bytes
    report.seconds = time.monotonic() - began
    return report


@contextlib.contextmanager
def _distinct(source: Any, out: str | os.PathLike[str] | Writable) -> Iterator[None]:
    """Refuse to write over the source; in the block, an archive is as private as its source is."""
    origin = _path_of(source)
    if origin is None:
        yield
        return
    target = _path_of(out)
    if target is not None:
        storage.check_distinct(target, origin)
    with storage.permissions_like(origin):
        yield


def _path_of(file: Any) -> str | None:
    """Path of a file, given as such or open; None of what has none, such as arrays."""
    if isinstance(file, (str, os.PathLike)):
        return os.fspath(file)
    # uproot, h5py, and Python's own
    for name in ("file_path", "filename", "name"):
        found = getattr(getattr(file, "file", file), name, None)
        if isinstance(found, (str, os.PathLike)):
            return os.fspath(found)
    return None


@contextlib.contextmanager
def _output(path: str | os.PathLike[str] | Writable, *, overwrite: bool) -> Iterator[BinaryIO]:
    """Where an archive is written to: a file that is made here, or one that is open already."""
    if isinstance(path, (str, os.PathLike)):
        with atomic_output(path, overwrite=overwrite) as out:
            yield out
        return
    if not hasattr(path, "write"):
        raise UnsupportedTypeError(
            f"cannot write to {type(path).__name__}", hint="pass a path, a URL or a binary file"
        )
    out = cast("BinaryIO", path)
    at = _position(out)
    if at:
        raise UnsupportedTypeError(
            f"the file stands at byte {at}, and an archive begins at byte 0",
            path=_name(out), hint="pass a new file",
        )  # fmt: skip
    yield out


def _name(out: Writable) -> str:
    return str(getattr(out, "name", "<file object>"))


def _position(out: BinaryIO) -> int:
    try:
        return out.tell()
    except (OSError, AttributeError):  # a pipe
        return 0


def _start_over(out: BinaryIO) -> None:
    """Make an output empty again."""
    try:
        out.seek(0)
        out.truncate()
    except OutputError:
        raise
    except (OSError, AttributeError) as error:
        raise OutputError(
            "the archive has to be started over, which this output cannot",
            path=_name(out), hint="write to a file",
        ) from error  # fmt: skip


@partial(checked_options, more=list(inspect.signature(compress_file).parameters)[3:])
def compress_tree(
    tree: Any,
    model: ModelLike = None,
    *,
    path: str | os.PathLike[str] | Writable | None = None,
    **options: Any,
) -> CompressReport:
    """Compress what analysis code has at hand: one tree, or arrays in memory.

    Parameters
    ----------
    tree : uproot TTree or RNTuple, h5py Dataset or Group, ak.Array, or dict of arrays
        Arrays have one item, or list of items, per entry.
    model : Model, str or path, optional
        See :func:`compress_file`.
    path : str, path or binary file, optional
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


def _own_model(file: FileSource, how: Settings, device: str, messages: list[str]) -> Model:
    """Fit a model to the file itself; an empty one without torch, or where none pays."""
    from vortex_hep.models.train import can_train, fit_model

    worth: dict[str, list[TreeSource]] = {}
    for tree in file.trees.values():
        if tree.num_entries >= _FEW_ENTRIES:
            worth.setdefault(tree.family, []).append(tree)
    if not worth:
        return Model({})
    if not can_train():
        messages.append(
            f"no network was fitted, for torch is not installed: {install_hint('train')},"
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
    file: FileSource, out: BinaryIO, model: Model, how: Settings, selected: list[str] | None
) -> CompressReport:
    try:
        return write_archive(file, out, model, how, selected)
    except LayoutError:
        # Rare: a later basket contradicts the type of its branch. Start over, laid out anew.
        file.settle()
        _start_over(out)
        return write_archive(file, out, model, how, selected)


def _source_size(file: FileSource) -> int:
    """Bytes of the source; 0 where it is no file."""
    try:
        return storage.stat(file.path).size
    except (SourceError, UnsupportedTypeError):
        return 0
