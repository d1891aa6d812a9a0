"""The survey of a file's datasets: which can be columns, and where their chunks are."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from h5py import h5d, h5i, h5o, h5s, h5t

from vortex_hep.core.schema import Array
from vortex_hep.errors import SourceError
from vortex_hep.readers.hdf5.chunks.encoding import ChunkEncoding
from vortex_hep.readers.hdf5.chunks.filters import Filter, FilterError, FilterPipeline
from vortex_hep.readers.hdf5.chunks.layout import DatasetLayout, pieces_of, rows_of
from vortex_hep.readers.hdf5.chunks.library import LibraryCodec, file_in_memory, filter_works
from vortex_hep.readers.hdf5.chunks.recordtype import parts_of, readable

#: What chunks cover of the rows of a dataset together is held in memory.
MAX_BLOCK = 1 << 28
#: A dataset may claim so many times the bytes that were ever written to it, beyond a few.
_SPARSE, _FEW_BYTES = 4, 1 << 26
#: Chunks on which filters of the library are tried.
_TRIED = 3

UNKNOWN, HOLE, KEPT = 0, 1, 2


class NotColumnsError(ValueError):
    """The dataset cannot become columns; the message says why, or is empty where it is usual."""


@dataclass
class StoredDataset:
    """A dataset of a file that can become columns.

    Parameters
    ----------
    layout : DatasetLayout
    compound : bool
    numbers, offsets, sizes, masks : int64 arrays, shape (chunks,)
        Chunks that are in the file: number in the grid (increasing), place, bytes, filter mask.
    state : uint8 array, shape (chunks,)
        ``HOLE`` where a chunk comes back from the columns, ``KEPT`` where it is kept as it is.
    type_id, properties : h5py objects
    how : ChunkEncoding or None
        How its chunks are encoded; None where that was not looked for yet.
    """

    layout: DatasetLayout
    compound: bool
    numbers: Array
    offsets: Array
    sizes: Array
    masks: Array
    state: Array
    type_id: Any
    properties: Any
    how: ChunkEncoding | None = None
    lock: threading.RLock = field(default_factory=threading.RLock, repr=False)
    _codec: LibraryCodec | None = field(default=None, repr=False)

    @property
    def name(self) -> str:
        """Path of the dataset as text."""
        return readable(self.layout.path)

    def codec(self) -> LibraryCodec:
        """Return the HDF5 library's filters."""
        with self.lock:
            if self._codec is None:
                lay = self.layout
                self._codec = LibraryCodec(
                    self.type_id, self.properties, lay.chunk, lay.chunk_bytes
                )
            return self._codec

    def close(self) -> None:
        """Give memory back."""
        if self._codec is not None:
            self._codec.close()


def survey(root: Any, path: str, size: int) -> Iterator[tuple[StoredDataset | None, str, str]]:
    """Look at all datasets of a file.

    Parameters
    ----------
    root : h5py GroupID
    path : str
    size : int
        Bytes of the file.

    Yields
    ------
    dataset : StoredDataset or None
    name : str
    reason : str
        Why it is None, if that is worth telling.

    Raises
    ------
    SourceError
        The file is damaged.
    """
    names: list[bytes] = []
    try:
        h5o.visit(root, names.append)
    except Exception as error:
        raise _damaged(error, path) from error
    for name in names:
        try:
            found = h5o.open(root, name)
            if not isinstance(found, h5d.DatasetID) or h5i.get_type(found) != h5i.DATASET:
                continue
            yield _look(found, name, path, size), readable(name), ""
        except NotColumnsError as error:
            yield None, readable(name), str(error)
        except SourceError:
            raise
        except Exception as error:
            raise _damaged(error, path, readable(name)) from error


def _damaged(error: Exception, path: str, name: str | None = None) -> SourceError:
    text = " ".join(str(error).split()) or type(error).__name__
    return SourceError(f"the HDF5 library cannot read it: {text}", path=path, tree=name)


