"""Tests of invalid remainders, and of columns of another file: refused."""

import json

import numpy as np
import pytest

from vortex_hep.core.schema import TableData
from vortex_hep.errors import CorruptionError, UnsupportedFeatureError
from vortex_hep.readers import holes as holes_module
from vortex_hep.readers.hdf5 import describe, open_file, restore_file, skeleton_file
from vortex_hep.readers.hdf5 import restore as restore_module
from vortex_hep.readers.hdf5.chunks import library
from vortex_hep.readers.hdf5.image import (
    HOLE_DTYPE,
    pack_holes,
    read_plan,
    unpack_holes,
)
from vortex_hep.readers.holes import kept_ranges, pieces
from vortex_hep.readers.kinds import RestoreOptions

TRACK = np.dtype([("a", "<f4"), ("v", "?")])


def _fill(file):
    data = np.arange(60, dtype=">i4")
    file.create_dataset("a", data=data, chunks=(16,), compression="gzip")
    file.create_dataset("c", data=data[:50], chunks=(16,), compression="lzf")
    tracks = np.zeros((20, 4), TRACK)
    tracks["a"][:, 0] = np.arange(20)
    file["b"] = tracks


@pytest.fixture
def taken(make, read):
    """Blobs, ranges and clusters of a file."""
    with open_file(make(_fill), trees=None) as source:
        return read(source)


def _refuse(blobs, ranges, clusters, tmp_path, error=CorruptionError):
    out = tmp_path / "out.h5"
    with pytest.raises(error) as caught:
        restore_file(blobs, ranges, lambda *key: clusters[key], out, RestoreOptions())
    assert str(out) in str(caught.value)
    assert not out.exists()
    assert not list(tmp_path.glob(".vortex-*"))


def _changes():
    """Changes of the plan, by name."""

    def first(key, value):
        return lambda plan: plan["datasets"][0].__setitem__(key, value)

    def column(place, value):
        return lambda plan: plan["datasets"][0]["columns"][0].__setitem__(place, value)

    return {
        "size": lambda plan: plan.__setitem__("size", 100),
        "end": lambda plan: plan.__setitem__("end", 1 << 40),
        "no datasets": lambda plan: plan.pop("datasets"),
        "fewer datasets": lambda plan: plan["datasets"].pop(),
        "tree": first("tree", "nowhere"), "table": first("table", "nowhere"),
        "shape": first("shape", [4]), "more axes": first("shape", [16, 4]),
        "negative": first("shape", [-60]), "zero": first("chunk", [0]),
        "huge": first("chunk", [1 << 40]), "element": first("size", 3), "lead": first("lead", 2),
        "how": first("how", ["magic", 1]), "level": first("how", ["zlib", 10]),
        "fill": first("fill", "00"), "pad": first("pad", "00000000"), "hex": first("fill", "x"),
        "filters": first("filters", [[99]]), "no filter": first("filters", [[]]),
        "path": first("path", 5),
        "columns": first("columns", None), "dtype": column(1, "<f4"), "no dtype": column(1, "<x9"),
        "offset": column(2, 1), "before": column(2, -1), "items": column(3, [9]),
        "strides": column(4, [1]), "name": column(0, "nothing"), "short": column(0, []),
        "rows": lambda plan: plan["datasets"][1].__setitem__("shape", [19, 4]),
        "list": lambda plan: plan["datasets"][1].__setitem__("shape", [20, 1]),
    }  # fmt: skip


@pytest.mark.parametrize("name", _changes())
def test_changed_plans(taken, tmp_path, name):
    blobs, ranges, clusters = taken
    plan = json.loads(blobs["hdf5/plan"])
    assert [d["path"] for d in plan["datasets"]] == ["a", "b", "c"]
    _changes()[name](plan)
    blobs["hdf5/plan"] = json.dumps(plan).encode()
    _refuse(blobs, ranges, clusters, tmp_path)


@pytest.mark.parametrize("blob", [b"", b"{}", b"[]", b"\xff", b'{"version":1}', b"null"])
def test_plans_that_are_none(taken, tmp_path, blob):
    blobs, ranges, clusters = taken
    blobs["hdf5/plan"] = blob
    _refuse(blobs, ranges, clusters, tmp_path)


