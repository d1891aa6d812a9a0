"""The production model: RMSNorm, fused attention, KV cache."""

from __future__ import annotations

from vortex_hep.nn.transformer.attention import OptimisedCompressiveAttention
from vortex_hep.nn.transformer.base import CompressiveTransformer, TransformerBlock
from vortex_hep.nn.transformer.config import TransformerConfig
from vortex_hep.nn.transformer.estimate import vram_estimate_gb


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

    def vram_estimate_gb(
        self, batch_size: int, seq_len: int, *, bytes_per_value: int = 4
    ) -> dict[str, float]:
        """Estimate the memory of a training step; see :func:`estimate.vram_estimate_gb`."""
        return vram_estimate_gb(
            self.config, batch_size, seq_len, bytes_per_value=bytes_per_value,
            checkpointing=self._checkpointing,
        )  # fmt: skip
