"""The bytes of an archived HDF5 file: the stored part, and chunks made on demand."""

from __future__ import annotations

import gc
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import numpy as np

from vortex_hep.core.storage.readonly import ReadOnlyFile
from vortex_hep.errors import CorruptionError
from vortex_hep.readers.hdf5.image import HDF5Plan
from vortex_hep.readers.holes import kept_ranges, pieces

#: Pieces of what was kept that are in memory at a time.
_PIECES = 8


class FileImage(ReadOnlyFile):
    """A read-only file with the very bytes of the archived one.

    Parameters
    ----------
    blobs : callable
        Gives the remainder, a mapping of str to bytes; never the same in two processes.
    plan : HDF5Plan
    chunk : callable
        Gives the bytes of a hole, by its number in ``plan.holes``.

    Notes
    -----
    HDF5 reads data from where a chunk begins, or, if a dataset is contiguous, from anywhere in it.
    It reads its own structures by guess of their size, and so beyond their end, into a chunk that
    comes next; such bytes are of no effect, and are zero here rather than decoded.
    """

    def __init__(
        self,
        blobs: Callable[[], Mapping[str, bytes]],
        plan: HDF5Plan,
        chunk: Callable[[int], bytes],
    ) -> None:
        super().__init__(plan.size)
        kept = [
            (offset, size, number, at)
            for number, piece in enumerate(pieces(kept_ranges(plan.holes, plan.size)))
            for (offset, size), at in zip(piece, _starts(piece), strict=True)
        ]
        self._kept = np.array(kept, np.int64).reshape(-1, 4)
        holes = plan.holes
        self._holes = np.stack([holes["offset"], holes["offset"] + holes["size"]], axis=1)
        contiguous = np.array([d.layout.contiguous for d in plan.datasets], np.bool_)
        #: Holes that data before them may run on into.
        self._goes_on = (
            contiguous[holes["dataset"]] & (holes["chunk"] > 0) if len(holes) else np.zeros(0, bool)
        )
        self._blobs, self._chunk = blobs, chunk
        self._recent: OrderedDict[int, bytes] = OrderedDict()

    def fill(self, target: memoryview, start: int) -> int:
        """Put together what was kept, and chunks that are made.

        Raises
        ------
        CorruptionError
            Some of the remainder is missing, or the archive is damaged.
        """
        target[:] = bytes(len(target))
        with _no_collection():
            for low, high, data in self._read(start, start + len(target)):
                target[low - start : high - start] = data
        return len(target)

    def _read(self, start: int, stop: int) -> Iterator[tuple[int, int, memoryview]]:
        number = max(0, int(np.searchsorted(self._kept[:, 0], start, "right")) - 1)
        while number < len(self._kept) and self._kept[number, 0] < stop:
            offset, size, piece, at = self._kept[number].tolist()
            low, high = max(start, offset), min(stop, offset + size)
            if low < high:
                first = at + low - offset
                yield low, high, self._piece(piece)[first : first + high - low]
            number += 1
        number = int(np.searchsorted(self._holes[:, 1], start, "right"))
        while number < len(self._holes) and self._holes[number, 0] < stop:
            offset, end = self._holes[number].tolist()
            low, high = max(start, offset), min(stop, end)
            if low < high and (start >= offset or self._goes_on[number]):
                yield low, high, memoryview(self._chunk(number))[low - offset : high - offset]
            number += 1

    def _piece(self, number: int) -> memoryview:
        blob = self._recent.pop(number, None)
        if blob is None:
            blob = self._blobs().get(f"hdf5/skeleton/{number}", b"")
            rows = self._kept[self._kept[:, 2] == number]
            if len(blob) != int(rows[:, 1].sum()):
                raise CorruptionError(
                    f"piece {number} of the HDF5 file's skeleton is missing or cut"
                )
        self._recent[number] = blob
        if len(self._recent) > _PIECES:
            self._recent.popitem(last=False)
        return memoryview(blob)


def _starts(piece: list[tuple[int, int]]) -> list[int]:
    """Where each range of a piece begins in it."""
    return [0, *np.cumsum([size for _, size in piece])[:-1].tolist()]


@contextmanager
def _no_collection() -> Iterator[None]:
    """Keep Python from collecting garbage.

    h5py is locked while it reads from here. Were a decoding thread to collect an object of h5py,
    it would wait for that lock, and this thread for it.
    """
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()
