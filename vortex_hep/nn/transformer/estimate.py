"""Estimates of a configuration's parameters and training memory."""

from __future__ import annotations

import math
from dataclasses import dataclass

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


@dataclass(frozen=True)
class _Bytes:
    """Bytes per value; in mixed precision four, two and whatever masks take.

    Parameters
    ----------
    stream : int
        Of the residual stream and normalisations.
    product : int
        Of what matrices are multiplied with, and of the results.
    mask : int
        Of what dropout keeps.
    """

    stream: int
    product: int
    mask: int


def _token_bytes(config: TransformerConfig, size: _Bytes) -> int:
    """Bytes that a block keeps of each token for the backward pass, without memory."""
    d, f = config.d_model, config.d_ff
    # Each normalisation keeps its input, and RMSNorm the result before its weight as well; the
    # matrices behind it keep theirs.
    norm = (2 if config.norm == "rms" else 1) * d * size.stream + d * size.product
    # Queries, keys, values, what attention makes of them, and the logarithms of its sums.
    attention = 4 * d * size.product + 4 * config.n_heads
    feed = 4 * f if config.feed_forward == "swiglu" else 2 * (f + f // 2)
    dropout = 2 * d * size.mask if config.dropout else 0
    return 2 * norm + attention + feed * size.product + dropout


def _compressor_bytes(config: TransformerConfig, size: _Bytes, pending: int, kept: int) -> int:
    """Bytes that compressing ``pending`` tokens to ``kept`` keeps."""
    d = config.d_model
    cast = d * size.product if size.product < size.stream else 0
    if config.eviction == "lte":
        # Hidden values of the scorer; of the kept tokens what was gathered, gated and projected.
        return pending * (cast + d * size.product) + kept * d * (2 * size.stream + size.product)
    return pending * d * size.product + kept * d * size.stream


def _pass_bytes(
    config: TransformerConfig, lanes: int, seq_len: int, chunk: int, size: _Bytes, again: bool
) -> int:
    """Bytes of activations at the peak of a pass in chunks of one size.

    Parameters
    ----------
    config : TransformerConfig
    lanes, seq_len, chunk : int
    size : _Bytes
    again : bool
        Whether blocks are computed again in the backward pass.
    """
    d = config.d_model
    carry = max(0, config.window - chunk)
    kept = largest = 0  # of one block: for all chunks, and for the chunk with most
    known = memory = pending = held = 0
    for start in range(0, seq_len, chunk):
        tokens = min(chunk, seq_len - start)
        block = tokens * _token_bytes(config, size)
        if again:
            # What a block begins with: its input, and its state.
            kept += lanes * (tokens * d * size.stream + held)
        if known:
            block += (known + tokens) * 2 * d * size.product  # keys and values are joined
        if pending:
            new = math.ceil(pending / config.compression_rate)
            block += _compressor_bytes(config, size, pending, new)
            block += (memory + new) * d * size.stream
            memory = min(config.memory_tokens, memory + new)
        if memory:
            cast = size.product if size.product < size.stream else 0
            block += memory * d * (2 * size.product + cast)
            block += tokens * (2 * d * size.product + 4 * config.n_heads)
        # A mask is one for all lanes.
        whole = lanes * block + (tokens * (known + tokens) * size.product if known else 0)
        largest = max(largest, whole)
        kept += 0 if again else whole
        held = 0
        if carry:
            # A view of the first chunk's keys holds its queries as well.
            held += (2 * (known + tokens) if known else 3 * tokens) * d * size.product
            known = min(carry, known + tokens)
        if config.memory:
            pending = tokens
            held += (pending + memory) * d * size.stream
    # Embedded bytes, the last normalisation and indices; probabilities of the next bytes.
    ends = (1 + (2 if config.norm == "rms" else 1)) * d * size.stream + d * size.product + 40
    if config.dropout:
        ends += d * (1 if size.mask == 1 else size.stream)
    logits = 4 * config.vocab_size
    # The backward pass begins with two gradients of the size of the probabilities; by the time
    # that the first block is computed again, they are gone.
    begin = 2 * logits * lanes * seq_len
    peak = max(begin, largest) if again else begin
    return config.n_layers * kept + lanes * seq_len * (ends + logits) + peak


def vram_estimate_gb(
    config: TransformerConfig,
    batch_size: int,
    seq_len: int,
    *,
    bytes_per_value: int = 4,
    checkpointing: bool = False,
    device: str = "cuda",
) -> dict[str, float]:
    """Estimate the memory of a training step with AdamW.

    Parameters
    ----------
    config : TransformerConfig
    batch_size, seq_len : int
        Lanes, and tokens of each.
    bytes_per_value : int
        Of what matrices are multiplied with: 4, or 2 in mixed precision, where the residual
        stream and the normalisations still take 4.
    checkpointing : bool
        Activation recomputation: whether activations are computed again in the backward pass.
    device : {"cuda", "cpu"}
        Dropout keeps a mask of bytes on GPUs, and one of values on CPUs.

    Returns
    -------
    dict of str to float
        In units of 10**9 bytes: ``parameters``, ``gradients``, ``optimizer``, ``activations``
        and their sum, ``total``.

    Notes
    -----
    ``activations`` is the peak of a step beyond weights and the optimiser's state: what autograd
    keeps until the backward pass, which is most, and what its first operations add; in mixed
    precision also the matrices' copies in two bytes. Of the configuration's chunk sizes the one
    that takes most counts: the smaller, the more keys and memory are copied. Attention is
    counted as fused kernels do it, which keep no scores: those of PyTorch on CPUs and GPUs, and
    FlashAttention. Work space within operations, the allocator's fragments and the GPU's own
    context (about 0.5 GB) come on top; a compiled model may keep less.

    Examples
    --------
    >>> small = TransformerConfig(d_model=64, n_layers=1, n_heads=2, d_ff=128)
    >>> estimate = vram_estimate_gb(small, 8, 512)
    >>> round(estimate["parameters"], 6), estimate["total"] > 4 * estimate["parameters"]
    (0.000549, True)
    """
    mixed = bytes_per_value < 4
    size = _Bytes(4, bytes_per_value, 1 if device == "cuda" else bytes_per_value)
    values = parameter_count(config)
    weights = values * 4 / 1e9
    activations = max(
        _pass_bytes(config, batch_size, seq_len, chunk, size, checkpointing)
        for chunk in config.chunk_sizes
    )
    if mixed:
        tables = config.types * (config.vocab_size + 1) * config.d_model
        copies = (values - tables) * bytes_per_value
        # Where blocks are computed again, those of one block are there at a time.
        activations += copies // config.n_layers if checkpointing else copies
    return {
        "parameters": weights,
        "gradients": weights,
        "optimizer": 2 * weights,
        "activations": activations / 1e9,
        "total": 4 * weights + activations / 1e9,
    }
