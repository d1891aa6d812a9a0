"""Tests of table chunks coded by transformers: lossless; damaged and hostile ones are refused."""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vortex_hep.codec.plan import Plan
from vortex_hep.codec.sections import Reader, join
from vortex_hep.codec.tokens.records import RecordColumn, RecordLayout
from vortex_hep.core.schema import COLUMN_DTYPES, ColumnSpec, TableData, VarBytes
from vortex_hep.errors import CorruptionError, UnknownCodecError
from vortex_hep.nn.coding import sequencetable
from vortex_hep.nn.coding.engine import get_engine
from vortex_hep.nn.coding.sequencetable import SequenceDecoder, SequenceEncoder
from vortex_hep.nn.coding.tablechunk import FOLDED, HEAD, NETWORK, decoded_bytes, pack_array
from vortex_hep.nn.coding.tabledecoder import TableDecoder
from vortex_hep.nn.sequence.coder import LaneChoice
from vortex_hep.testing.conformance.engines.sequences import random_model

SMALL = {"width": 8, "heads": 2, "layers": 1, "ff": 6, "window": 9, "chunk": 7, "lane_tokens": 24}


@pytest.fixture(scope="module")
def pool():
    with ThreadPoolExecutor(2) as executor:
        yield executor


def winning(model):
    """A model so much better than other coders that it codes all that it may."""
    return replace(model, expected=np.tile([1e5, 1e6], (len(model.layout.parts), 1)))


def model_of(parts, **changes):
    return winning(random_model(3, layout=RecordLayout(tuple(parts)), **{**SMALL, **changes}))


def plan_of(specs, *, jagged=False):
    return Plan("t", "t", tuple(s.name for s in specs), None, jagged)


def encode(model, specs, data, pool, *, jagged=False, choice=None, engine=None):
    encoder = SequenceEncoder(
        model, plan_of(specs, jagged=jagged), specs, "fast", pool, engine, choice
    )
    return encoder.encode(data)


def decode(model, specs, payload, lanes, pool, *, jagged=False, engine=None):
    decoder = SequenceDecoder(model, plan_of(specs, jagged=jagged), specs, pool, engine)
    return decoder.decode(payload, lanes, None)


@st.composite
def cases(draw):
    """Columns and a model that knows most of them, with some bytes left out."""
    rows = draw(st.sampled_from([0, 1, 2, 9, 40]))
    rng = np.random.default_rng(draw(st.integers(0, 10**6)))
    specs, parts, columns = [], [], {}
    for k in range(draw(st.integers(1, 4))):
        name, dtype = f"c{k}", draw(st.sampled_from(COLUMN_DTYPES))
        inner = draw(st.sampled_from([(), (), (2,), (1, 3), (0,)]))
        items, width = math.prod(inner), np.dtype(dtype).itemsize
        bytes_ = rng.integers(0, 256, (rows, items * width)).astype("u1")
        constant = [-1] * (items * width)
        # Constants with exceptions: few or, sometimes, too many.
        for at in range(items * width - 1):
            if draw(st.booleans()):
                constant[at] = int(rng.integers(0, 256))
                kept = rng.random(rows) < draw(st.sampled_from([0.05, 0.9]))
                bytes_[:, at] = np.where(kept, bytes_[:, at], constant[at])
        data = bytes_.reshape(rows, items, width)[:, :, ::-1]
        columns[name] = np.frombuffer(data.tobytes(), dtype).reshape(rows, *inner)
        specs.append(ColumnSpec(name, dtype, inner))
        fate = draw(st.sampled_from(["known", "known", "known", "unknown", "retyped", "longer"]))
        if fate == "retyped":
            dtype = "<u4" if dtype != "<u4" else "<i4"
            constant = [-1] * 4 * max(1, items)
        elif fate == "longer":
            constant = [-1] * (items + 1) * width
        if fate != "unknown" and constant:
            parts.append(RecordColumn(name, dtype, len(constant) // np.dtype(dtype).itemsize,
                                      tuple(constant)))  # fmt: skip
    parts.append(RecordColumn("gone", "<f4", 1, (0, -1, -1, 0)))
    order = draw(st.permutations(parts))
    memory = draw(st.booleans())
    choice = LaneChoice(
        draw(st.one_of(st.none(), st.integers(1, 60))),
        draw(st.one_of(st.none(), st.integers(1, 9))),
        draw(st.booleans()) if memory else None,
    )
    return tuple(specs), TableData(np.arange(rows + 1), columns), order, memory, choice


