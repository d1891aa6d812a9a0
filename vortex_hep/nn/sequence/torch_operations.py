"""The torch engine of transformers, on the CPU or a GPU.

Products run in float64, which holds every sum exactly and which no setting of the process (TF32,
reduced precision) touches; all else is int64. On GPUs with few float64 units, products of at
most 1024 terms run in float32, with TF32 switched off for their time.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from vortex_hep.nn.sequence import arithmetic as do
from vortex_hep.nn.sequence.model import SequenceModel
from vortex_hep.nn.sequence.session import BEGIN

Array = npt.NDArray[Any]


def exp2_weight(distance: Tensor) -> Tensor:
    """Return :func:`vortex_hep.nn.arithmetic.exp2_weight` of an int64 tensor."""
    r = distance & 1023
    weight = 32768 - (((22007 - ((5623 * r) >> 10)) * r) >> 10)
    return weight >> (distance >> 10).clamp(max=31)


@contextlib.contextmanager
def _exact_float32() -> Iterator[None]:
    """Keep products of float32 from being rounded to TF32 or bfloat16."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


def _scaled(sums: Tensor, factor: Tensor, bias: Tensor | int = 0) -> Tensor:
    return (sums * factor + bias + (1 << (do.SHIFT - 1))) >> do.SHIFT


def _clipped(x: Tensor, limit: int = do.LIMIT) -> Tensor:
    return x.clamp(-limit, limit)


class TorchWeights:
    """The integers of a model on a device; several passes may share them.

    Parameters
    ----------
    model : SequenceModel
    device : str
    """

    def __init__(self, model: SequenceModel, device: str) -> None:
        self.shape = model.shape
        self.device = torch.device(device)
        self.integers = {name: self.tensor(w) for name, w in model.weights.items()}
        #: Turned for products: float32 where that is exact, else float64.
        self.turned = {
            name: _turned(w)
            for name, w in self.integers.items()
            if name in ("qkv", "out", "gate", "up", "down", "head", "project", "memory_kv")
        }
        self.sines = self.tensor(do.sine_table())
        self.silu = self.tensor(do.silu_table())

    def tensor(self, values: Array) -> Tensor:
        """Return integers as an int64 tensor on the device."""
        return torch.from_numpy(np.array(values, np.int64)).to(self.device)


def _turned(w: Tensor) -> Tensor:
    exact = torch.float32 if w.shape[-1] <= do.EXACT_TERMS else torch.float64
    return w.to(exact).mT.contiguous()


