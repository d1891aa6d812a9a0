"""Tests of RNTuples: columns, round trip, unsupported layouts stored whole."""

from __future__ import annotations

import struct
from typing import Any

import awkward as ak
import numpy as np
import pytest
import uproot
from hypothesis import given
from hypothesis import strategies as st

import vortex_hep
from tests.readers.root import ntuple_files
from vortex_hep.errors import SourceError
from vortex_hep.readers import compare_sources, open_source
from vortex_hep.readers.root.rntuple.pages import PageCodec

FILES = [
    "nano_dy_rntuple.root",
    "Run2012BC_DoubleMuParked_Muons_1000evts_rntuple_v1-0-0-0.root",
]
_TYPES = [i for i in range(0x1C) if i != 0x10]
_BITS = {0x00: 1}


@pytest.fixture
def ntuple(tmp_path):
    """An RNTuple of three clusters that uproot wrote, with its arrays."""
    rng = np.random.default_rng(5)
    counts = rng.integers(0, 4, 100)
    inner = rng.integers(0, 3, counts.sum())
    arrays = {
        "flag": rng.random(100) < 0.5,
        "i16": rng.integers(-1000, 1000, 100, dtype=np.int16),
        "f32": np.resize(np.array([0x7FC00001, 0x80000000], np.uint32).view(np.float32), 100),
        "jet": ak.unflatten(rng.normal(size=counts.sum()), counts),
        "text": ak.Array(["x" * int(n) for n in counts]),
        "deep": ak.unflatten(ak.unflatten(np.arange(inner.sum(), dtype=np.int64), inner), counts),
    }
    path = tmp_path / "ntuple.root"
    with uproot.recreate(path) as file:
        out = file.mkrntuple("folder/N", {k: v[:40] for k, v in arrays.items()})
        out.extend({k: v[40:41] for k, v in arrays.items()})
        out.extend({k: v[41:] for k, v in arrays.items()})
    return path, arrays


def test_columns(ntuple):
    path, arrays = ntuple
    with open_source(path) as source:
        tree = source.trees["folder/N"]
        assert tree.num_entries == 100
        tables = {table.name: table for table in tree.tables}
        assert tables["jet"].jagged
        assert tables["jet"].counter is None
        data: Any = tree.read(0, 100)
        for name in ("flag", "i16", "f32"):
            assert data[""].columns[name].tobytes() == arrays[name].tobytes()
        assert np.diff(data["jet"].offsets).tolist() == ak.num(arrays["jet"]).to_list()
        assert (
            data["jet"].columns["jet"].tobytes() == ak.flatten(arrays["jet"]).to_numpy().tobytes()
        )
        text = data[""].columns["text"]
        assert bytes(text.content) == "".join(arrays["text"].to_list()).encode()
        deep = ak.num(ak.flatten(arrays["deep"]))
        assert data["deep"].columns["deep.size"].tolist() == deep.to_list()


@pytest.mark.parametrize("bounds", [(0, 40), (39, 42), (40, 41), (5, 5), (99, 100)])
def test_any_range_equals_the_same_part_of_the_whole(ntuple, bounds):
    with open_source(ntuple[0]) as source:
        tree = source.trees["folder/N"]
        whole: Any = tree.read(0, 100)
        part: Any = tree.read(*bounds)
        for name, table in part.items():
            rows = whole[name].offsets[bounds[0] : bounds[1] + 1]
            assert np.array_equal(table.offsets, rows - rows[0])
            for column, array in table.columns.items():
                if isinstance(array, np.ndarray):
                    expected = whole[name].columns[column][rows[0] : rows[-1]]
                    assert array.tobytes() == expected.tobytes()
        assert list(tree.read(bounds[0], bounds[1], ["jet"])) == ["jet"]


@pytest.mark.parametrize("compression", ["zstd:5", "lz4:4", "none", "original"])
@pytest.mark.parametrize("target", [100, 1 << 20])
def test_round_trip(ntuple, tmp_path, round_trip, compression, target):
    path, arrays = ntuple
    out = tmp_path / "restored.root"
    round_trip(path, out, compression=compression, target=target)
    with open_source(path) as a, open_source(out) as b:
        assert compare_sources(a, b) == []
    with uproot.open(out) as file:
        for name, array in arrays.items():
            restored = file["folder/N"][name].array()
            if name == "f32":
                assert restored.to_numpy().tobytes() == array.tobytes()
            else:
                assert ak.array_equal(restored, array)


