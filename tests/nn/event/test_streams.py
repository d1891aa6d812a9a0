"""Tests of network streams: damage, overhead, pinned words."""

import importlib.util

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vortex_hep.codec.tokens import rans
from vortex_hep.codec.tokens.fields import Field, write_tokens
from vortex_hep.codec.tokens.rows import row_set
from vortex_hep.codec.tokens.transforms import Segments
from vortex_hep.nn.coding.engine import get_engine
from vortex_hep.nn.event import network
from vortex_hep.nn.event.model import EventModel, Link, Shape
from vortex_hep.testing.conformance.engines import check_truncated_words
from vortex_hep.testing.conformance.engines.cases import (
    THREE,
    Case,
    decode,
    encode,
    link_field,
    make_case,
    targets,
)

NAMES = ["cpu", "reference"]
if importlib.util.find_spec("torch") is not None:
    NAMES.append("torch")


@pytest.fixture(scope="module")
def case() -> Case:
    return make_case(20, lanes=16, longest=6, widths=(3, 12, 64), flat=(0, 1, 4))


@pytest.mark.parametrize("name", NAMES)
def test_truncated_streams_are_refused(name, case):
    words = encode(get_engine("cpu"), case, 64).words[0]
    step = 1 if name == "cpu" else 37
    check_truncated_words(get_engine(name), case, words, step=step)


@settings(max_examples=40)
@given(at=st.integers(0, 1 << 20), flip=st.integers(1, (1 << 32) - 1))
def test_damaged_words_end_and_never_pass_for_the_same_tokens(at, flip):
    case = make_case(21, lanes=16, longest=6, widths=(3, 12), links=THREE)
    words = encode(get_engine("cpu"), case, 64).words[0]
    words[at % len(words)] ^= np.uint32(flip)
    used, tokens, _, _ = decode(get_engine("cpu"), case, 64, [words])
    assert used == [-1] or not np.array_equal(tokens, case.tokens)
    assert tokens.max() < 16