@settings(max_examples=40)
@given(case=cases())
def test_tables_come_back_whatever_the_model_knows_of_them(pool, case):
    specs, data, parts, memory, choice = case
    model = model_of(parts, memory=memory)
    chunk = encode(model, specs, data, pool, choice=choice)
    back = decode(model, specs, chunk.payload, data.num_rows, pool)
    assert decoded_bytes(plan_of(specs), specs, back) == decoded_bytes(plan_of(specs), specs, data)
    assert {n: c.shape for n, c in back.columns.items()} == {
        n: c.shape for n, c in data.columns.items()
    }
    assert chunk.uses_network == any(c.coder == "network" for c in chunk.columns)


SPECS = (
    ColumnSpec("n", "<u2"), ColumnSpec("text", "bytes", interpretation="string"),
    ColumnSpec("v", "<i2", (2,)), ColumnSpec("other", "<f4"), ColumnSpec("left", "|u1"),
)  # fmt: skip
PARTS = (
    RecordColumn("v", "<i2", 2, (-1, -1, 3, -1)), RecordColumn("left", "|u1", 1, (-1,)),
    RecordColumn("gone", "<u4", 1, (1, -1, 2, 3)), RecordColumn("n", "<u2", 1, (0, -1)),
)  # fmt: skip


def table(rows=60, seed=0):
    """Rows in lists, a column that the network loses, and some escapes."""
    rng = np.random.default_rng(seed)
    v = rng.integers(0, 1 << 15, (rows, 2)).astype("<i2")
    v[:, 1] = 3 << 8 | v[:, 1] & 255
    n = rng.integers(0, 256, rows).astype("<u2")
    n[[4, -1]], v[7, 1] = (300, 65535), -1
    columns = {
        "n": n, "text": VarBytes(np.arange(rows + 1), rng.integers(65, 70, rows).astype("u1")),
        "v": v, "other": rng.normal(size=rows).astype("<f4"), "left": np.full(rows, 9, "u1"),
    }  # fmt: skip
    return TableData(np.array([0, 0, 5, rows - 1, rows]), columns)


@pytest.fixture(scope="module")
def model():
    made = model_of(PARTS)
    made.expected[1] = 1e6, 1.0
    return made


@pytest.fixture(scope="module")
def chunk(model, pool):
    return encode(model, SPECS, table(), pool, jagged=True)


def same(found, wanted=None):
    wanted = table() if wanted is None else wanted
    plan = plan_of(SPECS, jagged=True)
    return decoded_bytes(plan, SPECS, found) == decoded_bytes(plan, SPECS, wanted)


@pytest.mark.parametrize("device", ["cpu", "reference", "torch"])
def test_every_engine_writes_and_reads_the_same(model, chunk, pool, device):
    engine = get_engine(device)
    payload = encode(model, SPECS, table(), pool, jagged=True, engine=engine).payload
    assert payload == chunk.payload
    assert same(decode(model, SPECS, payload, 4, pool, jagged=True, engine=engine))
    coders = {c.name: c.coder for c in chunk.columns}
    assert {n for n, c in coders.items() if c == "network"} == {"n", "v"}
    assert coders["text"] == "strings"


def decodes(model, payload, pool):
    return decode(model, SPECS, payload, 4, pool, jagged=True)


def parts_of(payload):
    """Head and sections of a chunk."""
    reader = Reader(payload)
    head, sections = reader.take(HEAD.size), []
    while reader.left:
        sections.append(reader.section())
    return head, sections


def with_sections(payload, changes, *, log2=None, flags=0):
    """A chunk with other sections, by their place, and another head."""
    head, sections = parts_of(payload)
    for place, section in changes.items():
        sections[place] = section
    fields = list(HEAD.unpack(head))
    fields[0] |= flags
    fields[1] = fields[1] if log2 is None else log2
    return HEAD.pack(*fields) + join(sections)


