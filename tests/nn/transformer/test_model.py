"""Tests of the transformers: causality, steps equal to passes, and learning."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402

from tests.nn.transformer.cases import MODELS, TINY, lanes, tiny  # noqa: E402
from vortex_hep.errors import UnsupportedTypeError  # noqa: E402
from vortex_hep.nn.transformer import (  # noqa: E402
    CATWrapper,
    CompressiveTransformer,
    OptimisedCompressiveTransformer,
    RMSNorm,
    TransformerConfig,
    shifted,
)

VARIANTS = st.fixed_dictionaries(
    {
        "memory": st.booleans(),
        "eviction": st.sampled_from(["lte", "strided"]),
        "feed_forward": st.sampled_from(["swiglu", "gelu"]),
        "types": st.integers(1, 5),
        "compression_rate": st.integers(1, 5),
        "window": st.integers(6, 16),
        "chunk_sizes": st.just((6,)),
    }
)


@settings(max_examples=25)
@given(st.sampled_from(MODELS), VARIANTS, st.integers(1, 40), st.integers(1, 6), st.data())
def test_a_byte_changes_nothing_before_its_successor(kind, variant, length, chunk, data):
    wrapper = CATWrapper(tiny(kind, **variant))
    wrapper.eval()
    tokens = lanes(2, length)
    at = data.draw(st.integers(0, length - 1))
    other = tokens.clone()
    other[:, at] = (other[:, at] + data.draw(st.integers(1, 255))) % 256
    with torch.no_grad():
        before, after = (wrapper(shifted(t), chunk_size=chunk)[0] for t in (tokens, other))
    torch.testing.assert_close(before[:, : at + 1], after[:, : at + 1], rtol=0, atol=1e-6)
    if at + 1 < length:
        assert (before[:, at + 1] - after[:, at + 1]).abs().max() > 1e-4


@pytest.mark.parametrize(
    ("window", "memory", "reaches"), [(4, True, True), (8, False, True), (4, False, False)]
)
def test_only_memory_and_carried_keys_reach_beyond_a_chunk(window, memory, reaches):
    wrapper = CATWrapper(tiny(window=window, memory=memory, chunk_sizes=(4,)))
    tokens = lanes(3, 8)
    other = tokens.clone()
    other[:, 1] ^= 5
    with torch.no_grad():
        before, after = (wrapper(shifted(t), chunk_size=4)[0][:, 4:] for t in (tokens, other))
    assert torch.equal(before, after) is not reaches


@settings(max_examples=25)
@given(
    st.sampled_from(MODELS),
    VARIANTS,
    st.integers(1, 3),
    st.integers(1, 6),
    st.lists(st.integers(1, 7), min_size=1, max_size=12),
)
def test_steps_equal_passes(kind, variant, batch, chunk, parts):
    wrapper = CATWrapper(tiny(kind, **variant))
    wrapper.eval()
    inputs = shifted(lanes(batch, sum(parts)))
    with torch.no_grad():
        whole, last = wrapper(inputs, chunk_size=chunk)
        state, logits = None, []
        for part in inputs.split(parts, dim=1):
            out, state = wrapper(part, chunk_size=chunk, state=state)
            logits.append(out)
    torch.testing.assert_close(torch.cat(logits, dim=1), whole, rtol=0, atol=1e-5)
    assert state is not None
    assert (state.tokens, state.chunk) == (last.tokens, last.chunk)
    for one, other in zip(state.layers, last.layers, strict=True):
        torch.testing.assert_close(one.keys, other.keys, rtol=0, atol=1e-5)


def test_one_byte_at_a_time_equals_a_pass():
    wrapper = CATWrapper(tiny())
    wrapper.eval()
    inputs = shifted(lanes(2, 40))
    with torch.no_grad():
        whole, _ = wrapper(inputs, chunk_size=8)
        state, logits = None, []
        for part in inputs.split(1, dim=1):
            out, state = wrapper(part, chunk_size=8, state=state)
            logits.append(out)
    torch.testing.assert_close(torch.cat(logits, dim=1), whole, rtol=0, atol=1e-5)


def test_lanes_do_not_see_each_other():
    model = tiny()
    inputs = shifted(lanes(3, 12))
    with torch.no_grad():
        together, _ = model(inputs)
        alone, _ = model(inputs[1:2])
    torch.testing.assert_close(together[1:2], alone)


def test_how_the_variants_differ():
    """LayerNorm and half-open gates in the base model, RMSNorm and closed ones in the other."""
    base, optimised = (kind(TransformerConfig(**TINY)) for kind in MODELS)
    for model, start in ((base, 0.0), (optimised, -3.0)):
        gates = [p for n, p in model.named_parameters() if n.endswith(".infini_beta")]
        assert [gate.tolist() for gate in gates] == [[start] * 2] * 2
    kinds = [{type(m) for m in x.modules()} & {RMSNorm} for x in (base, optimised)]
    assert kinds == [set(), {RMSNorm}]
    assert isinstance(base.norm, nn.LayerNorm)
    assert base.config.norm == "layer"


def test_the_optimised_model_is_a_drop_in_replacement():
    base, optimised = tiny(MODELS[0]), tiny(MODELS[1], seed=1, norm="layer")
    inputs = shifted(lanes(2, 16))
    with torch.no_grad():
        assert not torch.allclose(base(inputs)[0], optimised(inputs)[0])
        optimised.load_state_dict(base.state_dict())
        assert torch.equal(base(inputs)[0], optimised(inputs)[0])


@pytest.mark.parametrize("dropout", [0.0, 0.3])
@pytest.mark.parametrize("memory", [False, True])
def test_checkpointing_changes_no_gradient(dropout, memory):
    tokens = lanes(2, 24)
    found = []
    for on in (False, True):
        wrapper = CATWrapper(tiny(dropout=dropout, memory=memory))
        wrapper.train()
        wrapper.enable_gradient_checkpointing(on)
        torch.manual_seed(7)
        loss = wrapper.bits_per_byte(tokens, chunk_size=8)
        loss.backward()
        grads = {n: p.grad for n, p in wrapper.named_parameters()}
        assert all(grad is not None for grad in grads.values())
        found.append((loss.detach(), grads))
    torch.testing.assert_close(found[0], found[1])


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"d_model": 30, "n_heads": 4}, "multiple of n_heads"),
        ({"d_model": 15, "n_heads": 5}, "even"),
        ({"n_heads": 0}, "positive"),
        ({"window": 5000}, "at most 4096"),
        ({"types": 1 << 15}, "at most 16384"),
        ({"dropout": 1.0}, "dropout"),
        ({"dropout": math.nan}, "dropout"),
        ({"eviction": "lru"}, "eviction"),
        ({"norm": "batch"}, "norm"),
        ({"feed_forward": "relu"}, "feed_forward"),
        ({"chunk_sizes": []}, "chunk_sizes"),
        ({"chunk_sizes": [0]}, "chunk_sizes"),
        ({"chunk_sizes": [1024]}, "chunk_sizes"),
        ({"d_modle": 64}, "did you mean 'd_model'"),
        ({"d_model": 64.0}, "a whole number"),
        ({"memory": 1}, "true or false"),
        ({"chunk_sizes": 512}, "list of whole numbers"),
    ],
)
def test_configurations_that_cannot_be(values, message):
    with pytest.raises(UnsupportedTypeError, match=message):
        TransformerConfig.from_json(values)


def test_configurations_go_through_json():
    config = TransformerConfig(**TINY)
    assert TransformerConfig.from_json(config.as_json()) == config
    assert CompressiveTransformer().config.d_model == 512


def test_it_learns_a_pattern():
    torch.manual_seed(0)
    model = OptimisedCompressiveTransformer(
        TransformerConfig(**TINY | {"d_model": 32, "n_layers": 1, "d_ff": 64})
    )
    wrapper = CATWrapper(model)
    pattern = torch.tensor([7, 0, 255, 7, 1, 128, 7]).repeat(8)
    tokens = torch.stack([pattern[k : k + 40] for k in range(7)])
    optimiser = torch.optim.AdamW(wrapper.parameters(), lr=0.01)
    for _ in range(60):
        optimiser.zero_grad()
        wrapper.bits_per_byte(tokens).backward()
        optimiser.step()
    wrapper.eval()
    with torch.no_grad():
        # The first bytes of each lane cannot be known.
        assert wrapper.bits_per_byte(tokens) < 0.5
