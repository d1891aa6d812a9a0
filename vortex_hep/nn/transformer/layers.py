"""Layers of the transformer: embedding, positions, normalisation, feed-forward."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

#: Input token that stands before the first byte of a lane.
BEGIN = 256


class TDTEmbedding(nn.Module):
    """Type-decomposed token embedding: one table for each byte position of a type.

    Sign and exponent, high and low mantissa have nothing in common, and neither have two
    fields; each position of a record has a table of its own. A softmax-normalised scale weighs
    the tables. A second embedding tells the position that is to be predicted next.

    Parameters
    ----------
    d_model : int
    types : int
        Positions of a record; 4 for float32, 1 for one shared table.
    vocab_size : int
        Without the token that stands before the first byte.
    """

    def __init__(self, d_model: int, types: int = 4, vocab_size: int = 256) -> None:
        super().__init__()
        self.types = types
        self.vocab_size = vocab_size
        self.table = nn.Embedding(types * vocab_size, d_model)
        self.begin = nn.Parameter(torch.zeros(d_model))
        self.next_type = nn.Embedding(types, d_model)
        self.type_scale = nn.Parameter(torch.zeros(types))
        nn.init.normal_(self.table.weight, std=0.5 / math.sqrt(2))
        nn.init.normal_(self.next_type.weight, std=0.5)

    def scales(self) -> Tensor:
        """Return the factor of each table: a softmax, one on average."""
        return torch.softmax(self.type_scale, 0) * self.types

    def forward(self, inputs: Tensor, kinds: Tensor) -> Tensor:
        """Embed tokens.

        Parameters
        ----------
        inputs : int64 tensor, shape (B, T)
            The byte before each one that is to be predicted, or 256 where there is none.
        kinds : int64 tensor, shape (T,)
            Position in the record of each byte that is to be predicted.

        Returns
        -------
        tensor, shape (B, T, d_model)
        """
        before = (kinds - 1) % self.types
        begins = inputs >= self.vocab_size
        rows = before * self.vocab_size + inputs.clamp(max=self.vocab_size - 1)
        x: Tensor = self.table(rows) * self.scales()[before].unsqueeze(-1)
        x = torch.where(begins.unsqueeze(-1), self.begin.to(x.dtype), x)
        out: Tensor = x + self.next_type(kinds)
        return out


class PositionalEncoding(nn.Module):
    """Sinusoidal positions, computed where they are needed.

    Parameters
    ----------
    d_model : int
        Even.
    max_len : int
    """

    def __init__(self, d_model: int, max_len: int = 8192) -> None:
        super().__init__()
        self.max_len = max_len
        rates = torch.exp(torch.arange(0, d_model, 2) * (-math.log(10000.0) / d_model))
        self.register_buffer("rates", rates, persistent=False)

    rates: Tensor

    def forward(self, start: int, length: int) -> Tensor:
        """Encode positions ``start`` to ``start + length``: a tensor, shape (length, d_model)."""
        at = torch.arange(start, start + length, device=self.rates.device).unsqueeze(1)
        phase = (at % self.max_len) * self.rates
        return torch.stack([phase.sin(), phase.cos()], dim=-1).flatten(1)


class RMSNorm(nn.Module):
    """Root-mean-square normalisation, without centring.

    Parameters
    ----------
    d_model : int
    eps : float
    """

    def __init__(self, d_model: int, eps: float = 1e-6) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(d_model))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        """Normalise the last axis."""
        wide = x.float()
        scale = torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + self.eps)
        return (wide * scale).to(x.dtype) * self.weight.to(x.dtype)


class SwiGLU(nn.Module):
    """Gated feed-forward block: ``down(silu(gate(x)) * up(x))``, without bias.

    Parameters
    ----------
    d_model, d_ff : int
    """

    def __init__(self, d_model: int, d_ff: int) -> None:
        super().__init__()
        self.gate = nn.Linear(d_model, d_ff, bias=False)
        self.up = nn.Linear(d_model, d_ff, bias=False)
        self.down = nn.Linear(d_ff, d_model, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map (..., d_model) to the same shape."""
        return self.down(functional.silu(self.gate(x)) * self.up(x))  # type: ignore[no-any-return]


class GELUBlock(nn.Module):
    """Plain feed-forward block with as many weights as :class:`SwiGLU` of the same ``d_ff``.

    Parameters
    ----------
    d_model, d_ff : int
    """

    def __init__(self, d_model: int, d_ff: int) -> None:
        super().__init__()
        inner = d_ff + d_ff // 2
        self.up = nn.Linear(d_model, inner, bias=False)
        self.down = nn.Linear(inner, d_model, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map (..., d_model) to the same shape."""
        return self.down(functional.gelu(self.up(x)))  # type: ignore[no-any-return]


def make_norm(kind: str, d_model: int) -> nn.Module:
    """Return the normalisation of a name: "rms" or "layer"."""
    return RMSNorm(d_model) if kind == "rms" else nn.LayerNorm(d_model)


def make_feed_forward(kind: str, d_model: int, d_ff: int) -> nn.Module:
    """Return the feed-forward block of a name: "swiglu" or "gelu"."""
    return SwiGLU(d_model, d_ff) if kind == "swiglu" else GELUBlock(d_model, d_ff)
