"""Tests of files, groups and datasets that h5py has open, by any driver."""

import io
import os

import h5py
import numpy as np
import pytest

from vortex_hep import Model, compress_tree, restore, verify
from vortex_hep import open as open_archive
from vortex_hep.errors import SourceError, UnsupportedTypeError
from vortex_hep.readers import open_source

PAIR = np.dtype([("a", "i4"), ("b", "f4")])


def _fill(file):
    file.create_dataset("x", data=np.arange(60), chunks=(7,), compression="gzip")
    file["g/jets"], file["g/tracks"] = np.zeros(20, PAIR), np.ones((20, 2), PAIR)
    file["g/deep/z"] = np.arange(3.0)
    file["gg"] = np.arange(4.0)


@pytest.mark.parametrize(
    ("name", "trees"),
    [
        ("/", {"x", "g/jets+tracks", "g/deep/z", "gg"}), ("g", {"g/jets+tracks", "g/deep/z"}),
        ("g/jets", {"g/jets"}), ("x", {"x"}), ("g/deep", {"g/deep/z"}),
    ],
)  # fmt: skip
def test_objects(make, tmp_path, compare_files, name, trees):
    path, out = make(_fill), tmp_path / "out.h5"
    with h5py.File(path, "r") as file:
        with open_source(file[name]) as source:
            assert set(source.trees) == trees
        assert file["x"][3] == 3
        compress_tree(file[name], path=tmp_path / "a.vxc", model=Model({}), effort="fast")
        assert verify(tmp_path / "a.vxc", against=file[name]).ok
        assert compress_tree(
            file[name], path=tmp_path / "b.vxc", model=Model({}), effort="fast", exact=True
        ).columns
    restore(tmp_path / "a.vxc", out)
    compare_files(path, out)
    restore(tmp_path / "b.vxc", out, overwrite=True)
    assert out.read_bytes() == path.read_bytes()


def test_default_name(make, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with h5py.File(make(_fill), "r") as file:
        compress_tree(file["g/jets"], model=Model({}), effort="fast")
    with open_archive("g_jets.vxc") as archive:
        assert list(archive.trees) == ["g/jets"]


@pytest.mark.parametrize("kind", ["core", "fileobj", "stdio"])
def test_drivers(make, tmp_path, compare_files, kind):
    path, out = make(_fill), tmp_path / "out.h5"
    if kind == "fileobj":
        file = h5py.File(io.BytesIO(path.read_bytes()), "r")
    else:
        file = h5py.File(path, "r", driver=kind)
    with file:
        compress_tree(file, path=tmp_path / "a.vxc", model=Model({}), effort="fast")
    restore(tmp_path / "a.vxc", out)
    compare_files(path, out)


def test_file_in_memory_alone(tmp_path, compare_files):
    with h5py.File("nowhere", "w", driver="core", backing_store=False) as file:
        _fill(file)
        compress_tree(file, path=tmp_path / "a.vxc", model=Model({}), effort="fast")
    with h5py.File(tmp_path / "same.h5", "w") as file:
        _fill(file)
    restore(tmp_path / "a.vxc", tmp_path / "out.h5")
    compare_files(tmp_path / "same.h5", tmp_path / "out.h5")


def test_user_block_of_another_driver(make):
    path = make(_fill, userblock_size=512)
    with (
        h5py.File(path, "r", driver="core") as file,
        pytest.raises(UnsupportedTypeError, match="user block"),
    ):
        open_source(file)


def test_several_files_that_are_one(tmp_path):
    names = tmp_path / "part%d.h5"
    with h5py.File(names, "w", driver="family", memb_size=4096) as file:
        file["x"] = np.arange(3000.0)
    with (
        h5py.File(names, "r", driver="family", memb_size=4096) as file,
        pytest.raises(UnsupportedTypeError, match="h5repart"),
    ):
        open_source(file)
    with pytest.raises(SourceError, match="h5repart"):
        open_source(tmp_path / "part0.h5")
    with open_source(tmp_path / "part1.h5") as source:
        assert source.kind == "opaque"


def test_newer_superblock(make):
    path = make(_fill)
    data = bytearray(path.read_bytes())
    data[8] = 4
    path.write_bytes(data)
    with pytest.raises(SourceError, match="unsupported version 4 of the superblock"):
        open_source(path)


def test_closed_objects(make):
    file = h5py.File(make(_fill), "r")
    dataset = file["x"]
    file.close()
    for closed in (file, dataset):
        with pytest.raises(SourceError, match="closed"):
            open_source(closed)


def test_other_objects(make):
    with h5py.File(make(_fill), "r") as file, pytest.raises(UnsupportedTypeError):
        open_source(file["x"].dtype.fields or h5py.SoftLink("/x"))


def test_file_that_is_being_written(tmp_path):
    path = tmp_path / "in.h5"
    with h5py.File(path, "w", libver="latest") as file:
        _fill(file)
        with pytest.raises(SourceError, match="open for writing") as caught:
            open_source(file)
        assert str(path) in str(caught.value)
        for name in (path, os.fspath(path)):
            with pytest.raises(SourceError):
                open_source(name)
    with open_source(path) as source:
        assert source.trees


def test_locked_file(make):
    """Files of older formats do not say that they are being written: the writer's lock does."""
    fcntl = pytest.importorskip("fcntl")
    path = make(_fill)
    with path.open("rb") as writer:
        fcntl.flock(writer, fcntl.LOCK_EX)
        with pytest.raises(SourceError, match="open for writing") as caught:
            open_source(path)
        assert "damaged" not in str(caught.value)


def test_mark_of_a_writer_that_died(make):
    path = make(_fill, libver="latest")
    data = bytearray(path.read_bytes())
    with h5py.File(path, "r+", libver="latest") as file:
        file.flush()
        crashed = path.read_bytes()
    assert crashed[11] & 1
    assert not data[11] & 1
    path.write_bytes(crashed)
    with pytest.raises(SourceError, match=r"marked as open for writing.*h5clear"):
        open_source(path)


def test_urls(make):
    fsspec = pytest.importorskip("fsspec")
    path = make(_fill)
    with fsspec.open("memory://in.h5", "wb") as file:
        file.write(path.read_bytes())
    with open_source("memory://in.h5") as source:
        assert source.kind == "hdf5"
        assert np.asarray(source.trees["x"].read(3, 5)[""].columns["x"]).tolist() == [3, 4]
