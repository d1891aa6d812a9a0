"""Clusters have not too many rows, however few bytes these take."""

from __future__ import annotations

import awkward as ak
import h5py
import numpy as np
import pytest
import uproot

from vortex_hep.core.schema import MOST_ROWS
from vortex_hep.models.sample import gather
from vortex_hep.readers import open_source

ENTRIES = 3 * MOST_ROWS + 5


def _ttree(path):
    with uproot.recreate(path) as file:
        file.mktree("t", {"x": np.int8, "y": "var * int8"})
        counts = np.diff(np.linspace(0, ENTRIES, 1001).astype(int))
        few = ak.unflatten(np.zeros(ENTRIES, np.int8), counts)
        file["t"].extend({"x": np.zeros(1000, np.int8), "y": few})
        file["flat"] = {"x": np.zeros(ENTRIES, np.int8)}
    return "t", "flat"


def _rntuple(path):
    with uproot.recreate(path) as file:
        file.mkrntuple("flat", {"x": np.zeros(ENTRIES, np.int8)})
    return ("flat",)


def _hdf5(path):
    with h5py.File(path, "w") as file:
        file.create_dataset("x", data=np.zeros(ENTRIES, np.int8), chunks=(100_000,), compression=1)
    return ("x",)


@pytest.mark.parametrize("write", [_ttree, _rntuple, _hdf5])
def test_rows_of_a_cluster(tmp_path, write):
    path = tmp_path / "many"
    names = write(path)
    with open_source(path) as source:
        assert len(source.trees) == len(names)
        for tree in source.trees.values():
            ranges = tree.cluster_ranges(1 << 30)
            assert [start for start, _ in ranges] == [0, *(stop for _, stop in ranges[:-1])]
            assert ranges[-1][1] == tree.num_entries
            for start, stop in ranges[:2]:
                for table in tree.read(start, stop).values():
                    assert table.num_rows <= 1.5 * MOST_ROWS
            samples = gather([tree], 1 << 30)
            assert sum(sample.data.num_rows for sample in samples) <= 3 * MOST_ROWS
