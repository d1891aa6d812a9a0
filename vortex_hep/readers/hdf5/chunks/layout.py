"""The layout of a dataset: rows, blocks of rows, and chunks."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from vortex_hep.core.schema import MAX_COMPONENTS, Array
from vortex_hep.readers.hdf5.chunks.filters import FilterPipeline, pack_pipeline, unpack_pipeline
from vortex_hep.readers.hdf5.chunks.recordtype import ElementPart, gaps, pack_part, unpack_part

#: A row is no larger; where one would be, more axes are taken as rows.
_MAX_ROW = 1 << 22
#: Bytes of the pieces that a contiguous dataset is taken in.
_PIECE = 1 << 20


@dataclass(frozen=True)
class DatasetLayout:
    """The geometry of a dataset, all that is needed to take it apart and put it together.

    A contiguous dataset is seen as chunks of some rows without filters, the last of which is
    shorter.

    Parameters
    ----------
    path : bytes
        As the file has it.
    shape, chunk : tuple of int
    size : int
        Bytes of an element.
    lead : int
        How many axes are rows.
    parts : tuple of ElementPart
        Columns, by name.
    pipeline : FilterPipeline
    contiguous : bool
    fill : bytes
        The element that chunks hold beyond the dataset's edge.
    pad : bytes or None
        Where lists have their own lengths: the element that fills up a row behind its list.
    """

    path: bytes
    shape: tuple[int, ...]
    chunk: tuple[int, ...]
    size: int
    lead: int
    parts: tuple[ElementPart, ...]
    pipeline: FilterPipeline
    contiguous: bool
    fill: bytes
    pad: bytes | None = None

    @cached_property
    def rows(self) -> int:
        """Rows of the dataset's table; entries, where lists have their own lengths."""
        return math.prod(self.shape[: self.lead])

    @cached_property
    def inner(self) -> tuple[int, ...]:
        """Shape of a row."""
        return self.shape[self.lead :]

    @cached_property
    def row_bytes(self) -> int:
        """Bytes of a row."""
        return self.size * math.prod(self.inner)

    @cached_property
    def slab_rows(self) -> int:
        """Rows at one index of the first axis."""
        return math.prod(self.shape[1 : self.lead])

    @cached_property
    def block_rows(self) -> int:
        """Rows that chunks cover along the first axis."""
        return self.chunk[0] * self.slab_rows

    @cached_property
    def chunk_bytes(self) -> int:
        """Bytes of a whole chunk without filters."""
        return self.size * math.prod(self.chunk)

    @cached_property
    def grid(self) -> tuple[int, ...]:
        """Number of chunks along each axis."""
        return tuple(-(-n // c) for n, c in zip(self.shape, self.chunk, strict=True))

    @cached_property
    def block_chunks(self) -> int:
        """Chunks at one place along the first axis."""
        return math.prod(self.grid[1:])

    @cached_property
    def gap_mask(self) -> Array | None:
        """Bytes of an element that no column has; None where there are none."""
        found = gaps(self.parts, self.size)
        if not found:
            return None
        mask = np.zeros(self.size, np.bool_)
        for at, count in found:
            mask[at : at + count] = True
        return mask

    def start(self, number: int) -> tuple[int, ...]:
        """First element of a chunk."""
        place = np.unravel_index(number, self.grid)
        return tuple(int(p) * c for p, c in zip(place, self.chunk, strict=True))

    def inside(self, number: int) -> tuple[int, ...]:
        """Shape of what a chunk has of the dataset: less than a chunk at the dataset's edge."""
        start = self.start(number)
        return tuple(
            min(c, n - s) for c, n, s in zip(self.chunk, self.shape, start, strict=True)
        )  # fmt: skip

    def stored_shape(self, number: int) -> tuple[int, ...]:
        """Shape of a chunk as stored."""
        return self.inside(number) if self.contiguous else self.chunk

    def stored_bytes(self, number: int) -> int:
        """Bytes of a chunk as stored, before filters."""
        return self.size * math.prod(self.stored_shape(number))


def rows_of(shape: Sequence[int], size: int) -> int:
    """How many axes are to be taken as rows, so that a row is not too large."""
    lead = 1
    while lead < len(shape):
        items = math.prod(shape[lead:])
        if items * size <= _MAX_ROW and items <= MAX_COMPONENTS:
            break
        lead += 1
    return lead


def pieces_of(shape: Sequence[int], size: int) -> tuple[int, ...]:
    """Shape of the pieces that a contiguous dataset is taken in."""
    slab = max(1, size * math.prod(shape[1:]))
    return (min(shape[0], max(1, _PIECE // slab)), *shape[1:])


def pack_layout(layout: DatasetLayout) -> dict[str, Any]:
    """Describe a layout as JSON values."""
    return {
        "path": layout.path.decode("latin-1"),
        "shape": list(layout.shape),
        "chunk": list(layout.chunk),
        "size": layout.size,
        "lead": layout.lead,
        "columns": [pack_part(p, p.name) for p in layout.parts],
        "filters": pack_pipeline(layout.pipeline),
        "contiguous": layout.contiguous,
        "fill": layout.fill.hex() if any(layout.fill) else "",
        "pad": None if layout.pad is None else layout.pad.hex(),
    }


def unpack_layout(item: Mapping[str, Any]) -> DatasetLayout:
    """Read what :func:`pack_layout` wrote.

    Raises
    ------
    ValueError, KeyError, TypeError
        It is invalid.
    """
    shape, chunk = (tuple(int(n) for n in item[key]) for key in ("shape", "chunk"))
    size, lead = int(item["size"]), int(item["lead"])
    fill = bytes.fromhex(item["fill"]) or bytes(size)
    pad = None if item["pad"] is None else bytes.fromhex(item["pad"])
    if len(shape) != len(chunk) or min(*shape, *chunk, size) < 1 or not 1 <= lead <= len(shape):
        msg = f"invalid shape {shape}, chunk {chunk}, size {size} or lead {lead} of a dataset"
        raise ValueError(msg)
    if len(fill) != size or (pad is not None and (len(pad) != size or len(shape) != 2)):
        msg = f"'fill' or 'pad' of a dataset is not one element of {size} bytes"
        raise ValueError(msg)
    return DatasetLayout(
        item["path"].encode("latin-1"), shape, chunk, size, lead,
        tuple(unpack_part(p, size) for p in item["columns"]),
        unpack_pipeline(item["filters"]), bool(item["contiguous"]), fill, pad,
    )  # fmt: skip
