"""One pass of an event model over a cluster, and the coding of its symbols."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Executor
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from vortex_hep.codec.tokens import rans
from vortex_hep.codec.tokens.fields import LINKED_ROW, components
from vortex_hep.codec.tokens.lanes import cut_groups, group_log2
from vortex_hep.codec.tokens.rows import RowSet, Tokenised
from vortex_hep.core.schema import TableData
from vortex_hep.nn.coding.engine import Engine
from vortex_hep.nn.coding.links import Sources, stack_rows
from vortex_hep.nn.coding.tablechunk import NETWORK, covers, number_column, pack_array
from vortex_hep.nn.event.linking import is_virtual
from vortex_hep.nn.event.model import EventModel
from vortex_hep.nn.event.network import Cluster, Network, group_to_encode

Array = npt.NDArray[Any]


class Run(Protocol):
    """What a predictor makes of a cluster of one plan, and how it codes it.

    Fields are the predictor's units: each is coded by it as a whole, or not at all.
    """

    @property
    def log2(self) -> int:
        """Logarithm of the number of lanes in a group."""

    @property
    def row_count(self) -> int:
        """Rows that are coded."""

    def predict(self, pool: Executor) -> None:
        """Compute what every field costs."""

    def drop_linked(self, coded: Array) -> bool:
        """Take out of contexts what is not coded; whether :meth:`predict` must run anew."""

    def column_groups(self) -> list[tuple[list[str], list[int]]]:
        """Columns and fields that are coded the same way."""

    def may_code(self, fields: list[int]) -> bool:
        """Whether these fields may be coded at all."""

    def expected(self, fields: list[int]) -> tuple[float, float]:
        """Bits per row at training time: (network, best classical)."""

    def column_costs(self, data: TableData) -> dict[str, float]:
        """Bytes that every column costs."""

    def coded_fields(self, modes: dict[str, int]) -> Array:
        """Which fields are coded, given the modes of the columns."""

    def sections(self, coded: Array, data: TableData, pool: Executor) -> list[bytes]:
        """Encode what is coded of ``data``: the chunk's last sections, none if there is nothing."""


