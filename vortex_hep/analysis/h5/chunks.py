"""Chunks of an archived dataset, encoded as they were in its file."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import numpy as np

from vortex_hep.analysis.h5.columns import DatasetColumns
from vortex_hep.core.schema import Array
from vortex_hep.errors import UnsupportedFeatureError
from vortex_hep.readers.hdf5.chunks.encoding import Encoder
from vortex_hep.readers.hdf5.chunks.filters import FilterError
from vortex_hep.readers.hdf5.chunks.library import LibraryCodec
from vortex_hep.readers.hdf5.chunks.recordtype import readable
from vortex_hep.readers.hdf5.image import HDF5Plan

#: Chunks that are kept for the next call.
_CHUNKS = 4


class ChunkMaker:
    """Makes the bytes of holes: elements from columns, and the filters that they had.

    Parameters
    ----------
    plan : HDF5Plan
    columns : callable
        Gives the :class:`~vortex_hep.analysis.h5.columns.DatasetColumns` of a dataset, and its h5py
        DatasetID, by its number in the plan.
    path : str
        Of the archive.
    """

    def __init__(
        self, plan: HDF5Plan, columns: Callable[[int], tuple[DatasetColumns, Any]], path: str
    ) -> None:
        self._plan, self._path = plan, path
        self._columns = columns
        self._codecs: dict[int, LibraryCodec] = {}
        self._recent: OrderedDict[int, bytes] = OrderedDict()

    def __call__(self, number: int) -> bytes:
        """Return the bytes of hole ``number``.

        Raises
        ------
        UnsupportedFeatureError
            A filter is missing, or the one at hand does not give the chunk that the file had.
        VortexError
            The archive is damaged, or its model is missing.
        """
        data = self._recent.pop(number, None)
        if data is None:
            data = self._make(number)
        self._recent[number] = data
        if len(self._recent) > _CHUNKS:
            self._recent.popitem(last=False)
        return data

    def _make(self, number: int) -> bytes:
        hole = self._plan.holes[number]
        which, size, mask = int(hole["dataset"]), int(hole["size"]), int(hole["mask"])
        planned = self._plan.datasets[which]
        lay = planned.layout
        encoder = Encoder(lay.pipeline, planned.how, lambda: self._codec(which))
        try:
            made, data = encoder.encode(self._cells(which, int(hole["chunk"])), mask)
        except FilterError as error:
            raise self._refusal(str(error), lay.path) from error
        if len(data) != size or made != mask:
            raise self._refusal(
                "the compression library at hand does not give the chunks that the file had",
                lay.path,
            )
        return data

    def _refusal(self, message: str, dataset: bytes) -> UnsupportedFeatureError:
        return UnsupportedFeatureError(
            message, path=self._path, tree=readable(dataset),
            hint="index the dataset itself, or restore the file with exact=False (--no-exact)",
        )  # fmt: skip

    def _cells(self, which: int, chunk: int) -> Array:
        """Elements of a chunk, with the fill value beyond the dataset's edge."""
        columns, _ = self._columns(which)
        lay = columns.layout
        start, inside = lay.start(chunk), lay.inside(chunk)
        elements = columns.elements(start[0], start[0] + inside[0])
        place = (
            slice(None),
            *(slice(s, s + n) for s, n in zip(start[1:], inside[1:], strict=True)),
        )
        shape = lay.stored_shape(chunk)
        if shape == inside:
            return np.ascontiguousarray(elements[place])
        out = np.empty((*shape, lay.size), np.uint8)
        out[...] = np.frombuffer(lay.fill, np.uint8)
        out[tuple(slice(n) for n in inside)] = elements[place]
        return out

    def _codec(self, which: int) -> LibraryCodec:
        if which not in self._codecs:
            columns, found = self._columns(which)
            lay = columns.layout
            self._codecs[which] = LibraryCodec(
                found.get_type(), found.get_create_plist(), lay.chunk, lay.chunk_bytes
            )
        return self._codecs[which]

    def close(self) -> None:
        """Give memory back."""
        for codec in self._codecs.values():
            codec.close()
        self._codecs.clear()
        self._recent.clear()
