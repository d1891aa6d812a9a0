"""Tiny transformers for tests."""

from typing import Any

import torch

from vortex_hep.nn.transformer import (
    CompressiveTransformer,
    OptimisedCompressiveTransformer,
    TransformerConfig,
)

TINY: dict[str, Any] = {
    "d_model": 16, "n_layers": 2, "n_heads": 2, "d_ff": 24, "window": 16, "compression_rate": 3,
    "dropout": 0.0, "chunk_sizes": (4, 8, 16), "types": 3,
}  # fmt: skip
MODELS = (CompressiveTransformer, OptimisedCompressiveTransformer)


def tiny(
    kind: type[CompressiveTransformer] = OptimisedCompressiveTransformer,
    seed: int = 0,
    **changes: Any,
) -> CompressiveTransformer:
    """A model in evaluation mode whose every parameter has a say."""
    torch.manual_seed(seed)
    model = kind(TransformerConfig(**TINY | changes))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    model.eval()
    return model


def lanes(batch, length, seed=0):
    """Random bytes."""
    return torch.randint(256, (batch, length), generator=torch.Generator().manual_seed(seed))
