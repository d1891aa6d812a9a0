"""How many parameters a configuration has and how much memory its training takes."""

from __future__ import annotations

from vortex_hep.nn.transformer.config import TransformerConfig


def parameter_count(config: TransformerConfig) -> int:
    """Number of trained values, from the sizes alone.

    Examples
    --------
    >>> parameter_count(TransformerConfig(d_model=64, n_layers=1, n_heads=2, d_ff=128))
    137223
    """
    d, f = config.d_model, config.d_ff
    norm = d if config.norm == "rms" else 2 * d
    feed = 3 * d * f if config.feed_forward == "swiglu" else 2 * d * (f + f // 2)
    memory = 0
    if config.memory:
        if config.eviction == "lte":
            compressor = 4 * d + d + 1 + d * d + d
        else:
            compressor = config.compression_rate * d * d + d
        memory = compressor + 2 * d + 2 * d * d + config.n_heads
    layer = 4 * d * d + feed + 2 * norm + memory
    types, vocab = config.types, config.vocab_size
    ends = types * vocab * d + d + types * d + types + norm + vocab * d + types * vocab
    return config.n_layers * layer + ends


def _layer_values(config: TransformerConfig, seq_len: int) -> float:
    """Values that autograd keeps per token of one layer."""
    d, f = config.d_model, config.d_ff
    kept = 2 * (2 * d + 1)  # two normalisations: input and result
    kept += 3 * d + 2 * d  # q, k, v; the result of attention, before and after the heads join
    kept += 4 * f if config.feed_forward == "swiglu" else 3 * f
    if config.dropout:
        kept += 2 * d / 4  # masks are bytes
    if config.memory and seq_len > min(config.chunk_sizes):
        kept += 2 * d + 8 * d / config.compression_rate
    return kept


def vram_estimate_gb(
    config: TransformerConfig,
    batch_size: int,
    seq_len: int,
    *,
    bytes_per_value: int = 4,
    checkpointing: bool = False,
) -> dict[str, float]:
    """Estimate the memory of a training step with AdamW.

    Parameters
    ----------
    config : TransformerConfig
    batch_size, seq_len : int
        Lanes, and tokens of each.
    bytes_per_value : int
        Of activations: 4, or 2 in mixed precision.
    checkpointing : bool
        Whether activations are computed again in the backward pass.

    Returns
    -------
    dict of str to float
        In units of 10**9 bytes: ``parameters``, ``gradients``, ``optimizer``, ``activations``
        and their sum, ``total``.
    """
    weights = parameter_count(config) * 4 / 1e9
    tokens = batch_size * seq_len
    layer = _layer_values(config, seq_len) * bytes_per_value
    if checkpointing:
        per_token = config.n_layers * config.d_model * bytes_per_value + layer
    else:
        per_token = config.n_layers * layer
    # Logits, their log-softmax, and the embedded inputs.
    per_token += 2 * config.vocab_size * 4 + 4 * config.d_model * bytes_per_value
    activations = tokens * per_token / 1e9
    return {
        "parameters": weights,
        "gradients": weights,
        "optimizer": 2 * weights,
        "activations": activations,
        "total": 4 * weights + activations,
    }
