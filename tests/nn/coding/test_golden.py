"""Golden models and archives: what version 1 wrote decodes for ever, on every engine."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

from vortex_hep.archive.archive import Archive
from vortex_hep.codec.predictors import KINDS
from vortex_hep.codec.sections import Reader
from vortex_hep.core.schema import VarBytes
from vortex_hep.models.model import Model
from vortex_hep.nn.coding.engine import get_engine
from vortex_hep.nn.coding.tablechunk import HAS_NETWORK, HEAD
from vortex_hep.nn.event import cpu

GOLDEN = Path(__file__).parents[2] / "golden"
#: Golden archives, and what they hold: the first, and one with predictors, blocks and families.
FIRST, RELATIONS = "archive-v1", "relations-v1"
VALUES = {name: json.loads((GOLDEN / f"{name}.json").read_text()) for name in (FIRST, RELATIONS)}
MODELS = {FIRST: "model-v1.vxm", RELATIONS: "relations-v1.vxm"}


def column_bytes(column):
    if isinstance(column, VarBytes):
        return column.offsets.astype("<i8").tobytes() + column.content.tobytes()
    return np.ascontiguousarray(column).tobytes()


def columns_of(path, model, start, stop):
    with Archive(path, model=model) as archive:
        found = archive["Events"].read(start, stop)
    offsets = {name: table.offsets.tolist() for name, table in found.items()}
    return offsets, {n: column_bytes(c) for t in found.values() for n, c in t.columns.items()}


@pytest.fixture(params=["cpu", "reference"])
def engine(request, monkeypatch):
    """Decode with one engine; gives how often it was called."""
    if request.param == "cpu":
        calls = [1]
    else:
        calls = []

        def run_group(*args):
            calls.append(1)
            return get_engine("reference").run_group(*args)

        monkeypatch.setattr(cpu, "run_group", run_group)
    return calls


@pytest.mark.parametrize("name", VALUES)
def test_golden_archive_decodes_as_ever(engine, name):
    path, values = GOLDEN / f"{name}.vxc", VALUES[name]
    first, second = values["lanes"]
    offsets, columns = columns_of(path, None, 0, first)
    assert offsets == {name: found[0] for name, found in values["offsets"].items()}
    assert {n: b.hex() for n, b in columns.items()} == values["columns"]
    _, columns = columns_of(path, None, first, first + second)
    found = {n: hashlib.sha256(b).hexdigest() for n, b in columns.items()}
    assert found == values["digests"]
    assert engine


def test_golden_trees_of_other_names_decode_as_ever(engine):
    others = VALUES[RELATIONS]["others"]
    with Archive(GOLDEN / "relations-v1.vxc") as archive:
        assert list(archive) == ["Events", "Other;2", "first", "second"]
        for name, columns in others.items():
            tree = archive.coded[name]
            found = tree.read(0, tree.num_entries).values()
            assert {
                n: column_bytes(c).hex() for t in found for n, c in t.columns.items()
            } == columns
        first, second = archive["first"], archive["second"]
        assert (first.keys(), second.keys()) == (["x", "n"], ["x", "K_pt"])
        joined = others["first+second"]
        tables = second.read(0, 30)
        assert column_bytes(tables[""].columns["x"]).hex() == joined["b/x"]
        assert column_bytes(tables["K"].columns["K_pt"]).hex() == joined["b/K_pt"]
        assert (archive.coded["Other;2"].family, archive.coded["Events"].family) == ("Events",) * 2
    assert engine


@pytest.mark.parametrize("name", VALUES)
def test_golden_archive_is_whole(name):
    with Archive(GOLDEN / f"{name}.vxc") as archive:
        archive.reader.verify()
        assert list(archive.remainder()) == [("golden/zeros", bytes(100))]
        assert archive.model is not None
        assert archive.model.sha256 == VALUES[name]["sha256"]
        # What only some files have is in these.
        info = archive.model.table_models("Events")
        assert info["W"].fold == 3
        assert [link.source for link in info["T"].links] == ["T", "S"]
        assert {f.reference for f in info["T"].fields} >= {0, 1, 2}
        assert max(f.flat for f in info["T"].fields) > 1


def test_golden_model_has_all_relations():
    with Archive(GOLDEN / "relations-v1.vxc") as archive:
        assert archive.model is not None
        info = archive.model.table_models("Events")
        assert {f.reference for f in info["T"].fields} == {0, 1, 2, 3}
        assert {plan for plan, _ in info["T"].lane_context} == {"", "E", "/scalars"}
        assert info["E"].block == 7
        made = [(f, f.predictor) for t in "ED" for f in info[t].fields if f.predictor is not None]
        assert {p.kind for _, p in made} == set(KINDS)
        assert {f.dtype for f, p in made if p.magnitude} == {"<f4", "<f8"}
        assert {f.dtype for f, _ in made if f.shift} == {"<f4"}
        plans = {i.plan for f in info["T"].fields if f.predictor for i in f.predictor.inputs}
        assert plans == {"T", "S", "E"}


def test_golden_chunks_have_what_only_some_have():
    with Archive(GOLDEN / "relations-v1.vxc") as archive:
        found = {}
        for name, tree in archive.coded.items():
            for number, (_, _, ids) in enumerate(tree.clusters):
                for plan, chunk in zip(tree.plans, ids, strict=True):
                    found[name, plan.name, number] = network_sections(archive.reader.read(chunk))
    # Escapes, and parameters that are not the model's.
    assert [len(s) > 0 for s in found["Events", "E", 0]] == [True, False, True]
    assert [len(s) > 0 for s in found["Events", "E", 1]] == [True, True, True]
    assert found["Other;2", "E", 0]
    assert [len(s) > 0 for s in found["first+second", "b", 0]] == [False, True, True]


def network_sections(payload):
    """Escapes, parameters and streams of a chunk; nothing where it has no network stream."""
    flags, _, _, _ = HEAD.unpack(payload[: HEAD.size])
    reader = Reader(payload[HEAD.size :])
    sections = []
    while reader.left:
        sections.append(reader.section())
    return sections[-3:] if flags & HAS_NETWORK else []


@pytest.mark.parametrize("name", VALUES)
def test_golden_model_reads_as_ever(name):
    model, values = Model.load(GOLDEN / MODELS[name]), VALUES[name]
    assert model.sha256 == values["sha256"]
    assert model.classical == {"Events": ("run", "trigger", "comment", "x", "T_noise", "T_label")}
    # The same model serves an archive that names it.
    offsets, _ = columns_of(GOLDEN / f"{name}.vxc", model, 0, values["lanes"][0])
    assert offsets["S"] == values["offsets"]["S"][0]
