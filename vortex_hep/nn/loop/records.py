"""Sources of training data: records of equal size, read on demand by several processes.

Every source opens its file anew in each process that reads it, whether that was forked or spawned.
"""

from __future__ import annotations

import mmap
import os
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from vortex_hep.errors import NotFoundError, SourceError, UnsupportedTypeError

Bytes = npt.NDArray[np.uint8]

#: Memory for decompressed chunks of an HDF5 dataset, per process, in bytes.
_CHUNK_CACHE = 1 << 26


class RecordSource(ABC):
    """Records of ``width`` bytes each, in one piece that windows may run through.

    Parameters
    ----------
    name : str
        Where the records are, for messages.
    count, width : int
        Records, and bytes of each.
    """

    def __init__(self, name: str, count: int, width: int) -> None:
        self.name = name
        self.count = count
        self.width = width
        self._opened: Any = None
        self._owner = -1

    def read(self, start: int, count: int) -> Bytes:
        """Return the bytes of some records.

        Parameters
        ----------
        start, count : int
            A range within ``range(self.count)``.

        Returns
        -------
        uint8 array, shape (count * width,)
            A copy.

        Raises
        ------
        SourceError
            The file is gone, shorter than it was, or damaged.
        """
        if self._owner != os.getpid():
            # A handle from before a fork is shared with the other process, position and all.
            self._opened = self._open()
            self._owner = os.getpid()
        return self._read(self._opened, start, count)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_opened": None, "_owner": -1}

    @abstractmethod
    def _open(self) -> Any:
        """Return what :meth:`_read` needs, opened in this process."""

    @abstractmethod
    def _read(self, opened: Any, start: int, count: int) -> Bytes:
        """Return the bytes of some records as :meth:`read` does."""


class FileRecords(RecordSource):
    """A binary file, memory-mapped.

    Parameters
    ----------
    path : path
    width : int
        Bytes per record.
    offset : int
        Byte at which the first record begins.
    count : int, optional
        Records; by default as many as there are.
    drop_tail : bool
        Whether bytes after the last whole record are left out; otherwise they are an error.

    Raises
    ------
    SourceError
        No such file, no record in it, or a tail.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        width: int,
        *,
        offset: int = 0,
        count: int | None = None,
        drop_tail: bool = False,
    ) -> None:
        self.path = Path(path)
        self.offset = offset
        try:
            if self.path.is_dir():
                raise SourceError("this is a folder, not a file", path=str(path))
            size = self.path.stat().st_size - offset
        except FileNotFoundError as error:
            raise SourceError("no such file", path=str(path)) from error
        except PermissionError as error:
            raise SourceError("no permission to read it", path=str(path)) from error
        if count is None:
            count, tail = divmod(size, width)
            if tail and not drop_tail:
                raise SourceError(
                    f"{size} bytes are not whole records of {width} bytes: {tail} are left over",
                    path=str(path), hint="give the right record size, or drop_tail=True",
                )  # fmt: skip
        if count < 1:
            raise SourceError(f"no whole record of {width} bytes to train on", path=str(path))
        super().__init__(str(path), count, width)

    def _open(self) -> Any:
        shape = (self.count * self.width,)
        try:
            return np.memmap(self.path, np.uint8, "r", self.offset, shape)
        except (OSError, ValueError) as error:
            raise SourceError(f"the file can no longer be read: {error}", path=self.name) from error

    def _read(self, opened: Any, start: int, count: int) -> Bytes:
        return np.array(opened[start * self.width : (start + count) * self.width])


class ArrayRecords(RecordSource):
    """A typed stream in memory.

    Parameters
    ----------
    rows : uint8 array, shape (rows, width)

    Raises
    ------
    UnsupportedTypeError
        An array of another type or shape.
    SourceError
        No rows.
    """

    def __init__(self, rows: Bytes) -> None:
        if rows.dtype != np.uint8 or rows.ndim != 2 or rows.shape[1] == 0:
            raise UnsupportedTypeError(
                f"records must be a uint8 array of shape (rows, width), not {rows.dtype} of shape "
                f"{rows.shape}",
                hint="use array.view(numpy.uint8).reshape(rows, -1)",
            )
        if len(rows) == 0:
            raise SourceError("an array without rows: nothing to train on")
        super().__init__("array", len(rows), rows.shape[1])
        self._rows = rows

    def _open(self) -> Any:
        return self._rows

    def _read(self, opened: Any, start: int, count: int) -> Bytes:
        return np.array(opened[start : start + count]).reshape(-1)


class DatasetRecords(RecordSource):
    """The rows of an HDF5 dataset; only those asked for are read.

    A row's bytes are those of its values in the file's byte order, without padding between the
    fields of a compound type.

    Parameters
    ----------
    path : path
    dataset : str
        Path of the dataset in the file.

    Raises
    ------
    SourceError
        No such file, not an HDF5 file, or no rows.
    NotFoundError
        No such dataset.
    UnsupportedTypeError
        What is there has no rows of fixed size.
    """

    def __init__(self, path: str | os.PathLike[str], dataset: str) -> None:
        self.path = Path(path)
        self.dataset = dataset
        found = self._open()
        try:
            if not found.shape:
                raise UnsupportedTypeError(
                    f"dataset {dataset!r} has no rows: it is a scalar or empty", path=str(path)
                )
            if found.dtype.hasobject:
                raise UnsupportedTypeError(
                    f"the rows of dataset {dataset!r} have no fixed size: {found.dtype}",
                    path=str(path),
                    hint="text and arrays of variable length cannot be records",
                )
            self._type = _packed(found.dtype)
            self._inner = tuple(found.shape[1:])
            width = self._type.itemsize * int(np.prod(self._inner, dtype=np.int64))
            if found.shape[0] * width == 0:
                raise SourceError(f"dataset {dataset!r} is empty", path=str(path))
            super().__init__(f"{path}, dataset {dataset!r}", found.shape[0], width)
        finally:
            found.file.close()

    def _open(self) -> Any:
        import h5py

        if not self.path.exists():
            raise SourceError("no such file", path=str(self.path))
        try:
            file = h5py.File(self.path, "r", rdcc_nbytes=_CHUNK_CACHE)
        except OSError as error:
            raise SourceError(f"not a readable HDF5 file: {error}", path=str(self.path)) from error
        found = file.get(self.dataset)
        if isinstance(found, h5py.Dataset):
            return found
        names: list[str] = []
        file.visititems(
            lambda name, item: names.append(name) if isinstance(item, h5py.Dataset) else None
        )
        file.close()
        what = "is a group" if found is not None else "is not in the file"
        raise NotFoundError(
            f"{self.dataset!r} {what}", path=str(self.path),
            hint=f"datasets are {', '.join(names[:8]) or 'none'}{', ...' if names[8:] else ''}",
        )  # fmt: skip

    def _read(self, opened: Any, start: int, count: int) -> Bytes:
        out = np.zeros((count, *self._inner), self._type)
        try:
            opened.read_direct(out, np.s_[start : start + count])
        except OSError as error:
            raise SourceError(
                f"rows {start} to {start + count} of dataset {self.dataset!r}: {error}",
                path=str(self.path),
            ) from error
        return out.reshape(-1).view(np.uint8)


def _packed(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Return the type without padding between its fields."""
    from numpy.lib import recfunctions

    return cast("np.dtype[Any]", recfunctions.repack_fields(np.empty(0, dtype), recurse=True).dtype)


