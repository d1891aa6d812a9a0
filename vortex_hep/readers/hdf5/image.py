"""The remainder of an HDF5 file: its bytes without the chunks that columns replace.

Every group, attribute, link and type comes back because its bytes do; what is missing of the file
are holes, each the place of one chunk.
"""

from __future__ import annotations

import gc
import json
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import h5py
import numpy as np

from vortex_hep.core.schema import Array
from vortex_hep.core.storage.readonly import ReadOnlyFile
from vortex_hep.core.text import fault_of
from vortex_hep.errors import CorruptionError, UnsupportedFeatureError, VortexError
from vortex_hep.readers.hdf5.chunks.encoding import LIBRARY, ZLIB, ChunkEncoding
from vortex_hep.readers.hdf5.chunks.layout import DatasetLayout, pack_layout, unpack_layout
from vortex_hep.readers.hdf5.datasets.survey import HOLE, KEPT, StoredDataset
from vortex_hep.readers.hdf5.pythonfile import open_python_file
from vortex_hep.readers.holes import kept_ranges, pieces

_VERSION = 1
#: Pieces of what was kept that are in memory at a time.
_PIECES = 8

HOLE_DTYPE = np.dtype(
    [("offset", "<i8"), ("size", "<i8"), ("dataset", "<i8"), ("chunk", "<i8"), ("mask", "<i8")]
)


@dataclass
class PlannedDataset:
    """A dataset whose chunks come back from columns.

    Parameters
    ----------
    tree, table : str
        Where its columns are, by the names that users of the archive know.
    layout : DatasetLayout
    how : ChunkEncoding
        How its chunks are encoded.
    """

    tree: str
    table: str
    layout: DatasetLayout
    how: ChunkEncoding


@dataclass
class HDF5Plan:
    """What stands where in a file.

    Parameters
    ----------
    size : int
        Bytes of the file.
    end : int
        End of HDF5's data in it; what follows is carried along.
    user_block : int
        Bytes before the superblock.
    datasets : list of PlannedDataset
    holes : structured array
        By offset: place and size of a chunk, its dataset, number in the grid, and filter mask.
    """

    size: int
    end: int
    user_block: int
    datasets: list[PlannedDataset]
    holes: Array


def find_holes(datasets: Sequence[StoredDataset], superblock_end: int) -> Array:
    """Holes of a file, by offset.

    Chunks that overlap one another, as in no sound file, are kept.
    """
    parts = []
    for number, dataset in enumerate(datasets):
        part = np.zeros(len(dataset.numbers), HOLE_DTYPE)
        part["offset"], part["size"] = dataset.offsets, dataset.sizes
        part["dataset"], part["chunk"], part["mask"] = number, dataset.numbers, dataset.masks
        parts.append(part[dataset.state == HOLE])
    holes = np.concatenate(parts) if parts else np.zeros(0, HOLE_DTYPE)
    holes = holes[np.lexsort((holes["size"], holes["offset"]))]
    ends = np.maximum.accumulate(holes["offset"] + holes["size"])
    sound = holes["offset"] >= superblock_end
    sound[1:] &= holes["offset"][1:] >= ends[:-1]
    sound[:-1] &= ends[:-1] <= holes["offset"][1:]
    for hole in holes[~sound]:
        dataset = datasets[int(hole["dataset"])]
        dataset.state[np.searchsorted(dataset.numbers, hole["chunk"])] = KEPT
    return holes[sound]


def pack_plan(plan: HDF5Plan) -> bytes:
    """Everything of a plan but its holes."""
    document = {
        "version": _VERSION,
        "size": plan.size,
        "end": plan.end,
        "user_block": plan.user_block,
        "datasets": [
            {"tree": d.tree, "table": d.table, **pack_layout(d.layout),
             "how": [d.how.by, d.how.level]}
            for d in plan.datasets
        ],
    }  # fmt: skip
    return json.dumps(document, separators=(",", ":")).encode()


def pack_holes(holes: Array) -> bytes:
    """Holes as five arrays of differences, which are mostly small or zero."""
    ends = np.concatenate([[0], holes["offset"] + holes["size"]])[:-1]
    after = np.zeros(len(holes), np.int64)
    for number in np.unique(holes["dataset"]):
        own = holes["dataset"] == number
        after[own] = np.concatenate([[-1], holes["chunk"][own][:-1]])
    columns = (
        holes["offset"] - ends,
        holes["size"],
        np.diff(holes["dataset"], prepend=0),
        holes["chunk"] - after - 1,
        holes["mask"],
    )
    return b"".join(np.ascontiguousarray(c, "<i8").tobytes() for c in columns)


def unpack_holes(blob: bytes) -> Array:
    """Undo :func:`pack_holes`."""
    gaps, sizes, steps, chunks, masks = np.frombuffer(blob, "<i8").reshape(5, -1)
    holes = np.zeros(len(gaps), HOLE_DTYPE)
    holes["size"], holes["mask"] = sizes, masks
    holes["dataset"] = np.cumsum(steps)
    holes["offset"] = np.cumsum(gaps) + np.concatenate([[0], np.cumsum(sizes)[:-1]])[: len(gaps)]
    for number in np.unique(holes["dataset"]):
        own = holes["dataset"] == number
        holes["chunk"][own] = np.cumsum(chunks[own] + 1) - 1
    return holes