def _look(dataset: Any, name: bytes, path: str, file_size: int) -> StoredDataset:
    space = dataset.get_space()
    if space.get_simple_extent_type() != h5s.SIMPLE:
        raise NotColumnsError
    shape = tuple(int(n) for n in space.get_simple_extent_dims())
    if not shape or 0 in shape:
        raise NotColumnsError
    properties = dataset.get_create_plist()
    how = properties.get_layout()
    if how == h5d.VIRTUAL or properties.get_external_count():
        msg = "its data are in other files, which are not part of this one"
        raise NotColumnsError(msg)
    if how not in (h5d.CHUNKED, h5d.CONTIGUOUS):
        raise NotColumnsError
    try:
        type_id = dataset.get_type()
        parts = parts_of(type_id)
    except TypeError as error:
        msg = f"a type that h5py does not support ({error})"
        raise NotColumnsError(msg) from error
    if parts is None:
        raise NotColumnsError
    size = type_id.get_size()
    pipeline = _pipeline(properties)
    if not pipeline.plain and type_id.detect_class(h5t.REFERENCE):
        raise NotColumnsError
    lead = rows_of(shape, size)
    chunked = how == h5d.CHUNKED
    chunk = properties.get_chunk() if chunked else pieces_of(shape, size)
    layout = DatasetLayout(
        name, shape, tuple(int(n) for n in chunk), size, lead, tuple(parts), pipeline,
        not chunked, bytes(size),
    )  # fmt: skip
    _check_size(layout)
    index = _chunks(dataset, layout) if chunked else _pieces(dataset, layout)
    _check_index(index, layout, path, file_size)
    if not pipeline.plain:
        _check_codec(dataset, type_id, layout, index)
    if not len(index) or _sparse(layout, len(index)):
        raise NotColumnsError("" if not len(index) else "nearly all of it was never written")
    if chunked:
        layout = _with_fill(layout, dataset, index, properties)
    if pipeline.filters:
        _mark_unfiltered(dataset, layout, index)
    numbers, offsets, sizes, masks = index.T
    return StoredDataset(
        layout, _has_fields(type_id), numbers, offsets, sizes, masks,
        np.zeros(len(index), np.uint8), type_id, properties,
    )  # fmt: skip


def _has_fields(type_id: Any) -> bool:
    """Whether elements are compounds, other than complex numbers as h5py writes them."""
    if type_id.get_class() != h5t.COMPOUND:
        return False
    names = [type_id.get_member_name(k) for k in range(type_id.get_nmembers())]
    return names != [b"r", b"i"]


def _pipeline(properties: Any) -> FilterPipeline:
    filters = []
    for k in range(properties.get_nfilters()):
        number, flags, values, label = properties.get_filter(k)
        filters.append(Filter(int(number), int(flags), tuple(int(v) for v in values)))
        if not filters[-1].sound:
            msg = f"invalid parameters of filter {filters[-1].name!r}"
            raise NotColumnsError(msg)
        if not filters[-1].number or not filter_works(filters[-1].number):
            text = readable(label) or str(number)
            msg = f"filter {text!r} is not available here (the package hdf5plugin brings most)"
            raise NotColumnsError(msg)
    return FilterPipeline(tuple(filters))


def _check_size(layout: DatasetLayout) -> None:
    slab = layout.size * math.prod(layout.shape[1:])
    if layout.chunk_bytes > MAX_BLOCK or layout.chunk[0] * slab > MAX_BLOCK:
        msg = f"chunks that share rows hold more than {MAX_BLOCK >> 20} MiB together"
        raise NotColumnsError(msg)


