"""Tests of the worked numbers of docs/SPEC.md, sections 5 to 8, against the code."""

from __future__ import annotations

import hashlib
import math
import re
import struct
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from tests.spec_text import TEXT, section, table_rows
from vortex_hep.archive.archive import Archive
from vortex_hep.codec.predictors import KINDS, Input, Predictor, functions
from vortex_hep.codec.predictors.scans import take_key
from vortex_hep.codec.sections import Reader, join
from vortex_hep.codec.tokens import rans
from vortex_hep.codec.tokens.fields import Field, write_tokens
from vortex_hep.codec.tokens.folding import MAX_FOLD
from vortex_hep.codec.tokens.lanes import MAX_LANES_LOG2, cut_groups
from vortex_hep.codec.tokens.rows import MAX_BLOCK, row_set
from vortex_hep.codec.tokens.transforms import (
    FLOAT,
    SIGNED,
    Segments,
    add_magnitude,
    add_reference,
    bits_from_ordered,
    bits_of,
    order_kind,
    ordered_view,
    subtract_magnitude,
    subtract_reference,
)
from vortex_hep.core import zstd
from vortex_hep.errors import CorruptionError
from vortex_hep.models.model import Model
from vortex_hep.nn.arithmetic import exp2_weight, frequencies
from vortex_hep.nn.coding.tablechunk import HEAD, MAX_CELLS
from vortex_hep.nn.event import weights
from vortex_hep.nn.event.model import (
    MAX_FIELDS,
    MAX_HIDDEN,
    MAX_LINKS,
    WIDE,
    EventModel,
    Shape,
)
from vortex_hep.nn.event.network import MAX_LINK_VALUES
from vortex_hep.nn.event.reference import frequencies_of_rows
from vortex_hep.readers import open_source
from vortex_hep.readers.hdf5.chunks.filters import Filter, FilterPipeline
from vortex_hep.readers.hdf5.chunks.layout import DatasetLayout, pack_layout
from vortex_hep.readers.hdf5.datasets.survey import MAX_BLOCK as MAX_BLOCK_HDF5
from vortex_hep.readers.hdf5.image import HOLE_DTYPE, pack_holes
from vortex_hep.readers.holes import PIECE
from vortex_hep.readers.records import MAX_WIDTH as MAX_RECORD

GOLDEN = Path(__file__).parent / "golden"


def test_sections_5_1():
    assert join([b"ab", b""]).hex(" ") in section("5.1")


def test_weights_of_distances_5_3():
    rows = table_rows(section("5.3"))
    distances = [int(cell.split()[0]) for cell in rows[0][1:]]
    assert exp2_weight(np.array(distances)).tolist() == [int(cell) for cell in rows[1][1:]]


