"""Opening HDF5 files by path or URL, and objects that h5py has open."""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import h5py

from vortex_hep.core.storage.failstop import FailStopSource, SourceFile
from vortex_hep.core.storage.paths import local_path, scheme
from vortex_hep.core.storage.ranges import ByteSource, open_binary
from vortex_hep.core.storage.whole import whole_if_small
from vortex_hep.errors import SourceError, UnsupportedTypeError, VortexError
from vortex_hep.readers.hdf5.pythonfile import open_python_file
from vortex_hep.readers.hdf5.source import HDF5FileSource, check_in_use
from vortex_hep.readers.hdf5.superblock import read_superblock
from vortex_hep.readers.kinds import HEAD_SIZE

#: Drivers of h5py whose file is an ordinary one.
_PLAIN_DRIVERS = ("sec2", "stdio", "direct", "windows")
#: Drivers of h5py that make several files look like one.
_SEVERAL_FILES = ("family", "multi", "split", "subfiling")


def open_file(
    source: Any, *, trees: Sequence[str] | None, exact: bool = False
) -> HDF5FileSource:  # fmt: skip
    """Open an HDF5 file as tables of columns and a remainder.

    Parameters
    ----------
    source : str, path, h5py.File, h5py.Group or h5py.Dataset
        A path or URL; or an object of a file that is open and stays so. Of a group or dataset, only
        what lies in it becomes columns; the rest of its file is carried as bytes.
    trees : sequence of str or None
        Only these trees; all other datasets are carried as bytes, and restored.
    exact : bool
        Whether the restored file is to be the same byte for byte.

    Returns
    -------
    HDF5FileSource

    Raises
    ------
    SourceError
        The file is truncated or damaged, or a writer has it open.
    NotFoundError
        One of ``trees`` is not in the file.
    """
    stack = contextlib.ExitStack()
    bytes_of: ByteSource | None = None
    try:
        file, bytes_of, path, within = _open(source, stack)
        head = bytes_of.read_ranges([(0, min(bytes_of.size, HEAD_SIZE))])[0]
        superblock = read_superblock(head, bytes_of.size, path)
        check_in_use(superblock, path)
        if file is None:
            file = _open_path(path, bytes_of, stack)
        pool = stack.enter_context(ThreadPoolExecutor(min(4, os.cpu_count() or 1)))
        return HDF5FileSource(
            file.id, bytes_of, superblock, path,
            within=within, trees=trees, exact=exact, pool=pool, close=stack.close,
        )  # fmt: skip
    except BaseException as error:
        stack.close()
        if isinstance(error, SourceError) and isinstance(bytes_of, FailStopSource):
            _raise_failure(bytes_of)
        raise


def _raise_failure(source: FailStopSource) -> None:
    """Raise why reading failed: the HDF5 library knows only that it did."""
    if source.failure is not None:
        raise source.failure


def _open(source: Any, stack: contextlib.ExitStack) -> tuple[Any, ByteSource, str, str]:
    if isinstance(source, (h5py.File, h5py.Group, h5py.Dataset)):
        return _of_object(source, stack)
    if not isinstance(source, (str, os.PathLike)):
        msg = f"expected a path, a URL or an h5py object, got {type(source).__name__}"
        raise UnsupportedTypeError(msg)
    path = os.fspath(source)
    bytes_of = FailStopSource(whole_if_small(open_binary(path)))
    stack.callback(bytes_of.close)
    return None, bytes_of, path, ""


def _open_path(path: str, bytes_of: ByteSource, stack: contextlib.ExitStack) -> h5py.File:
    try:
        if scheme(path) == "file":
            return stack.enter_context(h5py.File(local_path(path), "r"))
        return stack.enter_context(open_python_file(SourceFile(bytes_of)))
    except VortexError:
        raise
    except BlockingIOError as error:
        raise SourceError(
            "it is locked: another program has it open for writing", path=path,
            hint="close the writer",
        ) from error  # fmt: skip
    except Exception as error:
        text = " ".join(str(error).split())
        raise SourceError(
            f"cannot be opened as an HDF5 file: {text}", path=path,
            hint="the file is truncated or damaged",
        ) from error  # fmt: skip


def _of_object(source: Any, stack: contextlib.ExitStack) -> tuple[Any, ByteSource, str, str]:
    if not source:
        raise SourceError("the HDF5 file is closed", path=None)
    file = source.file
    within = (source.name or "").strip("/")
    path = os.fsdecode(file.filename)
    file.flush()
    if file.driver in _PLAIN_DRIVERS:
        bytes_of = open_binary(path)
        stack.callback(bytes_of.close)
        return file, bytes_of, path, within
    if file.driver in _SEVERAL_FILES:
        raise UnsupportedTypeError(
            f"several files that are one, by driver {file.driver!r}", path=path,
            hint="join them with h5repart or h5repack",
        )  # fmt: skip
    if file.userblock_size:
        raise UnsupportedTypeError(
            f"a file with a user block, opened with driver {file.driver!r}", path=path,
            hint="pass its path or URL",
        )  # fmt: skip
    try:
        image = io.BytesIO(file.id.get_file_image())
        copy = stack.enter_context(open_python_file(image))
    except Exception as error:
        raise SourceError(
            f"its bytes cannot be read through driver {file.driver!r}: {error}", path=path,
            hint="pass its path or URL",
        ) from error  # fmt: skip
    bytes_of = open_binary(image)
    return copy, bytes_of, path, within
