"""Partitions of collections of dask-awkward: the ranges of archives that tasks read."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import awkward as ak

from vortex_hep.analysis.extras import needs
from vortex_hep.archive.archive import Archive, OpenOptions
from vortex_hep.archive.handle import check_fingerprint

with needs("dask"):
    from dask_awkward.lib.io.columnar import ColumnProjectionMixin
    from dask_awkward.lib.unproject_layout import unproject_layout


@dataclass(frozen=True)
class Partition:
    """What one task reads: a range of entries of one tree of one archive."""

    path: str
    tree: str
    start: int
    stop: int
    fingerprint: str


@dataclass(frozen=True)
class ReadArchive(ColumnProjectionMixin):  # type: ignore[misc]
    """Reads a partition; dask-awkward narrows it down to the columns that are used.

    Parameters
    ----------
    form : ak.forms.RecordForm
        Of all columns that the collection has.
    columns : tuple of str
        Those that are read.
    options : OpenOptions
    """

    form: Any
    columns: tuple[str, ...]
    options: OpenOptions

    def __call__(self, part: Partition) -> Any:
        """Decode the columns of a partition.

        Raises
        ------
        ChangedError
            The archive is another one than when the collection was made.
        VortexError
            As :func:`vortex_hep.open` and :meth:`~vortex_hep.archive.archive.ArchiveTree.arrays`.
        """
        with Archive(part.path, **self.options) as archive:
            check_fingerprint(
                archive.fingerprint, part.fingerprint, archive.path,
                hint="make the collection anew",
            )  # fmt: skip
            array = archive[part.tree].arrays(
                list(self.columns), entry_start=part.start, entry_stop=part.stop
            )
        return ak.Array(unproject_layout(self.form, array.layout))

    def project_columns(self, columns: frozenset[str]) -> ReadArchive:
        """Read no more columns than these."""
        return replace(self, columns=tuple(c for c in self.columns if c in columns))

    project_manually = project_columns

    @property
    def behavior(self) -> None:
        """Records of archives have none."""
        return

    @property
    def attrs(self) -> None:
        """Arrays of archives have none."""
        return

    @property
    def use_optimization(self) -> bool:
        """Columns are always left out where they are not used."""
        return True
