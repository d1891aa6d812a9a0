"""Compiled kernels of the transformer's CPU engine.

They take checked arrays, allocate nothing that grows with the data, release the interpreter's lock
and work on the rows from ``lo`` to ``hi``, so that several threads can share the rows. Sums of
products come in as float32, in which matrix products hold them exactly.
"""

from __future__ import annotations

import numpy as np

from vortex_hep.core.compiled import kernel, part
from vortex_hep.nn.arithmetic import SHARED
from vortex_hep.nn.kernels import ROWS, product
from vortex_hep.nn.sequence import arithmetic as do
from vortex_hep.nn.vector import (
    WIDTH,
    add_product,
    add_products,
    load,
    load_bytes,
    whole_total,
    zeros,
)
from vortex_hep.nn.vector import store as put

_LIMIT = do.LIMIT
_RESIDUAL = do.RESIDUAL_LIMIT
_SHIFT = do.SHIFT
_HALF = 1 << (do.SHIFT - 1)
_NORM_SHIFT = do.NORM_SHIFT
_EMBED_SHIFT = do.EMBED_SHIFT
_QUOTIENT_SHIFT = do.QUOTIENT_SHIFT
_ATTENTION_SHIFT = do.ATTENTION_SHIFT
_MIX_SHIFT = do.MIX_SHIFT
_WEIGHT_SHIFT = do.WEIGHT_SHIFT
_SINES = do.SINES
_GATE_LIMIT, _UP_LIMIT, _LOGIT_LIMIT = do.GATE_LIMIT, do.UP_LIMIT, do.LOGIT_LIMIT
_SHARED = SHARED
_EXACT_TERMS = do.EXACT_TERMS
#: Products of weights (up to 4096) and values (up to 127) that a float32 sums exactly: each of the
#: 16 numbers of a vector holds one per block of keys.
_EXACT_KEYS = 32


@part
def _clip(x, limit):  # type: ignore[no-untyped-def]
    return min(max(x, -limit), limit)


@part
def _exp2(distance):  # type: ignore[no-untyped-def]
    """As :func:`vortex_hep.nn.arithmetic.exp2_weight`, on int32."""
    shift = min(distance >> np.int32(10), np.int32(31))
    r = distance & np.int32(1023)
    curve = np.int32(22007) - ((np.int32(5623) * r) >> np.int32(10))
    return (np.int32(32768) - ((curve * r) >> np.int32(10))) >> shift


@part
def _root(n):  # type: ignore[no-untyped-def]
    r = np.int64(np.sqrt(np.float64(n)))
    if r * r > n:
        r -= 1
    if (r + 1) * (r + 1) <= n:
        r += 1
    return r


