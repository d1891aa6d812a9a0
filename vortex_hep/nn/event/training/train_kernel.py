# ruff: noqa: ANN001, ANN202 - numba infers the types of kernels
"""The fused CPU kernel of training: loss and gradients of a block of rows in one pass.

Forward it computes exactly what inference computes, with the quantised weights, so that the
loss is the cost that is paid; backward it passes gradients straight through the rounding.
Rows are blocked so that a block's activations and one field's weights stay in cache; eager
tensor operations spend most of their time on memory traffic instead.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from vortex_hep.codec.tokens.fields import BUCKETS
from vortex_hep.core.compiled import kernel, part
from vortex_hep.nn.event.model import MATCHES
from vortex_hep.nn.event.network import UNKNOWN, widened
from vortex_hep.nn.kernels import (
    ROWS,
    add_embedded,
    add_outer,
    add_sum,
    add_to,
    add_to_embedded,
    aligned,
    product,
)
from vortex_hep.nn.vector import (
    WIDTH,
    add,
    clip,
    clip_slope,
    descale,
    load,
    scaled,
    softmax_weights,
    store,
    total,
    zeros,
)

Array = npt.NDArray[Any]

#: Index of a match table's row for what is not known.
NO_MATCH = MATCHES - 1

#: Rows that go through the network together; a multiple of ``ROWS``.
BLOCK = 48


class Weights(NamedTuple):
    """Integer-valued float32 weights, or gradients of the same shapes."""

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


class Rows(NamedTuple):
    """Training rows of one table.

    ``tokens`` uint8 (rows + foreign rows, tokens) and ``buckets`` uint8 (rows + foreign rows,
    columns) as :class:`vortex_hep.nn.event.network.Cluster` has them; ``previous`` int64 (rows,)
    and ``link`` int64 (links, rows) row index or -1; ``position`` int64 (rows,); ``lane`` int64
    (rows,); ``lane_buckets`` uint8 (lanes, lane fields); ``has_match`` bool (links, tokens) and
    ``link_fields`` int64 (links,) as :class:`vortex_hep.nn.event.network.Network` has them.
    """

    tokens: Array
    buckets: Array
    previous: Array
    link: Array
    position: Array
    lane: Array
    lane_buckets: Array
    has_match: Array
    link_fields: Array


class Step(NamedTuple):
    """What all parts of a batch share.

    ``weights`` are quantised; ``trunk_t`` and ``head_t``, float32, are their ``trunk`` and
    ``head`` with the last two axes exchanged; ``field_start`` int64 (fields + 1,) and
    ``flat_bits`` int64 (tokens,) as :class:`vortex_hep.nn.event.network.Network` has them.
    """

    rows: Rows
    weights: Weights
    trunk_t: Array
    head_t: Array
    field_start: Array
    flat_bits: Array


def training_step(rows: Rows, weights: Weights, field_start: Array, flat_bits: Array) -> Step:
    """Return a step with quantised weights."""
    return Step(
        rows, weights, np.ascontiguousarray(weights.trunk.transpose(0, 2, 1)),
        np.ascontiguousarray(weights.head.transpose(0, 2, 1)), field_start, flat_bits,
    )  # fmt: skip


class Scratch(NamedTuple):
    """What a block of rows is computed with.

    Float32, flat: ``state`` and ``x`` (BLOCK * hidden,): the sum of all that a row is known to
    be, and what a field sees of it; ``own`` and ``z`` (BLOCK * head,): what the field makes of
    it and of its own tokens, before and after clipping; ``logits`` (BLOCK * 16,). ``d_state``,
    ``d_own``, ``d_logits`` (BLOCK, 16), ``d_z`` (tokens of the longest field, BLOCK * head) and
    ``d_field`` (fields, BLOCK * hidden) are gradients of bits.
    ``match`` int64 (1 + links, BLOCK): offsets of the rows taken from the match tables;
    ``same`` int64 (1 + links, BLOCK): 16 as long as the field's tokens equal those of the row
    before, or of the row that a partner leads to, else 0; ``partner`` int64 (links,): links
    whose source has a counterpart of the token at hand; ``link_start`` int64 (links + 1,): first
    row of every link's tables; ``places`` int64; ``weight`` int32 (16,).
    """

    state: Array
    x: Array
    own: Array
    z: Array
    logits: Array
    d_state: Array
    d_own: Array
    d_logits: Array
    d_z: Array
    d_field: Array
    match: Array
    same: Array
    partner: Array
    link_start: Array
    places: Array
    weight: Array


def scratch(step: Step) -> Scratch:
    """Return room for the blocks of a step, or of others of the same shape."""
    hidden, head = (
        -(-n // WIDTH) * WIDTH for n in (step.weights.gate.shape[1], step.weights.bias.shape[1])
    )
    fields, link_fields = len(step.field_start) - 1, step.rows.link_fields
    wide, narrow = (BLOCK * hidden,), (BLOCK * head,)
    deepest = max(1, *np.diff(step.field_start))
    state, x, own, z, logits, d_state, d_own, d_logits, d_z, d_field = aligned(
        wide, wide, narrow, narrow, (BLOCK * 16,),
        wide, narrow, (BLOCK, 16), (deepest, *narrow), (fields, *wide),
    )  # fmt: skip
    return Scratch(
        state, x, own, z, logits, d_state, d_own, d_logits, d_z, d_field,
        match=np.zeros((1 + len(link_fields), BLOCK), np.int64),
        same=np.zeros((1 + len(link_fields), BLOCK), np.int64),
        partner=np.zeros(len(link_fields), np.int64),
        link_start=np.concatenate([np.zeros(1, np.int64), np.cumsum(link_fields, dtype=np.int64)]),
        places=np.zeros(max(fields, step.rows.lane_buckets.shape[1], *link_fields), np.int64),
        weight=np.zeros(16, np.int32),
    )  # fmt: skip


def _filled(arrays: Weights) -> Weights:
    """Return copies with both widths filled up with zeros to whole vectors."""
    return Weights(**{k: widened(k, v) for k, v in arrays._asdict().items()})


def fused_step(
    step: Step, room: Scratch, batch: Array, grads: Weights, bits: Array, train: bool
) -> None:
    """Add up the bits per token of ``batch`` and, if ``train``, gradients.

    Parameters
    ----------
    step : Step
    room : Scratch
        Of :func:`scratch`; its contents do not matter.
    batch : int64 array
        Row numbers.
    grads : Weights
        Gradients (bits per unit of the integer weights) are added here.
    bits : float64 array, shape (tokens,)
        Information content is added here.
    train : bool
    """
    w = step.weights
    if w.gate.shape[1] % WIDTH == 0 and w.bias.shape[1] % WIDTH == 0:
        _fused_step(step, room, batch, grads, bits, train)
        return
    wide = training_step(step.rows, _filled(w), step.field_start, step.flat_bits)
    padded = Weights(*[np.zeros_like(v) for v in wide.weights])
    _fused_step(wide, room, batch, padded, bits, train)
    for out, full in zip(grads, padded, strict=True):
        out += full[tuple(slice(0, n) for n in out.shape)]


@part
def _begin_rows(step, s, lines):  # type: ignore[no-untyped-def]
    """Start the state of rows from what surrounds them."""
    rows, w = step.rows, step.weights
    fields, hidden = len(step.field_start) - 1, w.gate.shape[1]
    for i in range(len(lines)):
        r = lines[i]
        position = rows.position[r] * hidden
        for h in range(0, hidden, 16):
            store(s.state, i * hidden + h, load(w.position, position + h))
        if len(w.previous) > 0 and rows.previous[r] >= 0:
            add_embedded(
                s.state, i * hidden, w.previous, 0, rows.buckets, rows.previous[r], fields, hidden,
                s.places,
            )  # fmt: skip
        add_embedded(
            s.state, i * hidden, w.lane, 0, rows.lane_buckets, rows.lane[r],
            rows.lane_buckets.shape[1], hidden, s.places,
        )  # fmt: skip


@part
def _begin_field(w, s, f, n):  # type: ignore[no-untyped-def]
    """Set ``own`` to what field ``f`` makes of the state of ``n`` rows."""
    hidden, head = w.gate.shape[1], w.bias.shape[1]
    for i in range(n):
        for h in range(0, hidden, 16):
            v = add(load(s.state, i * hidden + h), load(w.gate, f * hidden + h))
            store(s.x, i * hidden + h, clip(v))
    for i in range(0, n, ROWS):
        product(s.x, i * hidden, w.trunk, f * hidden * head, hidden, head, s.own, i * head)
    for k in range(0, n * head, 16):
        store(s.own, k, descale(load(s.own, k)))
        store(s.d_own, k, zeros())
    for q in range(len(s.same)):
        for i in range(n):
            s.same[q, i] = 16


@part
def _partners(rows, s, t):  # type: ignore[no-untyped-def]
    """Find the links whose source has a counterpart of token ``t``; return how many."""
    paired = 0
    for q in range(len(s.partner)):
        if rows.has_match[q, t]:
            s.partner[paired] = q
            paired += 1
    return paired


@part
def _previous_match(step, s, t, i, r):  # type: ignore[no-untyped-def]
    """Where ``match_previous`` has what the row before says of token ``t`` of row ``r``."""
    rows, w = step.rows, step.weights
    m = NO_MATCH
    if len(w.previous) > 0 and rows.previous[r] >= 0:
        y = np.int64(rows.tokens[rows.previous[r], t])
        m = y + s.same[0, i]
        s.same[0, i] = s.same[0, i] if y == rows.tokens[r, t] else 0
    m = (t * MATCHES + m) * w.bias.shape[1]
    s.match[0, i] = m
    return m


@part
def _link_match(step, s, f, t, p, i, r):  # type: ignore[no-untyped-def]
    """Where ``match_link`` has what the row that partner ``p`` leads to says of token ``t``."""
    rows = step.rows
    q = s.partner[p]
    m = NO_MATCH
    if f > q and rows.link[q, r] >= 0:
        y = np.int64(rows.tokens[rows.link[q, r], t])
        if y != UNKNOWN:
            m = y + s.same[1 + p, i]
        s.same[1 + p, i] = s.same[1 + p, i] if y == rows.tokens[r, t] else 0
    m = ((q * len(step.flat_bits) + t) * MATCHES + m) * step.weights.bias.shape[1]
    s.match[1 + p, i] = m
    return m


@part
def _mix(step, s, f, t, paired, i, r):  # type: ignore[no-untyped-def]
    """Add up in ``z[i]`` all that is known of token ``t`` of row ``r``, and clip it."""
    rows, w = step.rows, step.weights
    head, jagged = w.bias.shape[1], len(w.previous) > 0
    m1 = _previous_match(step, s, t, i, r)
    m2 = 0
    if paired > 0:
        m2 = _link_match(step, s, f, t, 0, i, r)
    if paired > 1:  # z is scratch for what these add
        for p in range(1, paired):
            _link_match(step, s, f, t, p, i, r)
        for k in range(0, head, 16):
            v = load(w.match_link, s.match[2, i] + k)
            for p in range(2, paired):
                v = add(v, load(w.match_link, s.match[1 + p, i] + k))
            store(s.z, i * head + k, v)
    if t > step.field_start[f]:
        y = np.int64(rows.tokens[r, t - 1])
        add_to(s.own, i * head, w.nibble, ((t - 1) * 16 + y) * head, head)
    for k in range(0, head, 16):
        v = add(load(s.own, i * head + k), load(w.bias, t * head + k))
        if jagged:
            v = add(v, load(w.match_previous, m1 + k))
        if paired > 0:
            v = add(v, load(w.match_link, m2 + k))
        if paired > 1:
            v = add(v, load(s.z, i * head + k))
        store(s.z, i * head + k, clip(v))


@part
def _cost(step, s, lines, t, train):  # type: ignore[no-untyped-def]
    """Bits of token ``t`` of all rows; if ``train``, fill ``d_logits``."""
    bits = 0.0
    information = 1.0
    for i in range(len(lines)):
        y = np.int64(step.rows.tokens[lines[i], t])
        v = softmax_weights(add(load(s.logits, i * 16), load(step.weights.head_bias, t * 16)))
        store(s.weight, 0, v)
        norm = total(v)
        information *= (s.weight[y] * (65520.0 / 65536) / norm) + 1 / 65536
        if information < 1e-250:
            bits -= np.log2(information)
            information = 1.0
        if train:
            # d bits / d logit = (p - onehot) / 1024
            store(s.d_logits, i * 16, scaled(v, np.float32(1 / 1024) / np.float32(norm)))
            s.d_logits[i, y] -= np.float32(1 / 1024)
    return bits - np.log2(information)


@part
def _token_gradients(step, s, grads, t, first, paired, n):  # type: ignore[no-untyped-def]
    """Pass ``d_logits`` of token ``t`` back to ``d_z``."""
    head = step.weights.bias.shape[1]
    dz = s.d_z[t - first]
    add_outer(s.z, s.d_logits, n, head, 16, grads.head, t * head * 16)
    add_sum(grads.head_bias, t * 16, s.d_logits, n, 16)
    for i in range(0, n, ROWS):
        product(s.d_logits, i * 16, step.head_t, t * head * 16, 16, head, dz, i * head)
    for k in range(0, n * head, 16):
        store(dz, k, clip_slope(load(dz, k), load(s.z, k)))
    add_sum(grads.bias, t * head, dz, n, head)
    for i in range(n):
        if len(step.weights.previous) > 0:
            add_to(grads.match_previous, s.match[0, i], dz, i * head, head)
        for p in range(paired):
            add_to(grads.match_link, s.match[1 + p, i], dz, i * head, head)


@part
def _run_field(step, s, lines, grads, bits, f, train):  # type: ignore[no-untyped-def]
    """Predict the tokens of field ``f``; return the end of those that are not flat."""
    head, n = step.weights.bias.shape[1], len(lines)
    first, last = step.field_start[f], step.field_start[f + 1]
    coded = first
    for t in range(first, last):
        if step.flat_bits[t] > 0:
            bits[t] += n * step.flat_bits[t]
            continue
        coded = t + 1
        paired = _partners(step.rows, s, t)
        for i in range(n):
            _mix(step, s, f, t, paired, i, lines[i])
        for i in range(0, n, ROWS):
            product(
                s.z, i * head, step.weights.head, t * head * 16, head, 16, s.logits, i * 16
            )  # fmt: skip
        bits[t] += _cost(step, s, lines, t, train)
        if train:
            _token_gradients(step, s, grads, t, first, paired, n)
    return coded


@part
def _field_gradients(step, s, lines, grads, f, coded):  # type: ignore[no-untyped-def]
    """Pass ``d_z`` of the tokens before ``coded`` back to what field ``f`` saw of the state."""
    hidden, head = step.weights.gate.shape[1], step.weights.bias.shape[1]
    n, first = len(lines), step.field_start[f]
    for t in range(coded - 1, first - 1, -1):
        add_to(s.d_own, 0, s.d_z[t - first], 0, n * head)
        if t > first:
            for i in range(n):
                y = np.int64(step.rows.tokens[lines[i], t - 1])
                add_to(grads.nibble, ((t - 1) * 16 + y) * head, s.d_own, i * head, head)
    for k in range(n * head):
        s.d_own[k] *= np.float32(1 / 64)
    add_outer(s.x, s.d_own, n, hidden, head, grads.trunk, f * hidden * head)
    for i in range(0, n, ROWS):
        product(
            s.d_own, i * head, step.trunk_t, f * hidden * head, head, hidden, s.d_state, i * hidden
        )  # fmt: skip
    dx = s.d_field[f]
    for k in range(0, n * hidden, 16):
        store(dx, k, clip_slope(load(s.d_state, k), load(s.x, k)))
    add_sum(grads.gate, f * hidden, dx, n, hidden)


@part
def _end_field(step, s, lines, f):  # type: ignore[no-untyped-def]
    """Add what is known of field ``f`` now, and of the rows it points to, to the state."""
    rows, w = step.rows, step.weights
    hidden = w.gate.shape[1]
    for i in range(len(lines)):
        r = lines[i]
        add_to(s.state, i * hidden, w.embed, (f * BUCKETS + rows.buckets[r, f]) * hidden, hidden)
        if f < len(rows.link_fields) and rows.link[f, r] >= 0:
            add_embedded(
                s.state, i * hidden, w.link, s.link_start[f], rows.buckets, rows.link[f, r],
                rows.link_fields[f], hidden, s.places,
            )  # fmt: skip


@part
def _state_gradients(step, s, lines, grads):  # type: ignore[no-untyped-def]
    """Pass what all fields saw of the state back to what it was the sum of."""
    rows, hidden = step.rows, step.weights.gate.shape[1]
    n, fields = len(lines), len(step.field_start) - 1
    for k in range(0, n * hidden, 16):
        store(s.d_state, k, zeros())
    for f in range(fields - 1, -1, -1):
        for i in range(n):
            r, at = lines[i], i * hidden
            if f < len(rows.link_fields) and rows.link[f, r] >= 0:
                add_to_embedded(
                    grads.link, s.link_start[f], rows.buckets, rows.link[f, r],
                    rows.link_fields[f], s.d_state, at, hidden,
                )  # fmt: skip
            k = (f * BUCKETS + rows.buckets[r, f]) * hidden
            add_to(grads.embed, k, s.d_state, at, hidden)
        add_to(s.d_state, 0, s.d_field[f], 0, n * hidden)
    for i in range(n):
        r, at = lines[i], i * hidden
        add_to(grads.position, rows.position[r] * hidden, s.d_state, at, hidden)
        if len(step.weights.previous) > 0 and rows.previous[r] >= 0:
            add_to_embedded(
                grads.previous, 0, rows.buckets, rows.previous[r], fields, s.d_state, at, hidden
            )
        add_to_embedded(
            grads.lane, 0, rows.lane_buckets, rows.lane[r], rows.lane_buckets.shape[1], s.d_state,
            at, hidden,
        )  # fmt: skip


@kernel(makes_arrays=False)
def _fused_step(step, s, batch, grads, bits, train):  # type: ignore[no-untyped-def]
    """Do what :func:`fused_step` says, for widths that are multiples of 16."""
    for start in range(0, len(batch), BLOCK):
        lines = batch[start : start + BLOCK]
        _begin_rows(step, s, lines)
        for f in range(len(step.field_start) - 1):
            _begin_field(step.weights, s, f, len(lines))
            coded = _run_field(step, s, lines, grads, bits, f, train)
            if train:
                _field_gradients(step, s, lines, grads, f, coded)
            _end_field(step, s, lines, f)
        if train:
            _state_gradients(step, s, lines, grads)
