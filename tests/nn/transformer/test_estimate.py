"""Tests of estimates of parameters and memory, against real models and training steps."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch")

from tests.nn.transformer.alive import Alive  # noqa: E402
from tests.nn.transformer.cases import MODELS, TINY  # noqa: E402
from vortex_hep.nn.transformer import (  # noqa: E402
    CATWrapper,
    CompressiveTransformer,
    OptimisedCompressiveTransformer,
    TransformerConfig,
    parameter_count,
    vram_estimate_gb,
)


@settings(max_examples=30)
@given(
    st.sampled_from(MODELS),
    st.fixed_dictionaries(
        {
            "n_layers": st.integers(1, 3),
            "d_ff": st.integers(1, 9),
            "types": st.integers(1, 5),
            "compression_rate": st.integers(1, 4),
            "memory": st.booleans(),
            "eviction": st.sampled_from(["lte", "strided"]),
            "norm": st.sampled_from(["rms", "layer"]),
            "feed_forward": st.sampled_from(["swiglu", "gelu"]),
            "vocab_size": st.sampled_from([2, 256]),
        }
    ),
)
def test_parameter_count_is_the_models(kind, variant):
    model = kind(TransformerConfig(**TINY | variant))
    assert parameter_count(model.config) == model.parameter_count
    assert model.parameter_count == sum(w.numel() for w in model.state_dict().values())


SIZES: dict[str, Any] = {
    "d_model": 32,
    "n_layers": 3,
    "n_heads": 2,
    "d_ff": 80,
    "window": 64,
    "dropout": 0.0,
}


@pytest.mark.parametrize(
    ("variant", "lanes", "tokens"),
    [
        ({"memory": False}, 8, 64),
        ({"memory": False, "dropout": 0.2}, 8, 48),
        ({"memory": False, "chunk_sizes": (16,), "norm": "layer"}, 4, 200),
        ({}, 4, 64),
        ({}, 4, 250),
        ({"dropout": 0.1, "chunk_sizes": (32,), "compression_rate": 2}, 4, 200),
        ({"eviction": "strided", "feed_forward": "gelu"}, 4, 200),
    ],
)
@pytest.mark.parametrize("checkpointing", [False, True])
def test_activations_are_those_of_a_training_step(variant, lanes, tokens, checkpointing):
    config = TransformerConfig(**SIZES | {"chunk_sizes": (64,)} | variant)
    peak, _ = step(config, lanes, tokens, checkpointing)
    estimate = vram_estimate_gb(config, lanes, tokens, checkpointing=checkpointing, device="cpu")
    assert estimate["activations"] == pytest.approx(peak, rel=0.25)


def test_mixed_precision():
    config = TransformerConfig(**SIZES | {"chunk_sizes": (16,), "window": 32, "dropout": 0.1})
    peak, _ = step(config, 4, 64, False, torch.bfloat16)
    estimate = vram_estimate_gb(config, 4, 64, bytes_per_value=2, device="cpu")
    assert estimate["activations"] == pytest.approx(peak, rel=0.25)


def test_most_of_it_is_what_autograd_saves():
    """Another way to measure: tensors that are packed for the backward pass."""
    config = TransformerConfig(**SIZES | {"chunk_sizes": (32,)})
    _, saved = step(config, 4, 200, False)
    estimate = vram_estimate_gb(config, 4, 200, device="cpu")["activations"]
    assert estimate == pytest.approx(saved, rel=0.25)
    assert estimate > saved


def step(config, lanes, tokens, checkpointing, dtype=torch.float32):
    """GB of a training step beyond parameters and inputs: at the peak, and saved by autograd."""
    kind = OptimisedCompressiveTransformer if config.norm == "rms" else CompressiveTransformer
    wrapper = CATWrapper(kind(config))
    wrapper.enable_gradient_checkpointing(checkpointing)
    batch = torch.randint(256, (lanes, tokens), dtype=torch.uint8)
    known = [batch, *wrapper.parameters(), *wrapper.model.buffers()]
    alive, saved = Alive(*known), {}

    def pack(x):
        saved[x.untyped_storage().data_ptr()] = x.untyped_storage().nbytes()
        return x

    with (
        alive,
        torch.autograd.graph.saved_tensors_hooks(pack, lambda x: x),
        torch.autocast("cpu", torch.bfloat16, enabled=dtype != torch.float32),
    ):
        loss = wrapper.bits_per_byte(batch)
        for tensor in known:
            saved.pop(tensor.untyped_storage().data_ptr(), None)
        kept = sum(saved.values())
    with alive:
        loss.backward()
    return alive.peak / 1e9, kept / 1e9


def test_the_parts_add_up_and_each_choice_shows():
    config = TransformerConfig()
    plain = vram_estimate_gb(config, 8, 1024)
    assert plain["total"] == pytest.approx(sum(v for k, v in plain.items() if k != "total"))
    assert plain["optimizer"] == 2 * plain["gradients"] == 2 * plain["parameters"]
    activations = plain["activations"]
    half = vram_estimate_gb(config, 8, 1024, bytes_per_value=2)["activations"]
    again = vram_estimate_gb(config, 8, 1024, checkpointing=True)["activations"]
    on_cpu = vram_estimate_gb(config, 8, 1024, device="cpu")["activations"]
    assert again < half < activations < on_cpu
    single = [
        vram_estimate_gb(replace(config, chunk_sizes=(size,)), 8, 1024)["activations"]
        for size in config.chunk_sizes
    ]
    assert max(single) == activations
    assert min(single) < activations


def test_models_and_wrapper_give_the_estimate_of_their_configuration():
    config = TransformerConfig(**TINY)
    for kind in MODELS:
        model = kind(config)
        wrapper = CATWrapper(model)
        assert wrapper.vram_estimate_gb(2, 32) == vram_estimate_gb(model.config, 2, 32)
        wrapper.enable_gradient_checkpointing()
        again = vram_estimate_gb(model.config, 2, 32, checkpointing=True, bytes_per_value=2)
        assert wrapper.vram_estimate_gb(2, 32, bytes_per_value=2) == again
