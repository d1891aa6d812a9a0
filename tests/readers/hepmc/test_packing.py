"""Tests of compressed texts and tar archives."""

import gzip
import io
import re
import tarfile
import zlib

import numpy as np
import pytest

from vortex_hep import Model, compress_file, restore, verify
from vortex_hep.core.storage.ranges import open_binary
from vortex_hep.core.zstd import zstd
from vortex_hep.errors import CorruptionError, NotFoundError
from vortex_hep.readers import open_source
from vortex_hep.readers.hepmc import content_of, exact_forecast, open_file, restore_hepmc
from vortex_hep.readers.hepmc.packed import stream as stream_module
from vortex_hep.readers.hepmc.source import EventIndex
from vortex_hep.readers.opaque import OpaqueSource


def _gzip(data, level=6, memory=8, name=b"events.hepmc", mtime=1234567890):
    header = b"\x1f\x8b\x08\x08" + mtime.to_bytes(4, "little") + b"\x00\x03" + name + b"\0"
    deflate = zlib.compressobj(level, zlib.DEFLATED, -15, memory)
    body = deflate.compress(data) + deflate.flush()
    end = zlib.crc32(data).to_bytes(4, "little") + len(data).to_bytes(4, "little")
    return header + body + end


def _zstd(data, level=3, **flags):
    options: dict[int, int] = {zstd.CompressionParameter.compression_level: level}
    options |= {getattr(zstd.CompressionParameter, name): v for name, v in flags.items()}
    return zstd.compress(data, options=options)


def test_gzip_keeps_its_header(packed, text3, there_and_back, tmp_path):
    path = packed(_gzip(text3()), "in.bin")
    there_and_back(path, tmp_path / "out.txt")
    restored = (tmp_path / "out.txt").read_bytes()
    assert restored[:23] == path.read_bytes()[:23]
    assert gzip.decompress(restored) == text3()


@pytest.mark.parametrize("flags", [{}, {"checksum_flag": 1}, {"content_size_flag": 0}])
def test_zstd(packed, text3, there_and_back, tmp_path, flags):
    path = packed(_zstd(text3(), **flags), "in.zst")
    there_and_back(path, tmp_path / "out")
    restored = (tmp_path / "out").read_bytes()
    assert restored[4] == path.read_bytes()[4]
    assert zstd.decompress(restored) == text3()


@pytest.mark.parametrize("wrap", [lambda x: x, gzip.compress, _zstd], ids=["tar", "gz", "zst"])
def test_tar(packed, text3, there_and_back, in_tar, tmp_path, wrap):
    tar = in_tar({"README": b"read me", "events.hepmc": text3(), "more.hepmc": text3(seed=2)})
    path = packed(wrap(tar), "in.tar")
    _, clusters = there_and_back(path, tmp_path / "out")
    assert sum(len(c[""].offsets) - 1 for c in clusters) == 5
    data = (tmp_path / "out").read_bytes()
    if data != tar:
        data = gzip.decompress(data) if data[:2] == b"\x1f\x8b" else zstd.decompress(data)
    assert data == tar
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        assert archive.getnames() == ["README", "events.hepmc", "more.hepmc"]


def test_streams_that_follow_one_another(packed, text3, there_and_back, tmp_path):
    text = text3(events=20)
    path = packed(_gzip(text[:5000]) + _gzip(text[5000:]) + b"trailing bytes", "in.bin")
    notes, _ = there_and_back(path, tmp_path / "out")
    assert "2 gzip streams follow one another" in notes[0]
    restored = (tmp_path / "out").read_bytes()
    assert restored.endswith(b"trailing bytes")
    assert gzip.decompress(restored[: -len(b"trailing bytes")]) == text


@pytest.mark.parametrize(
    "make",
    [
        lambda t: _gzip(t, 1), lambda t: _gzip(t, 9), lambda t: _gzip(t, 6, 9), gzip.compress,
        lambda t: _zstd(t, 1), lambda t: _zstd(t, 19), lambda t: _zstd(t, 7, checksum_flag=1),
        lambda t: _gzip(t) + b"tail", lambda t: t,
    ],
)  # fmt: skip
def test_exact(packed, text3, tmp_path, make):
    path = packed(make(text3(events=50)), "in.bin")
    out = tmp_path / "out"
    assert exact_forecast(path).startswith("the file comes back with the same bytes")
    with open_file(path, trees=None, exact=True) as source:
        assert source.kind == "hepmc"
        tree = source.trees["events"]
        ranges = tree.cluster_ranges(1 << 20)
        restore_hepmc(
            dict(source.remainder()), {"events": ranges}, lambda _, *b: tree.read(*b), out
        )
    assert out.read_bytes() == path.read_bytes()


def test_what_cannot_be_made_again_is_carried_whole(packed, text3):
    text = text3(events=50)
    path = packed(_gzip(text[:5000]) + _gzip(text[5000:]), "in.bin")
    assert "cannot be made again" in exact_forecast(path)
    with open_file(path, trees=None, exact=True) as source:
        assert isinstance(source, OpaqueSource)
        assert b"".join(blob for _, blob in source.remainder()) == path.read_bytes()


