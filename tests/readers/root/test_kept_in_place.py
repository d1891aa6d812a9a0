"""What is not understood stays as it is, and costs nothing else its columns."""

from __future__ import annotations

import zlib
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import uproot

import vortex_hep
from vortex_hep.errors import CorruptionError, NotFoundError, UnsupportedTypeError
from vortex_hep.readers import compare_sources, open_source
from vortex_hep.readers.root.file.fixed import FixedRecords, merged, unnamed_records
from vortex_hep.readers.root.file.tkey import Key
from vortex_hep.readers.root.rntuple.schema import FieldWalker
from vortex_hep.readers.root.ttree.streamed import StreamedError, TreeWalker

VALUES = np.arange(1000, dtype=np.int32)


@pytest.fixture
def three(tmp_path, write_tree):
    """A file with three trees, uncompressed, so that what is between them moves much."""
    path = tmp_path / "three.root"
    with uproot.recreate(path, compression=None) as file:
        for name in ("first", "mystery", "folder/last"):
            write_tree(file, name, {"x": VALUES, "y": VALUES / 7, name[:4]: VALUES})
        file["note"] = "some text"
    return path


@pytest.fixture
def puzzled(monkeypatch):
    """A reader that does not understand trees with a branch of this name."""
    walk = TreeWalker.walk

    def refuse(self, at_branches):
        if b"myst" in bytes(self.data):
            raise StreamedError("TBranch version 99")
        return walk(self, at_branches)

    monkeypatch.setattr(TreeWalker, "walk", refuse)


def _there_and_back(path, out, **options):
    archive = out.with_suffix(".vxc")
    report = vortex_hep.compress_file(
        path, archive, model=vortex_hep.Model({}), effort="fast", **options
    )
    assert vortex_hep.verify(archive, against=path).ok
    vortex_hep.restore(archive, out)
    return archive, report


@pytest.mark.parametrize("exact", [False, True])
def test_a_tree_that_is_not_understood(three, puzzled, tmp_path, exact):
    out = tmp_path / "out.root"
    archive, report = _there_and_back(three, out, exact=exact)
    assert any("tree 'mystery' is kept as bytes: " in line for line in report.messages)
    with vortex_hep.open(archive) as opened:
        assert sorted(opened) == ["first", "folder/last"]
        assert np.array_equal(opened["first"]["x"].array(library="np"), VALUES)
        with pytest.raises(NotFoundError, match=r"kept as bytes.*TBranch version 99"):
            opened["mystery"]
        with pytest.raises(NotFoundError):
            opened["another"]
        assert [item["tree"] for item in opened.info()["unread"]] == ["mystery"]
    if exact:
        assert out.read_bytes() == three.read_bytes()
    for compression in ("none", "zstd:5"):
        vortex_hep.restore(archive, out, compression=compression, exact=False, overwrite=True)
        with uproot.open(three) as a, uproot.open(out) as b:
            assert a.classnames() == b.classnames()
            assert a["note"] == b["note"]
            for name in ("first", "mystery", "folder/last"):
                mine, theirs = a[name].arrays(), b[name].arrays()
                assert mine.tolist() == theirs.tolist()
        with open_source(three) as a, open_source(out) as b:
            assert compare_sources(a, b) == []


def test_a_file_of_which_no_tree_is_understood_is_carried_whole(tmp_path, write_tree, puzzled):
    path = tmp_path / "one.root"
    with uproot.recreate(path) as file:
        write_tree(file, "mystery", {"myst": VALUES})
    with open_source(path) as source:
        assert source.kind == "opaque"
        assert "TBranch version 99" in source.unread()[0].reason
    with pytest.raises(UnsupportedTypeError, match="version 99"):
        open_source(path, trees=["mystery"])


def test_an_object_that_holds_a_tree(three, tmp_path):
    """As a list of trees does: its baskets are found by their offsets."""
    data = three.read_bytes()
    assert data.count(b"\x05TTree\x07mystery") >= 2  # in its record and in the list of keys
    three.write_bytes(data.replace(b"\x05TTree\x07mystery", b"\x05TList\x07mystery"))
    out = tmp_path / "out.root"
    archive, _ = _there_and_back(three, out)
    with vortex_hep.open(archive) as opened:
        assert sorted(opened) == ["first", "folder/last"]
    for path in (three, out):
        changed = path.read_bytes().replace(b"\x05TList\x07mystery", b"\x05TTree\x07mystery")
        path.write_bytes(changed)
    with uproot.open(three) as a, uproot.open(out) as b:
        assert a["mystery"]["y"].array().tolist() == b["mystery"]["y"].array().tolist()


