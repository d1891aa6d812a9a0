"""Tests of branches of all types that ROOT writes: tables, values, restoring."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import pytest
import uproot

import vortex_hep
from vortex_hep.errors import LayoutError
from vortex_hep.readers import compare_sources, open_source
from vortex_hep.readers.root.ttree import layout
from vortex_hep.testing import check_flips

FILES = Path(__file__).parent / "files"
LISTS, LEAVES, ODD = FILES / "lists.root", FILES / "leaves.root", FILES / "odd.root"


def _tables(path, tree):
    with open_source(path) as source:
        return {t.name: t for t in source.trees[tree].tables}


def _names(table):
    return [column.name for column in table.columns]


@pytest.mark.parametrize("path", [LISTS, LEAVES, ODD], ids=lambda path: path.stem)
def test_round_trip(path, tmp_path, round_trip, assert_same_for_uproot):
    out = tmp_path / "restored.root"
    round_trip(path, out, target=1000)
    with open_source(path) as a, open_source(out) as b:
        assert compare_sources(a, b) == []
    assert_same_for_uproot(path, out)


def test_records_without_members_and_names_of_all_kinds():
    with open_source(ODD) as source:
        opened: Any = source
        assert [len(d.key.title) for d in opened._contents.records.directories] == [700, 600]
        assert len(opened._contents.records.entries[0].key.title) == 300
        assert _names(source.trees["tree"].tables[0]) == ["nothing", "n"]
        plans = {plan.name: plan for plan in opened.trees["tree"].plans}
        # Nothing but versions and numbers of items: there is no column to make of it.
        assert plans["nothing"].kind == layout.BYTES
        assert _names(source.trees["folder/τ π"].tables[0]) == ["π²", "twice", "twice#2"]


def test_vectors_of_equal_counts_share_a_table():
    tables = _tables(LISTS, "lists")
    assert _names(tables["el"]) == ["el_pt", "el_eta", "el_charge", "el_tight", "el_hits.size"]
    assert tables["el"].jagged
    assert tables["el"].counter is None
    assert _names(tables["mu_pt"]) == ["mu_pt"]
    dtypes = [column.dtype for column in tables["el"].columns]
    assert dtypes == ["<f4", "<f4", "<i2", "|b1", "<u4"]


def test_vectors_of_vectors_are_tables_within_tables():
    tables = _tables(LISTS, "lists")
    inner = tables["el_hits"]
    assert (inner.parent, inner.inner_counts, _names(inner)) == ("el", "el_hits.size", ["el_hits"])
    assert [tables[n].parent for n in ("deep", "deep#2", "deep#3")] == [None, "deep", "deep#2"]
    assert [tables[n].inner_counts for n in ("deep#2", "deep#3")] == ["deep.size", "deep.size#2"]


def test_objects_and_maps_are_columns():
    tables = _tables(LISTS, "lists")
    assert {"vectors.fP.fX", "vectors.fE", "vectors.fBits"} <= set(_names(tables["vectors"]))
    assert _names(tables["map"]) == ["map.first", "map.second"]
    assert _names(tables["set"]) == ["set"]
    assert tables["names"].columns[0].interpretation == "string"
    assert tables["pairs"].counter == "pairs"
    assert all(c.interpretation != "opaque" for t in tables.values() for c in t.columns)


def test_archive_gives_what_uproot_gives(tmp_path):
    archive = tmp_path / "lists.vxc"
    vortex_hep.compress_file(LISTS, archive, effort="fast", model=vortex_hep.Model({}))
    with vortex_hep.open(archive) as opened, uproot.open(LISTS) as file:
        tree = opened["lists"]
        for name in ("el_pt", "el_tight", "el_hits", "deep", "names", "set", "text"):
            mine, other = tree[name].array(), file["lists"][name].array()
            assert mine.tolist() == other.tolist()
            if name != "set":
                assert str(mine.type) == str(other.type)
        part = tree.arrays(["deep", "el_hits"], entry_start=7, entry_stop=31)
        assert part["deep"].tolist() == file["lists"]["deep"].array()[7:31].tolist()
        assert part.fields == ["deep", "el_hits"]
        plain = tree.arrays("el_hits", library="np")["el_hits"]
        assert [[hits.tolist() for hits in entry] for entry in plain] == (
            file["lists"]["el_hits"].array().tolist()
        )
        assert tree["vectors.fE"].array().tolist() == file["lists"]["vectors"].array().fE.tolist()
    assert vortex_hep.verify(archive, against=LISTS).ok


def test_leaves_of_old_style():
    tables = _tables(LEAVES, "leaves")
    columns = {c.name: c for t in tables.values() for c in t.columns}
    assert [columns[f"mixed.{x}"].dtype for x in "idc"] == ["<i4", "<f8", "|i1"]
    assert columns["m"].inner == (3, 2)
    assert columns["b"].inner == (3,)
    assert _names(tables["n"]) == ["a", "b"]
    assert tables["n"].counter == "n"
    assert columns["text"].interpretation == "string"
    assert [columns[n].dtype for n in ("flag", "big", "d32", "packed")] == (
        ["|b1", "<i8", "<f4", "<u4"]
    )
    assert tables["late"].jagged
    with open_source(LEAVES) as source, uproot.open(LEAVES) as file:
        data: Any = source.trees["leaves"].read(0, 40)
        assert data["late"].num_rows == 20
        for name in ("m", "flag", "big", "d32"):
            assert data[""].columns[name].tolist() == file["leaves"][name].array().tolist()
        assert data["n"].columns["b"].tolist() == ak.flatten(file["leaves"]["b"].array()).tolist()
        assert source.trees["empty"].num_entries == 0
        assert {t.name for t in source.trees["empty"].tables} == {"", "el_pt"}
        assert [c.name for c in source.trees["ntupled"].tables[0].columns] == ["x", "y"]
        assert source.trees["friendly"].num_entries == 5


def _own_counters(path, counts_of, chunks=3):
    """A tree whose branches have a counter each, as uproot writes them."""
    with uproot.recreate(path) as file:
        file.mktree("t", dict.fromkeys(counts_of, "var * float32"))
        for chunk in range(chunks):
            arrays = {}
            for name, counts in counts_of.items():
                sizes = counts[chunk]
                arrays[name] = ak.unflatten(np.arange(sum(sizes), dtype=np.float32), sizes)
            file["t"].extend(arrays)


SIZES = [[1, 0, 3], [2, 2, 0], [0, 1, 1]]


def test_counters_of_their_own(tmp_path, round_trip, assert_same_for_uproot):
    path, out = tmp_path / "own.root", tmp_path / "out.root"
    other = [[1, 1, 1], [2, 2, 0], [0, 1, 1]]
    _own_counters(path, {"Jet_pt": SIZES, "Jet_eta": SIZES, "Jet_id": other, "Muon_pt": SIZES})
    tables = _tables(path, "t")
    assert {name: _names(table) for name, table in tables.items() if name} == {
        "Jet": ["Jet_pt", "Jet_eta"], "Jet_id": ["Jet_id"], "Muon_pt": ["Muon_pt"],
    }  # fmt: skip
    assert tables["Jet"].counter == "nJet_pt"
    round_trip(path, out, target=20)
    with open_source(path) as a, open_source(out) as b:
        assert compare_sources(a, b) == []
    assert_same_for_uproot(path, out)


def test_counts_that_differ_later(tmp_path):
    path = tmp_path / "later.root"
    other = [SIZES[0], [0, 2, 2], SIZES[2]]
    _own_counters(path, {"Jet_pt": SIZES, "Jet_eta": SIZES, "Jet_id": other})
    with open_source(path) as source:
        assert set(_names(source.trees["t"].tables[1])) == {"Jet_pt", "Jet_eta", "Jet_id"}
        with pytest.raises(LayoutError, match="differ from those of 'Jet_pt'") as caught:
            source.trees["t"].read(0, 9)
        assert caught.value.branch == "Jet_id"
        assert source.settle() == {"t": ("Jet_id",)}
        assert {t.name for t in source.trees["t"].tables} == {"", "Jet", "Jet_id"}
        data: Any = source.trees["t"].read(0, 9)
        assert np.diff(data["Jet_id"].offsets).tolist() == [n for part in other for n in part]
        assert source.settle() == {"t": ()}
    archive = tmp_path / "later.vxc"
    vortex_hep.compress_file(path, archive, effort="fast", model=vortex_hep.Model({}))
    assert vortex_hep.verify(archive, against=path).ok
    out = tmp_path / "out.root"
    vortex_hep.restore(archive, out)
    with open_source(path) as a, open_source(out) as b:
        a.settle()
        assert compare_sources(a, b) == []


def test_vectors_that_change_their_version(tmp_path, round_trip):
    """A basket in the middle that contradicts the first and the last: opaque, and still exact."""
    path = tmp_path / "changed.root"
    chunks = [[1.0, 2.0], [3.0], [4.0]]
    with uproot.recreate(path, compression=None) as file:
        file.mktree("t", {"x": "var * float64"})
        for chunk in chunks:
            file["t"].extend({"x": ak.Array([chunk] * 3)})
    with open_source(path) as source:
        tree: Any = source.trees["t"]
        (plan,) = [plan for plan in tree.plans if plan.name == "x"]
        assert plan.kind == layout.COUNTED
    with uproot.open(path) as file:
        branch = file["t"]["nx"]
        seek, size = (int(branch.member(n)[1]) for n in ("fBasketSeek", "fBasketBytes"))
    data = bytearray(path.read_bytes())
    data[seek + size - 1] ^= 1
    path.write_bytes(data)
    out = tmp_path / "out.root"
    with open_source(path) as source:
        with pytest.raises(LayoutError, match="differ from the counter"):
            source.trees["t"].read(0, 9)
        source.settle()
        names = {table.name: table.counter for table in source.trees["t"].tables}
        assert names == {"": None, "x": None}
    archive = tmp_path / "a.vxc"
    vortex_hep.compress_file(path, archive, effort="fast", model=vortex_hep.Model({}))
    vortex_hep.restore(archive, out)
    with uproot.open(path) as a, uproot.open(out) as b:
        for name in ("nx", "x"):
            for k in range(3):
                first, second = (f["t"][name].basket(k).data for f in (a, b))
                assert np.array_equal(first, second)


@pytest.mark.slow
def test_every_byte_of_a_tree_of_lists_may_flip(tmp_path):
    """The same data, or an error of ours; never another exception."""
    path = tmp_path / "flipped.root"

    def read(data):
        path.write_bytes(data)
        with open_source(path) as source:
            source.settle()
            for tree in source.trees.values():
                tree.read(0, tree.num_entries)
            list(source.remainder())

    data = LISTS.read_bytes()
    places = np.random.default_rng(3).integers(0, len(data), 60).tolist()
    check_flips(data, read, places, masks=[1 << bit for bit in range(8)], unnoticed="any")


@pytest.mark.slow
def test_collections_of_real_files(shared_data):
    name = shared_data / "real/root/PHYSLITE_example.root"
    with open_source(name) as source:
        tree: Any = source.trees["CollectionTree"]
        tables = {table.name: table for table in tree.tables}
        electrons = tables["AnalysisElectronsAuxDyn"]
        columns = {column.name.partition(".")[2] for column in electrons.columns}
        assert {"pt", "eta", "phi", "trackParticleLinks.size", "TruthLink.m_persIndex"} <= columns
        assert electrons.counter is not None
        links = tables["AnalysisElectronsAuxDyn.trackParticleLinks"]
        assert links.parent == "AnalysisElectronsAuxDyn"
        opaque = [p for p in tree.plans if p.kind in (layout.BYTES, layout.STORED)]
        assert len(opaque) <= 1
    with open_source(shared_data / "real/nanoaod/nano_tt_v15.root") as source:
        tables = {table.name: table for table in source.trees["Events"].tables}
        assert len(tables["Jet"].columns) > 40
        assert len(tables) < 120
