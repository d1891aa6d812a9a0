"""Byte-level compressive transformers: the networks in floating point, as they are trained.

What codes data is made from them by :mod:`vortex_hep.nn.sequence.quantise`: the same network in
integers, which decodes on every machine. Importing this package imports torch.
"""

from __future__ import annotations

from vortex_hep.nn.transformer.attention import (
    CompressiveAttention,
    LayerState,
    OptimisedCompressiveAttention,
)
from vortex_hep.nn.transformer.base import CompressiveTransformer, ModelState, TransformerBlock
from vortex_hep.nn.transformer.cat import CATWrapper, shifted
from vortex_hep.nn.transformer.config import TransformerConfig
from vortex_hep.nn.transformer.layers import PositionalEncoding, RMSNorm, SwiGLU, TDTEmbedding
from vortex_hep.nn.transformer.memory import LearnableTokenEviction, MemoryManager
from vortex_hep.nn.transformer.optimised import OptimisedBlock, OptimisedCompressiveTransformer

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
    "shifted",
]
