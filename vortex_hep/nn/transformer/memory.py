"""Compressed memory: a summary of the tokens before the window."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional


class LearnableTokenEviction(nn.Module):
    """Keep the tokens that matter, in their order.

    A depthwise and a pointwise convolution score every token; the ``ceil(T / rate)`` best stay.
    What passes on is exactly the kept tokens; the gradient reaches the scorer through a sigmoid
    gate (straight-through). A convolution of width one and LayerNorm make the memory.

    Parameters
    ----------
    d_model : int
    rate : int
        Tokens per kept token.
    """

    def __init__(self, d_model: int, rate: int = 4) -> None:
        super().__init__()
        self.rate = rate
        self.depthwise = nn.Conv1d(d_model, d_model, 3, padding=1, groups=d_model)
        self.pointwise = nn.Conv1d(d_model, 1, 1)
        self.project = nn.Conv1d(d_model, d_model, 1)
        self.norm = nn.LayerNorm(d_model)

    def scores(self, acts: Tensor) -> Tensor:
        """Return the importance of each token: shape (B, T)."""
        hidden = functional.relu(self.depthwise(acts.transpose(1, 2)))
        return self.pointwise(hidden).squeeze(1)  # type: ignore[no-any-return]

    def forward(self, acts: Tensor) -> Tensor:
        """Compress (B, T, d_model) to (B, ceil(T / rate), d_model)."""
        count = math.ceil(acts.shape[1] / self.rate)
        scores = self.scores(acts)
        # A stable sort, so that among equals the earlier token stays.
        order = torch.sort(scores, dim=1, descending=True, stable=True).indices
        kept = order[:, :count].sort(dim=1).values
        tokens = acts.gather(1, kept.unsqueeze(-1).expand(-1, -1, acts.shape[2]))
        gate = torch.sigmoid(scores.gather(1, kept)).unsqueeze(-1)
        tokens = tokens * (gate + (1 - gate).detach())
        return self.norm(self.project(tokens.transpose(1, 2)).transpose(1, 2))  # type: ignore[no-any-return]


class StridedCompression(nn.Module):
    """The classical alternative: one convolution with a stride, then LayerNorm.

    Parameters
    ----------
    d_model : int
    rate : int
    """

    def __init__(self, d_model: int, rate: int = 4) -> None:
        super().__init__()
        self.rate = rate
        self.project = nn.Conv1d(d_model, d_model, rate, stride=rate)
        self.norm = nn.LayerNorm(d_model)

    def forward(self, acts: Tensor) -> Tensor:
        """Compress (B, T, d_model) to (B, ceil(T / rate), d_model)."""
        short = -acts.shape[1] % self.rate
        padded = functional.pad(acts.transpose(1, 2), (0, short))
        return self.norm(self.project(padded).transpose(1, 2))  # type: ignore[no-any-return]


class MemoryManager(nn.Module):
    """Builds the compressed memory of a layer.

    Parameters
    ----------
    d_model : int
    rate : int
    capacity : int
        Tokens that the memory holds; the oldest go first.
    eviction : {"lte", "strided"}
    """

    def __init__(self, d_model: int, rate: int, capacity: int, eviction: str = "lte") -> None:
        super().__init__()
        self.capacity = capacity
        kind = LearnableTokenEviction if eviction == "lte" else StridedCompression
        self.compressor = kind(d_model, rate)

    def compress(self, acts: Tensor) -> Tensor:
        """Compress the activations of a chunk: (B, T, d_model) to (B, k, d_model)."""
        return self.compressor(acts)  # type: ignore[no-any-return]

    def extended(self, memory: Tensor | None, acts: Tensor) -> Tensor:
        """Return the memory with a chunk added, cut to its capacity."""
        new = self.compress(acts)
        both = new if memory is None else torch.cat([memory, new], dim=1)
        return both[:, -self.capacity :]
