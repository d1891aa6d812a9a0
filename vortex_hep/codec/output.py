"""Writing a file so that its name appears only once all of it is on disk."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, cast

from vortex_hep.errors import OutputError

_HINTS = {
    errno.ENOSPC: "free some space or write to another disk",
    errno.EDQUOT: "the quota is used up; free some space or write to another disk",
    errno.EACCES: "no permission to write there",
    errno.EPERM: "no permission to write there",
    errno.EROFS: "the file system is read-only",
    errno.ENOENT: "the folder does not exist",
    errno.ENOTDIR: "a part of the path is not a folder",
    errno.EISDIR: "the path is a folder",
    errno.EFBIG: "the file system does not take files of this size",
    errno.ENAMETOOLONG: "the name is too long",
}


def output_error(error: OSError, path: str) -> OutputError:
    """An :class:`OutputError` that keeps the reason of ``error`` and adds path and hint."""
    msg = f"cannot be written: {error.strerror or error}"
    wrapped = OutputError(msg, path=path, hint=_HINTS.get(error.errno or 0))
    wrapped.errno = error.errno
    return wrapped


class _RawOutput(io.FileIO):
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


@contextlib.contextmanager
def atomic_output(path: str | os.PathLike[str], *, overwrite: bool = False) -> Iterator[BinaryIO]:
    """Open a binary file that gets its name only when the block ends without an exception.

    Parameters
    ----------
    path : str or path
        Local path of the file to be.
    overwrite : bool
        Replace an existing file; without it, one that exists is an error before any work.

    Yields
    ------
    binary file
        A temporary file in the same folder; it is removed on any exception, KeyboardInterrupt
        included, and an existing file is then left as it was.

    Raises
    ------
    OutputError
        The file exists, or the operating system refuses (no space, no permission, ...).
    """
    name = os.fspath(path)
    final = Path(name)
    if final.is_dir():
        msg = "cannot be written: it is a folder"
        raise OutputError(msg, path=name)
    if not overwrite and os.path.lexists(final):
        raise _exists(name)
    if final.exists() and not final.is_file():
        msg = "cannot be written: it is a pipe, a socket or a device"
        raise OutputError(msg, path=name)
    temporary = final.with_name(f".{final.name[:200]}.{secrets.token_hex(6)}.tmp")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    try:
        raw = _RawOutput(os.open(temporary, flags, 0o666), name)
    except OSError as error:
        raise output_error(error, name) from error
    except ValueError as error:  # a null byte in the name
        raise output_error(OSError(str(error)), name) from error
    try:
        file = io.BufferedWriter(raw, 1 << 16)
        yield cast("BinaryIO", file)
        try:
            file.flush()
            os.fsync(raw.fileno())
            file.close()
            _rename(temporary, final, overwrite=overwrite)
        except OutputError:
            raise
        except OSError as error:
            raise output_error(error, name) from error
    except BaseException:
        # The raw file first: closing the buffered one would try to write what is left.
        with contextlib.suppress(OSError):
            raw.close()
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise
    _sync_folder(final.parent)


def _exists(name: str) -> OutputError:
    return OutputError("the file exists already", path=name, hint="pass overwrite=True")


def _rename(temporary: Path, final: Path, *, overwrite: bool) -> None:
    if overwrite:
        temporary.replace(final)
        return
    try:
        os.link(temporary, final)  # unlike rename, fails if somebody made the file meanwhile
    except FileExistsError as error:
        raise _exists(str(final)) from error
    except (OSError, AttributeError):  # file systems without hard links
        if os.path.lexists(final):
            raise _exists(str(final)) from None
        temporary.replace(final)
    else:
        temporary.unlink()


def _sync_folder(folder: Path) -> None:
    """Make the rename itself durable; not every system can, and the file is whole anyway."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
