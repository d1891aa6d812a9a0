"""Tests of section 9 of docs/SPEC.md: its numbers, and that its text suffices.

:mod:`tests.plain_sequences` was written from the text alone; what it gives is compared here with
what the package gives.
"""

from __future__ import annotations

import re
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests import plain_sequences as plain
from tests.spec_text import section, table_rows
from vortex_hep.codec.sections import join
from vortex_hep.codec.tokens.lanes import MAX_LANES_LOG2
from vortex_hep.codec.tokens.records import RecordColumn, RecordLayout, row_bytes
from vortex_hep.core import zstd
from vortex_hep.errors import CorruptionError
from vortex_hep.models.model import CHUNK_SEQUENCE_MODEL, Model
from vortex_hep.nn.coding.tablechunk import MAX_CELLS
from vortex_hep.nn.sequence import arithmetic, serial
from vortex_hep.nn.sequence import model as limits
from vortex_hep.nn.sequence.coder import (
    MAX_CACHE_BYTES,
    Cut,
    SequenceCoder,
    cache_bytes,
    encode_group,
    lane_groups,
)
from vortex_hep.nn.sequence.compiled import Compiled
from vortex_hep.nn.sequence.model import SequenceModel, SequenceShape
from vortex_hep.nn.sequence.reference import Reference
from vortex_hep.nn.sequence.session import BEGIN, Session
from vortex_hep.testing.conformance.engines.sequences import random_model

WORKED = section("9.6")
SHAPE = SequenceShape(4, 1, 2, 3, 4, 2, 2, memory=True)
CUT = Cut(4, 3, memory=True, log2=1)


def worked_model() -> SequenceModel:
    """The transformer of section 9.6, made by the rules in its table."""
    rows = [row for row in table_rows(WORKED) if len(row) == 10 and row[1].isdigit()]
    rules = {half[0]: map(int, half[1:]) for row in rows for half in (row[:5], row[5:]) if half[0]}
    assert rules.keys() == SHAPE.arrays().keys()
    weights = {}
    for name, (dtype, shape) in SHAPE.arrays().items():
        a, b, m, c = rules[name]
        items = (a * np.arange(np.prod(shape)) + b) % m - c
        weights[name] = items.reshape(shape).astype(dtype)
        np.testing.assert_array_equal(weights[name].reshape(-1), items)
    layout = RecordLayout((RecordColumn("x", "<i2", 1, (-1, -1)),))
    return SequenceModel("t", layout, SHAPE, 3, 8, True, weights, np.zeros((1, 2)))


def worked_records() -> np.ndarray:
    """Records of the example's rows."""
    found = re.search(r"its values are ([-\d, ]+)\.", WORKED)
    assert found is not None
    return row_bytes(np.array([int(v) for v in found[1].split(",")], "<i2"))


class Watched(Reference):
    """Keeps what the residual stream of the first lane is before the layers."""

    def __init__(self, model: SequenceModel) -> None:
        super().__init__(model)
        self.inputs: list[list[int]] = []

    def embed(self, inputs, kinds, positions):
        x = super().embed(inputs, kinds, positions)
        self.inputs += x[0].tolist()
        return x

    def remembered(self) -> list[list[list[int]]]:
        """Keys and values of the first lane in the memory of the first layer."""
        found = self._memory[0]
        return (
            [] if found is None else [part[0].reshape(part.shape[1], -1).tolist() for part in found]
        )


def bits(freq: np.ndarray, symbol: int) -> str:
    return f"{freq[0, symbol]} of {symbol}"