def test_frequencies_5_3():
    logits = np.full((1, 16), -2000)
    logits[0, :3] = 3000, 3000, 1000
    weight = exp2_weight(3000 - logits)
    assert weight[0, :4].tolist() == [32768, 32768, 8450, 1107]
    assert (weight.sum(), (65520 << 15) // weight.sum()) == (88377, 24293)
    assert frequencies(logits)[0].tolist() == [24304, 24294, 6265] + 13 * [821]
    for number in ("88377", "24293", "24304, 24294, 6265, 821"):
        assert number in section("5.3")


def worked_model() -> EventModel:
    """The event model of section 5.4."""
    segments = Segments(np.array([0], np.uint64), np.array([31], np.uint64))
    field = Field(("x",), 0, "|u1", 0, 0, segments, np.array([16], np.uint64))
    shape = Shape(1, 2, 8, 8, 0, True)
    w = {k: np.zeros(s, np.int32) for k, s in shape.weight_shapes().items()}
    w["position"][:2, 0] = 30, 40
    w["previous"][0, 1, 0] = 20
    w["gate"][0, 0] = 34
    w["trunk"][0, 0, 0] = 90
    w["bias"][:, 0] = -10, 5
    w["nibble"][0, 9, 0] = 7
    w["match_previous"][0, 25, 0] = 50
    w["match_previous"][1, 17, 0] = 3
    w["match_previous"][:, 32, 0] = -2
    w["head"][0, 0, 9] = 20
    w["head"][1, 0, 1] = -8
    w["head_bias"][1, 0] = 100
    return EventModel("t", (field,), shape, (), w, np.zeros((1, 2)))


def test_worked_network_5_4():
    tokens = np.array([[9, 1], [9, 1]])
    found = frequencies_of_rows(
        worked_model(), tokens, np.zeros((2, 1)), row_set(np.array([0, 2])), np.zeros((1, 0))
    )
    first = table_rows(section("5.4"))
    lines = [row[-1] for row in first if row[0] in ("0", "1")]
    for freq, line in zip(found.reshape(4, 16), lines, strict=True):
        named = {}
        for value, symbol in re.findall(r"(\d+) of (\d+|others)", line):
            named[symbol] = int(value)
        assert freq.tolist() == [named.get(str(y), named["others"]) for y in range(16)]


def test_names_of_models_5_2_and_5_4():
    canonical = weights.canonical(worked_model())
    assert f"{len(canonical):,}" in section("5.4")
    size = int.from_bytes(canonical[:4], "little")
    assert canonical[:4].hex(" ").upper() in section("5.4")
    assert canonical[4 : 4 + size].decode() in section("5.4")
    digest = Model({"t": {"t": worked_model()}}).sha256
    assert digest in section("5.4")
    assert digest == hashlib.sha256(join([b"t", b"t", canonical])).hexdigest()
    assert Model({}).sha256.startswith("e3b0c442")
    assert Model({}).sha256.endswith("b855")


def test_arrays_of_a_table_model_5_2():
    names = [row[0] for row in table_rows(section("5.2"))]
    shape = worked_model().shape
    order = ["start", "length", "thresholds", "expected", *shape.weight_shapes()]
    assert names[names.index("array") + 1 :] == order
    for row in table_rows(section("5.2")):
        if row[0] in shape.weight_shapes() and row[1].startswith("`"):
            assert (row[1] == "`<i4`") == (row[0] in WIDE)


def test_ordered_integers_6_1():
    for dtype, shift, value, bits, ordered in table_rows(section("6.1"))[-6:]:
        name = dtype.strip("`")
        column = np.array([float(value)]).astype(name)
        width = 8 * column.dtype.itemsize
        kind = FLOAT if name == "<f4" else SIGNED
        assert bits_of(column)[0] == int(bits, 16)
        found, ok = ordered_view(bits_of(column), kind, width, int(shift))
        assert ok[0]
        assert found[0] == int(ordered, 16)
        back = np.zeros(1, f"<u{width // 8}")
        bits_from_ordered(found, kind, width, int(shift), back)
        assert back[0] == int(bits, 16)


def test_references_6_1():
    ordered, reference = np.array([10, 7, 12, 12], np.uint64), np.array([-1, 0, 1, 2])
    folded = subtract_reference(ordered, reference)
    assert folded.tolist() == [20, 5, 10, 0]
    assert "10, 7, 12, 12" in section("6.1")
    assert "v = 20, 5, 10, 0" in section("6.1")
    back = add_reference(folded, reference, np.ones(4, np.bool_), ordered)
    assert back.tolist() == ordered.tolist()


def numbers(text: str) -> tuple[float, ...]:
    return tuple(float(part) for part in text.split(","))


def binary64(digits: str) -> float:
    return float(struct.unpack(">d", bytes.fromhex(digits))[0])


def test_constants_6_8_1():
    text = section("6.8.1")
    rows = [row for row in table_rows(text)[1:] if len(row) == 6]
    table = {int(row[k]): binary64(row[k + 1]) for row in rows for k in (0, 2, 4)}
    assert table == {n: float(Fraction(1, math.factorial(n))) for n in range(18)}
    named = [binary64(d) for d in re.findall(r"[0-9A-F]{16}", re.sub(r"(?m)^\|.*", "", text))]
    own = functions
    assert named == [
        own._TWO_OVER_PI, *own._HALF_PI, own._LOG2_E, *own._LN2,
    ]  # fmt: skip
    for found, first in ((own.SIN, 1), (own.COS, 0)):
        assert found == [(-1) ** i * table[2 * i + first] for i in range(8, -1, -1)]
    assert [table[2 * i + 1] for i in range(8, -1, -1)] == own.SINH
    assert [table[i] for i in range(13, -1, -1)] == own.EXP
    assert (own._MOST_ANGLE, own._MOST_EXPONENT) == (100000, 700)
    assert "unless |x| <= 100000" in text
    assert "unless |x| <= 700" in text


def test_functions_6_8_1():
    rows = [row for row in table_rows(section("6.8.1")) if len(row) == 7]
    assert rows[0] == ["x", "cos", "sin", "exp", "sinh", "cosh", "tanh"]
    for row in rows[1:]:
        for name, digits in zip(rows[0][1:], row[1:], strict=True):
            found = getattr(functions, name)(np.array([float(row[0])]))
            assert found[0] == binary64(digits), (name, row[0])


def test_kinds_of_predictors_6_8():
    rows = [row for row in table_rows(section("6.8")) if row[0].isdigit()]
    assert [int(row[0]) for row in rows] == sorted(KINDS)
    for number, name, inputs, parameters, place in rows:
        kind = KINDS[int(number)]
        assert kind.name == name
        assert [int(n) for n in re.findall(r"\d+", inputs)] in (
            [kind.inputs[0]], list(kind.inputs),
        )  # fmt: skip
        low, high = kind.inputs
        wanted = [n + 1 if parameters == "n + 1" else int(parameters) for n in range(low, high + 1)]
        assert [kind.parameters(n) for n in range(low, high + 1)] == wanted
        assert section(place).startswith(f"#### {place} {name}")


EXAMPLE = re.compile(
    r"Example(?:, from `(?P<of>...)`)?: (?:p = (?P<p>[-0-9., ]+) and )?x = (?P<x>[-0-9., ]+) "
    r"gives? y = (?P<y>[0-9A-F]{16}); as `(?P<dtype>...)` with shift (?P<shift>\d+), "
    r"e = (?P<e>[0-9A-F]+)\."
)


class Together:
    """What gives column k as component k, of rows that are one list."""

    def __init__(self, columns: list[np.ndarray]) -> None:
        self.columns = columns
        self.entry = np.zeros(len(columns[0]), np.int64)

    def __call__(self, i: Input, /) -> tuple[np.ndarray, np.ndarray]:
        return self.columns[i.component], np.ones(len(self.entry), np.bool_)


def test_predictions_6_8():
    seen = []
    for number, kind in KINDS.items():
        if kind.formula is None:
            continue
        place = next(r[-1] for r in table_rows(section("6.8")) if r[0] == str(number))
        for example in EXAMPLE.finditer(section(place)):
            x = numbers(example["x"])
            p = numbers(example["p"]) if example["p"] else ()
            columns = [np.array([v], example["of"] or "<f8") for v in x]
            made = Predictor(number, tuple(Input("t", "x", k) for k in range(len(x))), p)
            assert made.allowed
            assert kind.formula(columns, p)[0] == binary64(example["y"])
            found, _ = made._expected(1, example["dtype"], int(example["shift"]), Together(columns))
            assert found[0] == int(example["e"], 16)
            seen.append(number)
    assert seen == [1, 2, 3, 4, 5, 5, 5, 6, 7]


def test_magnitudes_6_8():
    text = section("6.8")
    assert "shift 12, so half is 80000, and e = 80005" in text
    o, e = np.array([0x80003, 0x7FFF0], np.uint64), np.full(2, 0x80005, np.uint64)
    both = np.ones(2, np.bool_)
    found = subtract_magnitude(o, e, both, 0x80000)
    alone = subtract_magnitude(o[:1], e[:1], ~both[:1], 0x80000)
    assert (*found.tolist(), *alone.tolist()) == (6, 41, 12)
    for words in ("d = -2 and v = 6", "d = 10 and v = 41", "o = 80003 gives v = 12"):
        assert words in text
    assert add_magnitude(found, e, both, 0x80000).tolist() == o.tolist()


def test_same_key_6_8_9():
    rows = take_key([np.array([1, 2, 1, 1])])
    found = subtract_reference(np.array([100, 50, 100, 101], np.uint64), rows)
    text = section("6.8.9")
    assert "keys 1, 2, 1, 1 and ordered integers 100, 50, 100, 101" in text
    assert f"v = {', '.join(map(str, found.tolist()))}" in text


@pytest.mark.parametrize(
    ("place", "inputs", "values", "folded"),
    [
        ("6.8.10", [[-1, -1, 0, 0, 0], [-1, 0, -1, -1, -1]], [8, 4, 5, 3, 7.5],
         [1581056, 1576960, 1577984, 1574912, 3584]),
        ("6.8.11", [[-1, 0, 0, 1]], [100, 50, 100, 101], [200, 99, 100, 102]),
        ("6.8.12", [[-1, 0, 0], [2, 8, 8], [1, 9, 9], [2, 9, 9]], [1, 4, 4], [1568768, 0, 0]),
    ],
)  # fmt: skip
def test_links_between_rows_6_8(
    place: str, inputs: list[list[int]], values: list[float], folded: list[int]
):
    kind = next(int(r[0]) for r in table_rows(section("6.8")) if r[-1] == place)
    text = section(place)
    told: list[list[float]] = [*inputs, values, folded]  # type: ignore[list-item]
    for numbers_of in told:
        assert ", ".join(f"{v:g}" if v < 1e6 else str(v) for v in numbers_of) in text
    made = Predictor(kind, tuple(Input("t", "x", k) for k in range(len(inputs))))
    assert made.allowed
    dtype, shift = ("<f4", 12) if KINDS[kind].dtypes else ("<u8", 0)
    column = np.array(values, dtype)
    ordered, _ = ordered_view(bits_of(column), order_kind(dtype), 8 * column.itemsize, shift)
    given = Together([np.array(c) for c in inputs])
    found = made.fold(ordered, dtype, shift, given)
    assert found.tolist() == folded
    ok = np.ones(len(column), np.bool_)
    assert made.unfold(found, ok, ordered, dtype, shift, given).tolist() == ordered.tolist()


def test_segments_tokens_and_buckets_6_4():
    segments = Segments(np.array([100, 500], np.uint64), np.array([9, 20], np.uint64))
    field = Field(("x",), 0, "<u2", 0, 0, segments, np.array([3, 10, 30], np.uint64))
    assert (segments.base.tolist(), segments.top, segments.width) == ([0, 10], 30, 5)
    assert field.token_widths == (4, 1)
    for value, compact, tokens, bucket in table_rows(section("6.4"))[1:]:
        found, ok = segments.compact(np.array([int(value)], np.uint64))
        assert ok[0] == (compact != "escape")
        assert found[0] == (int(compact) if ok[0] else 0)
        cut = np.zeros((1, 2), np.uint8)
        write_tokens(found, field.width, cut, 0)
        assert cut[0].tolist() == [int(t) for t in tokens.split(",")]
        assert field.buckets(found)[0] == int(bucket)


def test_order_of_lanes_7_1():
    groups = cut_groups(np.array([0, 1, 4, 4, 7]), 9)
    assert groups.lanes[0].tolist() == [1, 3, 0, 2]
    assert groups.active[0].tolist() == [3, 2, 2]
    assert "1, 3, 0, 2" in section("7.1")


def stream(freq: list[int], cum: list[int], active: list[int]) -> str:
    words = np.zeros(64, np.uint32)
    n = rans.encode_words(
        np.array(freq, np.uint16), np.array(cum, np.uint16), np.array(active, np.int64),
        np.array([False]), words,
    )  # fmt: skip
    return " ".join(f"{word:08X}" for word in words[64 - n :])


def test_streams_7_2():
    text = section("7.2")
    freq = [0x8000, 0x4000, 0x4000, 0x8000, 0x8000, 0x8000]
    assert stream(freq, [0, 0x8000, 0xC000, 0, 0x8000, 0x8000], [5, 1]) in text
    assert stream(12 * [1], list(range(12)), [12]) in text


def test_streams_end_as_they_began_7_2():
    empty = stream([], [], [])
    assert empty == " ".join(4 * ["00000000 00000001"])
    text = re.findall(r"`((?:[0-9A-F]{8} ?){9,})`", section("7.2"))[0]
    words = np.array([int(word, 16) for word in text.split()], np.uint32)
    states = rans.initial_states(words)
    symbols = np.zeros(12, np.uint8)
    freqs = np.ones((12, 16), np.int32)
    freqs[:, 15] = 65536 - 15
    at = rans.decode_step(freqs, states, words, 2 * rans.STATES, symbols)
    assert at == len(words)
    assert symbols.tolist() == list(range(12))
    assert (states == rans.LOWER).all()
    assert rans.decode_step(freqs, states, words[:8], 8, symbols) == -1
    assert not rans.initial_states(words[:3]).any()


def test_limits_8_7():
    rows = dict(table_rows(section("8.7"))[1:])
    assert rows["fields, links, tokens of a field"] == "2^14, 4, 16"
    assert (MAX_FIELDS, MAX_LINKS) == (1 << 14, 4)
    assert int(rows["H, J"]) == MAX_HIDDEN
    assert int(rows["length of folded lists"]) == MAX_FOLD
    assert (MAX_LINK_VALUES, MAX_LANES_LOG2, HEAD.size) == (1 << 16, 20, 10)
    assert (rows["rows of a list of `block`"], MAX_BLOCK) == ("2^16", 1 << 16)
    assert rows["`lane_context`, inputs of a predictor"] == "2^14, 4"
    assert rows["tokens of rows and context of lanes in a chunk"] == "2^31"
    assert MAX_CELLS == 1 << 31
    assert max(kind.inputs[1] for kind in KINDS.values()) == 4


def test_metadata_keys_8():
    """Every key of the golden archive's documents is described."""
    text = TEXT[TEXT.index("## 8.") :]
    with Archive(GOLDEN / "relations-v1.vxc") as archive:
        document = archive.reader.metadata
    trees = document["trees"]
    tables = [t for tree in trees for t in tree["tables"]]
    assert any("family" in tree for tree in trees)
    assert any("members" in tree for tree in trees)
    for found in (document, *trees, *tables, document["model"], document["source"]):
        for key in found:
            assert f"`{key}`" in text or f'"{key}"' in text, key


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"fold":0', b'"fold":1'),
        (b'"fold":0', b'"fold":0 '),
        (b'"hidden":8', b'"hidden":7'),
        (b'"hidden":8', b'"hidden":1024'),
        (b'["x"],0', b'[],0'),
        (b'["x"],0', b'["x","y"],0'),
        (b'["x"],0', b'["@x"],0'),
        (b'["x"],0', b'["x"],-1'),
        (b'"|u1",0,0,0', b'"|u1",1,0,0'),
        (b'"|u1",0,0,0', b'"|u1",0,3,0'),
        (b'"|u1",0,0,0', b'"|u1",0,0,3'),
        (b'"|u1"', b'">u2"'),
        (b"0,0,0,1,1]", b"0,0,0,0,1]"),
        (b"0,0,0,1,1]", b"0,0,0,1,32]"),
        (b"0,0,0,1,1]", b"0,0,0,1.5,1]"),
        (b"0,0,0,1,1]", b"0,0,0,99999999999,1]"),
        (b'"links":[]', b'"links":[["t",[""],[],1]]'),
        (b'"previous":true', b'"previous":1'),
        (b'"table":"t"', b'"table":"t","more":0'),
        (b'"lane_context":[]', b'"lane_context":[1]'),
        (b'{"fields"', b'{"block":0,"fields"'),
        (b'"links":[],', b'"links":[],"predictors":[],'),
        (b'{"fields"', b"[" * 200_000),
    ],
)  # fmt: skip
def test_documents_that_must_be_rejected_5_2(old: bytes, new: bytes):
    text, load = document_of(worked_model())
    assert old in text
    assert weights.canonical(load(text)) == weights.canonical(worked_model())
    with pytest.raises(CorruptionError):
        load(text.replace(old, new))


