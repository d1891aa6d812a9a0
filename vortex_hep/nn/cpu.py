"""The compiled CPU engine: one pass over a group of lanes, coding or decoding.

Equal bit for bit to :mod:`vortex_hep.nn.reference`. Products run in float32, which is exact: all
sums are integers below 2**24, so their order and the use of fused multiply-add do not matter.
That is why reassociation may be allowed to the compiler here and nowhere else.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numba as nb
import numpy as np
import numpy.typing as npt

from vortex_hep.codec.rans import LOWER, STATES
from vortex_hep.nn.tablemodel import POSITIONS, TableModel

Array = npt.NDArray[Any]

_EXACT = {"contract", "reassoc", "nsz"}


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


def unpack(model: TableModel) -> Network:
    """Prepare a table model for the kernels of this module."""
    w = {k: np.ascontiguousarray(v, np.float32) for k, v in model.weights.items()}
    starts = np.cumsum([0] + [len(f.thresholds) for f in model.fields]).astype(np.int64)
    thresholds = np.concatenate([f.thresholds for f in model.fields] or [np.zeros(0, np.uint64)])
    token_bits = np.array([b for f in model.fields for b in f.token_widths], np.int64)
    return Network(
        **w,
        field_start=model.field_starts,
        flat_bits=model.flat_bits,
        token_bits=token_bits,
        thresholds=thresholds.astype(np.uint64),
        threshold_start=starts,
        link_values=link_values(model),
    )


@nb.njit(cache=True, nogil=True, fastmath=_EXACT)
def _product(x, w, out):  # type: ignore[no-untyped-def]
    """``out[:] = x @ w`` for one row; the length of ``x`` is a multiple of 8."""
    n = w.shape[1]
    for j in range(n):
        out[j] = np.float32(0)
    for k in range(0, len(x), 8):
        x0, x1, x2, x3 = x[k], x[k + 1], x[k + 2], x[k + 3]
        x4, x5, x6, x7 = x[k + 4], x[k + 5], x[k + 6], x[k + 7]
        for j in range(n):
            out[j] += (
                (x0 * w[k, j] + x1 * w[k + 1, j]) + (x2 * w[k + 2, j] + x3 * w[k + 3, j])
            ) + ((x4 * w[k + 4, j] + x5 * w[k + 5, j]) + (x6 * w[k + 6, j] + x7 * w[k + 7, j]))


@nb.njit(cache=True, nogil=True, fastmath=_EXACT)
def _add_rows(state, table, buckets):  # type: ignore[no-untyped-def]
    for f in range(len(buckets)):
        q = buckets[f]
        for h in range(len(state)):
            state[h] += table[f, q, h]


@nb.njit(cache=True, nogil=True, fastmath=_EXACT)
def _frequencies(logits, weight, freq):  # type: ignore[no-untyped-def]
    """Fill ``freq`` (int32, 16) from ``logits`` (float32 integers); see ``arithmetic``."""
    top = logits[0]
    for q in range(16):
        top = max(top, logits[q])
    total = np.int32(0)
    for q in range(16):
        d = np.int32(top - logits[q])
        n = min(d >> np.int32(10), np.int32(31))
        r = d & np.int32(1023)
        a = np.int32(22007) - ((np.int32(5623) * r) >> np.int32(10))
        w = (np.int32(32768) - ((a * r) >> np.int32(10))) >> n
        weight[q] = w
        total += w
    scale = np.uint32(65520 << 15) // np.uint32(total)
    left = np.int32(65536)
    for q in range(16):
        f = np.int32(1) + np.int32((np.uint32(weight[q]) * scale) >> np.uint32(15))
        freq[q] = f
        left -= f
    for q in range(16):
        if logits[q] == top:
            freq[q] += left
            break


@nb.njit(cache=True, nogil=True, fastmath=_EXACT)
def run_group(net, lanes, offsets, active, tokens, buckets, link_row, lane_buckets, given, decode,
              freq, cum, bits, words):  # type: ignore[no-untyped-def]  # fmt: skip
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
    n_tokens = net.field_start[fields]
    hidden = net.gate.shape[1]
    head = net.bias.shape[1]
    jagged = len(net.previous) > 0
    linked = len(net.link) > 0
    widest = len(lanes)
    zero = np.float32(0)
    cap = np.float32(127)
    state = np.empty((widest, hidden), np.float32)
    own = np.empty((widest, head), np.float32)
    x = np.empty(hidden, np.float32)
    z = np.empty(head, np.float32)
    logits = np.empty(16, np.float32)
    weight = np.empty(16, np.int32)
    f16 = np.empty(16, np.int32)
    matched = np.empty((widest, 2), np.uint8)
    compact = np.empty(widest, np.uint64)
    rans = np.empty(STATES, np.uint64)
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
        position = min(j, net.position.shape[0] - 1)
        for i in range(n):
            row = offsets[lanes[i]] + j
            for h in range(hidden):
                state[i, h] = net.position[position, h]
            if jagged and j > 0:
                _add_rows(state[i], net.previous, buckets[row - 1])
            _add_rows(state[i], net.lane, lane_buckets[lanes[i]])
            link_row[row] = -1
        for f in range(fields):
            first = net.field_start[f]
            last = net.field_start[f + 1]
            for i in range(n):
                for h in range(hidden):
                    v = max(state[i, h] + net.gate[f, h], zero)
                    x[h] = min(v, cap)
                _product(x, net.trunk[f], own[i])
                for q in range(head):
                    own[i, q] = np.floor(own[i, q] * np.float32(1 / 64) + np.float32(0.5))
                matched[i, 0] = 1
                matched[i, 1] = 1
                compact[i] = np.uint64(0)
            for t in range(first, last):
                information = 1.0
                flat = net.flat_bits[t]
                width = net.token_bits[t]
                for i in range(n):
                    row = offsets[lanes[i]] + j
                    if flat == 0:
                        m1 = 32
                        m2 = 32
                        if jagged and j > 0:
                            m1 = tokens[row - 1, t] + 16 * matched[i, 0]
                        if linked and link_row[row] >= 0:
                            m2 = tokens[link_row[row], t] + 16 * matched[i, 1]
                        if t > first:
                            q = tokens[row, t - 1]
                            for k in range(head):
                                own[i, k] += net.nibble[t - 1, q, k]
                        for k in range(head):
                            z[k] = own[i, k] + net.bias[t, k]
                        if jagged:
                            for k in range(head):
                                z[k] += net.match_previous[t, m1, k]
                        if linked:
                            for k in range(head):
                                z[k] += net.match_link[t, m2, k]
                        for k in range(head):
                            z[k] = min(max(z[k], zero), cap)
                        _product(z, net.head[t], logits)
                        for q in range(16):
                            logits[q] += net.head_bias[t, q]
                        _frequencies(logits, weight, f16)
                    else:
                        for q in range(16):
                            f16[q] = 65536 >> flat if q < 1 << flat else 0
                    if decode and not given[f]:
                        s = i & (STATES - 1)
                        r = rans[s]
                        slot = np.int32(r & np.uint64(0xFFFF))
                        c = np.int32(0)
                        y = 0
                        while c + f16[y] <= slot:
                            c += f16[y]
                            y += 1
                        r = np.uint64(f16[y]) * (r >> np.uint64(16)) + np.uint64(slot - c)
                        if r < np.uint64(LOWER):
                            if at >= len(words):
                                return -1
                            r = (r << np.uint64(32)) | np.uint64(words[at])
                            at += 1
                        rans[s] = r
                        tokens[row, t] = y
                    elif not decode:
                        y = np.int64(tokens[row, t])
                        c = np.int32(0)
                        for q in range(y):
                            c += f16[q]
                        freq[base + i] = f16[y]
                        cum[base + i] = c
                        information *= f16[y] / 65536.0
                        if information < 1e-250:
                            bits[f] -= np.log2(information)
                            information = 1.0
                    y = np.int64(tokens[row, t])
                    if m_differs(tokens, jagged and j > 0, row, row - 1, t):
                        matched[i, 0] = 0
                    if m_differs(tokens, linked and link_row[row] >= 0, row, link_row[row], t):
                        matched[i, 1] = 0
                    compact[i] = (compact[i] << np.uint64(width)) | np.uint64(y)
                if not decode:
                    bits[f] -= np.log2(information)
                base += n
            for i in range(n):
                row = offsets[lanes[i]] + j
                q = 0
                for k in range(net.threshold_start[f], net.threshold_start[f + 1]):
                    q += net.thresholds[k] <= compact[i]
                buckets[row, f] = q
                for h in range(hidden):
                    state[i, h] += net.embed[f, q, h]
                if linked and f == 0:
                    if compact[i] < len(net.link_values):
                        k = net.link_values[compact[i]]
                        if 0 <= k < j:
                            link_row[row] = row - j + k
                            _add_rows(state[i], net.link, buckets[link_row[row]])
    if decode:
        for s in range(STATES):
            if rans[s] != np.uint64(LOWER):
                return -1
    return at


@nb.njit(cache=True, nogil=True, inline="always")
def m_differs(tokens, valid, row, other, t):  # type: ignore[no-untyped-def]
    """Whether token ``t`` of a context row exists and differs."""
    return valid and tokens[row, t] != tokens[other, t]


__all__ = ["MAX_LINK_VALUES", "POSITIONS", "Network", "link_values", "run_group", "unpack"]