def test_worked_lane_9_6():
    records = worked_records()
    tokens = records[:4].reshape(-1)
    operations = Watched(worked_model())
    session = Session(worked_model(), operations, 1, chunk=CUT.chunk, memory=CUT.memory)
    lines, remembered = [], {}
    for i, byte in enumerate(tokens.tolist()):
        before = BEGIN if i == 0 else tokens[i - 1]
        logits = session.feed(np.array([[before]], np.int64))[0].astype(np.int64)
        remembered[i] = operations.remembered()
        best = int(logits.argmax())
        high = arithmetic.high_frequencies(logits)
        low = arithmetic.low_frequencies(logits, np.array([byte >> 4]))
        lines.append(
            [str(i), str(byte), ", ".join(map(str, operations.inputs[i])), str(logits[0, 0]),
             str(logits[0, 255]), f"{logits[0, best]} of {best}", bits(high, byte >> 4),
             bits(low, byte & 15)]
        )  # fmt: skip
    rows = table_rows(WORKED)
    assert rows[[row[0] for row in rows].index("i") + 1 :] == lines
    assert remembered[2] == []
    told = [
        f"before token {i} the keys {a} and {b} and the values {c} and {d}"
        for i, ((a, b), (c, d)) in ((i, remembered[i]) for i in (3, 6))
    ]
    assert all(words in WORKED for words in told)


def test_worked_streams_9_6():
    records = worked_records()
    coder = SequenceCoder(worked_model(), Compiled(worked_model()), CUT, together=9)
    coded = np.ones(2, np.bool_)
    streams = [encode_group(g, f, c, coded) for g, f, c in coder.frequencies(records)]
    words = [" ".join(f"{word:08X}" for word in stream) for stream in streams]
    assert re.findall(r"`((?:[0-9A-F]{8} ?){8,})`", WORKED) == words
    head = struct.pack("<IIBHI2I", CUT.rows, CUT.chunk, CUT.memory, 1, 8, *map(len, streams))
    assert head.hex(" ").upper() in WORKED
    section_network = head + b"".join(stream.astype("<u4").tobytes() for stream in streams)
    found = [[0, 0] for _ in records]
    network = plain.read_network(section_network, len(records), CUT.log2)
    plain.decode(plain.Plain(serial.dump(worked_model())), network, {}, found)
    assert found == records.tolist()


def test_names_of_the_worked_model_9_6():
    canonical = serial.canonical(worked_model())
    assert f"{len(canonical):,}" in WORKED
    assert canonical[:4].hex(" ").upper() in WORKED
    assert canonical[4 : 4 + int.from_bytes(canonical[:4], "little")].decode() in WORKED
    assert Model({"t": {"t": worked_model()}}).sha256 in WORKED
    assert serial.canonical(serial.load(serial.dump(worked_model()))) == canonical


def test_records_9_1():
    text = section("9.1")
    parts = (RecordColumn("n", "<u2", 1, (0, -1)), RecordColumn("v", "<i2", 2, (-1, -1, 255, -1)))
    columns = {"n": np.array([7], "<u2"), "v": np.array([[258, -2]], "<i2")}
    whole = b"".join(row_bytes(column).tobytes() for column in columns.values())
    assert f"`{whole.hex(' ').upper()}`" in text
    layout = RecordLayout(parts)
    record = layout.pack(columns, 1)
    assert f"`{record.tobytes().hex(' ').upper()}`" in text
    for part, shape in zip(parts, ((), (2,)), strict=True):
        np.testing.assert_array_equal(layout.unpack(record, part, shape), columns[part.name])


def test_arrays_9_2():
    """The text lists all arrays, in order, with their dtypes and ranges."""
    names = plain.listed()
    shapes = SHAPE.arrays()
    assert list(names) == ["expected", *shapes]
    assert {name: dtype for name, (dtype, _) in names.items() if name != "expected"} == {
        name: dtype for name, (dtype, _) in shapes.items()
    }
    told = {
        row[0]: tuple(
            (-1 if sign else 1) * int(base) ** int(power or 1)
            for sign, base, power in re.findall(r"(-?)(\d+)(?:\^(\d+))?", row[3])
        )
        for row in table_rows(section("9.2").replace("\\|", "!"))
        if len(row) == 4 and " to " in row[3]
    }
    assert told == serial._RANGES


