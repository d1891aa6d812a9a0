"""The kinds of files there are, and which of them a file is.

Each kind is a subpackage (or module) of :mod:`vortex_hep.readers` that is imported when a file of
that kind is met, and gives three functions:

* ``open_file(source, *, trees) -> FileSource``
* ``restore_file(blobs, trees, read_cluster, out_path, options)`` writes the file anew
* ``content_of(name, blob)`` says what a blob of the remainder means, whatever its layout on disk
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, cast

from vortex_hep.schema import Cluster, FileSource

#: Module of each kind of source (``FileSource.kind``), as archives name it.
KINDS = {
    "root": "vortex_hep.readers.root",
    "opaque": "vortex_hep.readers.opaque",
}

#: Bytes from which a kind is told.
HEAD_SIZE = 4096


@dataclass(frozen=True)
class RestoreOptions:
    """What a user may choose of a restored file.

    Parameters
    ----------
    compression : str
        For ROOT files: ``"zstd:5"`` and the like, ``"none"``, or ``"original"``.
    overwrite : bool
        Whether an existing file may be replaced.
    """

    compression: str = "zstd:5"
    overwrite: bool = False


#: Gives all columns of some entries of a tree: ``(tree name, start, stop) -> Cluster``.
ReadCluster = Callable[[str, int, int], Cluster]


class KindModule(Protocol):
    """What the module of a kind offers."""

    def open_file(self, source: Any, *, trees: Sequence[str] | None) -> FileSource:
        """Open a file (path, URL, or what the kind's own library calls open)."""
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


def kind_of(head: bytes) -> str:
    """Tell the kind of a file from its first :data:`HEAD_SIZE` bytes."""
    if head.startswith(b"root"):
        return "root"
    return "opaque"
