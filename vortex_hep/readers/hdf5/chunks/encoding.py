"""Encoding of chunks as in the source file: level and library of their deflate."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from vortex_hep.core.schema import Array
from vortex_hep.readers.hdf5.chunks.filters import FilterError, FilterPipeline
from vortex_hep.readers.hdf5.chunks.library import LibraryCodec

ZLIB, LIBRARY = "zlib", "library"


@dataclass(frozen=True)
class ChunkEncoding:
    """Who applies the filters, and the level of deflate.

    Parameters
    ----------
    by : {"zlib", "library"}
        Python's zlib and the code here, or the HDF5 library, whose zlib may be another.
    level : int
        Of no effect for the library, which takes the dataset's own.
    """

    by: str
    level: int = 0


class Encoder:
    """Applies the filters of a dataset.

    Parameters
    ----------
    pipeline : FilterPipeline
    how : ChunkEncoding
    codec : callable
        Gives the :class:`~vortex_hep.readers.hdf5.chunks.library.LibraryCodec`, where it is needed.
    """

    def __init__(
        self, pipeline: FilterPipeline, how: ChunkEncoding, codec: Callable[[], LibraryCodec]
    ) -> None:
        self.pipeline, self.how = pipeline, how
        self._codec = codec

    def encode(self, data: Array, mask: int) -> tuple[int, bytes]:
        """Return mask and bytes of a chunk; ``mask`` is the one it had.

        Raises
        ------
        FilterError
            The library refuses.
        """
        if self.how.by == ZLIB:
            return mask, self.pipeline.encode(data, mask, self.how.level)
        return self._codec().encode(data)


def ways(pipeline: FilterPipeline) -> list[ChunkEncoding]:
    """Ways to encode chunks that may give what the writer's library gave, likeliest first."""
    if not pipeline.plain:
        return [ChunkEncoding(LIBRARY)]
    first = ChunkEncoding(ZLIB, pipeline.level)
    if not pipeline.deflates:
        return [first]
    others = [ChunkEncoding(ZLIB, level) for level in range(10) if level != pipeline.level]
    return [first, ChunkEncoding(LIBRARY), *others]


def find_way(
    pipeline: FilterPipeline,
    codec: Callable[[], LibraryCodec],
    samples: list[tuple[Array, int, bytes]],
) -> ChunkEncoding:
    """Find the way that gives most of the sample chunks back byte for byte.

    Parameters
    ----------
    pipeline : FilterPipeline
    codec : callable
    samples : list of (elements, mask, chunk as stored)
    """
    candidates = ways(pipeline)
    best, most = candidates[0], -1
    for how in candidates:
        encoder = Encoder(pipeline, how, codec)
        hits = sum(_same(encoder, *sample) for sample in samples)
        if hits > most:
            best, most = how, hits
        if hits == len(samples):
            break
    return best


def _same(encoder: Encoder, data: Array, mask: int, raw: Any) -> bool:
    try:
        return encoder.encode(data, mask) == (mask, bytes(raw))
    except FilterError:
        return False
