"""Tests that all engines of the transformer give the integers of the reference."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vortex_hep.core.options import DEVICES
from vortex_hep.nn.coding.engine import get_engine
from vortex_hep.nn.sequence import arithmetic, kernels
from vortex_hep.nn.sequence.compiled import Compiled
from vortex_hep.nn.sequence.reference import Reference
from vortex_hep.nn.sequence.torch_operations import TorchOperations, TorchWeights
from vortex_hep.testing.conformance.engines.sequences import (
    check_lanes_alone,
    check_operations,
    feed_in_pieces,
    random_lanes,
    random_model,
    saturated_model,
)


def cuda():
    import torch

    return torch.cuda.is_available()


ENGINES: dict[str, Callable[..., Any]] = {
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


def test_every_engine_has_its_line_here(pool):
    model = random_model(0)
    for device in DEVICES:
        if device == "cuda" and not cuda():
            continue
        found = get_engine(device).operations(model, pool, 3)
        made = [make(model, pool) for n, make in ENGINES.items() if n != "cuda" or cuda()]
        assert type(found) in {type(operations) for operations in made}, device


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
    check_operations(
        ENGINES[name](model, pool), model, random_lanes(seed, lanes, tokens), sizes,
        length=tokens if known else None, chunk=chunk, memory=memory,
    )  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_lanes_do_not_know_of_one_another(name, pool):
    model = random_model(1)
    check_lanes_alone(lambda: ENGINES[name](model, pool), model, random_lanes(1, 20, 30))


@pytest.mark.parametrize("name", NAMES)
def test_long_sums_and_saturated_activations_are_exact(name, pool):
    """Sums of more terms than float32 holds exactly, with weights at their limits."""
    model = saturated_model()
    wanted = check_operations(ENGINES[name](model, pool), model, random_lanes(2, 3, 20))
    assert len(np.unique(wanted)) > 100


@pytest.mark.parametrize("name", NAMES)
def test_memory_changes_what_follows_and_only_that(name, pool):
    model = random_model(3)
    inputs = random_lanes(3, 2, 40)
    with_memory = feed_in_pieces(model, ENGINES[name](model, pool), inputs, [99], memory=True)
    without = feed_in_pieces(model, ENGINES[name](model, pool), inputs, [99], memory=False)
    np.testing.assert_array_equal(with_memory[:, :16], without[:, :16])
    assert (with_memory[:, 16:] != without[:, 16:]).any()


def test_what_comes_later_does_not_matter():
    model = random_model(4)
    inputs = random_lanes(4, 2, 40)
    other = inputs.copy()
    other[:, 25:] ^= 1
    a, b = (feed_in_pieces(model, Reference(model), x, [99]) for x in (inputs, other))
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
