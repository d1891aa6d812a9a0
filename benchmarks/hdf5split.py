"""The first or last part of an HDF5 file: rows of every dataset that has as many as named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from vortex_hep.testing.bench.rivals.hdf5copy import Remade, copy_file, values_of


def write_rows(source: Path, target: Path, rows: int, start: int, stop: int) -> None:
    """Write a file with rows ``start`` to ``stop`` of the datasets that have ``rows`` of them.

    Everything else is kept: groups, links, attributes, types, chunks and filters, and all datasets
    of another length. The same input gives the same bytes.

    Parameters
    ----------
    source, target : Path
    rows : int
        Length of the datasets to cut.
    start, stop : int
    """

    def remake(dataset: Any) -> Remade | None:
        if not dataset.shape or dataset.shape[0] != rows:
            return None
        plist = dataset.id.get_create_plist()
        size = stop - start
        grows = dataset.maxshape[0]
        most = size if grows == rows else grows
        if dataset.chunks and most is not None and dataset.chunks[0] > most:
            # HDF5 refuses chunks beyond what the dataset can ever hold.
            plist.set_chunk((max(1, most), *dataset.chunks[1:]))
        shape = (size, *dataset.shape[1:])
        return Remade(values_of(dataset, start, stop), shape, (most, *dataset.maxshape[1:]), plist)

    copy_file(source, target, remake)