def test_limits_9_2():
    rows = {row[0]: row[1] for row in table_rows(section("9.2"))}
    for key, limit in (
        ("width", limits.MAX_WIDTH), ("layers", limits.MAX_LAYERS), ("ff", limits.MAX_FF),
        ("window", limits.MAX_WINDOW), ("rate", limits.MAX_WINDOW),
        ("lane_tokens", limits.MAX_LANE_TOKENS), ("heads", limits.MAX_HEAD_DIM),
        ("columns", limits.MAX_TYPES),
    ):  # fmt: skip
        found = re.findall(r"(\d+)(?:\^(\d+))?", rows[f"`{key}`"])
        assert max(int(base) ** int(power or 1) for base, power in found) == limit
    assert (limits.MAX_WEIGHTS, CHUNK_SEQUENCE_MODEL) == (1 << 30, 4)
    assert "at most 2^30 numbers" in section("9.2")
    assert f"g from 0 to {MAX_LANES_LOG2}" in section("9.4")
    assert "is above 2^32, with" in section("9.5")
    assert (MAX_CACHE_BYTES, MAX_CELLS) == (1 << 32, 1 << 31)


def test_heads_too_wide_for_exact_sums_are_refused_9_2():
    """The document is refused before arrays are read, whatever these are."""
    head, arrays = plain.sections_of(serial.dump(worked_model()))
    text = zstd.decompress(head[4:], int.from_bytes(head[:4], "little"))
    for width, words in ((1024, "count|bytes|items"), (1026, "numbers a head")):
        other = text.replace(b'"width":4', b'"width":%d' % width)
        other = other.replace(b'"heads":2', b'"heads":1')
        packed = len(other).to_bytes(4, "little") + zstd.compress(other)
        with pytest.raises(CorruptionError, match=words):
            serial.load(join([packed, arrays]))


@pytest.mark.parametrize(("rows", "memory"), [(1, True), (3, True), (9, True), (9, False)])
def test_bytes_of_a_lane_9_5(rows, memory):
    assert "B = 2 N d (K + M) + 32 (d + f) + 2048" in section("9.5")
    model = random_model(window=40, rate=3, types=7, width=8, heads=2, layers=3, ff=5)
    k = -(-min(7 * rows, 40) // 16) * 16
    m = 32 if memory and 7 * rows > 16 else 0
    wanted = 2 * 3 * 8 * (k + m) + 32 * (8 + 5) + 2048
    assert cache_bytes(model, Cut(rows, 16, memory, 4)) == wanted


def test_lanes_9_4():
    text = section("9.4")
    assert "Of 11 rows, with 2 rows of a lane and g = 1,\nthe groups have the rows" in text
    groups = lane_groups(11, Cut(2, 3, memory=False, log2=1))
    ends = [(g.first, g.first + g.lanes * g.rows - 1) for g in groups]
    assert ends == [(0, 3), (4, 7), (8, 9), (10, 10)]
    assert "0 to 3, 4 to 7, 8 to 9 and 10." in text


def test_tables_of_sines_and_gates_9_3():
    assert arithmetic.sine_table().tolist() == plain.SINES
    assert arithmetic.silu_table().tolist() == list(plain.GATES.values())


@settings(max_examples=10)
@given(
    seed=st.integers(0, 99), window=st.integers(1, 9), chunk=st.integers(1, 9),
    rate=st.integers(1, 5), types=st.integers(1, 4), memory=st.booleans(),
)  # fmt: skip
def test_the_text_gives_the_logits_of_the_code_9_3(seed, window, chunk, rate, types, memory):
    chunk = min(chunk, window)
    model = random_model(
        seed, width=8, heads=2, layers=2, ff=6, window=window, rate=rate, types=types, chunk=1
    )
    tokens = np.random.default_rng(seed).integers(0, 256, 24)
    inputs = np.concatenate([[BEGIN], tokens[:-1]])[None]
    session = Session(model, Reference(model), 1, chunk=chunk, memory=memory)
    lane = plain.Lane(plain.Plain(serial.dump(model)), chunk, memory)
    for i, byte in enumerate(tokens.tolist()):
        logits = session.feed(inputs[:, i : i + 1])[0]
        assert lane.logits() == logits[0].tolist(), i
        lane.tokens.append(byte)
        high = arithmetic.high_frequencies(logits.astype(np.int64))
        assert plain.high(logits[0].tolist()) == high[0].tolist()
        low = arithmetic.low_frequencies(logits.astype(np.int64), np.array([byte >> 4]))
        assert plain.low(logits[0].tolist(), byte >> 4) == low[0].tolist()
