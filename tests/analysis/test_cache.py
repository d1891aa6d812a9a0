"""Tests of the caches of decoded chunks."""

import gc
import os
import pickle
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import awkward as ak
import numpy as np
import pytest

import vortex_hep
from vortex_hep.archive.cache import FolderCache, MemoryCache, open_cache
from vortex_hep.codec.tokens.rows import Source
from vortex_hep.core.schema import VarBytes
from vortex_hep.errors import OutputError, UnsupportedTypeError
from vortex_hep.nn.coding.treecoder import DecodedTable

NAMES = ["Jet_pt", "Muon_eta", "event"]


def table(seed=0, rows=100, source=True):
    rng = np.random.default_rng(seed)
    text = VarBytes(np.array([0, 2, 5]), rng.integers(0, 256, 5, np.uint8))
    columns = {
        "f": rng.standard_normal((rows, 3)).astype("<f4"), "b": rng.random(rows) > 0.5, "s": text
    }  # fmt: skip
    offsets = np.array([0, rows], np.int64)
    buckets = rng.integers(0, 9, (rows, 2), np.uint8)
    return DecodedTable(offsets, columns, Source(offsets, columns, buckets) if source else None)


def same(a, b):
    def flat(t):
        out = [t.offsets]
        for c in t.columns.values():
            out += [c.offsets, c.content] if isinstance(c, VarBytes) else [c]
        return out if t.source is None else [*out, t.source.buckets]

    x, y = flat(a), flat(b)
    return list(a.columns) == list(b.columns) and [(i.dtype, i.shape, i.tobytes()) for i in x] == [
        (i.dtype, i.shape, i.tobytes()) for i in y
    ]


@pytest.fixture(params=["memory", "folder"])
def cache(request, tmp_path):
    return MemoryCache("1 MB") if request.param == "memory" else FolderCache(tmp_path, "1 MB")


def test_a_second_reading_decodes_nothing(dataset, cache, decoded):
    def read():
        with vortex_hep.open(dataset / "a.vxc", cache=cache) as archive:
            return archive["Events"].arrays(NAMES, entry_start=5)

    first = read()
    assert decoded
    decoded.clear()
    assert ak.array_equal(read(), first, dtype_exact=True)
    assert decoded == []
    with vortex_hep.open(dataset / "b.vxc", cache=cache) as other:
        assert not ak.array_equal(other["Events"].arrays(NAMES), first)


def test_what_others_lean_on_is_taken_from_the_cache(dataset, cache, decoded):
    with vortex_hep.open(dataset / "a.vxc", cache=cache) as archive:
        for name in ("nJet", "Jet_pt", "Muon_pt", "Jet_eta"):
            archive["Events"].arrays([name])
    assert len(decoded) == len(set(decoded))


def test_tables_come_back_as_they_were(cache):
    for source in (True, False):
        cache.put("key", table(source=source))
        assert same(cache.get("key"), table(source=source))
    assert cache.get("other") is None
    assert not cache.get("key").columns["f"].flags.writeable


def test_the_least_used_goes_first(tmp_path):
    size = 100 * 13 + 16 + 29 + 200
    memory = MemoryCache(3 * size + 100)
    folder = FolderCache(tmp_path, 3 * (size + 700))
    for cache in (memory, folder):
        for k in range(3):
            cache.put(str(k), table(k))
            if cache is folder:
                os.utime(tmp_path / f"{k}.chunk", (k, k))
        cache.get("0")
        cache.put("3", table(3))
        assert [cache.get(str(k)) is not None for k in range(4)] == [True, False, True, True]
        cache.put("large", table(rows=10**5))
        assert cache.get("large") is None
        assert cache.get("3") is not None
    assert memory.nbytes <= memory.limit
    assert sum(p.stat().st_size for p in tmp_path.iterdir()) <= folder.limit