def test_a_branch_with_baskets_in_another_file(three, tmp_path, monkeypatch):
    branch = TreeWalker._branch

    def elsewhere(self, class_name, position, parent):
        branch(self, class_name, position, parent)
        if self.branches[-1].name == "y":
            self.branches[-1].file_name = b"friends.root"

    out = tmp_path / "out.root"
    with monkeypatch.context() as patch:
        patch.setattr(TreeWalker, "_branch", elsewhere)
        archive, report = _there_and_back(three, out)
    assert sum("in another file, friends.root" in line for line in report.messages) == 3
    with vortex_hep.open(archive) as opened:
        assert opened["first"].keys() == ["x", "firs"]
        with pytest.raises(NotFoundError, match=r"another file, friends\.root"):
            opened["first"]["y"]
    with uproot.open(three) as a, uproot.open(out) as b:
        for name in ("fBasketSeek", "fBasketBytes", "fTotBytes", "fZipBytes"):
            mine, theirs = a["first"]["y"].member(name), b["first"]["y"].member(name)
            assert np.array_equal(mine, theirs)
        assert a["first"]["firs"].array().tolist() == b["first"]["firs"].array().tolist()


def test_a_basket_behind_the_end(three, tmp_path):
    with uproot.open(three) as file:
        seek = int(file["first"]["y"].member("fBasketSeek")[0])
        place = file["mystery"]["y"].member("fBasketSeek")[0]
    data = bytearray(three.read_bytes())
    lost = len(data) + 1000
    at = data.index(seek.to_bytes(8, "big"))  # in the tree, not in the basket's own key
    data[at : at + 8] = lost.to_bytes(8, "big")
    three.write_bytes(data)
    out = tmp_path / "out.root"
    archive, report = _there_and_back(three, out)
    assert any(f"but the file has {len(data)}" in line for line in report.messages)
    with vortex_hep.open(archive) as opened, uproot.open(out) as file:
        assert opened["first"].keys() == ["x", "firs"]
        assert np.array_equal(file["first"]["x"].array(library="np"), VALUES)
        assert int(file["first"]["y"].member("fBasketSeek")[0]) == lost
        assert int(file["mystery"]["y"].member("fBasketSeek")[0]) != place
    # The basket itself, which the tree no longer names, is still where it was.
    assert out.read_bytes()[seek : seek + 60] == data[seek : seek + 60]


def test_an_rntuple_that_is_not_understood(tmp_path, monkeypatch):
    path, out = tmp_path / "two.root", tmp_path / "out.root"
    with uproot.recreate(path, compression=None) as file:
        for name in ("first", "mystery"):
            file.mkrntuple(name, {"x": VALUES, name[:4]: VALUES / 3})
    walk = FieldWalker.walk

    def refuse(self):
        if any(record.field_name == "myst" for record in self._fields):
            raise ValueError("a field of an unknown kind")
        walk(self)

    monkeypatch.setattr(FieldWalker, "walk", refuse)
    archive, _ = _there_and_back(path, out)
    with vortex_hep.open(archive) as opened:
        assert list(opened) == ["first"]
    with uproot.open(path) as a, uproot.open(out) as b:
        for name, branch in (("first", "x"), ("first", "firs"), ("mystery", "myst")):
            assert a[name][branch].array().tolist() == b[name][branch].array().tolist()


def test_an_empty_folder_and_a_slash_in_a_name(three, tmp_path):
    data = three.read_bytes()
    three.write_bytes(data.replace(b"\x07mystery", b"\x07my/tery"))
    with open_source(three) as source:
        opened: Any = source
        folder = opened._contents.records.directories[1]
    data = bytearray(three.read_bytes())
    at = folder.key.seek + folder.key.keylen + 26
    assert int.from_bytes(data[at : at + 4], "big") == folder.header.seek_keys
    data[at : at + 4] = bytes(4)
    three.write_bytes(data)
    out = tmp_path / "out.root"
    archive, _ = _there_and_back(three, out)
    with vortex_hep.open(archive) as opened:
        assert sorted(opened) == ["first", "my/tery"]
        assert np.array_equal(opened["my/tery"]["x"].array(library="np"), VALUES)
    with uproot.open(out) as file:
        assert file.keys(recursive=False) == ["first;1", "my/tery;1", "folder;1", "note;1"]
        assert file["folder"].keys() == []


