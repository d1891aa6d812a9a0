"""Coding groups of lanes by the definition: which rows and tokens come in which order.

Encoding runs all rows at once, decoding runs list position after list position.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Executor
from typing import Any

import numpy as np
import numpy.typing as npt

from vortex_hep.codec.tokens import rans
from vortex_hep.nn.event.network import Cluster, GroupArrays, Network
from vortex_hep.nn.event.reference import Arrays, Integers, Pass
from vortex_hep.nn.sequence.model import SequenceModel
from vortex_hep.nn.sequence.reference import Reference
from vortex_hep.nn.sequence.session import Operations

Array = npt.NDArray[Any]


class ReferenceEngine:
    """Codes groups of lanes, several in lock step if asked to.

    Parameters
    ----------
    arrays : Arrays
        Array library that does the work.
    """

    def __init__(self, arrays: Arrays | None = None) -> None:
        self._arrays = arrays or Arrays()
        self._integers: Integers | None = None

    def operations(self, model: SequenceModel, pool: Executor, parts: int) -> Operations:
        """Return :class:`vortex_hep.nn.sequence.reference.Reference`."""
        return Reference(model)

    def lanes_together(self, group: int, lane_bytes: int) -> int:
        """One group."""
        return group

    def run_group(self, net: Network, cluster: Cluster, group: GroupArrays, decode: bool) -> int:
        """Do what :func:`vortex_hep.nn.event.cpu.run_group` does, to the same arguments."""
        return self.run_groups(net, cluster, [group], decode)[0]

    def run_groups(
        self, net: Network, cluster: Cluster, groups: Sequence[GroupArrays], decode: bool
    ) -> list[int]:
        """Run several groups of one cluster in lock step; return one result per group."""
        integers = self._integers
        if integers is None or integers.source is not net:
            integers = self._integers = Integers(self._arrays, net)
        order = _Order(groups, cluster)
        work = _start(integers, order, cluster)
        n, fields = len(order.row), len(integers.fields)
        if decode:
            result = _decode(work, order, groups)
            cluster.tokens[order.row] = self._arrays.numpy(work.tokens[:n])
        else:
            work.buckets[:n, :fields] = integers.buckets(work.tokens[:n])
            _encode(work, order, groups)
            result = [0] * len(groups)
        cluster.buckets[order.row, :fields] = self._arrays.numpy(work.buckets[:n, :fields])
        cluster.link_row[:, order.row] = order.link
        return result


class _Order:
    """Rows of some groups in the order they are coded: by position, group, lane of the group.

    The foreign rows follow, in their own order.
    """

    def __init__(self, groups: Sequence[GroupArrays], cluster: Cluster) -> None:
        depth = max((len(g.active) for g in groups), default=0)
        self.count = np.zeros((depth, len(groups)), np.int64)
        for g, group in enumerate(groups):
            self.count[: len(group.active), g] = group.active
        ends = self.count.cumsum().reshape(self.count.shape)
        self.first = ends - self.count  # of (position, group): number of its first row
        size = self.count.ravel()
        place = np.repeat(np.arange(size.size), size)
        self.position, self.group = np.divmod(place, max(1, len(groups)))
        self.member = np.arange(len(place)) - self.first.ravel()[place]
        starts = np.cumsum([0] + [len(g.lanes) for g in groups])
        lanes = np.concatenate([g.lanes for g in groups] or [np.zeros(0, np.int64)])
        self.lane = lanes[starts[self.group] + self.member]
        self.row = cluster.offsets[self.lane] + self.position
        self.previous = self.rows_at(slice(None), self.position - 1)
        self.n_own = int(cluster.offsets[-1])  # rows of the table, in these groups or not
        self.source_offsets = cluster.source_offsets
        self.link = np.full((len(self.source_offsets), len(place)), -1, np.int64)

    def rows_at(self, rows: slice, position: Array) -> Array:
        """Number of the row at ``position`` of the same lane as each of ``rows``, or -1."""
        good = (position >= 0) & (position < self.position[rows])
        at = self.first[position * good, self.group[rows]] + self.member[rows]
        out: Array = np.where(good, at, -1)
        return out


def _start(net: Integers, order: _Order, cluster: Cluster) -> Pass:
    arrays = net.arrays

    def link_of(k: int, rows: slice, compact: Any) -> Any:
        known = net.link_values[k]
        inside = arrays.numpy((compact >= 0) & (compact < len(known)))
        values = arrays.numpy(known[compact.clip(0, len(known) - 1)])
        values = np.where(inside, values, -1)
        lane = order.lane[rows]
        first = order.source_offsets[k, lane]
        if net.own_link[k]:
            link = order.rows_at(rows, values)
            good = link >= 0
        else:
            good = (values >= 0) & (values < order.source_offsets[k, lane + 1] - first)
            link = np.where(good, first + values - order.n_own + len(order.row), -1)
        order.link[k, rows] = np.where(good, first + values, -1)
        return arrays.integers(link)

    foreign = slice(order.n_own, None)
    entry = order.row if net.source.by_row else order.lane
    tokens, buckets = cluster.tokens, cluster.buckets
    seen = np.zeros((len(order.row), buckets.shape[1]), np.uint8)
    return Pass(
        net, arrays.integers(np.concatenate([tokens[order.row], tokens[foreign]])),
        arrays.integers(np.concatenate([seen, buckets[foreign]])),
        arrays.integers(order.position), arrays.integers(order.previous),
        arrays.integers(cluster.lane_buckets[entry]), cluster.given, link_of,
    )  # fmt: skip


def _field_of(net: Integers) -> Array:
    return np.repeat(np.arange(len(net.fields)), np.diff(net.starts))


def _encode(work: Pass, order: _Order, groups: Sequence[GroupArrays]) -> None:
    """Run all rows at once and hand every group its frequencies in decoding order."""
    n, n_tokens = len(order.row), work.tokens.shape[1]
    freq = np.ones((n, n_tokens), np.uint16)
    cum = np.zeros((n, n_tokens), np.uint16)
    field = _field_of(work.net)
    index = work.net.arrays.integers(np.arange(n))

    def code(t: int, table: Any) -> None:
        symbol = work.tokens[:n, t]
        below = table.cumsum(axis=1) - table
        freq[:, t] = work.net.arrays.numpy(table[index, symbol])
        cum[:, t] = work.net.arrays.numpy(below[index, symbol])

    work.run(slice(0, n), code)
    for g, group in enumerate(groups):
        at = 0
        for first, count in zip(order.first[:, g], order.count[:, g], strict=True):
            size = int(count) * n_tokens
            group.freq[at : at + size] = freq[first : first + count].T.ravel()
            group.cum[at : at + size] = cum[first : first + count].T.ravel()
            at += size
        cost = (16 - np.log2(freq[order.group == g].astype(np.float64))).sum(axis=0)
        np.add.at(group.bits, field, np.where(work.given[field], 0.0, cost))


def _decode(work: Pass, order: _Order, groups: Sequence[GroupArrays]) -> list[int]:
    """Run position after position, reading each token's symbols from the groups' streams."""
    arrays = work.net.arrays
    head = 2 * rans.STATES
    at = [head if len(g.words) >= head else -1 for g in groups]
    states = [rans.initial_states(g.words) for g in groups]
    for first, count in zip(order.first, order.count, strict=True):
        rows = slice(int(first[0]), int(first[-1] + count[-1]))
        symbols = np.zeros(rows.stop - rows.start, np.uint8)

        def code(
            t: int, table: Any, rows: slice = rows, symbols: Array = symbols,
            first: Array = first, count: Array = count,
        ) -> None:  # fmt: skip
            freq = arrays.numpy(table).astype(np.int32)
            for g, group in enumerate(groups):
                a = int(first[g]) - rows.start
                b = a + int(count[g])
                if at[g] >= 0:
                    at[g] = rans.decode_step(freq[a:b], states[g], group.words, at[g], symbols[a:b])
                if at[g] < 0:
                    symbols[a:b] = 0
            work.tokens[rows, t] = arrays.integers(symbols)

        work.run(rows, code)
        if all(a < 0 for a in at):
            break
    ended = [bool((s == rans.LOWER).all()) for s in states]
    return [a if a >= 0 and e else -1 for a, e in zip(at, ended, strict=True)]