@kernel
def embed(  # type: ignore[no-untyped-def]
    inputs, kinds, positions, table, factor, begin, next_type, next_factor, rates,
    position_factor, sines, out, lo, hi,
):  # fmt: skip
    """Write the residual stream of tokens: ``out`` int32 (lanes, n, width), lanes lo to hi."""
    n, width = out.shape[1], out.shape[2]
    types = len(factor)
    for lane in range(lo, hi):
        for i in range(n):
            before = (kinds[i] - 1) % types
            token = inputs[lane, i]
            for c in range(width // 2):
                phase = (np.uint32(positions[i]) * rates[c]) & np.uint32(0xFFFFFFFF)
                k = np.int64(phase >> np.uint32(22))
                for half in range(2):
                    j = 2 * c + half
                    if token > 255:
                        x = np.int64(begin[j]) << _EMBED_SHIFT
                    else:
                        x = np.int64(table[before, token, j]) * factor[before]
                    x += np.int64(next_type[kinds[i], j]) * next_factor
                    x += np.int64(sines[(k + 256 * half) % _SINES]) * position_factor
                    x = (x + (1 << (_EMBED_SHIFT - 1))) >> _EMBED_SHIFT
                    out[lane, i, j] = _clip(x, _RESIDUAL)


@kernel
def normalise(x, unit, out, lo, hi):  # type: ignore[no-untyped-def]
    """Normalise rows of ``x`` (int32) into ``out`` (float32)."""
    width = x.shape[1]
    for row in range(lo, hi):
        total = np.int64(0)
        for c in range(width):
            total += np.int64(x[row, c]) * np.int64(x[row, c])
        r = max(_root(total // width), np.int64(1))
        factor = (np.int64(unit) << _NORM_SHIFT) // r
        for c in range(width):
            y = (np.int64(x[row, c]) * factor + (1 << (_NORM_SHIFT - 1))) >> _NORM_SHIFT
            out[row, c] = np.float32(_clip(y, np.int64(_LIMIT)))


@kernel
def products(x, w, out, lo, hi):  # type: ignore[no-untyped-def]
    """``out = x @ w`` for rows lo to hi.

    Parameters
    ----------
    x : float32 array, shape (rows, depth)
        Integers up to 127 in size.
    w : float32 array, shape (depth, width)
        Such integers, too; ``width`` is a multiple of 16.
    out : float32 or float64 array, shape (rows, width)
        float64 where there are more than 1024 terms.
    """
    depth, width = w.shape
    some = np.empty((ROWS, min(depth, _EXACT_TERMS)), np.float32)
    sums = np.empty((ROWS, width), np.float32)
    for row in range(lo, hi, ROWS):
        rows = min(ROWS, hi - row)
        for first in range(0, depth, _EXACT_TERMS):
            terms = min(_EXACT_TERMS, depth - first)
            flat = some.reshape(-1)
            for b in range(ROWS):
                for k in range(terms):
                    flat[b * terms + k] = x[row + b, first + k] if b < rows else np.float32(0)
            product(flat, 0, w, first * width, terms, width, sums, 0)
            for b in range(rows):
                for c in range(width):
                    if first == 0:
                        out[row + b, c] = sums[b, c]
                    else:
                        out[row + b, c] += sums[b, c]


@kernel
def add(x, sums, factor, lo, hi):  # type: ignore[no-untyped-def]
    """Add scaled sums to the residual stream, in place."""
    width = x.shape[1]
    for row in range(lo, hi):
        for c in range(width):
            y = (np.int64(sums[row, c]) * np.int64(factor[c]) + _HALF) >> _SHIFT
            x[row, c] = np.int32(_clip(np.int64(x[row, c]) + y, np.int64(_RESIDUAL)))


@kernel
def scale(sums, factor, bias, out, lo, hi):  # type: ignore[no-untyped-def]
    """Scale and clip sums into ``out`` (int8)."""
    width = len(factor)
    for row in range(lo, hi):
        for c in range(width):
            y = (np.int64(sums[row, c]) * np.int64(factor[c]) + np.int64(bias[c]) + _HALF) >> _SHIFT
            out[row, c] = np.int8(_clip(y, np.int64(_LIMIT)))


@kernel
def store(kv, first, keys, values, n, at, lo, hi):  # type: ignore[no-untyped-def]
    """Put keys and values of tokens into the caches of lanes lo to hi.

    Parameters
    ----------
    kv : int8 array, shape (lanes * n, columns)
        Keys stand from column ``first``, values ``width`` behind them.
    keys, values : int8 arrays, shape (lanes, heads, blocks, head_dim, 16)
        A block holds 16 tokens.
    at : int
        Place of the first token in the caches.
    """
    heads, dim = keys.shape[1], keys.shape[3]
    width = heads * dim
    for lane in range(lo, hi):
        for i in range(n):
            row = lane * n + i
            block, place = (at + i) // WIDTH, (at + i) % WIDTH
            for h in range(heads):
                for c in range(dim):
                    keys[lane, h, block, c, place] = kv[row, first + h * dim + c]
                    values[lane, h, block, c, place] = kv[row, first + width + h * dim + c]


@kernel
def move(cache, first, keep, lo, hi):  # type: ignore[no-untyped-def]
    """Move ``keep`` tokens from place ``first`` of a cache to its beginning."""
    for lane in range(lo, hi):
        for h in range(cache.shape[1]):
            for t in range(keep):
                old = first + t
                for c in range(cache.shape[3]):
                    cache[lane, h, t // WIDTH, c, t % WIDTH] = cache[
                        lane, h, old // WIDTH, c, old % WIDTH
                    ]


@kernel
def _attend(  # type: ignore[no-untyped-def]
    q, keys, values, at, visible, logit_factor, value_factor, scores, logits, out
):
    """One query (float32, head_dim) of one head, in 1/16 units, into ``out`` (int64).

    ``at`` is where the head's part of the caches begins. ``scores`` and ``logits`` are scratch.
    """
    dim = len(q)
    blocks = (visible + WIDTH - 1) // WIDTH
    for block in range(blocks):
        line = zeros()
        first = at + block * dim * WIDTH
        for c in range(dim):
            line = add_product(line, q, c, load_bytes(keys, first + c * WIDTH))
        put(scores, block * WIDTH, line)
    top = np.int64(-(1 << 62))
    for j in range(visible):
        y = (np.int64(scores[j]) * np.int64(logit_factor) + _HALF) >> _SHIFT
        logits[j] = y
        top = max(top, y)
    total = np.int64(0)
    for j in range(visible):
        # Beyond 2**15 bits every distance has weight 0.
        distance = np.int32(min(top - logits[j], np.int64(1 << 25)))
        e = _exp2(distance) >> np.int32(_WEIGHT_SHIFT)
        scores[j] = np.float32(e)
        total += e
    for j in range(visible, blocks * WIDTH):
        scores[j] = np.float32(0)
    quotient = (np.int64(value_factor) << _QUOTIENT_SHIFT) // total
    for c in range(dim):
        sums = np.int64(0)
        for start in range(0, blocks, _EXACT_KEYS):
            line = zeros()
            for block in range(start, min(start + _EXACT_KEYS, blocks)):
                v = load_bytes(values, at + (block * dim + c) * WIDTH)
                line = add_products(line, load(scores, block * WIDTH), v)
            sums += whole_total(line)
        out[c] = (sums * quotient + (np.int64(1) << (_ATTENTION_SHIFT - 1))) >> _ATTENTION_SHIFT


@kernel
def attend(  # type: ignore[no-untyped-def]
    qkv, keys, values, used, logit_factor, value_factor, far_keys, far_values, far,
    far_logit_factor, far_value_factor, mix, n, out, lo, hi,
):  # fmt: skip
    """Attention of all heads of lanes lo to hi over window and memory, into ``out`` (float32).

    Parameters
    ----------
    qkv : int8 array, shape (lanes * n, columns)
        Queries stand in the first columns.
    keys, values, far_keys, far_values : int8 arrays
        As :func:`store` has them; of the memory ``far`` tokens count.
    used : int
        Tokens in the cache before these ``n``.
    """
    heads, blocks, dim = keys.shape[1], keys.shape[2], keys.shape[3]
    far_blocks = far_keys.shape[2]
    most = max(blocks, far_blocks) * WIDTH
    scores = np.empty(most, np.float32)
    logits = np.empty(most, np.int64)
    q = np.empty(dim, np.float32)
    near = np.empty(dim, np.int64)
    other = np.empty(dim, np.int64)
    for lane in range(lo, hi):
        for h in range(heads):
            at = (lane * heads + h) * blocks * dim * WIDTH
            far_at = (lane * heads + h) * far_blocks * dim * WIDTH
            for i in range(n):
                row = lane * n + i
                for c in range(dim):
                    q[c] = np.float32(qkv[row, h * dim + c])
                _attend(
                    q, keys, values, at, used + i + 1, logit_factor[h], value_factor[h],
                    scores, logits, near,
                )  # fmt: skip
                if far == 0:
                    for c in range(dim):
                        y = (near[c] + 8) >> 4
                        out[row, h * dim + c] = np.float32(_clip(y, np.int64(_LIMIT)))
                    continue
                _attend(
                    q, far_keys, far_values, far_at, far, far_logit_factor[h],
                    far_value_factor[h], scores, logits, other,
                )  # fmt: skip
                g = np.int64(mix[h])
                for c in range(dim):
                    y = g * other[c] + (256 - g) * near[c]
                    y = (y + (1 << (_MIX_SHIFT - 1))) >> _MIX_SHIFT
                    out[row, h * dim + c] = np.float32(_clip(y, np.int64(_LIMIT)))


@kernel
def gate(sums, gate_factor, up_factor, act_factor, silu, out, lo, hi):  # type: ignore[no-untyped-def]
    """Gated activations from the sums of gate and up (side by side), into ``out`` (float32)."""
    width = len(act_factor)
    for row in range(lo, hi):
        for c in range(width):
            g = (np.int64(sums[row, c]) * np.int64(gate_factor[c]) + _HALF) >> _SHIFT
            u = (np.int64(sums[row, width + c]) * np.int64(up_factor[c]) + _HALF) >> _SHIFT
            g = _clip(g, np.int64(_GATE_LIMIT))
            u = _clip(u, np.int64(_UP_LIMIT))
            y = np.int64(silu[g + _GATE_LIMIT]) * u
            y = (y * np.int64(act_factor[c]) + _HALF) >> _SHIFT
            out[row, c] = np.float32(_clip(y, np.int64(_LIMIT)))


@kernel
def logits(sums, factor, bias, kinds, out, lo, hi):  # type: ignore[no-untyped-def]
    """Logits of rows lo to hi, into ``out`` (int32, shape (rows, 256))."""
    n = len(kinds)
    for row in range(lo, hi):
        kind = kinds[row % n]
        for c in range(256):
            y = (np.int64(sums[row, c]) * np.int64(factor[c]) + _HALF) >> _SHIFT
            y += np.int64(bias[kind, c])
            out[row, c] = np.int32(_clip(y, np.int64(_LOGIT_LIMIT)))


@kernel
def score(acts, taps, factor, bias, pointwise, out, lo, hi):  # type: ignore[no-untyped-def]
    """Importance of tokens: ``acts`` int8 (lanes, tokens, width), ``out`` int64 (lanes, tokens)."""
    tokens, width = acts.shape[1], acts.shape[2]
    for lane in range(lo, hi):
        for t in range(tokens):
            total = np.int64(0)
            for c in range(width):
                y = np.int64(bias[c]) + np.int64(acts[lane, t, c]) * taps[1, c]
                if t > 0:
                    y += np.int64(acts[lane, t - 1, c]) * taps[0, c]
                if t + 1 < tokens:
                    y += np.int64(acts[lane, t + 1, c]) * taps[2, c]
                if y > 0:
                    y = min((y * np.int64(factor[c]) + _HALF) >> _SHIFT, np.int64(_LIMIT))
                    total += y * np.int64(pointwise[c])
            out[lane, t] = total


@part
def _share(weight, freq):  # type: ignore[no-untyped-def]
    """16 weights (int64) to frequencies that sum to 65536 (int32)."""
    total = np.int64(0)
    best = 0
    for s in range(16):
        total += weight[s]
        if weight[s] > weight[best]:
            best = s
    factor = (np.int64(_SHARED) << 15) // total
    rest = np.int64(65536)
    for s in range(16):
        f = 1 + ((weight[s] * factor) >> 15)
        freq[s] = np.int32(f)
        rest -= f
    freq[best] += np.int32(rest)


@part
def _high_weights(line, weight):  # type: ignore[no-untyped-def]
    """Weights of high nibbles (int64) from the logits of a byte (int32)."""
    top = line[0]
    for b in range(256):
        top = max(top, line[b])
    for g in range(16):
        total = np.int32(0)
        for b in range(16 * g, 16 * g + 16):
            total += _exp2(np.int32(top - line[b]))
        weight[g] = total


@part
def _low_weights(line, nibble, weight):  # type: ignore[no-untyped-def]
    """Weights of low nibbles (int64), given the high one."""
    first = 16 * nibble
    top = line[first]
    for b in range(first, first + 16):
        top = max(top, line[b])
    for b in range(16):
        weight[b] = _exp2(np.int32(top - line[first + b]))


@kernel
def high(logits, freq, lo, hi):  # type: ignore[no-untyped-def]
    """Frequencies of high nibbles (int32, shape (lanes, 16)) of lanes lo to hi."""
    weight = np.empty(16, np.int64)
    for lane in range(lo, hi):
        _high_weights(logits[lane], weight)
        _share(weight, freq[lane])


@kernel
def low(logits, nibble, freq, lo, hi):  # type: ignore[no-untyped-def]
    """Frequencies of low nibbles, given the high ones (uint8, shape (lanes,))."""
    weight = np.empty(16, np.int64)
    for lane in range(lo, hi):
        _low_weights(logits[lane], np.int64(nibble[lane]), weight)
        _share(weight, freq[lane])


@kernel
def code(logits, tokens, freq, cum, lo, hi):  # type: ignore[no-untyped-def]
    """Frequencies and cumulated frequencies of the bytes of lanes lo to hi.

    Parameters
    ----------
    logits : int32 array, shape (lanes, n, 256)
    tokens : uint8 array, shape (lanes, n)
    freq, cum : uint16 arrays, shape (2 * n, lanes)
        Of the high and the low nibble of every byte, one after the other.
    """
    weight = np.empty(16, np.int64)
    shares = np.empty(16, np.int32)
    for lane in range(lo, hi):
        for i in range(tokens.shape[1]):
            token = np.int64(tokens[lane, i])
            for half in range(2):
                s = token >> 4 if half == 0 else token & 15
                if half == 0:
                    _high_weights(logits[lane, i], weight)
                else:
                    _low_weights(logits[lane, i], token >> 4, weight)
                _share(weight, shares)
                below = np.int32(0)
                for k in range(s):
                    below += shares[k]
                freq[2 * i + half, lane] = np.uint16(shares[s])
                cum[2 * i + half, lane] = np.uint16(below)
