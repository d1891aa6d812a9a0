"""The corpus: well formed, and the right files where the data folder is there."""

import numpy as np
import pytest
import uproot

from benchmarks.corpus import CorpusFile, checked, load_corpus, parts_of
from vortex_hep.errors import SourceError

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
        with uproot.open(path) as root:
            assert root[file.tree].num_entries == file.events


def test_another_file_is_refused(tmp_path):
    file = CorpusFile("x.root", "test", "Events", 1, 3, "0" * 64, "none", "none")
    with pytest.raises(SourceError, match="is not there"):
        checked(file, tmp_path)
    (tmp_path / "x.root").write_bytes(b"abc")
    with pytest.raises(SourceError, match="SHA-256 differs"):
        checked(file, tmp_path)


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
