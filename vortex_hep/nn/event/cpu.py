"""The compiled CPU engine: one pass over a group of lanes, coding or decoding.

Equal bit for bit to :mod:`vortex_hep.nn.event.reference`. Products run in float32, which is exact:
all sums are integers below 2**24, so their order and the use of fused multiply-add do not matter. A
few lanes go through a token together, so that what is computed for them is still in the nearest
cache, or in registers, when it is used.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numba as nb
import numpy as np
import numpy.typing as npt

from vortex_hep.codec.tokens.fields import BUCKETS, Field
from vortex_hep.codec.tokens.rans import LOWER, STATES
from vortex_hep.errors import CorruptionError
from vortex_hep.nn.event.tablemodel import MATCHES, MAX_LINKS, POSITIONS, TableModel
from vortex_hep.nn.kernels import ROWS, add_embedded, product
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
    """An event model unpacked for the kernels; weights are float32 arrays of integers.

    ``link_values`` holds the values of all links one after the other, link ``k``'s from
    ``link_start[k]`` on; ``link_fields`` how many columns of buckets each link sees;
    ``own_link`` whether it stays within the table; ``has_match``, shape (links, tokens), whether
    the token's field has a counterpart in the link's source (so, alike for all its tokens);
    ``by_row`` whether context of entries belongs to rows instead of lanes, as in blocks.
    """

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
    link_start: Array
    link_fields: Array
    own_link: Array
    has_match: Array
    by_row: bool


#: A foreign row's token that has no counterpart there.
UNKNOWN = 255

#: A link column with more distinct values than this is no link.
MAX_LINK_VALUES = 1 << 16


def link_values(field: Field) -> Array:
    """Row numbers that the compact integers of a link's field stand for (int64)."""
    f = field
    if f.is_flags or f.component or np.dtype(f.dtype).kind not in "iu":
        raise CorruptionError("a link's field is not a plain column of integers")
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
    """Prepare an event model for the kernels of this module."""
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
    seen = model.shape.links
    own = [link.source == model.table for link in model.links]
    if (
        not len(model.links) == len(seen) <= min(MAX_LINKS, len(model.fields))
        or any(len(link.counterparts) != len(model.fields) for link in model.links)
        or any(n < 0 for n in seen)
        or any(n != len(model.fields) for n, o in zip(seen, own, strict=True) if o)
    ):
        raise CorruptionError("a network does not fit its links")
    values = [link_values(f) for f in model.fields[: len(seen)]]
    lengths = [len(f.token_widths) for f in model.fields]
    has_match = np.zeros((len(seen), len(token_bits)), np.bool_)
    for row, link, o in zip(has_match, model.links, own, strict=True):
        row[:] = np.repeat([o or name != "" for name in link.counterparts], lengths)
    return Network(
        **w,
        field_start=model.field_starts,
        flat_bits=model.flat_bits,
        token_bits=token_bits,
        thresholds=thresholds.astype(np.uint64),
        threshold_start=starts,
        ladder=ladder,
        link_values=np.concatenate([np.zeros(0, np.int64), *values]),
        link_start=np.cumsum([0] + [len(v) for v in values]).astype(np.int64),
        link_fields=np.array(seen, np.int64),
        own_link=np.array(own, np.bool_),
        has_match=has_match,
        by_row=model.block > 0,
    )


