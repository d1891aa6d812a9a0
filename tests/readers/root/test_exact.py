"""Tests of restoring ROOT files byte for byte."""

from __future__ import annotations

import json
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import pytest
import uproot
import xxhash

import vortex_hep
from vortex_hep.archive.exact import exact_source
from vortex_hep.errors import CorruptionError, UnsupportedFeatureError, UnsupportedVersionError
from vortex_hep.readers import compare_sources, holes, open_source
from vortex_hep.readers.kinds import RestoreOptions
from vortex_hep.readers.root import content_of, exact, restore_file
from vortex_hep.readers.root.exact import proof, recompress, zstd14
from vortex_hep.readers.root.exact.recompress import Setting
from vortex_hep.readers.root.file.tkey import Key
from vortex_hep.readers.root.rootfile import RootFileSource

HERE = Path(__file__).parent
#: Small files of others: baskets inside their trees, older cycles, several settings, RNTuples.
REAL = [
    "alice/AO2D_20200201_v0.root",
    "alice/PMD_PED.root",
    "alice/uproot-issue-85.root",
    "nanoaod/Run2012BC_DoubleMuParked_Muons_1000evts_rntuple_v1-0-0-0.root",
    "nanoaod/nano_dy.root",
    "nanoaod/nano_dy_rntuple.root",
    "nanoaod/scouting_nano.root",
    "root/test_FCC_Winter2023.root",
    "root/uproot-HZZ-lzma.root",
    "root/uproot-Zmumu.root",
    "root/uproot-issue513.root",
]


def taken(path, target=20_000):
    """Remainder, entry ranges and clusters of a file that is to come back byte for byte."""
    with open_source(path, exact=True) as source:
        assert isinstance(source, RootFileSource)
        ranges = {name: tree.cluster_ranges(target) for name, tree in source.sources.items()}
        clusters = {
            (name, *bounds): source.sources[name].read(*bounds)
            for name in ranges
            for bounds in ranges[name]
        }
        blobs = dict(source.remainder())
        assert len(source.notes()) == 1
    return blobs, ranges, lambda *key: clusters[key]


def restored(material: Any, out: Any, **options: Any) -> bytes:
    blobs, trees, read_cluster = material
    restore_file(blobs, trees, read_cluster, out, RestoreOptions(**options))
    data: bytes = out.read_bytes()
    return data


def kept_bytes(blobs):
    return sum(len(blob) for name, blob in blobs.items() if name.startswith("root/exact/kept/"))


@pytest.fixture
def material(written):
    return taken(written)


@pytest.mark.parametrize(
    "compression",
    [
        uproot.ZLIB(1), uproot.ZLIB(6), uproot.ZLIB(9), uproot.LZMA(2), uproot.LZ4(1),
        uproot.LZ4(9), uproot.ZSTD(5), None,
    ],
    ids=str,
)  # fmt: skip
def test_files_of_uproot(tmp_path, compression, event_arrays):
    path = tmp_path / "in.root"
    with uproot.recreate(path, compression=compression) as file:
        arrays = event_arrays(300, 1)
        file.mktree("Events", {n: getattr(a, "type", None) or a.dtype for n, a in arrays.items()
                               if n != "matrix"})  # fmt: skip
        for start, stop in ((0, 200), (200, 300)):
            file["Events"].extend({n: a[start:stop] for n, a in arrays.items() if n != "matrix"})
        file["note"] = "some text" * 100
    material = taken(path)
    assert restored(material, tmp_path / "out.root") == path.read_bytes()
    # uproot leaves old copies of trees behind, in gaps, which are easily compressed.
    kept = b"".join(b for n, b in material[0].items() if n.startswith("root/exact/kept/"))
    assert len(zlib.compress(kept)) < 0.1 * path.stat().st_size


def test_gaps_folders_objects_and_empty_trees(written, material, tmp_path):
    assert restored(material, tmp_path / "out.root") == written.read_bytes()
    again = taken(written, target=777)
    assert {n: b for n, b in again[0].items() if "exact" in n} == {
        n: b for n, b in material[0].items() if "exact" in n
    }
    assert restored(again, tmp_path / "again.root") == written.read_bytes()


