"""Tests of table chunks coded by event models: lossless whatever the model knows of the data."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest

from vortex_hep.codec.columns import classical
from vortex_hep.codec.plan import Plan
from vortex_hep.codec.tokens.fields import LINKED_ROW, NO_REFERENCE, PREVIOUS_ROW, Field
from vortex_hep.codec.tokens.rows import Source
from vortex_hep.codec.tokens.transforms import Segments
from vortex_hep.core.schema import ColumnSpec, TableData, VarBytes
from vortex_hep.errors import CorruptionError
from vortex_hep.nn.coding.eventtable import EventDecoder, EventEncoder
from vortex_hep.nn.coding.tablechunk import decoded_bytes
from vortex_hep.nn.coding.tabledecoder import TableDecoder
from vortex_hep.nn.coding.tableencoder import TableEncoder
from vortex_hep.nn.event.model import EventModel, Link, Shape

SPECS = (
    ColumnSpec("index", "<i2", link="T"),
    ColumnSpec("pt", "<f4"),
    ColumnSpec("eta", "<f4"),
    ColumnSpec("vector", "<f4", (3,)),
    ColumnSpec("good", "|b1"),
    ColumnSpec("tight", "|b1"),
    ColumnSpec("big", "<u8"),
    ColumnSpec("name", "bytes", interpretation="string"),
)
PLAN = Plan("T", "T", tuple(s.name for s in SPECS), None, True)


def make_data(seed: int, lanes: int = 700) -> TableData:
    rng = np.random.default_rng(seed)
    counts = rng.integers(0, 6, lanes)
    offsets = np.concatenate([[0], np.cumsum(counts)])
    n = int(offsets[-1])
    place = np.arange(n) - np.repeat(offsets[:-1], counts)
    pt = rng.exponential(30, n).astype("<f4").view("<u4") & np.uint32(0xFFFFF000)
    flags = rng.random((2, n)) < 0.5
    lengths = rng.integers(0, 4, n)
    return TableData(
        offsets,
        {
            "index": np.where(place > 0, rng.integers(-1, 3, n), -1).astype("<i2"),
            "pt": pt.view("<f4"),
            "eta": rng.normal(size=n).astype("<f4"),
            "vector": rng.integers(0, 9, (n, 3)).astype("<f4"),
            "good": flags[0],
            "tight": flags[0] & flags[1],
            "big": rng.integers(0, 1 << 63, n, dtype="<u8"),
            "name": VarBytes(
                np.concatenate([[0], np.cumsum(lengths)]),
                rng.integers(0, 255, int(lengths.sum())).astype("u1"),
            ),
        },
    )


def whole(width: int, start: int = 0) -> Segments:
    return Segments(np.array([start], np.uint64), np.array([(1 << width) - 1], np.uint64))


def make_model(seed: int, *, network_wins: bool = True, foreign: bool = False) -> EventModel:
    rng = np.random.default_rng(seed)
    th = np.array([3, 9, 200], np.uint64)
    pointer = Field(("@S",), 0, "<i2", 0, NO_REFERENCE, whole(2, (1 << 15) - 1), th[:1])
    fields = (
        Field(("index",), 0, "<i2", 0, NO_REFERENCE, whole(3, (1 << 15) - 1), th[:2]),
        *((pointer,) if foreign else ()),
        Field(("pt",), 0, "<f4", 12, PREVIOUS_ROW, whole(20), th, 1),
        Field(("eta",), 0, "<f4", 0, NO_REFERENCE if foreign else LINKED_ROW, whole(33), th, 4),
        *(Field(("vector",), k, "<f4", 20, NO_REFERENCE, whole(12), th) for k in range(3)),
        Field(("good", "tight"), 0, "|b1", 0, NO_REFERENCE, whole(2), th[:1]),
        Field(("absent",), 0, "<f4", 0, NO_REFERENCE, whole(8), th),
    )
    tokens = sum(len(f.token_widths) for f in fields)
    links = [Link("T", tuple(f.columns[0] for f in fields))]
    if foreign:
        same = tuple("S_eta" if f.columns == ("eta",) else "" for f in fields)
        links.append(Link("S", same, (("eta", "S_eta"), ("pt", "S_phi"))))
    counts = (len(fields), 5)[: len(links)]
    shape = Shape(len(fields), tokens, 16, 8, 0, True, counts)
    weights = {
        k: rng.integers(-90, 90, s).astype(np.int32) for k, s in shape.weight_shapes().items()
    }
    expected = np.ones((len(fields), 2)) * ([1.0, 1e5] if network_wins else [1e5, 1.0])
    return EventModel("T", fields, shape, (), weights, expected, tuple(links))


def make_source(data: TableData, seed: int) -> Source:
    """Rows of another table, some of them near those of ``data``."""
    rng = np.random.default_rng(seed)
    counts = rng.integers(0, 4, len(data.offsets) - 1)
    n = int(counts.sum())
    eta = rng.normal(size=n).astype("<f4")
    pt = np.asarray(data.columns["pt"])
    phi = rng.choice(pt, n).astype("<f4")
    phi[::2] = np.resize(pt, len(phi[::2]))
    return Source(
        np.concatenate([[0], np.cumsum(counts)]),
        {"S_eta": eta, "S_phi": phi},
        rng.integers(0, 4, (n, 5)).astype(np.uint8),
    )


def round_trip(
    data: TableData,
    model: EventModel,
    effort: classical.Effort = "fast",
    sources: Sequence[Source | None] = (),
) -> set[str]:
    lanes = len(data.offsets) - 1
    empty = np.zeros((lanes, 0), np.uint8)
    with ThreadPoolExecutor(2) as pool:
        encoder = EventEncoder(model, PLAN, SPECS, effort, pool)
        rows, tokens = encoder.tokenise(data, sources)
        chunk = encoder.encode(data, rows, tokens, empty, sources)
        decoder = EventDecoder(model, PLAN, SPECS, pool)
        back, compact = decoder.decode(chunk.payload, lanes, None, lambda: empty, sources)
    if tokens is not None and compact is not None:  # what other tables will see of this one
        for ours, theirs in zip(tokens.compact, compact, strict=True):
            np.testing.assert_array_equal(ours, theirs)
    assert decoded_bytes(PLAN, SPECS, back) == decoded_bytes(PLAN, SPECS, data)
    return {c.coder for c in chunk.columns}


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("effort", ["fast", "normal"])
def test_network_and_classical_columns_round_trip(seed: int, effort: classical.Effort) -> None:
    assert "strings" in round_trip(make_data(seed), make_model(seed), effort)


def forced(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the network code all it may, however much it costs."""
    monkeypatch.setattr("vortex_hep.nn.coding.tableencoder._SMALL_BYTES", 1 << 40)


