"""Byte-level compressive transformers: the networks in floating point, as they are trained.

What codes data is made from them by :mod:`vortex_hep.nn.sequence.quantise`: the same network in
integers, which decodes on every machine. The configuration and the estimates are without torch;
the first use of any other name imports it.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from vortex_hep.nn.transformer.config import TransformerConfig
from vortex_hep.nn.transformer.estimate import parameter_count, vram_estimate_gb

if TYPE_CHECKING:
    from vortex_hep.nn.transformer.attention import (
        CompressiveAttention,
        LayerState,
        OptimisedCompressiveAttention,
    )
    from vortex_hep.nn.transformer.base import (
        CompressiveTransformer,
        ModelState,
        TransformerBlock,
    )
    from vortex_hep.nn.transformer.cat import CATWrapper, shifted
    from vortex_hep.nn.transformer.layers import (
        PositionalEncoding,
        RMSNorm,
        SwiGLU,
        TDTEmbedding,
    )
    from vortex_hep.nn.transformer.memory import LearnableTokenEviction, MemoryManager
    from vortex_hep.nn.transformer.optimised import (
        OptimisedBlock,
        OptimisedCompressiveTransformer,
    )

_HOMES = {
    "CATWrapper": "cat", "shifted": "cat",
    "CompressiveAttention": "attention", "LayerState": "attention",
    "OptimisedCompressiveAttention": "attention",
    "CompressiveTransformer": "base", "ModelState": "base", "TransformerBlock": "base",
    "LearnableTokenEviction": "memory", "MemoryManager": "memory",
    "OptimisedBlock": "optimised", "OptimisedCompressiveTransformer": "optimised",
    "PositionalEncoding": "layers", "RMSNorm": "layers", "SwiGLU": "layers",
    "TDTEmbedding": "layers",
}  # fmt: skip

__all__ = [
    "CATWrapper",
    "CompressiveAttention",
    "CompressiveTransformer",
    "LayerState",
    "LearnableTokenEviction",
    "MemoryManager",
    "ModelState",
    "OptimisedBlock",
    "OptimisedCompressiveAttention",
    "OptimisedCompressiveTransformer",
    "PositionalEncoding",
    "RMSNorm",
    "SwiGLU",
    "TDTEmbedding",
    "TransformerBlock",
    "TransformerConfig",
    "parameter_count",
    "shifted",
    "vram_estimate_gb",
]


def __getattr__(name: str) -> Any:
    """Import on first use."""
    if name not in _HOMES:
        msg = f"module 'vortex_hep.nn.transformer' has no attribute {name!r}"
        raise AttributeError(msg)
    value = getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value
