"""The CPU engine of transformers: compiled kernels, lanes shared among threads."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from vortex_hep.nn.sequence import arithmetic as do
from vortex_hep.nn.sequence import kernels
from vortex_hep.nn.sequence.model import SequenceModel
from vortex_hep.nn.vector import WIDTH

Array = npt.NDArray[Any]

#: Fewer lanes are not worth handing to another thread.
_MIN_LANES = 16


def _turned(weights: Array) -> Array:
    """Weights (layers, out, in) as ``products`` takes them: (layers, in, out), out padded."""
    turned = np.swapaxes(weights, 1, 2)
    return np.ascontiguousarray(
        np.pad(turned, ((0, 0), (0, 0), (0, -turned.shape[2] % WIDTH))), np.float32
    )


def _room(rows: int, weights: Array) -> Array:
    """Where the sums of products with some weights go."""
    depth, width = weights.shape
    return np.empty((rows, width), np.float32 if depth <= do.EXACT_TERMS else np.float64)


class Compiled:
    """The operations of :class:`~vortex_hep.nn.sequence.session.Operations` on a CPU.

    Parameters
    ----------
    model : SequenceModel
    pool : Executor, optional
        Threads that share the rows.
    parts : int
        Into how many parts rows are cut.

    Notes
    -----
    Products of activations and weights are summed in float32. All of them are integers, and so
    is every partial sum as long as there are at most 1024 terms (2**24 / 127**2): longer sums are
    cut, and their parts added in float64. The order of summation therefore does not matter.
    Lanes do not know of one another, so a thread takes its lanes through whole blocks.
    """

    def __init__(self, model: SequenceModel, pool: Executor | None = None, parts: int = 1) -> None:
        self.shape = model.shape
        w = {k: np.ascontiguousarray(v) for k, v in model.weights.items()}
        self._w = w
        self._pool, self._parts = pool, parts
        names = ("qkv", "out", "down", "project", "memory_kv")
        self._turned = {name: _turned(w[name]) for name in names if name in w}
        self._turned["both"] = _turned(np.concatenate([w["gate"], w["up"]], axis=1))
        self._head = _turned(w["head"][None])[0]
        self._sines = do.sine_table().astype(np.int16)
        self._silu = do.silu_table().astype(np.int32)
        self._none = np.zeros(3 * self.shape.width, np.int32)

    def _each(self, lanes: int, work: Callable[[int, int], None]) -> None:
        """Run ``work(lo, hi)`` over parts of the lanes."""
        parts = min(self._parts, max(1, lanes // _MIN_LANES)) if self._pool is not None else 1
        if parts == 1 or self._pool is None:
            work(0, lanes)
            return
        edges = [lanes * k // parts for k in range(parts + 1)]
        futures = [self._pool.submit(work, a, b) for a, b in pairwise(edges)]
        for future in futures:
            future.result()

    def begin(self, lanes: int, capacity: int) -> None:
        """Make caches for so many lanes and tokens."""
        s = self.shape
        size = (s.layers, lanes, s.heads, -(-capacity // WIDTH), s.head_dim, WIDTH)
        self._keys, self._values = np.zeros(size, np.int8), np.zeros(size, np.int8)
        none = (*size[:3], 0, *size[4:])
        self._far_keys, self._far_values = np.zeros(none, np.int8), np.zeros(none, np.int8)
        self._far = [0] * s.layers
        self._acts: list[list[Array]] = [[] for _ in range(s.layers)]
        self._count = lanes

    def embed(self, inputs: Array, kinds: Array, positions: Array) -> Array:
        """Residual stream (int32, shape (lanes * n, width))."""
        w = self._w
        out = np.empty((*inputs.shape, self.shape.width), np.int32)

        def work(lo: int, hi: int) -> None:
            kernels.embed(
                inputs, kinds, positions, w["embed"], w["embed_factor"], w["begin"],
                w["next_type"], int(w["next_factor"][0]), w["rates"],
                int(w["position_factor"][0]), self._sines, out, lo, hi,
            )  # fmt: skip

        self._each(len(inputs), work)
        return out.reshape(-1, self.shape.width)

    def attend(self, layer: int, x: Array, used: int, *, keep: bool) -> Array:
        """Attention over window and memory; changes ``x``."""
        w, lanes = self._w, self._count
        n = len(x) // lanes
        width = self.shape.width
        unit = int(w["unit"][2 * layer])
        first, last = self._turned["qkv"][layer], self._turned["out"][layer]
        a, y = np.empty((2, len(x), width), np.float32)
        sums, more = _room(len(x), first), _room(len(x), last)
        qkv = np.empty((len(x), 3 * width), np.int8)
        far = self._far[layer]
        names = ("memory_logit_factor", "memory_value_factor", "mix")
        far_logit, far_value, mix = (w[name][layer] if far else self._none for name in names)

        def work(lo: int, hi: int) -> None:
            rows = (lo * n, hi * n)
            kernels.normalise(x, unit, a, *rows)
            kernels.products(a, first, sums, *rows)
            kernels.scale(sums, w["qkv_factor"][layer], self._none, qkv, *rows)
            kernels.store(qkv, width, self._keys[layer], self._values[layer], n, used, lo, hi)
            kernels.attend(
                qkv, self._keys[layer], self._values[layer], used, w["logit_factor"][layer],
                w["value_factor"][layer], self._far_keys[layer], self._far_values[layer], far,
                far_logit, far_value, mix, n, y, lo, hi,
            )  # fmt: skip
            kernels.products(y, last, more, *rows)
            kernels.add(x, more, w["out_factor"][layer], *rows)

        self._each(lanes, work)
        if keep:
            self._acts[layer].append(a.astype(np.int8).reshape(lanes, n, -1))
        return x

    def feed(self, layer: int, x: Array) -> Array:
        """The gated feed-forward block; changes ``x``."""
        w = self._w
        n = len(x) // self._count
        unit = int(w["unit"][2 * layer + 1])
        first, last = self._turned["both"][layer], self._turned["down"][layer]
        a = np.empty(x.shape, np.float32)
        y = np.empty((len(x), self.shape.ff), np.float32)
        sums, more = _room(len(x), first), _room(len(x), last)

        def work(lo: int, hi: int) -> None:
            rows = (lo * n, hi * n)
            kernels.normalise(x, unit, a, *rows)
            kernels.products(a, first, sums, *rows)
            kernels.gate(
                sums, w["gate_factor"][layer], w["up_factor"][layer], w["act_factor"][layer],
                self._silu, y, *rows,
            )  # fmt: skip
            kernels.products(y, last, more, *rows)
            kernels.add(x, more, w["down_factor"][layer], *rows)

        self._each(self._count, work)
        return x

    def logits(self, x: Array, kinds: Array) -> Array:
        """Logits of the next bytes (int32, shape (lanes, n, 256))."""
        w = self._w
        n = len(kinds)
        a = np.empty(x.shape, np.float32)
        sums = _room(len(x), self._head)
        out = np.empty((len(x), 256), np.int32)

        def work(lo: int, hi: int) -> None:
            rows = (lo * n, hi * n)
            kernels.normalise(x, int(w["unit"][-1]), a, *rows)
            kernels.products(a, self._head, sums, *rows)
            kernels.logits(sums, w["head_factor"], w["head_bias"], kinds, out, *rows)

        self._each(self._count, work)
        return out.reshape(self._count, n, 256)

    def _summed(self, x: Array, weights: Array) -> Array:
        sums = _room(len(x), weights)
        kernels.products(x, weights, sums, 0, len(x))
        return sums

    def remember(self, layer: int, tokens: int) -> None:
        """Compress the inputs of the last chunk and add them to the memory."""
        w, s = self._w, self.shape
        acts = np.concatenate(self._acts[layer], axis=1)[:, -tokens:]
        self._acts[layer] = []
        acts = np.ascontiguousarray(acts)
        score = np.empty(acts.shape[:2], np.int64)

        def work(lo: int, hi: int) -> None:
            kernels.score(
                acts, w["depthwise"][layer], w["depthwise_factor"][layer],
                w["depthwise_bias"][layer], w["pointwise"][layer], score, lo, hi,
            )  # fmt: skip

        self._each(len(acts), work)
        count = -(-tokens // s.rate)
        kept = np.sort(np.argsort(-score, axis=1, kind="stable")[:, :count], axis=1)
        chosen = np.take_along_axis(acts, kept[:, :, None], axis=1).reshape(-1, s.width)
        sums = self._summed(chosen.astype(np.float32), self._turned["project"][layer])
        y = do.centred(sums[:, : s.width].astype(np.int64) + w["project_bias"][layer])
        y = do.clipped(y, do.RESIDUAL_LIMIT).astype(np.int32)
        m = np.empty(y.shape, np.float32)
        kernels.normalise(y, int(w["memory_unit"][layer]), m, 0, len(m))
        sums = self._summed(m, self._turned["memory_kv"][layer])
        kv = np.empty((len(m), 2 * s.width), np.int8)
        factor, bias = w["memory_kv_factor"][layer], w["memory_kv_bias"][layer]
        kernels.scale(sums, factor, bias, kv, 0, len(m))
        self._extend(layer, kv, count)

    def _extend(self, layer: int, kv: Array, count: int) -> None:
        """Add keys and values of ``count`` tokens to the memory, the oldest going first."""
        s = self.shape
        if not self._far_keys.shape[3]:
            size = (s.layers, self._count, s.heads, -(-s.capacity // WIDTH), s.head_dim, WIDTH)
            self._far_keys, self._far_values = np.zeros(size, np.int8), np.zeros(size, np.int8)
        if count > s.capacity:
            kv = kv.reshape(self._count, count, -1)[:, -s.capacity :].reshape(-1, kv.shape[1])
            count = s.capacity
        keys, values = self._far_keys[layer], self._far_values[layer]
        old = min(self._far[layer], s.capacity - count)
        gone = self._far[layer] - old
        if gone and old:
            kernels.move(keys, gone, old, 0, self._count)
            kernels.move(values, gone, old, 0, self._count)

        def work(lo: int, hi: int) -> None:
            kernels.store(kv, 0, keys, values, count, old, lo, hi)

        self._each(self._count, work)
        self._far[layer] = old + count

    def drop(self, used: int, keep: int) -> None:
        """Forget the oldest tokens of the caches."""
        for cache in (self._keys, self._values):
            for layer in cache if keep else ():
                kernels.move(layer, used - keep, keep, 0, self._count)
