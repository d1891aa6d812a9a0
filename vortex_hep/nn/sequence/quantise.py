"""Quantisation of a trained transformer: from floating point to integers.

Weights and activations get eight bits, each with a scale that is chosen so that the squared error
on calibration data is least. Gains of normalisations and scales of activations are multiplied
into the weights that follow, so that the integers need no more than one factor per sum.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from vortex_hep.codec.tokens.records import RecordLayout
from vortex_hep.errors import UnsupportedFeatureError
from vortex_hep.nn.sequence import arithmetic as do
from vortex_hep.nn.sequence.model import MAX_HEAD_DIM, SequenceModel, SequenceShape
from vortex_hep.nn.transformer import CATWrapper, OptimisedCompressiveTransformer, shifted
from vortex_hep.nn.transformer.memory import LearnableTokenEviction

Array = npt.NDArray[Any]

#: Clipping points to try, as parts of the largest value.
_CLIPS = (1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3)
_ONE = float(1 << do.SHIFT)
_MAX_FACTOR = (1 << 31) - 1
_MAX_BIAS = 1 << 24
_TINY = 1e-12
#: Tokens of each batch of calibration data whose activations are kept.
_KEPT = 1 << 10


def step_of(values: Array, levels: int = do.LIMIT) -> Array:
    """Return the step per row with which rounding and clipping err least.

    Parameters
    ----------
    values : float array, shape (groups, samples)
    levels : int
        Largest integer.

    Returns
    -------
    float64 array, shape (groups,)
    """
    top = np.maximum(np.abs(values).max(axis=1), _TINY)
    best: Array = top / levels
    least: Array = np.full(len(top), np.inf)
    for clip in _CLIPS:
        step = clip * top / levels
        rounded = np.clip(np.rint(values / step[:, None]), -levels, levels) * step[:, None]
        error = np.square(rounded - values).sum(axis=1)
        better = error < least
        best, least = np.where(better, step, best), np.where(better, error, least)
    return best


def _integers(weights: Array, step: Array) -> Array:
    """Weights (rows, ...) in units of a step per row (int8)."""
    wide = step.reshape(-1, *(1,) * (weights.ndim - 1))
    integers: Array = np.clip(np.rint(weights / wide), -do.LIMIT, do.LIMIT).astype(np.int8)
    return integers


def _rows(weights: Array) -> tuple[Array, Array]:
    """Integers (int8) and step per row (float64) of a weight matrix."""
    step = step_of(weights)
    return _integers(weights, step), step


def _factor(ratio: Array | float, one: float = _ONE, most: int = _MAX_FACTOR) -> Array:
    factor: Array = np.clip(np.rint(np.asarray(ratio) * one), 0, most).astype(np.int32)
    return factor


def _bias(values: Array, most: int = _MAX_BIAS) -> Array:
    clipped: Array = np.clip(np.rint(values), -most, most).astype(np.int32)
    return clipped


class _Watch:
    """What passes through modules during calibration."""

    def __init__(self) -> None:
        self.seen: dict[str, list[Array]] = defaultdict(list)
        self._hooks: list[Any] = []

    def add(self, module: nn.Module, name: str, view: Callable[[Tensor, Tensor], Tensor]) -> None:
        """Keep ``view(input, output)`` of a module: (..., channels)."""

        def hook(_: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
            x = view(inputs[0], output).detach().float()
            rows = x.reshape(-1, x.shape[-1])
            every = max(1, len(rows) // _KEPT)
            self.seen[name].append(rows[::every].cpu().numpy().astype(np.float64))

        self._hooks.append(module.register_forward_hook(hook))

    def values(self, name: str) -> Array:
        """All that was kept (tokens, channels)."""
        return np.concatenate(self.seen[name])

    def close(self) -> None:
        for hook in self._hooks:
            hook.remove()


def _unit_rms(x: Tensor, _: Tensor) -> Tensor:
    return x.float() * torch.rsqrt(x.float().pow(2).mean(-1, keepdim=True) + 1e-6)


def _centred_rms(x: Tensor, _: Tensor) -> Tensor:
    return _unit_rms(x - x.mean(-1, keepdim=True), x)


def _watched(model: OptimisedCompressiveTransformer, memory: bool) -> _Watch:
    watch = _Watch()
    watch.add(model.norm, "unit", _unit_rms)
    block: Any
    for k, block in enumerate(model.blocks):
        attention = block.attention
        watch.add(block.norm1, f"{k} unit1", _unit_rms)
        watch.add(block.norm2, f"{k} unit2", _unit_rms)
        watch.add(attention.qkv, f"{k} qkv", lambda _, y: y)
        watch.add(attention.out, f"{k} out", lambda x, _: x)
        watch.add(block.feed_forward.up, f"{k} up", lambda _, y: y)
        watch.add(block.feed_forward.down, f"{k} act", lambda x, _: x)
        if memory:
            compressor = attention.memory.compressor
            watch.add(attention.memory_kv, f"{k} memory_kv", lambda _, y: y)
            watch.add(compressor.norm, f"{k} memory_unit", _centred_rms)
            watch.add(compressor.depthwise, f"{k} depthwise", lambda _, y: y.transpose(1, 2).relu())
    return watch


def _numbers(x: Tensor) -> Array:
    numbers: Array = x.detach().double().cpu().numpy()
    return numbers


def _unit(values: Array) -> int:
    """Integer that stands for 1.0 in normalised activations."""
    step = float(step_of(values.reshape(1, -1))[0])
    return int(np.clip(math.floor(1 / step), 1, do.LIMIT))


def _per_head(values: Array, heads: int) -> Array:
    """Step per head of activations (tokens, heads * head_dim)."""
    tokens = len(values)
    grouped = values.reshape(tokens, heads, -1).transpose(1, 0, 2)
    return step_of(grouped.reshape(heads, -1))


def _check(model: nn.Module) -> OptimisedCompressiveTransformer:
    config = getattr(model, "config", None)
    if (
        not isinstance(model, OptimisedCompressiveTransformer)
        or config is None
        or config.norm != "rms"
        or config.feed_forward != "swiglu"
        or (config.memory and config.eviction != "lte")
        or config.vocab_size != 256
    ):
        raise UnsupportedFeatureError(
            "only an OptimisedCompressiveTransformer over bytes with RMSNorm, SwiGLU and learnable"
            " token eviction can be turned into integers",
            hint="the other variants are for comparison: train one with norm 'rms', feed_forward"
            " 'swiglu', eviction 'lte'",
        )
    if config.head_dim > MAX_HEAD_DIM:
        raise UnsupportedFeatureError(
            f"heads of {config.head_dim} dimensions; integers allow {MAX_HEAD_DIM}",
            hint="use more heads",
        )
    return model


def quantise(
    model: nn.Module,
    layout: RecordLayout,
    lanes: Array,
    *,
    table: str,
    chunk: int | None = None,
    use_memory: bool | None = None,
    batch: int = 32,
) -> SequenceModel:
    """Turn a trained transformer into integers.

    Parameters
    ----------
    model : OptimisedCompressiveTransformer
    layout : RecordLayout
        What its tokens are; as wide as the model has types.
    lanes : uint8 array, shape (lanes, tokens)
        Calibration data: lanes as they will be coded.
    table : str
        Name of the plan that it is for.
    chunk : int, optional
        Tokens of a chunk; by default the largest that the model was trained with.
    use_memory : bool, optional
        By default as the model was trained, if lanes are longer than a chunk.
    batch : int
        Lanes that are run at once.

    Returns
    -------
    SequenceModel
        Its ``expected`` is all zero.

    Raises
    ------
    UnsupportedFeatureError
        A variant that has no integer form.
    """
    model = _check(model)
    c = model.config
    chunk = max(c.chunk_sizes) if chunk is None else chunk
    memory = c.memory and (use_memory is not False) and lanes.shape[1] > chunk
    watch = _watched(model, memory)
    wrapper, training = CATWrapper(model), model.training
    wrapper.eval()
    device = model.head.weight.device
    with torch.no_grad():
        for first in range(0, len(lanes), batch):
            tokens = torch.from_numpy(np.array(lanes[first : first + batch])).to(device)
            wrapper(shifted(tokens), chunk_size=chunk)
    watch.close()
    model.train(training)
    shape = SequenceShape(
        c.d_model, c.n_layers, c.n_heads, c.d_ff, c.window, c.compression_rate, c.types, memory
    )
    weights = _ends(model, watch)
    layers = [_layer(block, k, c.n_heads, watch, memory) for k, block in enumerate(model.blocks)]
    units = np.concatenate([*(layer.pop("unit") for layer in layers), weights["unit"]])
    for name in layers[0]:
        weights[name] = np.stack([layer[name] for layer in layers])
    weights["unit"] = units
    arrays = {
        name: np.ascontiguousarray(weights[name].reshape(size), dtype)
        for name, (dtype, size) in shape.arrays().items()
    }
    expected = np.zeros((len(layout.columns), 2))
    return SequenceModel(table, layout, shape, chunk, int(lanes.shape[1]), memory, arrays, expected)


def _ends(model: Any, watch: _Watch) -> dict[str, Array]:
    """Embeddings, and what makes logits of the last activations."""
    e, c = model.embedding, model.config
    table = _numbers(e.table.weight).reshape(c.types, c.vocab_size, c.d_model)
    table = table * _numbers(e.scales())[:, None, None]
    embed_step = step_of(table.reshape(c.types, -1))
    next_type = _numbers(e.next_type.weight)
    next_step = step_of(next_type.reshape(1, -1))
    to_residual = float(do.ONE << do.EMBED_SHIFT)
    unit = _unit(watch.values("unit"))
    head, head_step = _rows(_numbers(model.head.weight) * _numbers(model.norm.weight))
    to_bits = 1024 / math.log(2)
    turns = _numbers(model.positions.rates) / (2 * math.pi)
    return {
        "embed": _integers(table, embed_step),
        "embed_factor": _factor(embed_step, to_residual),
        "begin": _bias(_numbers(e.begin) * do.ONE, do.RESIDUAL_LIMIT),
        "next_type": _integers(next_type.reshape(1, -1), next_step),
        "next_factor": _factor(next_step, to_residual),
        "rates": np.rint(turns * 2.0**32).astype(np.int64) % (1 << 32),
        "position_factor": _factor(1 / 127, to_residual),
        "unit": np.array([unit]),
        "head": head,
        "head_factor": _factor(head_step / unit * to_bits),
        "head_bias": _bias(_numbers(model.type_bias) * to_bits, do.LOGIT_LIMIT),
    }


def _layer(block: Any, k: int, heads: int, watch: _Watch, memory: bool) -> dict[str, Array]:
    """All integers of one layer."""
    attention = block.attention
    gain1 = _numbers(block.norm1.weight)
    gain2 = _numbers(block.norm2.weight)
    unit1, unit2 = _unit(watch.values(f"{k} unit1")), _unit(watch.values(f"{k} unit2"))
    width = len(gain1)
    dim = width // heads
    seen = watch.values(f"{k} qkv")
    q, key, value = (_per_head(part, heads) for part in np.split(seen, 3, axis=1))
    mixed = _per_head(watch.values(f"{k} out"), heads)
    qkv, qkv_step = _rows(_numbers(attention.qkv.weight) * gain1)
    out, out_step = _rows(_numbers(attention.out.weight) * np.repeat(mixed, dim))
    to_bits = 1024 / math.log(2) / math.sqrt(dim)
    arrays = {
        "unit": np.array([unit1, unit2]),
        "qkv": qkv,
        "qkv_factor": _factor(qkv_step / unit1 / np.repeat(np.concatenate([q, key, value]), dim)),
        "logit_factor": _factor(q * key * to_bits),
        "value_factor": _factor(16 * value / mixed, 256.0, _MAX_BIAS),
        "out": out,
        "out_factor": _factor(out_step * do.ONE),
        **_feed_forward(block.feed_forward, gain2, unit2, k, watch),
    }
    if memory:
        arrays |= _memory(attention, gain1, unit1, q, mixed, k, watch)
    return arrays


def _feed_forward(feed: Any, gain: Array, unit: int, k: int, watch: _Watch) -> dict[str, Array]:
    gate, gate_step = _rows(_numbers(feed.gate.weight) * gain)
    up, up_step = _rows(_numbers(feed.up.weight) * gain)
    up_unit = np.maximum(np.abs(watch.values(f"{k} up")).max(axis=0), _TINY) / do.UP_LIMIT
    act = step_of(watch.values(f"{k} act").T)
    act_factor = np.maximum(_factor(up_unit / do.SILU_ONE / act), 1)
    # The factor is a small integer; what it really stands for goes into the weights behind it.
    act = up_unit / do.SILU_ONE / (act_factor / _ONE)
    down, down_step = _rows(_numbers(feed.down.weight) * act)
    return {
        "gate": gate,
        "gate_factor": _factor(gate_step / unit * do.GATE_ONE),
        "up": up,
        "up_factor": _factor(up_step / unit / up_unit),
        "act_factor": act_factor,
        "down": down,
        "down_factor": _factor(down_step * do.ONE),
    }


def _memory(
    attention: Any, gain: Array, unit: int, q: Array, mixed: Array, k: int, watch: _Watch
) -> dict[str, Array]:
    heads = len(q)
    dim = len(gain) // heads
    lte: LearnableTokenEviction = attention.memory.compressor
    taps = _numbers(lte.depthwise.weight)[:, 0] * gain[:, None] / unit
    tap_step = step_of(taps)
    bias = lte.depthwise.bias
    hidden = step_of(watch.values(f"{k} depthwise").T)
    pointwise = (_numbers(lte.pointwise.weight).reshape(-1) * hidden).reshape(1, -1)
    project = _numbers(lte.project.weight)[:, :, 0] * gain / unit
    step = step_of(project.reshape(1, -1))
    memory_unit = _unit(watch.values(f"{k} memory_unit"))
    weights = _numbers(attention.memory_kv.weight)
    kv, kv_step = _rows(weights * _numbers(lte.norm.weight))
    far = [_per_head(part, heads) for part in np.split(watch.values(f"{k} memory_kv"), 2, axis=1)]
    units = np.repeat(np.concatenate(far), dim)
    to_bits = 1024 / math.log(2) / math.sqrt(dim)
    none = np.zeros(len(gain))
    return {
        "depthwise": _integers(taps, tap_step).T,
        "depthwise_factor": _factor(tap_step / hidden),
        "depthwise_bias": _bias((none if bias is None else _numbers(bias)) / tap_step),
        "pointwise": _integers(pointwise, step_of(pointwise))[0],
        "project": _integers(project.reshape(1, -1), step).reshape(project.shape),
        "project_bias": _bias(
            (none if lte.project.bias is None else _numbers(lte.project.bias)) / step
        ),
        "memory_unit": np.array(memory_unit),
        "memory_kv": kv,
        "memory_kv_factor": _factor(kv_step / memory_unit / units),
        "memory_kv_bias": _bias(weights @ _numbers(lte.norm.bias) / units * _ONE, _MAX_FACTOR),
        "memory_logit_factor": _factor(q * far[0] * to_bits),
        "memory_value_factor": _factor(16 * far[1] / mixed, 256.0, _MAX_BIAS),
        "mix": _bias(256 / (1 + np.exp(-_numbers(attention.infini_beta))), 256),
    }
