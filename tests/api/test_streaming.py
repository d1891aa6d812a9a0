"""Tests of writing archives and files to open files, to memory and to servers."""

from __future__ import annotations

import errno
import io
import os
import threading
import uuid
from typing import Any, cast

import awkward as ak
import fsspec
import numpy as np
import pytest
import uproot

import vortex_hep
from tests.xrootd import xrootd, xrootd_base  # noqa: F401 - fixtures
from vortex_hep.archive import compress as compressing
from vortex_hep.archive import write as archiving
from vortex_hep.codec.container.container_write import ContainerWriter
from vortex_hep.core import storage
from vortex_hep.errors import (
    CorruptionError,
    LayoutError,
    OutputError,
    SourceError,
    UnsupportedTypeError,
)
from vortex_hep.models.model import Model
from vortex_hep.nn.coding.treecoder import TreeDecoder, TreeEncoder
from vortex_hep.readers.root.rootfile import RootFileSource
from vortex_hep.readers.root.ttree.ttree import TTreeSource

NONE = Model({})
FAST: dict[str, Any] = {"model": NONE, "effort": "fast"}


@pytest.fixture(autouse=True)
def _several_clusters(monkeypatch):
    monkeypatch.setattr(compressing, "CLUSTER_BYTES", 10_000)


@pytest.fixture(autouse=True)
def _no_threads_left():
    yield
    assert not [t for t in threading.enumerate() if t.name == "vortex_hep overlap"]


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """A file of few branches: what is tested here does not depend on their number."""
    path = tmp_path_factory.mktemp("source") / "in.root"
    rng = np.random.default_rng(1)
    with uproot.recreate(path) as file:
        file.mktree("Events", {"run": "u4", "met": "f4", "Jet": ak.Array([[{"pt": 1.5}]]).type})
        for run in range(3):
            met = rng.exponential(30, 1000).astype(np.float32)
            jets = ak.unflatten(rng.exponential(50, 3000), np.full(1000, 3))
            block = {"run": np.full(1000, run, np.uint32), "met": met, "Jet": ak.zip({"pt": jets})}
            file["Events"].extend(block)
        file.mktree("Runs", {"run": "u4"}).extend({"run": np.arange(3, dtype=np.uint32)})
    return path


@pytest.fixture(scope="module")
def expected(source, tmp_path_factory):
    """Bytes of the archive that all ways to write it must give."""
    path = tmp_path_factory.mktemp("expected") / "a.vxc"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compressing, "CLUSTER_BYTES", 10_000)
        vortex_hep.compress_file(source, path, **FAST)
    with vortex_hep.open(path) as archive:
        assert len(archive["Events"].cluster_ranges(0)) > 5
    return path.read_bytes()


@pytest.fixture(params=["memory", "root"])
def place(request):
    """URL of an empty folder that is there."""
    if request.param == "root":
        yield request.getfixturevalue("xrootd").url("data")
    else:
        filesystem = fsspec.filesystem("memory")
        name = f"/{uuid.uuid4().hex}"
        filesystem.mkdir(name)
        yield f"memory:/{name}"
        filesystem.rm(name, recursive=True)


def content(url):
    file = storage.open_binary(url)
    try:
        return file.read_ranges([(0, file.size)])[0]
    finally:
        file.close()


def names(folder):
    return [storage.name(path) for path, _ in storage.list_files(folder)]


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("check", [True, False])
def test_the_archive_is_the_same_however_it_is_made(source, expected, threads, check):
    out = io.BytesIO()
    vortex_hep.compress_file(source, out, threads=threads, check=check, **FAST)
    assert out.getvalue() == expected


def test_to_an_open_file(source, expected, tmp_path):
    with (tmp_path / "a.vxc").open("wb") as out:
        report = vortex_hep.compress_file(source, out, **FAST)
        assert report.path == str(tmp_path / "a.vxc")
        assert report.stored_bytes == len(expected)
    assert (tmp_path / "a.vxc").read_bytes() == expected


def test_to_a_pipe(source, expected):
    reading, writing = os.pipe()
    found = []
    with open(reading, "rb") as file:  # noqa: PTH123 - a descriptor
        thread = threading.Thread(target=lambda: found.append(file.read()))
        thread.start()
        with open(writing, "wb") as out:  # noqa: PTH123
            vortex_hep.compress_file(source, out, **FAST)
        thread.join()
    assert found == [expected]


def test_to_what_cannot_hold_an_archive(source, tmp_path):
    with pytest.raises(UnsupportedTypeError, match="cannot write to int"):
        vortex_hep.compress_file(source, cast("Any", 3), **FAST)
    with (tmp_path / "a").open("wb") as out:
        out.write(b"something")
        with pytest.raises(UnsupportedTypeError, match=r"at byte 9.*new file"):
            vortex_hep.compress_file(source, out, **FAST)


class Unseekable(io.RawIOBase):
    def writable(self):
        return True

    def write(self, data):
        return len(data)


def test_starting_over(source, expected, monkeypatch):
    write_tree = archiving._Trees._write_tree
    failures = [1, 2]

    def fail_once(self, *rest):
        out = write_tree(self, *rest)
        if failures:
            failures.pop()
            raise LayoutError("a later basket contradicts its branch")
        return out

    monkeypatch.setattr(archiving._Trees, "_write_tree", fail_once)
    monkeypatch.setattr(RootFileSource, "settle", lambda _: {})
    failures.pop()
    out = io.BytesIO()
    vortex_hep.compress_file(source, out, **FAST)
    assert out.getvalue() == expected
    failures.append(1)
    with pytest.raises(OutputError, match=r"started over.*write to a file"):
        vortex_hep.compress_file(source, Unseekable(), **FAST)


