"""Tests of the filters of chunks: undone and applied again, or stored as they are."""

import zlib
from typing import Any

import h5py
import numpy as np
import pytest
from h5py import h5d, h5s, h5t, h5z

from vortex_hep.readers.hdf5.chunks.filters import Filter, FilterError, FilterPipeline, fletcher32

FILTERS: dict[str, dict[str, Any]] = {
    "gzip1": {"compression": 1},
    "gzip9": {"compression": 9, "shuffle": True},
    "all": {"compression": 4, "shuffle": True, "fletcher32": True},
    "shuffle": {"shuffle": True},
    "fletcher32": {"fletcher32": True},
    "lzf": {"compression": "lzf", "shuffle": True},
    "scaleoffset": {"scaleoffset": 0},
    "szip": {"compression": "szip", "compression_opts": ("nn", 8)},
}


def _needs(name):
    if name == "szip" and not h5z.get_filter_info(h5z.FILTER_SZIP) & 1:
        pytest.skip("this HDF5 library cannot write szip")


@pytest.mark.parametrize("name", FILTERS)
@pytest.mark.parametrize("shape", [(1000,), (40, 30)])
def test_filters(check, name, shape):
    _needs(name)
    data = np.arange(np.prod(shape), dtype=np.int32).reshape(shape) // 7
    chunks = (96,) if len(shape) == 1 else (16, 16)
    columns, notes = check(
        lambda f: f.create_dataset("x", data=data, chunks=chunks, **FILTERS[name])
    )
    assert notes == []
    assert np.array_equal(columns["x"]["x"], data)


@pytest.mark.parametrize("name", ["lzf", "scaleoffset", "gzip1"])
def test_many_datasets_with_one_filter(check, name):
    def fill(file):
        for k in range(12):
            data = np.arange(2000, dtype=np.int16) // (k + 1)
            file.create_dataset(f"x{k}", data=data, chunks=(50,), **FILTERS[name])

    columns, notes = check(fill)
    assert notes == []
    assert len(columns["/"]) == 13


def test_filters_that_lose_bits(check):
    """Scale-offset of floats rounds when it is applied again; what differs must be kept."""
    rng = np.random.default_rng(3)

    def fill(file):
        data = rng.normal(size=500).astype(np.float32)
        data[7] = np.nan
        file.create_dataset("x", data=data, chunks=(100,), scaleoffset=3)

    check(fill)


def test_nbit(check):
    def fill(file):
        kind = h5t.STD_I32LE.copy()
        kind.set_precision(20)
        made = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        made.set_chunk((10,))
        made.set_filter(h5z.FILTER_NBIT, h5z.FLAG_OPTIONAL, ())
        found = h5d.create(file.id, b"n", kind, h5s.create_simple((25,)), made)
        found.write(h5s.ALL, h5s.ALL, np.arange(25, dtype=np.int32).view(np.uint8), mtype=kind)

    columns, notes = check(fill)
    assert notes == []
    assert columns["n"]["n"].tolist() == list(range(25))


def test_incompressible_chunks_skip_their_filter(check):
    """LZF is left out, by the mask of the chunk, where it does not make it smaller."""
    rng = np.random.default_rng(5)
    data = np.concatenate([np.zeros(512, np.uint8), rng.integers(0, 256, 1024, np.uint8)])
    masks = []

    def fill(file):
        made = file.create_dataset("x", data=data, chunks=(512,), compression="lzf")
        made.id.chunk_iter(lambda info: masks.append(info.filter_mask))

    _, notes = check(fill)
    assert set(masks) == {0, 1}
    assert notes == []


def test_masks_that_the_library_would_not_choose(check):
    data = np.arange(64, dtype=np.int32)

    def fill(file):
        made = file.create_dataset(
            "x", (64,), "<i4", chunks=(16,), shuffle=True, compression="gzip", fletcher32=True
        )
        made.id.write_direct_chunk((0,), data[:16].tobytes(), 0b111)
        made.id.write_direct_chunk((16,), zlib.compress(data[16:32].tobytes(), 9), 0b101)
        shuffled = data[32:48].view(np.uint8).reshape(16, 4).T.tobytes()
        made.id.write_direct_chunk((32,), shuffled, 0b110)
        made[48:] = data[48:]

    columns, notes = check(fill)
    assert notes == []
    assert columns["x"]["x"].tolist() == data.tolist()


@pytest.mark.parametrize("level", [-1, 0, 1, 3, 9])
def test_another_level_than_announced(make, there_and_back, compare_files, tmp_path, level):
    data = (np.arange(4000) % 97).astype(np.int16)

    def fill(file):
        made = file.create_dataset("x", (4000,), "<i2", chunks=(500,), compression=5)
        for k in range(0, 4000, 500):
            made.id.write_direct_chunk((k,), zlib.compress(data[k : k + 500].tobytes(), level), 0)

    path = make(fill)
    there_and_back(path, tmp_path / "out.h5")
    compare_files(path, tmp_path / "out.h5")
    there_and_back(path, tmp_path / "exact.h5", exact=True)
    assert (tmp_path / "exact.h5").read_bytes() == path.read_bytes()


