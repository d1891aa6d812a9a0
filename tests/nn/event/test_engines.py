"""Tests that every engine of the event model computes the integers of the definition."""

import importlib.util
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vortex_hep.core.options import DEVICES
from vortex_hep.errors import CorruptionError, UnsupportedFeatureError, UnsupportedTypeError
from vortex_hep.nn.coding import engine as engines
from vortex_hep.nn.coding.engine import Engine, get_engine
from vortex_hep.nn.coding.stepwise import ReferenceEngine
from vortex_hep.nn.devices import cuda_available
from vortex_hep.nn.event.model import Link
from vortex_hep.nn.event.network import UNKNOWN, GroupArrays, link_values, unpack
from vortex_hep.testing.conformance.engines import (
    EVENT_FEATURES,
    check_engine_equals_definition,
    check_engine_names,
    check_given_fields,
)
from vortex_hep.testing.conformance.engines.cases import (
    FOREIGN,
    OWN,
    PARTLY,
    THREE,
    Case,
    cut_groups,
    encode,
    make_case,
    number_field,
)
from vortex_hep.testing.conformance.engines.event import check_engine_decodes

needs_torch = pytest.mark.skipif(
    importlib.util.find_spec("torch") is None, reason="torch is not installed"
)
needs_cuda = pytest.mark.skipif(not cuda_available(), reason="no CUDA device")

NAMES: list[Any] = [
    "cpu",
    "reference",
    pytest.param("torch", marks=needs_torch),
    pytest.param("cuda", marks=[needs_cuda, pytest.mark.gpu]),
]
OTHERS = [n for n in NAMES if n != "reference"]


@cache
def engine(name: str) -> Engine:
    return get_engine(name)


def check(name: str, case: Case, size: int, threads: int = 1) -> None:
    check_engine_equals_definition(engine(name), case, size, threads=threads)


def test_every_engine_has_its_line_here():
    check_engine_names({getattr(name, "values", (name,))[0] for name in NAMES})


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("feature", EVENT_FEATURES)
def test_engine_equals_the_definition(name, feature):
    check(name, make_case(3, **EVENT_FEATURES[feature]), 5)


@pytest.mark.parametrize("size", [1, 2, 7, 64])
def test_grouping_does_not_change_frequencies(size):
    check("cpu", make_case(5, lanes=40), size)


@pytest.mark.parametrize("threads", [1, 2, 4])
def test_compiled_engine_in_threads(threads):
    check("cpu", make_case(6, lanes=60, hidden=32, head=16), 8, threads)


@needs_torch
@pytest.mark.parametrize("threads", [1, 2])
def test_torch_engine_at_any_thread_count(threads):
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        check("torch", make_case(7, lanes=30, hidden=64, head=32), 16, threads)
    finally:
        torch.set_num_threads(before)


@needs_torch
def test_torch_engine_whatever_the_precision_of_products():
    import torch

    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("medium")
    try:
        check("torch", make_case(8, hidden=64, weights="extreme"), 16)
    finally:
        torch.set_float32_matmul_precision(before)


