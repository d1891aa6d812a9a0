"""The kinds of files, and detection of a file's kind.

Each kind is a subpackage (or module) of :mod:`vortex_hep.readers` that is imported when a file of
that kind is met, and gives three functions:

* ``open_file(source, *, trees, exact) -> FileSource``
* ``restore_file(blobs, trees, read_cluster, out_path, options)`` writes the file anew
* ``content_of(name, blob)`` says what a blob of the remainder means, whatever its layout on disk
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, cast

from vortex_hep.core.conversions import Conversion
from vortex_hep.core.schema import Cluster, FileSource
from vortex_hep.core.storage.identity import Identity

#: Module of each kind of source (``FileSource.kind``), as archives name it.
KINDS = {
    "root": "vortex_hep.readers.root",
    "hepmc": "vortex_hep.readers.hepmc",
    "hdf5": "vortex_hep.readers.hdf5",
    "arrays": "vortex_hep.readers.arrays.memory",
    "opaque": "vortex_hep.readers.opaque",
    "bytes": "vortex_hep.readers.records",
}

#: Modules of kinds whose columns may hold items that are not yet values.
_VALUES = {"hdf5": "vortex_hep.readers.hdf5.values"}

#: What texts of events, gzip and Zstandard begin with: only then is it worth looking closer.
_MAY_BE_HEPMC = (
    b"HepMC::",
    b"<LesHouchesEvents",
    b"<?xml",
    b"<!--",
    b"\x1f\x8b\x08",
    b"\x28\xb5\x2f\xfd",
)

#: What an HDF5 superblock begins with (HDF5 File Format Specification, II.A).
_HDF5_SIGNATURE = b"\x89HDF\r\n\x1a\n"

#: Bytes from which a kind is told.
HEAD_SIZE = 4096


@dataclass(frozen=True)
class RestoreOptions:
    """What a user may choose of a restored file.

    Parameters
    ----------
    compression : str, optional
        For ROOT files: ``"zstd:5"`` and the like, ``"none"``, or ``"original"``; None for
        the kind's default. Of no effect on a file that is restored byte for byte.
    overwrite : bool
        Whether an existing file may be replaced.
    exact : bool
        Whether an archive that promises the original's bytes gives these.
    identity : Identity, optional
        What such an archive promises.
    """

    compression: str | None = None
    overwrite: bool = False
    exact: bool = True
    identity: Identity | None = None


#: Gives all columns of some entries of a tree: ``(tree name, start, stop) -> Cluster``.
ReadCluster = Callable[[str, int, int], Cluster]


class ExactSource(FileSource, Protocol):
    """A file that is to be restored byte for byte."""

    def exact_forecast(self) -> str:
        """Say in a line what share of the file can be made again, and what that costs."""
        ...

    def identity(self) -> Identity:
        """Size and checksum of the file."""
        ...


class KindModule(Protocol):
    """What the module of a kind offers."""

    def open_file(
        self, source: Any, *, trees: Sequence[str] | None, exact: bool = False
    ) -> FileSource:
        """Open a file (path, URL, or what the kind's own library calls open).

        With ``exact`` its remainder is enough to restore the file byte for byte, and it has the
        methods of :class:`ExactSource`.
        """
        ...

    def restore_file(
        self, blobs: Mapping[str, bytes], trees: Mapping[str, Sequence[tuple[int, int]]],
        read_cluster: ReadCluster, out_path: str | os.PathLike[str], options: RestoreOptions,
    ) -> None:  # fmt: skip
        """Write the file that remainder and trees came from."""
        ...

    def content_of(self, name: str, blob: bytes) -> Any:
        """Return what a blob says of the content of a file; equal for files that hold the same."""
        ...


def kind_module(kind: str) -> KindModule:
    """Import the module of a kind.

    Raises
    ------
    KeyError
        There is no such kind.
    """
    return cast("KindModule", importlib.import_module(KINDS[kind]))


def conversions(kind: str, blobs: Mapping[str, bytes]) -> Mapping[str, Mapping[str, Conversion]]:
    """How columns become values, by tree and column, where they are not values as they are.

    Parameters
    ----------
    kind : str
    blobs : mapping of str to bytes
        The remainder.

    Raises
    ------
    CorruptionError
        The remainder is damaged.
    """
    if kind not in _VALUES:
        return {}
    found = importlib.import_module(_VALUES[kind]).conversions(blobs)
    return cast("Mapping[str, Mapping[str, Conversion]]", found)


def unit_of(kind: str) -> str:
    """What the entries of a kind are called where progress is shown."""
    return {"bytes": "records", "hepmc": "events"}.get(kind, "entries")


def kind_of(head: bytes) -> str:
    """Tell the kind of a file from its first :data:`HEAD_SIZE` bytes.

    Never ``"bytes"`` and ``"arrays"``: nothing in a file says that it is to be taken so.
    """
    if _is_root(head):
        return "root"
    if head.lstrip().startswith(_MAY_BE_HEPMC) or head[257:262] == b"ustar":
        from vortex_hep.readers.hepmc.packed.finding import is_hepmc

        if is_hepmc(head):
            return "hepmc"
    if hdf5_signature(head) is not None:
        return "hdf5"
    return "opaque"


def _is_root(head: bytes) -> bool:
    """Tell whether a file starts as ROOT files do, and not only as text about roots does.

    Behind the magic are two big-endian integers (``TFile::WriteHeader``): fVersion, below 2^24 with
    the mark of 64 bits in it, and fBEGIN, which is 100. A small file whose mark was taken away all
    the same has a negative fVersion; such were written by early releases of uproot.
    """
    if not head.startswith((b"root\0", b"root\xff")) or any(head[8:10]):
        return False
    return len(head) < 12 or any(head[10:12])


def hdf5_signature(head: bytes) -> int | None:
    """Position of an HDF5 superblock in the first bytes of a file; None if there is none.

    It stands behind a user block of 0, 512, 1024, ... bytes.
    """
    for at in (0, 512, 1024, 2048):
        if head.startswith(_HDF5_SIGNATURE, at):
            return at
    return None