@pytest.mark.parametrize("after", [0, 5000, 30_000])
def test_a_full_disk_is_told_as_such(source, tmp_path, monkeypatch, after):
    class Full(io.BytesIO):
        def write(self, data):
            if self.tell() + len(data) > after:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return super().write(data)

    with pytest.raises(OutputError, match=r"No space left.*free some space") as error:
        vortex_hep.compress_file(source, Full(), **FAST)
    assert error.value.errno == errno.ENOSPC


def test_damage_in_the_middle_of_a_file(source, tmp_path, monkeypatch):
    read = TTreeSource.read
    calls = []

    def damaged(self, start, stop, columns=None):
        if columns is None:
            calls.append(start)
            if len(calls) == 4:
                raise SourceError("basket is damaged", path="in.root", tree="Events")
        return read(self, start, stop, columns)

    monkeypatch.setattr(TTreeSource, "read", damaged)
    with pytest.raises(SourceError, match=r"in.root, tree 'Events': basket is damaged"):
        vortex_hep.compress_file(source, tmp_path / "a.vxc", **FAST)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError])
def test_interrupted_while_all_is_under_way(source, tmp_path, monkeypatch, error):
    encode = TreeEncoder.encode
    calls = []

    def interrupted(self, cluster):
        calls.append(1)
        if len(calls) == 4:
            raise error
        return encode(self, cluster)

    monkeypatch.setattr(TreeEncoder, "encode", interrupted)
    with pytest.raises(error):
        vortex_hep.compress_file(source, tmp_path / "a.vxc", **FAST)
    assert list(tmp_path.iterdir()) == []


def test_what_does_not_decode_is_not_written(source, tmp_path, monkeypatch):
    decode = TreeDecoder.decode
    calls, written = [], []

    def wrong(self, *rest):
        calls.append(1)
        if len(calls) == 3:
            raise CorruptionError("other data", branch="met")
        return decode(self, *rest)

    add = ContainerWriter.add

    def count(self, *args, **options):
        written.append(1)
        return add(self, *args, **options)

    monkeypatch.setattr(TreeDecoder, "decode", wrong)
    monkeypatch.setattr(ContainerWriter, "add", count)
    with pytest.raises(CorruptionError, match=r"'met': what was encoded does not decode"):
        vortex_hep.compress_file(source, tmp_path / "a.vxc", **FAST)
    assert list(tmp_path.iterdir()) == []
    chunks = len(written)
    vortex_hep.compress_file(source, tmp_path / "a.vxc", **FAST)
    assert chunks < len(written) - chunks


def test_over_the_network_and_back(source, expected, place, tmp_path):
    there = storage.join(place, "in.root")
    storage.upload(source, there)
    archive, back = storage.join(place, "a.vxc"), storage.join(place, "back.root")
    report = vortex_hep.compress_file(there, archive, **FAST)
    assert report.path == archive
    assert report.source_bytes == source.stat().st_size
    assert len(content(archive)) == report.stored_bytes
    assert vortex_hep.verify(archive, against=there).ok
    vortex_hep.restore(archive, back, scratch=tmp_path)
    assert vortex_hep.verify(archive, against=back).ok
    vortex_hep.restore(archive, tmp_path / "local.root")
    assert content(back) == (tmp_path / "local.root").read_bytes()
    assert names(place) == ["a.vxc", "back.root", "in.root"]
    assert [path.name for path in tmp_path.iterdir()] == ["local.root"]


def test_what_is_there_stays_unless_told_otherwise(source, expected, place, tmp_path):
    local = tmp_path / "a.vxc"
    local.write_bytes(expected)
    taken = storage.join(place, "taken")
    storage.upload(local, taken)
    for write in (
        lambda **more: vortex_hep.compress_file(source, taken, **FAST, **more),
        lambda **more: vortex_hep.restore(local, taken, **more),
    ):
        with pytest.raises(
            OutputError, match=r"taken: the file exists already.*overwrite"
        ) as error:
            write()
        assert error.value.errno == errno.EEXIST
        assert len(content(taken)) == len(expected)
        write(overwrite=True)
        assert names(place) == ["taken"]
        storage.upload(local, taken)


def test_restored_to_where_there_is_no_room_for_it(expected, place, tmp_path, monkeypatch):
    local = tmp_path / "a.vxc"
    local.write_bytes(expected)
    target = storage.join(place, "out.root")
    with pytest.raises(OutputError, match="no/such"):
        vortex_hep.restore(local, target, scratch=tmp_path / "no" / "such")
    with pytest.raises(OutputError, match="folder"):
        vortex_hep.restore(local, place)
    identity = storage.identity

    def other(path):
        found = identity(path)
        return type(found)(found.size, "00000001")

    monkeypatch.setattr(storage, "identity", other)
    with pytest.raises(OutputError, match=r"out.root: .* have arrived, where .* were sent"):
        vortex_hep.restore(local, target)
    assert names(place) == []


def test_a_damaged_archive_is_not_restored_to_a_server(expected, place, tmp_path):
    local = tmp_path / "a.vxc"
    local.write_bytes(expected[:5000] + b"\xff" * 8 + expected[5008:])
    with pytest.raises(CorruptionError):
        vortex_hep.restore(local, storage.join(place, "out.root"), scratch=tmp_path)
    assert names(place) == []
    assert list(tmp_path.iterdir()) == [local]