@nb.njit(cache=True, nogil=True)
def run_group(
    net: Network, lanes: Array, offsets: Array, active: Array, tokens: Array, buckets: Array,
    link_row: Array, source_offsets: Array, lane_buckets: Array, given: Array, decode: bool,
    freq: Array, cum: Array, bits: Array, words: Array,
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
    tokens : uint8 array, shape (rows + foreign rows, tokens)
        Known tokens; when decoding, those of coded fields are written here. The foreign rows
        are those of other tables that links point to, in tokens of this table; 255 is a token
        without counterpart.
    buckets : uint8 array, shape (rows + foreign rows, columns)
        Own rows: scratch, whose first columns are filled here with the fields' buckets. Foreign
        rows: the buckets of their own table's fields.
    link_row : int64 array, shape (links, rows)
        Scratch, filled here with the rows that links point to, or -1.
    source_offsets : int64 array, shape (links, lanes of the cluster + 1)
        First row of every lane among the rows that a link may point to: ``offsets`` for a link
        within the table.
    lane_buckets : uint8 array, shape (lanes of the cluster, lane fields)
        Or (rows, lane fields) with ``net.by_row``.
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
    n_links = len(net.link_fields)
    n_tokens = len(net.flat_bits)
    room = (len(lanes) + ROWS - 1) // ROWS * ROWS
    state = np.zeros(room * hidden, np.float32)
    own = np.zeros(room * head, np.float32)
    x = np.zeros(ROWS * hidden, np.float32)
    z = np.zeros(ROWS * head, np.float32)
    logits = np.zeros(ROWS * 16, np.float32)
    mass = np.zeros((ROWS, 16), np.int32)
    below = np.zeros((ROWS, 16), np.int32)
    rows = np.zeros(room, np.int64)
    links = np.zeros((n_links, room), np.int64)
    same = np.zeros((1 + n_links, room), np.int64)
    seen = np.zeros((1 + n_links, ROWS), np.int64)
    partner = np.zeros(n_links, np.int64)
    match = np.zeros(n_links, np.int64)
    widest = max(fields, lane_buckets.shape[1])
    for q in range(n_links):
        widest = max(widest, net.link_fields[q])
    places = np.zeros(widest, np.int64)
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
            for q in range(n_links):
                link_row[q, row] = -1
                links[q, i] = -1
            for h in range(0, hidden, 16):
                store(state, i * hidden + h, load(net.position, position + h))
            if follows:
                add_embedded(
                    state, i * hidden, net.previous, 0, buckets, row - 1, fields, hidden, places
                )
            add_embedded(
                state, i * hidden, net.lane, 0, lane_buckets, row if net.by_row else lanes[i],
                lane_buckets.shape[1], hidden, places,
            )  # fmt: skip
        link_at = 0
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
                for q in range(1 + n_links):
                    for i in range(n):
                        same[q, i] = 16
                paired = 0
                for q in range(n_links):
                    if first < last and net.has_match[q, first]:
                        partner[paired] = q
                        paired += 1
                one = partner[0] if paired > 0 else 0
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
                                if follows:
                                    seen[0, r] = tokens[row - 1, t]
                                    m1 = seen[0, r] + same[0, i]
                                m1 = (t * MATCHES + m1) * head
                                m2 = 32
                                if paired > 0 and links[one, i] >= 0:
                                    seen[1, r] = tokens[links[one, i], t]
                                    if seen[1, r] != UNKNOWN:
                                        m2 = seen[1, r] + same[1, i]
                                m2 = ((one * n_tokens + t) * MATCHES + m2) * head
                                if paired > 1:  # z is scratch for what these add
                                    for p in range(1, paired):
                                        q = partner[p]
                                        m = 32
                                        if links[q, i] >= 0:
                                            seen[1 + p, r] = tokens[links[q, i], t]
                                            if seen[1 + p, r] != UNKNOWN:
                                                m = seen[1 + p, r] + same[1 + p, i]
                                        match[p] = ((q * n_tokens + t) * MATCHES + m) * head
                                    for k in range(0, head, 16):
                                        v = load(net.match_link, match[1] + k)
                                        for p in range(2, paired):
                                            v = add(v, load(net.match_link, match[p] + k))
                                        store(z, r * head + k, v)
                                if t > first:
                                    y = ((t - 1) * 16 + tokens[row, t - 1]) * head
                                    for k in range(0, head, 16):
                                        v = add(load(own, i * head + k), load(net.nibble, y + k))
                                        store(own, i * head + k, v)
                                for k in range(0, head, 16):
                                    v = add(load(own, i * head + k), load(net.bias, t * head + k))
                                    if jagged:
                                        v = add(v, load(net.match_previous, m1 + k))
                                    if paired > 0:
                                        v = add(v, load(net.match_link, m2 + k))
                                    if paired > 1:
                                        v = add(v, load(z, r * head + k))
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
                            if paired > 0:
                                same[1, i] = same[1, i] if seen[1, r] == y else 0
                            if paired > 1:
                                for p in range(2, 1 + paired):
                                    same[p, i] = same[p, i] if seen[p, r] == y else 0
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
                if f < n_links:
                    count = net.link_start[f + 1] - net.link_start[f]
                    if compact < np.uint64(count):
                        value = net.link_values[net.link_start[f] + np.int64(compact)]
                        source = source_offsets[f, lanes[i]]
                        end = j if net.own_link[f] else source_offsets[f, lanes[i] + 1] - source
                        if 0 <= value < end:
                            links[f, i] = source + value
                            link_row[f, row] = source + value
                            add_embedded(
                                state, i * hidden, net.link, link_at, buckets, source + value,
                                net.link_fields[f], hidden, places,
                            )  # fmt: skip
            if f < n_links:
                link_at += net.link_fields[f]
    if decode:
        for s in range(STATES):
            if rans[s] != np.uint64(LOWER):
                return -1
    return at


__all__ = [
    "MAX_LINK_VALUES", "POSITIONS", "UNKNOWN", "Network", "link_values", "run_group", "unpack",
]  # fmt: skip