def test_context_of_blocks_belongs_to_rows():
    case = make_case(3, links=(), block=16, lane_fields=2, lanes=8, weights="small")
    assert len(case.lane_buckets) == len(case.tokens) == 72
    assert case.rows.offsets.tolist() == [0, 16, 32, 48, 64, 72]
    before = encode(engine("cpu"), case, 64)
    case.lane_buckets[71] = (case.lane_buckets[71] + 1) % 32
    after = encode(engine("cpu"), case, 64)
    # Lists 0 to 3 are as long as one another, and the last list ends with its eighth row.
    step = 5 * case.n_tokens
    changed = np.flatnonzero(before.freq[0] != after.freq[0])
    assert len(changed)
    assert (changed // step == 7).all()
    assert (changed % 5 == 4).all()


@settings(max_examples=25)
@given(
    seed=st.integers(0, 1 << 30),
    widths=st.lists(st.integers(1, 64), min_size=1, max_size=4),
    hidden=st.sampled_from([8, 16, 24, 40, 64]),
    head=st.sampled_from([8, 16, 24, 32, 48]),
    previous=st.booleans(),
    links=st.lists(st.sampled_from([OWN, FOREIGN, PARTLY]), max_size=4),
    lane_fields=st.integers(0, 3),
    weights=st.sampled_from(["random", "small", "extreme"]),
    lanes=st.integers(0, 20),
    size=st.sampled_from([1, 4, 16]),
)
def test_engines_agree_on_random_models(
    seed, widths, hidden, head, previous, links, lane_fields, weights, lanes, size
):
    flat = [seed % 7 * len(widths) % 3 if w > 8 else 0 for w in widths]
    case = make_case(
        seed, widths=widths, flat=flat, hidden=hidden, head=head, previous=previous, links=links,
        lane_fields=lane_fields, weights=weights, lanes=lanes, longest=4,
    )  # fmt: skip
    check("cpu", case, size)
    check("reference", case, size)


@pytest.mark.parametrize("links", [(OWN,), THREE], ids=["one link", "three links"])
@pytest.mark.parametrize("reader", NAMES)
@pytest.mark.parametrize("writer", NAMES)
def test_every_engine_reads_what_every_engine_writes(writer, reader, links):
    case = make_case(9, lanes=25, hidden=32, head=24, links=links)
    check_engine_decodes(engine(reader), case, encode(engine(writer), case, 10), 10)


@pytest.mark.parametrize("name", OTHERS)
@pytest.mark.parametrize("links", [(OWN,), THREE], ids=["one link", "three links"])
@pytest.mark.parametrize("known", [(0,), (1, 3), range(9)])
def test_given_fields_are_not_coded(name, known, links):
    case = make_case(10, lanes=25, links=links)
    check_given_fields(engine(name), case, known, 10)


@pytest.mark.parametrize("name", ["reference", pytest.param("torch", marks=needs_torch)])
@pytest.mark.parametrize("links", [(OWN,), THREE], ids=["one link", "three links"])
def test_groups_in_lock_step(name, links):
    case = make_case(11, lanes=30, links=links)
    coder = engine(name)
    assert isinstance(coder, ReferenceEngine)
    coded = encode(engine("cpu"), case, 7)
    cut = cut_groups(case.rows.offsets, 7)
    fields = len(case.model.fields)
    buckets = case.stacked_buckets()
    link_row = np.zeros((len(links), len(case.tokens)), np.int64)
    none_given = np.zeros(fields, np.bool_)
    groups = [
        GroupArrays(
            cut.lanes[g], cut.active[g], np.zeros_like(coded.freq[g]),
            np.zeros_like(coded.cum[g]), np.zeros(fields), coded.words[g],
        )
        for g in range(len(cut.lanes))
    ]  # fmt: skip
    cluster = case.cluster(case.stacked(case.tokens), buckets, link_row, none_given)
    coder.run_groups(case.net, cluster, groups, False)
    for g, group in enumerate(groups):
        assert np.array_equal(group.freq, coded.freq[g])
        assert np.array_equal(group.cum, coded.cum[g])
        assert np.allclose(group.bits, coded.bits[g])
    # One that fails must not disturb the others.
    groups[1] = groups[1]._replace(words=groups[1].words[:9])
    tokens = case.stacked(case.known())
    used = coder.run_groups(case.net, cluster._replace(tokens=tokens), groups, True)
    assert used == [len(w) if g != 1 else -1 for g, w in enumerate(coded.words)]
    others = np.flatnonzero(~np.isin(case.rows.lane, cut.lanes[1]))
    assert np.array_equal(tokens[others], case.tokens[others])


def test_cases_with_links_have_what_they_are_meant_to_test():
    case = make_case(3, links=THREE, lanes=30)
    link, n = case.rows.link, len(case.tokens)
    assert link is not None
    assert link.shape == (3, n)
    assert ((link >= 0).mean(axis=1) > 0.15).all()
    assert ((link < 0).mean(axis=1) > 0.15).all()
    assert (link[0] < n).all()
    assert (case.net.own_link == [True, False, False]).all()
    assert case.net.has_match[0].all()
    assert case.net.has_match[2].all()
    assert 0 < case.net.has_match[1].mean() < 1
    stacked = case.stacked(case.tokens)
    for k in range(3):
        rows = np.flatnonzero(link[k] >= 0)
        there = stacked[link[k, rows]][:, case.net.has_match[k]]
        here = case.tokens[rows][:, case.net.has_match[k]]
        assert 0.2 < (there == here).mean() < 0.95
        assert (there == UNKNOWN).any() == (k > 0)


def test_what_a_link_leads_to_matters():
    case = make_case(3, links=THREE, lanes=30)
    link, n = case.rows.link, len(case.tokens)
    assert link is not None
    before = encode(engine("cpu"), case, 64)
    assert np.array_equal(before.link_row, link)
    for k in (1, 2):
        row = int(link[k][link[k] >= 0][0]) - n
        for what in (case.foreign_tokens, case.foreign_buckets):
            kept = what.copy()
            what[row] = (what[row] + 1) % 16
            after = encode(engine("cpu"), case, 64)
            what[:] = kept
            assert not np.array_equal(before.freq[0], after.freq[0])


def test_links_that_do_not_fit_are_refused():
    model = make_case(3, links=THREE).model
    own, *others = model.links
    short = Link("s", others[0].counterparts[1:])
    for links in ((), (own,), (own, *others, own), (own, others[0], short)):
        with pytest.raises(CorruptionError, match="does not fit its links"):
            unpack(replace(model, links=links))
    with pytest.raises(CorruptionError, match="does not fit its links"):
        unpack(replace(model, links=(own, own, own)))  # sees as many columns as there are fields
    field = number_field(12, np.random.default_rng(0))
    for wrong in (replace(field, dtype="<f4"), replace(field, component=1)):
        with pytest.raises(CorruptionError, match="plain column"):
            link_values(wrong)


def test_information_content_is_what_frequencies_say():
    case = make_case(12, lanes=30)
    for name in ("cpu", "reference"):
        coded = encode(engine(name), case, 8)
        freq = np.concatenate(coded.freq).astype(np.float64)
        assert np.isclose(coded.bits.sum(), -np.log2(freq / 65536).sum(), rtol=1e-9)


def test_cpu_is_always_there():
    assert set(engines._ENGINES) == set(DEVICES)
    assert get_engine().run_group is not None


def test_unknown_engine():
    with pytest.raises(UnsupportedTypeError, match=r"one of auto.*reference, not 'tpu'"):
        get_engine("tpu")


@pytest.mark.parametrize("device", ["torch", "cuda"])
def test_missing_torch_says_what_to_do(monkeypatch, device):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UnsupportedFeatureError, match="pip install"):
        get_engine(device)


@needs_torch
def test_missing_cuda_says_what_to_do(monkeypatch):
    monkeypatch.setattr("vortex_hep.nn.devices.cuda_available", lambda: False)
    with pytest.raises(UnsupportedFeatureError, match=r"CUDA.*'cpu'"):
        get_engine("cuda")
