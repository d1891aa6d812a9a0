"""Chunks decoded by the HDF5 library itself, for filters that are not implemented here."""

from __future__ import annotations

import contextlib
import importlib
import itertools
import struct
import threading
from typing import Any

import h5py
import numpy as np
from h5py import h5d, h5f, h5p, h5s, h5z

from vortex_hep.core.schema import Array
from vortex_hep.readers.hdf5.chunks.filters import FilterError

_BOTH = h5z.FILTER_CONFIG_ENCODE_ENABLED | h5z.FILTER_CONFIG_DECODE_ENABLED
#: Chunks, and bytes of chunks, that one file in memory is used for.
_SLOTS, _SLOT_BYTES = 64, 1 << 26
#: Filters from here on are not part of the library.
_FIRST_PLUGIN = 256
#: Numbers that stand for filters until their own are put in: no filter has them.
_STANDINS = range(65000, 65500)
#: A filter in an object header: number, bytes of its name, flags, number of parameters
#: (HDF5 File Format Specification, IV.A.2.l).
_FILTER = struct.Struct("<HHHH")

_numbers = itertools.count()


def file_in_memory() -> h5py.File:
    """Open a new file that is nowhere but in memory."""
    # The library takes two files of one name for the same, even in memory.
    name = f"vortex-{next(_numbers)}"
    return h5py.File(name, "w", driver="core", backing_store=False)


def _image_of(file: h5py.File) -> bytes:
    file.flush()
    return bytes(file.id.get_file_image())


def _file_of_image(image: bytes) -> h5py.File:
    """Open the bytes of a file, to be written to in memory."""
    access = h5p.create(h5p.FILE_ACCESS)
    access.set_fapl_core(backing_store=False)
    access.set_file_image(image)
    name = f"vortex-{next(_numbers)}".encode()
    return h5py.File(h5f.open(name, h5f.ACC_RDWR, fapl=access))


def filter_works(number: int) -> bool:
    """Whether the HDF5 library at hand can both undo and apply a filter."""
    if not h5z.filter_avail(number):
        # Registers what it has with the library, for this process.
        with contextlib.suppress(ImportError):
            importlib.import_module("hdf5plugin")
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
        self._type = type_id
        self._properties = properties.copy()
        # Chunks are to be there when they are written, and not before.
        self._properties.set_alloc_time(h5d.ALLOC_TIME_INCR)
        self._chunk, self._size = chunk, size
        self._slots = max(1, min(_SLOTS, _SLOT_BYTES // max(size, 1)))
        self._lock = threading.Lock()
        self._file: Any = None
        self._dataset: Any = None
        self._used = 0
        self._image: bytes | None = None

    def works(self) -> bool:
        """Whether the library makes a dataset of this type with these filters."""
        try:
            with self._lock:
                self._next_slot()
        except (OSError, RuntimeError, TypeError, ValueError):
            return False
        return True

    def _next_slot(self) -> tuple[int, ...]:
        """First element of a chunk of the dataset in memory that was never written.

        One that was written keeps its mask in the library's index, whatever is written later.
        """
        if self._dataset is None or self._used == self._slots:
            self.close()
            if self._image is None:
                self._image = self._make_image()
            self._file = _file_of_image(self._image)
            self._dataset = h5d.open(self._file.id, b"chunk")
        self._used += 1
        return (self._chunk[0] * (self._used - 1), *(0 for _ in self._chunk[1:]))

    def _make_image(self) -> bytes:
        """Bytes of a file with a dataset that has the very filters of the source's.

        A plugin is told of every dataset that is made, and then sets its parameters: those of a
        dataset that exists already it takes for what a user asked for, and makes other ones of
        them. So that it is told of none, filters that nothing knows stand in for it, and its
        number is put into the file afterwards.

        Raises
        ------
        ValueError
            The filters of the dataset that was made are not those of the source's.
        """
        own = self._properties.copy()
        wanted = [own.get_filter(k)[:3] for k in range(own.get_nfilters())]
        standins = dict(zip(range(len(wanted)), _STANDINS, strict=False))
        own.remove_filter(h5z.FILTER_ALL)
        # Without it the dataset's header has no checksum, which would have to be made anew.
        own.set_attr_creation_order(0)
        for k, (number, flags, values) in enumerate(wanted):
            if number < _FIRST_PLUGIN:
                own.set_filter(number, flags, values)
            else:
                own.set_filter(standins[k], h5z.FLAG_OPTIONAL, values)
        space = h5s.create_simple((self._chunk[0] * self._slots, *self._chunk[1:]))
        with file_in_memory() as file:
            h5d.create(file.id, b"chunk", self._type, space, own)
            image = _image_of(file)
        for k, (number, flags, values) in enumerate(wanted):
            if number >= _FIRST_PLUGIN:
                old = _FILTER.pack(standins[k], 0, h5z.FLAG_OPTIONAL, len(values))
                if image.count(old) != 1:
                    msg = f"filter {number} has no place of its own"
                    raise ValueError(msg)
                image = image.replace(old, _FILTER.pack(number, 0, flags, len(values)))
        with _file_of_image(image) as file:
            made = h5d.open(file.id, b"chunk").get_create_plist()
            found = [made.get_filter(k)[:3] for k in range(made.get_nfilters())]
        if found != wanted:
            msg = f"filters {found} instead of {wanted}"
            raise ValueError(msg)
        return image

    def _spaces(self, start: tuple[int, ...]) -> tuple[Any, Any]:
        """Dataspaces of a chunk in memory and in the file."""
        within = self._dataset.get_space()
        within.select_hyperslab(start, self._chunk)
        return h5s.create_simple(self._chunk), within

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
                start = self._next_slot()
                self._dataset.write_direct_chunk(start, bytes(raw), mask)
                if mask:
                    # The library remembers the last chunk that it looked up, without its mask.
                    self._dataset = None
                    self._dataset = h5d.open(self._file.id, b"chunk")
                self._dataset.read(*self._spaces(start), out, mtype=self._type)
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
                start = self._next_slot()
                self._dataset.write(*self._spaces(start), flat, mtype=self._type)
                self._file.flush()
                mask = self._dataset.get_chunk_info_by_coord(start).filter_mask
                _, raw = self._dataset.read_direct_chunk(start)
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
