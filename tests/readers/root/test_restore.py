"""Tests of restoring ROOT files: the same trees, baskets and objects, or nothing."""

from __future__ import annotations

import json

import pytest
import uproot

from vortex_hep.errors import CorruptionError, OutputError, UnsupportedTypeError
from vortex_hep.readers import compare_sources, open_source
from vortex_hep.readers.root import restore_root


@pytest.mark.parametrize(
    "compression", ["zstd:5", "zlib:1", "lzma:1", "lz4:1", "lz4:4", "none", "original"]
)
def test_round_trip(written, tmp_path, compression, round_trip, assert_same_for_uproot):
    out = tmp_path / "restored.root"
    round_trip(written, out, compression=compression, target=3000)
    with open_source(written) as a, open_source(out) as b:
        assert compare_sources(a, b) == []
    assert_same_for_uproot(written, out)
    with uproot.open(written) as a, uproot.open(out) as b:
        assert str(a["note"]) == str(b["note"])
        assert (a["folder/hist"].values() == b["folder/hist"].values()).all()
        assert a.file.streamers.keys() == b.file.streamers.keys()


def test_restored_file_is_the_same_again(written, tmp_path, round_trip):
    first, second, third = (tmp_path / f"{n}.root" for n in "abc")
    round_trip(written, first)
    round_trip(first, second)
    round_trip(first, third, target=777)
    assert first.read_bytes() == second.read_bytes()
    assert len(third.read_bytes()) == len(first.read_bytes())


def test_remainder_is_deterministic_and_ordered(written):
    with open_source(written) as a, open_source(written) as b:
        for start, stop in b.trees["Events"].cluster_ranges(1000):
            b.trees["Events"].read(start, stop)
        assert list(a.remainder()) == list(b.remainder())
        names = [name for name, _ in a.remainder()]
    assert names[0] == "root/skeleton"
    assert len(names) == len(set(names))


def test_compression_setting_is_used(written, tmp_path, round_trip):
    round_trip(written, tmp_path / "zstd.root", compression="zstd:3")
    with uproot.open(tmp_path / "zstd.root") as file:
        info = file["Events"]["matrix"].basket(0).block_compression_info
        assert {name for name, *_ in info} == {"ZSTD"}
    with pytest.raises(UnsupportedTypeError, match="unknown compression"):
        round_trip(written, tmp_path / "bad.root", compression="brotli:3")
    assert not (tmp_path / "bad.root").exists()


def test_original_compression(written, tmp_path, round_trip):
    out = tmp_path / "out.root"
    round_trip(written, out, compression="original")
    with uproot.open(out) as file:
        info = file["Events"]["matrix"].basket(0).block_compression_info
        assert {name for name, *_ in info} == {"ZLIB"}
    assert out.stat().st_size < 1.1 * written.stat().st_size


def _material(written):
    with open_source(written) as source:
        ranges = {name: tree.cluster_ranges(1000) for name, tree in source.trees.items()}
        clusters = {
            (name, *bounds): source.trees[name].read(*bounds)
            for name in ranges
            for bounds in ranges[name]
        }
        return dict(source.remainder()), ranges, clusters


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError, MemoryError])
def test_interrupted_restore_leaves_nothing(written, tmp_path, error):
    blobs, ranges, clusters = _material(written)
    folder = tmp_path / "out"
    folder.mkdir()
    calls = []

    def read(*key):
        calls.append(key)
        if len(calls) == 5:
            raise error
        return clusters[key]

    with pytest.raises(error):
        restore_root(blobs, ranges, read, folder / "x.root")
    assert len(calls) == 5
    assert list(folder.iterdir()) == []


def test_existing_file_is_kept(written, tmp_path):
    blobs, ranges, clusters = _material(written)
    out = tmp_path / "there.root"
    out.write_text("precious")
    with pytest.raises(OutputError, match="exists already"):
        restore_root(blobs, ranges, lambda *key: clusters[key], out)
    assert out.read_text() == "precious"
    restore_root(blobs, ranges, lambda *key: clusters[key], out, overwrite=True)
    assert out.read_bytes()[:4] == b"root"


def test_missing_folder(written, tmp_path):
    blobs, ranges, clusters = _material(written)
    with pytest.raises(OutputError, match="cannot be written"):
        restore_root(blobs, ranges, lambda *key: clusters[key], tmp_path / "no" / "x.root")


def test_columns_that_do_not_belong(written, tmp_path):
    blobs, ranges, clusters = _material(written)
    out = tmp_path / "x.root"

    def restore(**changes):
        arguments = {"blobs": blobs, "trees": ranges, "read_cluster": lambda *key: clusters[key]}
        restore_root(**{**arguments, **changes}, out_path=out)

    with pytest.raises(CorruptionError, match="the columns do not"):
        restore(trees={k: v for k, v in ranges.items() if k != "Events"})
    with pytest.raises(CorruptionError, match="do not follow"):
        restore(trees={**ranges, "Events": ranges["Events"][1:]})
    with pytest.raises(CorruptionError, match="columns hold"):
        restore(trees={**ranges, "Events": ranges["Events"][:-1]})

    def without_a_column(*key):
        cluster = clusters[key]
        if "Jet" in cluster:
            cluster = dict(cluster)
            del cluster["Jet"]
        return cluster

    with pytest.raises(CorruptionError, match="does not fit the remainder") as caught:
        restore(read_cluster=without_a_column)
    assert caught.value.tree == "Events"
    for name in blobs:
        with pytest.raises(CorruptionError):
            restore(blobs={k: v for k, v in blobs.items() if k != name})
    with pytest.raises(CorruptionError):
        restore(blobs={**blobs, "root/skeleton": blobs["root/skeleton"][:-1]})
    skeleton = json.loads(blobs["root/skeleton"])
    skeleton["version"] = 99
    with pytest.raises(ValueError, match="version 99"):
        restore(blobs={**blobs, "root/skeleton": json.dumps(skeleton).encode()})
    assert not out.exists()


def test_selected_tree_only(written, tmp_path):
    out = tmp_path / "some.root"
    with open_source(written, trees=["folder/deep/Runs"]) as source:
        blobs = dict(source.remainder())
        tree = source.trees["folder/deep/Runs"]
        restore_root(blobs, {tree.name: [(0, 5)]}, lambda _, a, b: tree.read(a, b), out)
    with uproot.open(out) as file:
        assert "Events;1" not in file
        assert file["folder/deep/Runs"]["run"].array(library="np").tolist() == [0, 1, 2, 3, 4]