def test_newer_plan(taken, tmp_path):
    blobs, ranges, clusters = taken
    blobs["hdf5/plan"] = blobs["hdf5/plan"].replace(b'"version":1', b'"version":2')
    _refuse(blobs, ranges, clusters, tmp_path, UnsupportedFeatureError)


def _hole_changes():
    def change(field, value, row=1):
        return lambda holes: holes[field].__setitem__(row, value)

    return {
        "overlap": change("offset", 1), "outside": change("offset", 1 << 40, -1),
        "negative": change("size", -1), "dataset": change("dataset", 3),
        "no dataset": change("dataset", -1), "chunk": change("chunk", 99),
        "no chunk": change("chunk", -1), "twice": change("chunk", 0), "size": change("size", 3),
    }  # fmt: skip


@pytest.mark.parametrize("name", _hole_changes())
def test_changed_holes(taken, tmp_path, name):
    blobs, ranges, clusters = taken
    holes = unpack_holes(blobs["hdf5/holes"])
    _hole_changes()[name](holes)
    blobs["hdf5/holes"] = pack_holes(holes)
    _refuse(blobs, ranges, clusters, tmp_path)


@pytest.mark.parametrize("name", ["hdf5/plan", "hdf5/holes", "hdf5/skeleton/0"])
def test_blobs_that_are_missing_or_cut(taken, tmp_path, name):
    blobs, ranges, clusters = taken
    whole = blobs.pop(name)
    _refuse(blobs, ranges, clusters, tmp_path)
    with pytest.raises(CorruptionError):
        describe(blobs)
    blobs[name] = whole[:-1]
    _refuse(blobs, ranges, clusters, tmp_path)
    with pytest.raises(CorruptionError):
        skeleton_file(blobs)


def test_columns_of_another_file(taken, tmp_path):
    blobs, ranges, clusters = taken
    for key, cluster in clusters.items():
        table = next(iter(cluster))
        data = cluster[table]
        name, column = next(iter(data.columns.items()))
        wrong: tuple[dict[str, TableData], ...] = (
            {}, {table: TableData(data.offsets, {})},
            {table: TableData(data.offsets, {**data.columns, name: column.astype("<f8")})},
            {table: TableData(data.offsets, {**data.columns, name: column[1:]})},
            {table: TableData(data.offsets, {**data.columns, name: column[:, None]})},
            {table: TableData(data.offsets * 2, data.columns)},
        )  # fmt: skip
        for other in wrong:
            _refuse(blobs, ranges, {**clusters, key: other}, tmp_path)
    for name in ranges:
        for bounds in ([], [(0, 5)], [(0, 5), (6, 60)], [(5, 60)], ranges[name] + [(60, 70)]):
            _refuse(blobs, {**ranges, name: bounds}, clusters, tmp_path)
        _refuse(blobs, {n: r for n, r in ranges.items() if n != name}, clusters, tmp_path)


def test_filter_that_is_not_here(taken, tmp_path, monkeypatch):
    blobs, ranges, clusters = taken
    monkeypatch.setattr(restore_module, "filter_works", lambda number: False)
    _refuse(blobs, ranges, clusters, tmp_path, UnsupportedFeatureError)


def test_holes_there_and_back():
    holes = np.zeros(5, HOLE_DTYPE)
    holes["offset"], holes["size"] = [100, 200, 201, 400, 500], [50, 1, 99, 0, 7]
    holes["dataset"], holes["chunk"] = [0, 2, 0, 1, 2], [3, 0, 1, 9, 2]
    holes["mask"] = [0, 1, 0, 7, 0]
    assert np.array_equal(unpack_holes(pack_holes(holes)), holes)
    assert kept_ranges(holes, 600) == [(0, 100), (150, 200), (300, 400), (400, 500), (507, 600)]
    assert len(unpack_holes(b"")) == 0
    assert kept_ranges(holes[:0], 10) == [(0, 10)]


def test_pieces(monkeypatch):

    monkeypatch.setattr(holes_module, "PIECE", 10)
    found = list(pieces([(0, 3), (5, 25), (30, 31)]))
    assert found == [[(0, 3), (5, 7)], [(12, 10)], [(22, 3), (30, 1)]]
    assert list(pieces([])) == []


def test_plan_of_a_file(taken):
    plan = read_plan(taken[0])
    assert [d.layout.path for d in plan.datasets] == [b"a", b"b", b"c"]
    assert len(plan.holes) == 9
    assert library.filter_works(1)
    assert not library.filter_works(32099)
