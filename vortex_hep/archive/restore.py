"""Restoring archives to files."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from vortex_hep.archive.archive import Archive
from vortex_hep.archive.archive import open as open_archive
from vortex_hep.core import storage
from vortex_hep.core.options import checked_options
from vortex_hep.core.progress import Progress
from vortex_hep.core.schema import Cluster
from vortex_hep.core.storage.atomic import output_error
from vortex_hep.core.terminal import ProgressLike, progress_of
from vortex_hep.errors import CorruptionError, MissingError, OutputError, UnsupportedFeatureError
from vortex_hep.models.find import ModelLike

if TYPE_CHECKING:
    from vortex_hep.core.storage.identity import Identity
    from vortex_hep.readers.kinds import RestoreOptions


@checked_options
def restore(
    path: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    model: ModelLike = None,
    compression: str | None = None,
    exact: bool = True,
    overwrite: bool = False,
    threads: int | None = None,
    scratch: str | os.PathLike[str] | None = None,
    progress: ProgressLike = None,
) -> None:
    """Restore the file that an archive was made from.

    Parameters
    ----------
    path : str or path
        The archive; a path or a URL.
    out : str or path
        The file to write, a local path or a URL; it appears only when it is complete.
    model : Model, str or path, optional
        Where the archive does not hold its own.
    compression : str
        For ROOT files: ``"original"`` (the default: what each branch of the source was compressed
        with, so that a restored file is as large as that was), ``"zstd:5"``, ``"zlib:1"``,
        ``"lzma:9"``, ``"lz4:4"`` (any level) or ``"none"``. LZMA is slow to write: ``"zstd:5"`` is
        the quickest way to a small file. Of no effect where the original's bytes are restored.
    exact : bool
        Restore the original's bytes where the archive promises them. False writes a file that
        holds the same, as from an archive that promises nothing.
    overwrite : bool
        Whether an existing file may be replaced.
    threads : int, optional
        Workers; one per core by default.
    scratch : str or path, optional
        Local folder with room for the whole file, where ``out`` is a URL: the file is made there
        first. By default, the one for temporary files.
    progress : Progress or bool, optional
        Where progress is shown; True shows it on standard error.

    Raises
    ------
    CorruptionError
        The archive is damaged, or the file is not the original that it promises; nothing is
        written.
    ModelMismatchError
        The archive needs a model that was not given.
    OutputError
        The file cannot be written, or would be written over the archive.

    Notes
    -----
    The restored file gets the permissions of the archive, as xz does it.
    """
    from vortex_hep.readers.kinds import RestoreOptions

    progress = progress_of(progress)
    target = os.fspath(out)
    storage.check_distinct(target, path, what="the archive")
    if isinstance(model, (str, os.PathLike)):
        storage.check_distinct(target, model, what="the model")
    with (
        open_archive(path, model=model, threads=threads) as archive,
        storage.permissions_like(path),
    ):
        if not storage.is_url(target):
            options = RestoreOptions(compression, overwrite, exact, archive.identity)
            _restore(archive, target, options, progress)
            return
        _check_free(target, overwrite=overwrite)
        with _scratch_folder(scratch) as folder:
            local = str(Path(folder) / "restored")
            options = RestoreOptions(compression, False, exact, archive.identity)
            try:
                _restore(archive, local, options, progress)
            except (CorruptionError, UnsupportedFeatureError) as error:
                # What is wrong with the archive is not a matter of the folder for a while.
                error.path = target if error.path == local else error.path
                raise
            _deliver(local, target, overwrite=overwrite)


def _restore(archive: Archive, out: str, options: RestoreOptions, progress: Progress) -> None:
    """Restore a file at a local path."""
    from vortex_hep.readers.kinds import KINDS, kind_module, unit_of

    kind = str(archive.source.get("kind"))
    if kind not in KINDS:
        raise UnsupportedFeatureError(
            f"made from a file of kind {kind!r}, which is unknown",
            path=archive.path, hint="update vortex_hep",
        )  # fmt: skip
    total = sum(t.num_entries for t in archive.coded.values())
    with progress.task("restoring", total, unit=unit_of(kind)) as task:

        def read(tree: str, start: int, stop: int) -> Cluster:
            cluster = archive[tree].read(start, stop)
            task.advance(stop - start)
            return cluster

        kind_module(kind).restore_file(
            archive.blobs(),
            {name: tree.cluster_ranges(0) for name, tree in archive.trees.items()},
            read,
            out,
            options,
        )


@contextlib.contextmanager
def _scratch_folder(scratch: str | os.PathLike[str] | None) -> Iterator[str]:
    """A new local folder, removed in the end with all in it."""
    try:
        folder = tempfile.TemporaryDirectory(prefix="vortex-", dir=scratch)
    except OSError as error:
        raise output_error(error, os.fspath(scratch or tempfile.gettempdir())) from error
    with folder as name:
        yield name


def _check_free(url: str, *, overwrite: bool) -> None:
    """Raise OutputError where a file cannot get this name; before any work."""
    try:
        there = storage.stat(url)
    except MissingError:
        return
    except OSError as error:  # what cannot be asked for cannot be written
        raise output_error(error, url) from error
    if there.is_folder:
        raise output_error(IsADirectoryError(errno.EISDIR, "it is a folder"), url)
    if not overwrite:
        found = OutputError("the file exists already", path=url, hint="pass overwrite=True")
        found.errno = errno.EEXIST
        raise found


def _deliver(local: str, url: str, *, overwrite: bool) -> None:
    """Copy a file to a URL, where it gets its name once it is known to be the same there."""
    name = f".{storage.name(url)[:200]}.{secrets.token_hex(6)}.tmp"
    temporary = storage.join(storage.parent(url), name)
    try:
        sent = storage.upload(local, temporary)
        _check_arrived(storage.identity(temporary), sent, url)
        storage.rename(temporary, url, overwrite=overwrite)
    except BaseException:
        with contextlib.suppress(OSError):
            storage.remove(temporary)
        raise


def _check_arrived(found: Identity, sent: Identity, url: str) -> None:
    if found != sent:
        raise OutputError(
            f"{found} have arrived, where {sent} were sent", path=url,
            hint="try again; if it stays so, its server or the network damages files",
        )  # fmt: skip
