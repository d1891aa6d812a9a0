"""Files on local disks and mounted file systems."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import stat
from collections.abc import Iterator
from contextvars import ContextVar
from pathlib import Path
from typing import Any, BinaryIO, cast

from vortex_hep.core.storage.bytesource import FileObjectSource
from vortex_hep.core.storage.failures import os_error, output_error, source_error
from vortex_hep.core.storage.paths import local_path, scheme
from vortex_hep.core.storage.status import Stat
from vortex_hep.errors import SourceError

_BINARY = getattr(os, "O_BINARY", 0)
#: Whose permissions outputs get: of what :func:`permissions_like` was told in this thread.
_LIKE: ContextVar[os.stat_result | None] = ContextVar("permissions of outputs", default=None)


@contextlib.contextmanager
def permissions_like(path: str | os.PathLike[str]) -> Iterator[None]:
    """Give local files that are begun in the block the permissions of another local file.

    As xz does: what is made of a private file is private, from its first byte on. A URL, or what
    cannot be looked at, changes nothing.

    Parameters
    ----------
    path : str or path
        What the outputs are made of.
    """
    name = os.fspath(path)
    found = None
    if scheme(name) == "file":
        with contextlib.suppress(OSError, ValueError):
            found = Path(local_path(name)).stat()
        if found is not None and not stat.S_ISREG(found.st_mode):
            found = None
    token = _LIKE.set(found)
    try:
        yield
    finally:
        _LIKE.reset(token)


def first_mode() -> int:
    """Mode to make a file with: for its owner alone where it gets its permissions at the end."""
    return 0o666 if _LIKE.get() is None else 0o600


def settle_permissions(file: int) -> None:
    """Give a file that was begun with :func:`first_mode` the permissions that it is to have."""
    like = _LIKE.get()
    if like is None or not hasattr(os, "fchmod"):
        return
    mode = stat.S_IMODE(like.st_mode) & 0o777
    if os.fstat(file).st_gid != like.st_gid:
        try:
            os.fchown(file, -1, like.st_gid)
        except OSError:
            # Another group must not read what the source's group alone may: what all may is left.
            mode = (mode & 0o707) | (mode & (mode & 0o007) << 3)
    with contextlib.suppress(OSError):  # file systems without permissions
        os.fchmod(file, mode)


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


class RawOutput(io.FileIO):
    """A raw file whose failures name the path the user asked for."""

    def __init__(self, file: int, path: str) -> None:
        super().__init__(file, "wb")
        self._path = path

    def put(self, data: Any) -> int:
        """Write as the base class does, failing as the base class does."""
        return super().write(data)

    def write(self, data: Any, /) -> int:
        """Write as the base class does, failing with :class:`OutputError`."""
        try:
            return self.put(data)
        except OSError as error:
            raise output_error(error, self._path) from error


class LocalBackend:
    """A :class:`~vortex_hep.core.storage.backend.Backend` of local paths and ``file://`` URLs."""

    def stat(self, path: str) -> Stat:
        """Size, time and kind."""
        return _stat(Path(local_path(path)).stat())

    def entries(self, folder: str) -> list[tuple[str, Stat]]:
        """Names in a folder; pipes, sockets and devices are left out."""
        found = []
        with os.scandir(local_path(folder)) as entries:
            for entry in entries:
                try:
                    status = entry.stat()
                except OSError:  # a link to nothing: whoever reads it learns that it is missing
                    status = entry.stat(follow_symlinks=False)
                if stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode):
                    found.append((entry.name, _stat(status)))
                elif stat.S_ISLNK(status.st_mode):
                    found.append((entry.name, Stat(0, status.st_mtime, is_folder=False)))
        return found

    def make_folder(self, path: str) -> None:
        """Make a folder with all above it; fine if it is there."""
        Path(local_path(path)).mkdir(parents=True, exist_ok=True)

    def remove_file(self, path: str) -> None:
        """Remove a file, or a link."""
        Path(local_path(path)).unlink()

    def remove_folder(self, path: str) -> None:
        """Remove an empty folder, or a link to one."""
        place = Path(local_path(path))
        if place.is_symlink():
            place.unlink()
        else:
            place.rmdir()

    def rename(self, old: str, new: str, *, overwrite: bool) -> None:
        """Give a file another name."""
        target = Path(local_path(new))
        rename_file(Path(local_path(old)), target, overwrite=overwrite)
        sync_folder(target.parent)

    def checksum(self, path: str, size: int) -> int | None:
        """None: disks keep no checksums."""
        return None

    def sink(self, path: str) -> LocalSink:
        """Make a file anew."""
        return LocalSink(local_path(path))

    def source(self, path: str) -> PathSource:
        """Open a file to read it."""
        return PathSource(local_path(path))


def _stat(status: os.stat_result) -> Stat:
    return Stat(status.st_size, status.st_mtime, stat.S_ISDIR(status.st_mode))


def rename_file(old: Path, new: Path, *, overwrite: bool) -> None:
    """Give a file another name on the same file system.

    Raises
    ------
    FileExistsError
        Somebody has made the file, and it is not to be replaced.
    OSError
        The operating system refuses.
    """
    if overwrite:
        old.replace(new)
        return
    try:
        os.link(old, new)  # unlike rename, fails if somebody made the file meanwhile
    except (FileExistsError, FileNotFoundError):
        raise
    except (OSError, AttributeError):  # file systems without hard links
        if os.path.lexists(new):
            raise os_error(errno.EEXIST) from None
        old.replace(new)
    else:
        old.unlink()


def sync_folder(folder: Path) -> None:
    """Make a rename durable; not every system can, and the file is whole anyway."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


class LocalSink:
    """A local file that is being written (a :class:`~vortex_hep.core.storage.backend.Sink`)."""

    def __init__(self, path: str) -> None:
        self._path = Path(path)
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | _BINARY
        self._file = RawOutput(os.open(path, flags, first_mode()), path)

    def write(self, data: memoryview) -> None:
        """Append."""
        while data:
            data = data[self._file.write(data) :]

    def restart(self) -> None:
        """Make it empty again."""
        self._file.seek(0)
        self._file.truncate()

    def finish(self) -> None:
        """Make durable what was written, and close."""
        settle_permissions(self._file.fileno())
        os.fsync(self._file.fileno())
        self._file.close()

    def abort(self, error: BaseException | None) -> None:
        """Close and remove."""
        with contextlib.suppress(OSError):
            self._file.close()
        with contextlib.suppress(OSError):
            self._path.unlink()