@pytest.mark.parametrize("name", FILES)
def test_real_files(shared_data, tmp_path, round_trip, name):
    path, out = shared_data / "real/nanoaod" / name, tmp_path / "restored.root"
    round_trip(path, out, target=10_000)
    with open_source(path) as a, open_source(out) as b:
        assert compare_sources(a, b) == []
        tables = {table.name: table for table in a.trees["Events"].tables}
    assert {column.name for column in tables["Muon"].columns} >= {"Muon_pt", "Muon_charge"}
    with uproot.open(path) as first, uproot.open(out) as second:
        for key in first["Events"].keys()[::50]:
            before, after = (file["Events"][key].array() for file in (first, second))
            assert ak.array_equal(before, after, equal_nan=True)


def test_damaged_page_raises(shared_data, tmp_path):
    data = bytearray((shared_data / "real/nanoaod" / FILES[1]).read_bytes())
    data[2000] ^= 1
    path = tmp_path / "damaged.root"
    path.write_bytes(data)
    with open_source(path) as source, pytest.raises(SourceError, match="checksum") as caught:
        source.trees["Events"].read(0, 1000)
    assert caught.value.branch == "Muon_pt"


@given(st.sampled_from(_TYPES), st.binary(min_size=1, max_size=200))
def test_encodings_are_one_to_one(code, raw):
    widths = {1: 1, 2: 1, 3: 1, 4: 1, 5: 2, 6: 2, 7: 4, 8: 4, 9: 8, 10: 8, 11: 2, 12: 4, 13: 8}
    widths |= {14: 4, 15: 8, 17: 2, 18: 2, 19: 4, 20: 4, 21: 8, 22: 8, 23: 2, 24: 4, 25: 8}
    widths |= {26: 4, 27: 8, 0: 1}
    raw = raw * widths[code]
    codec = PageCodec(code, _BITS.get(code, 8 * widths[code]))
    count = len(raw) * 8 // codec.nbits
    assert codec.size(count) == len(raw)
    items = codec.decode(raw, count)
    assert len(items) == count
    assert codec.encode(items) == raw


@pytest.mark.parametrize(
    ("code", "nbits"), [(0x1C, 10), (0x1C, 17), (0x1C, 31), (0x1D, 1), (0x1D, 11)]
)
def test_packed_reals(code, nbits):
    codec = PageCodec(code, nbits)
    raw = np.random.default_rng(1).integers(0, 256, nbits * 4, np.uint8).tobytes()
    assert codec.encode(codec.decode(raw, 32)) == raw
    if code == 0x1C:
        kept = codec.decode(raw, 32).view(np.uint32)
        assert not (kept << np.uint32(nbits)).any()


def _page(values, dtype):
    return len(values), np.array(values, dtype).tobytes()


def _split(values):
    """A page of SplitInt32: zigzag, then byte by byte."""
    items = np.array(values, "<i4")
    zigzag = ((items << 1) ^ (items >> 31)).view("<u4")
    return len(values), zigzag.view(np.uint8).reshape(-1, 4).T.tobytes()


