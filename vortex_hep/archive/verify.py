"""Verification of archives: sound, and equal to the files they came from."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

from vortex_hep.archive.archive import Archive
from vortex_hep.archive.archive import open as open_archive
from vortex_hep.archive.report import VerifyReport
from vortex_hep.core.options import checked_options
from vortex_hep.core.progress import Task
from vortex_hep.core.schema import Cluster, FileSource, TreeSource, Unread
from vortex_hep.core.terminal import ProgressLike, progress_of
from vortex_hep.models.find import ModelLike

if TYPE_CHECKING:
    from vortex_hep.archive.tree import ArchiveTree
    from vortex_hep.core.storage.identity import Identity
    from vortex_hep.readers.kinds import ExactSource


class _Watched:
    """A tree that reports what is read of it; in all else it is the tree."""

    def __init__(self, tree: ArchiveTree, task: Task) -> None:
        self._tree, self._task = tree, task

    def __getattr__(self, name: str) -> Any:
        return getattr(self._tree, name)

    def read(self, start: int, stop: int, columns: Sequence[str] | None = None) -> Cluster:
        """Read entries as tables."""
        out = self._tree.read(start, stop, columns)
        self._task.advance(stop - start)
        return out


class _AsSource:
    """An archive in the role of a source file, for comparison with one."""

    def __init__(self, archive: Archive, task: Task) -> None:
        self.path = archive.path
        self.kind = str(archive.source.get("kind"))
        self.trees: Mapping[str, TreeSource] = {
            name: cast("TreeSource", _Watched(tree, task)) for name, tree in archive.coded.items()
        }
        self.remainder = archive.remainder
        self._unread = archive.unread

    def settle(self) -> None:
        """Nothing to lay out anew."""

    def notes(self) -> list[str]:
        """Nothing to say."""
        return []

    def unread(self) -> list[Unread]:
        """What the archive says that its source has."""
        return self._unread

    def __enter__(self) -> _AsSource:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing to close."""

    def close(self) -> None:
        """Nothing to close: the archive belongs to the caller."""


def _opened(archive: Archive, against: Any) -> FileSource:
    """Open what an archive is compared with, as a file of the archive's kind."""
    from vortex_hep.readers import open_source
    from vortex_hep.readers.kinds import kind_module

    kind = archive.source.get("kind")
    if kind == "opaque" and isinstance(against, (str, os.PathLike)):
        # A file that was carried whole for its bytes has a reader, but it is the bytes that count.
        return kind_module("opaque").open_file(against, trees=None)
    if kind == "bytes":
        from vortex_hep.readers.records import width_of

        return open_source(against, record=width_of(archive.coded, archive.path))
    return open_source(against, trees=archive.source.get("trees"))


def _other_bytes(promised: Identity, source: ExactSource) -> list[str]:
    found = source.identity()
    return [] if found == promised else [f"{found}, where the archive promises {promised}"]


@checked_options
def verify(
    path: str | os.PathLike[str],
    *,
    against: str | os.PathLike[str] | Any | None = None,
    model: ModelLike = None,
    threads: int | None = None,
    progress: ProgressLike = None,
) -> VerifyReport:
    """Check every byte of an archive by decoding all of it; compare it with its source.

    Parameters
    ----------
    path : str or path
        The archive; a path or an fsspec URL.
    against : str, path or uproot file, optional
        The source: trees, types, titles and every bit of the data are compared, and its adler32
        where the archive promises that.
    model : Model, str or path, optional
        Where the archive does not hold its own.
    threads : int, optional
        Workers; one per core by default.
    progress : Progress or bool, optional
        Where progress is shown; True shows it on standard error.

    Returns
    -------
    VerifyReport
        Differences are reported, not raised.

    Raises
    ------
    CorruptionError
        The archive is damaged.
    ModelMismatchError
        The archive needs a model that was not given.
    SourceError
        The archive, or the file to compare with, cannot be read.
    """
    from vortex_hep.archive.exact import exact_source
    from vortex_hep.readers import compare_sources
    from vortex_hep.readers.kinds import unit_of

    progress = progress_of(progress)
    with open_archive(path, model=model, threads=threads) as archive:
        unit = unit_of(str(archive.source.get("kind")))
        archive.reader.verify()
        entries = sum(t.num_entries for t in archive.coded.values())
        report = VerifyReport(archive.path, None, entries, archive.info()["raw_bytes"])
        if against is not None:
            with _opened(archive, against) as source:
                report.against = str(source.path)
                with progress.task("comparing", entries, unit=unit) as task:
                    found = compare_sources(_AsSource(archive, task), source)
                report.differences = [str(line) for line in found]
                report.outside = [str(line) for line in found if line.outside]
                if archive.identity is not None:
                    bytes_differ = _other_bytes(archive.identity, exact_source(source))
                    report.differences += bytes_differ
                    report.outside += bytes_differ
        # What the comparison has decoded is checked already.
        rest = [
            (tree, number, stop - start)
            for tree in archive.coded.values()
            for number, (start, stop, _) in enumerate(tree.clusters)
            if tree.unchecked(number)
        ]
        if rest:
            with progress.task("decoding", sum(size for _, _, size in rest), unit=unit) as task:
                for tree, number, size in rest:
                    tree.check(number)
                    task.advance(size)
        report.raw_bytes += sum(len(blob) for _, blob in archive.remainder())
        return report
