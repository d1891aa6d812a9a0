"""Tests of the names of trees, tables and columns."""

import h5py
import numpy as np
import pytest

from vortex_hep.errors import NotFoundError
from vortex_hep.readers import open_source
from vortex_hep.readers.hdf5 import open_file


def _trees(path, **options):
    with open_file(path, trees=None, **options) as source:
        return {n: [c.name for s in t.tables for c in s.columns] for n, t in source.trees.items()}


PAIR = np.dtype([("a", "i4"), ("b", "f4")])


def test_columns_of_groups(make):
    def fill(file):
        for name in ("x", "y", "z"):
            file[name] = np.arange(5)
            file[f"part/{name}"] = np.arange(8.0)
        file["info/n"], file["info/m"] = np.arange(2), np.arange(2)
        file["info/p"], file["info/q"], file["info/r"] = (np.arange(3) for _ in "pqr")
        file["info/alone"] = np.arange(9)
        file["c"] = np.arange(5) * 1j

    assert _trees(make(fill)) == {
        "/": ["c.r", "c.i", "x", "y", "z"],
        "info/alone": ["alone"],
        "info/m+1": ["m", "n"],
        "info": ["p", "q", "r"],
        "part": ["x", "y", "z"],
    }


def test_compounds(make):
    def fill(file):
        file["jets"], file["tracks"] = np.zeros(20, PAIR), np.zeros((20, 2), PAIR)
        file["alone"] = np.zeros(7, PAIR)
        file["one"], file["more"] = np.zeros(1, PAIR), np.zeros(1, PAIR)
        for k in range(6):
            file[f"g/x{k}"] = np.zeros(9, PAIR)

    found = _trees(make(fill))
    assert set(found) == {"jets+tracks", "alone", "one", "more", "g/x0+5"}
    assert found["alone"] == ["a", "b"]
    assert found["jets+tracks"] == ["jets/a", "jets/b", "tracks/a", "tracks/b"]


def test_names_that_are_taken(make):
    def fill(file):
        file["a"], file["b"] = np.zeros(4, PAIR), np.zeros(4, PAIR)
        file["a+b"] = np.arange(3)
        file["g/x"], file["g/y"] = np.arange(2), np.arange(2)
        file["g/z"], file["g/w"], file["g/v"] = (np.arange(3) for _ in "zwv")
        file["g/x+1"] = np.arange(7)

    found = _trees(make(fill))
    assert "a+b#2" in found
    assert found["a+b"] == ["a+b"]
    assert found["g/x+1"] == ["x+1"]
    assert found["g/x+1#2"] == ["x", "y"]


@pytest.mark.parametrize("name", [b"\xff", "\u20ac".encode(), b"a b", b".x", b"a\nb"])
def test_odd_names(make, there_and_back, compare_files, tmp_path, name):
    def fill(file):
        file[name] = np.arange(9)
        file[name + b"2"] = np.zeros(9, PAIR)

    path = make(fill)
    there_and_back(path, tmp_path / "out.h5")
    compare_files(path, tmp_path / "out.h5")


def test_two_names_that_read_alike(make, there_and_back, compare_files, tmp_path):
    def fill(file):
        file[b"\xff"] = np.arange(9)
        file["\\xff"] = np.arange(9)

    path = make(fill)
    there_and_back(path, tmp_path / "out.h5")
    compare_files(path, tmp_path / "out.h5")


def test_some_trees(make, there_and_back, compare_files, tmp_path):
    """Of the others the bytes are carried: a file comes back whole."""

    def fill(file):
        file["jets"], file["tracks"] = np.zeros(20, PAIR), np.ones((20, 2), PAIR)
        file["x"], file["y"] = np.arange(5), np.arange(5)
        file["g/x"] = np.arange(3)

    path = make(fill)
    for trees, expected in (
        (["tracks"], {"tracks"}), (["/", "g/x"], {"/", "g/x"}),
        (["jets", "tracks"], {"jets", "tracks"}),
        (["jets+tracks"], {"jets", "tracks"}), ([], set()),
    ):  # fmt: skip
        _, clusters, _ = there_and_back(path, tmp_path / "out.h5", trees=trees)
        assert {name for name, *_ in clusters} == expected
        compare_files(path, tmp_path / "out.h5")
    with pytest.raises(NotFoundError, match="did you mean 'jets'") as caught:
        open_source(path, trees=["jet"])
    assert caught.value.path == str(path)


def test_partial_reads(make):
    data = np.arange(300).reshape(100, 3)

    def fill(file):
        file.create_dataset("x", data=data, chunks=(7, 2), compression="gzip")
        file["y"] = np.arange(100.0)
        pairs = np.zeros(100, PAIR)
        pairs["a"] = np.arange(100)
        file["p"] = pairs

    with open_file(make(fill), trees=None) as source:
        tree = source.trees["/"]
        some = tree.read(40, 55, ["x"])
        assert list(some[""].columns) == ["x"]
        assert np.array_equal(np.asarray(some[""].columns["x"]), data[40:55])
        assert np.asarray(tree.read(99, 100)[""].columns["y"]).tolist() == [99.0]
        assert np.asarray(tree.read(5, 5)[""].columns["y"]).shape == (0,)
        assert np.asarray(source.trees["p"].read(3, 5, ["a"])[""].columns["a"]).tolist() == [3, 4]
        with pytest.raises(NotFoundError, match="no such column"):
            tree.read(0, 1, ["z"])


def test_large_rows_take_more_axes(make):
    def fill(file):
        file.create_dataset("wide", (3, 2, 1 << 21), "i4", chunks=(1, 1, 1 << 16))
        file["wide"][1, 1, :4] = 7
        file["wide"][2, 0, -4:] = 8
        file["wide"][0, 0, :] = 1
        file["wide"][0, 1, :] = 1

    with open_file(make(fill), trees=None) as source:
        tree = source.trees["wide"]
        assert tree.num_entries > 3
        rows = tree.num_entries // 6
        cluster = tree.read(3 * rows, 4 * rows)
        assert np.asarray(cluster[""].columns["wide"]).reshape(-1)[:5].tolist() == [7, 7, 7, 7, 0]


def test_typenames(make):
    def fill(file):
        file["f"] = np.arange(3, dtype=">f4")
        file["flag"] = np.array([True, False, True])
        file["s"] = np.array([b"ab"] * 3)
        file["m"] = np.zeros((3, 2, 2), "i2")
        file.create_dataset("e", (3,), h5py.enum_dtype({"a": 1}, "u1"), data=[1, 1, 1])

    with open_file(make(fill), trees=None) as source:
        columns = source.trees["/"].tables[0].columns
    assert {c.name: (c.typename, c.dtype, c.inner) for c in columns} == {
        "f": ("float32", "<f4", ()), "flag": ("bool", "|b1", ()), "s": ("string[2]", "|u1", (2,)),
        "m": ("int16[2][2]", "<i2", (2, 2)), "e": ("enum uint8", "|u1", ()),
    }  # fmt: skip
