"""Restoring HDF5 files from columns and remainder."""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor

import h5py
import numpy as np

from vortex_hep.core.schema import Array, TableData
from vortex_hep.core.storage.atomic import atomic_output
from vortex_hep.errors import CorruptionError, UnsupportedFeatureError, VortexError
from vortex_hep.readers.hdf5.chunks.encoding import Encoder
from vortex_hep.readers.hdf5.chunks.filters import FilterError
from vortex_hep.readers.hdf5.chunks.library import LibraryCodec, filter_works
from vortex_hep.readers.hdf5.chunks.recordtype import insert
from vortex_hep.readers.hdf5.datasets.lists import rows_of_lists
from vortex_hep.readers.hdf5.datasets.survey import MAX_BLOCK
from vortex_hep.readers.hdf5.image import (
    HDF5Plan,
    PlannedDataset,
    read_plan,
    skeleton_file,
    skeleton_pieces,
)
from vortex_hep.readers.hdf5.workfile import WorkFile, work_file
from vortex_hep.readers.kinds import ReadCluster, RestoreOptions

#: Bytes of filled-up rows that are put together at a time.
_STEP = 1 << 24
#: Chunks that are encoded ahead of the one that is written.
_AHEAD = 8
_HINT = (
    "the zlib at hand may compress otherwise than the one that compressed the file;"
    " exact=False (--no-exact) writes a file that holds the same"
)


def restore_file(
    blobs: Mapping[str, bytes],
    trees: Mapping[str, Sequence[tuple[int, int]]],
    read_cluster: ReadCluster,
    out_path: str | os.PathLike[str],
    options: RestoreOptions,
) -> None:
    """Write the HDF5 file anew; see :mod:`vortex_hep.readers.kinds`.

    Notes
    -----
    Chunks get the filters they had. Where every one has its former size, everything stands where
    it stood; other chunks get new places by the HDF5 library.
    """
    path = os.fspath(out_path)
    try:
        plan = read_plan(blobs)
        ranges = _ranges_of(plan, trees)
        with atomic_output(path, overwrite=options.overwrite) as out, work_file(path) as work:
            for offset, data in skeleton_pieces(blobs, plan):
                work.put(offset, data)
            with _Codecs(blobs) as codecs, ThreadPoolExecutor(os.cpu_count()) as pool:
                for tree, tree_ranges in ranges.items():
                    _restore_tree(tree, plan, tree_ranges, read_cluster, work, codecs, pool)
            work.finish(plan.size, plan.end)
            if options.exact and options.identity is not None:
                options.identity.check(work.identity(), path, hint=_HINT)
            work.copy_to(out)
    except VortexError as error:
        error.path = error.path or path
        raise


def _ranges_of(
    plan: HDF5Plan, trees: Mapping[str, Sequence[tuple[int, int]]]
) -> dict[str, Sequence[tuple[int, int]]]:
    """Ranges to read each tree in, checked to cover its datasets."""
    out: dict[str, Sequence[tuple[int, int]]] = {}
    for dataset in plan.datasets:
        ranges = trees.get(dataset.tree)
        if ranges is None:
            raise CorruptionError(
                "the remainder has this tree, the columns do not", tree=dataset.tree
            )
        at = 0
        for start, stop in ranges:
            if start != at or stop <= start:
                raise CorruptionError(f"entries {start} to {stop} do not follow on {at}",
                                      tree=dataset.tree)  # fmt: skip
            at = stop
        if at != dataset.layout.rows:
            raise CorruptionError(
                f"columns hold {at} of {dataset.layout.rows} entries", tree=dataset.tree
            )
        out[dataset.tree] = ranges
    return out