class TorchOperations:
    """The operations of :class:`~vortex_hep.nn.sequence.session.Operations` on tensors.

    Parameters
    ----------
    weights : TorchWeights
    """

    def __init__(self, weights: TorchWeights) -> None:
        self.shape = weights.shape
        self.w = weights.integers
        self._weights = weights
        self._device = weights.device
        self._tensor = weights.tensor

    def _product(self, x: Tensor, name: str, layer: int | None = None) -> Tensor:
        """Exact sums of products of activations (..., terms) with weights."""
        whole = self._weights.turned[name]
        w = whole if layer is None else whole[layer]
        with _exact_float32():
            return (x.to(w.dtype) @ w).long()

    def begin(self, lanes: int, capacity: int) -> None:
        """Make caches for so many lanes and tokens."""
        s = self.shape
        size = (s.layers, lanes, s.heads, capacity, s.head_dim)
        self._keys = torch.zeros(size, dtype=torch.int8, device=self._device)
        self._values = torch.zeros(size, dtype=torch.int8, device=self._device)
        self._memory: list[tuple[Tensor, Tensor] | None] = [None] * s.layers
        self._acts: list[list[Tensor]] = [[] for _ in range(s.layers)]

    def embed(self, inputs: Array, kinds: Array, positions: Array) -> Tensor:
        """Residual stream (int64, shape (lanes, n, width))."""
        w, s = self.w, self.shape
        tokens, kind = self._tensor(inputs), self._tensor(kinds)
        before = (kind - 1) % s.types
        x = w["embed"][before, tokens.clamp(max=255)] * w["embed_factor"][before][:, None]
        begins = (w["begin"] << do.EMBED_SHIFT)[None, None]
        x = torch.where((tokens == BEGIN)[:, :, None], begins, x)
        x = x + w["next_type"][kind] * w["next_factor"][0]
        phase = (self._tensor(positions)[:, None] * w["rates"]) % (1 << 32) >> 22
        wave = torch.stack(
            [self._weights.sines[phase], self._weights.sines[(phase + 256) % do.SINES]], dim=2
        )
        x = x + wave.flatten(1) * w["position_factor"][0]
        return _clipped((x + (1 << (do.EMBED_SHIFT - 1))) >> do.EMBED_SHIFT, do.RESIDUAL_LIMIT)

    @staticmethod
    def _root(n: Tensor) -> Tensor:
        r = n.double().sqrt().long()
        r = r - (r * r > n).long()
        return r + ((r + 1) * (r + 1) <= n).long()

    def _normalised(self, x: Tensor, unit: Tensor) -> Tensor:
        mean = (x * x).sum(-1, keepdim=True) // self.shape.width
        factor = (unit << do.NORM_SHIFT) // self._root(mean).clamp(min=1)
        return _clipped((x * factor + (1 << (do.NORM_SHIFT - 1))) >> do.NORM_SHIFT)

    def _linear(self, name: str, layer: int, x: Tensor, limit: int = do.LIMIT) -> Tensor:
        sums = self._product(x, name, layer)
        return _clipped(_scaled(sums, self.w[f"{name}_factor"][layer]), limit)

    def _add(self, name: str, layer: int, x: Tensor, y: Tensor) -> Tensor:
        more = _scaled(self._product(y, name, layer), self.w[f"{name}_factor"][layer])
        return _clipped(x + more, do.RESIDUAL_LIMIT)

    def _split(self, x: Tensor, parts: int) -> tuple[Tensor, ...]:
        """(lanes, n, parts * width) to parts of (lanes, heads, n, head_dim)."""
        s = self.shape
        lanes, n = x.shape[:2]
        return x.reshape(lanes, n, parts, s.heads, s.head_dim).permute(2, 0, 3, 1, 4).unbind(0)

    def _attention(
        self, q: Tensor, keys: Tensor, values: Tensor, logit: Tensor, value: Tensor, hidden: Any
    ) -> Tensor:
        sums = (q.double() @ keys.double().mT).long()
        logits = _scaled(sums, logit.view(1, -1, 1, 1))
        if hidden is not None:
            logits = logits.masked_fill(hidden, -(1 << 62))
        distance = logits.amax(-1, keepdim=True) - logits
        weight = exp2_weight(distance.clamp(max=1 << 25)) >> do.WEIGHT_SHIFT
        quotient = (value.view(1, -1, 1, 1) << do.QUOTIENT_SHIFT) // weight.sum(-1, keepdim=True)
        mean = (weight.double() @ values.double()).long() * quotient
        return (mean + (1 << (do.ATTENTION_SHIFT - 1))) >> do.ATTENTION_SHIFT

    def attend(self, layer: int, x: Tensor, used: int, *, keep: bool) -> Tensor:
        """Attention over window and memory."""
        w = self.w
        a = self._normalised(x, w["unit"][2 * layer])
        if keep:
            self._acts[layer].append(a)
        n = a.shape[1]
        q, k, v = self._split(self._linear("qkv", layer, a), 3)
        self._keys[layer, :, :, used : used + n] = k
        self._values[layer, :, :, used : used + n] = v
        hidden = None
        if n > 1:
            ones = torch.ones(n, used + n, dtype=torch.bool, device=self._device)
            hidden = ones.triu(used + 1)
        near = self._attention(
            q, self._keys[layer, :, :, : used + n], self._values[layer, :, :, : used + n],
            w["logit_factor"][layer], w["value_factor"][layer], hidden,
        )  # fmt: skip
        memory = self._memory[layer]
        if memory is None:
            out = _clipped((near + 8) >> 4)
        else:
            far = self._attention(
                q, *memory, w["memory_logit_factor"][layer], w["memory_value_factor"][layer], None
            )
            mix = w["mix"][layer].view(1, -1, 1, 1)
            both = mix * far + (256 - mix) * near
            out = _clipped((both + (1 << (do.MIX_SHIFT - 1))) >> do.MIX_SHIFT)
        return self._add("out", layer, x, out.transpose(1, 2).flatten(2))

    def feed(self, layer: int, x: Tensor) -> Tensor:
        """The gated feed-forward block."""
        a = self._normalised(x, self.w["unit"][2 * layer + 1])
        gate = self._linear("gate", layer, a, do.GATE_LIMIT)
        up = self._linear("up", layer, a, do.UP_LIMIT)
        product = self._weights.silu[gate + do.GATE_LIMIT] * up
        return self._add("down", layer, x, _clipped(_scaled(product, self.w["act_factor"][layer])))

    def logits(self, x: Tensor, kinds: Array) -> Array:
        """Logits of the next bytes, on the host (int32, shape (lanes, n, 256))."""
        a = self._normalised(x, self.w["unit"][-1])
        y = _scaled(self._product(a, "head"), self.w["head_factor"])
        y = _clipped(y + self.w["head_bias"][self._tensor(kinds)], do.LOGIT_LIMIT)
        out: Array = y.to(torch.int32).cpu().numpy()
        return out

    def remember(self, layer: int, tokens: int) -> None:
        """Compress the inputs of the last chunk and add them to the memory."""
        w, s = self.w, self.shape
        acts = torch.cat(self._acts[layer], dim=1)[:, -tokens:]
        self._acts[layer] = []
        count = -(-tokens // s.rate)
        padded = torch.nn.functional.pad(acts, (0, 0, 1, 1))
        taps = w["depthwise"][layer]
        sums = w["depthwise_bias"][layer] + torch.stack(
            [padded[:, i : i + tokens] * taps[i] for i in range(3)]
        ).sum(0)
        hidden = _scaled(sums.clamp(min=0), w["depthwise_factor"][layer]).clamp(max=do.LIMIT)
        score = (hidden * w["pointwise"][layer]).sum(-1)
        order = torch.sort(score, dim=1, descending=True, stable=True).indices
        kept = order[:, :count].sort(dim=1).values
        chosen = acts.gather(1, kept[:, :, None].expand(-1, -1, s.width))
        y = self._product(chosen, "project", layer) + w["project_bias"][layer]
        y = _clipped(y - y.sum(-1, keepdim=True) // s.width, do.RESIDUAL_LIMIT)
        m = self._normalised(y, w["memory_unit"][layer])
        kv = _scaled(
            self._product(m, "memory_kv", layer), w["memory_kv_factor"][layer],
            w["memory_kv_bias"][layer],
        )  # fmt: skip
        new = self._split(_clipped(kv), 2)
        old = self._memory[layer]
        both = new if old is None else tuple(
            torch.cat([a, b], dim=2) for a, b in zip(old, new, strict=True)
        )  # fmt: skip
        self._memory[layer] = (both[0][:, :, -s.capacity :], both[1][:, :, -s.capacity :])

    def drop(self, used: int, keep: int) -> None:
        """Forget the oldest tokens of the caches."""
        if keep:
            for cache in (self._keys, self._values):
                cache[:, :, :, :keep] = cache[:, :, :, used - keep : used].clone()