def document_of(model: EventModel) -> tuple[bytes, Callable[[bytes], EventModel]]:
    """Document of an event model, and what reads the model with another document."""
    reader = Reader(weights.dump(model))
    head, arrays = reader.section(), reader.section()

    def load(document: bytes) -> EventModel:
        packed = len(document).to_bytes(4, "little") + zstd.compress(document)
        return weights.load(join([packed, arrays]))

    return zstd.decompress(head[4:], int.from_bytes(head[:4], "little")), load


def predicting_model() -> EventModel:
    """Fields a, b and c; b is predicted from a, c from both, by columns of other plans too."""
    whole = Segments(np.array([0], np.uint64), np.array([255], np.uint64))
    none = np.zeros(0, np.uint64)
    copied = Predictor(6, (Input("t", "a"),), (2.0,), True)
    summed = Predictor(2, (Input("t", "b"), Input("u", "a", 3)), (0.5, 1.0, -1.0))
    fields = (
        Field(("a",), 0, "<f4", 0, 0, whole, none),
        Field(("b",), 0, "<f4", 0, 3, whole, none, predictor=copied),
        Field(("c",), 0, "<i4", 0, 3, whole, none, predictor=summed),
    )
    shape = Shape(3, 6, 8, 8, 0, True)
    w = {k: np.zeros(s, np.int32) for k, s in shape.weight_shapes().items()}
    return EventModel("t", fields, shape, (), w, np.zeros((3, 2)), block=2)


