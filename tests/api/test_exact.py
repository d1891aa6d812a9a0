"""Tests of archives that promise the bytes of their source, for every kind of file."""

from __future__ import annotations

import gzip
import zlib
from typing import Any

import numpy as np
import pytest
import uproot

import vortex_hep
from vortex_hep.core.storage.identity import Identity
from vortex_hep.errors import CorruptionError, SourceError, UnsupportedFeatureError
from vortex_hep.readers.opaque import OpaqueSource

from .files import write_odd

h5py = pytest.importorskip("h5py")

NO_MODEL: dict[str, Any] = {"model": vortex_hep.Model({}), "effort": "fast"}


def _root(path):
    return write_odd(path / "in.root")


def _hdf5(path):
    with h5py.File(path / "in.h5", "w") as file:
        data = np.arange(3000, dtype=np.float32)
        file.create_dataset("x", data=data, chunks=(500,), compression="gzip", shuffle=True)
        file.attrs["note"] = "some text"
    return path / "in.h5"


def _hepmc_text():
    lines = ["HepMC::Version 3.02.05", "HepMC::Asciiv3-START_EVENT_LISTING", "W Weight"]
    for event in range(30):
        lines += [f"E {event} 1 3", "U GEV MM", "W 1.0000000000000000000000e+00"]
        for row, parent in enumerate((0, 0, -1)):
            values = " ".join(f"{x:.16e}" for x in np.random.default_rng(event).normal(size=5))
            lines.append(f"P {row + 1} {parent} 21 {values} 1")
            if row == 1:
                lines.append("V -1 0 [1,2]")
    return "\n".join([*lines, "HepMC::Asciiv3-END_EVENT_LISTING", "", ""]).encode()


def _hepmc(path):
    (path / "in.hepmc.gz").write_bytes(gzip.compress(_hepmc_text(), 6, mtime=7))
    return path / "in.hepmc.gz"


def _odd_gzip(path):
    deflate = zlib.compressobj(9, zlib.DEFLATED, 31, 1)
    data = deflate.compress(_hepmc_text()) + deflate.flush()
    (path / "odd.hepmc.gz").write_bytes(data)
    return path / "odd.hepmc.gz"


def _opaque(path):
    (path / "in.txt").write_bytes(b"some text\n" * 1000)
    return path / "in.txt"


KINDS = {
    "root": (_root, "sampled records come out the same"),
    "hdf5": (_hdf5, "sampled chunks re-encode exactly"),
    "hepmc": (_hepmc, "comes back with the same bytes (gzip level 6"),
    "opaque": (_opaque, "carried whole"),
    "opaque, odd": (_odd_gzip, "carried whole"),
}


@pytest.fixture(params=KINDS, ids=str)
def made(request, tmp_path):
    """A source of each kind, its archive, the report, and what the forecast says."""
    write, forecast = KINDS[request.param]
    source = write(tmp_path)
    report = vortex_hep.compress_file(source, tmp_path / "a.vxc", exact=True, **NO_MODEL)
    return source, tmp_path / "a.vxc", report, forecast, request.param.partition(",")[0]


def test_the_file_comes_back(made, tmp_path):
    source, archive, report, forecast, kind = made
    assert forecast in report.messages[0]
    assert report.messages[0] == vortex_hep.exact_forecast(source)
    out = tmp_path / "out"
    vortex_hep.restore(archive, out, compression="zlib:3")
    assert out.read_bytes() == source.read_bytes()
    data = source.read_bytes()
    with vortex_hep.open(archive) as opened:
        assert opened.source["kind"] == kind
        assert opened.identity == Identity(len(data), f"{zlib.adler32(data):08x}")
        assert opened.info()["exact"] == {"size": len(data), "adler32": opened.identity.adler32}
    assert vortex_hep.verify(archive, against=source).ok
    assert vortex_hep.verify(archive, against=out).ok


def test_the_content_comes_back_where_the_bytes_are_not_wanted(made, tmp_path):
    source, archive, _, _, kind = made
    out = tmp_path / "out"
    vortex_hep.restore(archive, out, exact=False)
    report = vortex_hep.verify(archive, against=out)
    if out.read_bytes() == source.read_bytes():
        assert report.ok
        assert kind != "root"
    else:
        (difference,) = report.differences
        assert "where the archive promises" in difference


