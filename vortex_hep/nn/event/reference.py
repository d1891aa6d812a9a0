"""The definition of the event model in integers, which every other engine must equal.

NumPy int64 arithmetic, written to be read; docs/SPEC.md cites it. The rules that mention the
network are in :meth:`Pass.run`, softmax is in :mod:`vortex_hep.nn.arithmetic`, the order in which
symbols are coded in :mod:`vortex_hep.nn.coding.stepwise`, and the coder in
:mod:`vortex_hep.codec.tokens.rans`. Other array libraries run the same code through
:class:`Arrays`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from vortex_hep.codec.tokens import rans
from vortex_hep.codec.tokens.rows import RowSet
from vortex_hep.nn import arithmetic
from vortex_hep.nn.arithmetic import ACTIVATION_MAX, TRUNK_SHIFT
from vortex_hep.nn.event.model import MATCHES, EventModel
from vortex_hep.nn.event.network import UNKNOWN, Network, unpack

Array = npt.NDArray[Any]

_SIGN = np.uint64(1 << 63)


class Arrays:
    """The array operations whose spelling differs between libraries; here NumPy's."""

    def where(self, condition: Any, values: Any, other: int) -> Any:
        """Return ``values`` where ``condition`` holds, else ``other``."""
        return np.where(condition, values, other)

    def integers(self, values: Array) -> Any:
        """Return ``values`` as a new signed 64-bit array of this library."""
        return np.array(values, np.int64)

    def numpy(self, values: Any) -> Array:
        """Return an array of this library as a NumPy array."""
        return np.asarray(values)

    def product(self, x: Any, w: Any) -> Any:
        """Return the exact matrix product; all its sums are below 2**24."""
        return x @ w

    def frequencies(self, logits: Any) -> Any:
        """Return :func:`vortex_hep.nn.arithmetic.frequencies`."""
        return arithmetic.frequencies(logits)


class Integers:
    """A network's weights as integers of an array library.

    Parameters
    ----------
    arrays : Arrays
    net : Network
    """

    def __init__(self, arrays: Arrays, net: Network) -> None:
        self.arrays = arrays
        self.source = net
        self.weight = {k: arrays.integers(getattr(net, k)) for k in net._fields[:13]}
        self.starts: list[int] = net.field_start.tolist()
        self.flat: list[int] = net.flat_bits.tolist()
        self.token_bits: list[int] = net.token_bits.tolist()
        # Unsigned order is kept by signed integers once the top bit is flipped.
        cuts = (net.thresholds.astype(np.uint64) ^ _SIGN).view(np.int64)
        bounds = net.threshold_start.tolist()
        self.thresholds = [arrays.integers(cuts[a:b]) for a, b in pairwise(bounds)]
        ends = net.link_start.tolist()
        self.link_values = [arrays.integers(net.link_values[a:b]) for a, b in pairwise(ends)]
        self.own_link: list[bool] = net.own_link.tolist()
        self.has_match: list[list[bool]] = net.has_match.tolist()
        # of each link: first row of its tables, and how many columns it sees
        self.link_at = [0, *np.cumsum(net.link_fields).tolist()]
        self.links = range(len(net.link_fields))
        self.jagged = len(net.previous) > 0
        self.fields = range(len(self.starts) - 1)

    def tokens_of(self, f: int) -> range:
        """Token numbers of a field."""
        return range(self.starts[f], self.starts[f + 1])

    def bucket(self, f: int, compact: Any) -> Any:
        """Bucket of compact integers (64 bits in int64): how many thresholds are not above."""
        ordered = compact ^ np.iinfo(np.int64).min
        return (self.thresholds[f][None, :] <= ordered[:, None]).sum(axis=1)

    def buckets(self, tokens: Any) -> Any:
        """Buckets, shape (rows, fields), of own rows whose tokens are all known."""
        out = self.arrays.integers(np.zeros((len(tokens), len(self.fields))))
        for f in self.fields:
            compact = out[:, f] * 0
            for t in self.tokens_of(f):
                compact = (compact << self.token_bits[t]) | tokens[:, t]
            out[:, f] = self.bucket(f, compact)
        return out

    def embedded(self, table: str, buckets: Any, first: int, last: int) -> Any:
        """Sum of ``table[c, buckets[:, c - first]]``, ``first <= c < last``: (rows, hidden)."""
        w = self.weight[table]
        total = self.arrays.integers(np.zeros((len(buckets), w.shape[-1])))
        for c in range(first, last):
            total += w[c, buckets[:, c - first]]
        return total


