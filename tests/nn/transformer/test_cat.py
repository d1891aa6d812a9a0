"""Tests of chunked passes: chunk sizes, memory handed on, reach of gradients, saved state."""

from typing import Any

import pytest

torch = pytest.importorskip("torch")

from tests.nn.transformer.cases import MODELS, lanes, tiny  # noqa: E402
from vortex_hep.errors import UnsupportedTypeError  # noqa: E402
from vortex_hep.nn.transformer import CATWrapper, shifted  # noqa: E402


def chunks_of(wrapper, *, length=16, passes=1, **options):
    """Lengths of the chunks that the model gets, pass by pass."""
    seen: list[list[int]] = []
    hook = wrapper.model.register_forward_pre_hook(
        lambda _, args: seen[-1].append(args[0].shape[1])
    )
    with torch.no_grad():
        for _ in range(passes):
            seen.append([])
            wrapper(shifted(lanes(1, length)), **options)
    hook.remove()
    return seen


def test_training_draws_sizes_and_repeats_them():
    model = tiny()
    first, again, other = (CATWrapper(model, seed=seed).train() for seed in (3, 3, 4))
    found = chunks_of(first, passes=20)
    assert {tuple(c) for c in found} == {(4,) * 4, (8,) * 2, (16,)}
    assert chunks_of(again, passes=20) == found
    assert chunks_of(other, passes=20) != found


def test_evaluation_takes_the_largest_or_what_it_is_told():
    wrapper = CATWrapper(tiny(), (8, 4)).eval()
    assert chunks_of(wrapper, length=20) == [[8, 8, 4]]
    assert chunks_of(wrapper, length=20, chunk_size=16) == [[16, 4]]
    wrapper.train()
    assert chunks_of(wrapper, length=5, chunk_size=3) == [[3, 2]]


@pytest.mark.parametrize("size", [0, -1, 17])
def test_sizes_that_cannot_be(size):
    wrapper = CATWrapper(tiny())
    with pytest.raises(UnsupportedTypeError, match="window of 16"):
        wrapper(shifted(lanes(1, 4)), chunk_size=size)
    with pytest.raises(UnsupportedTypeError, match="window of 16"):
        CATWrapper(tiny(), (4, size))


def test_a_pass_over_nothing_is_refused():
    wrapper = CATWrapper(tiny())
    _, state = wrapper(shifted(lanes(1, 4)))
    for before in (None, state):
        with pytest.raises(UnsupportedTypeError, match="no tokens"):
            wrapper(torch.zeros(1, 0, dtype=torch.int64), state=before)


def test_bits_per_byte_is_the_mean_information():
    wrapper = CATWrapper(tiny()).eval()
    tokens = lanes(3, 20)
    with torch.no_grad():
        probabilities = wrapper(shifted(tokens))[0].double().softmax(-1)
        bits = -probabilities.gather(2, tokens.unsqueeze(-1)).log2().mean()
        assert float(wrapper.bits_per_byte(tokens.to(torch.uint8))) == pytest.approx(float(bits))


def test_checkpoints_are_the_same_with_and_without_the_wrapper(tmp_path):
    model, other = tiny(), tiny(seed=1)
    wrapper = CATWrapper(model)
    assert list(wrapper.state_dict()) == list(model.state_dict())
    assert [n for n, _ in wrapper.named_parameters()] == [n for n, _ in model.named_parameters()]
    assert list(map(id, wrapper.parameters())) == list(map(id, model.parameters()))
    torch.save(wrapper.state_dict(), tmp_path / "x.pt")
    other.load_state_dict(torch.load(tmp_path / "x.pt", weights_only=True))
    third = tiny(seed=2)
    CATWrapper(third).load_state_dict(model.state_dict())
    inputs = shifted(lanes(2, 8))
    with torch.no_grad():
        for copy in (other, third):
            assert torch.equal(copy(inputs)[0], model(inputs)[0])


@pytest.mark.parametrize("kind", MODELS)
def test_memory_is_trained_once_there_are_two_chunks(kind):
    wrapper = CATWrapper(tiny(kind, chunk_sizes=(8,), window=8)).train()
    far = {
        n for n, _ in wrapper.named_parameters()
        if ".memory." in n or ".memory_kv." in n or n.endswith(".infini_beta")
    }  # fmt: skip
    assert len(far) == 2 * 10
    for length, trained in ((8, False), (9, True)):
        wrapper.zero_grad()
        wrapper.bits_per_byte(lanes(2, length)).backward()
        for name, parameter in wrapper.named_parameters():
            has = parameter.grad is not None and bool(parameter.grad.abs().max() > 0)
            assert has is (trained or name not in far), name


@pytest.mark.parametrize("window", [4, 8])
def test_states_are_cut_from_the_graph_between_chunks(window):
    """What the second chunk costs teaches the memory, but not what the first chunk was made by."""
    wrapper = CATWrapper(tiny(window=window, chunk_sizes=(4,))).train()
    tokens = torch.tensor([[10, 11, 12, 13, 20, 21, 22, 23]])
    logits, state = wrapper(shifted(tokens))
    logits[:, 4:].sum().backward()
    grads: dict[str, Any] = {n: p.grad for n, p in wrapper.named_parameters()}
    rows = grads["embedding.table.weight"].view(3, 256, -1).abs().sum((0, 2))
    # Its first prediction looks at byte 13 directly.
    assert rows.nonzero().flatten().tolist() == [13, 20, 21, 22]
    assert grads["blocks.0.attention.memory.compressor.project.weight"].abs().max() > 0
    cut = state.next_chunk(carry=2)
    for layer in cut.layers:
        assert layer.keys.shape[2] == layer.values.shape[2] == 2
        for x in (layer.keys, layer.values, layer.memory, layer.pending):
            assert not x.requires_grad
        assert layer.acts is None
    assert (cut.tokens, cut.chunk) == (8, 0)


def test_memory_and_keys_stay_within_their_limits():
    wrapper = CATWrapper(tiny(window=8, chunk_sizes=(6,), compression_rate=2)).eval()
    with torch.no_grad():
        _, state = wrapper(shifted(lanes(2, 60)))
    for layer in state.layers:
        assert layer.memory.shape == (2, 4, 16)
        assert layer.keys.shape == (2, 2, 8, 8)


def test_types_are_counted_through_all_chunks():
    model = tiny()
    kinds: list[int] = []
    model.embedding.register_forward_pre_hook(lambda _, args: kinds.extend(args[1].tolist()))
    with torch.no_grad():
        model.head.weight.zero_()
        logits, state = CATWrapper(model)(shifted(lanes(2, 10)), chunk_size=4)
        more, _ = CATWrapper(model)(shifted(lanes(2, 3)), chunk_size=4, state=state)
    assert kinds == [k % 3 for k in range(13)]
    assert torch.equal(torch.cat([logits, more], 1)[0], model.type_bias.detach()[kinds])
