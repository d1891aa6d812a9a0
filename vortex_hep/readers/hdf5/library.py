"""Chunks through the HDF5 library itself: for filters that are not undone here."""

from __future__ import annotations

import threading
from typing import Any

import h5py
import numpy as np
from h5py import h5d, h5s, h5z

from vortex_hep.readers.hdf5.filters import FilterError
from vortex_hep.schema import Array

_BOTH = h5z.FILTER_CONFIG_ENCODE_ENABLED | h5z.FILTER_CONFIG_DECODE_ENABLED


def filter_works(number: int) -> bool:
    """Whether the HDF5 library at hand can both undo and apply a filter."""
    if not h5z.filter_avail(number):
        return False
    return bool(h5z.get_filter_info(number) & _BOTH == _BOTH)


class LibraryCodec:
    """Applies the filters of a dataset to single chunks, in a file in memory.

    Parameters
    ----------
    type_id : h5py TypeID
        Of the dataset's elements; data are taken in this very type, so nothing is converted.
    properties : h5py PropDCID
        Creation properties of the dataset.
    chunk : tuple of int
        Shape of its chunks.
    size : int
        Bytes of a chunk without filters.
    """

    def __init__(self, type_id: Any, properties: Any, chunk: tuple[int, ...], size: int) -> None:
        self._type, self._properties = type_id, properties
        self._chunk, self._size = chunk, size
        self._lock = threading.Lock()
        self._file: Any = None
        self._dataset: Any = None
        self._used = 0

    def _open(self) -> Any:
        # A new file now and then, for chunks that are replaced leave holes in its memory.
        if self._used > 64:
            self.close()
        if self._dataset is None:
            self._file = h5py.File("chunk", "w", driver="core", backing_store=False)
            space = h5s.create_simple(self._chunk)
            self._dataset = h5d.create(
                self._file.id, b"chunk", self._type, space, self._properties.copy()
            )
        self._used += 1
        return self._dataset

    def decode(self, raw: bytes | memoryview, mask: int) -> Array:
        """Undo the filters.

        Raises
        ------
        FilterError
            The library refuses.
        """
        out = np.empty(self._size, np.uint8)
        with self._lock:
            try:
                dataset = self._open()
                dataset.write_direct_chunk((0,) * len(self._chunk), bytes(raw), mask)
                dataset.read(h5s.ALL, h5s.ALL, out, mtype=self._type)
            except Exception as error:
                # What the library holds of a chunk that it cannot read must not be flushed.
                self.close()
                msg = f"the chunk cannot be decoded: {error}"
                raise FilterError(msg) from error
        return out

    def encode(self, data: Array) -> tuple[int, bytes]:
        """Apply the filters.

        Returns
        -------
        int
            Mask of the filters that the library skipped.
        bytes
            The chunk.

        Raises
        ------
        FilterError
            The library refuses.
        """
        flat = np.ascontiguousarray(data).reshape(-1).view(np.uint8)
        if len(flat) != self._size:
            msg = f"a chunk of {len(flat)} bytes instead of {self._size}"
            raise FilterError(msg)
        with self._lock:
            try:
                dataset = self._open()
                dataset.write(h5s.ALL, h5s.ALL, flat, mtype=self._type)
                self._file.flush()
                mask, raw = dataset.read_direct_chunk((0,) * len(self._chunk))
            except Exception as error:
                self.close()
                msg = f"the chunk cannot be encoded: {error}"
                raise FilterError(msg) from error
        return int(mask), bytes(raw)

    def close(self) -> None:
        """Give the memory back."""
        if self._file is not None:
            self._file.close()
        self._file = self._dataset = None
        self._used = 0
