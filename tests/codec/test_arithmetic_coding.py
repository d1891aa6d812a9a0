"""Tests of arithmetic coding with torchac: round trips, size, refused misuse."""

import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from vortex_hep.codec import arithmetic_coding
from vortex_hep.codec.arithmetic_coding import decode, encode, probs_to_cdf, theoretical_bpd
from vortex_hep.errors import CorruptionError, UnsupportedFeatureError, UnsupportedTypeError

SIZES = (1, 2, 3, 255, 256, 257, 1000, 32768)
FLOATS = (torch.float64, torch.float32, torch.float16, torch.bfloat16)


def distributions(seed, shape, size, sharpness, dtype=torch.float32):
    """Softmax of noise; the sharper, the more probabilities are exactly 0."""
    made = torch.Generator().manual_seed(seed)
    logits = torch.randn(*shape, size, generator=made, dtype=torch.float64) * sharpness
    return logits.softmax(-1).to(dtype)


def frequencies(cdf):
    edges = cdf.numpy().view(np.uint16).astype(np.int64)
    edges[..., -1] = 65536
    return np.diff(edges)


def bits(cdf, symbols):
    """What coding with these integers costs at least."""
    chosen = np.take_along_axis(frequencies(cdf), symbols.numpy().astype(int)[..., None], -1)
    return float(-np.log2(chosen / 65536).sum())


cases = st.tuples(
    st.integers(0, 2**32), st.sampled_from(SIZES), st.sampled_from((0.0, 1.0, 30.0, 1000.0)),
    st.sampled_from(FLOATS),
)  # fmt: skip


@given(cases)
@settings(max_examples=40)
def test_every_symbol_has_an_interval(case):
    seed, size, sharpness, dtype = case
    probs = distributions(seed, (2, 3), size, sharpness, dtype)
    found = frequencies(probs_to_cdf(probs))
    assert found.shape == (2, 3, size)
    assert found.min() >= 1
    assert (found.sum(-1) == 65536).all()
    # Near what was asked for, where the smallest part of 65536 has not to be given to many.
    exact = probs.double().numpy() / probs.double().numpy().sum(-1, keepdims=True) * 65536
    taken = np.maximum(1 - exact, 0).sum(-1, keepdims=True)
    assert (np.abs(found - np.maximum(exact, 1)) <= 1.01 + taken + exact / 1000).all()


def test_the_integers_are_pinned():
    probs = torch.tensor([[0.5, 0.25, 0.25, 0.0], [0.1, 0.2, 0.3, 0.4], [1e-9, 0, 0, 1]])
    assert probs_to_cdf(probs).numpy().view(np.uint16).tolist() == [
        [0, 32767, 49151, 65535, 0],
        [0, 6554, 19661, 39322, 0],
        [0, 1, 2, 3, 0],
    ]


def test_the_integers_depend_on_the_values_alone(monkeypatch):
    probs = distributions(1, (4, 8), 256, 2.0, torch.float16)
    cdf = probs_to_cdf(probs)
    assert cdf.dtype == torch.int16
    for same in (probs.float(), probs.double()):
        assert torch.equal(probs_to_cdf(same), cdf)
    assert torch.equal(probs_to_cdf(probs.transpose(0, 1)), cdf.transpose(0, 1))
    assert torch.equal(probs_to_cdf(probs[2, 3]), cdf[2, 3])
    assert torch.equal(probs_to_cdf(probs.float().requires_grad_()), cdf)
    monkeypatch.setattr(arithmetic_coding, "_BLOCK", 700)
    assert torch.equal(probs_to_cdf(probs), cdf)


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        ((1, 2, 3), float("nan"), r"probs\[1, 2, 3\] is nan"),
        ((0, 1, 0), float("inf"), r"probs\[0, 1, 0\] is inf"),
        ((1, 0, 4), -0.25, r"probs\[1, 0, 4\] is -0\.25"),
        ((0, 2, 4), 1e30, r"probs\[0, 2, 4\] is 1\.0\d*e\+30"),
        ((1, 1, 0), 0.5, r"probs\[1, 1\] sums to 1\.3"),
        ((1, 1, 0), 0.0, r"probs\[1, 1\] sums to 0\.8"),
    ],
)
def test_what_is_no_distribution_is_named(place, value, message, monkeypatch):
    monkeypatch.setattr(arithmetic_coding, "_BLOCK", 10)  # the fault is not in the first block
    probs = torch.full((2, 3, 5), 0.2)
    probs[place] = value
    with pytest.raises(UnsupportedTypeError, match=message):
        probs_to_cdf(probs)


@pytest.mark.parametrize(
    ("probs", "symbols", "message"),
    [
        (torch.ones(2, 2, 3, dtype=torch.int64), torch.zeros(2, 2), "floating-point tensor"),
        ([[0.5, 0.5]], torch.zeros(1), "floating-point tensor, not list"),
        (torch.zeros(2, 2, 0), torch.zeros(2, 2), "1 to 32768 symbols"),
        (torch.zeros(1, 1, 32769), torch.zeros(1, 1), "1 to 32768 symbols"),
        (torch.zeros(1).expand(1 << 20, 16, 256), torch.zeros(1), "smaller batches"),
        (torch.ones(2, 2, 1), torch.zeros(2, 2), "integer tensor, not torch.float32"),
        (torch.ones(2, 2, 1), torch.zeros(2, 3, dtype=torch.int16), "do not go with"),
        (torch.ones(2, 2, 1), torch.tensor([[0, 0], [-1, 0]]), r"symbols\[1, 0\] is -1"),
        (torch.ones(1, 2, 1), torch.tensor([[0, 65536]]), r"symbols\[0, 1\] is 65536"),
    ],
)
def test_what_does_not_fit_is_refused_before_any_work(probs, symbols, message):
    with pytest.raises(UnsupportedTypeError, match=message):
        encode(probs, symbols)