def test_deflate_of_another_library(make, there_and_back, compare_files, tmp_path):
    """Streams that no zlib here makes: other sizes are fitted in, or kept where bytes count."""
    data = (np.arange(4000) % 97).astype(np.int16)

    def fill(file):
        made = file.create_dataset("x", (4000,), "<i2", chunks=(500,), compression=5)
        for k in range(0, 4000, 500):
            packer = zlib.compressobj(9, zlib.DEFLATED, 15, 1, zlib.Z_HUFFMAN_ONLY)
            raw = packer.compress(data[k : k + 500].tobytes()) + packer.flush()
            made.id.write_direct_chunk((k,), raw, 0)
        file["other"] = np.arange(5)

    path = make(fill)
    with path.open("ab") as file:
        file.write(b"bytes behind the end")
    _, _, notes = there_and_back(path, tmp_path / "out.h5")
    assert notes == []
    assert (tmp_path / "out.h5").read_bytes().endswith(b"bytes behind the end")
    compare_files(path, tmp_path / "out.h5")
    _, _, notes = there_and_back(path, tmp_path / "exact.h5", exact=True)
    assert "8 of 8 chunks" in notes[0]
    assert (tmp_path / "exact.h5").read_bytes() == path.read_bytes()


def test_deflate_twice(check):
    def fill(file):
        made = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        made.set_chunk((100,))
        made.set_deflate(1)
        made.set_shuffle()
        made.set_deflate(9)
        space = h5s.create_simple((250,))
        found = h5d.create(file.id, b"x", h5t.STD_I16LE, space, made)
        found.write(h5s.ALL, h5s.ALL, np.arange(250, dtype=np.int16) // 9)

    columns, _ = check(fill)
    assert columns["x"]["x"].tolist() == (np.arange(250) // 9).tolist()


def test_unknown_filter(make, there_and_back, compare_files, tmp_path):
    def fill(file):
        made = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        made.set_chunk((10,))
        made.set_filter(32099, h5z.FLAG_OPTIONAL, (1, 2, 3))
        found = h5d.create(file.id, b"x", h5t.STD_I16LE, h5s.create_simple((20,)), made)
        found.write_direct_chunk((0,), b"packed by nobody knows whom", 0)
        file["y"] = np.arange(20)

    path = make(fill)
    _, clusters, notes = there_and_back(path, tmp_path / "out.h5")
    compare_files(path, tmp_path / "out.h5")
    assert (tmp_path / "out.h5").read_bytes() == path.read_bytes()
    assert {tree for tree, *_ in clusters} == {"y"}
    assert "'x'" in notes[0]
    assert "is not available here (the package hdf5plugin brings most)" in notes[0]


def test_unfiltered_edge_chunks(make, there_and_back, compare_files, tmp_path, unfiltered_edges):
    def fill(file):
        made = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        made.set_chunk((16, 16))
        made.set_shuffle()
        made.set_deflate(4)
        unfiltered_edges(made)
        space = h5s.create_simple((40, 30))
        found = h5d.create(file.id, b"x", h5t.STD_I32LE, space, made)
        found.write(h5s.ALL, h5s.ALL, np.arange(1200, dtype=np.int32).reshape(40, 30))

    path = make(fill, libver="latest")
    there_and_back(path, tmp_path / "out.h5")
    compare_files(path, tmp_path / "out.h5")
    there_and_back(path, tmp_path / "exact.h5", exact=True)
    assert (tmp_path / "exact.h5").read_bytes() == path.read_bytes()


@pytest.mark.parametrize("size", [0, 1, 2, 3, 719, 720, 721, 5001])
def test_fletcher32_is_the_librarys(size, tmp_path):
    data = np.random.default_rng(size).integers(0, 256, max(size, 1), np.uint8)
    with h5py.File(tmp_path / "x.h5", "w") as file:
        made = file.create_dataset("x", data=data, chunks=(len(data),), fletcher32=True)
        _, raw = made.id.read_direct_chunk((0,))
    assert int(fletcher32(data)).to_bytes(4, "little") == raw[-4:]


@pytest.mark.parametrize(
    ("filters", "raw"),
    [
        ((1,), b"no deflate"), ((1,), zlib.compress(bytes(100))[:-3]),
        ((1,), zlib.compress(bytes(101))), ((1,), zlib.compress(bytes(1 << 20))),
        ((1,), zlib.compress(bytes(100)) + b"x"), ((3,), bytes(103) + b"\1"), ((3,), b"abc"),
        ((), bytes(99)), ((2,), bytes(101)), ((1,), b""),
    ],
)  # fmt: skip
def test_damaged_chunks(filters, raw):
    pipeline = FilterPipeline(tuple(Filter(number, 0, (4,)) for number in filters))
    with pytest.raises(FilterError):
        pipeline.decode(raw, 0, 100)
