"""Rows of a dataset, read chunk by chunk, and which chunks the columns can replace."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from concurrent.futures import Executor

import numpy as np

from vortex_hep.core.schema import Array
from vortex_hep.core.storage.ranges import ByteSource, read_coalesced
from vortex_hep.errors import SourceError, VortexError
from vortex_hep.readers.hdf5.chunks.encoding import ChunkEncoding, Encoder, find_way, ways
from vortex_hep.readers.hdf5.chunks.filters import FilterError
from vortex_hep.readers.hdf5.chunks.layout import DatasetLayout
from vortex_hep.readers.hdf5.datasets.survey import HOLE, KEPT, UNKNOWN, StoredDataset

#: Bytes of decoded chunks that are kept for the next call, at least.
CACHE_BYTES = 1 << 26
#: Stored bytes that are fetched at a time.
_FETCH = 1 << 25
#: Chunks by which the way to encode a dataset is found.
_SAMPLES = 3


class ChunkReader:
    """Reads elements of datasets out of a file's bytes.

    Parameters
    ----------
    source : ByteSource
    path : str
    exact : bool
        Whether every chunk is encoded anew, to find those that do not come back byte for byte.
    pool : Executor
        Decodes chunks.
    """

    def __init__(self, source: ByteSource, path: str, *, exact: bool, pool: Executor) -> None:
        self._source, self._path, self._pool = source, path, pool
        self.exact = exact
        self.cache_bytes = CACHE_BYTES
        self._cache: OrderedDict[tuple[bytes, int], Array] = OrderedDict()
        self._cached = 0
        self._lock = threading.Lock()

    def rows(self, dataset: StoredDataset, start: int, stop: int) -> Array:
        """Elements of rows ``start`` to ``stop``.

        Returns
        -------
        uint8 array, shape (stop - start, *inner, bytes of an element)

        Raises
        ------
        SourceError
            A chunk is damaged.
        """
        lay = dataset.layout
        first, last = start // lay.slab_rows, -(-stop // lay.slab_rows)
        out = np.empty((last - first, *lay.shape[1:], lay.size), np.uint8)
        begin = first // lay.chunk[0] * lay.block_chunks
        end = (-(-last // lay.chunk[0])) * lay.block_chunks
        low, high = np.searchsorted(dataset.numbers, [begin, end])
        if high - low < end - begin:
            out.reshape(-1, lay.size)[...] = np.frombuffer(lay.fill, np.uint8)
        for group in _groups(dataset, int(low), int(high)):
            for k, cells in zip(group, self._chunks(dataset, group), strict=True):
                _paste(out, lay, int(dataset.numbers[k]), cells, first, last)
        rows = out.reshape(-1, *lay.inner, lay.size)
        return rows[start - first * lay.slab_rows :][: stop - start]

    def judge_all(self, dataset: StoredDataset) -> None:
        """Look at the chunks that were not read yet.

        Raises
        ------
        SourceError
            A chunk is damaged.
        """
        for group in _groups(dataset, 0, len(dataset.numbers)):
            self._chunks(dataset, [k for k in group if dataset.state[k] == UNKNOWN])

    def _chunks(self, dataset: StoredDataset, ks: Sequence[int]) -> list[Array]:
        """Elements of chunks, decoded or from the cache."""
        key = dataset.layout.path
        with self._lock:
            # One that was read before its layout was chosen is not judged yet.
            known = {
                k: self._cache[key, k]
                for k in ks
                if (key, k) in self._cache and dataset.state[k] != UNKNOWN
            }
            for k in known:
                self._cache.move_to_end((key, k))
        missing = [k for k in ks if k not in known]
        if missing:
            raws = self._fetch(dataset, missing)
            decoded = self._pool.map(lambda k, raw: self._decode(dataset, k, raw), missing, raws)
            for k, cells in zip(missing, decoded, strict=True):
                known[k] = cells
                self._keep((key, k), cells)
        return [known[k] for k in ks]

    def _keep(self, key: tuple[bytes, int], cells: Array) -> None:
        with self._lock:
            if key not in self._cache:
                self._cache[key] = cells
                self._cached += cells.nbytes
            while self._cached > self.cache_bytes and len(self._cache) > 1:
                _, old = self._cache.popitem(last=False)
                self._cached -= old.nbytes

    def _fetch(self, dataset: StoredDataset, ks: Sequence[int]) -> list[memoryview]:
        ranges = [(int(dataset.offsets[k]), int(dataset.sizes[k])) for k in ks]
        try:
            return read_coalesced(self._source, ranges)
        except SourceError as error:  # keeps its class: it may pass, as those of the network do
            error.tree = error.tree or dataset.name
            raise
        except VortexError as error:
            raise SourceError(
                error.message, path=self._path, tree=dataset.name, offset=error.offset
            ) from error

    def _decode(self, dataset: StoredDataset, k: int, raw: memoryview) -> Array:
        """Undo a chunk's filters, and judge it."""
        lay = dataset.layout
        mask, number = int(dataset.masks[k]), int(dataset.numbers[k])
        sound = True
        try:
            if lay.pipeline.plain:
                try:
                    cells = lay.pipeline.decode(raw, mask, lay.stored_bytes(number))
                except FilterError:
                    if not lay.pipeline.filters:
                        raise
                    # The library takes some that are not as it would write them: these are kept.
                    cells, sound = dataset.codec().decode(raw, mask), False
            else:
                cells = dataset.codec().decode(raw, mask)
        except FilterError as error:
            raise SourceError(
                f"{error} (chunk {number})", path=self._path, tree=dataset.name,
                offset=int(dataset.offsets[k]), hint="the file is damaged",
            ) from error  # fmt: skip
        cells = cells.reshape(*lay.stored_shape(number), lay.size)
        if dataset.state[k] == UNKNOWN:
            sound = sound and self._comes_back(dataset, number, mask, raw, cells)
            dataset.state[k] = HOLE if sound else KEPT
        return cells

    def _comes_back(
        self, dataset: StoredDataset, number: int, mask: int, raw: memoryview, cells: Array
    ) -> bool:
        """Whether columns and layout alone give the chunk back."""
        lay = dataset.layout
        inside = lay.inside(number)
        if cells.shape[:-1] != inside and not _filled_up(cells, inside, lay.fill):
            return False
        gaps = lay.gap_mask
        if gaps is not None and cells[tuple(slice(n) for n in inside)][..., gaps].any():
            return False
        if lay.pipeline.plain and not (self.exact and lay.pipeline.filters):
            return True
        try:
            made = Encoder(lay.pipeline, self.way(dataset), dataset.codec).encode(cells, mask)
            if self.exact or made == (mask, bytes(raw)):
                return made == (mask, bytes(raw))
            # Not all filters give back what they are given.
            return made[0] == mask and np.array_equal(
                dataset.codec().decode(made[1], mask), cells.reshape(-1)
            )
        except FilterError:
            return False

    def way(self, dataset: StoredDataset) -> ChunkEncoding:
        """How the chunks of a dataset are best encoded, found by some of them."""
        with dataset.lock:
            if dataset.how is None:
                dataset.how = self._find_way(dataset)
            return dataset.how

    def _find_way(self, dataset: StoredDataset) -> ChunkEncoding:
        pipeline = dataset.layout.pipeline
        if len(ways(pipeline)) == 1:
            return ways(pipeline)[0]
        usual = np.flatnonzero(dataset.masks == 0)
        if not len(usual):
            return ways(pipeline)[0]
        count = _SAMPLES if self.exact else 1
        samples = []
        for k in sorted({int(usual[len(usual) * i // count]) for i in range(count)}):
            raw = bytes(self._fetch(dataset, [k])[0])
            size = dataset.layout.stored_bytes(int(dataset.numbers[k]))
            try:
                samples.append((pipeline.decode(raw, 0, size), 0, raw))
            except FilterError:
                continue
        return find_way(pipeline, dataset.codec, samples)

    def encodes(self, dataset: StoredDataset, k: int) -> bool:
        """Whether encoding a chunk anew gives its very bytes.

        Raises
        ------
        SourceError
            The chunk is damaged.
        """
        raw = self._fetch(dataset, [k])[0]
        cells = self._decode(dataset, k, raw)
        encoder = Encoder(dataset.layout.pipeline, self.way(dataset), dataset.codec)
        mask = int(dataset.masks[k])
        try:
            return encoder.encode(cells, mask) == (mask, bytes(raw))
        except FilterError:
            return False


def _groups(dataset: StoredDataset, low: int, high: int) -> list[list[int]]:
    """Chunks to fetch together."""
    out: list[list[int]] = []
    size = 0
    for k in range(low, high):
        cost = int(dataset.sizes[k]) + dataset.layout.chunk_bytes
        if not out or size + cost > _FETCH:
            out.append([])
            size = 0
        out[-1].append(k)
        size += cost
    return out


def _paste(
    out: Array, lay: DatasetLayout, number: int, cells: Array, first: int, last: int
) -> None:
    """Put what a chunk has of the first axis from ``first`` to ``last`` in its place."""
    start, inside = lay.start(number), lay.inside(number)
    low, high = max(start[0], first), min(start[0] + inside[0], last)
    if low >= high:
        return
    to = [slice(s, s + n) for s, n in zip(start[1:], inside[1:], strict=True)]
    taken = [slice(n) for n in inside[1:]]
    there = (slice(low - first, high - first), *to)
    here = (slice(low - start[0], high - start[0]), *taken)
    out[there] = cells[here]


def _filled_up(cells: Array, inside: tuple[int, ...], fill: bytes) -> bool:
    """Whether a chunk holds the fill value in all elements beyond the dataset's edge."""
    element = np.frombuffer(fill, np.uint8)
    for axis, n in enumerate(inside):
        beyond = (*(slice(k) for k in inside[:axis]), slice(n, None))
        if not (cells[beyond] == element).all():
            return False
    return True
