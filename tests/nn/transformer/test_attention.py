"""Tests of attention against its formula."""

import math

import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402

from tests.nn.transformer.cases import TINY  # noqa: E402
from vortex_hep.nn.transformer import (  # noqa: E402
    CompressiveAttention,
    LayerState,
    OptimisedCompressiveAttention,
    TransformerConfig,
)


def attend(q, k, v, mask):
    """Softmax attention of one head; ``mask`` says which keys a query sees."""
    scores = (q @ k.T / math.sqrt(q.shape[1])).masked_fill(~mask, -math.inf)
    return scores.softmax(1) @ v


@pytest.mark.parametrize("kind", [CompressiveAttention, OptimisedCompressiveAttention])
@pytest.mark.parametrize("new", [1, 5])
@pytest.mark.parametrize("carried", [0, 3])
@pytest.mark.parametrize("remembered", [0, 4])
def test_window_and_memory_are_mixed_by_a_gate_per_head(kind, new, carried, remembered):
    torch.manual_seed(new)
    attention = kind(TransformerConfig(**TINY))
    nn.init.normal_(attention.infini_beta)
    x, past, memory = (torch.randn(1, n, 16) for n in (new, carried, remembered))

    def split(y):
        return y.unflatten(-1, (2, 8)).transpose(1, 2)

    _, *before = map(split, attention.qkv(past).chunk(3, dim=-1))
    state = LayerState(
        keys=before[0] if carried else None,
        values=before[1] if carried else None,
        memory=memory if remembered else None,
    )
    out, after = attention(x, state)

    q, k, v = map(split, attention.qkv(torch.cat([past, x], dim=1)).chunk(3, dim=-1))
    km, vm = map(split, attention.memory_kv(memory).chunk(2, dim=-1))
    sees = torch.ones(carried + new, carried + new).tril().bool()[carried:]
    heads = []
    for h in range(2):
        local = attend(q[0, h, carried:], k[0, h], v[0, h], sees)
        if remembered:
            all_of_it = torch.ones(new, remembered, dtype=torch.bool)
            far = attend(q[0, h, carried:], km[0, h], vm[0, h], all_of_it)
            beta = 1 / (1 + math.exp(-float(attention.infini_beta[h].detach())))
            local = beta * far + (1 - beta) * local
        heads.append(local)
    expected = torch.cat(heads, dim=1) @ attention.out.weight.T
    torch.testing.assert_close(out[0], expected)
    torch.testing.assert_close(after.keys, k)
    torch.testing.assert_close(after.values, v)
    assert after.acts is x
    assert after.pending is None
