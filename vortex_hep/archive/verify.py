"""Verification of archives: sound, and equal to the files they came from."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from vortex_hep.archive.archive import Archive
from vortex_hep.archive.archive import open as open_archive
from vortex_hep.core.progress import SILENT, Progress
from vortex_hep.core.schema import FileSource, TreeSource, Unread
from vortex_hep.models.model import Model

if TYPE_CHECKING:
    from vortex_hep.core.storage.identity import Identity
    from vortex_hep.readers.kinds import ExactSource


@dataclass
class VerifyReport:
    """What a verification found.

    Parameters
    ----------
    path : str
    against : str or None
    entries, raw_bytes : int
        What was decoded.
    differences : list of str
        One line each; empty where all is equal.
    """

    path: str
    against: str | None
    entries: int
    raw_bytes: int
    differences: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether nothing differs."""
        return not self.differences


class _AsSource:
    """An archive in the role of a source file, for comparison with one."""

    def __init__(self, archive: Archive) -> None:
        self.path = archive.path
        self.kind = str(archive.source.get("kind"))
        self.trees: Mapping[str, TreeSource] = archive.coded
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


def verify(
    path: str | os.PathLike[str],
    *,
    against: str | os.PathLike[str] | Any | None = None,
    model: Model | None = None,
    threads: int | None = None,
    progress: Progress | None = None,
) -> VerifyReport:
    """Check every byte of an archive by decoding all of it; compare it with its source.

    Parameters
    ----------
    path : str or path
        The archive; a path or an fsspec URL.
    against : str, path or uproot file, optional
        The source: trees, types, titles and every bit of the data are compared, and its adler32
        where the archive promises that.
    model : Model, optional
        Where the archive does not hold its own.
    threads : int, optional
        Workers; one per core by default.
    progress : Progress, optional

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

    progress = progress or SILENT
    with open_archive(path, model=model, threads=threads) as archive:
        archive.reader.verify()
        entries = sum(t.num_entries for t in archive.coded.values())
        report = VerifyReport(archive.path, None, entries, archive.info()["raw_bytes"])
        if against is not None:
            with _opened(archive, against) as source:
                report.against = str(source.path)
                report.differences = compare_sources(_AsSource(archive), source)
                if archive.identity is not None:
                    report.differences += _other_bytes(archive.identity, exact_source(source))
        # What the comparison has decoded is checked already.
        unit = unit_of(str(archive.source.get("kind")))
        with progress.task("decoding", entries, unit=unit) as task:
            for tree in archive.coded.values():
                for number, (start, stop, _) in enumerate(tree.clusters):
                    tree.check(number)
                    task.advance(stop - start)
        report.raw_bytes += sum(len(blob) for _, blob in archive.remainder())
        return report
