"""Tests of TTrees as columns: schema, values bit for bit, ranges, projections."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import uproot
from hypothesis import given, settings
from hypothesis import strategies as st

from vortex_hep.core.schema import VARBYTES
from vortex_hep.errors import NotFoundError, SourceError, UnsupportedTypeError
from vortex_hep.readers import compare_sources, open_source


def test_tables_of_a_nano_like_tree(written):
    with open_source(written) as source:
        assert set(source.trees) == {"Events", "folder/deep/Runs", "Empty"}
        tables = {table.name: table for table in source.trees["Events"].tables}
        assert set(tables) == {"", "Jet", "Muon"}
        assert tables["Jet"].counter == "nJet"
        assert tables["Jet"].jagged
        assert not tables[""].jagged
        jet = {column.name: column for column in tables["Jet"].columns}
        assert jet["Jet_muonIdx"].link == "Muon"
        assert jet["Jet_pt"].link is None
        scalars = {column.name: column for column in tables[""].columns}
        assert scalars["matrix"].inner == (3, 2)
        assert scalars["flag"].dtype == "|b1"
        assert {scalars[f"i{w}"].dtype for w in (8, 16, 32, 64)} == {"|i1", "<i2", "<i4", "<i8"}
        assert "nJet" in scalars
        assert source.trees["Empty"].num_entries == 0
        assert source.trees["Empty"].cluster_ranges(1000) == []
        assert [c.name for c in source.trees["Empty"].tables[0].columns] == ["x", "y"]


def test_values_are_the_bits_written(written, event_arrays):
    expected = event_arrays(500, 1)
    with open_source(written) as source:
        data: Any = source.trees["Events"].read(0, 500)
    for name in ("flag", "u8", "i16", "u64", "f32", "f64", "matrix"):
        assert data[""].columns[name].tobytes() == expected[name].tobytes()
    assert (
        data["Jet"].columns["Jet_pt"].tobytes()
        == np.asarray(expected["Jet"]["pt"].layout.content.data).tobytes()
    )
    assert np.array_equal(np.diff(data["Jet"].offsets), data[""].columns["nJet"])


@pytest.mark.parametrize("bounds", [(0, 538), (0, 0), (499, 502), (536, 538), (3, 4)])
def test_any_range_equals_the_same_part_of_the_whole(written, bounds):
    start, stop = bounds
    with open_source(written) as source:
        tree = source.trees["Events"]
        whole: Any = tree.read(0, 538)
        part: Any = tree.read(start, stop)
    for name, table in part.items():
        rows = slice(int(whole[name].offsets[start]), int(whole[name].offsets[stop]))
        assert np.array_equal(table.offsets, whole[name].offsets[start : stop + 1] - rows.start)
        for column, array in table.columns.items():
            assert array.tobytes() == whole[name].columns[column][rows].tobytes()


def test_projection_reads_only_what_was_asked_for(written):
    with open_source(written) as source:
        tree = source.trees["Events"]
        data: Any = tree.read(10, 20, ["Jet_pt"])
        assert set(data) == {"Jet"}
        assert list(data["Jet"].columns) == ["Jet_pt"]
        every: Any = tree.read(10, 20)
        assert data["Jet"].columns["Jet_pt"].tobytes() == every["Jet"].columns["Jet_pt"].tobytes()
        with pytest.raises(NotFoundError, match="no column 'Jet_eta'"):
            tree.read(0, 1, ["Jet_eta"])


@pytest.mark.parametrize("target", [1, 1000, 10_000, 1 << 30])
def test_cluster_ranges_cover_the_tree(written, target):
    with open_source(written) as source:
        ranges = source.trees["Events"].cluster_ranges(target)
    assert ranges[0][0] == 0
    assert ranges[-1][1] == 538
    assert all(a[1] == b[0] for a, b in pairwise(ranges))
    assert all(start < stop for start, stop in ranges)


def test_one_huge_basket_is_split(tmp_path, write_tree):
    path = tmp_path / "one.root"
    with uproot.recreate(path) as file:
        write_tree(file, "t", {"x": np.arange(100_000, dtype=np.float64)})
    with open_source(path) as source:
        assert len(source.trees["t"].cluster_ranges(100_000)) == 8


def test_selected_trees(written):
    with open_source(written, trees=["Empty"]) as source:
        assert list(source.trees) == ["Empty"]
    with pytest.raises(NotFoundError, match="tree 'Nope': no such tree"):
        open_source(written, trees=["Nope"])


def test_open_uproot_file_stays_open(written):
    with uproot.open(written) as file:
        with open_source(file) as source:
            assert source.trees["Events"].num_entries == 538
        assert file["Events"].num_entries == 538


def test_url(written):
    import fsspec

    with fsspec.open("memory://readers/file.root", "wb") as out:
        out.write(written.read_bytes())
    with open_source("memory://readers/file.root") as remote, open_source(written) as local:
        assert compare_sources(remote, local) == []


def test_missing_file_and_wrong_type(tmp_path):
    with pytest.raises(SourceError, match="No such file"):
        open_source(tmp_path / "nope.root")
    with pytest.raises(UnsupportedTypeError):
        open_source(3)


@pytest.mark.parametrize("keep", [0.01, 0.3, 0.9, 0.999])
def test_truncated_file_raises(written, tmp_path, keep):
    data = written.read_bytes()
    path = tmp_path / "cut.root"
    path.write_bytes(data[: int(len(data) * keep)])
    with pytest.raises(SourceError, match=r"cut\.root"):
        open_source(path)


def test_damaged_basket_names_tree_and_branch(written, tmp_path):
    with uproot.open(written) as file:
        branch = file["Events"]["f64"]
        seek = int(branch.member("fBasketSeek")[0])
        size = int(branch.member("fBasketBytes")[0])
    data = bytearray(written.read_bytes())
    data[seek + size - 200 : seek + size - 100] = bytes(100)
    path = tmp_path / "damaged.root"
    path.write_bytes(data)
    with open_source(path) as source, pytest.raises(SourceError) as caught:
        source.trees["Events"].read(0, 10)
    assert caught.value.tree == "Events"
    assert caught.value.branch == "f64"
    assert caught.value.offset == seek
    assert caught.value.path == str(path)


def test_tree_promises_more_than_the_file_holds(tmp_path, write_tree):
    path = tmp_path / "promises.root"
    with uproot.recreate(path, compression=None) as file:
        write_tree(file, "Events", {"f64": np.arange(1000.0)})
    with uproot.open(path) as file:
        seek = int(file["Events"]["f64"].member("fBasketSeek")[0])
    data = path.read_bytes()
    pattern = seek.to_bytes(8, "big")
    assert pattern in data
    path.write_bytes(data.replace(pattern, (len(data) + 1000).to_bytes(8, "big")))
    with open_source(path) as source:
        (unread,) = source.unread()
    assert (unread.tree, unread.branch) == ("Events", "f64")
    assert "should end at byte" in unread.reason


def test_comparison_finds_one_bit(tmp_path, event_arrays, write_tree):
    arrays = event_arrays(500, 1)
    for name, bits in (("a", 0x7FC00001), ("b", 0x7FC00002)):
        with uproot.recreate(tmp_path / f"{name}.root") as file:
            arrays["f32"] = np.resize(np.array([1, bits], np.uint32).view(np.float32), 500)
            write_tree(file, "Events", {"f32": arrays["f32"], "i8": arrays["i8"]})
    other = tmp_path / "b.root"
    with open_source(tmp_path / "a.root") as a, open_source(other) as b:
        assert compare_sources(a, a) == []
        (difference,) = compare_sources(a, b)
    assert "column 'f32': differs from entry 1 on" in difference


@settings(max_examples=20)
@given(
    dtype=st.sampled_from(["u1", "i2", "f4", "f8", "u8"]),
    counts=st.lists(st.lists(st.integers(0, 5), min_size=1, max_size=20), min_size=1, max_size=4),
    seed=st.integers(0, 1000),
)
def test_jagged_columns_of_any_counts(tmp_path, dtype, counts, seed):
    import awkward as ak

    rng = np.random.default_rng(seed)
    path = tmp_path / f"jagged{seed}.root"
    chunks = []
    with uproot.recreate(path) as file:
        file.mktree("t", {"x": f"var * {np.dtype(dtype).name}"})
        for sizes in counts:
            flat = rng.integers(0, 256, sum(sizes) * np.dtype(dtype).itemsize, np.uint8)
            chunks.append(flat)
            file["t"].extend({"x": ak.unflatten(flat.view(dtype), sizes)})
    with open_source(path) as source:
        tree = source.trees["t"]
        data: Any = tree.read(0, tree.num_entries)
        assert data["x"].columns["x"].tobytes() == b"".join(c.tobytes() for c in chunks)
        assert np.diff(data["x"].offsets).tolist() == [n for sizes in counts for n in sizes]
        assert all(c.dtype != VARBYTES for table in tree.tables for c in table.columns)
