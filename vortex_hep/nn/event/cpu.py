# ruff: noqa: ANN001, ANN202 - numba infers the types of kernels
"""The compiled CPU engine: one pass over a group of lanes, coding or decoding.

Equal bit for bit to :mod:`vortex_hep.nn.event.reference`. Products run in float32, which is exact:
all sums are integers below 2**24, so their order and the use of fused multiply-add do not matter. A
few lanes go through a token together, so that what is computed for them is still in the nearest
cache, or in registers, when it is used.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from vortex_hep.codec.tokens.fields import BUCKETS
from vortex_hep.codec.tokens.rans import LOWER, STATES
from vortex_hep.core.compiled import kernel, part
from vortex_hep.nn.event.model import MATCHES
from vortex_hep.nn.event.network import UNKNOWN, Cluster, GroupArrays, Network
from vortex_hep.nn.kernels import ROWS, add_embedded, aligned, product
from vortex_hep.nn.vector import (
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

#: Index of a match table's row for what is not known.
NO_MATCH = MATCHES - 1


class Scratch(NamedTuple):
    """What a group is computed with, for ``room`` lanes: those of the group, in whole blocks.

    ``state`` float32 (room * hidden,): the sum of all that a lane's row is known to be.
    ``own`` float32 (room * head,): what the field at hand makes of it, and of its own tokens.
    ``x`` (ROWS * hidden,), ``z`` (ROWS * head,), ``logits`` (ROWS * 16,) float32, and ``mass``
    and ``below`` int32 (ROWS, 16): a block's way to frequencies and the sums before each.
    ``rows`` int64 (room,): the row at hand of every lane; ``links`` int64 (links, room): the
    rows it points to, or -1.
    ``same`` int64 (1 + links, room): 16 as long as the field's tokens equal those of the row
    before, or of the row that a partner leads to, else 0; ``seen`` int64 (1 + links, ROWS):
    the token there.
    ``partner`` int64 (links,): links whose source has a counterpart of the field at hand.
    ``match`` int64 (links,) and ``places`` int64: offsets of rows to add up.
    ``rans`` uint64 (STATES,): states of the decoder.
    """

    state: Array
    own: Array
    x: Array
    z: Array
    logits: Array
    mass: Array
    below: Array
    rows: Array
    links: Array
    same: Array
    seen: Array
    partner: Array
    match: Array
    places: Array
    rans: Array


class Step(NamedTuple):
    """Where a group is: at one token of the ``active`` lanes that have a row at a position.

    ``first`` is the first token of the field, ``paired`` how many partners the field has, and
    ``at`` the number of symbols before this token's.
    """

    position: int
    active: int
    field: int
    first: int
    token: int
    paired: int
    at: int


def _scratch(net: Network, cluster: Cluster, group: GroupArrays) -> Scratch:
    """Room for a group."""
    hidden, head = net.gate.shape[1], net.bias.shape[1]
    n_links = len(net.link_fields)
    room = -(-len(group.lanes) // ROWS) * ROWS
    widest = max(len(net.field_start) - 1, cluster.lane_buckets.shape[1], *net.link_fields)
    state, own, x, z, logits, mass, below = aligned(
        (room * hidden,), (room * head,), (ROWS * hidden,), (ROWS * head,), (ROWS * 16,),
        (ROWS, 16), (ROWS, 16),
    )  # fmt: skip
    return Scratch(
        state, own, x, z, logits, mass.view(np.int32), below.view(np.int32),
        rows=np.zeros(room, np.int64),
        links=np.zeros((n_links, room), np.int64),
        same=np.zeros((1 + n_links, room), np.int64),
        seen=np.zeros((1 + n_links, ROWS), np.int64),
        partner=np.zeros(n_links, np.int64),
        match=np.zeros(n_links, np.int64),
        places=np.zeros(widest, np.int64),
        rans=np.zeros(STATES, np.uint64),
    )  # fmt: skip


def run_group(net: Network, cluster: Cluster, group: GroupArrays, decode: bool) -> int:
    """Run the network over one group of lanes; either fill ``freq`` and ``cum`` or decode.

    Parameters
    ----------
    net : Network
    cluster : Cluster
    group : GroupArrays
    decode : bool

    Returns
    -------
    int
        Words read, or -1 where the stream is too short or does not end as it began.
    """
    return int(_run(net, cluster, group, _scratch(net, cluster, group), decode))


@part
def _begin_stream(words, rans):  # type: ignore[no-untyped-def]
    """Fill the decoder's states from the head of a stream; return the words read, or -1."""
    if len(words) < 2 * STATES:
        return -1
    for s in range(STATES):
        rans[s] = np.uint64(words[2 * s]) | (np.uint64(words[2 * s + 1]) << np.uint64(32))
    return 2 * STATES


