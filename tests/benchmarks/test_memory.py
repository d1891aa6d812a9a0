"""Tests of the large files that the measurement of memory writes."""

from __future__ import annotations

import json
import sys

import pytest

from benchmarks import largefiles, memory
from vortex_hep.readers import open_source

KIND_OF = {"rntuple": "root", "hepmc-gz": "hepmc"}


@pytest.fixture(autouse=True)
def _small_blocks(monkeypatch):
    for name, value in {"EVENTS": 20, "ROWS": 500, "TEXT_EVENTS": 10, "OPAQUE": 1 << 12}.items():
        monkeypatch.setattr(largefiles, name, value)


@pytest.mark.parametrize("kind", largefiles.KINDS)
def test_files_are_of_their_kind(kind, tmp_path):
    path = tmp_path / "large"
    largefiles.write_large(kind, path, 100_000)
    with open_source(path) as source:
        assert source.kind == KIND_OF.get(kind, kind)
        assert bool(source.trees) == (kind != "opaque")
        assert all(tree.num_entries for tree in source.trees.values())
        assert not source.notes() or kind == "opaque"


@pytest.mark.slow
def test_every_step_is_measured_and_the_last_run_counts(tmp_path, monkeypatch):
    results = tmp_path / "results" / "memory.json"
    arguments = ["--kind", "hdf5", "--gigabytes", "1e-5", "--results", str(results)]
    for more in (["--step", "compress"], []):
        monkeypatch.setattr(sys, "argv", ["memory", *arguments, *more])
        assert memory.main() == 0
    (result,) = json.loads(results.read_text())
    assert result["kind"] == "hdf5"
    assert result["archive_bytes"] > 0
    assert set(result["steps"]) == {"compress", "verify", "restore"}
    for step in result["steps"].values():
        assert 50e6 < step["resident"] < 2e9
        assert step["seconds"] > 0
