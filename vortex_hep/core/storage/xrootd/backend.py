"""Files on XRootD servers, such as EOS: ``root://host//path``."""

from __future__ import annotations

import contextlib
import errno
import secrets
from typing import Any

from vortex_hep.core.storage.failures import os_error
from vortex_hep.core.storage.paths import split_url
from vortex_hep.core.storage.status import Stat
from vortex_hep.core.storage.xrootd.client import REQUEST_SECONDS, checked, flags, xrootd
from vortex_hep.core.storage.xrootd.reading import XrootdSource
from vortex_hep.core.storage.xrootd.writing import XrootdSink
from vortex_hep.errors import SourceError

#: Bytes that a server reads in a second at least, to compute a checksum.
_SLOWEST = 20_000_000
#: Owner may write, all may read and enter.
_FOLDER_MODE = 0o755


class XrootdBackend:
    """A :class:`~vortex_hep.core.storage.backend.Backend` of ``root://`` URLs."""

    def stat(self, path: str) -> Stat:
        """Size, time and kind."""
        server, place = _at(path)
        return _stat(checked(server.stat(place, timeout=REQUEST_SECONDS)))

    def entries(self, folder: str) -> list[tuple[str, Stat]]:
        """Names in a folder; what is neither file nor folder is left out."""
        server, place = _at(folder)
        entries = checked(server.dirlist(place, flags().DirListFlags.STAT, timeout=REQUEST_SECONDS))
        found = []
        for entry in entries:
            if "?" in entry.name:  # its URL is that of another file
                raise SourceError(
                    f"XRootD cannot name {entry.name!r}: a question mark ends a path", path=folder,
                    hint="rename the file, or name those that are wanted one by one",
                )  # fmt: skip
            info = entry.statinfo
            if info is None:  # the server could not tell in passing
                try:
                    stat = self.stat(f"{folder.rstrip('/')}/{entry.name}")
                except FileNotFoundError:  # removed meanwhile
                    continue
            elif info.flags & flags().StatInfoFlags.OTHER:
                continue
            else:
                stat = _stat(info)
            found.append((str(entry.name), stat))
        return found

    def make_folder(self, path: str) -> None:
        """Make a folder with all above it; fine if it is there."""
        server, place = _at(path)
        # Servers differ in what they say of a folder that is there, as of one whose parents
        # may not be written.
        with contextlib.suppress(FileNotFoundError):
            if self.stat(path).is_folder:
                return
            raise os_error(errno.EEXIST, "there is a file of this name")
        how = flags().MkDirFlags.MAKEPATH
        try:
            checked(server.mkdir(place, how, _FOLDER_MODE, timeout=REQUEST_SECONDS))
        except FileExistsError:
            if not self.stat(path).is_folder:
                raise

    def remove_file(self, path: str) -> None:
        """Remove a file."""
        server, place = _at(path)
        checked(server.rm(place, timeout=REQUEST_SECONDS))

    def remove_folder(self, path: str) -> None:
        """Remove an empty folder."""
        server, place = _at(path)
        checked(server.rmdir(place, timeout=REQUEST_SECONDS))

    def rename(self, old: str, new: str, *, overwrite: bool) -> None:
        """Give a file another name on the same server."""
        server, place = _at(old)
        if split_url(old)[0] != split_url(new)[0]:
            raise os_error(errno.EXDEV, "the new name is on another server")
        target = _at(new)[1]
        # The protocol's rename may replace what is there.
        there = True
        try:
            found = self.stat(new)
        except FileNotFoundError:
            there = False
        if there and found.is_folder:
            raise os_error(errno.EISDIR)
        if there and not overwrite:
            raise os_error(errno.EEXIST)
        try:
            checked(server.mv(place, target, timeout=REQUEST_SECONDS))
        except FileExistsError:
            if not overwrite:
                raise
            _replace(server, place, target)

    def checksum(self, path: str, size: int) -> int | None:
        """The Adler-32 that the server has, or computes; None if it does neither."""
        server, place = _at(path)
        code = flags().QueryCode.CHECKSUM
        seconds = REQUEST_SECONDS + size // _SLOWEST
        try:
            asked = f"{place}{'&' if '?' in place else '?'}cks.type=adler32"
            answer = checked(server.query(code, asked, timeout=seconds))
        except (FileNotFoundError, PermissionError, ConnectionError, TimeoutError):
            raise
        except OSError:  # it does not know how
            return None
        kind, _, digits = bytes(answer).decode(errors="replace").strip("\0 \n").partition(" ")
        try:
            return int(digits, 16) if kind.lower() == "adler32" else None
        except ValueError:
            return None

    def sink(self, path: str) -> XrootdSink:
        """Make a file anew."""
        return XrootdSink(path)

    def source(self, path: str) -> XrootdSource:
        """Open a file to read it."""
        return XrootdSource(path)


def _at(path: str) -> tuple[Any, str]:
    """The server's file system and the path there, with the parameters of the URL."""
    url, place = split_url(path)
    _, mark, parameters = path.partition("?")
    return xrootd().FileSystem(f"{url}/"), f"{place}{mark}{parameters}"


def _replace(server: Any, old: str, new: str) -> None:
    """Rename a file over another one on a server that does not do so by itself."""
    aside = f"{new}.{secrets.token_hex(6)}.old"
    checked(server.mv(new, aside, timeout=REQUEST_SECONDS))
    try:
        checked(server.mv(old, new, timeout=REQUEST_SECONDS))
    except BaseException:
        server.mv(aside, new, timeout=REQUEST_SECONDS)
        raise
    checked(server.rm(aside, timeout=REQUEST_SECONDS))


def _stat(info: Any) -> Stat:
    folder = bool(info.flags & flags().StatInfoFlags.IS_DIR)
    return Stat(int(info.size), float(info.modtime), folder)