@part
def _ends_as_it_began(rans):  # type: ignore[no-untyped-def]
    """Whether the decoder's states are back where the encoder's began."""
    good = True
    for s in range(STATES):
        good = good and rans[s] == np.uint64(LOWER)
    return good


@part
def _begin_rows(net, cluster, lanes, j, n, s):  # type: ignore[no-untyped-def]
    """Start the state of the first ``n`` lanes' rows at position ``j`` from what surrounds them."""
    fields, hidden = len(net.field_start) - 1, net.gate.shape[1]
    follows = len(net.previous) > 0 and j > 0
    position = min(j, net.position.shape[0] - 1) * hidden
    for i in range(n):
        row = cluster.offsets[lanes[i]] + j
        s.rows[i] = row
        for q in range(len(net.link_fields)):
            cluster.link_row[q, row] = -1
            s.links[q, i] = -1
        for h in range(0, hidden, 16):
            store(s.state, i * hidden + h, load(net.position, position + h))
        if follows:
            add_embedded(
                s.state, i * hidden, net.previous, 0, cluster.buckets, row - 1, fields, hidden,
                s.places,
            )  # fmt: skip
        add_embedded(
            s.state, i * hidden, net.lane, 0, cluster.lane_buckets,
            row if net.by_row else lanes[i], cluster.lane_buckets.shape[1], hidden, s.places,
        )  # fmt: skip


@part
def _skip_field(group, symbols, at):  # type: ignore[no-untyped-def]
    """Note ``symbols`` symbols that are not coded."""
    for k in range(at, at + symbols):
        group.freq[k] = 1
        group.cum[k] = 0


@part
def _begin_field(net, f, n, s):  # type: ignore[no-untyped-def]
    """Set ``own`` to what field ``f`` makes of the state; return how many partners it has."""
    hidden, head = net.gate.shape[1], net.bias.shape[1]
    for block in range(0, n, ROWS):
        for r in range(ROWS):
            for h in range(0, hidden, 16):
                v = load(s.state, (block + r) * hidden + h)
                store(s.x, r * hidden + h, clip(add(v, load(net.gate, f * hidden + h))))
        product(s.x, 0, net.trunk, f * hidden * head, hidden, head, s.own, block * head)
        for k in range(block * head, (block + ROWS) * head, 16):
            store(s.own, k, descale(load(s.own, k)))
    for q in range(len(s.same)):
        for i in range(n):
            s.same[q, i] = 16
    first = net.field_start[f]
    paired = 0
    for q in range(len(net.link_fields)):
        if first < net.field_start[f + 1] and net.has_match[q, first]:
            s.partner[paired] = q
            paired += 1
    return paired


@part
def _previous_match(net, cluster, s, step, i, r):  # type: ignore[no-untyped-def]
    """Where ``match_previous`` has what the row before says of lane ``i``'s token."""
    m = NO_MATCH
    if len(net.previous) > 0 and step.position > 0:
        s.seen[0, r] = cluster.tokens[s.rows[i] - 1, step.token]
        m = s.seen[0, r] + s.same[0, i]
    return (step.token * MATCHES + m) * net.bias.shape[1]


@part
def _link_match(net, cluster, s, t, p, i, r):  # type: ignore[no-untyped-def]
    """Where ``match_link`` has what the row that partner ``p`` leads to says of token ``t``."""
    q = s.partner[p]
    m = NO_MATCH
    if s.links[q, i] >= 0:
        s.seen[1 + p, r] = cluster.tokens[s.links[q, i], t]
        if s.seen[1 + p, r] != UNKNOWN:
            m = s.seen[1 + p, r] + s.same[1 + p, i]
    return ((q * len(net.flat_bits) + t) * MATCHES + m) * net.bias.shape[1]