def test_rntuple(tmp_path):
    path = tmp_path / "in.root"
    rng = np.random.default_rng(5)
    counts = rng.integers(0, 4, 100)
    arrays = {
        "x": rng.integers(0, 9, 100).astype(np.float32),
        # Equal pages, which a file may hold once.
        "zero": np.zeros(100, np.int16),
        "nil": np.zeros(100, np.int16),
        "jet": ak.unflatten(rng.integers(0, 99, counts.sum()), counts),
        "text": ak.Array(["x" * int(n) for n in counts]),
    }
    with uproot.recreate(path) as file:
        out = file.mkrntuple("N", {k: v[:40] for k, v in arrays.items()})
        out.extend({k: v[40:] for k, v in arrays.items()})
    assert restored(taken(path), tmp_path / "out.root") == path.read_bytes()


def test_bytes_behind_the_end(written, tmp_path):
    with written.open("ab") as file:
        file.write(b"what some transfer left behind")
    material = taken(written)
    assert restored(material, tmp_path / "out.root") == written.read_bytes()


def test_records_are_fetched_together(written, tmp_path, monkeypatch):
    monkeypatch.setattr(proof, "_FETCH_RECORDS", 3)
    assert restored(taken(written), tmp_path / "out.root") == written.read_bytes()


@pytest.mark.parametrize("name", ["leaves.root", "lists.root"])
def test_layouts(name, tmp_path):
    path = HERE / "files" / name
    assert restored(taken(path), tmp_path / "out.root") == path.read_bytes()


@pytest.mark.parametrize("name", REAL)
def test_real_files(shared_data, tmp_path, name):
    path = shared_data / "real" / name
    material = taken(path, target=1 << 20)
    assert restored(material, tmp_path / "out.root") == path.read_bytes()
    assert kept_bytes(material[0]) < 0.04 * path.stat().st_size


def _otherwise(monkeypatch, every):
    """Let uproot compress every so-many-th block in a way that no method has."""
    number = 0

    def compress(self, data):
        nonlocal number
        number += 1
        memory = 1 if number % every == 0 else 8
        deflate = zlib.compressobj(self.level, zlib.DEFLATED, 15, memory)
        return deflate.compress(data) + deflate.flush()

    monkeypatch.setattr(uproot.ZLIB, "compress", compress)


def _many_branches(path):
    rng = np.random.default_rng(3)
    arrays = {f"b{k}": rng.integers(0, 50, 2000) for k in range(12)}
    with uproot.recreate(path, compression=uproot.ZLIB(4)) as file:
        file.mktree("t", {n: a.dtype for n, a in arrays.items()})
        file["t"].extend(arrays)


def test_blocks_that_do_not_come_back_are_kept(tmp_path, monkeypatch):
    path = tmp_path / "in.root"
    with monkeypatch.context() as patch:
        _otherwise(patch, 4)
        _many_branches(path)
    with open_source(path, exact=True) as source:
        forecast = exact_source(source).exact_forecast()
    assert "sampled records come out the same" in forecast
    assert "about +1" in forecast
    material = taken(path)
    kept = kept_bytes(material[0])
    assert 0.15 * path.stat().st_size < kept < 0.4 * path.stat().st_size
    assert restored(material, tmp_path / "out.root") == path.read_bytes()


def test_a_file_that_does_not_come_back_is_carried_whole(tmp_path, monkeypatch):
    path = tmp_path / "in.root"
    with monkeypatch.context() as patch:
        _otherwise(patch, 1)
        _many_branches(path)
    with open_source(path, exact=True) as source:
        assert source.kind == "opaque"
        assert dict(source.trees) == {}
        assert (
            "come out the same when they are compressed again"
            in exact_source(source).exact_forecast()
        )
        assert "carried whole" in source.notes()[0]
        assert b"".join(blob for _, blob in source.remainder()) == path.read_bytes()
    with open_source(path) as source:
        assert source.kind == "root"
        with pytest.raises(ValueError, match="come out the same"):
            exact_source(source).exact_forecast()


def test_parts_of_a_file_cannot_be_promised(written):
    with pytest.raises(UnsupportedFeatureError, match=r"Empty.*lacks a tree.*ask for all trees"):
        open_source(written, trees=["Events", "folder/deep/Runs"], exact=True)
    with open_source(written, trees=["Events", "folder/deep/Runs", "Empty"], exact=True) as source:
        assert source.kind == "root"


def test_what_is_kept_is_in_pieces(written, tmp_path, monkeypatch):
    monkeypatch.setattr(holes, "PIECE", 1000)
    blobs, *rest = taken(written)
    assert sum(name.startswith("root/exact/kept/") for name in blobs) > 1
    assert restored((blobs, *rest), tmp_path / "out.root") == written.read_bytes()


