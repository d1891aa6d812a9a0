"""Fixtures of the ROOT tests: files written by uproot."""

from __future__ import annotations

import re

import awkward as ak
import numpy as np
import pytest
import uproot

from vortex_hep.readers import open_source
from vortex_hep.readers.kinds import RestoreOptions
from vortex_hep.testing.conformance.readers import read_contents, restore_contents

NAN_PAYLOADS = np.array(
    [0x7FC00001, 0xFFC12345, 0x80000000, 0x00000001, 0x7F800000, 0x7FA00001], np.uint32
).view(np.float32)


def _event_arrays(entries, seed):
    """One chunk of a tree with every kind of leaf that uproot writes."""
    rng = np.random.default_rng(seed)
    out = {"flag": rng.random(entries) < 0.5}
    for width in (8, 16, 32, 64):
        top = 1 << width
        bits = rng.integers(0, min(top, 1 << 63), entries, dtype=np.uint64)
        out[f"u{width}"] = bits.astype(f"u{width // 8}")
        out[f"i{width}"] = bits.astype(f"u{width // 8}").view(f"i{width // 8}")
    out["f32"] = np.resize(NAN_PAYLOADS, entries)
    out["f64"] = np.where(np.arange(entries) % 3 == 0, -0.0, rng.normal(size=entries))
    out["matrix"] = rng.normal(size=(entries, 3, 2)).astype(np.float32)
    counts = rng.integers(0, 4, entries)
    flat = np.resize(NAN_PAYLOADS, counts.sum())
    out["Jet"] = ak.zip(
        {
            "pt": ak.unflatten(flat, counts),
            "muonIdx": ak.unflatten(np.arange(counts.sum(), dtype=np.int32), counts),
        }
    )
    others = rng.integers(0, 3, entries)
    out["Muon"] = ak.zip({"charge": ak.unflatten(np.ones(others.sum(), np.int8), others)})
    return out


@pytest.fixture
def written(tmp_path):
    """A file with several extends, a folder, a histogram, strings and an empty tree."""
    path = tmp_path / "written.root"
    with uproot.recreate(path, compression=uproot.ZLIB(1)) as file:
        first = _event_arrays(500, 1)
        file.mktree("Events", _types(first))
        for seed, entries in ((1, 500), (2, 37), (3, 1)):
            file["Events"].extend(_event_arrays(entries, seed))
        _write_tree(file, "folder/deep/Runs", {"run": np.arange(5, dtype=np.int64)})
        file["folder/hist"] = np.histogram(np.arange(10.0), bins=4)
        file["note"] = "some text"
        file.mktree("Empty", {"x": np.float32, "y": np.int16})
    return path


def _types(arrays):
    """What ``mktree`` needs to know of each array."""
    return {
        name: array.type
        if isinstance(array, ak.Array)
        else np.dtype((array.dtype, array.shape[1:]))
        for name, array in arrays.items()
    }


def _write_tree(file, name, arrays):
    file.mktree(name, _types(arrays))
    file[name].extend(arrays)


def _round_trip(path, out, *, compression="zstd:1", target=1 << 22):
    """Read a file whole, then restore it from what was read."""
    with open_source(path) as source:
        assert source.kind == "root"
        contents = read_contents(source, target=target)
    restore_contents(contents, out, RestoreOptions(compression=compression))
    return contents.blobs


def _text(interpretation):
    return re.sub(r" at 0x[0-9a-f]+", "", repr(interpretation))


def _assert_same_for_uproot(first, second):
    """Everything that uproot says of two files' trees is the same."""
    with uproot.open(first) as a, uproot.open(second) as b:
        assert a.classnames(recursive=True) == b.classnames(recursive=True)
        assert a.file.uuid == b.file.uuid
        for name, kind in a.classnames(recursive=True).items():
            if kind != "TTree":
                continue
            assert a[name].title == b[name].title
            for mine, other in zip(
                a[name].itervalues(recursive=True), b[name].itervalues(recursive=True), strict=True
            ):
                assert mine.name == other.name
                assert mine.title == other.title
                assert mine.typename == other.typename
                assert _text(mine.interpretation) == _text(other.interpretation)
                assert mine.entry_offsets == other.entry_offsets
                for i in range(mine.num_baskets):
                    theirs = other.basket(i)
                    assert np.array_equal(mine.basket(i).data, theirs.data)
                    assert np.array_equal(mine.basket(i).byte_offsets, theirs.byte_offsets)


@pytest.fixture
def round_trip():
    """Function that restores a file from what was read of it."""
    return _round_trip


@pytest.fixture
def assert_same_for_uproot():
    """Function that compares two files by what uproot says of them."""
    return _assert_same_for_uproot


@pytest.fixture
def event_arrays():
    """Function that makes the arrays of one chunk of ``written``'s tree."""
    return _event_arrays


@pytest.fixture
def write_tree():
    """Function that writes one TTree of an open uproot file in one chunk."""
    return _write_tree
