"""The decoder of table chunks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from vortex_hep.codec.columns import classical
from vortex_hep.codec.plan import Plan
from vortex_hep.codec.sections import Reader
from vortex_hep.codec.tokens.folding import common_length_of, fold_specs, foldable, unfold
from vortex_hep.codec.tokens.lanes import MAX_LANES_LOG2, MIN_LANES_LOG2
from vortex_hep.core.schema import VARBYTES, ColumnSpec, TableData
from vortex_hep.errors import CorruptionError
from vortex_hep.nn.coding.tablechunk import (
    CLASSICAL,
    FOLDED,
    HAS_COUNTS,
    HAS_NETWORK,
    HEAD,
    NETWORK,
    SOLID,
    STRINGS,
    stores_counts,
    unpack_array,
)

Array = npt.NDArray[Any]


@dataclass
class Opened:
    """A chunk of which everything is decoded but what a network coded.

    Parameters
    ----------
    data : TableData
        Has the other columns, and room for these.
    specs, modes
        Of the columns, folded if the chunk is.
    log2 : int
        Of the lanes of a group.
    length : int
        Length of folded lists, or 0.
    rest : Reader
        At the sections of the network, or at the end.
    has_network : bool
    """

    data: TableData
    specs: Sequence[ColumnSpec]
    modes: Array
    log2: int
    length: int
    rest: Reader
    has_network: bool

    @property
    def left_to_network(self) -> dict[str, ColumnSpec]:
        """Columns that the network coded."""
        return {
            s.name: s
            for s, mode in zip(self.specs, self.modes.tolist(), strict=True)
            if mode == NETWORK
        }

    def close(self) -> TableData:
        """Return the data, once the network's sections are read and its columns are there."""
        self.rest.finish()
        self.data.columns = {s.name: self.data.columns[s.name] for s in self.specs}
        return unfold(self.data, self.length) if self.length else self.data