@dataclass
class Pass:
    """One pass of the network over rows, in an order where context rows come first.

    Parameters
    ----------
    net : Integers
    tokens : int64, shape (rows + foreign rows, tokens)
        The foreign rows are those of other tables that links point to, in tokens of this table;
        UNKNOWN is a token without counterpart.
    buckets : int64, shape (rows + foreign rows, columns)
        Known for every context row of the rows that are run; filled for those. Of foreign rows,
        the buckets of their own table's fields.
    position : int64, shape (rows,)
        Place in the lane's list.
    previous : int64, shape (rows,)
        Row before it in the list, or -1.
    lane_buckets : int64, shape (rows, lane fields)
    given : bool, shape (fields,)
        Fields that are known and not coded.
    link_of : callable
        ``link_of(k, rows, compact)``: the row that link ``k`` of each of ``rows`` (a slice)
        points to, or -1, given the compact integers of field ``k``.
    """

    net: Integers
    tokens: Any
    buckets: Any
    position: Any
    previous: Any
    lane_buckets: Any
    given: Array
    link_of: Callable[[int, slice, Any], Any]

    def run(self, rows: slice, code: Callable[[int, Any], None]) -> None:
        """Run the network over ``rows``.

        ``code(token, frequencies)`` is called once per token of every field that is not given;
        when decoding it writes the symbols to ``tokens[rows, token]``.
        """
        net, w, tokens = self.net, self.net.weight, self.tokens
        product, where = net.arrays.product, net.arrays.where
        previous = self.previous[rows]
        follows = previous >= 0

        state = w["position"][self.position[rows].clip(0, len(w["position"]) - 1)]
        if net.jagged:
            seen = net.embedded("previous", self.buckets[previous], 0, len(net.fields))
            state = state + follows[:, None] * seen
        seen = net.embedded("lane", self.lane_buckets[rows], 0, self.lane_buckets.shape[1])
        state = state + seen
        link = [previous * 0 - 1 for _ in net.links]  # nothing is linked before it is known

        for f in net.fields:
            if not self.given[f]:
                x = (state + w["gate"][f]).clip(0, ACTIVATION_MAX)
                half = 1 << (TRUNK_SHIFT - 1)
                own = (product(x, w["trunk"][f]) + half) >> TRUNK_SHIFT
            # in all tokens of the field so far
            equals_previous, equals_link = follows, [target >= 0 for target in link]
            compact = previous * 0
            for t in net.tokens_of(f):
                if not self.given[f]:
                    if net.flat[t]:
                        code(t, self._flat(len(previous), net.flat[t]))
                    else:
                        z = own + w["bias"][t]
                        if net.jagged:
                            match = tokens[previous, t] + 16 * equals_previous
                            z = z + w["match_previous"][t, where(follows, match, MATCHES - 1)]
                        for k in net.links:
                            if net.has_match[k][t]:
                                there = tokens[link[k], t]
                                known = (link[k] >= 0) & (there != UNKNOWN)
                                match = where(known, there + 16 * equals_link[k], MATCHES - 1)
                                z = z + w["match_link"][k * len(net.flat) + t, match]
                        logits = product(z.clip(0, ACTIVATION_MAX), w["head"][t])
                        code(t, net.arrays.frequencies(logits + w["head_bias"][t]))
                symbol = tokens[rows, t]
                if not self.given[f]:
                    own = own + w["nibble"][t, symbol]
                equals_previous = equals_previous & (tokens[previous, t] == symbol)
                equals_link = [
                    e & (tokens[target, t] == symbol)
                    for e, target in zip(equals_link, link, strict=True)
                ]
                compact = (compact << net.token_bits[t]) | symbol
            bucket = net.bucket(f, compact)
            self.buckets[rows, f] = bucket
            state = state + w["embed"][f, bucket]
            if f in net.links:
                target = link[f] = self.link_of(f, rows, compact)
                seen = net.embedded("link", self.buckets[target], *net.link_at[f : f + 2])
                state = state + (target >= 0)[:, None] * seen

    def _flat(self, rows: int, bits: int) -> Any:
        """Frequencies of symbols without structure: equal for all of ``bits`` bits."""
        freq = np.zeros((rows, 16))
        freq[:, : 1 << bits] = rans.TOTAL >> bits
        return self.net.arrays.integers(freq)


def frequencies_of_rows(
    model: EventModel, tokens: Array, buckets: Array, rows: RowSet, lane_buckets: Array
) -> Array:
    """Return the frequencies of every symbol of known rows.

    Parameters
    ----------
    model : EventModel
    tokens : integer array, shape (rows + foreign rows, tokens)
    buckets : integer array, shape (rows + foreign rows, columns)
        Only those of foreign rows are read.
    rows : RowSet
        With ``link``, int64 (links, rows), where the model has links.
    lane_buckets : integer array, shape (lanes, lane fields)

    Returns
    -------
    int64 array, shape (rows, tokens, 16)
    """
    arrays = Arrays()
    net = Integers(arrays, unpack(model))
    known = arrays.integers(tokens)
    n = len(rows.lane)
    seen = arrays.integers(buckets)
    seen[:n, : len(net.fields)] = net.buckets(known[:n])
    out = np.zeros((n, known.shape[1], 16), np.int64)
    link = np.zeros((0, n), np.int64) if rows.link is None else rows.link

    def code(t: int, freq: Any) -> None:
        out[:, t] = freq

    entry = np.arange(n) if model.block else rows.lane
    Pass(
        net, known, seen, rows.position, rows.previous,
        arrays.integers(lane_buckets)[entry], np.zeros(len(net.fields), np.bool_),
        lambda k, part, _: link[k, part],
    ).run(slice(0, n), code)  # fmt: skip
    return out