def test_other_bytes_are_an_error(made, tmp_path, monkeypatch):
    source, _, _, _, kind = made
    if kind == "opaque":
        monkeypatch.setattr(OpaqueSource, "identity", lambda _: Identity.make(7, 7))
    else:
        checksum = zlib.adler32
        monkeypatch.setattr(zlib, "adler32", lambda data, start=1: checksum(data, start) ^ 1)
    archive, out = tmp_path / "b.vxc", tmp_path / "out"
    vortex_hep.compress_file(source, archive, exact=True, **NO_MODEL)
    monkeypatch.undo()
    before = set(tmp_path.iterdir())
    with pytest.raises(CorruptionError):
        vortex_hep.restore(archive, out)
    assert set(tmp_path.iterdir()) == before
    vortex_hep.restore(archive, out, exact=False)


def test_without_a_promise_there_is_none(tmp_path):
    source = _root(tmp_path)
    report = vortex_hep.compress_file(source, tmp_path / "a.vxc", **NO_MODEL)
    assert not any("byte for byte" in message for message in report.messages)
    with vortex_hep.open(tmp_path / "a.vxc") as archive:
        assert archive.identity is None
        assert archive.info()["exact"] is None
        assert "exact" not in archive.source
        assert not any("exact" in name for name in archive.blobs())


def test_blobs_are_decoded_one_by_one(tmp_path):
    vortex_hep.compress_file(_root(tmp_path), tmp_path / "a.vxc", exact=True, **NO_MODEL)
    with vortex_hep.open(tmp_path / "a.vxc") as archive:
        blobs = archive.blobs()
        assert dict(blobs) == dict(archive.remainder())
        assert "root/exact/plan" in blobs
        assert "nothing" not in blobs
        with pytest.raises(KeyError):
            blobs["nothing"]


def test_arrays_are_no_file(tmp_path):
    with pytest.raises(UnsupportedFeatureError, match=r"arrays in memory.*leave exact=True out"):
        vortex_hep.compress_tree({"x": np.arange(9)}, path=tmp_path / "a.vxc", exact=True)
    with pytest.raises(UnsupportedFeatureError, match="arrays in memory"):
        vortex_hep.exact_forecast({"x": np.arange(9)})
    assert list(tmp_path.iterdir()) == []


def test_a_part_of_a_file_is_not_the_file(tmp_path):
    source = _root(tmp_path)
    with pytest.raises(UnsupportedFeatureError, match="ask for all trees"):
        vortex_hep.compress_file(source, tmp_path / "a.vxc", trees="t", exact=True, **NO_MODEL)
    with (
        uproot.open(source) as file,
        pytest.raises(UnsupportedFeatureError, match="ask for all trees"),
    ):
        vortex_hep.compress_tree(file["t"], path=tmp_path / "a.vxc", exact=True)
    assert not (tmp_path / "a.vxc").exists()
    with pytest.raises(SourceError, match="No such file"):
        vortex_hep.exact_forecast(tmp_path / "none.root")


def test_what_uproot_has_open_comes_back(tmp_path):
    source = _root(tmp_path)
    with uproot.open(source) as file:
        vortex_hep.compress_file(file, tmp_path / "a.vxc", exact=True, **NO_MODEL)
    vortex_hep.restore(tmp_path / "a.vxc", tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == source.read_bytes()


def test_every_byte_of_an_archive_counts(tmp_path):
    source = tmp_path / "in.root"
    with uproot.recreate(source, compression=None) as file:
        file.mktree("t", {"x": np.int32})
        file["t"].extend({"x": np.arange(20, dtype=np.int32)})
    archive, out = tmp_path / "a.vxc", tmp_path / "out"
    vortex_hep.compress_file(source, archive, exact=True, **NO_MODEL)
    data = archive.read_bytes()
    for at in range(0, len(data), 31):
        damaged = bytearray(data)
        damaged[at] ^= 1
        archive.write_bytes(damaged)
        with pytest.raises(ValueError):  # noqa: PT011 - every VortexError of archives is one
            vortex_hep.restore(archive, out)
    assert not out.exists()
