"""Files that no reader understands: carried whole."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import Any

from vortex_hep.readers.bytesource import ByteReader
from vortex_hep.readers.rootwriter import RootWriter
from vortex_hep.schema import TreeSource

#: Bytes of one blob.
_PIECE = 1 << 24


class OpaqueSource:
    """A file without tables: its remainder is the file itself.

    Parameters
    ----------
    file : uproot.ReadOnlyFile
    path : str
    owned : bool
        Whether :meth:`close` closes ``file``.
    reason : str
        Why its trees are not presented.
    """

    kind = "opaque"

    def __init__(self, file: Any, path: str, *, owned: bool, reason: str) -> None:
        self.path = path
        self.reason = reason
        self.trees: Mapping[str, TreeSource] = {}
        self._file = file
        self._owned = owned
        self._reader = ByteReader(file.source, path)

    def settle(self) -> dict[str, tuple[str, ...]]:
        """Nothing to settle."""
        return {}

    def remainder(self) -> Iterator[tuple[str, bytes]]:
        """The file's bytes, in pieces."""
        for number, start in enumerate(range(0, max(self._reader.size, 1), _PIECE)):
            size = min(_PIECE, self._reader.size - start)
            yield f"opaque/{number}", bytes(self._reader.read(start, size))

    def close(self) -> None:
        """Close the file, if it was opened here."""
        if self._owned:
            self._file.close()

    def __enter__(self) -> OpaqueSource:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def restore_opaque(
    blobs: Mapping[str, bytes], out_path: str | os.PathLike[str], *, overwrite: bool
) -> None:
    """Write back a file that was carried whole."""
    with RootWriter(out_path, overwrite=overwrite) as writer:
        number = 0
        while f"opaque/{number}" in blobs:
            writer.write(blobs[f"opaque/{number}"])
            number += 1