@part
def _mix(net, cluster, s, step, i, r):  # type: ignore[no-untyped-def]
    """Add up in ``z[r]`` all that is known of lane ``i``'s token, and clip it."""
    head, t, paired = net.bias.shape[1], step.token, step.paired
    jagged = len(net.previous) > 0
    m1 = _previous_match(net, cluster, s, step, i, r)
    m2 = 0
    if paired > 0:
        m2 = _link_match(net, cluster, s, t, 0, i, r)
    if paired > 1:  # z is scratch for what these add
        for p in range(1, paired):
            s.match[p] = _link_match(net, cluster, s, t, p, i, r)
        for k in range(0, head, 16):
            v = load(net.match_link, s.match[1] + k)
            for p in range(2, paired):
                v = add(v, load(net.match_link, s.match[p] + k))
            store(s.z, r * head + k, v)
    if t > step.first:
        y = ((t - 1) * 16 + cluster.tokens[s.rows[i], t - 1]) * head
        for k in range(0, head, 16):
            store(s.own, i * head + k, add(load(s.own, i * head + k), load(net.nibble, y + k)))
    for k in range(0, head, 16):
        v = add(load(s.own, i * head + k), load(net.bias, t * head + k))
        if jagged:
            v = add(v, load(net.match_previous, m1 + k))
        if paired > 0:
            v = add(v, load(net.match_link, m2 + k))
        if paired > 1:
            v = add(v, load(s.z, r * head + k))
        store(s.z, r * head + k, clip(v))


@part
def _predict(net, cluster, s, step, block, rows):  # type: ignore[no-untyped-def]
    """Fill ``mass`` and ``below`` for a block of rows."""
    head, t = net.bias.shape[1], step.token
    for r in range(rows):
        _mix(net, cluster, s, step, block + r, r)
    product(s.z, 0, net.head, t * head * 16, head, 16, s.logits, 0)
    for r in range(rows):
        q = frequencies(add(load(s.logits, r * 16), load(net.head_bias, t * 16)))
        store(s.mass, r * 16, q)
        store(s.below, r * 16, sums_before(q))


@part
def _share(s, r, y, flat):  # type: ignore[no-untyped-def]
    """Frequency of symbol ``y`` and the sum of those before it."""
    share = np.int32(65536 >> flat)
    start = np.int32(y << (16 - flat))
    if flat == 0:
        share = s.mass[r, y]
        start = s.below[r, y]
    return share, start


@part
def _read(s, words, at, i, r, flat):  # type: ignore[no-untyped-def]
    """Decode a symbol of lane ``i``; return it and the words read, or -1."""
    u = s.rans[i & (STATES - 1)]
    slot = np.int32(u & np.uint64(0xFFFF))
    y = np.int64(slot >> (16 - flat))
    if flat == 0:
        y = count_up_to(load(s.below, r * 16), slot) - 1
    share, start = _share(s, r, y, flat)
    u = np.uint64(share) * (u >> np.uint64(16))
    u += np.uint64(slot - start)
    if u < np.uint64(LOWER):
        if at < len(words):
            u = (u << np.uint64(32)) | np.uint64(words[at])
            at += 1
        else:
            at = -1
    s.rans[i & (STATES - 1)] = u
    return y, at


@part
def _compare(s, i, r, y, paired):  # type: ignore[no-untyped-def]
    """Note whether symbol ``y`` is the one that was seen in the row before and in partners."""
    s.same[0, i] = s.same[0, i] if s.seen[0, r] == y else 0
    if paired > 0:
        s.same[1, i] = s.same[1, i] if s.seen[1, r] == y else 0
    if paired > 1:
        for p in range(2, 1 + paired):
            s.same[p, i] = s.same[p, i] if s.seen[p, r] == y else 0


