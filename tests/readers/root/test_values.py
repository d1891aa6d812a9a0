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
    rows = np.array([(1, 2.5), (3, 4.5)], [("a", ">i4"), ("b", ">f8")])
    with uproot.recreate(path) as file:
        file.mktree("t", {"r": rows.dtype}).extend({"r": rows})
    with _archive(path) as archive, uproot.open(path) as file:
        assert list(archive["t"]) == ["r"]
        for library in ("ak", "np"):
            ours = archive["t"]["r"].array(library=library)
            assert ours.tolist() == file["t"]["r"].array(library=library).tolist()
        assert archive["t"]["r.b"].array().tolist() == [2.5, 4.5]


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