def test_cross_entropy():
    logits = torch.randn(3, 5, 256, generator=torch.Generator().manual_seed(2)).requires_grad_()
    symbols = torch.arange(15, dtype=torch.uint8).reshape(3, 5)
    found = theoretical_bpd(logits.softmax(-1), symbols)
    wanted = torch.nn.functional.cross_entropy(logits.reshape(15, 256), symbols.long().reshape(15))
    assert found.item() == pytest.approx(wanted.item() / np.log(2), rel=1e-5)
    found.backward()
    assert logits.grad is not None
    assert logits.grad.abs().sum() > 0
    sure = torch.nn.functional.one_hot(symbols.long(), 256)
    assert theoretical_bpd(sure.bfloat16(), symbols) == 0
    assert theoretical_bpd(sure.half(), symbols + 1).item() == 126  # not infinite
    with pytest.raises(UnsupportedTypeError, match="not defined"):
        theoretical_bpd(torch.zeros(0, 5, 4), torch.zeros(0, 5, dtype=torch.int16))


def test_no_symbols_are_no_bytes():
    probs, symbols = torch.zeros(0, 7, 4), torch.zeros(0, 7, dtype=torch.int16)
    assert encode(probs, symbols) == b""
    assert decode(b"", probs).shape == (0, 7)
    for stream, rows in ((b"\0", 0), (b"", 1)):
        with pytest.raises(CorruptionError, match="cannot hold"):
            decode(stream, torch.full((rows, 7, 4), 0.25))


def test_torchac_is_imported_to_code_only():
    work = (
        "import sys, torch; from vortex_hep.codec import arithmetic_coding as a;"
        "a.probs_to_cdf(torch.ones(1, 1)); print('torchac' in sys.modules)"
    )
    run = subprocess.run([sys.executable, "-c", work], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "False"


def test_what_is_missing_is_said(monkeypatch):
    monkeypatch.setitem(sys.modules, "torchac", None)  # as if not installed
    with pytest.raises(UnsupportedFeatureError, match=r"torchac .*vortex-hep\[torchac\]"):
        encode(torch.ones(1, 1, 1), torch.zeros(1, 1, dtype=torch.int16))


def test_a_failed_compilation_is_said_and_the_path_stays(monkeypatch):
    def fail(**_):
        raise RuntimeError("Error building it: [1/2]\nc++ ...\nx.cpp: error: no ink\nlong story")

    before = "/nowhere"
    monkeypatch.setenv("PATH", before)
    monkeypatch.delitem(sys.modules, "torchac", raising=False)
    monkeypatch.setattr("torch.utils.cpp_extension.load", fail)
    with pytest.raises(UnsupportedFeatureError, match=r"error: no ink .*C\+\+ compiler") as found:
        encode(torch.ones(1, 1, 1), torch.zeros(1, 1, dtype=torch.int16))
    assert "long story" not in str(found.value)
    assert os.environ["PATH"] == before


@pytest.fixture(scope="module")
def compiled(pytestconfig):
    """Compile torchac once per checkout, and away from what else the user has compiled."""
    if shutil.which("c++") is None:
        pytest.skip("needs a C++ compiler")
    assert pytestconfig.cache is not None
    with pytest.MonkeyPatch.context() as patch:
        folder = pytestconfig.cache.mkdir("torch_extensions")
        patch.setenv("TORCH_EXTENSIONS_DIR", str(folder))
        encode(torch.ones(1, 1, 1), torch.zeros(1, 1, dtype=torch.int16))


@pytest.mark.slow
@given(cases, st.integers(1, 3), st.integers(1, 40), st.booleans())
@settings(max_examples=60)
def test_round_trip(compiled, case, rows, columns, likely):
    seed, size, sharpness, dtype = case
    probs = distributions(seed, (rows, columns), size, sharpness, dtype)
    made = torch.Generator().manual_seed(seed + 1)
    if likely:
        flat = probs.double().reshape(-1, size)
        symbols = torch.multinomial(flat, 1, generator=made).reshape(rows, columns)
    else:  # those of probability 0 among them
        symbols = torch.randint(0, size, (rows, columns), generator=made)
    stream = encode(probs, symbols)
    found = decode(stream, probs)
    assert found.dtype == torch.int16
    assert torch.equal(found.long(), symbols)
    cost = bits(probs_to_cdf(probs), symbols)
    assert cost <= 8 * len(stream) <= cost * 1.001 + 32


@pytest.mark.slow
@pytest.mark.parametrize("sharpness", [0.5, 2.0])
def test_streams_cost_what_the_objective_says(compiled, sharpness):
    probs = distributions(5, (32, 256), 256, sharpness)
    made = torch.Generator().manual_seed(6)
    symbols = torch.multinomial(probs.reshape(-1, 256), 1, generator=made).reshape(32, 256)
    promised = theoretical_bpd(probs, symbols).item() * symbols.numel()
    assert promised * 0.999 <= 8 * len(encode(probs, symbols)) <= promised * 1.001 + 32


@pytest.mark.slow
def test_streams_are_pinned(compiled):
    probs = distributions(0, (1, 1), 4, 0.0).expand(2, 8, 4)
    symbols = torch.arange(16).reshape(2, 8) % 4
    assert encode(probs, symbols.to(torch.uint8)).hex() == "1b1b1b1b40"
    assert torch.equal(decode(bytes.fromhex("1b1b1b1b40"), probs), symbols.short())
