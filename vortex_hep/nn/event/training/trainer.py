"""Gradient descent on the event model of one table, with quantisation in the loop."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from vortex_hep.errors import UnsupportedFeatureError
from vortex_hep.nn.event.model import SCALES, WIDE, Shape
from vortex_hep.nn.event.training.torch_loss import TensorRows, batch_bits, straight_round
from vortex_hep.nn.event.training.train_kernel import (
    Rows,
    Scratch,
    Weights,
    fused_step,
    scratch,
    training_step,
)
from vortex_hep.nn.schedule import Pace

Array = npt.NDArray[Any]

#: A batch is always cut into this many parts, whose gradients are added in order, so that a
#: seed gives the same weights whatever the number of threads.
SHARDS = 2
#: Rows whose bits are computed at once when torch operations do it.
_EVALUATED = 1 << 12


@dataclass(frozen=True)
class Schedule:
    """How long and how fast to train.

    Parameters
    ----------
    steps : int
        Optimiser steps.
    batch : int
        Rows per step.
    rate : float
        Peak learning rate (Adam); a short warm-up, then a cosine to 1 % of it.
    shrink : float
        Soft threshold per unit of learning rate on all multiplied weights: what the data do
        not hold up goes to zero, which costs next to nothing in a stored model.
    seed : int
    """

    steps: int
    batch: int = 512
    rate: float = 4e-3
    shrink: float = 0.0
    seed: int = 0


def initial_weights(shape: Shape, seed: int) -> dict[str, torch.Tensor]:
    """Random weights in real units; embeddings start small so that unused rows stay zero."""
    generator = torch.Generator().manual_seed(seed)
    spread = {
        "embed": 0.2, "previous": 0.05, "link": 0.05, "lane": 0.05, "position": 0.3, "gate": 0.0,
        "trunk": 1 / math.sqrt(shape.hidden), "bias": 0.0, "nibble": 0.2, "match_previous": 0.1,
        "match_link": 0.1, "head": 0.1, "head_bias": 0.0,
    }  # fmt: skip
    return {
        name: torch.randn(size, generator=generator) * spread[name]
        for name, size in shape.weight_shapes().items()
    }


class TableTrainer:
    """Trains one table's network: by the fused kernel on a CPU, by autograd elsewhere.

    Parameters
    ----------
    shape : Shape
    rows : Rows
        Training rows.
    field_start, flat_bits : int64 arrays
        As :class:`vortex_hep.nn.event.model.EventModel` has them.
    schedule : Schedule
    threads : int
        Workers; the result does not depend on it.
    lines : int64 array, optional
        Row numbers to learn from; all rows if absent.
    device : str
        "cpu" for the fused kernel; "cuda" (or another device as torch names it) for autograd
        there, which does not repeat itself bit for bit; "cpu-autograd" for autograd on the CPU.

    start : mapping of str to (float32 array, bool array), optional
        Weights to start from, in real units, and which of them are known.

    Raises
    ------
    UnsupportedFeatureError
        If a CUDA device is asked for and torch sees none.
    """

    def __init__(
        self,
        shape: Shape,
        rows: Rows,
        field_start: Array,
        flat_bits: Array,
        schedule: Schedule,
        *,
        threads: int = SHARDS,
        lines: Array | None = None,
        device: str = "cpu",
        start: Mapping[str, tuple[Array, Array]] | None = None,
    ) -> None:
        if device.startswith("cuda") and not torch.cuda.is_available():
            raise UnsupportedFeatureError(
                "torch sees no CUDA device", hint="train with device 'cpu'"
            )
        self.shape = shape
        self.rows = rows
        self.field_start = field_start
        self.flat_bits = flat_bits
        self.schedule = schedule
        warmup = min(50, schedule.steps // 10)
        self._pace = Pace(schedule.steps, schedule.rate, warmup, floor=0.01)
        self._place = device.removesuffix("-autograd")
        self._tensors = TensorRows(rows, self._place) if device != "cpu" else None
        first = initial_weights(shape, schedule.seed)
        for name, (weights, known) in (start or {}).items():
            first[name][torch.from_numpy(known)] = torch.from_numpy(weights[known])
        self.parameters = {k: v.to(self._place) for k, v in first.items()}
        self._optimiser = torch.optim.Adam(
            list(self.parameters.values()), lr=schedule.rate, betas=(0.9, 0.99), fused=True
        )
        self._random = np.random.default_rng(schedule.seed)
        self._order = np.zeros(0, np.int64)
        self._lines = np.arange(len(rows.lane)) if lines is None else lines
        self._pool = ThreadPoolExecutor(max(1, min(threads, SHARDS)))
        self._grads = [
            Weights(**{k: np.zeros(v.shape, np.float32) for k, v in self.parameters.items()})
            for _ in range(SHARDS if device == "cpu" else 0)
        ]
        self._rooms: list[Scratch] = []  # one per part of a batch

    def quantised(self) -> dict[str, Array]:
        """Return the integer weights (as float32) that the parameters stand for."""
        return {
            name: torch.round(p * float(1 << SCALES[name])).cpu().numpy()
            for name, p in self.parameters.items()
        }

    def integer_weights(self) -> dict[str, Array]:
        """Return the weights as a model stores them (int32)."""
        return {k: v.astype(np.int32) for k, v in self.quantised().items()}

    def _run(self, parts: list[Array], train: bool) -> Array:
        weights = Weights(**self.quantised())
        step = training_step(self.rows, weights, self.field_start, self.flat_bits)
        while len(self._rooms) < len(parts):
            self._rooms.append(scratch(step))
        bits = [np.zeros(len(self.flat_bits)) for _ in parts]

        def work(k: int) -> None:
            grads = self._grads[k]
            if train:
                for g in grads:
                    g.fill(0)
            fused_step(step, self._rooms[k], np.ascontiguousarray(parts[k]), grads, bits[k], train)

        list(self._pool.map(work, range(len(parts))))
        total: Array = np.sum(bits, axis=0)
        return total

    def evaluate(self, lines: Array) -> Array:
        """Return the information content (bits, float64, shape (tokens,)) of some rows."""
        if self._tensors is None:
            return self._run(np.array_split(lines, SHARDS), False)
        with torch.no_grad():
            parts = np.array_split(lines, max(1, len(lines) // _EVALUATED))
            total: Array = np.sum([self._bits(p).cpu().numpy() for p in parts], axis=0)
            return total

    def _bits(self, lines: Array) -> torch.Tensor:
        """Bits per token of some rows, by torch operations on the rounded parameters."""
        if self._tensors is None:
            raise UnsupportedFeatureError("this trainer runs the fused kernel, not torch")
        weights = {k: straight_round(p * float(1 << SCALES[k])) for k, p in self.parameters.items()}
        batch = torch.from_numpy(lines).to(self._place)
        return batch_bits(weights, self._tensors, batch, self.field_start, self.flat_bits)

    def _differentiate(self, batch: Array) -> float:
        """Set the parameters' gradients of bits per row; return the bits of the batch."""
        if self._tensors is None:
            bits = self._run(np.array_split(batch, SHARDS), True)
            for name, p in self.parameters.items():
                grad = torch.from_numpy(getattr(self._grads[0], name))
                for other in self._grads[1:]:
                    grad += torch.from_numpy(getattr(other, name))
                p.grad = grad * (float(1 << SCALES[name]) / len(batch))
            return float(bits.sum())
        for p in self.parameters.values():
            p.requires_grad_(True)
            p.grad = None
        total = self._bits(batch).sum()
        (total / len(batch)).backward()  # type: ignore[no-untyped-call]
        for p in self.parameters.values():
            p.requires_grad_(False)
            if p.grad is None:
                p.grad = torch.zeros_like(p)
        return float(total.detach())

    def _next_batch(self) -> Array:
        size = min(self.schedule.batch, len(self._lines))
        if len(self._order) < size:
            self._order = np.concatenate([self._order, self._random.permutation(self._lines)])
        batch, self._order = self._order[:size], self._order[size:]
        return batch

    def advance(self, steps: int, report: Callable[[int, float], None] | None = None) -> None:
        """Take up to ``steps`` steps; ``report(rows, bits)`` is called after each."""
        self._pace.take(self._take_step, steps, report and (lambda taken: report(*taken)))

    def _take_step(self, rate: float) -> tuple[int, float]:
        """Take one step; return its rows and their bits."""
        batch = self._next_batch()
        bits = self._differentiate(batch)
        for group in self._optimiser.param_groups:
            group["lr"] = rate
        self._optimiser.step()
        self._project(rate)
        return len(batch), bits

    @torch.no_grad()
    def _project(self, rate: float) -> None:
        """Keep weights in the range of their integers, and shrink those that do not pay."""
        for name, p in self.parameters.items():
            if name in WIDE:
                continue
            if self.schedule.shrink:
                p.copy_(torch.nn.functional.softshrink(p, rate * self.schedule.shrink))
            limit = 127 / (1 << SCALES[name])
            p.clamp_(-limit, limit)
