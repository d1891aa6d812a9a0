"""Tests of bundles: trees of one folder coded as one."""

from __future__ import annotations

from typing import Any

import awkward as ak
import numpy as np
import pytest
import uproot

import vortex_hep
from vortex_hep.errors import NotFoundError
from vortex_hep.readers import compare_sources, open_source
from vortex_hep.readers.conventions.alice import family_of


def _write(path, folders):
    """Trees of a number of entries for each folder; ``jagged`` has lists."""
    with uproot.recreate(path) as file:
        for folder, trees in folders.items():
            for number, (name, entries) in enumerate(trees.items()):
                rng = np.random.default_rng(number)
                x = rng.normal(size=entries).astype(np.float32)
                arrays: dict[str, Any] = {"fX": x, "fN": np.arange(entries, dtype=np.int16)}
                types: dict[str, Any] = {"fX": np.float32, "fN": np.int16}
                if name == "jagged":
                    arrays["fL"] = ak.unflatten(x, np.ones(entries, np.int64))
                    types["fL"] = "var * float32"
                file.mktree(f"{folder}/{name}", types)
                file[f"{folder}/{name}"].extend(arrays)
    return path


@pytest.fixture
def frames(tmp_path):
    """Two time frames, in one of which trees agree by chance."""
    return _write(
        tmp_path / "frames.root",
        {
            "DF_12": {"O2track": 150, "O2bc": 40, "O2cov": 150, "jagged": 150, "O2coll": 40},
            "DF_345": {"O2track": 99, "O2bc": 40, "O2cov": 99, "jagged": 99, "O2coll": 41},
        },
    )


def test_families():
    assert family_of("DF_2261923158000000/O2track_iu") == "DF_*/O2track_iu"
    assert family_of("DF_12/sub/tree") == "DF_*/sub/tree"
    for name in ("DF_x/O2track", "xDF_1/O2track", "DF_1", "Events", "a/DF_1/b"):
        assert family_of(name) == name


def test_trees_with_as_many_entries_in_every_folder(frames):
    with open_source(frames) as source:
        families = {tree.family for tree in source.trees.values()}
        assert families == {"DF_*/O2track+O2cov", "DF_*/O2bc", "DF_*/O2coll", "DF_*/jagged"}
        first = source.trees["DF_12/O2track+1"]
        assert [m.name for m in first.members] == ["DF_12/O2track", "DF_12/O2cov"]
        assert [m.prefix for m in first.members] == ["O2track/", "O2cov/"]
        assert [table.name for table in first.tables] == ["O2track", "O2cov"]
        assert [c.name for c in first.tables[1].columns] == ["O2cov/fX", "O2cov/fN"]
        assert first.num_entries == 150
        # Few entries, but coded as those of the other folder are.
        assert source.trees["DF_345/O2track+1"].num_entries == 99
    with open_source(frames, trees=["DF_12/O2cov", "DF_12/jagged"]) as source:
        assert set(source.trees) == {"DF_12/O2cov", "DF_12/jagged"}


def test_reading_a_bundle(frames):
    with open_source(frames) as source:
        tree = source.trees["DF_12/O2track+1"]
        ranges = tree.cluster_ranges(600)
        assert len(ranges) == 3
        assert [ranges[0][0], ranges[-1][1]] == [0, 150]
        part: Any = tree.read(10, 20, ["O2cov/fN"])
        assert list(part) == ["O2cov"]
        assert part["O2cov"].columns["O2cov/fN"].tolist() == list(range(10, 20))
        assert set(tree.read(0, 5)) == {"O2track", "O2cov"}
        for name in ("fN", "O2cov/nope", "O2/fN"):
            with pytest.raises(NotFoundError):
                tree.read(0, 1, [name])


def test_archive_shows_the_members(frames, tmp_path):
    archive, out = tmp_path / "frames.vxc", tmp_path / "out.root"
    vortex_hep.compress_file(frames, archive, effort="fast", model=vortex_hep.Model({}))
    with vortex_hep.open(archive) as opened, uproot.open(frames) as file:
        names = {name.split(";")[0] for name in file.keys() if "/" in name}  # noqa: SIM118
        assert set(opened.trees) == names
        for name in names:
            assert opened[name]["fX"].array().tolist() == file[name]["fX"].array().tolist()
    assert vortex_hep.verify(archive, against=frames).ok
    vortex_hep.restore(archive, out)
    with open_source(frames) as a, open_source(out) as b:
        assert compare_sources(a, b) == []


def test_too_few_entries(tmp_path):
    path = _write(tmp_path / "few.root", {"a": {"x": 99, "y": 99}, "b": {"z": 200, "w": 201}})
    with open_source(path) as source:
        assert set(source.trees) == {"a/x", "a/y", "b/z", "b/w"}


def test_generated_file(shared_data):
    with open_source(shared_data / "generated/alice/AO2D_test.root") as source:
        families = {tree.family for tree in source.trees.values()}
    assert "DF_*/O2track_iu+O2trackcov_iu+O2trackextra" in families
    assert all(family.startswith("DF_*/") for family in families)