def test_the_same_content_without_the_bytes(written, material, tmp_path):
    plain = restored(material, tmp_path / "plain.root", exact=False, compression="zlib:9")
    assert plain != written.read_bytes()
    with open_source(written) as a, open_source(tmp_path / "plain.root") as b:
        assert compare_sources(a, b) == []
    assert content_of("root/exact/places", b"x") is None


def _plan(blobs, **changes):
    document = json.loads(blobs["root/exact/plan"]) | changes
    return {**blobs, "root/exact/plan": json.dumps(document).encode()}


def test_another_checksum_is_an_error(material, tmp_path):
    blobs, *rest = material
    out = tmp_path / "out.root"
    out.write_bytes(b"as before")
    with pytest.raises(CorruptionError, match=r"out\.root.*adler32 00000001.*--no-exact"):
        restored((_plan(blobs, adler32="00000001"), *rest), out, overwrite=True)
    assert out.read_bytes() == b"as before"
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".")] == []


def test_another_library_is_an_error(material, tmp_path, monkeypatch):
    monkeypatch.setattr(zlib, "compress", lambda data, level: b"x" * 50)
    with pytest.raises(CorruptionError, match="libraries at hand may differ"):
        restored(material, tmp_path / "out.root")
    assert not (tmp_path / "out.root").exists()
    monkeypatch.undo()
    assert restored(material, tmp_path / "out.root", exact=False)


def _cut(blobs, name):
    return {**blobs, name: blobs[name][:-26]}


DAMAGE = {
    "no places": lambda b: {n: v for n, v in b.items() if n != "root/exact/places"},
    "no plan": lambda b: {**b, "root/exact/plan": b"{}"},
    "no JSON": lambda b: {**b, "root/exact/plan": b"\xff"},
    "wrong size": lambda b: _plan(b, size=10),
    "no directories": lambda b: _plan(b, directories=[]),
    "huge directory": lambda b: _plan(b, directories=[1 << 80] * 9),
    "a place less": lambda b: _cut(b, "root/exact/places"),
    "places cut": lambda b: {**b, "root/exact/places": b["root/exact/places"][:-1]},
    "places of nothing": lambda b: {**b, "root/exact/places": b"\x7f" * 260},
    "no kept bytes": lambda b: {n: v for n, v in b.items() if n != "root/exact/kept/0"},
    "kept bytes cut": lambda b: _cut(b, "root/exact/kept/0"),
    "other kept bytes": lambda b: {**b, "root/exact/kept/0": bytes(len(b["root/exact/kept/0"]))},
    "no objects": lambda b: {**b, "root/objects": b""},
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=list(DAMAGE))
def test_damaged_remainders_raise(material, tmp_path, damage):
    blobs, *rest = material
    with pytest.raises(CorruptionError):
        restored((damage(blobs), *rest), tmp_path / "out.root")
    assert list(tmp_path.glob("out*")) == []


def test_every_byte_of_the_places_counts(material, tmp_path):
    blobs, *rest = material
    found = blobs["root/exact/places"]
    for at in range(0, len(found), 97):
        changed = bytearray(found)
        changed[at] ^= 1
        with pytest.raises((CorruptionError, UnsupportedFeatureError)):
            restored(({**blobs, "root/exact/places": bytes(changed)}, *rest), tmp_path / "out.root")


def test_what_is_newer_is_refused(material, tmp_path):
    blobs, *rest = material
    with pytest.raises(UnsupportedVersionError, match=r"unsupported version 3.*update vortex_hep"):
        restored((_plan(blobs, version=3), *rest), tmp_path / "out.root")
    found = bytearray(blobs["root/exact/places"])
    count = len(found) // 26
    found[24 * count : 25 * count] = bytes([200]) * count
    with pytest.raises(UnsupportedFeatureError, match="method 200"):
        restored(({**blobs, "root/exact/places": bytes(found)}, *rest), tmp_path / "out.root")
    assert exact.is_exact(blobs)


@pytest.mark.parametrize(
    "setting",
    [Setting(method, list(levels)[-1]) for method, levels in recompress.LEVELS.items()],
    ids=str,
)
def test_methods_are_found_again(setting):
    rng = np.random.default_rng(1)
    payload = np.repeat(rng.normal(size=3000).astype("<f4"), rng.integers(1, 4, 3000)).tobytes()
    if setting.method in (recompress.XZ, recompress.XZ_PRESET):
        setting = Setting(setting.method, 4)
    stored = bytes(recompress.recompress(payload, setting))
    if setting.method == recompress.STORED:
        assert stored == payload
        return
    tag = stored[:2]
    codes = [100 * {b"ZL": 1, b"XZ": 2, b"L4": 4, b"ZS": 5}[tag] + min(setting.level, 9)]
    options = recompress.candidates(tag, stored[9:], codes)
    options += [] if setting.level <= 18 else [setting]
    same = [s for s in options if recompress.recompress(payload, s) == stored]
    assert same
    assert setting in options


