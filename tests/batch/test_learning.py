"""Tests of training one model for many files."""

from __future__ import annotations

import pickle
import shutil
from dataclasses import replace

import pytest

import vortex_hep
from tests.xrootd import XrootdServer, xrootd, xrootd_base
from vortex_hep.batch.plan.inputs import InputFile
from vortex_hep.batch.plan.learning import sample, train_on_dataset
from vortex_hep.errors import NetworkError, OutputError, SourceError, UnsupportedTypeError
from vortex_hep.models.options import TrainOptions

__all__ = ["xrootd", "xrootd_base"]

QUICK = TrainOptions(trees="Events", effort="fast", seconds=1, threads=1, device="cpu")


@pytest.fixture
def files(tmp_path, example_file):
    """Six files."""
    folder = tmp_path / "in"
    folder.mkdir()
    for number in range(6):
        shutil.copyfile(example_file, folder / f"{number}.root")
    return folder


@pytest.fixture
def seen(monkeypatch):
    """What is trained on; nothing is, in fact."""
    calls = []

    def train(names, *, options, progress):
        calls.append((list(names), options))
        return vortex_hep.Model({}, {"Events": ["run"]})

    monkeypatch.setattr("vortex_hep.batch.plan.learning.train", train)
    return calls


def cut(path):
    path.write_bytes(path.read_bytes()[:5000])


def test_files_are_chosen_evenly():
    files = [InputFile(str(n), str(n)) for n in range(100)]
    assert [f.source for f in sample(files, 4)] == ["0", "33", "66", "99"]
    assert [f.source for f in sample(files, 1)] == ["50"]
    assert sample(files[:3], 16) == files[:3]


def test_others_take_the_place_of_unreadable_ones(files, seen, tmp_path):
    cut(files / "0.root")
    cut(files / "5.root")
    report = train_on_dataset([files], output=tmp_path / "m.vxm", sample_files=3, options=QUICK)
    ((names, options),) = seen
    assert names == [str(files / f"{n}.root") for n in (1, 2, 3)]
    assert report.files == names
    assert sorted(line[: len(str(files)) + 7] for line in report.skipped) == [
        str(files / "0.root"), str(files / "5.root"),
    ]  # fmt: skip
    assert 1000 < options.expected_rows < 3000
    assert vortex_hep.Model.load(tmp_path / "m.vxm").sha256 == report.sha256


def test_a_file_that_fails_only_when_it_is_read(files, tmp_path, monkeypatch):
    def train(names, **_):
        if str(files / "2.root") in names:
            raise NetworkError("gone", path=str(files / "2.root"))
        return vortex_hep.Model({})

    monkeypatch.setattr("vortex_hep.batch.plan.learning.train", train)
    report = train_on_dataset([files], output=tmp_path / "m.vxm", sample_files=3, options=QUICK)
    assert str(files / "2.root") not in report.files
    assert len(report.files) == 3
    assert report.skipped == [f"{files}/2.root: gone"]


def test_too_many_unreadable_ones(files, seen, tmp_path):
    for path in files.iterdir():
        cut(path)
    with pytest.raises(SourceError, match="4 of the files to learn from cannot be read") as caught:
        train_on_dataset([files], output=tmp_path / "m.vxm", sample_files=3, options=QUICK)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "m.vxm").exists()
    assert not seen


def test_the_output_is_checked_first(files, seen, tmp_path):
    (tmp_path / "m.vxm").write_bytes(b"")
    with pytest.raises(OutputError, match="exists already"):
        train_on_dataset([files], output=tmp_path / "m.vxm")
    with pytest.raises(OutputError):
        train_on_dataset([files], output=tmp_path / "m.vxm" / "m.vxm")
    with pytest.raises(UnsupportedTypeError, match="at least 1, not 0"):
        train_on_dataset([files], output=tmp_path / "n.vxm", sample_files=0)
    assert not seen
    report = train_on_dataset([files], output=tmp_path / "m.vxm", overwrite=True)
    assert report.path == str(tmp_path / "m.vxm")
    assert vortex_hep.Model.load(tmp_path / "m.vxm").classical == {"Events": ("run",)}


@pytest.mark.slow
@pytest.mark.network
def test_a_real_training_on_a_worker(files, xrootd: XrootdServer, workers):
    pytest.importorskip("torch", reason="needs the extra 'train'")
    url = xrootd.url("data/models/m.vxm")
    # For very many events any network pays.
    options = replace(QUICK, tables="Muon", expected_rows=10**9)
    report = train_on_dataset([files], output=url, sample_files=2, options=options, site=workers)
    model = vortex_hep.Model.load(url)
    assert model.sha256 == report.sha256
    assert "Events" in model.trees
    assert [p.name for p in (xrootd.root / "models").iterdir()] == ["m.vxm"]


def test_errors_travel():
    error = pickle.loads(pickle.dumps(SourceError("cut", path="a.root", hint="fetch it again")))
    assert str(error) == "a.root: cut (fetch it again)"


def test_others_take_the_place_of_files_without_entries(files, seen, tmp_path):
    (files / "0.root").write_bytes(b"")
    (files / "5.root").write_bytes(b"no ROOT file")
    report = train_on_dataset([files], output=tmp_path / "m.vxm", sample_files=3, options=QUICK)
    assert report.files == [str(files / f"{n}.root") for n in (1, 2, 3)]
    assert [line.partition(":")[0] for line in report.skipped] == [
        str(files / "0.root"), str(files / "5.root")
    ]  # fmt: skip


def test_nothing_to_learn_from(tmp_path, seen):
    (tmp_path / "0.root").write_bytes(b"")
    with pytest.raises(SourceError, match="nothing"):
        train_on_dataset([tmp_path / "0.root"], output=tmp_path / "m.vxm", options=QUICK)
