"""Random-access reading: local paths, URLs and open binary files behind one small face."""

from __future__ import annotations

import os
import stat
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO, cast

from vortex_hep.core.storage import traffic
from vortex_hep.core.storage.backend import backend_of
from vortex_hep.core.storage.bytesource import ByteSource, Range, short_read
from vortex_hep.core.storage.failures import source_error
from vortex_hep.core.storage.paths import is_url
from vortex_hep.errors import SourceError, UnsupportedTypeError


def open_binary(source: str | os.PathLike[str] | BinaryIO) -> ByteSource:
    """Open a local path, a URL or a seekable binary file for ranged reads.

    Parameters
    ----------
    source : str, path or binary file object
        A string with ``://`` is a URL: ``root://`` is read with the XRootD client, all else with
        fsspec. A file object stays the caller's to close.

    Returns
    -------
    ByteSource
        Its ranges can be asked for by several threads at once.

    Raises
    ------
    MissingError, DeniedError, NetworkError, SourceError
        The source does not exist or cannot be opened.
    UnsupportedFeatureError
        What reads such a URL is not installed.
    """
    if isinstance(source, (str, os.PathLike)):
        name = os.fspath(source)
        return backend_of(name).source(name) if is_url(name) else PathSource(name)
    if hasattr(source, "read") and hasattr(source, "seek"):
        return FileObjectSource(source)
    msg = f"expected a path, a URL or a binary file, got {type(source).__name__}"
    raise UnsupportedTypeError(msg)


class FileObjectSource:
    """A seekable file that somebody else opened."""

    def __init__(self, file: BinaryIO, name: str | None = None) -> None:
        self._file = file
        self._lock = threading.Lock()  # seek and read must not be torn apart
        self.name = name if name is not None else str(getattr(file, "name", "<file object>"))
        try:
            self.size = file.seek(0, os.SEEK_END)
        except (OSError, ValueError) as error:
            msg = f"the file is not seekable: {error}"
            raise SourceError(msg, path=self.name) from error

    def _read(self, offset: int, size: int) -> bytes:
        parts: list[bytes] = []
        got = 0
        try:
            with self._lock:
                self._file.seek(offset)
                while got < size:  # raw files may return less than asked for
                    part = self._file.read(size - got)
                    if not part:
                        break
                    parts.append(part)
                    got += len(part)
        except (OSError, ValueError) as error:
            msg = f"reading failed: {error}"
            raise SourceError(msg, path=self.name, offset=offset) from error
        traffic.note(1, got)
        if got != size:
            raise short_read(self.name, offset, size, got)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def read_ranges(self, ranges: Sequence[Range]) -> list[bytes]:
        """Bytes of each ``(offset, size)``."""
        return [self._read(offset, size) for offset, size in ranges]

    def close(self) -> None:
        """Leave the caller's file open."""


class PathSource(FileObjectSource):
    """A local file, opened and closed here."""

    def __init__(self, name: str) -> None:
        try:
            mode = Path(name).stat().st_mode
            if stat.S_ISREG(mode) or stat.S_ISDIR(mode):
                file = Path(name).open("rb", buffering=0)  # noqa: SIM115 - close() closes it
        except OSError as error:
            raise source_error(error, name, doing="cannot be opened") from error
        except ValueError as error:  # a null byte in the name
            raise SourceError(f"cannot be opened: {error}", path=name) from error
        if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
            # Opening a pipe would wait for somebody to write to it.
            msg = "cannot be read at random: it is a pipe, a socket or a device"
            raise SourceError(msg, path=name, hint="write it to a file first")
        self._owned = file
        super().__init__(cast("BinaryIO", file), name)

    def close(self) -> None:
        """Close the file."""
        self._owned.close()
