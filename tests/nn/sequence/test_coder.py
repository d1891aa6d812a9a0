"""Tests of coding records by a transformer: lanes, groups, streams, refused input."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vortex_hep.errors import CorruptionError, UnsupportedTypeError
from vortex_hep.nn.sequence.coder import (
    _CACHE_BYTES,
    Cut,
    LaneChoice,
    SequenceCoder,
    cache_bytes,
    cut_of,
    encode_group,
    lane_groups,
    token_bits,
)
from vortex_hep.nn.sequence.compiled import Compiled
from vortex_hep.nn.sequence.reference import Reference
from vortex_hep.testing.conformance.engines.sequences import random_model

SMALL: dict[str, Any] = {
    "width": 8, "heads": 2, "layers": 1, "ff": 6, "types": 3, "window": 9, "chunk": 7,
}  # fmt: skip
MODEL = random_model(5, lane_tokens=20, **SMALL)


@pytest.fixture(scope="module")
def pool():
    with ThreadPoolExecutor(2) as executor:
        yield executor


def records_of(rows, seed=0, width=3):
    return np.random.default_rng(seed).integers(0, 256, (rows, width)).astype("u1")


def encode(records, cut, coded=None, *, together=1, operations=None, **how):
    coder = SequenceCoder(MODEL, operations or Compiled(MODEL), cut, together=together, **how)
    coded = np.ones(3, np.bool_) if coded is None else coded
    return [
        encode_group(group, freq, cum, coded) for group, freq, cum in coder.frequencies(records)
    ]


def decode(records, streams, cut, coded=None, *, together=1, operations=None, **how):
    """Decode into zeros beside the tokens that are given."""
    coded = np.ones(3, np.bool_) if coded is None else coded
    out = np.where(coded, 0, records).astype("u1")
    coder = SequenceCoder(MODEL, operations or Compiled(MODEL), cut, together=together, **how)
    coder.decode(out, coded, streams)
    return out


@given(st.integers(0, 300), st.integers(1, 50), st.integers(0, 5))
def test_groups_hold_every_row_once_and_lanes_of_one_length(rows, lane_rows, log2):
    groups = lane_groups(rows, Cut(lane_rows, 1, memory=False, log2=log2))
    at = 0
    for group in groups:
        assert group.first == at
        assert 1 <= group.lanes <= 1 << log2
        at += group.lanes * group.rows
    assert at == rows
    assert all(g.rows == lane_rows and g.lanes == 1 << log2 for g in groups[:-2])
    if groups and groups[-1].rows < lane_rows:
        assert groups[-1].lanes == 1


@given(
    rows=st.integers(1, 10_000), tokens=st.one_of(st.none(), st.integers(1, 100_000)),
    chunk=st.one_of(st.none(), st.integers(1, 9)), memory=st.one_of(st.none(), st.booleans()),
)  # fmt: skip
def test_cuts_are_what_was_chosen_and_fit_into_memory(rows, tokens, chunk, memory):
    cut = cut_of(MODEL, rows, LaneChoice(tokens, chunk, memory))
    wanted = MODEL.lane_rows if tokens is None else max(1, tokens // 3)
    assert cut.rows == min(rows, wanted)
    assert (cut.chunk, cut.memory) == (chunk or 7, memory is not False)
    assert cache_bytes(MODEL, cut) << cut.log2 <= _CACHE_BYTES


@pytest.mark.parametrize(
    "choice", [LaneChoice(chunk=0), LaneChoice(chunk=10), LaneChoice(tokens=0)], ids=str
)
def test_choices_that_the_model_does_not_have_are_refused(choice):
    with pytest.raises(UnsupportedTypeError, match="chunks have 1 to 9 tokens"):
        cut_of(MODEL, 10, choice)


def test_memory_needs_weights():
    model = random_model(memory=False, **SMALL)
    with pytest.raises(UnsupportedTypeError, match="without memory"):
        cut_of(model, 10, LaneChoice(memory=True))
    assert not cut_of(model, 10).memory


@pytest.mark.slow
@settings(max_examples=25)
@given(
    rows=st.integers(0, 40), lane_rows=st.integers(1, 12), chunk=st.integers(1, 9),
    memory=st.booleans(), log2=st.integers(0, 3), together=st.integers(1, 9),
    coded=st.lists(st.booleans(), min_size=3, max_size=3),
)  # fmt: skip
def test_records_come_back_however_they_are_cut(
    rows, lane_rows, chunk, memory, log2, together, coded
):
    records, mask = records_of(rows, rows), np.array(coded)
    cut = Cut(lane_rows, chunk, memory, log2)
    streams = encode(records, cut, mask)
    assert len(streams) == len(lane_groups(rows, cut))
    found = decode(records, streams, cut, mask, together=together)
    np.testing.assert_array_equal(found, records)


def test_streams_do_not_depend_on_engine_threads_or_passes(pool):
    records, cut = records_of(70), Cut(2, 4, memory=True, log2=4)
    wanted = encode(records, cut, operations=Reference(MODEL))
    for together in (1, 16, 99):
        operations = Compiled(MODEL, pool, 2)
        found = encode(records, cut, together=together, operations=operations, pool=pool, parts=2)
        for a, b in zip(found, wanted, strict=True):
            np.testing.assert_array_equal(a, b)
    with ThreadPoolExecutor(2) as other:
        back = decode(
            records, wanted, cut, together=99, operations=Compiled(MODEL, other, 2),
            pool=other, parts=2,
        )  # fmt: skip
    np.testing.assert_array_equal(back, records)


def test_streams_cost_what_the_frequencies_say():
    records, cut = records_of(60), Cut(6, 7, memory=True, log2=9)
    coder = SequenceCoder(MODEL, Compiled(MODEL), cut, together=1)
    ((group, freq, cum),) = coder.frequencies(records)
    bits = token_bits(freq, 3)
    assert bits.shape == (3,)
    words = encode_group(group, freq, cum, np.ones(3, np.bool_))
    assert 0 <= 32 * len(words) - bits.sum() <= 256 + 32
    for k in range(3):
        alone = encode_group(group, freq, cum, np.arange(3) == k)
        assert 0 <= 32 * len(alone) - bits[k] <= 256 + 32


@pytest.mark.parametrize("log2", [0, 9])
def test_streams_that_are_cut_or_changed_are_refused(log2):
    records, cut = records_of(5), Cut(2, 4, memory=True, log2=log2)
    streams = encode(records, cut)
    for size in range(len(streams[0])):
        with pytest.raises(CorruptionError):
            decode(records, [streams[0][:size], *streams[1:]], cut)
    with pytest.raises(CorruptionError, match="to its end"):
        decode(records, [np.append(streams[0], np.uint32(0)), *streams[1:]], cut)
    for at in range(len(streams[0])):
        bad = streams[0].copy()
        bad[at] ^= np.uint32(1 << (7 * at) % 32)
        with pytest.raises(CorruptionError):
            decode(records, [bad, *streams[1:]], cut)
