"""Files through fsspec: ``https://``, ``memory://``, ``s3://`` and others."""

from __future__ import annotations

import contextlib
import datetime
import errno
from collections.abc import Sequence
from typing import Any

from vortex_hep.core.storage import traffic
from vortex_hep.core.storage.bytesource import Range, check_ranges, short_read
from vortex_hep.core.storage.failures import os_error, reading
from vortex_hep.core.storage.paths import scheme
from vortex_hep.core.storage.status import Stat
from vortex_hep.errors import NetworkError, SourceError, UnsupportedFeatureError

#: Seconds until a server that does not answer is given up.
_CONNECT_SECONDS, _SILENT_SECONDS = 10, 15


def _open(url: str) -> tuple[Any, str]:
    """The file system and the path there."""
    from fsspec.core import url_to_fs

    options: dict[str, Any] = {}
    if scheme(url) in ("http", "https"):
        from aiohttp import ClientTimeout

        timeout = ClientTimeout(
            total=None, sock_connect=_CONNECT_SECONDS, sock_read=_SILENT_SECONDS
        )
        options["client_kwargs"] = {"timeout": timeout}
    filesystem, path = url_to_fs(url, **options)
    return filesystem, str(path)


class FsspecBackend:
    """A :class:`~vortex_hep.core.storage.backend.Backend` of all other URLs."""

    def stat(self, path: str) -> Stat:
        """Size, time and kind."""
        filesystem, place = _open(path)
        filesystem.invalidate_cache()
        return _stat(_info(filesystem, place))

    def entries(self, folder: str) -> list[tuple[str, Stat]]:
        """Names in a folder."""
        if scheme(folder) in ("http", "https"):
            raise UnsupportedFeatureError(
                "folders cannot be listed over http", path=folder, hint="name the files"
            )
        filesystem, place = _open(folder)
        filesystem.invalidate_cache()
        if not filesystem.isdir(place):
            if filesystem.exists(place):
                raise os_error(errno.ENOTDIR)
            raise os_error(errno.ENOENT)
        entries = filesystem.ls(place, detail=True)
        return [
            (str(entry["name"]).rstrip("/").rpartition("/")[2], _stat(entry)) for entry in entries
        ]

    def make_folder(self, path: str) -> None:
        """Make a folder with all above it; fine if it is there."""
        filesystem, place = _open(path)
        if filesystem.isfile(place):
            raise os_error(errno.EEXIST)
        filesystem.makedirs(place, exist_ok=True)

    def remove_file(self, path: str) -> None:
        """Remove a file."""
        filesystem, place = _open(path)
        filesystem.rm_file(place)

    def remove_folder(self, path: str) -> None:
        """Remove an empty folder."""
        filesystem, place = _open(path)
        filesystem.rmdir(place)

    def rename(self, old: str, new: str, *, overwrite: bool) -> None:
        """Give a file another name in the same place."""
        filesystem, place = _open(old)
        other, target = _open(new)
        if other != filesystem:
            raise os_error(errno.EXDEV, "the new name is in another place")
        if not filesystem.exists(place):
            raise os_error(errno.ENOENT)
        if filesystem.isdir(target):
            raise os_error(errno.EISDIR)
        if filesystem.exists(target) and not overwrite:
            raise os_error(errno.EEXIST)
        filesystem.mv(place, target)

    def checksum(self, path: str, size: int) -> int | None:
        """None: fsspec has no checksum that all file systems share."""
        return None

    def sink(self, path: str) -> FsspecSink:
        """Make a file anew."""
        return FsspecSink(path)

    def source(self, path: str) -> FsspecSource:
        """Open a file to read it."""
        return FsspecSource(path)


def _info(filesystem: Any, place: str) -> dict[str, Any]:
    try:
        return dict(filesystem.info(place))
    except FileNotFoundError as error:
        # The file system for HTTP says so of all that goes wrong; its cause knows better.
        if error.__cause__ is not None:
            raise error.__cause__ from None
        raise


