"""Tests of compressed memory: which tokens are kept, in which order, and how many."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402

from vortex_hep.nn.transformer import LearnableTokenEviction, MemoryManager  # noqa: E402
from vortex_hep.nn.transformer.memory import StridedCompression  # noqa: E402


def by_first_value(rate, width=4):
    """An eviction that scores a token by the first of its values, where that is positive."""
    torch.manual_seed(1)
    lte = LearnableTokenEviction(width, rate)
    for parameter in (*lte.depthwise.parameters(), *lte.pointwise.parameters()):
        nn.init.zeros_(parameter)
    with torch.no_grad():
        lte.depthwise.weight[0, 0, 1] = 1.0
        lte.pointwise.weight[0, 0, 0] = 1.0
    return lte


SCORES = st.integers(1, 12).flatmap(
    lambda n: st.lists(st.lists(st.integers(1, 4), min_size=n, max_size=n), min_size=1, max_size=3)
)


@settings(max_examples=50)
@given(SCORES, st.integers(1, 5))
def test_the_best_tokens_stay_in_order_and_of_equals_the_first(scores, rate):
    lte = by_first_value(rate)
    acts = torch.randn(len(scores), len(scores[0]), 4)
    acts[:, :, 0] = torch.tensor(scores)
    out = lte(acts)
    count = math.ceil(len(scores[0]) / rate)
    for lane, values in enumerate(scores):
        best = sorted(range(len(values)), key=lambda t: (-values[t], t))[:count]
        tokens = acts[lane : lane + 1, sorted(best)]
        projected = lte.project(tokens.transpose(1, 2)).transpose(1, 2)
        torch.testing.assert_close(out[lane : lane + 1], lte.norm(projected))


@pytest.mark.parametrize("length", [1, 7, 8, 33])
def test_what_passes_on_is_exactly_the_kept_tokens(length):
    """The gate that carries the gradient changes no bit."""
    torch.manual_seed(2)
    lte = LearnableTokenEviction(8, 4)
    acts = torch.randn(3, length, 8)
    # Scores of all sizes: gates from almost closed to open.
    nn.init.normal_(lte.pointwise.weight, std=20.0)
    scores = lte.scores(acts)
    count = math.ceil(length / 4)
    kept = scores.argsort(dim=1, descending=True, stable=True)[:, :count].sort(1).values
    tokens = torch.stack([acts[lane, kept[lane]] for lane in range(3)])
    expected = lte.norm(lte.project(tokens.transpose(1, 2)).transpose(1, 2))
    assert torch.equal(lte(acts), expected)


def test_the_scorer_learns_from_what_is_kept():
    torch.manual_seed(3)
    lte = LearnableTokenEviction(8, 4)
    out = lte(torch.randn(2, 16, 8))
    (out * torch.randn_like(out)).sum().backward()
    for parameter in lte.parameters():
        assert parameter.grad is not None
        assert parameter.grad.abs().max() > 0


@pytest.mark.parametrize("length", [1, 5, 6, 7])
def test_strided_compression_fills_up_with_zeros(length):
    strided = StridedCompression(4, 3)
    acts = torch.randn(2, length, 4)
    count = math.ceil(length / 3)
    padded = torch.zeros(2, 3 * count, 4)
    padded[:, :length] = acts
    weight = strided.project.weight  # (out, in, place)
    projected = torch.einsum("bkpi,oip->bko", padded.view(2, count, 3, 4), weight)
    torch.testing.assert_close(strided(acts), strided.norm(projected + strided.project.bias))


@pytest.mark.parametrize("kind", ["lte", "strided"])
def test_a_full_memory_drops_the_oldest(kind):
    torch.manual_seed(4)
    manager = MemoryManager(4, 2, 5, kind)
    chunks = [torch.randn(1, length, 4) for length in (3, 4, 8, 1)]
    parts = [manager.compress(chunk) for chunk in chunks]
    assert [p.shape[1] for p in parts] == [2, 2, 4, 1]
    memory = None
    for k, chunk in enumerate(chunks):
        memory = manager.extended(memory, chunk)
        torch.testing.assert_close(memory, torch.cat(parts[: k + 1], dim=1)[:, -5:])
        assert memory.shape[1] == (2, 4, 5, 5)[k]