ESCAPES, STREAMS = -2, -1


def test_every_prefix_is_refused(model, chunk, pool):
    _, sections = parts_of(chunk.payload)
    for place in (ESCAPES, STREAMS):
        for size in range(len(sections[place])):
            if place == ESCAPES and not size:
                continue
            with pytest.raises(CorruptionError):
                decodes(model, with_sections(chunk.payload, {place: sections[place][:size]}), pool)
        longer = with_sections(chunk.payload, {place: sections[place] + b"\0"})
        with pytest.raises(CorruptionError):
            decodes(model, longer, pool)
    for size in range(0, len(chunk.payload), 11):
        with pytest.raises(CorruptionError):
            decodes(model, chunk.payload[:size], pool)


@pytest.mark.slow
def test_flipped_bytes_raise_or_change_nothing_but_values(model, chunk, pool):
    """What still decodes is caught by the checksum of the data: no other exception, no hang."""
    _, sections = parts_of(chunk.payload)
    raised = silent = 0
    for place in (ESCAPES, STREAMS):
        for at in range(len(sections[place])):
            bad = bytearray(sections[place])
            bad[at] ^= 1 << at % 8
            try:
                found = decodes(model, with_sections(chunk.payload, {place: bytes(bad)}), pool)
            except (CorruptionError, UnknownCodecError):
                raised += 1
            else:
                silent += 1
                # Streams end as they began only if they were read as they were written.
                assert place == ESCAPES or same(found)
    assert raised > silent


@pytest.mark.parametrize(
    ("rows", "chunk_tokens", "memory"),
    [(0, 7, 1), (61, 7, 1), (1 << 31, 7, 1), (4, 0, 1), (4, 10, 1), (4, 7, 2), (4, 7, 255)],
)
def test_heads_that_the_model_cannot_have_are_refused(
    model, chunk, pool, rows, chunk_tokens, memory
):
    _, sections = parts_of(chunk.payload)
    bad = sequencetable._HEAD.pack(rows, chunk_tokens, memory) + sections[STREAMS][9:]
    with pytest.raises(CorruptionError, match="invalid lanes"):
        decodes(model, with_sections(chunk.payload, {STREAMS: bad}), pool)


def test_memory_without_weights_is_refused(chunk, pool):
    """The same arrays but those of the memory: a chunk that asks for it cannot be decoded."""
    without = model_of(PARTS, memory=False)
    with pytest.raises(CorruptionError, match="invalid lanes"):
        decodes(without, chunk.payload, pool)


