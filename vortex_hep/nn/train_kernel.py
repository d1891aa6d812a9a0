"""The fused CPU kernel of training: loss and gradients of a block of rows in one pass.

Forward it computes exactly what inference computes, with the quantised weights, so that the
loss is the cost that is paid; backward it passes gradients straight through the rounding.
Rows are blocked so that a block's activations and one field's weights stay in cache; eager
tensor operations spend most of their time on memory traffic instead.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numba as nb
import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

_FAST = {"contract", "reassoc", "nsz"}
BLOCK = 64


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

    ``tokens`` uint8 (rows, tokens); ``buckets`` uint8 (rows, fields); ``previous``, ``link``
    int64 (rows,) row index or -1; ``position`` int64 (rows,); ``lane`` int64 (rows,);
    ``lane_buckets`` uint8 (lanes, lane fields).
    """

    tokens: Array
    buckets: Array
    previous: Array
    link: Array
    position: Array
    lane: Array
    lane_buckets: Array


@nb.njit(cache=True, nogil=True, fastmath=_FAST)
def _product(x, w, out, rows):  # type: ignore[no-untyped-def]
    """``out[:rows] = x[:rows] @ w``; the columns of ``x`` come in multiples of 8."""
    n = w.shape[1]
    for b in range(rows):
        for j in range(n):
            out[b, j] = np.float32(0)
        for k in range(0, w.shape[0], 8):
            x0, x1, x2, x3 = x[b, k], x[b, k + 1], x[b, k + 2], x[b, k + 3]
            x4, x5, x6, x7 = x[b, k + 4], x[b, k + 5], x[b, k + 6], x[b, k + 7]
            for j in range(n):
                out[b, j] += (
                    (x0 * w[k, j] + x1 * w[k + 1, j]) + (x2 * w[k + 2, j] + x3 * w[k + 3, j])
                ) + ((x4 * w[k + 4, j] + x5 * w[k + 5, j]) + (x6 * w[k + 6, j] + x7 * w[k + 7, j]))


@nb.njit(cache=True, nogil=True, fastmath=_FAST)
def _outer(x, d, grad, rows):  # type: ignore[no-untyped-def]
    """``grad += x[:rows].T @ d[:rows]``; ``rows`` is a multiple of 8."""
    n = grad.shape[1]
    for b in range(0, rows, 8):
        for k in range(grad.shape[0]):
            x0, x1, x2, x3 = x[b, k], x[b + 1, k], x[b + 2, k], x[b + 3, k]
            x4, x5, x6, x7 = x[b + 4, k], x[b + 5, k], x[b + 6, k], x[b + 7, k]
            for j in range(n):
                grad[k, j] += (
                    (x0 * d[b, j] + x1 * d[b + 1, j]) + (x2 * d[b + 2, j] + x3 * d[b + 3, j])
                ) + ((x4 * d[b + 4, j] + x5 * d[b + 5, j]) + (x6 * d[b + 6, j] + x7 * d[b + 7, j]))


@nb.njit(cache=True, nogil=True, fastmath=_FAST)
def _add_rows(state, table, buckets):  # type: ignore[no-untyped-def]
    for f in range(len(buckets)):
        q = buckets[f]
        for h in range(len(state)):
            state[h] += table[f, q, h]


@nb.njit(cache=True, nogil=True, fastmath=_FAST)
def _add_gradient(grad, table, buckets):  # type: ignore[no-untyped-def]
    for f in range(len(buckets)):
        q = buckets[f]
        for h in range(len(grad)):
            table[f, q, h] += grad[h]


