"""Tests of files that differ from their types, or are larger than 32-bit offsets reach."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import uproot

import vortex_hep
from vortex_hep.errors import LayoutError, SourceError, UnsupportedTypeError
from vortex_hep.readers import compare_sources, opaque, open_source
from vortex_hep.readers.kinds import RestoreOptions
from vortex_hep.readers.opaque import OpaqueSource
from vortex_hep.readers.root import restore_root
from vortex_hep.readers.root.ttree.streamed import StreamedError, TreeWalker
from vortex_hep.testing import check_cuts, check_flips


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
    for module in ("file.tkey", "file.rootwriter", "restore"):
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


def read_damaged(folder):
    """Function that reads bytes as a file of this folder."""

    def read(data):
        path = folder / "damaged.root"
        path.write_bytes(data)
        with open_source(path) as source:
            for tree in source.trees.values():
                tree.read(0, tree.num_entries)
            list(source.remainder())

    return read


#: The bits of a byte.
BITS = [1 << bit for bit in range(8)]


def test_every_prefix_raises(tmp_path, write_tree):
    path = tmp_path / "small.root"
    with uproot.recreate(path) as file:
        write_tree(file, "t", {"x": np.arange(5.0)})
    data = path.read_bytes()
    check_cuts(data, read_damaged(tmp_path), range(37, len(data), 37), errors=SourceError)


def test_flipped_bytes_never_escape_as_other_errors(tmp_path, write_tree):
    """Whatever is damaged: the same data, or an error of ours; never another exception."""
    path = tmp_path / "small.root"
    with uproot.recreate(path, compression=uproot.ZLIB(1)) as file:
        write_tree(file, "t", {"x": np.arange(50.0), "y": np.arange(50, dtype=np.int16)})
    data = path.read_bytes()
    places = np.random.default_rng(0).integers(0, len(data), 300).tolist()
    check_flips(data, read_damaged(tmp_path), places, errors=SourceError, masks=BITS,
                unnoticed="any")  # fmt: skip


@pytest.fixture
def folders(tmp_path, write_tree):
    """A file with two trees in a folder, and nothing compressed."""
    path = tmp_path / "folders.root"
    with uproot.recreate(path, compression=None) as file:
        for name in ("t1", "t2"):
            write_tree(file, f"folder/{name}", {"x": np.arange(50, dtype=np.int32)})
    return path


def _restored(path, out):
    """Take a file through an archive."""
    archive = out.with_suffix(".vxc")
    vortex_hep.compress_file(path, archive, model=vortex_hep.Model({}), effort="fast")
    assert vortex_hep.verify(archive, against=path).ok
    vortex_hep.restore(archive, out)
    return out


def _records(path):
    """Header, folders and keys of a file."""
    with open_source(path) as source:
        opened: Any = source
        return opened._contents.records


def test_a_file_without_a_list_of_keys_is_carried_whole(folders, tmp_path):
    """Its job died: only a walk through all of its records tells what it holds."""
    data = bytearray(folders.read_bytes())
    root = _records(folders).directories[0]
    # Behind fVersion, two dates, fNbytesKeys, fNbytesName, fSeekDir and fSeekParent.
    at = root.key.seek + root.header.nbytes_name + 26
    assert int.from_bytes(data[at : at + 4], "big") == root.header.seek_keys
    data[at : at + 4] = bytes(4)
    folders.write_bytes(data)
    with open_source(folders) as source:
        assert source.kind == "opaque"
        assert "has no list of keys" in source.notes()[0]
    assert _restored(folders, tmp_path / "out.root").read_bytes() == data
    with pytest.raises(UnsupportedTypeError, match=r"as tables: .* no list of keys"):
        open_source(folders, trees=["folder/t1"])


def test_what_follows_the_end_is_kept(folders, tmp_path):
    whole = folders.read_bytes()
    folders.write_bytes(whole + b"more bytes")
    out = _restored(folders, tmp_path / "out.root")
    assert out.read_bytes().endswith(b"more bytes")
    with open_source(folders) as a, open_source(out) as b:
        assert compare_sources(a, b) == []
    folders.write_bytes(whole)
    with open_source(folders) as a, open_source(out) as b:
        assert compare_sources(a, b) == ["object '' (bytes behind the end, cycle 0) differs"]


def test_a_folder_of_another_class_in_the_list_of_keys(folders, tmp_path):
    """Old files list a TDirectoryFile where the record says TDirectory, which is shorter."""
    data = bytearray(folders.read_bytes())
    records = _records(folders)
    root, end = records.directories[0], records.header.end
    where = slice(root.header.seek_keys, root.header.seek_keys + root.header.nbytes_keys)
    listed = bytes(data[where]).replace(b"\x0aTDirectory", b"\x0eTDirectoryFile")
    listed = len(listed).to_bytes(4, "big") + listed[4:]
    at = root.key.seek + root.header.nbytes_name
    data[at + 10 : at + 14] = len(listed).to_bytes(4, "big")
    data[at + 26 : at + 30] = end.to_bytes(4, "big")
    data += listed
    data[12:16] = len(data).to_bytes(4, "big")
    folders.write_bytes(data)
    out = _restored(folders, tmp_path / "out.root")
    with uproot.open(folders) as a, uproot.open(out) as b:
        assert a.classnames() == b.classnames()
        assert a.classnames()["folder;1"] == "TDirectoryFile"
        assert a["folder/t2/x"].array().tolist() == b["folder/t2/x"].array().tolist()


def test_two_trees_of_one_name_are_carried_whole(folders, tmp_path):
    data = bytearray(folders.read_bytes())
    folder = _records(folders).directories[1]
    at = data.index(b"\x02t2", folder.header.seek_keys)
    data[at + 2 : at + 3] = b"1"
    folders.write_bytes(data)
    with open_source(folders) as source:
        assert "two trees 'folder/t1' of cycle 1" in source.notes()[0]
    assert _restored(folders, tmp_path / "out.root").read_bytes() == data


def test_a_folder_that_contains_itself_raises(folders):
    data = bytearray(folders.read_bytes())
    root, folder = _records(folders).directories
    at = folder.key.seek + folder.key.keylen + 26
    data[at : at + 4] = root.header.seek_keys.to_bytes(4, "big")
    folders.write_bytes(data)
    with pytest.raises(SourceError, match="names something else"):
        open_source(folders)
