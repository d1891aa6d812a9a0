"""Tests of restoring: files that uproot cannot tell from their source."""

import numpy as np
import pytest
import uproot

import vortex_hep
from vortex_hep.archive import compress as compressing
from vortex_hep.archive import write as archiving
from vortex_hep.errors import SourceError, UnsupportedTypeError
from vortex_hep.models.model import Model
from vortex_hep.readers import compare_sources, open_source


def test_restored_file_equals_its_source(example_archive, example_file, tmp_path, bits):
    path, model = example_archive
    out = tmp_path / "out.root"
    vortex_hep.restore(path, out, model=model)
    with uproot.open(example_file) as a, uproot.open(out) as b:
        assert a.keys() == b.keys()
        for name in ("Events", "Runs"):
            assert a[name].title == b[name].title
            assert a[name].typenames() == b[name].typenames()
            assert [x.title for x in a[name].branches] == [x.title for x in b[name].branches]
            first, second = a[name].arrays(library="np"), b[name].arrays(library="np")
            assert {k: bits(v) for k, v in first.items()} == {k: bits(v) for k, v in second.items()}
    with open_source(example_file) as a, open_source(out) as b:
        assert compare_sources(a, b) == []


@pytest.mark.parametrize("compression", ["zstd:5", "zlib:1", "lzma:1", "lz4:4", "none", "original"])
def test_compressions(odd_file, tmp_path, compression):
    path, out = tmp_path / "odd.vxc", tmp_path / "out.root"
    vortex_hep.compress_file(odd_file, path)
    vortex_hep.restore(path, out, compression=compression)
    assert vortex_hep.verify(path, against=out).ok


def test_verify_reports_sizes(example_archive, example_file):
    path, model = example_archive
    alone = vortex_hep.verify(path, model=model)
    report = vortex_hep.verify(path, against=example_file, model=model)
    assert report.ok
    assert alone.ok
    assert (report.entries, report.against) == (301, str(example_file))
    assert alone.raw_bytes == report.raw_bytes > 500_000
    assert alone.against is None


def test_verify_finds_a_planted_difference(example_archive, example_file, tmp_path):
    path, model = example_archive
    changed = tmp_path / "changed.root"
    with uproot.open(example_file) as file, uproot.recreate(changed) as out:
        for name in ("Events", "Runs"):
            arrays = file[name].arrays(library="np")
            if name == "Events":
                arrays["event"] = arrays["event"].copy()
                arrays["event"][123] ^= 1
            out[name] = {k: v for k, v in arrays.items() if v.dtype != object}
    report = vortex_hep.verify(path, against=changed, model=model)
    assert not report.ok
    assert any("'event': differs from entry 123" in line for line in report.differences)


def test_verify_decodes_each_chunk_once(example_archive, example_file, monkeypatch):
    from vortex_hep.nn.coding.treecoder import TreeDecoder

    path, model = example_archive
    counts: dict[int, int] = {}
    decode = TreeDecoder.decode

    def count(self, payloads, chunks, lanes, known=None):
        for row in chunks.values():
            counts[int(row["id"])] = counts.get(int(row["id"]), 0) + 1
        return decode(self, payloads, chunks, lanes, known)

    monkeypatch.setattr(TreeDecoder, "decode", count)
    assert vortex_hep.verify(path, model=model, against=example_file).ok
    assert set(counts.values()) == {1}


def test_some_trees(example_file, tmp_path):
    path, out = tmp_path / "runs.vxc", tmp_path / "runs.root"
    for trees in ("Runs", ["Runs"], ("Runs", "Runs")):
        vortex_hep.compress_file(example_file, path, trees=trees, overwrite=True)
    vortex_hep.restore(path, out)
    with uproot.open(out) as file:
        assert file.keys(cycle=False) == ["Runs"]
    assert vortex_hep.verify(path, against=example_file).ok


def test_compress_tree(example_file, tmp_path):
    with uproot.open(example_file) as file:
        report = vortex_hep.compress_tree(
            file["Events"], Model({}), path=tmp_path / "a.vxc", effort="fast", threads=1
        )
    assert {c["tree"] for c in report.columns} == {"Events"}
    with vortex_hep.open(tmp_path / "a.vxc") as archive:
        assert list(archive) == ["Events"]
    assert vortex_hep.verify(tmp_path / "a.vxc", against=example_file).ok
    with pytest.raises(UnsupportedTypeError, match="expected a tree or arrays, got str"):
        vortex_hep.compress_tree("Events", path=tmp_path / "b.vxc")


