"""Tests that all engines of the transformer give the integers of the reference."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vortex_hep.nn.sequence import arithmetic, kernels
from vortex_hep.nn.sequence.compiled import Compiled
from vortex_hep.nn.sequence.reference import Reference
from vortex_hep.nn.sequence.session import BEGIN, Session
from vortex_hep.nn.sequence.torch_operations import TorchOperations, TorchWeights

from .models import random_model


def cuda():
    import torch

    return torch.cuda.is_available()


ENGINES = {
    "reference": lambda model, pool: Reference(model),
    "compiled": lambda model, pool: Compiled(model),
    "threads": lambda model, pool: Compiled(model, pool, 3),
    "torch": lambda model, pool: TorchOperations(TorchWeights(model, "cpu")),
    "cuda": lambda model, pool: TorchOperations(TorchWeights(model, "cuda")),
}
NAMES = [
    pytest.param(name, marks=pytest.mark.skipif(name == "cuda" and not cuda(), reason="no CUDA"))
    for name in ENGINES
]


@pytest.fixture(scope="module")
def pool():
    with ThreadPoolExecutor(3) as executor:
        yield executor


def run(model, operations, inputs, sizes, **choices):
    """Logits of all tokens, fed in pieces of these sizes, again and again."""
    session = Session(model, operations, len(inputs), **choices)
    out, at, k = [], 0, 0
    while at < inputs.shape[1]:
        n = min(session.room, inputs.shape[1] - at, sizes[k % len(sizes)])
        out.append(session.feed(inputs[:, at : at + n]))
        at, k = at + n, k + 1
    return np.concatenate(out, axis=1)


def lanes_of(seed, lanes, tokens):
    inputs = np.random.default_rng(seed).integers(0, 256, (lanes, tokens))
    inputs[:, 0] = BEGIN
    return inputs


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=12)
@given(
    seed=st.integers(0, 3), lanes=st.integers(1, 9), tokens=st.integers(1, 40),
    chunk=st.integers(1, 16), memory=st.booleans(), known=st.booleans(),
    sizes=st.lists(st.integers(1, 16), min_size=1, max_size=3),
)  # fmt: skip
def test_any_engine_fed_in_any_way_gives_the_integers_of_the_reference(
    name, pool, seed, lanes, tokens, chunk, memory, known, sizes
):
    model = random_model(seed)
    inputs = lanes_of(seed, lanes, tokens)
    choices = {"chunk": chunk, "memory": memory}
    wanted = run(model, Reference(model), inputs, [99], **choices)
    choices["length"] = tokens if known else None
    found = run(model, ENGINES[name](model, pool), inputs, sizes, **choices)
    np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize("name", NAMES)
def test_lanes_do_not_know_of_one_another(name, pool):
    model = random_model(1)
    inputs = lanes_of(1, 20, 30)
    make = ENGINES[name]
    whole = run(model, make(model, pool), inputs, [7])
    for part in (slice(0, 1), slice(5, 12)):
        alone = run(model, make(model, pool), inputs[part], [7])
        np.testing.assert_array_equal(alone, whole[part])


@pytest.mark.parametrize("name", NAMES)
def test_long_sums_and_saturated_activations_are_exact(name, pool):
    """Sums of more terms than float32 holds exactly, with weights at their limits."""
    model = random_model(2, width=32, ff=1200, layers=1)
    for array in ("gate", "up", "down"):
        model.weights[array][:] = np.sign(model.weights[array]) * 127
    model.weights["act_factor"][:] = 4000
    inputs = lanes_of(2, 3, 20)
    wanted = run(model, Reference(model), inputs, [99])
    found = run(model, ENGINES[name](model, pool), inputs, [99])
    np.testing.assert_array_equal(found, wanted)
    assert len(np.unique(wanted)) > 100


@pytest.mark.parametrize("name", NAMES)
def test_memory_changes_what_follows_and_only_that(name, pool):
    model = random_model(3)
    inputs = lanes_of(3, 2, 40)
    with_memory = run(model, ENGINES[name](model, pool), inputs, [99], memory=True)
    without = run(model, ENGINES[name](model, pool), inputs, [99], memory=False)
    np.testing.assert_array_equal(with_memory[:, :16], without[:, :16])
    assert (with_memory[:, 16:] != without[:, 16:]).any()


def test_what_comes_later_does_not_matter():
    model = random_model(4)
    inputs = lanes_of(4, 2, 40)
    other = inputs.copy()
    other[:, 25:] ^= 1
    a, b = (run(model, Reference(model), x, [99]) for x in (inputs, other))
    np.testing.assert_array_equal(a[:, :25], b[:, :25])
    assert (a[:, 25:] != b[:, 25:]).any()


logits = st.lists(st.integers(-(1 << 20), 1 << 20), min_size=256, max_size=256)


@settings(max_examples=30)
@given(logits, st.integers(0, 255))
def test_compiled_frequencies_are_those_of_the_definition(values, byte):
    line = np.array([values], np.int64)
    high = arithmetic.high_frequencies(line)
    low = arithmetic.low_frequencies(line, np.array([byte >> 4]))
    for freq in (high, low):
        assert freq.sum() == 65536
        assert freq.min() >= 1
    found = np.empty((1, 16), np.int32)
    kernels.high(line.astype(np.int32), found, 0, 1)
    np.testing.assert_array_equal(found, high)
    kernels.low(line.astype(np.int32), np.array([byte >> 4], np.uint8), found, 0, 1)
    np.testing.assert_array_equal(found, low)
    freq, cum = np.empty((2, 1), np.uint16), np.empty((2, 1), np.uint16)
    tokens = np.array([[byte]], np.uint8)
    kernels.code(line.astype(np.int32)[:, None], tokens, freq, cum, 0, 1)
    assert freq[0, 0] == high[0, byte >> 4]
    assert freq[1, 0] == low[0, byte & 15]
    assert cum[0, 0] == high[0, : byte >> 4].sum()
    assert cum[1, 0] == low[0, : byte & 15].sum()


def test_tables_are_far_from_the_middle_between_integers():
    """So that every correct library of elementary functions rounds to the same ones."""
    k = np.arange(arithmetic.SINES)
    sines = 127 * np.sin(2 * np.pi * k / arithmetic.SINES)
    x = np.arange(-arithmetic.GATE_LIMIT, arithmetic.GATE_LIMIT + 1) / arithmetic.GATE_ONE
    silu = arithmetic.SILU_ONE * x / (1 + np.exp(-x))
    for values in (sines, silu):
        assert np.abs(values - np.floor(values) - 0.5).min() > 1e-6
