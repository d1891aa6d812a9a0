"""The definition of the transformer in integers: every operation in NumPy on 64-bit integers."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from vortex_hep.nn.sequence import arithmetic as do
from vortex_hep.nn.sequence.model import SequenceModel
from vortex_hep.nn.sequence.session import BEGIN

Array = npt.NDArray[Any]


class Reference:
    """The operations of :class:`~vortex_hep.nn.sequence.session.Operations`, defined.

    Parameters
    ----------
    model : SequenceModel
    """

    def __init__(self, model: SequenceModel) -> None:
        self.shape = model.shape
        self.w = {name: w.astype(np.int64) for name, w in model.weights.items()}

    def begin(self, lanes: int, capacity: int) -> None:
        """Start with empty caches and memory."""
        s = self.shape
        empty = np.zeros((lanes, 0, s.heads, s.head_dim), np.int64)
        self._keys = [empty] * s.layers
        self._values = [empty] * s.layers
        self._memory: list[tuple[Array, Array] | None] = [None] * s.layers
        self._acts = [np.zeros((lanes, 0, s.width), np.int64)] * s.layers

    def embed(self, inputs: Array, kinds: Array, positions: Array) -> Array:
        """Sum of the byte before, the type to predict and the position, each in its scale."""
        w, s = self.w, self.shape
        before = (kinds - 1) % s.types
        tokens = w["embed"][before, np.minimum(inputs, 255)] * w["embed_factor"][before][:, None]
        begins = (w["begin"] << do.EMBED_SHIFT)[None, None]
        x = np.where((inputs == BEGIN)[:, :, None], begins, tokens)
        x = x + w["next_type"][kinds] * w["next_factor"][0]
        phase = (positions[:, None].astype(np.int64) * w["rates"]) % (1 << 32) >> 22
        table = do.sine_table()
        wave = np.stack([table[phase], table[(phase + 256) % do.SINES]], axis=2)
        x = x + wave.reshape(len(positions), s.width) * w["position_factor"][0]
        return do.clipped((x + (1 << (do.EMBED_SHIFT - 1))) >> do.EMBED_SHIFT, do.RESIDUAL_LIMIT)

    def _linear(self, name: str, layer: int, x: Array, limit: int = do.LIMIT) -> Array:
        y = do.scaled(x @ self.w[name][layer].T, self.w[f"{name}_factor"][layer])
        return do.clipped(y, limit)

    def _add(self, name: str, layer: int, x: Array, y: Array) -> Array:
        more = do.scaled(y @ self.w[name][layer].T, self.w[f"{name}_factor"][layer])
        return do.clipped(x + more, do.RESIDUAL_LIMIT)

    def attend(self, layer: int, x: Array, used: int, *, keep: bool) -> Array:
        """Attention over the tokens in the cache and these, and over the memory."""
        s, w = self.shape, self.w
        a = do.normalised(x, int(w["unit"][2 * layer]))
        if keep:
            self._acts[layer] = np.concatenate([self._acts[layer], a], axis=1)
        lanes, n = a.shape[:2]
        parts = self._linear("qkv", layer, a).reshape(lanes, n, 3, s.heads, s.head_dim)
        q = parts[:, :, 0]
        self._keys[layer] = np.concatenate([self._keys[layer], parts[:, :, 1]], axis=1)
        self._values[layer] = np.concatenate([self._values[layer], parts[:, :, 2]], axis=1)
        seen = np.tri(n, used + n, used, dtype=np.bool_)
        memory = self._memory[layer]
        out = np.empty((lanes, n, s.heads, s.head_dim), np.int64)
        for lane in range(lanes):
            for h in range(s.heads):
                mine = q[lane, :, h]
                near = self._attention(
                    mine, self._keys[layer][lane, :, h], self._values[layer][lane, :, h], seen,
                    w["logit_factor"][layer, h], w["value_factor"][layer, h],
                )  # fmt: skip
                far = None
                if memory is not None:
                    far = self._attention(
                        mine, memory[0][lane, :, h], memory[1][lane, :, h], None,
                        w["memory_logit_factor"][layer, h], w["memory_value_factor"][layer, h],
                    )  # fmt: skip
                gate = np.int64(0) if memory is None else w["mix"][layer, h]
                out[lane, :, h] = do.mixed(near, far, gate)
        return self._add("out", layer, x, out.reshape(lanes, n, s.width))

    @staticmethod
    def _attention(
        q: Array, keys: Array, values: Array, seen: Array | None, logit: Array, value: Array
    ) -> Array:
        return do.attention(do.scaled(q @ keys.T, logit), values, seen, int(value))

    def feed(self, layer: int, x: Array) -> Array:
        """The gated feed-forward block."""
        w = self.w
        a = do.normalised(x, int(w["unit"][2 * layer + 1]))
        gate = self._linear("gate", layer, a, do.GATE_LIMIT)
        up = self._linear("up", layer, a, do.UP_LIMIT)
        product = do.silu_table()[gate + do.GATE_LIMIT] * up
        h = do.clipped(do.scaled(product, w["act_factor"][layer]))
        return self._add("down", layer, x, h)

    def logits(self, x: Array, kinds: Array) -> Array:
        """Logits of the next bytes, 1/1024 bits."""
        w = self.w
        a = do.normalised(x, int(w["unit"][-1]))
        y = do.scaled(a @ w["head"].T, w["head_factor"]) + w["head_bias"][kinds]
        return do.clipped(y, do.LOGIT_LIMIT).astype(np.int32)

    def remember(self, layer: int, tokens: int) -> None:
        """Keep the tokens with the highest scores, earlier ones first among equals."""
        w, s = self.w, self.shape
        acts = self._acts[layer][:, -tokens:]
        self._acts[layer] = acts[:, :0]
        count = -(-tokens // s.rate)
        padded = np.pad(acts, ((0, 0), (1, 1), (0, 0)))
        taps = w["depthwise"][layer]
        sums = sum(padded[:, i : i + tokens] * taps[i] for i in range(3))
        hidden = np.maximum(sums + w["depthwise_bias"][layer], 0)
        hidden = np.minimum(do.scaled(hidden, w["depthwise_factor"][layer]), do.LIMIT)
        score = hidden @ w["pointwise"][layer]
        kept = np.sort(np.argsort(-score, axis=1, kind="stable")[:, :count], axis=1)
        chosen = np.take_along_axis(acts, kept[:, :, None], axis=1)
        y = do.centred(chosen @ w["project"][layer].T + w["project_bias"][layer])
        m = do.normalised(do.clipped(y, do.RESIDUAL_LIMIT), int(w["memory_unit"][layer]))
        kv = do.clipped(
            do.scaled(
                m @ w["memory_kv"][layer].T, w["memory_kv_factor"][layer],
                w["memory_kv_bias"][layer],
            )
        )  # fmt: skip
        parts = kv.reshape(len(acts), count, 2, s.heads, s.head_dim)
        new = (parts[:, :, 0], parts[:, :, 1])
        old = self._memory[layer]
        both = new if old is None else tuple(
            np.concatenate([a, b], axis=1) for a, b in zip(old, new, strict=True)
        )  # fmt: skip
        self._memory[layer] = (both[0][:, -s.capacity :], both[1][:, -s.capacity :])

    def drop(self, used: int, keep: int) -> None:
        """Forget the oldest tokens of the caches."""
        for cache in (self._keys, self._values):
            for layer, x in enumerate(cache):
                cache[layer] = x[:, used - keep :]
