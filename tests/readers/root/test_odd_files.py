"""Files that are not what their types say, or larger than 32-bit offsets reach."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import uproot

from vortex_hep.errors import LayoutError, SourceError
from vortex_hep.readers import compare_sources, opaque, open_source
from vortex_hep.readers.kinds import RestoreOptions
from vortex_hep.readers.opaque import OpaqueSource
from vortex_hep.readers.root import restore_root
from vortex_hep.readers.root.streamed import StreamedError, TreeWalker


@pytest.fixture
def lying_counter(tmp_path):
    """A file whose counter says other numbers than the entry offsets."""
    import awkward as ak

    path = tmp_path / "lying.root"
    with uproot.recreate(path, compression=None) as file:
        file.mktree("t", {"x": "var * float32", "y": "var * float32", "z": np.int16})
        x = ak.unflatten(np.arange(300, dtype=np.float32), [3] * 100)
        file["t"].extend({"x": x, "y": x, "z": np.arange(100, dtype=np.int16)})
    with uproot.open(path) as file:
        branch = file["t"]["nx"]
        stop = int(branch.member("fBasketSeek")[0] + branch.member("fBasketBytes")[0])
    data = bytearray(path.read_bytes())
    data[stop - 4 : stop] = (2).to_bytes(4, "big")
    path.write_bytes(data)
    return path


def test_counter_that_lies(lying_counter, tmp_path):
    with open_source(lying_counter) as source:
        tree = source.trees["t"]
        with pytest.raises(LayoutError, match="differ from the counter") as caught:
            tree.read(0, 100)
        assert caught.value.branch == "x"
        assert "settle" in str(caught.value)
        assert source.settle() == {"t": ("x",)}
        tables = {table.name: table for table in tree.tables}
        assert tables["x"].counter is None
        assert tables["x"].jagged
        assert tables["y"].counter == "ny"
        data: Any = tree.read(0, 100)
        assert data["x"].columns["x"].tolist() == list(range(300))
        ranges = tree.cluster_ranges(500)
        out = tmp_path / "out.root"
        blobs = dict(source.remainder())
        restore_root(blobs, {"t": ranges}, lambda _, a, b: tree.read(a, b), out)
    with uproot.open(lying_counter) as a, uproot.open(out) as b:
        for name in ("nx", "x", "y", "z"):
            assert np.array_equal(a["t"][name].basket(0).raw_data, b["t"][name].basket(0).raw_data)


def test_beyond_two_gigabytes(shared_data, tmp_path, monkeypatch, round_trip):
    """With the limit lowered, baskets get 64-bit keys and trees go into reserved space."""
    path, out = shared_data / "real/root/uproot-HZZ-lzma.root", tmp_path / "big.root"
    for module in ("tkey", "rootwriter", "restore"):
        monkeypatch.setattr(f"vortex_hep.readers.root.{module}.START_BIG_FILE", 120_000)
    round_trip(path, out, compression="zlib:1")
    with open_source(path) as a, open_source(out) as b:
        assert compare_sources(a, b) == []
    with uproot.open(path) as a, uproot.open(out) as b:
        assert b.file.is_64bit
        assert not a.file.is_64bit
        last = a["events"].keys()[-1]
        versions = set()
        for name in ("Jet_Px", "Muon_Charge", last):
            mine, other = a["events"][name], b["events"][name]
            versions.add(other.basket(0).key_version)
            for i in range(mine.num_baskets):
                assert np.array_equal(mine.basket(i).data, other.basket(i).data)
                assert np.array_equal(mine.basket(i).byte_offsets, other.basket(i).byte_offsets)
        assert max(versions) > 1000
    again = tmp_path / "again.root"
    monkeypatch.undo()
    round_trip(out, again)
    with open_source(path) as a, open_source(again) as b:
        assert compare_sources(a, b) == []


def test_unknown_layout_is_carried_whole(written, tmp_path, monkeypatch):
    def refuse(self, at_branches):
        raise StreamedError("TBranch version 99")

    with monkeypatch.context() as patch:
        patch.setattr(TreeWalker, "walk", refuse)
        with open_source(written) as source:
            assert isinstance(source, OpaqueSource)
            assert source.kind == "opaque"
            assert "version 99" in source.reason
            assert dict(source.trees) == {}
            blobs = dict(source.remainder())
            assert compare_sources(source, source) == []
    out = tmp_path / "out.root"
    opaque.restore_file(blobs, {}, lambda *_: {}, out, RestoreOptions())
    assert out.read_bytes() == written.read_bytes()
    with open_source(written) as a, monkeypatch.context() as patch:
        patch.setattr(TreeWalker, "walk", refuse)
        with open_source(written) as b:
            assert compare_sources(a, b) == ["a file of kind 'root' against one of kind 'opaque'"]


def test_every_prefix_raises(tmp_path, write_tree):
    path = tmp_path / "small.root"
    with uproot.recreate(path) as file:
        write_tree(file, "t", {"x": np.arange(5.0)})
    data = path.read_bytes()
    cut = tmp_path / "cut.root"
    for size in range(37, len(data), 37):
        cut.write_bytes(data[:size])
        with pytest.raises(SourceError):
            open_source(cut)


def test_flipped_bytes_never_escape_as_other_errors(tmp_path, write_tree):
    """Whatever is damaged: the same data, or an error of ours; never another exception."""
    path = tmp_path / "small.root"
    with uproot.recreate(path, compression=uproot.ZLIB(1)) as file:
        write_tree(file, "t", {"x": np.arange(50.0), "y": np.arange(50, dtype=np.int16)})
    data = path.read_bytes()
    flipped = tmp_path / "flipped.root"
    rng = np.random.default_rng(0)
    for position in rng.integers(0, len(data), 300):
        damaged = bytearray(data)
        damaged[position] ^= 1 << int(rng.integers(8))
        flipped.write_bytes(damaged)
        try:
            with open_source(flipped) as source:
                for tree in source.trees.values():
                    tree.read(0, tree.num_entries)
                list(source.remainder())
        except SourceError:
            pass
