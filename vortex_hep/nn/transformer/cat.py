"""Chunked passes over long sequences: random chunk sizes in training, chosen in inference."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from vortex_hep.errors import UnsupportedTypeError
from vortex_hep.nn.transformer.base import CompressiveTransformer, ModelState
from vortex_hep.nn.transformer.layers import BEGIN


def shifted(tokens: Tensor) -> Tensor:
    """Return the inputs that predict ``tokens`` (B, T): each one's predecessor, 256 at first."""
    return functional.pad(tokens[:, :-1].long(), (1, 0), value=BEGIN)


class CATWrapper(nn.Module):
    """Runs a model chunk by chunk, with memory and KV cache carried from one to the next.

    In training the size of chunks is drawn anew in each pass, so that one model serves many; in
    evaluation it is the largest, or what the caller says. The wrapper adds nothing to what is
    saved: its state dict is the model's.

    Parameters
    ----------
    model : CompressiveTransformer
    chunk_sizes : sequence of int, optional
        By default those of the model's configuration.
    seed : int
        Of the sizes drawn in training.

    Raises
    ------
    UnsupportedTypeError
        A chunk size below one or above the window.
    """

    def __init__(
        self,
        model: CompressiveTransformer,
        chunk_sizes: tuple[int, ...] | None = None,
        *,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.model = model
        self.chunk_sizes = tuple(
            self._checked(size) for size in chunk_sizes or model.config.chunk_sizes
        )
        self._random = torch.Generator().manual_seed(seed)

    def _checked(self, size: int) -> int:
        if not 1 <= size <= self.model.config.window:
            raise UnsupportedTypeError(
                f"chunks of {size} tokens with a window of {self.model.config.window}",
                hint="a chunk has at least one token and at most a window of them",
            )
        return size

    def _chunk_size(self, asked: int | None) -> int:
        if asked is not None:
            return self._checked(asked)
        if self.training and len(self.chunk_sizes) > 1:
            drawn = torch.randint(len(self.chunk_sizes), (1,), generator=self._random)
            return self.chunk_sizes[int(drawn)]
        return max(self.chunk_sizes)

    def forward(
        self, inputs: Tensor, *, chunk_size: int | None = None, state: ModelState | None = None
    ) -> tuple[Tensor, ModelState]:
        """Predict the next bytes.

        Parameters
        ----------
        inputs : int64 tensor, shape (B, T)
            As the model takes them; of any length.
        chunk_size : int, optional
        state : ModelState, optional
            What an earlier call returned with the same chunk size: the chunk that it left
            unfinished is gone on with.

        Returns
        -------
        tensor, shape (B, T, vocab_size), and ModelState

        Raises
        ------
        UnsupportedTypeError
            No tokens, or a chunk size below one or above the window.
        """
        size = self._chunk_size(chunk_size)
        carry = max(0, self.model.config.window - size)
        logits = []
        at = 0
        while at < inputs.shape[1]:
            if state is not None and state.chunk >= size:
                state = state.next_chunk(carry)
            room = size - (0 if state is None else state.chunk)
            part, state = self.model(inputs[:, at : at + room], state)
            logits.append(part)
            at += room
        if state is None or not logits:
            raise UnsupportedTypeError("a pass over no tokens")
        return logits[0] if len(logits) == 1 else torch.cat(logits, dim=1), state

    def bits_per_byte(self, tokens: Tensor, *, chunk_size: int | None = None) -> Tensor:
        """Return the mean cross-entropy of lanes (B, T), in bits per byte."""
        logits, _ = self(shifted(tokens), chunk_size=chunk_size)
        nats = functional.cross_entropy(logits.flatten(0, 1), tokens.flatten().long())
        return nats / torch.log(torch.tensor(2.0, device=nats.device))

    # What is saved and what is trained is the model alone.

    def parameters(self, recurse: bool = True) -> Iterator[nn.Parameter]:
        """Parameters of the model."""
        return self.model.parameters(recurse)

    def named_parameters(self, *args: Any, **kwargs: Any) -> Iterator[tuple[str, nn.Parameter]]:
        """Parameters of the model, by the model's names."""
        return self.model.named_parameters(*args, **kwargs)

    def state_dict(self, *args: Any, **kwargs: Any) -> Any:
        """State of the model: the weights are the same with and without the wrapper."""
        return self.model.state_dict(*args, **kwargs)

    def load_state_dict(
        self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False
    ) -> Any:
        """Load a state of the model."""
        return self.model.load_state_dict(state_dict, strict, assign)

    def enable_gradient_checkpointing(self, on: bool = True) -> None:
        """See :meth:`CompressiveTransformer.enable_gradient_checkpointing`."""
        self.model.enable_gradient_checkpointing(on)

    def vram_estimate_gb(self, *args: Any, **kwargs: Any) -> dict[str, float]:
        """See :meth:`CompressiveTransformer.vram_estimate_gb`."""
        return self.model.vram_estimate_gb(*args, **kwargs)