@settings(max_examples=30)
@given(st.binary(max_size=400), st.integers(0, 5))
def test_random_words_end(garbage, seed):
    case = make_case(seed, lanes=16, longest=6, widths=(3, 12), links=THREE[seed % 2 :])
    words = np.frombuffer(garbage[: len(garbage) // 4 * 4], "<u4").astype(np.uint32)
    used, tokens, _, _ = decode(get_engine("cpu"), case, 64, [words])
    assert -1 <= used[0] <= len(words)
    assert tokens.max() < 16


@pytest.mark.parametrize("name", NAMES)
def test_engines_agree_on_damaged_streams(name, case):
    words = encode(get_engine("cpu"), case, 64).words[0]
    words[len(words) // 2] ^= np.uint32(0x5A5A5A5A)
    used, _, _, _ = decode(get_engine(name), case, 64, [words])
    assert used == decode(get_engine("cpu"), case, 64, [words])[0]


def test_overhead_is_below_a_thousandth():
    case = make_case(22, lanes=512, longest=30, widths=(4, 8, 10), hidden=32, weights="small")
    coded = encode(get_engine("cpu"), case, 512)
    stored = 32 * sum(len(w) for w in coded.words)
    assert coded.bits.sum() > 1e5
    assert coded.bits.sum() < stored <= 1.001 * coded.bits.sum()


def test_nothing_coded_costs_the_states_alone():
    case = make_case(23, longest=0)
    coded = encode(get_engine("cpu"), case, 64)
    assert [len(w) for w in coded.words] == [2 * rans.STATES]


def pinned_case(foreign: bool) -> Case:
    """A model and rows made of formulas, so that no library's random numbers matter."""
    links = 2 if foreign else 1
    fields = (
        *[link_field()] * links,
        Field(("a",), 0, "<u8", 0, 0, Segments(*_range(6)), np.array([3, 9, 40], np.uint64)),
        Field(("b",), 0, "<u8", 0, 0, Segments(*_range(13)), np.array([99], np.uint64), 2),
    )
    n_tokens = sum(len(f.token_widths) for f in fields)
    shape = Shape(len(fields), n_tokens, 16, 8, 1, True, (len(fields), 6)[:links])
    weights = {
        name: ((np.arange(np.prod(size)) * (37 + 2 * k)) % 97 - 48).astype(np.int32).reshape(size)
        for k, (name, size) in enumerate(shape.weight_shapes().items())
    }
    leads = (Link("t", ("",) * len(fields)), Link("s", ("", "", "p", "q")))[:links]
    model = EventModel("t", fields, shape, (("", "c"),), weights, np.zeros((len(fields), 2)), leads)
    net = network.unpack(model)
    rows = row_set(np.array([0, 3, 3, 7, 8, 13], np.int64))
    compact = [rows.position, rows.position * 11 % 64, rows.position * 1000 % 8192]
    if foreign:
        compact.insert(1, rows.position * 2 % 5)
    tokens = np.zeros((len(rows.lane), n_tokens), np.uint8)
    first = 0
    for f, values in zip(fields, compact, strict=True):
        write_tokens(values.astype(np.uint64), f.width, tokens, first)
        first += len(f.token_widths)
    buckets = (np.arange(5) * 7).astype(np.uint8)[:, None]
    offsets = np.array([rows.offsets, [13, 15, 15, 18, 21, 23]], np.int64)[:links]
    n = 10 if foreign else 0
    there = (np.arange(n * n_tokens) * 5 % 16).astype(np.uint8).reshape(n, n_tokens)
    there[::3] = tokens[:n:3]
    there[1::4, -2] = network.UNKNOWN
    there[:, : net.field_start[links]] = network.UNKNOWN
    seen = (np.arange(n * 6) * 11 % 32).astype(np.uint8).reshape(n, 6)
    rows.link = targets(model, net, rows, tokens, offsets)
    return Case(model, net, rows, tokens, buckets, there, seen, offsets)


def _range(width: int) -> tuple[np.ndarray, np.ndarray]:
    return np.zeros(1, np.uint64), np.array([(1 << width) - 1], np.uint64)


#: Any change here changes every archive: see docs/SPEC.md before touching it.
PINNED = [
    251790692, 2652945070, 2760114290, 1, 477233158, 87691086, 1652162579, 49467690, 44368050,
    1744110620, 156435169, 2522875831, 3978300048, 1665012987, 4117498633, 492107515, 3855876124,
    1265129150, 3475115070, 807209528, 3370156061, 2440199450, 1144127853, 3812674852, 65054,
]  # fmt: skip


#: The same with a link to another table.
PINNED_FOREIGN = [
    1850671997, 1671932148, 1313472528, 651765, 716374021, 221772604, 610271254, 6, 2408775810,
    1482884180, 2342715417, 1623392350, 962135137, 3571452133, 442567377, 693156138, 235200257,
    206687213, 444613801, 1543520293, 3744399734, 456786038, 1574597705, 3439735570, 809895125,
    3698277206, 1291583845, 3099603325, 579776, 2863332187,
]  # fmt: skip


@pytest.mark.parametrize("pinned", [PINNED, PINNED_FOREIGN], ids=["own", "foreign"])
@pytest.mark.parametrize("name", NAMES)
def test_pinned_words(name, pinned):
    case = pinned_case(pinned is PINNED_FOREIGN)
    assert encode(get_engine(name), case, 8).words[0].tolist() == pinned
    used, tokens, _, links = decode(get_engine(name), case, 8, [np.array(pinned, np.uint32)])
    assert used == [len(pinned)]
    assert np.array_equal(tokens, case.tokens)
    assert case.rows.link is not None
    assert np.array_equal(links, case.rows.link)
    assert (links >= 0).sum(axis=1).tolist() == [9, 5][: len(links)]
