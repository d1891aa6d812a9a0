"""Values of ROOT files through archives: strings, counters, cycles, records."""

from __future__ import annotations

import awkward as ak
import numpy as np
import pytest
import uproot

import vortex_hep
from vortex_hep.errors import NotFoundError


def _archive(path):
    out = path.with_suffix(".vxc")
    vortex_hep.compress_file(path, out, effort="fast")
    return vortex_hep.open(out)


def test_rntuple(tmp_path):
    path = tmp_path / "n.root"
    right = {
        "s": ak.Array(["alpha", "", "\xe9" * 300]),
        "lists": ak.Array([[1.0], [], [2.0, 3.0]]),
        "texts": ak.Array([["a", ""], [], ["ccc"]]),
    }
    with uproot.recreate(path) as file:
        file.mkrntuple("t", right)
    with _archive(path) as archive, uproot.open(path) as file:
        tree, theirs = archive["t"], file["t"]
        for name, values in right.items():
            assert tree[name].array().tolist() == values.tolist()
            assert tree[name].typename == theirs[name].typename
        with pytest.raises(NotFoundError):
            archive["t;7"]


def test_records(tmp_path):
    path = tmp_path / "r.root"
    rows = ak.Array([[{"a": 1, "b": 2.5}, {"a": 3, "b": 4.5}], []])
    with uproot.recreate(path) as file:
        file.mkrntuple("t", {"r": rows})
    with _archive(path) as archive:
        tree = archive["t"]
        assert list(tree) == ["r"]
        assert tree["r"].array().tolist() == rows.tolist()
        assert tree["r.b"].array().tolist() == rows["b"].tolist()
        assert tree.arrays(library="np")["r"][0]["a"].tolist() == [1, 3]


def test_cycles(tmp_path):
    path = tmp_path / "c.root"
    with uproot.recreate(path) as file:
        for size in (3, 5):
            file.mktree("t", {"x": "i4"}).extend({"x": np.arange(size, dtype="i4") * size})
    with _archive(path) as archive, uproot.open(path) as file:
        for key in file.keys():  # noqa: SIM118 - a folder of uproot iterates without cycles
            assert archive[key]["x"].array().tolist() == file[key]["x"].array().tolist()
        assert archive["t"].num_entries == 5
        with pytest.raises(NotFoundError, match="cycle"):
            archive["t;9"]
