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
from vortex_hep.core.compiled import kernel
from vortex_hep.nn.event.model import MATCHES
from vortex_hep.nn.event.network import UNKNOWN, widened
from vortex_hep.nn.kernels import (
    ROWS,
    add_embedded,
    add_outer,
    add_sum,
    add_to,
    add_to_embedded,
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


def _filled(arrays: Weights) -> Weights:
    """Return copies with both widths filled up with zeros to whole vectors."""
    return Weights(**{k: widened(k, v) for k, v in arrays._asdict().items()})


def fused_step(
    batch: Array, rows: Rows, w: Weights, trunk_t: Array, head_t: Array, grads: Weights,
    field_start: Array, flat_bits: Array, bits: Array, train: bool,
) -> None:  # fmt: skip
    """Add up the bits per token of ``batch`` and, if ``train``, gradients.

    Parameters
    ----------
    batch : int64 array
        Row numbers.
    rows : Rows
    w : Weights
        Quantised weights.
    trunk_t, head_t : float32 arrays
        ``w.trunk`` and ``w.head`` with their last two axes exchanged.
    grads : Weights
        Gradients (bits per unit of the integer weights) are added here.
    field_start, flat_bits : int64 arrays
    bits : float64 array, shape (tokens,)
        Information content is added here.
    train : bool
    """
    if w.gate.shape[1] % WIDTH == 0 and w.bias.shape[1] % WIDTH == 0:
        _fused_step(batch, rows, w, trunk_t, head_t, grads, field_start, flat_bits, bits, train)
        return
    wide = _filled(w)
    parts = Weights(*[np.zeros_like(v) for v in wide])
    _fused_step(
        batch, rows, wide, np.ascontiguousarray(wide.trunk.transpose(0, 2, 1)),
        np.ascontiguousarray(wide.head.transpose(0, 2, 1)), parts, field_start, flat_bits, bits,
        train,
    )  # fmt: skip
    for out, part in zip(grads, parts, strict=True):
        out += part[tuple(slice(0, n) for n in out.shape)]


@kernel
def _fused_step(batch, rows, w, trunk_t, head_t, grads, field_start, flat_bits, bits, train):  # type: ignore[no-untyped-def]
    """Do what :func:`fused_step` says, for widths that are multiples of 16."""
    fields = len(field_start) - 1
    hidden = w.gate.shape[1]
    head = w.bias.shape[1]
    jagged = len(w.previous) > 0
    n_links = len(rows.link_fields)
    n_tokens = len(flat_bits)
    lane_fields = rows.lane_buckets.shape[1]
    deepest = 1
    for f in range(fields):
        deepest = max(deepest, field_start[f + 1] - field_start[f])
    state = np.zeros(BLOCK * hidden, np.float32)
    x = np.zeros(BLOCK * hidden, np.float32)
    own = np.zeros(BLOCK * head, np.float32)
    z = np.zeros(BLOCK * head, np.float32)
    logits = np.zeros(BLOCK * 16, np.float32)
    d_logits = np.zeros((BLOCK, 16), np.float32)
    d_z = np.zeros((deepest, BLOCK * head), np.float32)
    d_own = np.zeros(BLOCK * head, np.float32)
    d_state = np.zeros(BLOCK * hidden, np.float32)
    d_field = np.zeros((fields, BLOCK * hidden), np.float32)
    # offsets of the rows taken from the match tables
    match = np.zeros((1 + n_links, BLOCK), np.int64)
    same = np.zeros((1 + n_links, BLOCK), np.int64)
    partner = np.zeros(n_links, np.int64)
    link_start = np.zeros(n_links + 1, np.int64)
    widest = max(fields, lane_fields)
    for q in range(n_links):
        link_start[q + 1] = link_start[q] + rows.link_fields[q]
        widest = max(widest, rows.link_fields[q])
    places = np.zeros(widest, np.int64)
    weight = np.zeros(16, np.int32)
    for start in range(0, len(batch), BLOCK):
        n = min(BLOCK, len(batch) - start)
        for i in range(n):
            r = batch[start + i]
            position = rows.position[r] * hidden
            for h in range(0, hidden, 16):
                store(state, i * hidden + h, load(w.position, position + h))
            if jagged and rows.previous[r] >= 0:
                add_embedded(
                    state, i * hidden, w.previous, 0, rows.buckets, rows.previous[r], fields,
                    hidden, places,
                )  # fmt: skip
            add_embedded(
                state, i * hidden, w.lane, 0, rows.lane_buckets, rows.lane[r], lane_fields,
                hidden, places,
            )  # fmt: skip
        for f in range(fields):
            first = field_start[f]
            last = field_start[f + 1]
            for i in range(n):
                for h in range(0, hidden, 16):
                    v = add(load(state, i * hidden + h), load(w.gate, f * hidden + h))
                    store(x, i * hidden + h, clip(v))
            for i in range(0, n, ROWS):
                product(x, i * hidden, w.trunk, f * hidden * head, hidden, head, own, i * head)
            for k in range(0, n * head, 16):
                store(own, k, descale(load(own, k)))
                store(d_own, k, zeros())
            for q in range(1 + n_links):
                for i in range(n):
                    same[q, i] = 16
            coded = first
            for t in range(first, last):
                if flat_bits[t] > 0:
                    bits[t] += n * flat_bits[t]
                    continue
                coded = t + 1
                paired = 0
                for q in range(n_links):
                    if rows.has_match[q, t]:
                        partner[paired] = q
                        paired += 1
                one = partner[0] if paired > 0 else 0
                for i in range(n):
                    r = batch[start + i]
                    m1 = 32
                    if jagged and rows.previous[r] >= 0:
                        y = np.int64(rows.tokens[rows.previous[r], t])
                        m1 = y + same[0, i]
                        same[0, i] = same[0, i] if y == rows.tokens[r, t] else 0
                    m1 = (t * MATCHES + m1) * head
                    match[0, i] = m1
                    m2 = 32
                    if paired > 0 and f > one and rows.link[one, r] >= 0:
                        y = np.int64(rows.tokens[rows.link[one, r], t])
                        if y != UNKNOWN:
                            m2 = y + same[1, i]
                        same[1, i] = same[1, i] if y == rows.tokens[r, t] else 0
                    m2 = ((one * n_tokens + t) * MATCHES + m2) * head
                    if paired > 0:
                        match[1, i] = m2
                    if paired > 1:  # z is scratch for what these add
                        for p in range(1, paired):
                            q = partner[p]
                            m = 32
                            if f > q and rows.link[q, r] >= 0:
                                y = np.int64(rows.tokens[rows.link[q, r], t])
                                if y != UNKNOWN:
                                    m = y + same[1 + p, i]
                                same[1 + p, i] = same[1 + p, i] if y == rows.tokens[r, t] else 0
                            match[1 + p, i] = ((q * n_tokens + t) * MATCHES + m) * head
                        for k in range(0, head, 16):
                            v = load(w.match_link, match[2, i] + k)
                            for p in range(2, paired):
                                v = add(v, load(w.match_link, match[1 + p, i] + k))
                            store(z, i * head + k, v)
                    if t > first:
                        y = np.int64(rows.tokens[r, t - 1])
                        add_to(own, i * head, w.nibble, ((t - 1) * 16 + y) * head, head)
                    for k in range(0, head, 16):
                        v = add(load(own, i * head + k), load(w.bias, t * head + k))
                        if jagged:
                            v = add(v, load(w.match_previous, m1 + k))
                        if paired > 0:
                            v = add(v, load(w.match_link, m2 + k))
                        if paired > 1:
                            v = add(v, load(z, i * head + k))
                        store(z, i * head + k, clip(v))
                for i in range(0, n, ROWS):
                    product(z, i * head, w.head, t * head * 16, head, 16, logits, i * 16)
                information = 1.0
                for i in range(n):
                    y = np.int64(rows.tokens[batch[start + i], t])
                    v = softmax_weights(add(load(logits, i * 16), load(w.head_bias, t * 16)))
                    store(weight, 0, v)
                    s = total(v)
                    information *= (weight[y] * (65520.0 / 65536) / s) + 1 / 65536
                    if information < 1e-250:
                        bits[t] -= np.log2(information)
                        information = 1.0
                    if train:
                        # d bits / d logit = (p - onehot) / 1024
                        store(d_logits, i * 16, scaled(v, np.float32(1 / 1024) / np.float32(s)))
                        d_logits[i, y] -= np.float32(1 / 1024)
                bits[t] -= np.log2(information)
                if train:
                    dz = d_z[t - first]
                    add_outer(z, d_logits, n, head, 16, grads.head, t * head * 16)
                    add_sum(grads.head_bias, t * 16, d_logits, n, 16)
                    for i in range(0, n, ROWS):
                        product(d_logits, i * 16, head_t, t * head * 16, 16, head, dz, i * head)
                    for k in range(0, n * head, 16):
                        store(dz, k, clip_slope(load(dz, k), load(z, k)))
                    add_sum(grads.bias, t * head, dz, n, head)
                    for i in range(n):
                        if jagged:
                            add_to(grads.match_previous, match[0, i], dz, i * head, head)
                        for p in range(paired):
                            add_to(grads.match_link, match[1 + p, i], dz, i * head, head)
            if train:
                for t in range(coded - 1, first - 1, -1):
                    dz = d_z[t - first]
                    add_to(d_own, 0, dz, 0, n * head)
                    if t > first:
                        for i in range(n):
                            y = np.int64(rows.tokens[batch[start + i], t - 1])
                            add_to(grads.nibble, ((t - 1) * 16 + y) * head, d_own, i * head, head)
                for k in range(n * head):
                    d_own[k] *= np.float32(1 / 64)
                add_outer(x, d_own, n, hidden, head, grads.trunk, f * hidden * head)
                for i in range(0, n, ROWS):
                    product(
                        d_own, i * head, trunk_t, f * hidden * head, head, hidden, d_state,
                        i * hidden,
                    )  # fmt: skip
                dx = d_field[f]
                for k in range(0, n * hidden, 16):
                    store(dx, k, clip_slope(load(d_state, k), load(x, k)))
                add_sum(grads.gate, f * hidden, dx, n, hidden)
            for i in range(n):
                r = batch[start + i]
                k = (f * BUCKETS + rows.buckets[r, f]) * hidden
                add_to(state, i * hidden, w.embed, k, hidden)
                if f < n_links and rows.link[f, r] >= 0:
                    add_embedded(
                        state, i * hidden, w.link, link_start[f], rows.buckets, rows.link[f, r],
                        rows.link_fields[f], hidden, places,
                    )  # fmt: skip
        if train:
            for k in range(0, n * hidden, 16):
                store(d_state, k, zeros())
            for f in range(fields - 1, -1, -1):
                for i in range(n):
                    r = batch[start + i]
                    if f < n_links and rows.link[f, r] >= 0:
                        add_to_embedded(
                            grads.link, link_start[f], rows.buckets, rows.link[f, r],
                            rows.link_fields[f], d_state, i * hidden, hidden,
                        )  # fmt: skip
                    k = (f * BUCKETS + rows.buckets[r, f]) * hidden
                    add_to(grads.embed, k, d_state, i * hidden, hidden)
                add_to(d_state, 0, d_field[f], 0, n * hidden)
            for i in range(n):
                r = batch[start + i]
                at = i * hidden
                add_to(grads.position, rows.position[r] * hidden, d_state, at, hidden)
                if jagged and rows.previous[r] >= 0:
                    add_to_embedded(
                        grads.previous, 0, rows.buckets, rows.previous[r], fields, d_state, at,
                        hidden,
                    )  # fmt: skip
                add_to_embedded(
                    grads.lane, 0, rows.lane_buckets, rows.lane[r], lane_fields, d_state, at, hidden
                )
