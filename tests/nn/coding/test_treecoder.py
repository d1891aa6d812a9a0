"""Tests of trees whose tables depend on one another; crafted chunks are refused."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from vortex_hep.codec.plan import make_plans
from vortex_hep.codec.predictors import Input, Predictor
from vortex_hep.codec.sections import Reader, join
from vortex_hep.codec.tokens.fields import NO_REFERENCE, PREDICTED, PREVIOUS_ROW, Field
from vortex_hep.codec.tokens.transforms import Segments
from vortex_hep.core.schema import Cluster, ColumnSpec, TableData, TableSpec
from vortex_hep.errors import CorruptionError, ModelMismatchError, UnknownCodecError
from vortex_hep.nn.coding import tablechunk
from vortex_hep.nn.coding.engine import get_engine
from vortex_hep.nn.coding.tablechunk import (
    HEAD,
    TableChunk,
    decoded_bytes,
    pack_array,
    unpack_array,
)
from vortex_hep.nn.coding.treecoder import (
    DecodedTable,
    TreeDecoder,
    TreeEncoder,
    plan_data,
    plan_specs,
)
from vortex_hep.nn.event.model import EventModel, Link, Shape

TABLES = (
    TableSpec("", (ColumnSpec("nJ", "<u4"), ColumnSpec("run", "<u4"))),
    TableSpec(
        "E",
        (
            ColumnSpec("key", "|u1"),
            ColumnSpec("x", "<f4"),
            ColumnSpec("y", "<f4"),
            ColumnSpec("sum", "<f8"),
            ColumnSpec("twice", "<f4"),
        ),
    ),
    TableSpec("S", (ColumnSpec("S_pt", "<f4"),), None, True),
    TableSpec(
        "J",
        (ColumnSpec("J_idx", "<i2"), ColumnSpec("J_pt", "<f4"), ColumnSpec("J_x", "<f4")),
        "nJ",
        True,
    ),
)


def make_cluster(seed: int, lanes: int, factor: float = 2.0, counts: Any = None) -> Cluster:
    rng = np.random.default_rng(seed)
    flat = np.arange(lanes + 1, dtype=np.int64)
    x, y = rng.normal(0, 2, (2, lanes)).astype("<f4")
    x[: min(4, lanes)] = np.array([np.nan, np.inf, -0.0, 1e-45], "<f4")[:lanes]
    n = {"S": rng.integers(0, 4, lanes) if counts is None else counts}
    n["J"] = rng.integers(0, 4, lanes)
    offsets = {k: np.concatenate([[0], np.cumsum(c)]).astype(np.int64) for k, c in n.items()}
    pt = rng.exponential(20, int(offsets["S"][-1])).astype("<f4")
    lane = np.repeat(np.arange(lanes), n["J"])
    idx = rng.integers(-1, 4, len(lane))
    row = offsets["S"][lane] + idx
    good = (idx >= 0) & (row < offsets["S"][lane + 1])
    there = pt[np.where(good, row, 0)] if len(pt) else np.zeros(len(lane), "<f4")
    with np.errstate(all="ignore"):
        total = 1.0 + x.astype("<f8") - y
        twice = factor * x
    return {
        "": TableData(flat, {"nJ": n["J"].astype("<u4"), "run": (flat[:-1] // 5).astype("<u4")}),
        "E": TableData(
            flat.copy(),
            {
                "key": rng.integers(0, 5, lanes).astype("|u1"),
                "x": x,
                "y": y,
                "sum": total,
                "twice": twice.astype("<f4"),
            },
        ),
        "S": TableData(offsets["S"], {"S_pt": pt}),
        "J": TableData(
            offsets["J"],
            {
                "J_idx": idx.astype("<i2"),
                "J_pt": np.where(good, there, np.float32(3)).astype("<f4"),
                "J_x": x[lane],
            },
        ),
    }


def whole(width: int, start: int = 0) -> Segments:
    return Segments(np.array([start], np.uint64), np.array([(1 << width) - 1], np.uint64))


def field(name: str, dtype: str, segments: Segments, predictor: Predictor | None = None) -> Field:
    reference = PREDICTED if predictor is not None else NO_REFERENCE
    th = np.array([1, 2, 3, 50, 70_000], np.uint64)
    return Field((name,), 0, dtype, 0, reference, segments, th, predictor=predictor)


def made_from(kind: int, inputs: str, *parameters: float) -> Predictor:
    pairs = (name.split(".") for name in inputs.split())
    return Predictor(kind, tuple(Input(p, c) for p, c in pairs), tuple(map(float, parameters)))


def table(
    name: str, fields: tuple[Field, ...], *, previous: bool = True, links: tuple[Link, ...] = (),
    seen: tuple[int, ...] = (), context: str = "", block: int = 0,
) -> EventModel:  # fmt: skip
    rng = np.random.default_rng(len(name) + len(fields))
    pairs = tuple((p, c) for p, _, c in (text.partition(".") for text in context.split()))
    tokens = sum(len(f.token_widths) for f in fields)
    shape = Shape(len(fields), tokens, 16, 8, len(pairs), previous, seen)
    weights = {
        k: rng.integers(-30, 31, s).astype(np.int32) for k, s in shape.weight_shapes().items()
    }
    expected = np.ones((len(fields), 2)) * [1e5, 1e6]
    return EventModel(name, fields, shape, pairs, weights, expected, links, 0, block)


SUM = made_from(2, "E.x E.y", 1, 1, -1)
TWICE = made_from(3, "E.x", 2, 1)


def make_models(block: int = 6) -> dict[str, EventModel]:
    number = whole(32)
    e = (
        field("key", "|u1", whole(3)),
        field("x", "<f4", number),
        field("y", "<f4", number),
        field("sum", "<f8", whole(64), SUM),
        field("twice", "<f4", whole(33), TWICE),
    )
    j = (
        field("J_idx", "<i2", whole(3, 0x7FFF)),
        field("J_pt", "<f4", whole(33), made_from(1, "S.S_pt")),
        field("J_x", "<f4", whole(33), made_from(3, "E.x", 1, 1)),
    )
    return {
        "": table("", (field("nJ", "<u4", whole(2)),), previous=False),
        "E": table("E", e, context=".nJ", block=block),
        "S": table("S", (field("S_pt", "<f4", number),), context="E.key .nJ E.sum"),
        "J": table(
            "J", j, links=(Link("S", ("", "S_pt", "")),), seen=(1,), context="E.twice .nJ"
        ),
    }  # fmt: skip


class Coder:
    """Encoder and decoder of a tree, and their threads."""

    def __init__(
        self, tables: tuple[TableSpec, ...], models: Mapping[str, EventModel],
        engine: str | None = None,
    ) -> None:  # fmt: skip
        self.pools = ThreadPoolExecutor(2), ThreadPoolExecutor(2)
        self.tables, self.plans, self.models = tables, make_plans(tables), models
        chosen = get_engine(engine) if engine else None
        self.encoder = TreeEncoder(self.plans, tables, models, "fast", *self.pools, chosen)
        self.decoder = TreeDecoder(self.plans, tables, models, *self.pools, chosen)

    def close(self) -> None:
        for pool in self.pools:
            pool.shutdown()

    def decode(
        self, chunks: Mapping[str, TableChunk], lanes: int, decoder: TreeDecoder | None = None
    ) -> dict[str, DecodedTable]:
        rows = {
            n: {
                "id": 0, "offset": 0,
                "decoded_size": c.decoded_size, "decoded_xxh3": c.decoded_xxh3,
            }
            for n, c in chunks.items()
        }  # fmt: skip
        payloads = {n: c.payload for n, c in chunks.items()}
        return (decoder or self.decoder).decode(payloads, rows, lanes)

    def round_trip(self, cluster: Cluster) -> dict[str, str]:
        """Coder of every column."""
        chunks = self.encoder.encode(cluster)
        lanes = len(cluster["E"].offsets) - 1
        for decoder in (self.decoder, self.encoder.decoder()):
            back = self.decode(chunks, lanes, decoder)
            for plan in self.plans:
                specs, data = plan_specs(plan, self.tables), plan_data(plan, cluster)
                assert decoded_bytes(plan, specs, back[plan.name]) == decoded_bytes(
                    plan, specs, data
                )
            for plan in self.plans:  # each by itself, with no more than it needs
                needed = decoder.needed([plan.name])
                some = self.decode({n: chunks[n] for n in needed}, lanes, decoder)
                assert some.keys() == set(needed)
        return {c.name: c.coder for chunk in chunks.values() for c in chunk.columns}


@pytest.fixture
def coder_of() -> Iterator[Any]:
    made: list[Coder] = []

    def make(*args: Any) -> Coder:
        made.append(Coder(*args))
        return made[-1]

    yield make
    for coder in made:
        coder.close()


PREDICTED_COLUMNS = ("sum", "twice", "J_pt", "J_x")


@pytest.mark.parametrize("lanes", [0, 1, 5, 6, 7, 600])
@pytest.mark.parametrize("block", [0, 2, 6, 1000])
def test_tables_that_lean_on_one_another(coder_of: Any, lanes: int, block: int) -> None:
    coders = coder_of(TABLES, make_models(block)).round_trip(make_cluster(lanes, lanes))
    if lanes > 100:
        assert {coders[name] for name in PREDICTED_COLUMNS} == {"network"}


@pytest.mark.parametrize("names", [("cpu", "reference"), ("reference", "cpu")])
def test_engines_read_one_another(coder_of: Any, names: tuple[str, str]) -> None:
    cluster = make_cluster(1, 40)
    writer, reader = (coder_of(TABLES, make_models(), name) for name in names)
    chunks = writer.encoder.encode(cluster)
    assert {n: c.payload for n, c in chunks.items()} == {
        n: c.payload for n, c in reader.encoder.encode(cluster).items()
    }
    assert reader.decode(chunks, 40)["E"].columns["sum"].tobytes() == (
        cluster["E"].columns["sum"].tobytes()  # type: ignore[union-attr]
    )


def test_a_block_makes_the_row_before_context(coder_of: Any) -> None:
    cluster = make_cluster(1, 600)
    cluster["E"].columns["key"] = (np.arange(600) // 30).astype("|u1")
    sizes = []
    for block in (0, 300):
        models = make_models(block)
        first = replace(models["E"].fields[0], reference=PREVIOUS_ROW)
        models["E"] = replace(models["E"], fields=(first, *models["E"].fields[1:]))
        chunk = coder_of(TABLES, models).encoder.encode(cluster)["E"]
        sizes.append(next(c for c in chunk.columns if c.name == "key"))
    # Differences to the row before are nearly all 0, absolute values too large for the field.
    assert [c.coder == "network" for c in sizes] == [False, True]


def without(*names: str) -> tuple[TableSpec, ...]:
    """The tables less some columns, or less a whole table."""
    return tuple(
        replace(t, columns=tuple(c for c in t.columns if c.name not in names))
        for t in TABLES
        if t.name not in names
    )


def cut(cluster: Cluster, tables: tuple[TableSpec, ...]) -> Cluster:
    return {
        t.name: TableData(
            cluster[t.name].offsets, {c.name: cluster[t.name].columns[c.name] for c in t.columns}
        )
        for t in tables
    }


@pytest.mark.parametrize(
    ("names", "classical"),
    [
        (("S",), {"J_pt"}),
        (("S_pt",), {"J_pt"}),
        (("y",), {"sum"}),
        (("x",), {"sum", "twice", "J_x"}),
        (("key", "y", "S"), {"sum", "J_pt"}),
        (("sum",), set()),
    ],
)  # fmt: skip
def test_missing_plans_and_columns(coder_of: Any, names: Any, classical: set[str]) -> None:
    tables = without(*names)
    coders = coder_of(tables, make_models()).round_trip(cut(make_cluster(2, 600), tables))
    left = set(PREDICTED_COLUMNS) & coders.keys()
    assert {n for n in left if coders[n] != "network"} == classical


def test_missing_table_models(coder_of: Any) -> None:
    """Context of a plan without event model is 0; its columns predict all the same."""
    for name in ("", "E", "S"):
        models = make_models()
        del models[name]
        coders = coder_of(TABLES, models).round_trip(make_cluster(3, 600))
        assert coders["J_x"] == "network"


def test_inputs_of_another_type_predict_all_the_same(coder_of: Any) -> None:
    cluster = make_cluster(4, 600)
    cluster["E"].columns["y"] = cluster["E"].columns["y"].astype("<f2")  # type: ignore[union-attr]
    tables = tuple(
        replace(t, columns=tuple(replace(c, dtype="<f2") if c.name == "y" else c
                                 for c in t.columns))
        for t in TABLES
    )  # fmt: skip
    coders = coder_of(tables, make_models()).round_trip(cluster)
    assert coders["y"] != "network"
    assert coders["sum"] == "network"


def test_rows_of_a_jagged_plan_are_no_rows_of_entries(coder_of: Any) -> None:
    """As many rows as entries are not one row per entry."""
    counts = np.tile([0, 2, 1], 200)
    models = make_models()
    scaled = field("twice", "<f4", whole(33), made_from(3, "S.S_pt", 1, 1))
    fields = (*models["E"].fields[:4], scaled)
    models["E"] = replace(models["E"], fields=fields)
    models["S"] = table("S", models["S"].fields, context=".nJ")
    coders = coder_of(TABLES, models).round_trip(make_cluster(5, 600, counts=counts))
    assert coders["twice"] != "network"
    coders = coder_of(TABLES, models).round_trip(make_cluster(5, 600, counts=np.ones(600, int)))
    assert coders["twice"] == "network"


def test_a_plan_with_lists_cannot_be_cut_into_blocks(coder_of: Any) -> None:
    models = make_models()
    models["S"] = replace(models["S"], block=4)
    coders = coder_of(TABLES, models).round_trip(make_cluster(6, 600))
    assert coders["S_pt"] != "network"
    assert coders["J_pt"] == "network"  # from values, whoever coded them


def test_chunks_have_parameters_of_their_own(coder_of: Any) -> None:
    coder = coder_of(TABLES, make_models())
    sections = []
    for factor in (2.0, 3.5):
        cluster = make_cluster(7, 600, factor)
        coder.round_trip(cluster)
        sections.append(parameters_of(coder.encoder.encode(cluster)["E"].payload))
    assert sections[0] == b""
    assert unpack_array(Reader(sections[1]), "<f8", 2).tolist() == [1.0, 3.5]
    cost = {
        f: next(
            c.stored_bytes for c in coder.encoder.encode(make_cluster(7, 600, f))["E"].columns
            if c.name == "twice"
        )
        for f in (2.0, 3.5)
    }  # fmt: skip
    assert cost[3.5] == pytest.approx(cost[2.0], rel=0.1)


def test_fields_that_lose_are_not_coded_and_drop_out(
    coder_of: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    models = make_models()
    for k, coder in enumerate(("sum", "x", "twice")):
        expected = models["E"].expected.copy()
        expected[[3, 1, 4][k]] = 1e6, 1e5
        coders = coder_of(TABLES, {**models, "E": replace(models["E"], expected=expected)})
        found = coders.round_trip(make_cluster(8, 600))
        assert found[coder] != "network"
        assert found["J_x"] == "network"


def sections_of(payload: bytes) -> tuple[bytes, list[bytes]]:
    reader = Reader(payload[HEAD.size :])
    parts = []
    while reader.left:
        parts.append(reader.section())
    return payload[: HEAD.size], parts


def parameters_of(payload: bytes) -> bytes:
    return sections_of(payload)[1][-2]


def with_parameters(payload: bytes, section: bytes) -> bytes:
    head, parts = sections_of(payload)
    parts[-2] = section
    return head + join(parts)


@pytest.mark.parametrize(
    "section",
    [
        b"\0",
        pack_array(np.zeros(3)),
        pack_array(np.zeros(1)),
        pack_array(np.array([1.0, np.nan])),
        pack_array(np.array([np.inf, 2.0])),
        pack_array(np.array([1.0, 2.0])) + b"\0",
        pack_array(np.array([1.0, 2.5])),  # another factor: other values
    ],
)
def test_parameters_that_are_refused(coder_of: Any, section: bytes) -> None:
    coder = coder_of(TABLES, make_models())
    chunks = coder.encoder.encode(make_cluster(9, 300))
    same = with_parameters(chunks["E"].payload, pack_array(np.array([1.0, 2.0])))
    coder.decode({**chunks, "E": replace(chunks["E"], payload=same)}, 300)
    payload = with_parameters(chunks["E"].payload, section)
    with pytest.raises(CorruptionError):
        coder.decode({**chunks, "E": replace(chunks["E"], payload=payload)}, 300)


def test_a_kind_without_parameters_is_given_none(coder_of: Any) -> None:
    coder = coder_of(TABLES, make_models())
    chunks = coder.encoder.encode(make_cluster(9, 300))
    for value in (0.0, -0.0):
        payload = with_parameters(chunks["J"].payload, pack_array(np.array([value, 1.0])))
        coder.decode({**chunks, "J": replace(chunks["J"], payload=payload)}, 300)
    payload = with_parameters(chunks["J"].payload, pack_array(np.array([1.0, 1.0])))
    with pytest.raises(CorruptionError, match="without parameters"):
        coder.decode({**chunks, "J": replace(chunks["J"], payload=payload)}, 300)


def test_a_coded_field_whose_inputs_are_missing_is_refused(coder_of: Any) -> None:
    """A chunk of a tree with an input, read as one of a tree without it."""
    coder = coder_of(TABLES, make_models())
    chunks = coder.encoder.encode(make_cluster(10, 300))
    models = make_models()
    gone = field("sum", "<f8", whole(64), made_from(2, "E.x E.gone", 1, 1, -1))
    models["E"] = replace(
        models["E"], fields=(*models["E"].fields[:3], gone, models["E"].fields[4])
    )
    with pytest.raises(CorruptionError, match="an input of the predictor is missing"):
        coder_of(TABLES, models).decode(chunks, 300)


@pytest.mark.parametrize("name", ["E", "J"])
def test_every_byte_of_a_small_chunk_matters(coder_of: Any, name: str) -> None:
    coder = coder_of(TABLES, make_models())
    chunks = coder.encoder.encode(make_cluster(11, 12, 3.0))
    payload = chunks[name].payload
    wrong = 0
    for at in range(len(payload)):
        damaged = bytearray(payload)
        damaged[at] ^= 0x41
        try:
            coder.decode({**chunks, name: replace(chunks[name], payload=bytes(damaged))}, 12)
        except (CorruptionError, UnknownCodecError):
            wrong += 1
    # What decodes all the same says the same: an unused bit of a coder, at most.
    assert wrong >= len(payload) - 4


def test_chunks_of_too_many_tokens_have_no_network(
    coder_of: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster = make_cluster(15, 300)
    coder = coder_of(TABLES, make_models())
    chunks = coder.encoder.encode(cluster)
    tokens = 300 * make_models()["E"].shape.tokens
    monkeypatch.setattr(tablechunk, "MAX_CELLS", tokens + 300)
    coder.decode(chunks, 300)
    monkeypatch.setattr(tablechunk, "MAX_CELLS", tokens + 299)
    with pytest.raises(CorruptionError, match="more tokens"):
        coder.decode(chunks, 300)
    coders = coder.round_trip(cluster)
    assert "network" not in {coders[c.name] for c in TABLES[1].columns}
    assert coders["J_x"] == "network"


def bad_models() -> dict[str, tuple[dict[str, EventModel], str]]:
    good = make_models()
    core, e = good[""], good["E"]
    after = replace(core.fields[0], reference=PREDICTED, predictor=made_from(1, "J.J_idx"))
    around = field("twice", "<f4", whole(33), made_from(1, "S.S_pt"))
    return {
        "context that is no field": (
            {**good, "S": table("S", good["S"].fields, context="E.gone")}, "context",
        ),
        "context of the core that is no field": (
            {**good, "S": table("S", good["S"].fields, context=".run")}, "context",
        ),
        "core with context": (
            {**good, "": table("", core.fields, previous=False, context="E.key")}, "core",
        ),
        "core predicted from lists": ({**good, "": replace(core, fields=(after,))}, "core"),
        "a circle of context": (
            {**good, "E": table("E", e.fields, context="/scalars.run"),
             "/scalars": table("/scalars", (field("run", "<u4", whole(32)),), context="E.key")},
            "circle",
        ),
        "a circle of context and inputs": (
            {**good, "E": replace(e, fields=(*e.fields[:4], around))}, "circle",
        ),
    }  # fmt: skip


@pytest.mark.parametrize("name", bad_models())
def test_models_that_do_not_fit_together(coder_of: Any, name: str) -> None:
    models, match = bad_models()[name]
    with pytest.raises(ModelMismatchError, match=match):
        coder_of(TABLES, models)


def test_context_of_lists_and_of_the_own_plan_is_nothing(coder_of: Any) -> None:
    models = make_models()
    models["J"] = replace(models["J"], lane_context=(("S", "S_pt"), ("J", "J_idx")))
    coder_of(TABLES, models).round_trip(make_cluster(12, 100))


def test_a_predicted_field_with_a_counterpart(coder_of: Any) -> None:
    """Foreign tokens are those of the values themselves, whatever the field is predicted from."""
    models = make_models()
    assert models["J"].links[0].counterparts[1] == "S_pt"
    coders = coder_of(TABLES, models).round_trip(make_cluster(13, 200))
    assert coders["J_pt"] == "network"


def test_made_up_columns_predict_nothing(coder_of: Any) -> None:
    tables = tuple(
        replace(t, columns=(*t.columns, ColumnSpec("J_eta", "<f4"))) if t.name == "J" else t
        for t in TABLES
    )
    cluster = make_cluster(14, 200)
    cluster["J"].columns["J_eta"] = np.asarray(cluster["J"].columns["J_pt"]) + np.float32(0.01)
    models = make_models()
    eta = field("J_eta", "<f4", whole(33), made_from(2, "J.@S", 0, 1))
    fields = (field("@S", "<i2", whole(3, 0x7FFF)), eta)
    pairs = (("J_pt", "S_pt"), ("J_eta", "S_pt"))
    link = Link("S", ("", ""), pairs)
    models["J"] = table("J", fields, links=(link,), seen=(1,))
    coders = coder_of(tables, models).round_trip(cluster)
    assert coders["J_eta"] != "network"