@nb.njit(cache=True, nogil=True, fastmath=_FAST)
def fused_step(batch, rows, w, trunk_t, head_t, grads, field_start, flat_bits, bits, train):  # type: ignore[no-untyped-def]
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
    fields = len(field_start) - 1
    hidden = w.gate.shape[1]
    head = w.bias.shape[1]
    jagged = len(w.previous) > 0
    linked = len(w.link) > 0
    zero = np.float32(0)
    cap = np.float32(127)
    deepest = 1
    for f in range(fields):
        deepest = max(deepest, field_start[f + 1] - field_start[f])
    state = np.zeros((BLOCK, hidden), np.float32)
    x = np.zeros((BLOCK, hidden), np.float32)
    own = np.zeros((BLOCK, head), np.float32)
    z = np.zeros((BLOCK, head), np.float32)
    logits = np.zeros((BLOCK, 16), np.float32)
    d_logits = np.zeros((BLOCK, 16), np.float32)
    d_z = np.zeros((deepest, BLOCK, head), np.float32)
    d_own = np.zeros((BLOCK, head), np.float32)
    d_state = np.zeros((BLOCK, hidden), np.float32)
    d_field = np.zeros((fields, BLOCK, hidden), np.float32)
    m1 = np.zeros(BLOCK, np.int64)
    m2 = np.zeros(BLOCK, np.int64)
    match1 = np.zeros(BLOCK, np.int64)
    match2 = np.zeros(BLOCK, np.int64)
    weight = np.zeros(16, np.int32)
    for start in range(0, len(batch), BLOCK):
        n = min(BLOCK, len(batch) - start)
        padded = (n + 7) // 8 * 8
        for i in range(n):
            r = batch[start + i]
            for h in range(hidden):
                state[i, h] = w.position[rows.position[r], h]
            if jagged and rows.previous[r] >= 0:
                _add_rows(state[i], w.previous, rows.buckets[rows.previous[r]])
            _add_rows(state[i], w.lane, rows.lane_buckets[rows.lane[r]])
        for i in range(n, padded):
            x[i] = zero
            z[i] = zero
            d_logits[i] = zero
        for f in range(fields):
            first = field_start[f]
            last = field_start[f + 1]
            for i in range(n):
                for h in range(hidden):
                    v = max(state[i, h] + w.gate[f, h], zero)
                    x[i, h] = min(v, cap)
            _product(x, w.trunk[f], own, n)
            for i in range(n):
                for k in range(head):
                    own[i, k] = np.floor(own[i, k] * np.float32(1 / 64) + np.float32(0.5))
                match1[i] = 1
                match2[i] = 1
            d_own[:] = zero
            coded = first
            for t in range(first, last):
                if flat_bits[t] > 0:
                    bits[t] += n * flat_bits[t]
                    continue
                coded = t + 1
                for i in range(n):
                    r = batch[start + i]
                    m1[i] = 32
                    m2[i] = 32
                    if jagged and rows.previous[r] >= 0:
                        y = rows.tokens[rows.previous[r], t]
                        m1[i] = y + 16 * match1[i]
                        match1[i] &= y == rows.tokens[r, t]
                    if linked and f > 0 and rows.link[r] >= 0:
                        y = rows.tokens[rows.link[r], t]
                        m2[i] = y + 16 * match2[i]
                        match2[i] &= y == rows.tokens[r, t]
                    if t > first:
                        q = rows.tokens[r, t - 1]
                        for k in range(head):
                            own[i, k] += w.nibble[t - 1, q, k]
                    for k in range(head):
                        z[i, k] = own[i, k] + w.bias[t, k]
                    if jagged:
                        for k in range(head):
                            z[i, k] += w.match_previous[t, m1[i], k]
                    if linked:
                        for k in range(head):
                            z[i, k] += w.match_link[t, m2[i], k]
                    for k in range(head):
                        z[i, k] = min(max(z[i, k], zero), cap)
                _product(z, w.head[t], logits, n)
                information = 1.0
                for i in range(n):
                    y = np.int64(rows.tokens[batch[start + i], t])
                    for q in range(16):
                        logits[i, q] += w.head_bias[t, q]
                    top = logits[i, 0]
                    for q in range(16):
                        top = max(top, logits[i, q])
                    total = np.int32(0)
                    for q in range(16):
                        d = np.int32(top - logits[i, q])
                        s = min(d >> np.int32(10), np.int32(31))
                        e = d & np.int32(1023)
                        a = np.int32(22007) - ((np.int32(5623) * e) >> np.int32(10))
                        weight[q] = (np.int32(32768) - ((a * e) >> np.int32(10))) >> s
                        total += weight[q]
                    information *= (weight[y] * (65520.0 / 65536) / total) + 1 / 65536
                    if information < 1e-250:
                        bits[t] -= np.log2(information)
                        information = 1.0
                    if train:
                        # d bits / d logit = (p - onehot) / 1024
                        inverse = np.float32(1 / 1024) / np.float32(total)
                        for q in range(16):
                            d_logits[i, q] = np.float32(weight[q]) * inverse
                        d_logits[i, y] -= np.float32(1 / 1024)
                bits[t] -= np.log2(information)
                if train:
                    dz = d_z[t - first]
                    _outer(z, d_logits, grads.head[t], padded)
                    _product(d_logits, head_t[t], dz, n)
                    for i in range(n):
                        for q in range(16):
                            grads.head_bias[t, q] += d_logits[i, q]
                        for k in range(head):
                            dz[i, k] = dz[i, k] if zero < z[i, k] < cap else zero
                        for k in range(head):
                            grads.bias[t, k] += dz[i, k]
                        if jagged:
                            for k in range(head):
                                grads.match_previous[t, m1[i], k] += dz[i, k]
                        if linked:
                            for k in range(head):
                                grads.match_link[t, m2[i], k] += dz[i, k]
            if train:
                for t in range(coded - 1, first - 1, -1):
                    for i in range(n):
                        for k in range(head):
                            d_own[i, k] += d_z[t - first, i, k]
                        if t > first:
                            q = rows.tokens[batch[start + i], t - 1]
                            for k in range(head):
                                grads.nibble[t - 1, q, k] += d_own[i, k]
                for i in range(n):
                    for k in range(head):
                        d_own[i, k] *= np.float32(1 / 64)
                _outer(x, d_own, grads.trunk[f], padded)
                _product(d_own, trunk_t[f], d_state, n)
                for i in range(n):
                    for h in range(hidden):
                        v = d_state[i, h] if zero < x[i, h] < cap else zero
                        d_field[f, i, h] = v
                        grads.gate[f, h] += v
            for i in range(n):
                r = batch[start + i]
                q = rows.buckets[r, f]
                for h in range(hidden):
                    state[i, h] += w.embed[f, q, h]
                if linked and f == 0 and rows.link[r] >= 0:
                    _add_rows(state[i], w.link, rows.buckets[rows.link[r]])
        if train:
            for i in range(n):
                r = batch[start + i]
                g = d_state[i]
                g[:] = zero
                for f in range(fields - 1, -1, -1):
                    if linked and f == 0 and rows.link[r] >= 0:
                        _add_gradient(g, grads.link, rows.buckets[rows.link[r]])
                    q = rows.buckets[r, f]
                    for h in range(hidden):
                        grads.embed[f, q, h] += g[h]
                        g[h] += d_field[f, i, h]
                for h in range(hidden):
                    grads.position[rows.position[r], h] += g[h]
                if jagged and rows.previous[r] >= 0:
                    _add_gradient(g, grads.previous, rows.buckets[rows.previous[r]])
                _add_gradient(g, grads.lane, rows.lane_buckets[rows.lane[r]])