B = b'[6,[["t","a",0]],[2.0],true]'
C = b'[2,[["t","b",0],["u","a",3]],[0.5,1.0,-1.0],false]'


@pytest.mark.parametrize(
    ("old", "new"),
    [
        # blocks
        (b'"block":2', b'"block":1'),
        (b'"block":2', b'"block":-2'),
        (b'"block":2', b'"block":65537'),
        (b'"block":2', b'"block":2.0'),
        (b'"block":2', b'"block":true'),
        (b'"block":2', b'"block":0'),
        (b'"fold":0', b'"fold":2'),
        (b'"previous":true', b'"previous":false'),
        # context
        (b'"lane_context":[]', b'"lane_context":["x"]'),
        (b'"lane_context":[]', b'"lane_context":[["x"]]'),
        (b'"lane_context":[]', b'"lane_context":[["x",1]]'),
        (b'"lane_context":[]', b'"lane_context":["xy"]'),
        (b'"lane_context":[]', b'"lane_context":[["",""]]'),
        # kinds
        (b"[6,", b"[900,"),
        (b"[6,", b"[0,"),
        (b"[6,", b"[-6,"),
        (b"[6,", b"[6.0,"),
        (b"[6,", b'["magnitude",'),
        (b"[6,", b"[[],"),
        (b"[6,", b"[33554432000000000000000,"),
        (B, B.replace(b"[6,", b"[1,").replace(b"[2.0]", b"[]").replace(b"[1", b"[true")),
        (B, b'[32,[["t","a",0]],[],true]'),
        # inputs
        (B, b"[6,[],[2.0],true]"),
        (B, b'[6,[["t","a",0],["t","a",0]],[2.0],true]'),
        (B, b'[6,[["t","a"]],[2.0],true]'),
        (B, b'[6,["t"],[2.0],true]'),
        (b'["u","a",3]', b'["u","a",-1]'),
        (b'["u","a",3]', b'["u","a",true]'),
        (b'["u","a",3]', b'["u","a",3.0]'),
        (b'["u","a",3]', b'["u",7,3]'),
        (b'["u","a",3]', b'[null,"a",3]'),
        (b'["t","a",0]', b'["t","b",0]'),
        (b'["t","a",0]', b'["t","c",0]'),
        (b'["t","b",0]', b'["t","c",0]'),
        # parameters
        (b"[2.0]", b"[]"),
        (b"[2.0]", b"[2.0,1.0]"),
        (b"[2.0]", b"[2]"),
        (b"[2.0]", b"[NaN]"),
        (b"[2.0]", b"[Infinity]"),
        (b"[2.0]", b"[1e999]"),
        (b"[2.0]", b"[1" + b"0" * 400 + b"]"),
        (b"[2.0]", b'["2.0"]'),
        (b"[2.0]", b"[null]"),
        (b"[2.0]", b"[true]"),
        # magnitude
        (b"[2.0],true", b"[2.0],1"),
        (b"-1.0],false", b"-1.0],true"),
        # as many predictors as fields of reference 3
        (C, C + b"," + C),
        (b"," + C, b""),
        (b'"predictors":', b'"other":'),
        (b'["b"],0,"<f4",0,3', b'["b"],0,"<f4",0,0'),
        (b'["a"],0,"<f4",0,0', b'["a"],0,"<f4",0,3'),
        (b'["b"],0,"<f4",0,3', b'["b"],0,"<f4",0,4'),
        (b'["b"],0,"<f4",0,3', b'["b"],0,"<f4",0,3.0'),
        (b'["a"],0,"<f4",0,0', b'["a"],0,"<f4",0,0.0'),
        (b'["a"],0,"<f4",0,0', b'["a"],0,"<f4",0,true'),
        (b'["a"],0,"<f4",0,0', b'["a"],0,"<f4",0,false'),
        (b'["b"],0,"<f4"', b'["b"],0,"|b1"'),
    ],
)  # fmt: skip
def test_documents_of_predictors_that_must_be_rejected_5_2(old: bytes, new: bytes):
    text, load = document_of(predicting_model())
    assert text.count(old) == 1
    assert load(text).fields[2].predictor == predicting_model().fields[2].predictor
    with pytest.raises(CorruptionError):
        load(text.replace(old, new))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'["u","a",3]', b'["u","",0]'),
        (b'["u","a",3]', b'["u","@a",16777217]'),
        (b'["u","a",3]', b'["t","gone",1' + b"0" * 30 + b"]"),
        (b"[2.0]", b"[-0.0]"),
        (b"[2.0]", b"[1e+22]"),
        (b"[2.0]", b"[5e-324]"),
        (b'"block":2', b'"block":65536'),
        (b"],[0.5,1.0,-1.0]", b"],[0.5,0.0,-7.25]"),
        (B, b'[32,[["t","a",0]],[],false]'),
    ],
)
def test_documents_of_predictors_that_are_allowed_5_2(old: bytes, new: bytes):
    text, load = document_of(predicting_model())
    assert text.count(old) == 1
    changed = text.replace(old, new)
    model = load(changed)
    assert weights.canonical(model)[4 : 4 + len(changed)] == changed