@pytest.mark.parametrize("by", [-1_000_000, -94_400])
def test_a_negative_version(three, tmp_path, by):
    data = bytearray(three.read_bytes())
    version = int.from_bytes(data[4:8], "big", signed=True) + by
    data[4:8] = version.to_bytes(4, "big", signed=True)
    three.write_bytes(data)
    out = tmp_path / "out.root"
    archive, _ = _there_and_back(three, out)
    assert out.read_bytes()[4:8] == data[4:8]
    with vortex_hep.open(archive) as opened:
        assert len(opened) == 3


def _old_block(payload):
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    packed = packer.compress(payload) + packer.flush()
    sizes = len(packed).to_bytes(3, "little") + len(payload).to_bytes(3, "little")
    return b"CS\x08" + sizes + packed


def test_blocks_of_before_2002(three, tmp_path):
    """ROOT's own deflate, in the tree, its baskets and the streamer info."""
    data = bytearray(three.read_bytes())
    with open_source(three) as source:
        opened: Any = source
        records = opened._contents.records
        keys = [e.key for e in records.entries if e.key.class_name in (b"TTree", b"TObjString")]
        keys.append(records.info_key)
        seeks = {key.seek: key for key in keys}
    for seek, key in seeks.items():
        packed = _old_block(bytes(data[seek + key.keylen : seek + key.nbytes]))
        changed = replace(key, nbytes=key.keylen + len(packed))
        old, new = key.pack(), changed.pack()
        while (at := data.find(old)) >= 0:
            data[at : at + len(new)] = new
        data[seek + key.keylen : seek + changed.nbytes] = packed
        gap = key.nbytes - changed.nbytes
        data[seek + changed.nbytes : seek + changed.nbytes + 4] = (-gap).to_bytes(
            4, "big", signed=True
        )
    info = Key.unpack(data, records.info_key.seek)[0]
    at = data.index(records.info_key.nbytes.to_bytes(4, "big"), 12)
    assert at < 100  # in the file's header
    data[at : at + 4] = info.nbytes.to_bytes(4, "big")
    three.write_bytes(data)
    out = tmp_path / "out.root"
    archive, _ = _there_and_back(three, out)
    with vortex_hep.open(archive) as opened, uproot.open(out) as file:
        for name in ("first", "mystery", "folder/last"):
            assert np.array_equal(opened[name]["x"].array(library="np"), VALUES)
            assert np.array_equal(file[name]["x"].array(library="np"), VALUES)


def test_unnamed_records(three):
    with open_source(three) as source:
        opened: Any = source
        contents = opened._contents
        reader, end = contents.records.reader, contents.records.header.end
        free = {r.class_name for r in unnamed_records(reader, contents._named(), end)}
        assert free <= {b"", b"TList"}  # earlier streamer info
        tree = contents.tree_records[0]
        places = {(ref.seek, ref.nbytes) for plan in tree.source.plans for ref in plan.baskets}
        places.add((tree.entry.key.seek, tree.entry.key.nbytes))
        found = unnamed_records(reader, set(contents._named()) - places, end)
        assert places <= {(record.offset, record.size) for record in found}


def test_ranges_that_stay():
    assert merged([(10, 5), (15, 1), (3, 2), (12, 1), (7, 0)]) == [(3, 2), (10, 6)]
    records = FixedRecords([(3, 2), (10, 6)], {"root/fixed/0": b"abcdefgh"})
    assert b"".join(records.pieces(1)) == b"cdefgh"
    with pytest.raises(CorruptionError, match="missing or short"):
        list(FixedRecords([(3, 9)], {"root/fixed/0": b"abcdefgh"}).pieces(0))
    with pytest.raises(CorruptionError, match="within another"):
        FixedRecords([(3, 9), (10, 1)], {})