class NetworkRun:
    """One pass of the network over a cluster, and the coding of what it predicts."""

    def __init__(
        self,
        model: EventModel,
        net: Network,
        rows: RowSet,
        tokens: Tokenised,
        lane_buckets: Array,
        sources: Sources,
        widths: Mapping[str, int],
        engine: Engine,
    ) -> None:
        self.model = model
        self.net = net
        self.rows = rows
        self.tokens = tokens
        self.lane_buckets = lane_buckets
        self._sources = sources
        self._engine = engine
        symbols = tokens.tokens.size
        self.groups = cut_groups(rows.offsets, group_log2(len(rows.offsets) - 1, symbols))
        fields = len(model.fields)
        self._bits = np.zeros((len(self.groups.lanes), fields))
        self._symbols: list[tuple[Array, Array]] = []
        self.escape_bytes = np.zeros(fields)
        self._given = tokens.absent.copy()
        for k, f in enumerate(model.fields):
            if len(tokens.escapes[k]) > len(rows.lane) // 4:
                self._given[k] = True
            size = np.dtype(f.dtype).itemsize * len(f.columns)
            self.escape_bytes[k] = len(tokens.escapes[k]) * (size + 1.5)
        # Columns of one field, and fields of one column, stand or fall together.
        for names, members in self.column_groups():
            ours, theirs = model.expected[members].sum(axis=0)
            if ours > 1.03 * theirs + 0.01 * len(members) and not is_virtual(names[0]):
                self._given[members] = True
            if self._given[members].any() or not covers(model, members, widths.get(names[0], 1)):
                self._given[members] = True
        self.drop_linked(~self._given)

    @property
    def log2(self) -> int:
        """Logarithm of the number of lanes in a group."""
        return self.groups.log2

    @property
    def row_count(self) -> int:
        """Rows that are coded."""
        return len(self.rows.lane)

    def drop_linked(self, coded: Array) -> bool:
        """Take differences to linked rows and to predictions out of contexts if they are not coded.

        The decoder cannot form them before the network has decoded what they are made from.
        Returns whether the network must run anew.
        """
        changed = False
        starts = self.net.field_start
        for k, f in enumerate(self.model.fields):
            if f.reference >= LINKED_ROW and not coded[k] and not self.tokens.absent[k]:
                self._given[k] = self.tokens.absent[k] = True
                self.tokens.tokens[:, starts[k] : starts[k + 1]] = 0
                self.tokens.compact[k][:] = 0
                changed = True
        if changed:
            self._bits[:] = 0.0
        return changed

    def predict(self, pool: Executor) -> None:
        """Run the network over all groups."""
        n_tokens = self.tokens.tokens.shape[1]
        space = stack_rows(self.model, self._sources, self.tokens.tokens, self.rows)
        links = np.zeros((len(self.model.links), len(self.rows.lane)), np.int64)
        cluster = Cluster(
            self.rows.offsets, space.tokens, space.buckets, links, space.source_offsets,
            self.lane_buckets, self._given,
        )  # fmt: skip

        def work(g: int) -> tuple[Array, Array]:
            group = group_to_encode(
                self.groups.lanes[g], self.groups.active[g], self.groups.rows[g] * n_tokens,
                self._bits[g],
            )  # fmt: skip
            self._engine.run_group(self.net, cluster, group, False)
            return group.freq, group.cum

        self._symbols = list(pool.map(work, range(len(self.groups.lanes))))

    def column_groups(self) -> list[tuple[list[str], list[int]]]:
        """Sets of columns and fields that are coded the same way: (column names, field numbers)."""
        by_column: dict[tuple[str, ...], list[int]] = {}
        for k, f in enumerate(self.model.fields):
            by_column.setdefault(f.columns, []).append(k)
        return [(list(names), members) for names, members in by_column.items()]

    def may_code(self, fields: list[int]) -> bool:
        """Whether the network may code these fields at all."""
        return not self._given[fields].any()

    def expected(self, fields: list[int]) -> tuple[float, float]:
        """Bits per row at training time: (network, best classical)."""
        e = self.model.expected[fields]
        return float(e[:, 0].sum()), float(e[:, 1].sum())

    def column_costs(self, data: TableData) -> dict[str, float]:
        """Bytes that every column costs under the network; shared fields are split evenly."""
        bits = self._bits.sum(axis=0) / 8 + self.escape_bytes
        out = dict.fromkeys(data.columns, 0.0)
        for k, f in enumerate(self.model.fields):
            for name in f.columns:
                if name in out:
                    out[name] += bits[k] / len(f.columns)
        return out

    def coded_fields(self, modes: dict[str, int]) -> Array:
        """Which fields the network codes (bool, shape (fields,))."""
        return np.array(
            [all(modes.get(n) == NETWORK for n in f.columns) for f in self.model.fields], np.bool_
        )

    def sections(self, coded: Array, data: TableData, pool: Executor) -> list[bytes]:
        """Return escapes, parameters if the model has predictors, and the streams of all groups."""
        if not coded.any():
            return []
        streams = self._streams(coded, pool)
        parameters = self.tokens.parameters
        own = b"" if parameters is None else pack_array(parameters)
        return [
            self._escapes(coded, data), *([own] if self.model.has_predictors else []), streams,
        ]  # fmt: skip

    def _streams(self, coded: Array, pool: Executor) -> bytes:
        skip = np.repeat(~coded, np.diff(self.net.field_start))

        def work(g: int) -> bytes:
            freq, cum = self._symbols[g]
            words = np.empty(len(freq) // 2 + 2 * rans.STATES + 2, np.uint32)
            n = rans.encode_words(freq, cum, self.groups.active[g], skip, words)
            return words[len(words) - n :].astype("<u4").tobytes()

        streams = list(pool.map(work, range(len(self.groups.lanes))))
        self._symbols = []
        sizes = np.array([len(s) // 4 for s in streams], np.uint32)
        return pack_array(sizes) + b"".join(streams)

    def _escapes(self, coded: Array, data: TableData) -> bytes:
        """Rows and values of what no segment holds, for the coded fields."""
        lists = [e if c else e[:0] for e, c in zip(self.tokens.escapes, coded, strict=True)]
        counts = np.array([len(e) for e in lists], np.uint32)
        if not counts.any():
            return b""
        rows = np.concatenate(lists).astype(np.uint32)
        values = []
        for f, e in zip(self.model.fields, lists, strict=True):
            for name in f.columns if len(e) else ():
                column = number_column(data, name)
                flat = components(column)
                values.append(np.ascontiguousarray(flat[e, f.component]).view(np.uint8))
        return pack_array(counts) + pack_array(rows) + pack_array(np.concatenate(values))
