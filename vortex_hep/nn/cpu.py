"""The compiled CPU engine: one pass over a group of lanes, coding or decoding.

Equal bit for bit to :mod:`vortex_hep.nn.reference`. Products run in float32, which is exact: all
sums are integers below 2**24, so their order and the use of fused multiply-add do not matter.
A few lanes go through a token together, so that what is computed for them is still in the
nearest cache, or in registers, when it is used.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numba as nb
import numpy as np
import numpy.typing as npt

from vortex_hep.codec.fields import BUCKETS
from vortex_hep.codec.rans import LOWER, STATES
from vortex_hep.errors import CorruptionError
from vortex_hep.nn.kernels import ROWS, add_embedded, product
from vortex_hep.nn.tablemodel import MATCHES, POSITIONS, TableModel
from vortex_hep.nn.vector import (
    WIDTH,
    add,
    clip,
    count_up_to,
    descale,
    frequencies,
    load,
    store,
    sums_before,
)

Array = npt.NDArray[Any]


class Network(NamedTuple):
    """A table model unpacked for the kernels; weights are float32 arrays of integers."""

    embed: Array
    previous: Array
    link: Array
    lane: Array
    position: Array
    gate: Array
    trunk: Array
    bias: Array
    nibble: Array
    match_previous: Array
    match_link: Array
    head: Array
    head_bias: Array
    field_start: Array
    flat_bits: Array
    token_bits: Array
    thresholds: Array
    threshold_start: Array
    ladder: Array
    link_values: Array


#: A link column with more distinct values than this is no link.
MAX_LINK_VALUES = 1 << 16


def link_values(model: TableModel) -> Array:
    """Row numbers that the compact integers of the first field stand for (int64)."""
    if not model.shape.link:
        return np.zeros(0, np.int64)
    f = model.fields[0]
    compact = np.arange(min(f.segments.top + 1, MAX_LINK_VALUES), dtype=np.uint64)
    column = np.zeros(len(compact), f.dtype)
    f.restore(compact, np.zeros(0, np.int64), {f.columns[0]: column}, (None, None, None))
    return column.astype(np.int64)


def widened(name: str, weights: Array) -> Array:
    """Return weights as float32 with both widths filled up with zeros to whole vectors."""
    room = [(0, 0)] * weights.ndim
    if name not in ("head", "head_bias"):
        room[-1] = (0, -weights.shape[-1] % WIDTH)
    if name in ("trunk", "head"):
        room[-2] = (0, -weights.shape[-2] % WIDTH)
    return np.ascontiguousarray(np.pad(weights, room), np.float32)


def unpack(model: TableModel) -> Network:
    """Prepare a table model for the kernels of this module."""
    w = {k: widened(k, v) for k, v in model.weights.items()}
    starts = np.cumsum([0] + [len(f.thresholds) for f in model.fields]).astype(np.int64)
    thresholds = np.concatenate([f.thresholds for f in model.fields] or [np.zeros(0, np.uint64)])
    ladder = np.full((len(model.fields), BUCKETS), np.iinfo(np.uint64).max)
    for row, f in zip(ladder, model.fields, strict=True):
        if len(f.thresholds) >= BUCKETS:
            raise CorruptionError("a field has more buckets than the format allows")
        row[: len(f.thresholds)] = f.thresholds
    token_bits = np.array([b for f in model.fields for b in f.token_widths], np.int64)
    sizes = (len(model.fields), len(token_bits), len(model.lane_context))
    if sizes != (model.shape.fields, model.shape.tokens, model.shape.lane_fields):
        raise CorruptionError("a network does not fit its fields")
    return Network(
        **w,
        field_start=model.field_starts,
        flat_bits=model.flat_bits,
        token_bits=token_bits,
        thresholds=thresholds.astype(np.uint64),
        threshold_start=starts,
        ladder=ladder,
        link_values=link_values(model),
    )


@nb.njit(cache=True, nogil=True)
def run_group(
    net: Network, lanes: Array, offsets: Array, active: Array, tokens: Array, buckets: Array,
    link_row: Array, lane_buckets: Array, given: Array, decode: bool, freq: Array, cum: Array,
    bits: Array, words: Array,
) -> int:  # fmt: skip
    """Run the network over one group of lanes; either fill ``freq`` and ``cum`` or decode.

    Parameters
    ----------
    net : Network
    lanes : int64 array, shape (lanes,)
        Lanes of the group, those with most rows first.
    offsets : int64 array
        First row of every lane of the cluster.
    active : int64 array, shape (positions,)
        ``active[j]``: how many of ``lanes`` have more than ``j`` rows.
    tokens : uint8 array, shape (rows, tokens)
        Known tokens; when decoding, those of coded fields are written here.
    buckets : uint8 array, shape (rows, fields)
        Scratch, filled here.
    link_row : int64 array, shape (rows,)
        Scratch, filled here.
    lane_buckets : uint8 array, shape (lanes of the cluster, lane fields)
    given : bool array, shape (fields,)
        Fields whose tokens are known when decoding (and not coded when encoding).
    decode : bool
    freq, cum : uint16 arrays, shape (rows of the group * tokens,)
        When encoding: output, in decoding order.
    bits : float64 array, shape (fields,)
        When encoding: receives the information content per field.
    words : uint32 array
        When decoding: the stream.

    Returns
    -------
    int
        Words read, or -1 where the stream is too short or does not end as it began.
    """
    fields = len(net.field_start) - 1
    hidden = net.gate.shape[1]
    head = net.bias.shape[1]
    jagged = len(net.previous) > 0
    linked = len(net.link) > 0
    room = (len(lanes) + ROWS - 1) // ROWS * ROWS
    state = np.zeros(room * hidden, np.float32)
    own = np.zeros(room * head, np.float32)
    x = np.zeros(ROWS * hidden, np.float32)
    z = np.zeros(ROWS * head, np.float32)
    logits = np.zeros(ROWS * 16, np.float32)
    mass = np.zeros((ROWS, 16), np.int32)
    below = np.zeros((ROWS, 16), np.int32)
    rows = np.zeros(room, np.int64)
    links = np.zeros(room, np.int64)
    same = np.zeros((2, room), np.int64)
    seen = np.zeros((2, ROWS), np.int64)
    places = np.zeros(max(fields, lane_buckets.shape[1]), np.int64)
    rans = np.zeros(STATES, np.uint64)
    at = 0
    if decode:
        if len(words) < 2 * STATES:
            return -1
        for s in range(STATES):
            rans[s] = np.uint64(words[2 * s]) | (np.uint64(words[2 * s + 1]) << np.uint64(32))
        at = 2 * STATES
    base = 0
    for j in range(len(active)):
        n = active[j]
        follows = jagged and j > 0
        position = min(j, net.position.shape[0] - 1) * hidden
        for i in range(n):
            row = offsets[lanes[i]] + j
            rows[i] = row
            link_row[row] = -1
            links[i] = -1
            for h in range(0, hidden, 16):
                store(state, i * hidden + h, load(net.position, position + h))
            if follows:
                add_embedded(state, i * hidden, net.previous, buckets, row - 1, hidden, places)
            add_embedded(state, i * hidden, net.lane, lane_buckets, lanes[i], hidden, places)
        for f in range(fields):
            first = net.field_start[f]
            last = net.field_start[f + 1]
            if given[f]:
                if not decode:
                    for k in range(base, base + (last - first) * n):
                        freq[k] = 1
                        cum[k] = 0
                base += (last - first) * n
            else:
                for block in range(0, n, ROWS):
                    for r in range(ROWS):
                        for h in range(0, hidden, 16):
                            v = load(state, (block + r) * hidden + h)
                            store(x, r * hidden + h, clip(add(v, load(net.gate, f * hidden + h))))
                    product(x, 0, net.trunk, f * hidden * head, hidden, head, own, block * head)
                    for k in range(block * head, (block + ROWS) * head, 16):
                        store(own, k, descale(load(own, k)))
                for i in range(n):
                    same[0, i] = 16
                    same[1, i] = 16
                for t in range(first, last):
                    information = 1.0
                    flat = net.flat_bits[t]
                    for block in range(0, n, ROWS):
                        count = min(ROWS, n - block)
                        if flat == 0:
                            for r in range(count):
                                i = block + r
                                row = rows[i]
                                m1 = 32
                                m2 = 32
                                if follows:
                                    seen[0, r] = tokens[row - 1, t]
                                    m1 = seen[0, r] + same[0, i]
                                if linked and links[i] >= 0:
                                    seen[1, r] = tokens[links[i], t]
                                    m2 = seen[1, r] + same[1, i]
                                m1 = (t * MATCHES + m1) * head
                                m2 = (t * MATCHES + m2) * head
                                if t > first:
                                    y = ((t - 1) * 16 + tokens[row, t - 1]) * head
                                    for k in range(0, head, 16):
                                        v = add(load(own, i * head + k), load(net.nibble, y + k))
                                        store(own, i * head + k, v)
                                for k in range(0, head, 16):
                                    v = add(load(own, i * head + k), load(net.bias, t * head + k))
                                    if jagged:
                                        v = add(v, load(net.match_previous, m1 + k))
                                    if linked:
                                        v = add(v, load(net.match_link, m2 + k))
                                    store(z, r * head + k, clip(v))
                            product(z, 0, net.head, t * head * 16, head, 16, logits, 0)
                            for r in range(count):
                                v = add(load(logits, r * 16), load(net.head_bias, t * 16))
                                q = frequencies(v)
                                store(mass, r * 16, q)
                                store(below, r * 16, sums_before(q))
                        for r in range(count):
                            i = block + r
                            row = rows[i]
                            if decode:
                                s = i & (STATES - 1)
                                u = rans[s]
                                slot = np.int32(u & np.uint64(0xFFFF))
                                if flat == 0:
                                    y = count_up_to(load(below, r * 16), slot) - 1
                                    share = mass[r, y]
                                    start = below[r, y]
                                else:
                                    y = np.int64(slot >> (16 - flat))
                                    share = np.int32(65536 >> flat)
                                    start = np.int32(y << (16 - flat))
                                u = np.uint64(share) * (u >> np.uint64(16))
                                u += np.uint64(slot - start)
                                if u < np.uint64(LOWER):
                                    if at >= len(words):
                                        return -1
                                    u = (u << np.uint64(32)) | np.uint64(words[at])
                                    at += 1
                                rans[s] = u
                                tokens[row, t] = y
                            else:
                                y = np.int64(tokens[row, t])
                                if flat == 0:
                                    share = mass[r, y]
                                    start = below[r, y]
                                else:
                                    share = np.int32(65536 >> flat)
                                    start = np.int32(y << (16 - flat))
                                freq[base + i] = share
                                cum[base + i] = start
                                information *= share * (1 / 65536)
                                if information < 1e-250:
                                    bits[f] -= np.log2(information)
                                    information = 1.0
                            same[0, i] = same[0, i] if seen[0, r] == y else 0
                            same[1, i] = same[1, i] if seen[1, r] == y else 0
                    if not decode:
                        bits[f] -= np.log2(information)
                    base += n
            for i in range(n):
                row = rows[i]
                compact = np.uint64(0)
                for t in range(first, last):
                    compact = (compact << np.uint64(net.token_bits[t])) | np.uint64(tokens[row, t])
                bucket = 0
                for k in range(BUCKETS):
                    bucket += net.ladder[f, k] <= compact
                bucket = min(bucket, net.threshold_start[f + 1] - net.threshold_start[f])
                buckets[row, f] = bucket
                k = (f * BUCKETS + bucket) * hidden
                for h in range(0, hidden, 16):
                    v = add(load(state, i * hidden + h), load(net.embed, k + h))
                    store(state, i * hidden + h, v)
                if linked and f == 0 and compact < np.uint64(len(net.link_values)):
                    k = net.link_values[compact]
                    if 0 <= k < j:
                        links[i] = row - j + k
                        link_row[row] = links[i]
                        add_embedded(state, i * hidden, net.link, buckets, links[i], hidden, places)
    if decode:
        for s in range(STATES):
            if rans[s] != np.uint64(LOWER):
                return -1
    return at


__all__ = ["MAX_LINK_VALUES", "POSITIONS", "Network", "link_values", "run_group", "unpack"]
