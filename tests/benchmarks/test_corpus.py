"""Tests of the corpus: well formed, and the right files where the data folder is there."""

import hashlib
from pathlib import Path

import h5py
import numpy as np
import pytest
import uproot

from benchmarks.corpus import CorpusFile, Dataset, checked, load_corpus, parts_of
from vortex_hep.errors import SourceError
from vortex_hep.readers import open_source

CORPUS = load_corpus()
BY_NAME = {dataset.name: dataset for dataset in CORPUS}


def test_no_file_is_both_learnt_from_and_measured():
    files = [file for dataset in CORPUS for file in dataset.files]
    assert len({file.sha256 for file in files}) == len(files)
    for file in files:
        assert file.role in ("train", "test", "split")
        assert (file.split is None) == (file.role != "split")
        assert file.licence
        assert file.origin


@pytest.mark.parametrize("dataset", CORPUS, ids=lambda dataset: dataset.name)
def test_files_are_those_of_the_corpus(dataset, shared_data):
    for file in dataset.files:
        path = checked(file, shared_data)
        assert path.stat().st_size == file.bytes
        if path.suffix == ".root":
            with uproot.open(path) as root:
                assert root[file.tree].num_entries == file.events
        else:
            with open_source(path) as source:
                assert source.trees[file.tree].num_entries == file.events


def test_another_file_is_refused(tmp_path):
    file = CorpusFile("x.root", "test", "Events", 1, 3, "0" * 64, "none", "none")
    with pytest.raises(SourceError, match="is not there"):
        checked(file, tmp_path)
    (tmp_path / "x.root").write_bytes(b"abc")
    with pytest.raises(SourceError, match="SHA-256 differs"):
        checked(file, tmp_path)


@pytest.mark.slow
def test_a_split_file_keeps_every_value(shared_data, tmp_path):
    dataset = BY_NAME["nanoaod-dimuon"]
    train, test = parts_of(dataset, shared_data, tmp_path)
    assert [part.name for part in train + test] == [
        "open-data-example.train.root",
        "open-data-example.test.root",
    ]
    with uproot.open(shared_data / dataset.files[0].path) as file:
        whole = file["Events"].arrays()
    stop = 0
    for part in (*train, *test):
        with uproot.open(part.path) as file:
            assert sorted(file["Events"].keys()) == sorted(whole.fields)
            piece = file["Events"].arrays()
        start, stop = stop, stop + len(piece)
        for name in whole.fields:
            expected, found = whole[name][start:stop], piece[name]
            if name != "nMuon":
                expected, found = expected.layout, found.layout
                expected = expected.to_packed().content.data
                found = found.to_packed().content.data
            assert np.asarray(expected).tobytes() == np.asarray(found).tobytes()
    assert stop == len(whole)


def test_every_kind_and_every_target_is_there():
    suffixes = {path.suffix for dataset in CORPUS for path in map(Path, _paths(dataset))}
    assert {".root", ".h5", ".hdf5", ".gz"} <= suffixes
    targets = {dataset.name: dataset.target for dataset in CORPUS if dataset.target is not None}
    assert targets.keys() >= {"alice-ao2d", "ftag", "camels", "hepmc-ttbar"}
    assert all(0 < target <= 1 for target in targets.values())


def _paths(dataset):
    return [file.path for file in dataset.files]


def test_a_split_hdf5_file_keeps_all_but_rows(tmp_path):
    path = tmp_path / "whole.h5"
    rng = np.random.default_rng(1)
    rows = 1000
    records = np.zeros(rows, [("pt", "<f4"), ("eta", "<f2")])
    records["pt"] = rng.normal(size=rows)
    records["pt"].view(np.uint32)[-1] = 0xFFC00001  # a NaN with a payload
    with h5py.File(path, "w") as file:
        file.attrs["generator"] = "ours"
        jets = file.create_dataset("jets", data=records, chunks=(900,), compression="gzip")
        jets.attrs["units"] = "GeV"
        file.create_dataset(
            "tracks", data=rng.normal(size=(rows, 4)).astype("<f2"), maxshape=(None, 4),
            chunks=(64, 4), shuffle=True, compression="gzip", compression_opts=7,
        )  # fmt: skip
        file["names"] = np.array([f"jet {k}" for k in range(rows)], h5py.string_dtype())
        file["counts/total"] = np.arange(3)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    dataset = Dataset(
        "own",
        "Ours",
        (CorpusFile("whole.h5", "split", "jets", rows, 1, digest, "ours", "MIT", split=0.8),),
    )
    train, test = parts_of(dataset, tmp_path, tmp_path / "cache")
    again, _ = parts_of(dataset, tmp_path, tmp_path / "second cache")
    assert train[0].path.read_bytes() == again[0].path.read_bytes()
    assert [part.name for part in train + test] == ["whole.train.h5", "whole.test.h5"]
    with h5py.File(path) as whole:
        for part, start, stop in ((train[0], 0, 800), (test[0], 800, 1000)):
            with h5py.File(part.path) as piece:
                assert dict(piece.attrs) == {"generator": "ours"}
                assert dict(piece["jets"].attrs) == {"units": "GeV"}
                assert piece["counts/total"][...].tolist() == [0, 1, 2]
                assert piece["names"][...].tolist() == whole["names"][start:stop].tolist()
                for name in ("jets", "tracks"):
                    old, new = whole[name], piece[name]
                    assert new[...].tobytes() == old[start:stop].tobytes()
                    assert (new.dtype, new.compression, new.compression_opts, new.shuffle) == (
                        old.dtype, old.compression, old.compression_opts, old.shuffle,
                    )  # fmt: skip
                assert piece["jets"].chunks == (min(900, stop - start),)
                assert piece["tracks"].chunks == (64, 4)
                assert piece["tracks"].maxshape == (None, 4)
