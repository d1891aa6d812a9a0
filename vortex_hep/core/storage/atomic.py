"""Atomic output: a file gets its name only once it is complete."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, cast

from vortex_hep.core import storage
from vortex_hep.core.storage.failures import output_error
from vortex_hep.core.storage.local import (
    RawOutput,
    first_mode,
    rename_file,
    settle_permissions,
    sync_folder,
)
from vortex_hep.core.storage.paths import local_path, scheme
from vortex_hep.errors import MissingError, OutputError

__all__ = ["atomic_output", "output_error"]


@contextlib.contextmanager
def atomic_output(path: str | os.PathLike[str], *, overwrite: bool = False) -> Iterator[BinaryIO]:
    """Open a binary file that gets its name only when the block ends without an exception.

    Parameters
    ----------
    path : str or path
        Local path or URL of the file to be.
    overwrite : bool
        Replace an existing file; without it, one that exists is an error before any work.

    Yields
    ------
    binary file
        A temporary file in the same folder; it is removed on any exception, KeyboardInterrupt
        included, and an existing file is then left as it was. At a URL, it is a
        :class:`~vortex_hep.core.storage.OutputFile`, which is written in order.

    Raises
    ------
    OutputError
        The file exists, or the operating system or the server refuses (no space, no permission,
        ...).
    """
    name = os.fspath(path)
    if scheme(name) != "file":
        with _remote(name, overwrite=overwrite) as remote:
            yield remote
        return
    with _local(local_path(name), overwrite=overwrite) as local:
        yield local


def _temporary_name(name: str) -> str:
    return f".{name[:200]}.{secrets.token_hex(6)}.tmp"


def _exists(name: str) -> OutputError:
    error = OutputError("the file exists already", path=name, hint="pass overwrite=True")
    error.errno = errno.EEXIST
    return error


def _folder(name: str) -> OutputError:
    error = OutputError("cannot be written: it is a folder", path=name)
    error.errno = errno.EISDIR
    return error


@contextlib.contextmanager
def _remote(url: str, *, overwrite: bool) -> Iterator[BinaryIO]:
    try:
        there = storage.stat(url)
    except MissingError:
        pass
    except OSError as error:  # what cannot be asked for cannot be written
        raise output_error(error, url) from error
    else:
        if there.is_folder:
            raise _folder(url)
        if not overwrite:
            raise _exists(url)
    temporary = storage.join(storage.parent(url), _temporary_name(storage.name(url)))
    with storage.create(temporary, shown=url) as out:
        yield cast("BinaryIO", out)
    try:
        storage.rename(temporary, url, overwrite=overwrite)
    except BaseException as error:
        with contextlib.suppress(OSError):
            storage.remove(temporary)
        if isinstance(error, OutputError) and error.errno == errno.EEXIST:
            raise _exists(url) from error
        raise


@contextlib.contextmanager
def _local(name: str, *, overwrite: bool) -> Iterator[BinaryIO]:
    final = Path(name)
    if final.is_dir():
        raise _folder(name)
    if not overwrite and os.path.lexists(final):
        raise _exists(name)
    if final.exists() and not final.is_file():
        msg = "cannot be written: it is a pipe, a socket or a device"
        raise OutputError(msg, path=name)
    temporary = final.with_name(_temporary_name(final.name))
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    try:
        raw = RawOutput(os.open(temporary, flags, first_mode()), name)
    except OSError as error:
        raise output_error(error, name) from error
    except ValueError as error:  # a null byte in the name
        raise output_error(OSError(str(error)), name) from error
    try:
        file = io.BufferedWriter(raw, 1 << 16)
        yield cast("BinaryIO", file)
        try:
            file.flush()
            settle_permissions(raw.fileno())
            os.fsync(raw.fileno())
            file.close()
            rename_file(temporary, final, overwrite=overwrite)
        except OutputError:
            raise
        except FileExistsError as error:
            raise _exists(name) from error
        except OSError as error:
            raise output_error(error, name) from error
    except BaseException:
        # The raw file first: closing the buffered one would try to write what is left.
        with contextlib.suppress(OSError):
            raw.close()
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise
    sync_folder(final.parent)