def _stat(info: dict[str, Any]) -> Stat:
    told = info.get("mtime", info.get("LastModified", info.get("created")))
    if isinstance(told, datetime.datetime):
        told = told.timestamp()
    mtime = float(told) if isinstance(told, (int, float)) else None
    return Stat(int(info.get("size") or 0), mtime, info.get("type") == "directory")


class FsspecSource:
    """A URL, read through fsspec; several ranges go out as one ``cat_ranges``."""

    def __init__(self, name: str) -> None:
        self.name = name
        with reading(name, doing="cannot be opened"):
            filesystem, self._path = _open(name)
            size = _info(filesystem, self._path).get("size")
        if size is None:
            msg = "the server does not tell the size of the file, so its end cannot be found"
            raise SourceError(msg, path=name, hint="copy the file to local disk first")
        self._filesystem: Any = filesystem
        self.size = int(size)
        if scheme(name) in ("http", "https") and self.size > 1:
            self._check_ranges()

    def _check_ranges(self) -> None:
        """Find out whether the server gives parts; it would send all of the file for each."""
        try:
            with (
                reading(self.name, doing="cannot be opened"),
                self._filesystem.open(self._path, "rb", block_size=1, cache_type="none") as file,
            ):
                file.seek(1)  # the beginning is had from servers without ranges, too
                file.read(1)
        except SourceError as error:
            if isinstance(error.__cause__, ValueError):
                raise SourceError(
                    "the server gives whole files only, no parts of them", path=self.name,
                    hint="copy the file to local disk first",
                ) from error  # fmt: skip
            raise

    def read_ranges(self, ranges: Sequence[Range]) -> list[bytes]:
        """Bytes of each ``(offset, size)``."""
        check_ranges(self.name, ranges, self.size)
        try:
            blobs = self._fetch(ranges)
        except NetworkError:  # once more: connections that are kept open are closed at times
            blobs = self._fetch(ranges)
        traffic.note(len(ranges), sum(map(len, blobs)))
        for (offset, size), blob in zip(ranges, blobs, strict=True):
            if len(blob) != size:
                raise short_read(self.name, offset, size, len(blob))
        return [bytes(blob) for blob in blobs]

    def _fetch(self, ranges: Sequence[Range]) -> list[bytes]:
        starts = [int(offset) for offset, _ in ranges]
        stops = [int(offset + size) for offset, size in ranges]
        with reading(self.name):
            if len(ranges) == 1:
                return [self._filesystem.cat_file(self._path, starts[0], stops[0])]
            found: list[bytes] = self._filesystem.cat_ranges(
                [self._path] * len(ranges), starts, stops, on_error="raise"
            )
        return found

    def close(self) -> None:
        """Do nothing: fsspec keeps no connection for one file."""


class FsspecSink:
    """A file that is being written (a :class:`~vortex_hep.core.storage.backend.Sink`)."""

    def __init__(self, url: str) -> None:
        if scheme(url) in ("http", "https"):
            raise os_error(errno.EROFS, "http servers are read only")
        self._filesystem, self._path = _open(url)
        self._file: Any = self._filesystem.open(self._path, "wb")

    def write(self, data: memoryview) -> None:
        """Append."""
        self._file.write(bytes(data))

    def restart(self) -> None:
        """Make it empty again."""
        self._drop()
        self._file = self._filesystem.open(self._path, "wb")

    def finish(self) -> None:
        """Make durable what was written, and close."""
        self._file.close()

    def _drop(self) -> None:
        with contextlib.suppress(Exception):  # as every backend of fsspec raises its own
            self._file.discard()
        with contextlib.suppress(Exception):
            self._file.close()

    def abort(self, error: BaseException | None) -> None:
        """Close and remove."""
        self._drop()
        with contextlib.suppress(Exception):
            if self._filesystem.exists(self._path):
                self._filesystem.rm_file(self._path)
