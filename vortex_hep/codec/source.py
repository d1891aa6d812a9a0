"""Random-access reading: local paths, fsspec URLs and open binary files behind one small face."""

from __future__ import annotations

import os
import stat
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO, Protocol, cast

from vortex_hep.errors import SourceError, TruncatedError, UnsupportedTypeError

Range = tuple[int, int]

#: Ranges nearer than this are fetched in one request; a round trip costs more than the bytes.
COALESCE_GAP = 1 << 16
#: A merged request grows no further than this, so that one read stays bounded in memory.
COALESCE_LIMIT = 1 << 26


class ByteSource(Protocol):
    """Bytes of known size, read by range."""

    name: str
    size: int

    def read_ranges(self, ranges: Sequence[Range]) -> list[bytes]:
        """Bytes of each ``(offset, size)``; a short read raises TruncatedError."""
        ...

    def close(self) -> None:
        """Release what was opened here (not what the caller opened)."""
        ...


def open_binary(source: str | os.PathLike[str] | BinaryIO) -> ByteSource:
    """Open a local path, an fsspec URL or a seekable binary file for ranged reads.

    Parameters
    ----------
    source : str, path or binary file object
        A string with ``://`` goes through fsspec (``root://`` needs fsspec-xrootd).
        A file object stays the caller's to close.

    Returns
    -------
    ByteSource

    Raises
    ------
    SourceError
        The source does not exist or cannot be opened.
    """
    if isinstance(source, (str, os.PathLike)):
        name = os.fspath(source)
        return _UrlSource(name) if "://" in name else _PathSource(name)
    if hasattr(source, "read") and hasattr(source, "seek"):
        return _FileSource(source)
    msg = f"expected a path, a URL or a binary file, got {type(source).__name__}"
    raise UnsupportedTypeError(msg)


def _short(name: str, offset: int, size: int, got: int) -> TruncatedError:
    msg = f"wanted {size} bytes, got {got}"
    return TruncatedError(msg, path=name, offset=offset + got, hint="fetch the file again")


class _FileSource:
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
        if got != size:
            raise _short(self.name, offset, size, got)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def read_ranges(self, ranges: Sequence[Range]) -> list[bytes]:
        return [self._read(offset, size) for offset, size in ranges]

    def close(self) -> None:
        pass


class _PathSource(_FileSource):
    """A local file, opened and closed here."""

    def __init__(self, name: str) -> None:
        try:
            mode = Path(name).stat().st_mode
            if stat.S_ISREG(mode) or stat.S_ISDIR(mode):
                file = Path(name).open("rb", buffering=0)  # noqa: SIM115 - close() closes it
        except (OSError, ValueError) as error:
            msg = f"cannot be opened: {getattr(error, 'strerror', None) or error}"
            raise SourceError(msg, path=name) from error
        if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
            # Opening a pipe would wait for somebody to write to it.
            msg = "cannot be read at random: it is a pipe, a socket or a device"
            raise SourceError(msg, path=name, hint="write it to a file first")
        self._owned = file
        super().__init__(cast("BinaryIO", file), name)

    def close(self) -> None:
        self._owned.close()


class _UrlSource:
    """A URL, read through fsspec; several ranges go out as one ``cat_ranges``."""

    def __init__(self, name: str) -> None:
        from fsspec.core import url_to_fs

        self.name = name
        try:
            filesystem, self._path = url_to_fs(name)
            size = filesystem.size(self._path)
        except Exception as error:  # every backend of fsspec raises its own
            msg = f"cannot be opened: {error}"
            raise SourceError(msg, path=name) from error
        if size is None:
            msg = "the server does not tell the size of the file, so its end cannot be found"
            raise SourceError(msg, path=name, hint="copy the file to local disk first")
        self._filesystem: Any = filesystem
        self.size = int(size)

    def read_ranges(self, ranges: Sequence[Range]) -> list[bytes]:
        starts = [offset for offset, _ in ranges]
        stops = [offset + size for offset, size in ranges]
        try:
            if len(ranges) == 1:
                blobs = [self._filesystem.cat_file(self._path, starts[0], stops[0])]
            else:
                blobs = self._filesystem.cat_ranges(
                    [self._path] * len(ranges), starts, stops, on_error="raise"
                )
        except Exception as error:  # every backend of fsspec raises its own
            msg = f"reading failed: {error}"
            raise SourceError(msg, path=self.name) from error
        for (offset, size), blob in zip(ranges, blobs, strict=True):
            if len(blob) != size:
                raise _short(self.name, offset, size, len(blob))
        return [bytes(blob) for blob in blobs]

    def close(self) -> None:
        pass


def read_coalesced(source: ByteSource, ranges: Sequence[Range]) -> list[memoryview]:
    """Read ranges in the order given, fetching neighbours in one request.

    Parameters
    ----------
    source : ByteSource
    ranges : sequence of (offset, size)
        In any order; may repeat.

    Returns
    -------
    list of memoryview
    """
    order = sorted(range(len(ranges)), key=lambda i: ranges[i])
    merged: list[list[int]] = []
    where = [0] * len(ranges)
    for i in order:
        start, stop = ranges[i][0], ranges[i][0] + ranges[i][1]
        if (
            merged
            and start - merged[-1][1] <= COALESCE_GAP
            and max(stop, merged[-1][1]) - merged[-1][0] <= COALESCE_LIMIT
        ):
            merged[-1][1] = max(merged[-1][1], stop)
        else:
            merged.append([start, stop])
        where[i] = len(merged) - 1
    blobs = source.read_ranges([(start, stop - start) for start, stop in merged]) if merged else []
    views = []
    for (offset, size), m in zip(ranges, where, strict=True):
        begin = offset - merged[m][0]
        views.append(memoryview(blobs[m])[begin : begin + size])
    return views