def test_settings_that_are_none():
    with pytest.raises(ValueError, match="unknown compression"):
        recompress.recompress(b"x", Setting(99, 1))
    with pytest.raises(ValueError, match="unknown compression"):
        recompress.recompress(b"x", Setting(recompress.ZLIB, 11))
    assert recompress.candidates(b"CS", b"", [101]) == []
    assert recompress.candidates(b"ZL", b"x", [101]) == []


def test_parameters_of_old_zstd_fit_the_size():
    for level in zstd14.LEVELS:
        window = next(iter(zstd14.options_of(level, 1 << 20)))
        sizes = (1 << 20, 1 << 18, 1 << 17, 1 << 14)
        logs = [list(zstd14.options_of(level, size).values())[1] for size in sizes]
        assert window is not None
        assert logs == sorted(logs, reverse=True)
        assert len(set(logs)) == 4


@pytest.mark.parametrize(
    ("size", "level", "digest"),
    [
        (2000, 10, "1bbeaec62616cf9f"),
        (50000, 6, "861d3742a0bf4500"),
        (50000, 10, "821e7b81901424db"),
        (200000, 8, "d784218edf4bcb24"),
        (400000, 6, "5107490d0f9bbf8e"),
        (400000, 10, "ea9f7b1689e05f6d"),
    ],
)
def test_old_zstd_is_made_again(size, level, digest):
    """XXH64 of what ZSTD_compress of libzstd 1.4.8 gives."""
    numbers = (np.random.PCG64(size).random_raw(size // 4) >> 40).astype(np.uint32)
    payload = ((numbers % 5000) / np.float32(64)).astype(">f4").tobytes()
    stored = recompress.recompress(payload, Setting(recompress.ZSTD_14, level))
    assert xxhash.xxh64_hexdigest(bytes(stored)[9:]) == digest


@pytest.fixture
def in_a_folder(tmp_path):
    """A tree in a folder whose baskets' keys name the top folder, as those of some writers do."""
    path = tmp_path / "folder.root"
    values = np.random.default_rng(1).integers(0, 1 << 30, (5, 5000), np.int32)
    with uproot.recreate(path, compression=uproot.ZLIB(1)) as file:
        file.mktree("folder/t", {"x": np.int32})
        for some in values:
            file["folder/t"].extend({"x": some})
    data = bytearray(path.read_bytes())
    with uproot.open(path) as file:
        seeks = file["folder/t/x"].member("fBasketSeek")[:5].tolist()
        folder = file.key("folder/t").fSeekPdir
    for seek in seeks:
        key, _ = Key.unpack(data[seek : seek + 200])
        assert (key.class_name, key.directory) == (b"TBasket", folder)
        changed = replace(key, directory=100).pack()
        data[seek : seek + len(changed)] = changed
    path.write_bytes(data)
    return path


def test_baskets_that_name_another_folder(in_a_folder, tmp_path):
    archive, out = tmp_path / "a.vxc", tmp_path / "out.root"
    vortex_hep.compress_file(in_a_folder, archive, model=vortex_hep.Model({}), exact=True)
    with vortex_hep.open(archive) as opened:
        kept = sum(len(b) for n, b in opened.blobs().items() if n.startswith("root/exact/kept/"))
    assert kept < 0.1 * in_a_folder.stat().st_size
    vortex_hep.restore(archive, out)
    assert out.read_bytes() == in_a_folder.read_bytes()


def test_a_file_that_cannot_be_made_again_after_all_is_carried_whole(
    in_a_folder, tmp_path, monkeypatch
):
    def differ(self, row, *_):
        return row, None

    monkeypatch.setattr(proof._Judge, "_judge", differ)
    archive, out = tmp_path / "a.vxc", tmp_path / "out.root"
    report = vortex_hep.compress_file(in_a_folder, archive, model=vortex_hep.Model({}), exact=True)
    assert any("carried whole, as bytes: only 0% of its bytes" in m for m in report.messages)
    assert report.stored_bytes < 1.1 * in_a_folder.stat().st_size
    with vortex_hep.open(archive) as opened:
        assert list(opened) == []
        assert opened.source["kind"] == "opaque"
    vortex_hep.restore(archive, out)
    assert out.read_bytes() == in_a_folder.read_bytes()
