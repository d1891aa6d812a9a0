"""Tests of pickling archives, which travel by their path."""

import io
import pickle
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import awkward as ak
import numpy as np
import pytest
import uproot

import vortex_hep
from vortex_hep.errors import ChangedError, UnsupportedTypeError


def read(tree):
    return tree.arrays(["Jet_pt", "event"], entry_stop=50)


def test_trees_in_another_process(dataset, monkeypatch):
    monkeypatch.chdir(dataset)
    with (
        vortex_hep.open("a.vxc", cache="1 MB", threads=1) as archive,
        ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool,
    ):
        tree = archive["Events"]
        assert ak.array_equal(pool.submit(read, tree).result(), read(tree), dtype_exact=True)


def test_what_arrives(nameless_archive, model, tmp_path, monkeypatch):
    monkeypatch.chdir(nameless_archive.parent)
    with vortex_hep.open("a.vxc", model=model, threads=3, cache=tmp_path) as archive:
        state = pickle.dumps((archive, archive["Events"]["Jet_pt"]))
        expected = archive["Events"]["Jet_pt"].array()
    monkeypatch.chdir(tmp_path)
    again, branch = pickle.loads(state)
    assert again.path == str(nameless_archive)
    assert again.cache.folder == tmp_path
    assert branch._tree._handle is again._handle
    assert ak.array_equal(branch.array(), expected)
    again.close()


def test_models_given_by_path_travel_as_paths(nameless_archive, model, tmp_path, monkeypatch):
    model.save(tmp_path / "m.vxm")
    monkeypatch.chdir(tmp_path)
    with vortex_hep.open(nameless_archive, model="m.vxm") as archive:
        state = pickle.dumps(archive)
        expected = archive["Events"]["Muon_pt"].array()
    assert len(state) < 1000
    monkeypatch.chdir(nameless_archive.parent)
    again = pickle.loads(state)
    assert ak.array_equal(again["Events"]["Muon_pt"].array(), expected)


def test_file_objects_cannot_travel(dataset):
    with vortex_hep.open(io.BytesIO((dataset / "a.vxc").read_bytes())) as archive:
        with pytest.raises(UnsupportedTypeError, match="open it by its path"):
            pickle.dumps(archive)
        with pytest.raises(UnsupportedTypeError, match="open it by its path"):
            pickle.dumps(archive["Events"])


def test_what_was_replaced_on_the_way(dataset, tmp_path):
    path = tmp_path / "x.vxc"
    path.write_bytes((dataset / "a.vxc").read_bytes())
    with vortex_hep.open(path) as archive:
        state = pickle.dumps(archive["Events"])
    path.write_bytes((dataset / "b.vxc").read_bytes())
    with pytest.raises(ChangedError, match="replaced while it was in use"):
        pickle.loads(state)


def test_trees_that_are_coded_together(make_archive, tmp_path):
    with uproot.recreate(tmp_path / "x.root") as file:
        for name, value in (("track", 1.0), ("cov", 2.0)):
            file.mktree(f"DF_1/{name}", {"f": "f4"})
            file[f"DF_1/{name}"].extend({"f": np.full(200, value, "f4")})
    make_archive(tmp_path / "x.root", tmp_path / "x.vxc")
    with vortex_hep.open(tmp_path / "x.vxc") as archive:
        assert len(archive.coded) == 1
        again = pickle.loads(pickle.dumps(archive["DF_1/cov"]))
    assert again.arrays()["f"].to_list() == [2.0] * 200