class TableDecoder:
    """Decodes table chunks of one plan, but for what a network coded.

    Parameters
    ----------
    plan : Plan
    specs : tuple of ColumnSpec
    least_log2 : int
        The least logarithm of the number of lanes in a group.
    """

    def __init__(
        self, plan: Plan, specs: tuple[ColumnSpec, ...], least_log2: int = MIN_LANES_LOG2
    ) -> None:
        self.plan = plan
        self.specs = specs
        self._least_log2 = least_log2

    def decode(
        self, payload: bytes, lanes: int, counts: Array | None, decoded_size: int | None = None
    ) -> TableData:
        """Decode a chunk that needs no network; the parameters are those of :meth:`open`.

        Raises
        ------
        CorruptionError
            It is damaged, or needs a network.
        """
        opened = self.open(payload, lanes, counts, decoded_size)
        if opened.has_network:
            raise CorruptionError("a table chunk needs a network, and the model has none for it")
        return opened.close()

    def open(
        self, payload: bytes, lanes: int, counts: Array | None, decoded_size: int | None = None
    ) -> Opened:
        """Decode all of a chunk but what a network coded.

        Parameters
        ----------
        payload : bytes
        lanes : int
            Lanes that the cluster has.
        counts : int array or None
            Rows per lane, where the core table knows them.
        decoded_size : int, optional
            Bytes that the data may have: what claims more is refused before memory is taken.

        Raises
        ------
        CorruptionError
            It is damaged.
        """
        reader = Reader(payload)
        flags, log2, stored_lanes, n = HEAD.unpack(reader.take(HEAD.size))
        if (
            flags & ~(HAS_NETWORK | HAS_COUNTS | FOLDED)
            or stored_lanes != lanes
            or log2 > MAX_LANES_LOG2
        ):
            msg = f"invalid head: flags {flags:#x}, {stored_lanes} of {lanes} lanes"
            raise CorruptionError(msg)
        self._check_head(flags, log2, lanes, n, counts, decoded_size)
        length = 0
        specs = self.specs
        if flags & FOLDED:
            length = common_length_of(counts)
            if not length or not foldable(specs):
                raise CorruptionError("a table chunk folds lists that are not equally long")
            specs, counts = fold_specs(specs, length), None
        modes = unpack_array(section := Reader(reader.section()), "|u1", len(specs))
        section.finish()
        if flags & HAS_COUNTS:
            counts = unpack_array(section := Reader(reader.section()), "<u4", lanes)
            section.finish()
        elif counts is None:
            counts = np.ones(lanes, np.int64)
        counts = counts.astype(np.int64)
        offsets = np.zeros(lanes + 1, np.int64)
        # Each count is bounded first, so that the sum cannot wrap.
        if not ((counts >= 0) & (counts <= n)).all():
            raise CorruptionError(f"a count of the table chunk is not within its {n} rows")
        np.cumsum(counts, dtype=np.int64, out=offsets[1:])
        if offsets[-1] != n:
            raise CorruptionError(f"expected {offsets[-1]} rows in a table chunk, got {n}")
        data = TableData(offsets, {})
        self._classical(reader, specs, modes, data)
        has_network = bool(flags & HAS_NETWORK)
        if not has_network and (modes == NETWORK).any():
            raise CorruptionError("the network stream of a table chunk is missing")
        return Opened(data, specs, modes, log2, length, reader, has_network)

    def _check_head(
        self, flags: int, log2: int, lanes: int, n: int, counts: Array | None,
        decoded_size: int | None,
    ) -> None:  # fmt: skip
        """Refuse what contradicts the plan, or claims more than the data have, at the outset."""
        if bool(flags & HAS_COUNTS) != stores_counts(self.plan):
            raise CorruptionError("the counts of a table chunk are missing, or must not be there")
        has_network = bool(flags & HAS_NETWORK)
        if log2 < (self._least_log2 if has_network else 0) or (log2 and not has_network):
            raise CorruptionError(f"lane groups of 2^{log2} lanes are not allowed here")
        if decoded_size is None:
            return
        width = sum(
            np.dtype(s.dtype).itemsize * math.prod(s.inner)
            for s in self.specs
            if s.dtype != VARBYTES
        )
        rows = n * (common_length_of(counts) or 1) if flags & FOLDED else n
        offsets = 8 * (lanes + 1) if flags & HAS_COUNTS else 0
        one_each = counts is None and not flags & HAS_COUNTS
        if rows * width + offsets > decoded_size or (one_each and n != lanes):
            raise CorruptionError(f"{rows} rows do not fit into {decoded_size} bytes")

    def _classical(
        self, reader: Reader, specs: Sequence[ColumnSpec], modes: Array, data: TableData
    ) -> None:
        n = data.num_rows
        apart, solid, strings = (Reader(reader.section()) for _ in range(3))
        together: list[ColumnSpec] = []
        for spec, mode in zip(specs, modes.tolist(), strict=True):
            if (mode == STRINGS) != (spec.dtype == VARBYTES):
                raise CorruptionError(
                    f"mode {mode} is invalid for dtype {spec.dtype}", branch=spec.name
                )
            count = n * int(np.prod(spec.inner, dtype=np.int64))
            if mode == CLASSICAL:
                column = unpack_array(apart, spec.dtype, count)
                data.columns[spec.name] = column.reshape((n, *spec.inner))
            elif mode == SOLID:
                together.append(spec)
            elif mode == STRINGS:
                data.columns[spec.name] = classical.decode_varbytes(strings.section(), n)
            elif mode == NETWORK:
                data.columns[spec.name] = np.zeros((n, *spec.inner), spec.dtype)
            else:
                raise CorruptionError(f"unknown mode {mode} of a column", branch=spec.name)
        sizes = [(s.dtype, n * int(np.prod(s.inner, dtype=np.int64))) for s in together]
        if together:
            stream = classical.decode_solid(solid.take(solid.left), sizes)
            for spec, column in zip(together, stream, strict=True):
                data.columns[spec.name] = column.reshape((n, *spec.inner))
        for part in (apart, solid, strings):
            part.finish()