class _Codecs:
    """The HDF5 library's filters for datasets that need them, by the skeleton's description."""

    def __init__(self, blobs: Mapping[str, bytes]) -> None:
        self._blobs = blobs
        self._file: h5py.File | None = None
        self._codecs: dict[bytes, LibraryCodec] = {}
        self._lock = threading.Lock()

    def of(self, dataset: PlannedDataset) -> LibraryCodec:
        """Return the filters of a dataset."""
        path = dataset.layout.path
        with self._lock:
            if path not in self._codecs:
                self._codecs[path] = self._make(dataset)
            return self._codecs[path]

    def _make(self, dataset: PlannedDataset) -> LibraryCodec:
        lay = dataset.layout
        for one in lay.pipeline.filters:
            if not filter_works(one.number):
                raise UnsupportedFeatureError(
                    f"its chunks need {one.name}, which is not available here", tree=dataset.tree,
                    hint="the package hdf5plugin brings most filters",
                )  # fmt: skip
        if self._file is None:
            self._file = skeleton_file(self._blobs)
        try:
            found = h5py.h5d.open(self._file.id, lay.path)
            made = LibraryCodec(
                found.get_type(), found.get_create_plist(), lay.chunk, lay.chunk_bytes
            )
            fits = found.get_type().get_size() == lay.size
        except Exception as error:
            raise CorruptionError(
                f"the skeleton has no such dataset: {error}", tree=dataset.tree
            ) from error
        if not fits:
            raise CorruptionError("the skeleton has another type", tree=dataset.tree)
        return made

    def __enter__(self) -> _Codecs:
        return self

    def __exit__(self, *_: object) -> None:
        for codec in self._codecs.values():
            codec.close()
        if self._file is not None:
            self._file.close()


def _restore_tree(
    tree: str,
    plan: HDF5Plan,
    ranges: Sequence[tuple[int, int]],
    read_cluster: ReadCluster,
    work: WorkFile,
    codecs: _Codecs,
    pool: Executor,
) -> None:
    fillers = [
        _Filler(dataset, plan.holes[plan.holes["dataset"] == number], work, codecs, pool)
        for number, dataset in enumerate(plan.datasets)
        if dataset.tree == tree
    ]
    for start, stop in ranges:
        cluster = read_cluster(tree, start, stop)
        for filler in fillers:
            table = cluster.get(filler.dataset.table)
            if table is None:
                raise CorruptionError(f"no table {filler.dataset.table!r}", tree=tree)
            filler.add(table, start, stop)
    for filler in fillers:
        filler.finish()


