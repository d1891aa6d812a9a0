"""Tests of finding arithmetic between columns."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest

from vortex_hep.codec.predictors import KINDS, Input
from vortex_hep.codec.tokens.values import RowValues
from vortex_hep.core.schema import TableData
from vortex_hep.nn.event.training.candidates import Candidate
from vortex_hep.nn.event.training.relating import relate
from vortex_hep.nn.event.training.relations import Found, find_relations

ROWS = 4096
Columns = dict[str, np.ndarray]


def found(
    columns: Mapping[str, np.ndarray], others: Mapping[str, np.ndarray] | None = None
) -> dict[str, Found]:
    """Relations of a table of one row per entry, with another beside it, by column."""
    n = len(next(iter(columns.values())))
    beside = {"other": TableData(np.arange(n + 1), dict(others or {}))}
    values = RowValues("t", columns, np.arange(n), beside)
    candidates = [
        *(Candidate(Input("t", name), column, True) for name, column in columns.items()),
        *(
            Candidate(Input("other", name), column, False)
            for name, column in (others or {}).items()
        ),
    ]
    out = find_relations(candidates, values)
    assert len({f.target for f in out}) == len(out)
    assert all(f.predictor.allowed and f.saved > 0 for f in out)
    assert_no_circles(out)
    return {f.target.column: f for f in out}


def assert_no_circles(relations: list[Found]) -> None:
    waiting = {f.target: set(f.predictor.inputs) for f in relations}
    while waiting:
        ready = [t for t, inputs in waiting.items() if not inputs & waiting.keys()]
        assert ready, waiting
        for t in ready:
            del waiting[t]


def inputs_of(f: Found) -> set[str]:
    return {i.column for i in f.predictor.inputs}


def make_columns(seed: int = 1) -> Columns:
    """Independent columns: a momentum, angles, a mass, and numbers of no relation."""
    rng = np.random.default_rng(seed)
    return {
        "pt": rng.exponential(30, ROWS).astype("<f4") + np.float32(1),
        "eta": rng.normal(0, 1.5, ROWS).astype("<f4"),
        "phi": rng.uniform(-np.pi, np.pi, ROWS).astype("<f4"),
        "m": np.abs(rng.normal(5, 20, ROWS)).astype("<f4"),
        "z": rng.normal(0, 40, ROWS).astype("<f4"),
        "n": rng.integers(0, 1 << 20, ROWS).astype("<i4"),
    }


def reals(columns: Columns) -> tuple[np.ndarray, ...]:
    return tuple(columns[k].astype("<f8") for k in ("pt", "eta", "phi", "m", "z"))


@pytest.mark.parametrize("seed", range(6))
def test_independent_columns_have_no_relations(seed: int) -> None:
    others = make_columns(100 + seed)
    assert found(make_columns(seed), others) == {}


def test_integers_and_constants_have_no_relations() -> None:
    rng = np.random.default_rng(2)
    columns = {
        "zero": np.zeros(ROWS, "<f4"), "one": np.ones(ROWS, "<i4"),
        "few": rng.integers(0, 3, ROWS).astype("<i2"), "nan": np.full(ROWS, np.nan, "<f4"),
        "some": np.where(rng.random(ROWS) < 0.9, -99, rng.normal(size=ROWS)).astype("<f4"),
    }  # fmt: skip
    assert found(columns) == {}


def test_columns_that_hardly_vary_are_no_partners() -> None:
    rng = np.random.default_rng(5)
    for others in (1, 3):
        columns = {"value": rng.normal(size=ROWS).astype("<f4")}
        for k in range(others):
            columns[f"step{k}"] = np.where(np.arange(ROWS) < ROWS - 3 + k, 2.5, 3.5).astype("<f4")
        assert found(columns) == {}


def test_tables_of_few_rows_are_left_alone() -> None:
    for n in (1, 2, 5, 20):
        columns = {k: v[:n] for k, v in make_columns().items()}
        columns["twice"] = 2 * columns["pt"]
        found(columns)


def formulas() -> dict[str, tuple[int, set[str], bool]]:
    """Name of a made column, and what is to be found: kind, inputs, magnitude alone."""
    return {
        "copy": (1, {"pt"}, False),
        "scaled": (3, {"pt"}, False),
        "square": (3, {"pt"}, False),
        "inverse": (3, {"pt"}, False),
        "inverse cube": (3, {"pt"}, False),
        "sum": (2, {"m", "z"}, False),
        "difference": (2, {"m", "z"}, False),
        "less than a constant": (2, {"z"}, False),
        "three terms": (2, {"pt", "m", "z"}, False),
        "product": (3, {"pt", "m"}, False),
        "ratio": (3, {"m", "pt"}, False),
        "inverse product": (3, {"m", "pt"}, False),
        "ratio of either sign": (3, {"m", "pt"}, True),
        "hypot of two": (4, {"pt", "z"}, False),
        "leg": (4, {"pt", "z"}, False),
        "hypot of three": (4, {"pt", "m", "z"}, False),
        "hypot of four": (4, {"pt", "m", "z", "px"}, False),
        "transverse": (5, {"pt", "phi"}, False),
        "across": (5, {"pt", "phi"}, False),
        "longitudinal": (5, {"pt", "eta"}, False),
        "momentum": (5, {"pt", "eta"}, False),
        "over cosh": (5, {"pt", "eta"}, False),
        "tanh": (5, {"pt", "eta"}, False),
        "energy": (7, {"pt", "eta", "m"}, False),
        "magnitude": (6, {"z"}, False),
        "of another sign": (6, {"z"}, True),
    }


def made(name: str, c: Columns) -> np.ndarray:
    pt, eta, phi, m, z = reals(c)
    signs = np.where(np.random.default_rng(9).random(ROWS) < 0.5, -1, 1)
    out = {
        "copy": pt, "scaled": 0.001 * pt, "square": pt * pt, "inverse": 5 / pt,
        "inverse cube": 7 / pt**3, "sum": m + z, "difference": m - z,
        "less than a constant": 125 - z, "three terms": pt + m - z, "product": 0.5 * pt * m,
        "ratio": m / pt, "inverse product": 1 / (m * pt), "ratio of either sign": signs * m / pt,
        "hypot of two": np.hypot(pt, z), "leg": np.sqrt(np.abs(pt * pt - z * z)),
        "hypot of three": np.sqrt(pt * pt + m * m + z * z),
        "hypot of four": np.sqrt(pt * pt + m * m + z * z + c.get("px", m).astype("<f8") ** 2),
        "transverse": pt * np.cos(phi), "across": pt * np.sin(phi),
        "longitudinal": pt * np.sinh(eta), "momentum": pt * np.cosh(eta),
        "over cosh": pt / np.cosh(eta), "tanh": pt * np.tanh(eta),
        "energy": np.sqrt((pt * np.cosh(eta)) ** 2 + m * m), "magnitude": np.abs(z),
        "of another sign": signs * np.abs(z),
    }  # fmt: skip
    return np.asarray(out[name], "<f4")


@pytest.mark.parametrize("name", formulas())
def test_relations_that_are_there(name: str) -> None:
    kind, inputs, magnitude = formulas()[name]
    columns = make_columns()
    if name == "hypot of four":
        columns["px"] = make_columns(3)["z"]
    columns["made"] = made(name, columns)
    relations = found(columns)
    # Either the made column follows from the others, or one of them from it and the rest.
    hit = [f for f in relations.values() if {f.target.column, *inputs_of(f)} == inputs | {"made"}]
    assert hit, relations
    if "made" in relations:
        f = relations["made"]
        assert f.predictor.kind in (kind, {1: 3, 6: 1}.get(kind, kind))
        assert inputs_of(f) == inputs
        if kind not in (1, 6):
            assert f.predictor.magnitude == magnitude
        assert f.saved > 5


def test_every_kind_is_searched_for() -> None:
    kinds = {kind for kind, _, _ in formulas().values()}
    assert kinds | {32} | {33, 34, 35} == set(KINDS)


def make_decays(lists: int = 200) -> tuple[Columns, np.ndarray]:
    """Rows of which each two come of one before, or of two that meet, and their entries."""
    rng = np.random.default_rng(8)
    parent = np.array([-1, -1, 0, 0, 2, 2, 3, 3, 3, 5, 5])
    partner = np.array([-1, 0, -1, -1, -1, -1, -1, -1, -1, -1, -1])
    n = len(parent)
    p, e, x, t = rng.normal(0, 3, (4, lists, n))
    e = np.abs(e) + 5
    for last, into, others in (
        (3, (0, 1), (2,)),
        (5, (2,), (4,)),
        (8, (3,), (6, 7)),
        (10, (5,), (9,)),
    ):
        p[:, last] = p[:, into].sum(axis=1) - p[:, others].sum(axis=1)
    for k in range(2, n):
        first = parent[k] not in parent[:k]
        t[:, k] = t[:, parent[k]] + rng.exponential(1, lists) if first else t[:, k - 1]
        x[:, k] = x[:, parent[k]] + (t[:, k] - t[:, parent[k]]) * (p / e)[:, parent[k]]
    columns = {"p": p, "e": e, "t": t, "x": x, "parent": np.tile(parent, (lists, 1)),
               "partner": np.tile(partner, (lists, 1))}  # fmt: skip
    return {k: c.reshape(-1) for k, c in columns.items()}, np.repeat(np.arange(lists), n)


def test_what_comes_of_rows_before() -> None:
    columns, entry = make_decays()
    values = RowValues("t", columns, entry)
    relations = relate(values)
    hit = {f.target.column: (f.predictor.kind, inputs_of(f)) for f in relations}
    assert hit["p"] == (33, {"parent", "partner"})
    assert hit["x"] == (35, {"parent", "t", "p", "e"}) or hit["t"][0] == 35
    assert "e" not in hit
    # Without the lists there is nothing to go by.
    alone = relate(RowValues("t", columns, np.arange(len(entry))))
    assert all(f.predictor.kind < 32 for f in alone)


def test_positions_are_inherited() -> None:
    columns, entry = make_decays()
    rng = np.random.default_rng(3)
    place = rng.normal(0, 1, len(entry))
    first = np.searchsorted(entry, entry)
    for k in np.flatnonzero(columns["parent"] >= 0).tolist():
        if rng.random() < 0.9:
            place[k] = place[first[k] + columns["parent"][k]]
    only = {"parent": columns["parent"], "place": place}
    (f,) = relate(RowValues("t", only, entry))
    assert (f.predictor.kind, f.target.column) == (34, "place")


def test_rows_of_one_key() -> None:
    rng = np.random.default_rng(4)
    columns = make_columns()
    columns["run"] = np.sort(rng.integers(0, 60, ROWS)).astype("<u4")
    columns["module"] = rng.integers(0, 200, ROWS).astype("<u4")
    # Heights are no integers, and so no keys of modules.
    columns["height"] = rng.normal(0, 1, 200).astype("<f4")[columns["module"]]
    relations = found(columns)
    assert set(relations) == {"height"}
    assert relations["height"].predictor.kind == 32
    assert inputs_of(relations["height"]) == {"module"}


def test_columns_of_other_tables_serve_with_an_own_one() -> None:
    columns, others = make_columns(), make_columns(50)
    columns["made"] = (columns["pt"].astype("<f8") * others["m"]).astype("<f4")
    relations = found(columns, others)
    f = next(iter(relations.values()))
    assert {i.plan for i in f.predictor.inputs} == {"t", "other"}


@pytest.mark.slow
def test_many_relations_make_no_circle() -> None:
    columns = make_columns()
    for k, name in enumerate(formulas()):
        if name != "hypot of four":
            columns[f"made{k}"] = made(name, columns)
    columns["again"] = columns["pt"].copy()
    columns["twice"] = 2 * columns["pt"]
    relations = found(columns)
    # All but as many columns as are independent can be had from others.
    assert len(relations) >= len(columns) - 9


def test_sentinels_infinities_and_nans_do_not_hide_a_relation() -> None:
    columns = make_columns()
    columns["made"] = made("product", columns)
    for k, name in enumerate(("pt", "m", "made")):
        columns[name][k::11] = [np.nan, np.inf, -999][k]
    relations = found(columns)
    hit = [f for f in relations.values() if {f.target.column, *inputs_of(f)} == {"pt", "m", "made"}]
    assert hit
