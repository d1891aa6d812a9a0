"""Tests of the benchmark of jobs."""

import shutil
import sys

import pytest

from benchmarks import batch


def test_the_loop_makes_what_the_pipeline_makes(tmp_path):
    size = batch.make_files(tmp_path / "sources", files=2, events=20)
    files = sorted((tmp_path / "sources").iterdir())
    assert [path.name for path in files] == ["file-000.root", "file-001.root"]
    assert {path.stat().st_size for path in files} == {size}
    assert batch.loop(tmp_path) > 0
    first, second = sorted((tmp_path / "archives").iterdir())
    assert first.name == "file-000.vxc"
    assert second.stat().st_size == pytest.approx(first.stat().st_size, abs=64)


def test_model_of_these_runs():
    predicted = batch.predicted(files=40, size=500_000, loop=40.0)
    assert predicted[0] == 40
    assert 40 < predicted[1] < 42
    assert 20 < predicted[2] < 21


@pytest.mark.parametrize(("one", "two", "met"), [(41.0, 21.0, True), (43.0, 21.0, False),
                                                 (41.0, 26.0, False)])  # fmt: skip
def test_demands(one, two, met, monkeypatch, tmp_path):
    seconds = {0: 40.0, 1: one, 2: two}
    monkeypatch.setattr(batch, "run_once", lambda workers, folder: seconds[workers])
    plain = batch.measure(files=2, events=20, repeat=2)
    assert plain["demands_met"] is met
    assert [run["seconds"] for run in plain["runs"]] == [40.0, one, two]
    assert plain["runs"][1]["against_loop"] == one / 40
    assert plain["runs"][2]["against_one"] == two / one
    overhead, share = batch.verdicts(plain)
    assert f"{one / 40 - 1:+.1%}" in overhead
    assert f"{two / one:.3f}" in share


def test_a_run_without_archives_is_an_error(tmp_path, monkeypatch):
    batch.make_files(tmp_path / "sources", files=1, events=20)
    monkeypatch.setattr(sys, "executable", shutil.which("false"))
    with pytest.raises(RuntimeError, match="the run failed"):
        batch.run_once(0, tmp_path)