class _Filler:
    """Puts rows of one dataset together to chunks, and these into their holes."""

    def __init__(
        self, dataset: PlannedDataset, holes: Array, work: WorkFile, codecs: _Codecs, pool: Executor
    ) -> None:
        self.dataset = dataset
        self._holes = {
            int(h["chunk"]): (int(h["offset"]), int(h["size"]), int(h["mask"])) for h in holes
        }
        self._work, self._pool = work, pool
        lay = dataset.layout
        if lay.chunk_bytes > MAX_BLOCK or lay.block_rows * lay.row_bytes > MAX_BLOCK:
            raise CorruptionError("chunks of a size that is not allowed", tree=dataset.tree)
        self._encoder = Encoder(lay.pipeline, dataset.how, lambda: codecs.of(dataset))
        self._block: Array | None = None
        self._number = 0
        self._pending: deque[tuple[int, Future[tuple[int, bytes]]]] = deque()

    def add(self, table: TableData, start: int, stop: int) -> None:
        """Take the columns of rows ``start`` to ``stop``."""
        if not self._holes:
            return
        lay = self.dataset.layout
        step = stop - start if lay.pad is None else max(1, _STEP // lay.row_bytes)
        for low in range(start, stop, step):
            high = min(low + step, stop)
            self._add_records(self._records(table, low - start, high - start), low)

    def _records(self, table: TableData, low: int, high: int) -> Array:
        """Elements of some rows of a cluster, shape (rows, *inner, bytes)."""
        lay = self.dataset.layout
        first, last = int(table.offsets[low]), int(table.offsets[high])
        if lay.pad is None and last - first != high - low:
            raise CorruptionError("a table has another number of rows", tree=self.dataset.tree)
        shape = (last - first, *(lay.inner if lay.pad is None else ()))
        # Bytes that no column has are zero: a chunk where they are not is kept.
        records = np.zeros((*shape, lay.size), np.uint8)
        for part in lay.parts:
            column = table.columns.get(part.name)
            if not isinstance(column, np.ndarray) or column.dtype != np.dtype(part.dtype):
                raise CorruptionError(
                    "a column is missing, or of another type",
                    tree=self.dataset.tree, branch=part.name,
                )  # fmt: skip
            column = column[first:last]
            if column.shape != shape + part.shape:
                raise CorruptionError(
                    "a column of another shape", tree=self.dataset.tree, branch=part.name
                )
            insert(records, part, column)
        if lay.pad is None:
            return records
        lengths = np.diff(table.offsets[low : high + 1])
        try:
            return rows_of_lists(lengths, records, lay.inner[0], lay.pad)
        except ValueError as error:
            raise CorruptionError(str(error), tree=self.dataset.tree) from error

    def _add_records(self, records: Array, start: int) -> None:
        """Copy rows into blocks; write the chunks of each block that is complete."""
        lay = self.dataset.layout
        flat = records.reshape(len(records), -1)
        at = 0
        while at < len(records):
            number = (start + at) // lay.block_rows
            first = number * lay.block_rows
            rows = min(lay.block_rows, lay.rows - first)
            low = start + at - first
            count = min(rows - low, len(records) - at)
            if low == 0 and count == rows:
                self._write_block(number, flat[at : at + count])
            else:
                if self._block is None or self._number != number:
                    self._block = np.empty((rows, lay.row_bytes), np.uint8)
                    self._number = number
                self._block[low : low + count] = flat[at : at + count]
                if low + count == rows:
                    self._write_block(number, self._block)
                    self._block = None
            at += count

    def _write_block(self, number: int, rows: Array) -> None:
        lay = self.dataset.layout
        cells = rows.reshape(-1, *lay.shape[1:], lay.size)
        first = number * lay.block_chunks
        for chunk in range(first, first + lay.block_chunks):
            if chunk in self._holes:
                data = self._chunk(cells, chunk)
                mask = self._holes[chunk][2]
                self._pending.append((chunk, self._pool.submit(self._encode, data, mask)))
                if len(self._pending) > _AHEAD:
                    self._place()

    def _encode(self, data: Array, mask: int) -> tuple[int, bytes]:
        try:
            return self._encoder.encode(data, mask)
        except FilterError as error:
            raise CorruptionError(str(error), tree=self.dataset.tree) from error

    def _chunk(self, cells: Array, number: int) -> Array:
        """Elements of a chunk, with the fill value beyond the dataset's edge."""
        lay = self.dataset.layout
        inside, start = lay.inside(number), lay.start(number)
        place = (
            slice(inside[0]),
            *(slice(s, s + n) for s, n in zip(start[1:], inside[1:], strict=True)),
        )
        shape = lay.stored_shape(number)
        if shape == inside:
            # A copy, for the block is written over while the chunk waits.
            return np.array(cells[place], order="C")
        out = np.empty((*shape, lay.size), np.uint8)
        out[...] = np.frombuffer(lay.fill, np.uint8)
        out[tuple(slice(n) for n in inside)] = cells[place]
        return out

    def _place(self) -> None:
        chunk, future = self._pending.popleft()
        mask, data = future.result()
        offset, size, old_mask = self._holes[chunk]
        if len(data) == size and mask == old_mask:
            self._work.put(offset, data)
        elif self.dataset.layout.contiguous:
            raise CorruptionError("data of another size than before", tree=self.dataset.tree)
        else:
            start = self.dataset.layout.start(chunk)
            self._work.put_aside(self.dataset.layout.path, start, mask, data)

    def finish(self) -> None:
        """Write what is left."""
        while self._pending:
            self._place()