@pytest.fixture
def grown(tmp_path):
    """An RNTuple that got fields, and another representation, while it was written."""
    path = tmp_path / "grown.root"
    fields = (
        [ntuple_files.a_field(0, 0, "x", "std::int32_t")],
        [
            ntuple_files.a_field(1, 0, "late", "float"),
            ntuple_files.a_field(2, 1, "v", "std::vector<std::int32_t>"),
            ntuple_files.a_field(2, 0, "_0", "std::int32_t"),
            ntuple_files.a_field(4, 0, "text", "std::string"),
        ],
    )
    columns = (
        [ntuple_files.a_column(0x07, 32, 0)],
        [
            ntuple_files.a_column(0x13, 32, 0, first=ntuple_files.LOWEST, representation=1),
            ntuple_files.a_column(0x0C, 32, 1, first=6),
            ntuple_files.a_column(0x0E, 32, 2, first=7),
            ntuple_files.a_column(0x07, 32, 3),
            ntuple_files.a_column(0x0F, 64, 4, first=5),
            ntuple_files.a_column(0x02, 8, 4),
        ],
    )
    clusters = [
        ntuple_files.Cluster(4, [_page([1, 2, 3, 4], "<i4")]),
        ntuple_files.Cluster(
            3,
            ["suppressed", _split([-5, 6, -7]), _page([0.5], "<f4"), None, None,
             _page([2, 2], "<u8"), _page(list(b"ab"), "u1")],
        ),
        ntuple_files.Cluster(
            5,
            [_page([8, 9, 10, 11, 12], "<i4"), "suppressed", _page([1, 2, 3, 4, 5], "<f4"),
             _page([2, 2, 3, 3, 5], "<u4"), _page([1, 2, 3, 4, 5], "<i4"),
             _page([0, 1, 1, 3, 4], "<u8"), _page(list(b"wxyz"), "u1")],
        ),
    ]  # fmt: skip
    ntuple_files.write(path, fields, columns, clusters)
    return path


def test_fields_that_came_late(grown, tmp_path, round_trip):
    out = tmp_path / "out.root"
    for compression in ("none", "zstd:5"):
        blobs = round_trip(grown, out, compression=compression, target=1)
        out_tree = {"x": [*range(1, 5), -5, 6, -7, *range(8, 13)], "late": [0.0] * 6 + [0.5]}
        out_tree["late"] += [1.0, 2.0, 3.0, 4.0, 5.0]
        out_tree["v"] = [[]] * 7 + [[1, 2], [], [3], [], [4, 5]]
        with open_source(grown) as a, open_source(out) as b:
            assert compare_sources(a, b) == []
            whole: Any = a.trees["N"].read(0, 12)
            text = whole[""].columns["text"]
            assert np.diff(text.offsets).tolist() == [0] * 5 + [2, 0, 0, 1, 0, 2, 1]
            assert bytes(text.content) == b"abwxyz"
            for name in ("x", "late"):
                assert whole[""].columns[name].tolist() == out_tree[name]
            assert whole["v"].columns["v"].tolist() == [1, 2, 3, 4, 5]
            for low in range(12):
                for high in range(low, 13):
                    part: Any = a.trees["N"].read(low, high, ["x", "late", "text"])
                    assert part[""].columns["late"].tolist() == out_tree["late"][low:high]
        for path in (grown, out):
            with uproot.open(path) as file:
                for name, values in out_tree.items():
                    assert file["N"][name].array().tolist() == values
        out.unlink()
    assert b'"version":2' in blobs["root/skeleton"]


def test_fields_that_came_late_byte_for_byte(grown, tmp_path):
    archive, out = tmp_path / "a.vxc", tmp_path / "out.root"
    vortex_hep.compress_file(grown, archive, model=vortex_hep.Model({}), exact=True)
    vortex_hep.restore(archive, out)
    assert out.read_bytes() == grown.read_bytes()


def test_attribute_sets_stay_where_they_are(tmp_path, round_trip):
    """The footer names them by offset: what nothing else names is kept in place."""
    path, out = tmp_path / "with.root", tmp_path / "out.root"
    fields = [ntuple_files.a_field(0, 0, "x", "std::int32_t")]
    columns = [ntuple_files.a_column(0x07, 32, 0)]
    clusters = [ntuple_files.Cluster(2, [_page([1, 2], "<i4")])]
    item = struct.pack("<HHI", 1, 0, 4) + struct.pack("<iQ", 4, 1000)
    item += struct.pack("<I", 5) + b"attrs"
    item = struct.pack("<q", 8 + len(item)) + item
    more = struct.pack("<qI", -(12 + len(item)), 1) + item
    ntuple_files.write(path, (fields, []), (columns, []), clusters, more)
    round_trip(path, out)
    with open_source(path) as a, open_source(out) as b:
        opened: Any = a
        assert opened.fixed()
        assert compare_sources(a, b) == []
        for offset, size in opened.fixed():
            assert path.read_bytes()[offset:][:size] == out.read_bytes()[offset:][:size]
