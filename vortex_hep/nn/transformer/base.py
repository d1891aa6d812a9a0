"""The base transformer, and code shared with the optimised one."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from vortex_hep.nn.transformer.attention import CompressiveAttention, LayerState
from vortex_hep.nn.transformer.config import TransformerConfig
from vortex_hep.nn.transformer.estimate import vram_estimate_gb
from vortex_hep.nn.transformer.layers import (
    PositionalEncoding,
    TDTEmbedding,
    make_feed_forward,
    make_norm,
)


@dataclass(frozen=True)
class ModelState:
    """What a model knows of a batch of lanes so far.

    Parameters
    ----------
    layers : tuple of LayerState
    tokens : int
        Tokens seen since the lanes began: the next token has the type ``tokens % types``.
    chunk : int
        Tokens seen since the chunk began: the position of the next one.
    """

    layers: tuple[LayerState, ...]
    tokens: int = 0
    chunk: int = 0

    def next_chunk(self, carry: int) -> ModelState:
        """Return the state with which the next chunk begins; see :class:`LayerState`."""
        layers = tuple(layer.next_chunk(carry) for layer in self.layers)
        return replace(self, layers=layers, chunk=0)


class TransformerBlock(nn.Module):
    """Normalise, attend, add; normalise, feed forward, add.

    Parameters
    ----------
    config : TransformerConfig
        Its ``norm`` and ``feed_forward`` are used; the base model has "layer" and "swiglu".
    """

    attention_kind: type[CompressiveAttention] = CompressiveAttention

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.norm1 = make_norm(config.norm, config.d_model)
        self.attention = self.attention_kind(config)
        self.norm2 = make_norm(config.norm, config.d_model)
        self.feed_forward = make_feed_forward(config.feed_forward, config.d_model, config.d_ff)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, x: Tensor, state: LayerState | None = None) -> tuple[Tensor, LayerState]:
        """Map (B, T, d_model) to the same shape; return the state with these tokens added."""
        y, state = self.attention(self.norm1(x), state)
        x = x + y
        return x + self.dropout(self.feed_forward(self.norm2(x))), state


class CompressiveTransformer(nn.Module):
    """Byte-level autoregressive model.

    Parameters
    ----------
    config : TransformerConfig, optional
        The base model normalises by LayerNorm and starts its memory gates half open, whatever
        ``config.norm`` says; the optimised one follows the configuration.
    """

    block_kind: type[TransformerBlock] = TransformerBlock

    def __init__(self, config: TransformerConfig | None = None) -> None:
        super().__init__()
        config = self._adapted(config or TransformerConfig())
        self.config = config
        self.embedding = TDTEmbedding(config.d_model, config.types, config.vocab_size)
        self.positions = PositionalEncoding(config.d_model)
        self.dropout = nn.Dropout(config.dropout)
        self.blocks = nn.ModuleList(self.block_kind(config) for _ in range(config.n_layers))
        self.norm = make_norm(config.norm, config.d_model)
        self.head = nn.Linear(config.d_model, config.vocab_size, bias=False)
        self.type_bias = nn.Parameter(torch.zeros(config.types, config.vocab_size))
        self._checkpointing = False
        self._start(config)

    @staticmethod
    def _adapted(config: TransformerConfig) -> TransformerConfig:
        return replace(config, norm="layer")

    def _start(self, config: TransformerConfig) -> None:
        """Start weights: the residual stream keeps its size whatever the depth."""
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, std=config.d_model**-0.5)
        with torch.no_grad():
            for name, weight in self.blocks.named_parameters():
                if name.endswith(("attention.out.weight", "feed_forward.down.weight")):
                    weight.mul_((2 * config.n_layers) ** -0.5)
            self.head.weight.mul_(0.5)

    def enable_gradient_checkpointing(self, on: bool = True) -> None:
        """Activation recomputation: compute activations again in the backward pass."""
        self._checkpointing = on

    @property
    def parameter_count(self) -> int:
        """Number of trained values."""
        return sum(p.numel() for p in self.parameters())

    def vram_estimate_gb(
        self,
        batch_size: int,
        seq_len: int,
        *,
        bytes_per_value: int = 4,
        checkpointing: bool | None = None,
        device: str = "cuda",
    ) -> dict[str, float]:
        """Estimate the memory of a training step: see :func:`.estimate.vram_estimate_gb`.

        Parameters
        ----------
        batch_size, seq_len, bytes_per_value, device
            As that function has them.
        checkpointing : bool, optional
            By default as the model is set.
        """
        return vram_estimate_gb(
            self.config, batch_size, seq_len, bytes_per_value=bytes_per_value,
            checkpointing=self._checkpointing if checkpointing is None else checkpointing,
            device=device,
        )  # fmt: skip

    def forward(self, inputs: Tensor, state: ModelState | None = None) -> tuple[Tensor, ModelState]:
        """Predict the next bytes of a batch of lanes.

        Parameters
        ----------
        inputs : int64 tensor, shape (B, T)
            At each place the byte before the one to predict; 256 at the start of a lane. All
            of them belong to one chunk.
        state : ModelState, optional
            Of the tokens before; without, the lanes begin.

        Returns
        -------
        tensor, shape (B, T, vocab_size), and ModelState
            Logits in nats.
        """
        state = state or ModelState((LayerState(),) * len(self.blocks))
        length = inputs.shape[1]
        at = torch.arange(state.tokens, state.tokens + length, device=inputs.device)
        kinds = at % self.config.types
        x = self.embedding(inputs, kinds) + self.positions(state.chunk, length)
        x = self.dropout(x)
        layers = []
        for block, before in zip(self.blocks, state.layers, strict=True):
            if self._checkpointing and torch.is_grad_enabled():
                x, after = checkpoint(block, x, before, use_reentrant=False)
            else:
                x, after = block(x, before)
            layers.append(after)
        logits = self.head(self.norm(x)).float() + self.type_bias[kinds]
        return logits, ModelState(tuple(layers), state.tokens + length, state.chunk + length)
