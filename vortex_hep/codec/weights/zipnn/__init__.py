"""Lossless compression of network weights and training state (SPEC section 10).

Floating-point weights are split into planes: signs, exponents, and the bytes of the mantissas.
Exponents of trained weights take few values and are entropy-coded; mantissas are close to random
and are stored. Where a coder of whole values does better, it is taken instead. Bits are the
contract: NaN payloads and the sign of zero come back.
"""

from __future__ import annotations

from vortex_hep.codec.weights.zipnn.files import CHUNK_WEIGHTS, load_compressed, save_compressed
from vortex_hep.codec.weights.zipnn.report import PlaneSize, WeightReport, weight_size_report
from vortex_hep.codec.weights.zipnn.weights import (
    CompressedTensor,
    CompressedWeights,
    compress_model_weights,
    decompress_arrays,
    decompress_model_weights,
    decompress_state,
)

__all__ = [
    "CHUNK_WEIGHTS",
    "CompressedTensor",
    "CompressedWeights",
    "PlaneSize",
    "WeightReport",
    "compress_model_weights",
    "decompress_arrays",
    "decompress_model_weights",
    "decompress_state",
    "load_compressed",
    "save_compressed",
    "weight_size_report",
]