@pytest.mark.parametrize("seed", range(4))
def test_all_fields_by_the_network(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    forced(monkeypatch)
    assert "network" in round_trip(make_data(seed), make_model(seed))


@pytest.mark.parametrize("seed", range(4))
def test_links_to_another_table(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    forced(monkeypatch)
    data = make_data(seed)
    sources = [None, make_source(data, seed)]
    assert "network" in round_trip(data, make_model(seed, foreign=True), "fast", sources)


def test_link_to_a_table_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    forced(monkeypatch)
    assert "network" in round_trip(make_data(7), make_model(7, foreign=True), "fast", [None, None])


def test_links_whose_columns_all_lose() -> None:
    data = make_data(8)
    model = make_model(8, foreign=True, network_wins=False)
    round_trip(data, model, "fast", [None, make_source(data, 8)])


def test_values_outside_the_segments_are_escapes(monkeypatch: pytest.MonkeyPatch) -> None:
    forced(monkeypatch)
    data = make_data(9)
    bits = data.columns["pt"].view("<u4")  # type: ignore[union-attr]
    bits[::17] = 0x7FC00001
    bits[5::31] = 0x80000000
    data.columns["index"][::13] = 30000  # type: ignore[index]
    data.columns["good"].view("u1")[::19] = 7  # type: ignore[union-attr]
    assert "network" in round_trip(data, make_model(9))


def test_columns_of_another_type_are_left_to_classical_coders() -> None:
    data = make_data(3)
    data.columns["pt"] = data.columns["pt"].astype("<f8")  # type: ignore[union-attr]
    specs = tuple(ColumnSpec("pt", "<f8") if s.name == "pt" else s for s in SPECS)
    lanes = len(data.offsets) - 1
    empty = np.zeros((lanes, 0), np.uint8)
    with ThreadPoolExecutor(1) as pool:
        encoder = EventEncoder(make_model(3), PLAN, specs, "fast", pool)
        chunk = encoder.encode(data, *encoder.tokenise(data), empty)
        back, _ = EventDecoder(make_model(3), PLAN, specs, pool).decode(
            chunk.payload, lanes, None, lambda: empty
        )
    assert decoded_bytes(PLAN, specs, back) == decoded_bytes(PLAN, specs, data)


def test_a_network_that_loses_codes_nothing() -> None:
    assert "network" not in round_trip(make_data(1), make_model(1, network_wins=False))


def test_without_a_network() -> None:
    data = make_data(1)
    with ThreadPoolExecutor(2) as pool:
        chunk = TableEncoder(PLAN, SPECS, "fast", pool).encode(data)
    back = TableDecoder(PLAN, SPECS).decode(chunk.payload, len(data.offsets) - 1, None)
    assert decoded_bytes(PLAN, SPECS, back) == decoded_bytes(PLAN, SPECS, data)
    assert not chunk.uses_network
    assert "network" not in {c.coder for c in chunk.columns}


@pytest.mark.parametrize("lanes", [0, 1, 3])
def test_few_lanes(lanes: int) -> None:
    round_trip(make_data(2, lanes), make_model(2))


def test_network_loses_to_the_classical_coders() -> None:
    """The floor: random weights must not make a column larger than its classical coding."""
    data = make_data(4)
    lanes = len(data.offsets) - 1
    empty = np.zeros((lanes, 0), np.uint8)
    with ThreadPoolExecutor(1) as pool:
        plain = TableEncoder(PLAN, SPECS, "max", pool).encode(data)
        encoder = EventEncoder(make_model(4), PLAN, SPECS, "max", pool)
        chunk = encoder.encode(data, *encoder.tokenise(data), empty)
    assert len(chunk.payload) <= len(plain.payload) + 64


def test_every_cut_of_a_chunk_is_refused() -> None:
    data = make_data(5, 40)
    empty = np.zeros((40, 0), np.uint8)
    with ThreadPoolExecutor(1) as pool:
        encoder = EventEncoder(make_model(5), PLAN, SPECS, "fast", pool)
        payload = encoder.encode(data, *encoder.tokenise(data), empty).payload
        decoder = EventDecoder(make_model(5), PLAN, SPECS, pool)
        for cut in range(0, len(payload), 7):
            with pytest.raises(CorruptionError):
                decoder.decode(payload[:cut], 40, None, lambda: empty)
        with pytest.raises(CorruptionError):
            decoder.decode(payload + b"\0", 40, None, lambda: empty)


FOLDED = Plan("W", "W", ("w", "v"), "nW", True)
FOLDED_SPECS = (ColumnSpec("w", "<f4"), ColumnSpec("v", "<u2"))


def test_components_that_no_field_covers_are_left_to_classical_coders(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    forced(monkeypatch)
    model = make_model(6)
    fields = tuple(f for f in model.fields if f.component != 1)
    tokens = sum(len(f.token_widths) for f in fields)
    shape = replace(model.shape, fields=len(fields), tokens=tokens, links=(len(fields),))
    weights = {k: np.ones(s, np.int32) for k, s in shape.weight_shapes().items()}
    links = (Link("T", tuple(f.columns[0] for f in fields)),)
    model = replace(
        model, fields=fields, shape=shape, weights=weights, links=links,
        expected=np.ones((len(fields), 2)) * [1.0, 1e5],
    )  # fmt: skip
    assert "network" in round_trip(make_data(6), model)


def folded_case(length: int, lanes: int) -> tuple[TableData, EventModel]:
    rng = np.random.default_rng(length)
    n = length * lanes
    data = TableData(
        np.arange(lanes + 1) * length,
        {"w": rng.normal(1, 0.01, n).astype("<f4"), "v": rng.integers(0, 9, n, "<u2")},
    )
    th = np.array([2, 5], np.uint64)
    fields = tuple(
        Field((name,), k, dtype, 0, NO_REFERENCE, whole(width), th)
        for name, dtype, width in (("w", "<f4", 32), ("v", "<u2", 4))
        for k in range(3)
    )
    shape = Shape(6, sum(len(f.token_widths) for f in fields), 16, 16, 0, False)
    weights = {
        k: rng.integers(-60, 60, s).astype(np.int32) for k, s in shape.weight_shapes().items()
    }
    expected = np.ones((6, 2)) * [1.0, 1e5]
    return data, EventModel("W", fields, shape, (), weights, expected, (), 3)


@pytest.mark.parametrize("length", [3, 4])
def test_lists_of_one_length_are_folded(length: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A model of lists of three codes those, and leaves others to the classical coders."""
    forced(monkeypatch)
    data, model = folded_case(length, 600)
    empty = np.zeros((600, 0), np.uint8)
    with ThreadPoolExecutor(2) as pool:
        encoder = EventEncoder(model, FOLDED, FOLDED_SPECS, "fast", pool)
        chunk = encoder.encode(data, *encoder.tokenise(data), empty)
        decoder = EventDecoder(model, FOLDED, FOLDED_SPECS, pool)
        back, _ = decoder.decode(chunk.payload, 600, np.full(600, length), lambda: empty)
    assert chunk.uses_network == (length == 3)
    assert decoded_bytes(FOLDED, FOLDED_SPECS, back) == decoded_bytes(FOLDED, FOLDED_SPECS, data)
