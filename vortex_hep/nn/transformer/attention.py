"""Attention over the window and over compressed memory."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from vortex_hep.nn.transformer.config import TransformerConfig
from vortex_hep.nn.transformer.memory import MemoryManager


@dataclass(frozen=True)
class LayerState:
    """What a layer knows of the tokens before.

    Parameters
    ----------
    keys, values : tensor, shape (B, heads, S, head_dim), or None
        The KV cache: of this chunk, and what is carried over from the ones before.
    acts : tensor, shape (B, T, d_model), or None
        Normalised inputs of the layer, of this chunk so far; they become memory.
    memory : tensor, shape (B, M, d_model), or None
        Compressed memory of the chunks before.
    pending : tensor or None
        ``acts`` of the last chunk, not compressed yet: the chunk that first looks at them
        compresses them, so that gradients reach the compressor.
    """

    keys: Tensor | None = None
    values: Tensor | None = None
    acts: Tensor | None = None
    memory: Tensor | None = None
    pending: Tensor | None = None

    def next_chunk(self, carry: int) -> LayerState:
        """Return the state with which the next chunk begins, cut from the graph.

        Parameters
        ----------
        carry : int
            Tokens of the KV cache that stay.
        """

        def cut(x: Tensor | None) -> Tensor | None:
            return None if x is None or not carry else x.detach()[:, :, -carry:]

        return LayerState(
            cut(self.keys),
            cut(self.values),
            None,
            None if self.memory is None else self.memory.detach(),
            None if self.acts is None else self.acts.detach(),
        )


def _joined(before: Tensor | None, new: Tensor, dim: int) -> Tensor:
    return new if before is None else torch.cat([before, new], dim=dim)


class CompressiveAttention(nn.Module):
    """Causal attention over the window, mixed with attention over compressed memory.

    A gate per head, ``beta = sigmoid(infini_beta)``, mixes the two:
    ``beta * memory + (1 - beta) * local``.

    Parameters
    ----------
    config : TransformerConfig
    beta : float
        Start of ``infini_beta``.
    """

    def __init__(self, config: TransformerConfig, beta: float = 0.0) -> None:
        super().__init__()
        d = config.d_model
        self.heads, self.head_dim = config.n_heads, config.head_dim
        self.qkv = nn.Linear(d, 3 * d, bias=False)
        self.out = nn.Linear(d, d, bias=False)
        self.dropout = nn.Dropout(config.dropout)
        self.memory: MemoryManager | None = None
        if config.memory:
            self.memory = MemoryManager(
                d, config.compression_rate, config.memory_tokens, config.eviction
            )
            self.memory_kv = nn.Linear(d, 2 * d, bias=False)
            self.infini_beta = nn.Parameter(torch.full((config.n_heads,), float(beta)))

    def _split(self, x: Tensor) -> Tensor:
        """(B, T, d_model) to (B, heads, T, head_dim)."""
        return x.reshape(*x.shape[:2], self.heads, self.head_dim).transpose(1, 2)

    def _local(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Causal attention; the last query sees all keys."""
        new, all_keys = q.shape[2], k.shape[2]
        if new == all_keys:
            return functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        if new == 1:
            return functional.scaled_dot_product_attention(q, k, v)
        ones = torch.ones(new, all_keys, dtype=torch.bool, device=q.device)
        mask = ones.tril(all_keys - new)
        return functional.scaled_dot_product_attention(q, k, v, attn_mask=mask)

    def forward(self, x: Tensor, state: LayerState | None = None) -> tuple[Tensor, LayerState]:
        """Attend.

        Parameters
        ----------
        x : tensor, shape (B, T, d_model)
            Normalised inputs; the next tokens after those that ``state`` has seen.
        state : LayerState, optional

        Returns
        -------
        tensor, shape (B, T, d_model), and LayerState
        """
        state = state or LayerState()
        q, k, v = map(self._split, self.qkv(x).chunk(3, dim=-1))
        keys, values = _joined(state.keys, k, 2), _joined(state.values, v, 2)
        out = self._local(q, keys, values)
        memory = state.memory
        if self.memory is not None:
            if state.pending is not None:
                memory = self.memory.extended(memory, state.pending)
            if memory is not None:
                km, vm = map(self._split, self.memory_kv(memory).chunk(2, dim=-1))
                far = functional.scaled_dot_product_attention(q, km.to(q.dtype), vm.to(q.dtype))
                beta = torch.sigmoid(self.infini_beta).view(1, -1, 1, 1).to(out.dtype)
                out = beta * far + (1 - beta) * out
        y = self.dropout(self.out(out.transpose(1, 2).flatten(2)))
        acts = _joined(state.acts, x, 1) if self.memory is not None else None
        return y, replace(state, keys=keys, values=values, acts=acts, memory=memory, pending=None)


@cache
def _flash() -> Any:
    """``flash_attn_func``, or None where it is not installed."""
    if importlib.util.find_spec("flash_attn") is None:
        return None
    from flash_attn import flash_attn_func

    return flash_attn_func


class OptimisedCompressiveAttention(CompressiveAttention):
    """The same through FlashAttention 2 where that is installed and can be used.

    It runs in half precision on CUDA; everywhere else ``scaled_dot_product_attention`` does
    the work, which has fused kernels of its own. The gate starts almost closed, so that
    training begins with local attention.

    Parameters
    ----------
    config : TransformerConfig
    beta : float
    """

    def __init__(self, config: TransformerConfig, beta: float = -3.0) -> None:
        super().__init__(config, beta)

    def _local(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        half = q.dtype in (torch.float16, torch.bfloat16)
        if q.is_cuda and half and self.head_dim <= 256 and _flash() is not None:
            # (B, T, heads, head_dim); with fewer queries than keys the mask is aligned to the end.
            parts = (x.transpose(1, 2) for x in (q, k, v))
            return _flash()(*parts, causal=True).transpose(1, 2)  # type: ignore[no-any-return]
        return super()._local(q, k, v)