def test_what_would_take_too_much_memory_is_refused(model, chunk, pool, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(sequencetable, "MAX_CACHE_BYTES", 4000)
        with pytest.raises(CorruptionError, match="more memory than allowed"):
            decodes(model, chunk.payload, pool)
        patch.setattr(sequencetable, "MAX_CACHE_BYTES", 1000)
        assert not encode(model, SPECS, table(), pool, jagged=True).uses_network
    cells = 60 * model.shape.types
    monkeypatch.setattr(sequencetable, "MAX_CELLS", cells)
    assert same(decodes(model, chunk.payload, pool))
    monkeypatch.setattr(sequencetable, "MAX_CELLS", cells - 1)
    with pytest.raises(CorruptionError, match="more tokens"):
        decodes(model, chunk.payload, pool)
    assert not encode(model, SPECS, table(), pool, jagged=True).uses_network


def test_more_groups_than_streams_are_refused_before_they_are_listed(model, chunk, pool):
    _, sections = parts_of(chunk.payload)
    bad = sequencetable._HEAD.pack(1, 7, 1) + sections[STREAMS][9:]
    with pytest.raises(CorruptionError, match="fewer streams"):
        decodes(model, with_sections(chunk.payload, {STREAMS: bad}, log2=0), pool)


@pytest.mark.parametrize("log2", [21, 255])
def test_groups_of_too_many_lanes_are_refused(model, chunk, pool, log2):
    with pytest.raises(CorruptionError, match="head"):
        decodes(model, with_sections(chunk.payload, {}, log2=log2), pool)


def test_folded_lists_are_refused(model, pool):
    """Lists of two rows, told to be folded: a transformer knows no such rows."""
    plan = Plan("t", "t", ("w",), "nW", True)
    specs = (ColumnSpec("w", "|u1"),)
    counts = np.full(5, 2)
    payload = HEAD.pack(1 | FOLDED, 0, 5, 5) + join(
        [pack_array(np.array([NETWORK], "u1")), b"", b"", b"", b"", b""]
    )
    decoder = SequenceDecoder(model, plan, specs, pool)
    with pytest.raises(CorruptionError, match="folded"):
        decoder.decode(payload, 5, counts)


def test_columns_of_other_models_are_refused(model, chunk, pool):
    for parts in (PARTS[:3], (*PARTS[:3], RecordColumn("n", "<i2", 1, (0, -1)))):
        with pytest.raises(CorruptionError, match="unknown to the model"):
            decodes(model_of(parts), chunk.payload, pool)
    plain = TableDecoder(plan_of(SPECS, jagged=True), SPECS)
    with pytest.raises(CorruptionError):
        plain.decode(chunk.payload, 4, None)


def escapes(counts, rows, values):
    arrays = (np.array(counts, "<u4"), np.array(rows, "<u4"), np.array(values, "u1"))
    return b"".join(pack_array(a) for a in arrays)


def test_escapes_are_what_the_text_says(model, chunk, pool):
    """Of ``v`` (two items, one byte left out) and ``n`` (one byte left out)."""
    _, sections = parts_of(chunk.payload)
    right = escapes([1, 0, 0, 2], [7, 4, 59], [255, 1, 255])
    assert sections[ESCAPES] == right
    changed = with_sections(
        chunk.payload, {ESCAPES: escapes([1, 0, 0, 2], [8, 4, 59], [0x80, 1, 255])}
    )
    found = decodes(model, changed, pool).columns["v"]
    wanted = np.array(table().columns["v"])
    wanted[7, 1], wanted[8, 1] = 3 << 8 | 255, int(wanted[8, 1]) % 256 - (1 << 15)
    np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize(
    ("counts", "rows", "values"),
    [
        ([1, 1, 0, 1], [7, 4, 59], [1, 1, 1]),  # a column that is not coded
        ([0, 0, 1, 0], [7], [1, 1, 1]),  # one that the plan does not have
        ([61, 0, 0, 0], range(61), range(61)),  # more than rows
        ([1 << 31, 0, 0, 0], [], []),
        ([2, 0, 0, 0], [7, 7], [1, 1]),
        ([2, 0, 0, 0], [8, 7], [1, 1]),
        ([1, 0, 0, 0], [60], [1]),
        ([1, 0, 0, 0], [1 << 31], [1]),
    ],
)
def test_escapes_that_cannot_be_are_refused(model, chunk, pool, counts, rows, values):
    bad = with_sections(chunk.payload, {ESCAPES: escapes(counts, rows, values)})
    with pytest.raises(CorruptionError):
        decodes(model, bad, pool)


def test_escapes_of_a_column_without_constants_are_refused(pool):
    specs = (ColumnSpec("w", "|u1"),)
    model = model_of([RecordColumn("w", "|u1", 1, (-1,))])
    data = TableData(np.arange(11), {"w": np.arange(10, dtype="u1")})
    payload = encode(model, specs, data, pool).payload
    bad = with_sections(payload, {ESCAPES: escapes([1], [3], [])})
    with pytest.raises(CorruptionError, match="out of order"):
        decode(model, specs, bad, 10, pool)


def test_columns_that_are_mostly_escapes_are_left_to_others(model, pool):
    data = table()
    data.columns["n"] = np.asarray(data.columns["n"]) + np.uint16(256)
    chunk = encode(model, SPECS, data, pool, jagged=True)
    assert {c.name for c in chunk.columns if c.coder == "network"} == {"v"}
    assert same(decodes(model, chunk.payload, pool), data)
