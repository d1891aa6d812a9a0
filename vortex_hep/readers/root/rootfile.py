"""A ROOT file as the source of an archive."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from vortex_hep.core.schema import TreeSource, Unread
from vortex_hep.core.storage.identity import Identity
from vortex_hep.readers.conventions.bundles import bundled
from vortex_hep.readers.root.contents import RootContents
from vortex_hep.readers.root.exact.promise import Exact
from vortex_hep.readers.root.skeleton import write_blobs


class RootFileSource:
    """A ROOT file as a :class:`~vortex_hep.core.schema.FileSource`.

    Parameters
    ----------
    file : uproot.ReadOnlyFile
    path : str
    owned : bool
        Whether :meth:`close` closes ``file``.
    trees : sequence of str, optional
        Trees to present; the others are left out of a restored file too.
    exact : bool
        Whether the restored file is to be the same byte for byte.

    Raises
    ------
    UnsupportedFeatureError
        It is, but trees are to be left out.
    NotPresentableError
        The file can only be carried whole.
    """

    kind = "root"

    def __init__(
        self,
        file: Any,
        path: str,
        *,
        owned: bool,
        trees: Sequence[str] | None = None,
        exact: bool = False,
    ) -> None:
        self.path = path
        self._file = file
        self._owned = owned
        self._contents = RootContents(file, path, trees)
        self.sources = self._contents.sources
        self.trees: Mapping[str, TreeSource] = bundled(self.sources)
        self._exact = Exact(self._contents) if exact else None

    def objects(self) -> Iterator[tuple[str, str, int, bytes]]:
        """Path, class, cycle and uncompressed bytes of all objects that are not trees."""
        return self._contents.objects()

    def fixed(self) -> list[tuple[int, int]]:
        """Ranges (offset, size) that a restored file has at the same place."""
        return self._contents.fixed

    def bytes_at(self, offset: int, size: int) -> bytes:
        """Bytes of the file, fewer where it ends before."""
        reader = self._contents.records.reader
        return bytes(reader.read(offset, max(0, min(size, reader.size - offset))))

    def tail(self) -> Iterator[bytes]:
        """Bytes behind the end that the file's header states, in pieces."""
        return self._contents.tail()

    def settle(self) -> dict[str, tuple[str, ...]]:
        """Check all data against the layout of the tables; lay out anew what does not fit.

        Needed only after :class:`~vortex_hep.errors.LayoutError`.

        Returns
        -------
        dict of str to tuple of str
            Branches with another layout, by tree.
        """
        return {name: tree.settle() for name, tree in self.sources.items()}

    def remainder(self) -> Iterator[tuple[str, bytes]]:
        """Named blobs that, with the trees' data, are all that is needed to restore the file.

        Baskets that were not read before are read now, so call this after reading.
        """
        blobs = write_blobs(self._contents)
        return blobs if self._exact is None else self._exact.extended(blobs)

    def identity(self) -> Identity:
        """Size and checksum of the file."""
        return self._contents.identity

    def exact_forecast(self) -> str:
        """Say what share of the file can be made again byte for byte, and what that costs."""
        return (self._exact or Exact(self._contents)).forecast()

    def notes(self) -> list[str]:
        """What is in no column; what came of the promise to restore the file byte for byte."""
        out = [unread.text for unread in self.unread()]
        return out if self._exact is None else [*out, *self._exact.notes()]

    def regret(self) -> str | None:
        """Say that a file which is to come back byte for byte is smaller when carried whole."""
        return None if self._exact is None else self._exact.regret()

    def unread(self) -> list[Unread]:
        """Trees and branches that no column presents, and why."""
        return self._contents.unread()

    def close(self) -> None:
        """Close the file, if it was opened here."""
        if self._owned:
            self._file.close()

    def __enter__(self) -> RootFileSource:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
