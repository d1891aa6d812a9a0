"""Cutting HDF5 files by rows: same groups, types, attributes, chunks and filters."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from vortex_hep.errors import NotFoundError
from vortex_hep.testing.bench.rivals.hdf5copy import Remade, copy_file, values_of

#: Datasets with fewer rows describe the file and are kept whole.
FEW_ROWS = 1000
#: Larger datasets take the way over a scratch file, so that memory does not grow with them.
_IN_MEMORY = 1 << 28
_BLOCK = 1 << 26


def count_rows(path: Path, dataset: str) -> int:
    """Rows of a dataset.

    Raises
    ------
    NotFoundError
        There is no such dataset.
    """
    import h5py

    with h5py.File(path, "r") as file:
        if dataset not in file:
            raise NotFoundError(f"has no dataset {dataset!r}", path=str(path))
        return len(file[dataset])


def cut_rows(source: Path, target: Path, rows: Callable[[int], tuple[int, int] | None]) -> None:
    """Write a file with some of the rows of an HDF5 file.

    Values are moved as the bytes that they are stored as.

    Parameters
    ----------
    source, target : Path
    rows : callable
        Says for a dataset of so many rows which ones to keep, as ``(start, stop)``; None to keep
        the dataset as it is.
    """
    with tempfile.TemporaryDirectory(dir=target.parent) as scratch:

        def remake(dataset: Any) -> Remade | None:
            kept = rows(dataset.shape[0]) if dataset.shape else None
            if kept is None:
                return None
            size = kept[1] - kept[0]
            plist = dataset.id.get_create_plist()
            grows = dataset.maxshape[0]
            most = size if grows == dataset.shape[0] else grows
            if dataset.chunks and most is not None and dataset.chunks[0] > most:
                # HDF5 refuses chunks beyond what the dataset can ever hold.
                plist.set_chunk((max(1, most), *dataset.chunks[1:]))
            return Remade(
                _rows(dataset, *kept, Path(scratch) / "rows"),
                (size, *dataset.shape[1:]),
                (most, *dataset.maxshape[1:]),
                plist,
            )

        copy_file(source, target, remake)


def _rows(dataset: Any, start: int, stop: int, scratch: Path) -> Any:
    """Rows as bytes of the file's type; of a large dataset as a map of a scratch file."""
    width = dataset.id.get_type().get_size() * int(np.prod(dataset.shape[1:], dtype=np.int64))
    if dataset.dtype.hasobject or (stop - start) * width <= _IN_MEMORY:
        return values_of(dataset, start, stop)
    step = max(1, _BLOCK // width)
    if dataset.chunks:
        step = max(step - step % dataset.chunks[0], dataset.chunks[0])
    with scratch.open("wb") as file:
        for at in range(start, stop, step):
            values_of(dataset, at, min(stop, at + step)).tofile(file)
    shape = (stop - start, *dataset.shape[1:])
    return np.memmap(scratch, f"V{dataset.id.get_type().get_size()}", "r", shape=shape)


def share_of_rows(share: float) -> Callable[[int], tuple[int, int] | None]:
    """Keep the first part of every long dataset.

    Parameters
    ----------
    share : float
        Between 0 and 1.

    Examples
    --------
    >>> keep = share_of_rows(0.25)
    >>> keep(8000), keep(3)
    ((0, 2000), None)
    """
    return lambda rows: None if rows < FEW_ROWS else (0, max(1, int(rows * share)))


def range_of_rows(total: int, start: int, stop: int) -> Callable[[int], tuple[int, int] | None]:
    """Keep a range of the datasets that have as many rows as named.

    Parameters
    ----------
    total, start, stop : int

    Examples
    --------
    >>> keep = range_of_rows(8000, 6400, 8000)
    >>> keep(8000), keep(2000)
    ((6400, 8000), None)
    """
    return lambda rows: (start, stop) if rows == total else None
