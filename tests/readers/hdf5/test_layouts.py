"""Tests of contiguous, chunked, compact, virtual and external datasets."""

import h5py
import numpy as np
import pytest
from h5py import h5d, h5p, h5s, h5t

from vortex_hep.readers.hdf5 import describe, open_file

LIBRARIES = ("earliest", "v108", "v110", "latest")


@pytest.mark.parametrize("libver", LIBRARIES)
@pytest.mark.parametrize("filters", [{}, {"compression": "gzip"}, {"compression": "lzf"}])
def test_chunk_indexes(check, libver, filters):
    """Single chunk, implicit, fixed array, extensible array, B-trees of both versions."""
    data = np.arange(600, dtype=np.int32).reshape(30, 20)

    def fill(file):
        file.create_dataset("single", data=data, chunks=data.shape, **filters)
        file.create_dataset("fixed", data=data, chunks=(7, 6), **filters)
        file.create_dataset("one", data=data, chunks=(7, 6), maxshape=(None, 20), **filters)
        file.create_dataset("two", data=data, chunks=(7, 6), maxshape=(None, None), **filters)
        file.create_dataset("room", data=data, chunks=(7, 6), maxshape=(99, 40), **filters)
        file.create_dataset("large", data=data[:, 0], chunks=(64,), maxshape=(None,), **filters)
        made = h5p.create(h5p.DATASET_CREATE)
        made.set_chunk((7, 6))
        made.set_alloc_time(h5d.ALLOC_TIME_EARLY)
        early = h5d.create(file.id, b"early", h5t.STD_I32LE, h5s.create_simple(data.shape), made)
        early.write(h5s.ALL, h5s.ALL, data)
        file.create_dataset("many", data=np.arange(1200), chunks=(1,), maxshape=(None,), **filters)

    columns, notes = check(fill, libver=libver)
    assert notes == []
    for name in ("single", "fixed", "one", "two", "room", "early"):
        assert np.array_equal(columns["/"][name], data)


@pytest.mark.parametrize("libver", ["earliest", "latest"])
@pytest.mark.parametrize("filters", [{}, {"compression": "gzip"}, {"scaleoffset": 0}])
@pytest.mark.parametrize("maximum", [(40, 30), (None, 30), (None, None)])
def test_missing_chunks(check, libver, filters, maximum):
    def fill(file):
        for name, value in (("zero", None), ("seven", 7)):
            made = file.create_dataset(
                name, (40, 30), "<i4", chunks=(8, 7), maxshape=maximum, fillvalue=value, **filters
            )
            made[9:12, 15:29] = 5
            made[38, 29] = -1
        file.create_dataset("never", (40, 30), "<i4", chunks=(8, 7), maxshape=maximum)

    columns, notes = check(fill, libver=libver)
    assert notes == []
    expected = np.full((40, 30), 7)
    expected[9:12, 15:29] = 5
    expected[38, 29] = -1
    assert np.array_equal(columns["/"]["seven"], expected)
    assert "never" not in columns["/"]


def test_chunks_that_are_no_longer_used(check):
    """A dataset that shrank: old elements beyond its edge are kept, where the library left them."""

    def fill(file):
        made = file.create_dataset(
            "x", data=np.arange(100, dtype=np.int16), chunks=(16,), maxshape=(None,)
        )
        made.resize((37,))
        made = file.create_dataset("y", data=np.ones((9, 9)), chunks=(4, 4), maxshape=(None, None))
        made.resize((5, 3))
        made.resize((7, 6))

    columns, _ = check(fill)
    assert columns["x"]["x"].tolist() == list(range(37))


def test_junk_beyond_the_edge(check):
    data = np.arange(64, dtype=np.int32)

    def fill(file):
        made = file.create_dataset("x", (40,), "<i4", chunks=(16,), compression="gzip")
        made[:] = data[:40]
        made = file.create_dataset("y", (40,), "<i4", chunks=(16,))
        for k in (0, 16, 32):
            made.id.write_direct_chunk((k,), data[k : k + 16].tobytes(), 0)

    columns, notes = check(fill)
    assert columns["/"]["y"].tolist() == list(range(40))
    assert len(notes) == 1
    assert "y: 1 of 3 chunks" in notes[0]