def test_a_damaged_entry_counts_as_missing(dataset, tmp_path, decoded):
    def read():
        with vortex_hep.open(dataset / "a.vxc", cache=tmp_path) as archive:
            return archive["Events"].arrays(NAMES)

    first = read()
    entries = sorted(tmp_path.iterdir())
    assert entries
    for k, path in enumerate(entries):
        data = bytearray(path.read_bytes())
        if k % 3 == 0:
            data[(k * 997) % len(data)] ^= 1 << (k % 8)
        elif k % 3 == 1:
            data = data[: len(data) // 2]
        else:  # a whole entry under another's name
            data = bytearray(entries[k - 1].read_bytes())
        path.write_bytes(data)
    decoded.clear()
    assert ak.array_equal(read(), first, dtype_exact=True)
    assert len(decoded) == len(entries)
    decoded.clear()
    read()
    assert decoded == []  # they were written anew


def fill(arguments):
    folder, seed = arguments
    cache = FolderCache(folder, "40 kB")
    bad = 0
    for k in range(60):
        key = str((k * 7 + seed) % 20)
        found = cache.get(key)
        if found is None:
            cache.put(key, table(int(key)))
        elif not same(found, table(int(key))):
            bad += 1
    return bad


def test_processes_share_a_folder(tmp_path):
    with ProcessPoolExecutor(2, mp_context=get_context("forkserver")) as pool:
        assert list(pool.map(fill, [(tmp_path, seed) for seed in range(4)])) == [0] * 4
    assert not list(tmp_path.glob(".*"))
    assert sum(p.stat().st_size for p in tmp_path.iterdir()) <= 40_000


def test_what_a_killed_process_left_is_removed(tmp_path):
    old, new = tmp_path / ".x-1234.part", tmp_path / ".y-1234.part"
    for path in (old, new):
        path.write_bytes(b"half")
    os.utime(old, (0, 0))
    FolderCache(tmp_path).put("key", table())
    assert not old.exists()
    assert new.exists()


def test_a_full_disk_is_a_warning(tmp_path, monkeypatch):
    cache = FolderCache(tmp_path)

    def full(*_args, **_options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.replace", full)
    with pytest.warns(UserWarning, match="decoded data are not kept: No space left"):
        cache.put("a", table())
    cache.put("b", table())  # told once
    assert list(tmp_path.iterdir()) == []
    assert cache.get("a") is None


def test_ways_to_name_a_cache(tmp_path):
    assert open_cache(None) is None
    in_memory, on_disk = open_cache("2 MB"), open_cache(tmp_path / "new")
    assert isinstance(in_memory, MemoryCache)
    assert in_memory.limit == 2_000_000
    assert isinstance(on_disk, FolderCache)
    assert on_disk.folder.is_dir()
    memory = MemoryCache(10)
    assert open_cache(memory) is memory
    with pytest.raises(UnsupportedTypeError, match="expected a cache, got int"):
        open_cache(3)  # type: ignore[arg-type]
    with pytest.raises(UnsupportedTypeError, match="not a size in bytes"):
        MemoryCache("-1 MB")
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="cannot be written"):
        open_cache(tmp_path / "file" / "folder")


def test_pickled_caches(tmp_path):
    cache = FolderCache(tmp_path, 12345)
    cache.put("a", table())
    again = pickle.loads(pickle.dumps(cache))
    assert (again.folder, again.limit) == (tmp_path, 12345)
    assert same(again.get("a"), table())
    memory = MemoryCache("1 MB")
    memory.put("a", table())
    assert len(pickle.loads(pickle.dumps(memory))) == 0


@pytest.mark.parametrize("kind", ["none", "memory", "folder"])
def test_what_users_do_to_arrays_is_of_no_effect(dataset, tmp_path, kind):
    cache = {"none": None, "memory": "1 MB", "folder": tmp_path}[kind]
    with vortex_hep.open(dataset / "a.vxc", cache=cache) as archive:
        tree = archive["Events"]
        stop = tree.cluster_ranges(0)[0][1]
        names = ["event", "nJet", "Jet_pt", "Muon_eta"]
        expected = tree.arrays(names, entry_stop=stop).to_list()
        for library in ("np", "ak"):
            found = tree.arrays(names, entry_stop=stop, library=library)
            arrays = [found["event"], found["nJet"], *found["Jet_pt"]]
            for array in map(np.asarray, arrays):
                if array.flags.writeable:
                    array[...] = 0
            assert tree.arrays(names, entry_stop=stop).to_list() == expected


def test_cached_arrays_are_read_only(dataset):
    with vortex_hep.open(dataset / "a.vxc", cache="1 MB") as archive:
        event = archive["Events"].arrays(["event"], entry_stop=2, library="np")["event"]
        with pytest.raises(ValueError, match="read-only"):
            event[0] = 1
    gc.collect()