def open_records(
    source: str | os.PathLike[str] | Sequence[str | os.PathLike[str]] | Bytes,
    *,
    dataset: str | None = None,
    width: int | None = None,
    drop_tail: bool = False,
) -> list[RecordSource]:
    """Open training data as pieces of records of one width.

    Parameters
    ----------
    source : path, sequence of paths, or uint8 array of shape (rows, width)
    dataset : str, optional
        Take the files as HDF5, and of them this dataset.
    width : int, optional
        Bytes per record of binary files, by default 1; of other sources it must be right.
    drop_tail : bool
        As for :class:`FileRecords`.

    Returns
    -------
    list of RecordSource

    Raises
    ------
    SourceError
        Nothing to read, or not in whole records.
    NotFoundError, UnsupportedTypeError
        As the sources raise them.
    """
    if width is not None and width < 1:
        raise UnsupportedTypeError(f"records of {width} bytes: they have at least one")
    pieces: list[RecordSource]
    if isinstance(source, np.ndarray):
        pieces = [_array_records(source)]
    else:
        paths = [source] if isinstance(source, (str, os.PathLike)) else list(source)
        if not paths:
            raise SourceError("no files to train on")
        if dataset is not None:
            pieces = [DatasetRecords(path, dataset) for path in paths]
        else:
            pieces = [FileRecords(path, width or 1, drop_tail=drop_tail) for path in paths]
    expected = width if width is not None else pieces[0].width
    for piece in pieces:
        if piece.width != expected:
            raise SourceError(
                f"records of {piece.width} bytes where {expected} were expected", path=piece.name
            )
    return pieces


def _array_records(rows: Any) -> RecordSource:
    """Records of an array; of a whole memory map its file, which each process maps for itself."""
    records = ArrayRecords(rows)
    owner: object = rows.base
    if (
        isinstance(rows, np.memmap)
        and rows.filename is not None
        and rows.mode != "c"
        and isinstance(owner, mmap.mmap)
        and rows.flags.c_contiguous
    ):
        return FileRecords(rows.filename, records.width, offset=rows.offset, count=records.count)
    return records