@pytest.mark.parametrize("libver", ["earliest", "latest"])
def test_fill_values(check, libver):
    dtype = np.dtype([("a", "<f4"), ("b", ">i8"), ("s", "S3")])

    def fill(file):
        value = np.array((np.nan, -2, b"xy"), dtype)
        made = file.create_dataset("c", (50,), dtype, chunks=(8,), fillvalue=value)
        made[20:30] = np.zeros(10, dtype)
        made = file.create_dataset("f", (50,), ">f8", chunks=(8,), fillvalue=-0.0)
        made[:3] = 1
        made = file.create_dataset("plain", (50,), "<i2", fillvalue=9)
        made[:3] = 1
        properties = h5p.create(h5p.DATASET_CREATE)
        properties.set_chunk((8,))
        properties.set_fill_time(h5d.FILL_TIME_NEVER)
        space = h5s.create_simple((20,))
        never = h5d.create(file.id, b"n", h5t.STD_I32LE, space, properties)
        never.write(h5s.create_simple((3,)), _first(space, 3), np.arange(3, dtype=np.int32))

    columns, _ = check(fill, libver=libver)
    assert np.array_equal(columns["c"]["s"][0], np.frombuffer(b"xy\0", np.uint8))
    assert columns["c"]["b"].tolist() == [-2] * 20 + [0] * 10 + [-2] * 20
    assert np.signbit(columns["/"]["f"][3:]).all()


def _first(space, count):
    space.select_hyperslab((0,), (count,))
    return space


def test_many_axes(check):
    rng = np.random.default_rng(0)
    data = rng.integers(0, 99, (5, 4, 3, 2, 3)).astype(np.int8)

    def fill(file):
        file.create_dataset("x", data=data, chunks=(2, 3, 2, 2, 2), compression="gzip")
        file["y"] = data
        file["wide"] = np.zeros((2, 300, 300), np.int32)
        file.create_dataset("z", data=np.zeros((3, 70_000), np.int8), chunks=(2, 1000))

    columns, _ = check(fill)
    assert np.array_equal(columns["/"]["x"], data)


def test_small_and_odd_datasets(check):
    def fill(file):
        file["scalar"] = 1.5
        file["null"] = h5py.Empty("f4")
        file["empty"] = np.zeros((0, 3), np.int32)
        file.create_dataset("none", (0,), "i4", maxshape=(None,), chunks=(10,), compression="gzip")
        file.create_dataset("unwritten", (1000,), "f8")
        file["one"] = np.ones(1)
        file["one_by_one"] = np.ones((1, 1, 1), ">i2")
        compact = h5p.create(h5p.DATASET_CREATE)
        compact.set_layout(h5d.COMPACT)
        made = h5d.create(file.id, b"compact", h5t.STD_I8LE, h5s.create_simple((9,)), compact)
        made.write(h5s.ALL, h5s.ALL, np.arange(9, dtype=np.int8))
        scalar = h5p.create(h5p.DATASET_CREATE)
        made = h5d.create(file.id, b"s", h5t.STD_I8LE, h5s.create(h5s.SCALAR), scalar)
        made.write(h5s.ALL, h5s.ALL, np.array(3, np.int8))

    columns, notes = check(fill)
    assert notes == []
    assert set(columns) == {"/"}
    assert set(columns["/"]) == {"@lengths", "one", "one_by_one"}


def test_data_in_other_files(check, tmp_path):
    with h5py.File(tmp_path / "other.h5", "w") as other:
        other["x"] = np.arange(10)
    (tmp_path / "raw").write_bytes(bytes(80))

    def fill(file):
        layout = h5py.VirtualLayout((10,), "i8")
        layout[:] = h5py.VirtualSource("other.h5", "x", (10,))
        file.create_virtual_dataset("virtual", layout)
        file.create_dataset("external", (10,), "f8", external=[("raw", 0, 80)])
        file["y"] = np.arange(4)

    columns, notes = check(fill)
    assert list(columns) == ["y"]
    assert len(notes) == 1
    assert "'external', 'virtual'" in notes[0]
    assert "in other files" in notes[0]


def test_claims_without_data(check, make):
    """A dataset that says it has petabytes and holds a chunk makes no columns of zeros."""

    def fill(file):
        made = file.create_dataset("x", (1 << 50,), "f8", chunks=(100,))
        made[5] = 1
        made = file.create_dataset("y", (1 << 20, 1 << 20), "f8", chunks=(10, 10))
        made[5, 5] = 1
        file["z"] = np.arange(3)

    columns, notes = check(fill)
    assert list(columns) == ["z"]
    with open_file(make(fill), trees=None) as source:
        assert describe(dict(source.remainder()))
    assert any("nearly all of it was never written" in note for note in notes)


@pytest.mark.parametrize("target", [1, 100, 3000, 1 << 20])
def test_clusters_of_any_size(check, target):
    data = np.arange(900, dtype=np.int16).reshape(300, 3)

    def fill(file):
        file.create_dataset("a", data=data, chunks=(13, 2), compression="gzip")
        file.create_dataset("b", data=data[:, 0], chunks=(64,))
        file["c"] = data[:, 1]

    columns, _ = check(fill, target=target)
    assert np.array_equal(columns["/"]["a"], data)
    assert np.array_equal(columns["/"]["c"], data[:, 1])
