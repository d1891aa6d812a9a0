"""The optimised transformer: RMSNorm, fused attention, KV cache."""

from __future__ import annotations

from vortex_hep.nn.transformer.attention import OptimisedCompressiveAttention
from vortex_hep.nn.transformer.base import CompressiveTransformer, TransformerBlock
from vortex_hep.nn.transformer.config import TransformerConfig


class OptimisedBlock(TransformerBlock):
    """RMSNorm, :class:`OptimisedCompressiveAttention`, RMSNorm, SwiGLU.

    Parameters
    ----------
    config : TransformerConfig
    """

    attention_kind = OptimisedCompressiveAttention


class OptimisedCompressiveTransformer(CompressiveTransformer):
    """Drop-in replacement of :class:`CompressiveTransformer` with the optimised parts.

    This is the model that the integer path takes.

    Parameters
    ----------
    config : TransformerConfig, optional
    """

    block_kind = OptimisedBlock

    @staticmethod
    def _adapted(config: TransformerConfig) -> TransformerConfig:
        return config
