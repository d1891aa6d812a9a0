"""Tests of embeddings, positions, normalisation and feed-forward blocks against formulas."""

import math

import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402

from vortex_hep.nn.transformer import (  # noqa: E402
    PositionalEncoding,
    RMSNorm,
    SwiGLU,
    TDTEmbedding,
)
from vortex_hep.nn.transformer.layers import BEGIN, GELUBlock  # noqa: E402


def test_embedding_takes_each_type_from_its_own_table():
    embedding = TDTEmbedding(6, types=3)
    nn.init.normal_(embedding.type_scale)
    nn.init.normal_(embedding.begin)
    kinds = torch.arange(7) % 3
    inputs = torch.tensor([[BEGIN, 9, 9, 9, 200, 0, 255]])
    out = embedding(inputs, kinds)[0]
    tables = embedding.table.weight.view(3, 256, 6)
    weights = embedding.type_scale.exp() / embedding.type_scale.exp().sum() * 3
    for k, byte in enumerate(inputs[0].tolist()):
        before = (k - 1) % 3
        row = embedding.begin if byte == BEGIN else tables[before, byte] * weights[before]
        torch.testing.assert_close(out[k], row + embedding.next_type.weight[k % 3])
    assert not torch.allclose(out[1] - out[2], out[2] - out[3])


def test_scales_are_a_softmax_with_mean_one():
    embedding = TDTEmbedding(4, types=5)
    assert torch.equal(embedding.scales(), torch.ones(5))
    nn.init.normal_(embedding.type_scale)
    assert float(embedding.scales().detach().sum()) == pytest.approx(5)
    assert embedding.scales().min() > 0


def test_only_tables_that_are_looked_up_get_gradients():
    embedding = TDTEmbedding(4, types=2)
    embedding(torch.tensor([[3, 4]]), torch.tensor([1, 0])).sum().backward()
    grad = embedding.table.weight.grad
    assert grad is not None
    touched = grad.abs().sum(1).nonzero().flatten().tolist()
    assert touched == [3, 256 + 4]


def test_positions_are_sines_and_cosines_from_any_start():
    encoding = PositionalEncoding(8, max_len=100)
    out = encoding(97, 5)
    for row, at in enumerate((97, 98, 99, 0, 1)):
        for pair in range(4):
            phase = at / 10000 ** (2 * pair / 8)
            assert out[row, 2 * pair].item() == pytest.approx(math.sin(phase), abs=1e-4)
            assert out[row, 2 * pair + 1].item() == pytest.approx(math.cos(phase), abs=1e-4)
    assert not encoding.state_dict()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_rms_norm(dtype):
    norm = RMSNorm(12)
    nn.init.normal_(norm.weight)
    # Squares of these overflow float16.
    x = (torch.randn(5, 12) * 1000).to(dtype)
    wide = x.double()
    unit = wide / (wide.square().mean(-1, keepdim=True) + 1e-6).sqrt()
    out = norm(x)
    assert out.dtype == dtype
    eps = torch.finfo(dtype).eps
    torch.testing.assert_close(out.double(), unit * norm.weight.double(), rtol=3 * eps, atol=eps)
    assert torch.equal(norm(torch.zeros(1, 12, dtype=dtype)), torch.zeros(1, 12, dtype=dtype))


def test_feed_forward_blocks():
    x = torch.randn(2, 3, 8)
    block = SwiGLU(8, 20)
    gate, up, down = block.gate.weight, block.up.weight, block.down.weight
    opened = x @ gate.T
    torch.testing.assert_close(block(x), (opened * opened.sigmoid() * (x @ up.T)) @ down.T)
    plain = GELUBlock(8, 20)
    inner = x @ plain.up.weight.T
    active = 0.5 * inner * (1 + torch.erf(inner / math.sqrt(2)))
    torch.testing.assert_close(plain(x), active @ plain.down.weight.T)
    sizes = [sum(p.numel() for p in module.parameters()) for module in (block, plain)]
    assert sizes[0] == sizes[1]