@part
def _code_token(net, cluster, group, s, step, words, decode):  # type: ignore[no-untyped-def]
    """Code a token of all rows of a step; return the words read, or -1."""
    f, t, n = step.field, step.token, step.active
    flat = net.flat_bits[t]
    information = 1.0
    for block in range(0, n, ROWS):
        rows = min(ROWS, n - block)
        if flat == 0:
            _predict(net, cluster, s, step, block, rows)
        for r in range(rows):
            i = block + r
            row = s.rows[i]
            if decode:
                y, words = _read(s, group.words, words, i, r, flat)
                if words < 0:
                    return -1
                cluster.tokens[row, t] = y
            else:
                y = np.int64(cluster.tokens[row, t])
                share, start = _share(s, r, y, flat)
                group.freq[step.at + i] = share
                group.cum[step.at + i] = start
                information *= share * (1 / 65536)
                if information < 1e-250:
                    group.bits[f] -= np.log2(information)
                    information = 1.0
            _compare(s, i, r, y, step.paired)
    if not decode:
        group.bits[f] -= np.log2(information)
    return words


@part
def _bucket(net, f, compact):  # type: ignore[no-untyped-def]
    """Bucket of a compact integer of field ``f``."""
    bucket = 0
    for k in range(BUCKETS):
        bucket += net.ladder[f, k] <= compact
    return min(bucket, net.threshold_start[f + 1] - net.threshold_start[f])


@part
def _target(net, cluster, f, lane, j, compact):  # type: ignore[no-untyped-def]
    """Row that link ``f`` of a lane's row at position ``j`` points to, or -1."""
    count = net.link_start[f + 1] - net.link_start[f]
    target = -1
    if compact < np.uint64(count):
        value = net.link_values[net.link_start[f] + np.int64(compact)]
        source = cluster.source_offsets[f, lane]
        end = j if net.own_link[f] else cluster.source_offsets[f, lane + 1] - source
        if 0 <= value < end:
            target = source + value
    return target


@part
def _end_field(net, cluster, lanes, j, n, f, link_at, s):  # type: ignore[no-untyped-def]
    """Add what is known of field ``f`` now, and of the rows it points to, to the state."""
    hidden = net.gate.shape[1]
    for i in range(n):
        row = s.rows[i]
        compact = np.uint64(0)
        for t in range(net.field_start[f], net.field_start[f + 1]):
            compact = (compact << np.uint64(net.token_bits[t])) | np.uint64(cluster.tokens[row, t])
        bucket = _bucket(net, f, compact)
        cluster.buckets[row, f] = bucket
        k = (f * BUCKETS + bucket) * hidden
        for h in range(0, hidden, 16):
            v = add(load(s.state, i * hidden + h), load(net.embed, k + h))
            store(s.state, i * hidden + h, v)
        if f < len(net.link_fields):
            target = _target(net, cluster, f, lanes[i], j, compact)
            if target >= 0:
                s.links[f, i] = target
                cluster.link_row[f, row] = target
                add_embedded(
                    s.state, i * hidden, net.link, link_at, cluster.buckets, target,
                    net.link_fields[f], hidden, s.places,
                )  # fmt: skip


@kernel(makes_arrays=False)
def _run(net, cluster, group, s, decode):  # type: ignore[no-untyped-def]
    """Do what :func:`run_group` says.

    It makes no arrays: numba need not count references, which would cost more than what it does.
    """
    lanes, active = group.lanes, group.active
    words = 0
    if decode:
        words = _begin_stream(group.words, s.rans)
        if words < 0:
            return -1
    at = 0
    for j in range(len(active)):
        n = active[j]
        _begin_rows(net, cluster, lanes, j, n, s)
        link_at = 0
        for f in range(len(net.field_start) - 1):
            first, last = net.field_start[f], net.field_start[f + 1]
            if cluster.given[f]:
                if not decode:
                    _skip_field(group, (last - first) * n, at)
            else:
                paired = _begin_field(net, f, n, s)
                for t in range(first, last):
                    step = Step(j, n, f, first, t, paired, at + (t - first) * n)
                    words = _code_token(net, cluster, group, s, step, words, decode)
                    if words < 0:
                        return -1
            at += (last - first) * n
            _end_field(net, cluster, lanes, j, n, f, link_at, s)
            if f < len(net.link_fields):
                link_at += net.link_fields[f]
    if decode and not _ends_as_it_began(s.rans):
        return -1
    return words


__all__ = ["run_group"]