def _check_codec(dataset: Any, type_id: Any, layout: DatasetLayout, index: Array) -> None:
    """Try filters of the library on some chunks: there and back, as h5py reads them.

    Where not one comes back, columns would only be stored beside the chunks.
    """
    codec = LibraryCodec(type_id, dataset.get_create_plist(), layout.chunk, layout.chunk_bytes)
    try:
        if not codec.works():
            msg = "the installed HDF5 library can read such data, but not write it"
            raise NotColumnsError(msg)
        picks = sorted({len(index) * k // _TRIED for k in range(_TRIED)}) if len(index) else []
        found = [_comes_back(dataset, type_id, layout, codec, index[k]) for k in picks]
        if found and not any(found):
            names = ", ".join(f.name for f in layout.pipeline.filters)
            msg = f"its filters ({names}) do not give back the chunks that they are given"
            raise NotColumnsError(msg)
    finally:
        codec.close()


def _comes_back(
    dataset: Any, type_id: Any, layout: DatasetLayout, codec: LibraryCodec, row: Array
) -> bool:
    number, mask = int(row[0]), int(row[3])
    start, inside = layout.start(number), layout.inside(number)
    try:
        _, raw = dataset.read_direct_chunk(start)
        cells = codec.decode(raw, mask)
        space = dataset.get_space()
        space.select_hyperslab(start, inside)
        known = np.zeros((*inside, layout.size), np.uint8)
        dataset.read(h5s.create_simple(inside), space, known.reshape(-1), mtype=type_id)
    except Exception:  # noqa: BLE001
        # A damaged chunk says nothing of the filters; reading it will say where it is.
        return True
    within = cells.reshape(*layout.chunk, layout.size)[tuple(slice(n) for n in inside)]
    if not np.array_equal(within, known):
        return False
    try:
        made, again = codec.encode(cells)
        return np.array_equal(codec.decode(again, made), cells)
    except FilterError:
        return False


def _sparse(layout: DatasetLayout, chunks: int) -> bool:
    claimed = layout.size * math.prod(layout.shape)
    return claimed > _SPARSE * chunks * layout.chunk_bytes + _FEW_BYTES


def _chunks(dataset: Any, layout: DatasetLayout) -> Array:
    """Number, place, size and mask of all chunks, by number."""
    found: list[tuple[int, ...]] = []

    def note(info: Any) -> None:
        place = [at // c for at, c in zip(info.chunk_offset, layout.chunk, strict=True)]
        # A chunk beyond the dataset's edge holds nothing of it.
        if all(p < n for p, n in zip(place, layout.grid, strict=True)):
            number = 0
            for p, n in zip(place, layout.grid, strict=True):
                number = number * n + p
            found.append((number, info.byte_offset, info.size, info.filter_mask))

    dataset.chunk_iter(note)
    # An address of all ones says that there is none: the largest of numbers stands for it.
    most = np.iinfo(np.int64).max
    rows = [tuple(min(int(v), int(most)) for v in row) for row in sorted(found)]
    return np.array(rows, np.int64).reshape(-1, 4)


def _pieces(dataset: Any, layout: DatasetLayout) -> Array:
    offset = dataset.get_offset()
    if offset is None:
        return np.zeros((0, 4), np.int64)
    sizes = [layout.stored_bytes(k) for k in range(layout.grid[0])]
    out = np.zeros((len(sizes), 4), np.int64)
    out[:, 0] = np.arange(len(sizes))
    out[:, 1] = int(offset) + np.cumsum([0, *sizes[:-1]])
    out[:, 2] = sizes
    return out


def _check_index(index: Array, layout: DatasetLayout, path: str, file_size: int) -> None:
    numbers, offsets, sizes, _ = index.T
    # compared so that no sum overflows
    wrong = (offsets < 0) | (sizes < 0) | (sizes > file_size) | (offsets > file_size - sizes)
    if wrong.any():
        raise SourceError(
            f"a chunk of {int(sizes[wrong][0])} bytes lies beyond the end of the file", path=path,
            tree=readable(layout.path), offset=int(offsets[wrong][0]), hint="the file is damaged",
        )  # fmt: skip
    if (np.diff(numbers) == 0).any():
        raise SourceError(
            "two chunks have one place", path=path, tree=readable(layout.path),
            hint="the file is damaged",
        )  # fmt: skip


def _mark_unfiltered(dataset: Any, layout: DatasetLayout, index: Array) -> None:
    """Set the masks of chunks at the edge, where a dataset's option leaves these unfiltered.

    Neither the index says so nor h5py: only what the library reads there tells.
    """
    partial = np.array([layout.inside(int(n)) != layout.chunk for n in index[:, 0]])
    if not partial.any() or (index[partial, 2] != layout.chunk_bytes).any():
        return
    if index[partial, 3].any():
        return
    type_id, space = dataset.get_type(), dataset.get_space()
    for number in index[partial, 0]:
        start, inside = layout.start(int(number)), layout.inside(int(number))
        _, raw = dataset.read_direct_chunk(start)
        cells = np.frombuffer(raw, np.uint8).reshape(*layout.chunk, layout.size)
        space.select_hyperslab(start, inside)
        out = np.zeros((*inside, layout.size), np.uint8)
        dataset.read(h5s.create_simple(inside), space, out.reshape(-1), mtype=type_id)
        if not np.array_equal(out, cells[tuple(slice(n) for n in inside)]):
            return
    index[partial, 3] = (1 << len(layout.pipeline.filters)) - 1


def _with_fill(layout: DatasetLayout, dataset: Any, index: Array, properties: Any) -> DatasetLayout:
    """Find the fill value's bytes, where chunks are missing or reach beyond the edge."""
    overhangs = any(n % c for n, c in zip(layout.shape, layout.chunk, strict=True))
    missing = len(index) < math.prod(layout.grid)
    if not overhangs and not missing:
        return layout
    if properties.fill_value_defined() != h5d.FILL_VALUE_USER_DEFINED:
        return layout
    # A dataset of that fill value to which nothing was written reads as the fill value, in the
    # file's own type: nothing of it is converted.
    fill = fill_bytes(dataset.get_type(), properties)
    return replace(layout, fill=fill)


def fill_bytes(type_id: Any, properties: Any) -> bytes:
    """Bytes of the fill value as chunks hold it."""
    out = np.zeros(type_id.get_size(), np.uint8)
    with file_in_memory() as file:
        space = h5s.create_simple((1,))
        own = properties.copy()
        own.set_layout(h5d.CHUNKED)
        while own.get_nfilters():
            own.remove_filter(own.get_filter(0)[0])
        own.set_chunk((1,))
        probe = h5d.create(file.id, b"fill", type_id, space, own)
        probe.read(h5s.ALL, h5s.ALL, out, mtype=type_id)
    return out.tobytes()