def read_plan(blobs: Mapping[str, bytes]) -> HDF5Plan:
    """Read plan and holes out of a remainder.

    Raises
    ------
    CorruptionError
        They are invalid.
    UnsupportedFeatureError
        They are of a newer version.
    """
    try:
        document = json.loads(blobs["hdf5/plan"])
        if document["version"] != _VERSION:
            raise UnsupportedFeatureError(
                f"unsupported version {document['version']!r} of the description of an HDF5 file",
                hint="update vortex_hep",
            )
        plan = HDF5Plan(
            int(document["size"]),
            int(document["end"]),
            int(document["user_block"]),
            [_dataset(item) for item in document["datasets"]],
            unpack_holes(blobs["hdf5/holes"]),
        )
        _check(plan)
    except VortexError:
        raise
    except (KeyError, ValueError, TypeError, IndexError, AttributeError) as error:
        raise CorruptionError(
            f"invalid description of the HDF5 file in the remainder: {fault_of(error)}"
        ) from error
    return plan


def _dataset(item: Mapping[str, Any]) -> PlannedDataset:
    by, level = item["how"]
    if by not in (ZLIB, LIBRARY) or not 0 <= int(level) <= 9:
        msg = f"unknown way {by!r} to encode chunks"
        raise ValueError(msg)
    layout = unpack_layout(item)
    if by == ZLIB and not layout.pipeline.plain:
        msg = "unknown filters"
        raise ValueError(msg)
    return PlannedDataset(
        str(item["tree"]), str(item["table"]), layout, ChunkEncoding(by, int(level))
    )


def _check(plan: HDF5Plan) -> None:
    holes = plan.holes
    if len(holes) and (
        int(holes["size"].min()) < 0
        or int(holes["offset"].min()) < 0
        or (holes["offset"][1:] < (holes["offset"] + holes["size"])[:-1]).any()
        or int(holes["offset"][-1] + holes["size"][-1]) > plan.size
        or not 0 <= int(holes["dataset"].min()) <= int(holes["dataset"].max()) < len(plan.datasets)
    ):
        msg = "holes overlap, or lie outside the file"
        raise ValueError(msg)
    if not 0 <= plan.user_block <= plan.end <= plan.size:
        msg = "user block, end and size of the file are out of order"
        raise ValueError(msg)
    for number, dataset in enumerate(plan.datasets):
        chunks = holes["chunk"][holes["dataset"] == number]
        count = int(np.prod(dataset.layout.grid, dtype=object))
        if len(chunks) and (
            len(np.unique(chunks)) != len(chunks)
            or not 0 <= int(chunks.min()) <= int(chunks.max()) < count
        ):
            msg = f"a hole of dataset {number} is not one of its chunks"
            raise ValueError(msg)


def skeleton_pieces(blobs: Mapping[str, bytes], plan: HDF5Plan) -> Iterator[tuple[int, memoryview]]:
    """Offsets and bytes of everything that is not in holes.

    Raises
    ------
    CorruptionError
        Some of it is missing.
    """
    for number, piece in enumerate(pieces(kept_ranges(plan.holes, plan.size))):
        blob = blobs.get(f"hdf5/skeleton/{number}", b"")
        if len(blob) != sum(size for _, size in piece):
            raise CorruptionError(f"piece {number} of the HDF5 file's skeleton is missing or cut")
        at = 0
        for offset, size in piece:
            yield offset, memoryview(blob)[at : at + size]
            at += size


class FileImage(ReadOnlyFile):
    """A read-only file with the very bytes of the archived one.

    Parameters
    ----------
    blobs : callable
        Gives the remainder, a mapping of str to bytes; never the same in two processes.
    plan : HDF5Plan
    chunk : callable, optional
        Gives the bytes of a hole, by its number in ``plan.holes``; without it holes read as zeros.

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
        chunk: Callable[[int], bytes] | None = None,
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
        if self._chunk is None:
            return
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


def skeleton_file(blobs: Mapping[str, bytes]) -> h5py.File:
    """Open what is not columns of an archived HDF5 file: groups, attributes, small datasets.

    Parameters
    ----------
    blobs : mapping of str to bytes
        The remainder: ``dict(archive.remainder())``.

    Returns
    -------
    h5py.File
        Read only, in memory. Data of datasets that are columns are not in it: what is not
        compressed reads as zeros, and reading compressed chunks fails.

    Raises
    ------
    CorruptionError
        The remainder is not that of an HDF5 file.

    Examples
    --------
    >>> import vortex_hep
    >>> with vortex_hep.open("jets.vxc") as archive:
    ...     with skeleton_file(dict(archive.remainder())) as file:
    ...         file["jets"].attrs["generator"]
    'none: random numbers'
    """
    plan = read_plan(blobs)
    for number, _ in enumerate(pieces(kept_ranges(plan.holes, plan.size))):
        if f"hdf5/skeleton/{number}" not in blobs:
            raise CorruptionError(f"piece {number} of the HDF5 file's skeleton is missing or cut")
    image = FileImage(lambda: blobs, plan)
    try:
        return open_python_file(image)
    except Exception as error:
        raise CorruptionError(f"the HDF5 file's skeleton cannot be opened: {error}") from error
