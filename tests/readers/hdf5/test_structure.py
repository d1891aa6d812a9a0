"""Tests of groups, links, attributes and user blocks, restored as they were."""

import h5py
import numpy as np
import pytest

from vortex_hep.readers.hdf5 import describe, open_file, skeleton_file


@pytest.mark.parametrize("libver", ["earliest", "latest"])
@pytest.mark.parametrize("track_order", [False, True])
def test_groups_and_links(check, libver, track_order):
    def fill(file):
        deep = file.create_group("a/b/c", track_order=track_order)
        deep["x"] = np.arange(30)
        file["hard"] = deep["x"]
        file["a/up"] = file["/"]
        deep["self"] = deep
        file["soft"] = h5py.SoftLink("/a/b/c/x")
        file["dangling"] = h5py.SoftLink("nowhere/at/all")
        file["around"] = h5py.SoftLink("/around")
        file["external"] = h5py.ExternalLink("no such file.h5", "/x")
        for k in range(20):
            deep.create_group(f"g{(7 * k) % 20}")
        file["\u00e4\u20ac"] = np.arange(3)
        file[b"\xff\xfe"] = np.arange(4)

    columns, notes = check(fill, libver=libver, track_order=track_order)
    assert notes == []
    # The first path in the order of names is the one that counts.
    assert "a/b/c/x" in columns
    assert "hard" not in columns
    assert "\\xff\\xfe" in columns


@pytest.mark.parametrize("libver", ["earliest", "latest"])
def test_attributes(check, libver):
    def fill(file):
        data = file.create_dataset("x", data=np.arange(20), chunks=(5,), compression="gzip")
        for holder in (file, data, file.create_group("g", track_order=True)):
            attrs = holder.attrs
            attrs["int"], attrs["float"], attrs["text"] = 3, np.float32("nan"), "\u00fcber"
            attrs["bytes"] = np.bytes_(b"ab\0c")
            attrs["list"] = ["one", "two", ""]
            attrs["empty"] = h5py.Empty("f8")
            attrs["none"] = np.zeros((0,), "i4")
            attrs["matrix"] = np.arange(6.0).reshape(2, 3).astype(">f4")
            attrs["bool"] = True
            attrs["ref"] = data.ref
            attrs["region"] = data.regionref[2:4]
            attrs.create("refs", [data.ref, file.ref], dtype=h5py.ref_dtype)
            ragged = np.empty(2, object)
            ragged[0], ragged[1] = np.arange(3, dtype="i2"), np.arange(0, dtype="i2")
            attrs.create("ragged", ragged, dtype=h5py.vlen_dtype(np.int16))
            attrs["compound"] = np.array([(1, 2.0)], [("a", "i4"), ("b", "f8")])
            attrs["\u20ac"] = 1j
            attrs["null"] = h5py.Reference()
        for k in range(40):
            file["g"].attrs[f"many{k}"] = np.full(k, k)
        data.attrs["large"] = np.zeros(4000 if libver == "earliest" else 20_000)

    check(fill, libver=libver)


def test_dimension_scales(check):
    def fill(file):
        file["x"] = np.arange(12.0).reshape(3, 4)
        file["time"], file["place"] = np.arange(3), np.arange(4)
        for k, name in enumerate(("time", "place")):
            file[name].make_scale(name)
            file["x"].dims[k].attach_scale(file[name])
            file["x"].dims[k].label = name

    check(fill)


@pytest.mark.parametrize("size", [512, 1024, 2048])
def test_user_block(check, make, tmp_path, size):
    def fill(file):
        file.create_dataset("x", data=np.arange(100), chunks=(9,), compression="gzip")
        file["y"] = np.arange(50.0)
        file.attrs["ref"] = file["x"].ref

    columns, notes = check(fill, userblock_size=size)
    assert notes == []
    assert columns["x"]["x"].tolist() == list(range(100))
    assert columns["y"]["y"].tolist() == list(range(50))


def test_user_block_with_text(make, there_and_back, compare_files, tmp_path):
    path = make(lambda f: f.create_dataset("x", data=np.arange(9)), userblock_size=512)
    data = bytearray(path.read_bytes())
    data[:9] = b"#!/bin/sh"
    path.write_bytes(data + b"and something behind")
    there_and_back(path, tmp_path / "out.h5")
    compare_files(path, tmp_path / "out.h5")
    assert (tmp_path / "out.h5").read_bytes() == path.read_bytes()


@pytest.mark.parametrize("strategy", ["fsm", "page", "aggregate", "none"])
def test_file_space_strategies(check, strategy):
    def fill(file):
        for k in range(5):
            file[f"x{k}"] = np.arange(100 * k)
        del file["x2"]
        file.create_dataset("y", data=np.arange(100), chunks=(9,), compression="gzip")

    check(fill, fs_strategy=strategy, fs_persist=strategy in ("fsm", "page"), libver="latest")


def test_empty_file(check):
    columns, notes = check(lambda f: None)
    assert columns == {}
    assert notes == []


def test_skeleton_and_description(make):
    def fill(file):
        file.create_dataset("x", data=np.arange(100), chunks=(9,), compression="gzip")
        file["x"].attrs["unit"] = "GeV"
        file["g/small"] = "text"
        file["type"] = np.dtype("f4")
        file["link"] = h5py.SoftLink("/x")

    with open_file(make(fill), trees=None) as source:
        blobs = dict(source.remainder())
    with skeleton_file(blobs) as file:
        assert file["x"].attrs["unit"] == "GeV"
        assert file["g/small"][()] == b"text"
        assert file["x"].shape == (100,)
        with pytest.raises(OSError, match="read"):
            file["x"][:]
    told = describe(blobs)
    assert set(told) == {
        "group '.'", "dataset 'x'", "attribute 'unit' of 'x'", "group 'g'", "dataset 'g/small'",
        "data of 'g/small'", "type 'type'",
    }  # fmt: skip


def _variants():
    """Functions that change one thing of a file each."""

    def attribute(file):
        file["x"].attrs["a"] = 2

    def text(file):
        file["s"][...] = "other"

    def number(file):
        file["scalar"][...] = 2

    def link(file):
        del file["soft"]
        file["soft"] = h5py.SoftLink("/other")

    def group(file):
        file.create_group("new")

    def ragged(file):
        file["ragged"][0] = [3]

    def reference(file):
        file["x"].attrs["ref"] = h5py.Reference()

    return [attribute, text, number, link, group, ragged, reference]


@pytest.mark.parametrize("change", _variants(), ids=lambda f: f.__name__)
def test_description_tells_differences(make, change):
    def fill(file):
        file["x"] = np.arange(10)
        file["x"].attrs["a"] = 1
        file["x"].attrs["ref"] = file["x"].ref
        file["scalar"] = 1
        file["s"] = "text"
        file["soft"] = h5py.SoftLink("/x")
        file.create_dataset("ragged", (2,), h5py.vlen_dtype("i4"))

    def fill_and_change(file):
        fill(file)
        change(file)

    told = []
    for name, function in (("a.h5", fill), ("b.h5", fill), ("c.h5", fill_and_change)):
        with open_file(make(function, name), trees=None) as source:
            told.append(describe(dict(source.remainder())))
    assert told[0] == told[1]
    assert told[0] != told[2]