def test_a_golden_chunk_has_the_head_of_8_5():
    with Archive(GOLDEN / "relations-v1.vxc") as archive:
        tree = archive.coded["Events"]
        start, stop, ids = tree.clusters[0]
        for plan, number in zip(tree.plans, ids, strict=True):
            flags, log2, lanes, _ = HEAD.unpack(archive.reader.read(number)[: HEAD.size])
            assert lanes == stop - start
            assert bool(flags & 2) == (plan.jagged and plan.counter is None)
            assert log2 == (9 if flags & 1 else 0)
            assert bool(flags & 4) == (plan.name == "W")


def test_holes_of_8_6():
    holes = np.zeros(3, HOLE_DTYPE)
    holes["offset"], holes["size"] = [2048, 2128, 2150], [80, 21, 22]
    holes["dataset"], holes["chunk"], holes["mask"] = [0, 1, 1], [0, 1, 2], [0, 0, 4]
    found = re.search(r"numbers `([\d ,]+)`", section("8.6"))
    assert found is not None
    numbers = [int(n) for n in found[1].replace(",", "").split()]
    assert np.frombuffer(pack_holes(holes), "<i8").tolist() == numbers


def test_records_of_8_6(tmp_path):
    found = re.search(r"the file `([^`]+)` with w = (\d+) has (.+)\n", section("8.6"))
    assert found is not None
    (tmp_path / "file").write_bytes(bytes.fromhex(found[1]))
    width = int(found[2])
    with open_source(tmp_path / "file", record=width) as source:
        column = source.trees["bytes"].read(0, 2)[""].columns["record"]
        parts = [bytes(row).hex(" ") for row in np.asarray(column)]
        parts += [blob.hex(" ") for _, blob in source.remainder()]
    assert re.findall(r"`([^`]+)`", found[3]) == parts
    assert f"w from 1 to {MAX_RECORD}." in section("8.6")


def test_filters_of_8_6():
    found = re.search(
        r"`([\d ]+)` shuffled by 2 is `([\d ]+)`, with Fletcher-32 behind `([\da-f ]+)`",
        section("8.6"),
    )
    assert found is not None
    data, shuffled, checksum = (bytes.fromhex(part) for part in found.groups())
    pipeline = FilterPipeline((Filter(2, 0, (2,)), Filter(3, 0, ())))
    assert pipeline.encode(np.frombuffer(data, np.uint8), 0, 1) == shuffled + checksum
    assert pipeline.encode(np.frombuffer(data, np.uint8), 2, 1) == shuffled
    first = second = 0
    for word in struct.unpack(">4H", shuffled + b"\0"):
        first = (first + word) % 65535 or 65535
        second = (second + first) % 65535 or 65535
    assert struct.pack("<I", second << 16 | first) == checksum


def test_limits_and_keys_of_8_6():
    assert MAX_BLOCK_HDF5 == 1 << 28
    assert PIECE == 1 << 24
    text = section("8.6")
    layout = DatasetLayout(b"x", (5,), (2,), 4, 1, (), FilterPipeline(), False, bytes(4))
    for key in pack_layout(layout):
        assert f"`{key}`" in text