def test_compress_tree_of_an_rntuple(tmp_path):
    source, path = tmp_path / "in.root", tmp_path / "a.vxc"
    with uproot.recreate(source) as file:
        values = np.linspace(-1, 1, 200)
        file.mkrntuple("n", {"x": np.dtype("f8"), "k": np.dtype("i4")})
        file["n"].extend({"x": values, "k": np.arange(200, dtype=np.int32)})
    with uproot.open(source) as file:
        vortex_hep.compress_tree(file["n"], Model({}), path=path)
    with vortex_hep.open(path) as archive:
        assert archive["n"].arrays("x", library="np")["x"].tobytes() == values.tobytes()
    assert vortex_hep.verify(path, against=source).ok
    vortex_hep.restore(path, tmp_path / "out.root")
    assert vortex_hep.verify(path, against=tmp_path / "out.root").ok


def test_compress_tree_of_a_closed_file(example_file, tmp_path):
    with uproot.open(example_file) as file:
        tree = file["Events"]
    with pytest.raises(SourceError):
        vortex_hep.compress_tree(tree, Model({}), path=tmp_path / "a.vxc")
    assert list(tmp_path.iterdir()) == []


def test_tree_in_a_folder_and_an_empty_one(odd_file, tmp_path):
    with uproot.open(odd_file) as file:
        report = vortex_hep.compress_tree(file["folder/empty"], path=tmp_path / "a.vxc")
    assert report.raw_bytes == 0
    vortex_hep.restore(tmp_path / "a.vxc", tmp_path / "out.root")
    with uproot.open(tmp_path / "out.root") as file:
        assert file["folder/empty"].num_entries == 0
    assert vortex_hep.verify(tmp_path / "a.vxc", against=odd_file).ok


def test_report_adds_up(example_file, example_model, tmp_path, monkeypatch):
    monkeypatch.setattr(compressing, "CLUSTER_BYTES", 150_000)
    path = tmp_path / "a.vxc"
    report = vortex_hep.compress_file(example_file, path, model=example_model, effort="fast")
    assert report.stored_bytes == path.stat().st_size
    assert report.source_bytes == example_file.stat().st_size
    assert report.raw_bytes == sum(c["raw_bytes"] for c in report.columns)
    with vortex_hep.open(path) as archive:
        info = archive.info()
    assert info["raw_bytes"] == report.raw_bytes
    assert info["model"]["bytes"] <= report.model_bytes
    assert info["remainder_bytes"] <= report.remainder_bytes
    columns = {
        (t["name"], c["name"]): (c["coder"], c["raw_bytes"], c["stored_bytes"])
        for t in info["trees"] for table in t["tables"] for c in table["columns"]
    }  # fmt: skip
    assert columns == {
        (c["tree"], c["name"]): (c["coder"], c["raw_bytes"], c["stored_bytes"])
        for c in report.columns
    }
    rows = {table["name"]: table["rows"] for table in info["trees"][0]["tables"]}
    with uproot.open(example_file) as file:
        assert rows["Jet"] == file["Events/nJet"].array(library="np").sum()
        assert rows[""] == 300


def test_layout_that_a_later_basket_contradicts(example_file, tmp_path, monkeypatch):
    """Compression starts over, and what was written before is gone."""
    from vortex_hep.errors import LayoutError
    from vortex_hep.readers.root.rootfile import RootFileSource

    plain, again = tmp_path / "plain.vxc", tmp_path / "again.vxc"
    vortex_hep.compress_file(example_file, plain, model=Model({}), effort="fast")
    calls = []
    write_tree = archiving._Trees._write_tree

    def fail_once(self, tree, *rest):
        out = write_tree(self, tree, *rest)
        calls.append(tree.name)
        if len(calls) == 1:
            raise LayoutError("a later basket contradicts its branch")
        return out

    monkeypatch.setattr(archiving._Trees, "_write_tree", fail_once)
    monkeypatch.setattr(RootFileSource, "settle", lambda self: calls.append("settle"))
    vortex_hep.compress_file(example_file, again, model=Model({}), effort="fast")
    assert calls == ["Events", "settle", "Events", "Runs"]
    assert again.read_bytes() == plain.read_bytes()


@pytest.mark.parametrize("how", ["LZMA", "ZLIB", "ZSTD", "LZ4"])
def test_a_restored_file_is_compressed_as_its_original(tmp_path, how):
    source, archive = tmp_path / "in.root", tmp_path / "in.vxc"
    with uproot.recreate(source, compression=getattr(uproot, how)(4)) as file:
        file["t"] = {"x": np.random.default_rng(1).integers(0, 9, 5000)}
    vortex_hep.compress_file(source, archive, model=vortex_hep.Model({}))
    for number, (choice, code) in enumerate([(None, None), ("lzma:3", 203), ("none", 0)]):
        out = tmp_path / f"{number}.root"
        vortex_hep.restore(archive, out, compression=choice)
        with uproot.open(out) as back, uproot.open(source) as first:
            assert back.file.fCompress == (first.file.fCompress if code is None else code)
        assert vortex_hep.verify(archive, against=out).ok
    assert (tmp_path / "0.root").stat().st_size <= source.stat().st_size
