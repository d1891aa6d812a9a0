"""Tests of dask-awkward collections: only what is used is decoded, on real workers too."""

import os
import pickle
import re
import shutil
import sys

import awkward as ak
import dask_awkward as dak
import numpy as np
import pytest
import uproot
from distributed import Client

import vortex_hep
from vortex_hep.core.install import install_hint
from vortex_hep.errors import (
    ChangedError,
    MissingError,
    NotFoundError,
    UnsupportedFeatureError,
    UnsupportedTypeError,
)

NAMES = ["nJet", "Jet_pt", "event", "HLT_IsoMu24"]


@pytest.fixture(scope="module")
def truth(dataset):
    return uproot.concatenate([f"{dataset}/{n}.root:Events" for n in "ab"], NAMES)


def compute(collection):
    return collection.compute(scheduler="synchronous")


def test_a_collection_is_what_uproot_reads(dataset, truth, decoded):
    events = vortex_hep.dask(f"{dataset}/*.vxc:Events", step_size=40)
    assert decoded == []
    assert events.known_divisions
    assert events.divisions[0] == 0
    assert events.divisions[-1] == 240 == len(truth)
    assert events.npartitions > 4
    assert set(NAMES) <= set(events.fields)
    found = compute(events[NAMES])
    assert ak.array_equal(found[NAMES], truth[NAMES], dtype_exact=True)
    assert len(decoded) == len(set(decoded))


def test_only_the_table_in_use_is_decoded(dataset, truth, decoded):
    events = vortex_hep.dask(f"{dataset}/*.vxc:Events")
    assert ak.array_equal(compute(events.Jet_pt), truth.Jet_pt, dtype_exact=True)
    assert decoded.plans == {"", "Jet"}
    decoded.clear()
    picked = compute(events.Jet_pt[(events.nJet > 2) & events.HLT_IsoMu24])
    assert ak.array_equal(picked, truth.Jet_pt[(truth.nJet > 2) & truth.HLT_IsoMu24])
    assert decoded.plans == {"", "Jet", "/scalars"}
    assert dak.report_necessary_columns(events.Jet_pt) == {events.name: frozenset({"Jet_pt"})} or (
        set().union(*dak.report_necessary_columns(events.Jet_pt).values()) == {"Jet_pt"}
    )


def test_partitions_end_with_clusters(dataset):
    with vortex_hep.open(dataset / "a.vxc") as archive:
        ranges = archive["Events"].cluster_ranges(0)
    events = vortex_hep.dask({dataset / "a.vxc": "Events"}, ["event"], step_size=1)
    assert list(zip(events.divisions, events.divisions[1:], strict=False)) == ranges
    whole = vortex_hep.dask({dataset / "a.vxc": "Events"}, ["event"])
    assert whole.divisions == (0, 120)
    given = {"object_path": "Events", "steps": [[0, 7], [50, 53]]}
    steps = vortex_hep.dask({dataset / "a.vxc": given}, ["event"])
    assert [len(compute(p)) for p in steps.partitions] == [7, 3]


def test_strings_and_filters(make_archive, tmp_path):
    texts = ak.Array(["a", "", "höher"] * 5)
    with uproot.recreate(tmp_path / "x.root") as file:
        file.mktree("t", {"s": "string", "x": "f4", "v": ("f4", (3,))})
        file["t"].extend({"s": texts, "x": np.arange(15, dtype="f4"), "v": np.ones((15, 3), "f4")})
    make_archive(tmp_path / "x.root", tmp_path / "x.vxc")
    events = vortex_hep.dask(tmp_path / "x.vxc")
    assert compute(events.s).to_list() == texts.to_list()
    assert str(compute(events.v).type) == "15 * 3 * float32"
    assert vortex_hep.dask(tmp_path / "x.vxc", filter_name="s").fields == ["s"]
    assert len(compute(events)) == 15


def test_trees_without_entries(make_archive, tmp_path):
    with uproot.recreate(tmp_path / "x.root") as file:
        file.mktree("t", {"x": "f4"})
    make_archive(tmp_path / "x.root", tmp_path / "x.vxc")
    assert len(compute(vortex_hep.dask(tmp_path / "x.vxc").x)) == 0


def test_on_a_cluster_of_processes(dataset, truth, cluster):
    with Client(cluster):
        files = {f"{dataset}/a.vxc": "Events", f"{dataset}/b.vxc": "Events"}
        events = vortex_hep.dask(files, step_size=40)
        jets = ak.flatten(truth.Jet_pt)
        assert dak.sum(dak.num(events.Jet_pt, axis=1)).compute() == len(jets)
        assert np.isclose(dak.max(events.Jet_pt).compute(), np.max(jets))


def test_paths_hold_where_workers_are(
    truth, nameless_archive, model, cluster, tmp_path, monkeypatch
):
    model.save(tmp_path / "m.vxm")
    monkeypatch.chdir(tmp_path)  # where the workers are not
    with Client(cluster):
        place = os.path.relpath(nameless_archive)
        events = vortex_hep.dask({place: "Events"}, model="m.vxm", cache="20 MB")
        assert ak.array_equal(events.Jet_pt.compute(), truth.Jet_pt[:120], dtype_exact=True)


def test_mistakes(dataset, make_archive, tmp_path):
    with pytest.raises(NotFoundError, match="did you mean 'Jet_pt'"):
        vortex_hep.dask(f"{dataset}/a.vxc:Events", ["Jet_ptt"])
    with pytest.raises(MissingError, match="no file matches"):
        vortex_hep.dask(f"{dataset}/z*.vxc:Events")
    with (
        vortex_hep.open(dataset / "a.vxc") as archive,
        pytest.raises(UnsupportedTypeError, match="tasks cannot share an open tree"),
    ):
        vortex_hep.dask(archive["Events"])
    for name, dtype in (("x", "f4"), ("y", "f8")):
        with uproot.recreate(tmp_path / f"{name}.root") as file:
            file.mktree("t", {"q": dtype, "r": "i4"})
            file["t"].extend({"q": np.zeros(3, dtype), "r": np.zeros(3, "i4")})
        make_archive(tmp_path / f"{name}.root", tmp_path / f"{name}.vxc")
    with pytest.raises(UnsupportedTypeError, match=r"y\.vxc, branch 'q': .*than .*x\.vxc"):
        vortex_hep.dask(f"{tmp_path}/*.vxc")
    assert vortex_hep.dask(f"{tmp_path}/*.vxc", ["r"]).npartitions == 2


def test_an_archive_that_is_replaced_meanwhile(dataset, tmp_path):
    shutil.copy(dataset / "a.vxc", tmp_path / "x.vxc")
    events = vortex_hep.dask({tmp_path / "x.vxc": "Events"})
    shutil.copy(dataset / "b.vxc", tmp_path / "x.vxc")
    with pytest.raises(ChangedError, match="replaced while it was in use"):
        compute(events.Jet_pt)


def test_without_dask_awkward(monkeypatch):
    monkeypatch.delitem(sys.modules, "vortex_hep.analysis.collections", raising=False)
    monkeypatch.setitem(sys.modules, "dask_awkward.lib.io.io", None)
    with pytest.raises(UnsupportedFeatureError, match=re.escape(install_hint("dask"))):
        vortex_hep.dask("x.vxc")


def test_graphs_are_small(dataset):
    events = vortex_hep.dask(f"{dataset}/a.vxc:Events", ["Jet_pt"], step_size=40)
    assert len(pickle.dumps(events.dask)) < 50_000
