"""The protocol of storage backends, and the backend of a path."""

from __future__ import annotations

from typing import Protocol

from vortex_hep.core.storage.bytesource import ByteSource
from vortex_hep.core.storage.paths import XROOTD_SCHEMES, scheme
from vortex_hep.core.storage.status import Stat


class Sink(Protocol):
    """A file that is being written from its beginning on."""

    def write(self, data: memoryview) -> None:
        """Append."""
        ...

    def restart(self) -> None:
        """Make it empty again."""
        ...

    def finish(self) -> None:
        """Make durable what was written, and close."""
        ...

    def abort(self, error: BaseException | None) -> None:
        """Close and remove; raises nothing. ``error`` is why."""
        ...


class Backend(Protocol):
    """Files of one kind of place. Methods raise OSErrors with a number, or what a library does."""

    def stat(self, path: str) -> Stat:
        """Size, time and kind."""
        ...

    def entries(self, folder: str) -> list[tuple[str, Stat]]:
        """Names in a folder, in any order."""
        ...

    def make_folder(self, path: str) -> None:
        """Make a folder with all above it; fine if it is there."""
        ...

    def remove_file(self, path: str) -> None:
        """Remove a file."""
        ...

    def remove_folder(self, path: str) -> None:
        """Remove an empty folder."""
        ...

    def rename(self, old: str, new: str, *, overwrite: bool) -> None:
        """Give a file another name."""
        ...

    def checksum(self, path: str, size: int) -> int | None:
        """The Adler-32 as the server knows it; None if it does not."""
        ...

    def sink(self, path: str) -> Sink:
        """Make a file anew, in place of one that is there, in a folder that is there."""
        ...

    def source(self, path: str) -> ByteSource:
        """Open a file to read it."""
        ...


def backend_of(path: str) -> Backend:
    """Give the backend for a path or URL."""
    kind = scheme(path)
    if kind == "file":
        from vortex_hep.core.storage.local import LocalBackend

        return LocalBackend()
    if kind in XROOTD_SCHEMES:
        from vortex_hep.core.storage.xrootd.backend import XrootdBackend

        return XrootdBackend()
    from vortex_hep.core.storage.generic import FsspecBackend

    return FsspecBackend()
