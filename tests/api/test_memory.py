"""Tests of arrays in memory: compressed as trees are, read back bit for bit."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import awkward as ak
import h5py
import numpy as np
import pytest
import uproot

import vortex_hep
from vortex_hep.errors import NotFoundError, UnsupportedFeatureError, UnsupportedTypeError
from vortex_hep.models.model import Model

NONE = Model({})
NANS = np.array([0x7FC00001, 0xFFC12345, 0x80000000, 1, 0x7FA00001], np.uint32).view(np.float32)


def bits(array):
    return np.asarray(array).tobytes()


def read(path):
    with vortex_hep.open(path) as archive:
        assert list(archive) == ["arrays"]
        return archive["arrays"].arrays()


def test_a_dict_of_numpy_arrays(tmp_path):
    columns: dict[str, np.ndarray] = {
        "f4": NANS,
        "f2": np.arange(5, dtype=np.float16),
        "big": np.arange(5, dtype=">i4"),
        "flags": np.array([True, False, True, True, False]),
        "matrix": np.arange(30.0).reshape(5, 3, 2),
        "label": np.array([b"a", b"bc", b"", b"def", b"z"]),
    }
    vortex_hep.compress_tree(columns, NONE, path=tmp_path / "a.vxc")
    back = read(tmp_path / "a.vxc")
    assert ak.fields(back) == list(columns)
    for name in ("f4", "f2", "flags", "matrix"):
        assert bits(ak.to_numpy(back[name])) == columns[name].tobytes()
        assert ak.to_numpy(back[name]).dtype == columns[name].dtype
    assert back["big"].tolist() == [0, 1, 2, 3, 4]
    assert bits(ak.to_numpy(back["label"])) == columns["label"].tobytes()


def test_an_awkward_array(tmp_path):
    array = ak.Array(
        [
            {"n": 1, "name": "µ", "Jet": [{"pt": 1.5, "hits": [1, 2]}, {"pt": 2.5, "hits": []}]},
            {"n": 2, "name": "", "Jet": []},
            {"n": 3, "name": "two words", "Jet": [{"pt": -0.0, "hits": [3]}]},
        ]
    )
    report = vortex_hep.compress_tree(array, NONE, path=tmp_path / "a.vxc")
    assert report.raw_bytes > 0
    back = read(tmp_path / "a.vxc")
    assert back["n"].tolist() == [1, 2, 3]
    assert back["name"].tolist() == ["µ", "", "two words"]
    assert bits(ak.flatten(back["Jet_pt"])) == bits([1.5, 2.5, -0.0])
    assert ak.num(back["Jet_pt"]).tolist() == [2, 0, 1]
    assert back["Jet_hits"].tolist() == array["Jet", "hits"].tolist()
    with vortex_hep.open(tmp_path / "a.vxc") as archive:
        some = archive["arrays"].arrays("Jet_hits", entry_start=1)
    assert some["Jet_hits"].tolist() == [[], [[3]]]


def test_jagged_objects_and_strings_of_numpy(tmp_path):
    columns = {
        "hits": np.array([np.arange(2), np.arange(0), np.arange(3)], object),
        "word": np.array(["a", "", "ccc"], object),
    }
    vortex_hep.compress_tree(columns, NONE, path=tmp_path / "a.vxc")
    back = read(tmp_path / "a.vxc")
    assert back["hits"].tolist() == [[0, 1], [], [0, 1, 2]]
    assert back["word"].tolist() == ["a", "", "ccc"]


def test_lists_in_lists_of_any_depth(tmp_path):
    columns = {
        "three": ak.Array([[[[1.5]], []], [], [[[2, 3], []]]]),
        "words": ak.Array([[["a"], []], [], [["µ", ""]]]),
    }
    vortex_hep.compress_tree(columns, NONE, path=tmp_path / "a.vxc")
    back = read(tmp_path / "a.vxc")
    for name, column in columns.items():
        assert back[name].tolist() == column.tolist()
        assert str(back[name].type) == str(column.type)


def test_derived_names_give_way_to_given_ones(tmp_path):
    columns = {
        "x": ak.Array([[[1]], []]),
        "x_counts": np.arange(2.0),
        "x_items": ak.Array([[4], [5, 6]]),
        "r": ak.Array([{"a": 1}, {"a": 2}]),
        "r_a": np.array([7, 8]),
        "": ak.Array([[9], []]),
    }
    vortex_hep.compress_tree(columns, NONE, path=tmp_path / "a.vxc")
    back = read(tmp_path / "a.vxc")
    for name in columns.keys() - {"r"}:
        assert back[name].tolist() == columns[name].tolist()
    assert back["r_a#2"].tolist() == [1, 2]


def test_precision_and_shape_are_kept(tmp_path):
    jagged = np.empty(2, object)
    jagged[:] = [NANS, NANS[:2]]
    columns = {"nan": jagged, "pairs": ak.from_numpy(NANS[:4].reshape(2, 2), regulararray=True)}
    vortex_hep.compress_tree(columns, NONE, path=tmp_path / "a.vxc")
    back = read(tmp_path / "a.vxc")
    assert str(back["nan"].type) == "2 * var * float32"
    assert bits(ak.flatten(back["nan"])) == bits(NANS) + bits(NANS[:2])
    assert str(back["pairs"].type) == "2 * 2 * float32"
    assert bits(ak.to_numpy(back["pairs"])) == bits(NANS[:4])


def test_a_structured_array_and_no_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    array = np.zeros(7, [("x", "<f4"), ("y", "<i8", (2,))])
    array["x"] = np.arange(7)
    report = vortex_hep.compress_tree(array)
    assert report.path == "arrays.vxc"
    assert bits(ak.to_numpy(read("arrays.vxc")["x"])) == array["x"].tobytes()


@pytest.mark.slow
def test_an_rntuple_and_a_ttree(shared_data, tmp_path):
    folder = shared_data / "real" / "nanoaod"
    for name in ("nano_dy_rntuple.root", "nano_dy.root"):
        with uproot.open(folder / name) as file:
            vortex_hep.compress_tree(file["Events"], NONE, path=tmp_path / "a.vxc", overwrite=True)
            expected = file["Events"]["Muon_pt"].array()
        with vortex_hep.open(tmp_path / "a.vxc") as archive:
            assert list(archive) == ["Events"]
            assert bits(ak.flatten(archive["Events"]["Muon_pt"].array())) == bits(
                ak.flatten(expected)
            )


def test_learnt_from_arrays(tmp_path):
    rng = np.random.default_rng(1)
    pt = rng.exponential(30, 20_000).astype(np.float32)
    columns = {"pt": pt, "twice": 2 * pt, "charge": rng.choice([-1, 1], 20_000)}
    report = vortex_hep.compress_tree(columns, path=tmp_path / "a.vxc", effort="fast")
    stored = {c["name"]: c["stored_bytes"] for c in report.columns}
    assert min(stored["pt"], stored["twice"]) < 0.01 * max(stored.values())
    back = read(tmp_path / "a.vxc")
    assert all(bits(ak.to_numpy(back[n])) == columns[n].tobytes() for n in columns)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"x": np.zeros(3, complex)}, "x.*complex"),
        ({"x": np.array(["2026-01-01"], "M8[D]")}, "x.*datetime"),
        ({"x": ak.Array([1, None])}, "x.*int64"),
        ({"x": ak.Array([1, "a"])}, "x.*union"),
        ({"x": np.zeros(3), "y": np.zeros(4)}, "differ in length: 3, 4"),
        ({}, "no arrays"),
        (np.zeros(3), "no named fields"),
        ({"x": np.array(3)}, "x.*expected an array"),
        ({"x": 3}, "x.*expected an array.*int"),
        ({"x": "abc"}, "x.*expected an array.*str"),
        ({"x": iter([1])}, "x.*expected an array"),
        ({"x": {1, 2}}, "x.*expected an array.*set"),
        ({"1": np.zeros(3), 1: np.ones(3)}, "the same name"),
        ({"x": np.ma.array([1, 2], mask=[False, True])}, "x.*masked"),
        ({"x": np.array([1 << 70, 1], object)}, "x.*cannot be stored"),
        ({"x": [2**60 + 1, 0.5]}, "x.*mixes types of numbers"),
        ({"x": np.array([np.zeros(2, "f4"), np.zeros(1, "f8")], object)}, "x.*several types"),
        ({"x": ak.Array([{}, {}])}, "x.*type {}"),
        ({"x": ak.Array([[{}, {}], []])}, "x.*type {}"),
        (3, "got int"),
        ("file.root", "got str"),
    ],
)
def test_what_has_no_lossless_form(value, message, tmp_path):
    with pytest.raises(UnsupportedTypeError, match=message):
        vortex_hep.compress_tree(value, NONE, path=tmp_path / "a.vxc")
    assert list(tmp_path.iterdir()) == []


def test_there_is_no_file_to_restore(tmp_path):
    vortex_hep.compress_tree({"x": np.zeros(3)}, NONE, path=tmp_path / "a.vxc")
    with pytest.raises(UnsupportedFeatureError, match=r"no file to restore.*arrays"):
        vortex_hep.restore(tmp_path / "a.vxc", tmp_path / "out")
    with pytest.raises(NotFoundError):
        vortex_hep.compress_file({"x": np.zeros(3)}, tmp_path / "b.vxc", trees=["Events"])
    assert [p.name for p in tmp_path.iterdir()] == ["a.vxc"]


#: Prints the largest resident memory of a process that does nothing but compress and verify a file.
ALONE = """
import sys, vortex_hep
from vortex_hep.testing.bench.alone import peak_memory
from vortex_hep.models.model import Model
source, path = sys.argv[1:]
vortex_hep.compress_file(source, path, model=Model({}), effort="fast", check=False, threads=2)
assert vortex_hep.verify(path, against=source, threads=2).ok
print(peak_memory())
"""
#: Rows of a block, of 16 MB.
ROWS = 1 << 17
BLOCKS = 30
#: Bytes that a process may have in memory, a third of them its libraries.
LIMIT = 450_000_000


def write_root(path):
    with uproot.recreate(path, compression=None) as file:
        tree = file.mktree("t", {"position": ("f8", (16,)), "number": "u4"})
        for number in range(BLOCKS):
            position = np.full((ROWS, 16), number, float)
            tree.extend({"position": position, "number": np.arange(ROWS, dtype=np.uint32)})


def write_hdf5(path):
    with h5py.File(path, "w") as file:
        shape = (BLOCKS * ROWS, 16)
        data = file.create_dataset("position", shape, "f8", chunks=(1 << 13, 16))
        for number in range(BLOCKS):
            data[number * ROWS : (number + 1) * ROWS] = np.full((ROWS, 16), number, float)


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is as Linux counts it")
@pytest.mark.parametrize("write", [write_root, write_hdf5])
def test_a_file_larger_than_the_memory_there_is(tmp_path, write):
    path = tmp_path / "large"
    write(path)
    assert path.stat().st_size > 1.1 * LIMIT
    done = subprocess.run(
        [sys.executable, "-c", ALONE, path, tmp_path / "a.vxc"], stdout=subprocess.PIPE, check=True
    )
    path.unlink()  # not to be kept with the folders of the last runs
    assert int(done.stdout) < LIMIT
