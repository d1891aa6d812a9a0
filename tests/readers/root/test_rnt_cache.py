"""Tests of the cache of RNTuple columns, over pages and clusters of any size."""

from __future__ import annotations

import awkward as ak
import numpy as np
import pytest
import uproot
import xxhash

from vortex_hep.errors import SourceError
from vortex_hep.readers import open_source
from vortex_hep.readers.root.rntuple import cache as rnt_cache
from vortex_hep.readers.root.rntuple import source as rntuple
from vortex_hep.readers.root.rntuple.cache import PageCache, UsedPages
from vortex_hep.readers.root.rntuple.envelopes import Page
from vortex_hep.readers.root.rntuple.pages import PageCodec
from vortex_hep.readers.root.rntuple.schema import DATA, INDEX, RColumn

VALUES = np.arange(100, dtype="<u4") * 3
#: Elements of the pages of two columns: the offsets of a table and plain values.
SIZES = ([30, 1, 69], [10, 10, 50, 30])


class Memory:
    """A file in memory that counts what is asked of it."""

    path = "memory"

    def __init__(self):
        self.data = bytearray(b"somewhere")
        self.asked: list[list[tuple[int, int]]] = []

    def read_many(self, ranges):
        self.asked.append(list(ranges))
        return [memoryview(bytes(self.data))[at : at + size] for at, size in ranges]


@pytest.fixture
def memory():
    return Memory()


@pytest.fixture
def cache(memory):
    codecs = [PageCodec(0x1A, 32), PageCodec(0x08, 32)]
    columns: list[UsedPages] = []
    for codec, sizes in zip(codecs, SIZES, strict=True):
        pages, at = [], 0
        for size in sizes:
            raw = codec.encode(VALUES[at : at + size])
            pages.append(Page(0, size, True, len(raw), len(memory.data)))
            memory.data += raw + xxhash.xxh3_64_intdigest(raw).to_bytes(8, "little")
            at += size
        columns.append(UsedPages(pages, len(columns), codec))
    described = [
        RColumn(INDEX, 0, "", 1, codecs[0], 1),
        RColumn(DATA, 0, "value", 1, codecs[1]),
    ]
    return PageCache(memory, "N", described, ["list", "value"], [columns])


@pytest.mark.parametrize("column", [0, 1])
@pytest.mark.parametrize(
    "bounds", [(0, 100), (0, 0), (5, 6), (29, 32), (30, 31), (10, 20), (99, 100)]
)
def test_any_elements(cache, column, bounds):
    span = (column, *bounds)
    cache.fetch(0, [span])
    found = cache.elements(0, span)
    assert found.dtype == VALUES.dtype
    assert found.tolist() == VALUES[slice(*bounds)].tolist()


def test_pages_are_fetched_once_and_together(cache, memory):
    cache.fetch(0, [(0, 0, 31), (1, 5, 15)])
    assert [len(ranges) for ranges in memory.asked] == [4]
    cache.fetch(0, [(0, 0, 40), (1, 0, 20)])
    assert [len(ranges) for ranges in memory.asked] == [4, 1]


def test_what_is_behind_is_forgotten(cache, memory):
    cache.fetch(0, [(0, 0, 31), (1, 0, 20)])
    cache.keep(0, [(0, 0, 31), (1, 0, 20)])
    memory.asked.clear()
    # The row that follows begins where the last one ends; values that follow need no others.
    cache.fetch(0, [(0, 30, 31), (1, 20, 30)])
    assert [len(ranges) for ranges in memory.asked] == [1]
    memory.asked.clear()
    cache.fetch(0, [(0, 0, 1), (1, 0, 1)])
    assert [len(ranges) for ranges in memory.asked] == [2]


def test_all_else_is_checked_in_the_end(cache, memory, monkeypatch):
    monkeypatch.setattr(rnt_cache, "_BATCH", 200)
    cache.fetch(0, [(0, 0, 31), (1, 0, 20)])
    memory.asked.clear()
    cache.complete()
    assert sum(len(ranges) for ranges in memory.asked) == 3
    assert all(sum(size for _, size in ranges[:-1]) < 200 for ranges in memory.asked)
    memory.asked.clear()
    cache.complete()
    assert not any(memory.asked)
    memory.data[-1] ^= 1
    with pytest.raises(SourceError, match=r"'value'.*checksum"):
        cache.fetch(0, [(1, 90, 91)])


def test_more_than_there_is(cache):
    with pytest.raises(SourceError, match=r"memory, tree 'N', branch 'value': needs 101"):
        cache.fetch(0, [(1, 0, 101)])


@pytest.fixture(scope="module")
def ntuple(tmp_path_factory):
    """An RNTuple with lists in lists and strings, of two clusters."""
    rng = np.random.default_rng(5)
    counts = rng.integers(0, 4, 60)
    inner = rng.integers(0, 3, counts.sum())
    deep = ak.unflatten(ak.unflatten(np.arange(inner.sum()), inner), counts)
    words = ak.unflatten(ak.Array([str(n) * int(n) for n in inner]), counts)
    arrays = {"n": np.arange(60), "deep": deep, "words": words, "flag": np.arange(60) % 7 == 0}
    path = tmp_path_factory.mktemp("ntuple") / "n.root"
    with uproot.recreate(path) as file:
        file.mkrntuple("N", {k: v[:35] for k, v in arrays.items()}).extend(
            {k: v[35:] for k, v in arrays.items()}
        )
    return path


@pytest.mark.parametrize("columns", [None, ["deep"], ["words", "n"], ["deep.size"]])
@pytest.mark.parametrize("step", [1, 7, 60])
def test_clusters_that_are_not_fetched_whole(ntuple, monkeypatch, columns, step):
    with open_source(ntuple) as source:
        tree = source.trees["N"]
        whole = [tree.read(low, min(60, low + step), columns) for low in range(0, 60, step)]
    monkeypatch.setattr(rntuple, "_WHOLE", -1)
    with open_source(ntuple) as source:
        tree = source.trees["N"]
        for number, expected in enumerate(whole):
            found = tree.read(number * step, min(60, (number + 1) * step), columns)
            assert found.keys() == expected.keys()
            for name, table in found.items():
                assert np.array_equal(table.offsets, expected[name].offsets)
                assert repr(table.columns) == repr(expected[name].columns)
