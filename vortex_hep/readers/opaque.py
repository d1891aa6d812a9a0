"""Files of unknown format, stored whole."""

from __future__ import annotations

import os
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import PurePath
from typing import Any

from vortex_hep.core.magic import MAGIC
from vortex_hep.core.schema import TreeSource, Unread
from vortex_hep.core.storage.atomic import atomic_output
from vortex_hep.core.storage.identity import Identity, identity_of, joined_identity
from vortex_hep.core.storage.ranges import ByteSource, open_binary
from vortex_hep.core.storage.whole import whole_if_small
from vortex_hep.errors import CorruptionError, NotFoundError
from vortex_hep.readers.kinds import HEAD_SIZE, ReadCluster, RestoreOptions

#: What names of files promise.
_NAMED = {
    ".root": "ROOT", ".h5": "HDF5", ".hdf5": "HDF5", ".hdf": "HDF5", ".hepmc": "HepMC",
    ".hepmc3": "HepMC", ".hepmc2": "HepMC", ".lhe": "Les Houches event",
}  # fmt: skip
#: Bytes of one blob.
_PIECE = 1 << 24


class OpaqueSource:
    """A file without tables: its remainder is the file itself.

    Parameters
    ----------
    source : ByteSource
    path : str
    reason : str
        Why no tables are presented; shown to users.
    close : callable, optional
        Called by :meth:`close`; by default ``source`` is closed.
    """

    kind = "opaque"

    def __init__(
        self,
        source: ByteSource,
        path: str,
        *,
        reason: str,
        close: Callable[[], object] | None = None,
    ) -> None:
        self.path = path
        self.reason = reason
        self.trees: Mapping[str, TreeSource] = {}
        self._source = source
        self._close = close if close is not None else source.close

    def settle(self) -> None:
        """Nothing to settle."""

    def remainder(self) -> Iterator[tuple[str, bytes]]:
        """The file's bytes, in pieces."""
        for number, start in enumerate(range(0, max(self._source.size, 1), _PIECE)):
            size = min(_PIECE, self._source.size - start)
            yield f"opaque/{number}", bytes(self._source.read_ranges([(start, size)])[0])

    def notes(self) -> list[str]:
        """Return why there are no tables."""
        return [f"carried whole, as bytes: {self.reason}"]

    def unread(self) -> list[Unread]:
        """Return the whole file."""
        return [Unread("", "", self.reason)]

    def exact_forecast(self) -> str:
        """Say that the file comes back as it is."""
        return f"the file ({self._source.size / 1e6:.3g} MB) is {self.notes()[0]}"

    def identity(self) -> Identity:
        """Size and checksum of the file."""
        return identity_of(self._source)

    def close(self) -> None:
        """Close the file, if it was opened here."""
        self._close()

    def __enter__(self) -> OpaqueSource:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def open_file(
    source: Any, *, trees: Sequence[str] | None, exact: bool = False, reason: str = ""
) -> OpaqueSource:
    """Open any file, which comes back byte for byte; see :mod:`vortex_hep.readers.kinds`.

    ``reason`` says why it is carried whole, where its bytes do not.
    """
    path = os.fspath(source)
    if trees:
        raise NotFoundError(
            "no such tree: the file is of no format that has trees", path=path, tree=trees[0]
        )
    bytes_of = whole_if_small(open_binary(source))
    head = bytes_of.read_ranges([(0, min(bytes_of.size, HEAD_SIZE))])[0]
    return OpaqueSource(bytes_of, path, reason=reason or _reason(head, path, bytes_of.size))


def _reason(head: bytes, path: str, size: int) -> str:
    """Say what a file is that no reader knows, above all where its name says otherwise."""
    if not size:
        return "it is empty"
    if head.startswith(MAGIC):
        return "it is a vortex_hep archive or model already"
    suffix = PurePath(path).suffix.lower()
    if suffix in _NAMED:
        return f"its name ends in {suffix}, but it is no {_NAMED[suffix]} file"
    return "of a format that no reader knows"


def restore_file(
    blobs: Mapping[str, bytes],
    trees: Mapping[str, Sequence[tuple[int, int]]],
    read_cluster: ReadCluster,
    out_path: str | os.PathLike[str],
    options: RestoreOptions,
) -> None:
    """Write back a file that was carried whole; see :mod:`vortex_hep.readers.kinds`."""
    if set(blobs) != {f"opaque/{number}" for number in range(len(blobs))} or not blobs:
        raise CorruptionError("pieces of the file are missing", path=os.fspath(out_path))
    with atomic_output(out_path, overwrite=options.overwrite) as out:
        parts = []
        for number in range(len(blobs)):
            blob = blobs[f"opaque/{number}"]
            out.write(blob)
            parts.append((len(blob), zlib.adler32(blob)))
        if options.exact and options.identity is not None:
            options.identity.check(joined_identity(parts), os.fspath(out_path))


def content_of(name: str, blob: bytes) -> Any:
    """Return the blob: nothing of it is a matter of layout."""
    return blob
