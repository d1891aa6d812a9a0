"""Tests of reading files of all kinds from a server."""

from __future__ import annotations

import shutil

import h5py
import numpy as np
import pytest
import uproot

import vortex_hep
from vortex_hep.core import storage
from vortex_hep.core.storage import whole
from vortex_hep.core.storage.failstop import SourceFile
from vortex_hep.core.storage.xrootd import reading as xrootd_reading
from vortex_hep.errors import DeniedError, NetworkError
from vortex_hep.models.model import Model
from vortex_hep.readers import open_source
from vortex_hep.readers.root.file.urlsource import UrlSource

pytestmark = pytest.mark.network

NONE = Model({})
FILES = {
    "ttree": "nanoaod/scouting_nano.root",
    "rntuple": "nanoaod/nano_dy_rntuple.root",
    "ao2d": "alice/AO2D_20200201_v0.root",
    "hdf5": "hdf5/10k.h5",
    "camels": "camels/snap_2332.1.hdf5",
    "hepmc": "hepmc/inputVertexAttributes.hepmc.gz",
}


@pytest.fixture
def example_url(xrootd, example_file):
    shutil.copyfile(example_file, xrootd.root / "example file.root")
    return xrootd.url("data/example file.root")


@pytest.mark.parametrize("kind", FILES)
def test_a_file_of_each_kind_goes_to_a_server_and_back(xrootd, shared_data, tmp_path, kind):
    original = shared_data / "real" / FILES[kind]
    shutil.copyfile(original, xrootd.root / f"in µ {original.name}")
    url = xrootd.url(f"data/in µ {original.name}")
    archive = xrootd.url("data/out.vxc")
    report = vortex_hep.compress_file(url, archive, model=NONE, effort="fast")
    assert report.source_bytes == original.stat().st_size
    assert vortex_hep.verify(archive, against=url).ok
    vortex_hep.restore(archive, tmp_path / "back")
    assert vortex_hep.verify(archive, against=tmp_path / "back").ok


@pytest.mark.parametrize("kind", ["bytes", "records"])
def test_files_without_a_format(xrootd, tmp_path, kind):
    data = np.random.default_rng(1).integers(0, 9, 10_000).astype("<u4").tobytes()
    (xrootd.root / "in.bin").write_bytes(data)
    url = xrootd.url("data/in.bin")
    record = 4 if kind == "records" else None
    vortex_hep.compress_file(url, tmp_path / "out.vxc", model=NONE, record=record)
    vortex_hep.restore(tmp_path / "out.vxc", tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == data


def test_uproot_reads_through_our_source(example_url, example_file, monkeypatch):
    monkeypatch.setattr(whole, "SMALL", 0)
    with (
        storage.counting() as count,
        uproot.open({example_url: "Events"}, handler=UrlSource) as remote,
        uproot.open({example_file: "Events"}) as local,
    ):
        opening = count.requests
        found = remote.arrays(library="np")
        assert count.requests == opening + 1  # one for all baskets
        expected = local.arrays(library="np")
        assert found.keys() == expected.keys()
        for name, values in expected.items():
            assert all(map(np.array_equal, found[name], values))
        source = remote.file.source
        assert source.num_bytes == example_file.stat().st_size
        assert source.performance_counters.num_requests == count.requests
        assert example_url in repr(source)
    assert source.closed


def test_a_source_as_a_file(example_url, example_file):
    data = example_file.read_bytes()
    source = storage.open_binary(example_url)
    file = SourceFile(source)
    assert file.seek(-10, 2) == len(data) - 10
    assert file.read() == data[-10:]
    assert file.read(5) == b""
    assert file.seek(3) == file.tell() == 3
    assert file.read(20) == data[3:23]
    assert file.seek(2, 1) == 25
    assert file.readall() == data[25:]
    source.close()


@pytest.fixture
def served(xrootd, tmp_path, example_file):
    """Give files of several kinds on the server, large enough not to come with their heads."""
    shutil.copyfile(example_file, xrootd.root / "in.root")
    values = np.random.default_rng(1).random(400_000)
    with h5py.File(tmp_path / "in.h5", "w") as file:
        for i in range(8):
            file.create_dataset(f"group{i}/values", data=values[i * 50_000 :][:50_000])
    shutil.copyfile(tmp_path / "in.h5", xrootd.root / "in.h5")
    return xrootd


@pytest.mark.parametrize("name", ["in.root", "in.h5"])
def test_a_lost_server_is_never_taken_for_a_strange_file(served, monkeypatch, tmp_path, name):
    """At whichever request the server dies, the file is neither carried whole nor damaged."""
    monkeypatch.setattr(xrootd_reading, "PAUSES", ())
    monkeypatch.setattr(whole, "SMALL", 0)
    url = served.url(f"data/{name}")
    ask = xrootd_reading.XrootdSource._ask
    with storage.counting() as count:
        vortex_hep.compress_file(url, tmp_path / "whole.vxc", model=NONE, effort="fast")
    assert count.requests > 5
    for fatal in {0, 1, 2, 3, count.requests // 2, count.requests - 1}:
        asked = 0

        def dying(self, file, request, fatal=fatal):
            nonlocal asked
            asked += 1
            if asked > fatal:
                served.kill()
            return ask(self, file, request)

        monkeypatch.setattr(xrootd_reading.XrootdSource, "_ask", dying)
        with pytest.raises(NetworkError) as caught:
            vortex_hep.compress_file(url, tmp_path / "out.vxc", model=NONE, effort="fast")
        assert caught.value.path == url
        served.start()
    assert [path.name for path in tmp_path.iterdir() if path.suffix == ".vxc"] == ["whole.vxc"]


def test_an_unreadable_file_is_said_to_be_so(served):
    (served.root / "in.root").chmod(0)
    with pytest.raises(DeniedError):
        open_source(served.url("data/in.root"))