def test_damaged_data_are_carried_whole(packed, text3):
    data = _gzip(text3(events=200))
    for damaged in (data[: len(data) // 2], data[:-4] + b"\0\0\0\0", data[:20000] + b"\xff" * 99):
        with open_source(packed(damaged, "in.bin")) as source:
            assert source.kind == "opaque"
            assert b"".join(blob for _, blob in source.remainder()) == damaged


def test_other_content_is_opaque(packed, in_tar):
    tar = in_tar({"a": b"x" * 2000, "b": b"HepMC"})
    for data in (gzip.compress(b"some text"), tar, gzip.compress(tar), b"\x1f\x8b\x08junk"):
        with open_source(packed(data, "in.bin")) as source:
            assert source.kind == "opaque"


def test_reading_out_of_order(packed, text3):
    with open_source(packed(text3(events=30))) as source:
        tree = source.trees["events"]
        last, first = tree.read(25, 30), tree.read(0, 5)
        assert first["particles"].num_rows == last["particles"].num_rows
        assert tree.read(3, 3)["particles"].num_rows == 0
        some = tree.read(2, 4, ["particles_px", "number"])
        assert {n: list(t.columns) for n, t in some.items()} == {
            "": ["number"], "particles": ["particles_px"],
        }  # fmt: skip


@pytest.mark.parametrize("pack", [_gzip, _zstd, lambda t: t], ids=["gzip", "zstd", "plain"])
def test_streams_go_back(packed, text3, monkeypatch, pack):
    for name in ("_MARK_EVERY", "_INPUT", "_OUTPUT"):
        monkeypatch.setattr(stream_module, name, 777)
    text = text3(events=50)
    stream = stream_module.Stream(open_binary(packed(pack(text), "in.bin")))
    assert b"".join(stream.pieces(0, size=1000)) == text
    assert stream.size == len(text)
    for start in (len(text) - 100, 5, 40000, 39000, 0, 20001):
        assert stream.read(start, start + 3000) == text[start : start + 3000]
    stream.close()


@pytest.mark.parametrize("size", [1, 3, 100])
def test_events_across_pieces(packed, text3, monkeypatch, size):
    text = text3(events=3)
    stream = stream_module.Stream(open_binary(packed(text, "in.bin")))
    pieces = stream_module.Stream.pieces
    monkeypatch.setattr(
        stream_module.Stream, "pieces", lambda self, a, b=None, n=size: pieces(self, a, b, n)
    )
    index = EventIndex(stream, 0, None)
    places = [m.start() + 1 for m in re.finditer(rb"\n(?:E |HepMC::Asciiv3-END)", text)]
    assert index.starts.tolist() == places[:3]
    assert index.stops.tolist() == places[1:]
    stream.close()


def test_trees_by_name(packed, text3):
    path = packed(text3())
    with open_source(path, trees=["events"]) as source:
        assert list(source.trees) == ["events"]
    with pytest.raises(NotFoundError, match="no such tree"):
        open_source(path, trees=["Events"])


def test_content_is_the_text(packed, text3):
    blobs = []
    for data in (text3(), _gzip(text3(), 1), _zstd(text3())):
        with open_source(packed(data, "in.bin")) as source:
            blobs.append({n: content_of(n, b) for n, b in source.remainder()})
    assert blobs[0] == blobs[1] == blobs[2]


def test_wrong_tables_are_refused(packed, text3, tmp_path):
    with open_source(packed(text3())) as source:
        tree = source.trees["events"]
        cluster = tree.read(0, 5)
        blobs = dict(source.remainder())
    out = tmp_path / "out"
    changes = {
        "particles_mother": 999, "particles_birth": 7, "vertices_incoming": 5, "particles_px": 1.5,
        "vertices_place_unusual": True, "shape": 3, "particles_status": 12345,
        "particles_partner": 1,
    }  # fmt: skip
    for name, value in changes.items():
        column = np.asarray(next(t.columns[name] for t in cluster.values() if name in t.columns))
        kept = column.copy()
        column[:] = value
        with pytest.raises(CorruptionError):
            restore_hepmc(blobs, {"events": [(0, 5)]}, lambda *_: cluster, out)
        column[:] = kept
        assert not out.exists()
    for name in ("hepmc/layout", "hepmc/head/0"):
        less = {n: b for n, b in blobs.items() if n != name}
        with pytest.raises(CorruptionError):
            restore_hepmc(less, {"events": [(0, 5)]}, lambda *_: cluster, out)


@pytest.mark.parametrize("kind", ["text3", "text2"])
def test_through_an_archive(packed, request, tmp_path, kind):
    text = request.getfixturevalue(kind)(events=40)
    path = packed(text[:-40] + b"an end that is cut")
    archive, out = tmp_path / "a.vxc", tmp_path / "out.gz"
    report = compress_file(path, archive, effort="fast", model=Model({}))
    assert report.columns
    assert verify(archive, against=path).ok
    restore(archive, out)
    assert gzip.decompress(out.read_bytes()) == gzip.decompress(path.read_bytes())
