"""Tests of the ablation: leaving out a part changes that part of the training only."""

import argparse
import hashlib

import numpy as np
import pytest
import uproot

from benchmarks import ablation
from benchmarks.corpus import CorpusFile, Dataset
from vortex_hep.codec.plan import CORE
from vortex_hep.core.options import PARTS
from vortex_hep.core.progress import SILENT
from vortex_hep.errors import UnsupportedTypeError
from vortex_hep.models.options import TrainOptions
from vortex_hep.models.sample import gather
from vortex_hep.models.train import fit_options, train
from vortex_hep.nn.event.training.prepare import FitOptions, prepare_all
from vortex_hep.readers import open_source


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """A data set with a column that is the sum of two others."""
    folder = tmp_path_factory.mktemp("ablation")
    files = []
    for seed, role in enumerate(("train", "test")):
        rng = np.random.default_rng(seed)
        first, second = (rng.integers(0, 5000, 3000).astype("<i4") for _ in range(2))
        path = folder / f"{role}.root"
        with uproot.recreate(path) as file:
            columns = {"a": first, "b": second, "c": first + second}
            file.mktree("T", dict.fromkeys(columns, "int32"))
            file["T"].extend(columns)
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        files.append(CorpusFile(path.name, role, "T", 3000, 1, digest, "ours", "MIT"))
    return folder, Dataset("sums", "Sums", tuple(files))


def test_predictors_are_worth_something_on_sums(corpus, monkeypatch):
    folder, dataset = corpus
    monkeypatch.setattr(ablation, "PARTS", ("predictors",))  # each run is a training
    args = argparse.Namespace(
        data=folder, seconds=1.0, device="cpu", threads=1, train_effort="fast", effort="fast"
    )
    found = ablation.measure(dataset, args)
    sizes = {tuple(run["without"]): run["stored_bytes"] for run in found["runs"]}
    assert list(sizes) == [(), ("predictors",)]
    assert sizes[()] < 0.9 * sizes["predictors",]


def test_every_part_is_left_out_alone_and_all_together():
    assert ablation.combinations() == [(), *((part,) for part in PARTS), PARTS]


def test_a_data_set_without_training_files_is_refused(corpus):
    folder, dataset = corpus
    args = argparse.Namespace(data=folder)
    with pytest.raises(SystemExit, match="has no training files"):
        ablation.measure(Dataset("test only", "", dataset.files[1:]), args)


def test_links_can_be_left_out(example_file):
    """The example's jets point to generated jets."""
    assert _linked(example_file, frozenset())
    assert not _linked(example_file, frozenset({"links"}))


def _linked(path, without):
    with open_source(path, trees=["Events"]) as source:
        samples = gather([source.trees["Events"]], 1 << 24, SILENT)
    samples = [s for s in samples if s.plan.name in (CORE, "GenJet", "Jet")]
    prepared = prepare_all(samples, FitOptions(threads=1, without=without))
    return {(p.name, k.source) for p in prepared for k in p.links if k.source != p.name}


def test_an_unknown_part_is_refused(corpus):
    folder, _ = corpus
    with pytest.raises(UnsupportedTypeError, match=r"predictors, links.* not 'attention'"):
        train([str(folder / "train.root")], options=TrainOptions(without=("attention",)))
    assert fit_options(TrainOptions(), self_contained=False).without == frozenset()
