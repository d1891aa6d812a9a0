"""Tests of models: saved, loaded, named by what they compute, used on slightly different files."""

import io

import awkward as ak
import numpy as np
import pytest
import uproot

import vortex_hep
from vortex_hep.codec.columns import classical
from vortex_hep.errors import (
    ModelMismatchError,
    NotFoundError,
    NotVortexError,
    OutputError,
    UnsupportedTypeError,
)
from vortex_hep.models.model import Model
from vortex_hep.nn.coding.treecoder import TreeDecoder

from .files import write_twins


@pytest.fixture
def saved(twins_model, tmp_path):
    path = tmp_path / "twins.vxm"
    twins_model.save(path)
    return path


def test_save_and_load(twins_model, saved, tmp_path):
    loaded = Model.load(saved)
    assert loaded.sha256 == twins_model.sha256
    assert loaded.classical == twins_model.classical
    assert loaded.summary() == twins_model.summary()
    loaded.save(tmp_path / "again.vxm")
    assert (tmp_path / "again.vxm").read_bytes() == saved.read_bytes()
    with pytest.raises(OutputError, match="exists"):
        loaded.save(saved)
    assert loaded.sha256[:8] in repr(loaded)


def test_name_does_not_depend_on_how_a_model_is_stored(twins_model, tmp_path, monkeypatch):
    best = classical.encode_best
    monkeypatch.setattr(classical, "encode_best", lambda a, **_: best(a, effort="fast"))
    model = Model(twins_model.trees)
    model.save(tmp_path / "other.vxm")
    monkeypatch.undo()
    assert model.nbytes != twins_model.nbytes
    assert Model.load(tmp_path / "other.vxm").sha256 == twins_model.sha256


def test_an_archive_is_no_model_and_a_model_no_archive(saved, tiny_archive, tmp_path):
    archive = tmp_path / "a.vxc"
    archive.write_bytes(tiny_archive)
    with pytest.raises(NotVortexError, match="this is an archive, not a model"):
        Model.load(archive)
    with pytest.raises(NotVortexError, match="this is a model, not an archive"):
        vortex_hep.open(saved)


def test_wrong_model_is_refused_before_a_byte_is_decoded(
    twins_model, example_model, twins_file, tmp_path, monkeypatch
):
    path = tmp_path / "a.vxc"
    report = vortex_hep.compress_file(twins_file, path, model=twins_model, embed_model=False)
    assert report.model_bytes == 0

    def never(*_args, **_kwargs):
        raise AssertionError

    monkeypatch.setattr(TreeDecoder, "decode", never)
    for call in (
        lambda: vortex_hep.open(path, model=example_model),
        lambda: vortex_hep.verify(path, model=example_model),
        lambda: vortex_hep.restore(path, tmp_path / "out.root", model=example_model),
        lambda: vortex_hep.verify(path),
        lambda: vortex_hep.restore(path, tmp_path / "out.root"),
    ):
        with pytest.raises(ModelMismatchError, match="model"):
            call()
    with vortex_hep.open(path) as archive:  # what needs no model is there all the same
        assert archive["Events"].keys() == ["nT", "T_a", "T_b"]
        assert archive.info()["model"]["sha256"] == twins_model.sha256
        with pytest.raises(ModelMismatchError, match=r"pass it with model=Model\.load"):
            archive["Events"].arrays()
    assert not (tmp_path / "out.root").exists()
    monkeypatch.undo()
    assert vortex_hep.verify(path, model=twins_model, against=twins_file).ok


def test_the_model_of_an_archive_that_holds_it_wins(tiny_archive, twins_model, example_model):
    with vortex_hep.open(io.BytesIO(tiny_archive), model=example_model) as archive:
        assert archive.model is not None
        assert archive.model is not example_model
        assert archive.model.sha256 == twins_model.sha256
        assert archive["Events"].num_entries == 300


def test_only_tables_that_code_something_are_stored(twins_model, odd_file, tmp_path):
    other = Model({"t": twins_model.trees["Events"]})
    report = vortex_hep.compress_file(odd_file, tmp_path / "a.vxc", model=other)
    assert report.model_bytes == 0
    assert vortex_hep.verify(tmp_path / "a.vxc", against=odd_file).ok
    vortex_hep.compress_file(odd_file, tmp_path / "b.vxc", model=other, embed_model=False)
    assert vortex_hep.verify(tmp_path / "b.vxc", against=odd_file).ok  # and needs no model


def test_extra_branches(twins_model, tmp_path):
    n = 300
    source = write_twins(tmp_path / "more.root", n, 3, weight=np.linspace(0, 1, n))
    report = vortex_hep.compress_file(source, tmp_path / "a.vxc", model=twins_model)
    assert any("1 branches that are new to the model" in m and "'weight'" in m
               for m in report.messages)  # fmt: skip
    assert {c["coder"] for c in report.columns if c["name"] == "weight"} != {"network"}
    assert vortex_hep.verify(tmp_path / "a.vxc", against=source).ok


def test_other_trees(twins_model, odd_file, tmp_path):
    report = vortex_hep.compress_file(odd_file, tmp_path / "a.vxc", model=twins_model)
    assert report.messages == ["tree 't' is new to the model: the classical coders take all of it"]
    assert vortex_hep.verify(tmp_path / "a.vxc", against=odd_file).ok


def test_missing_branches(twins_model, twins_file, tmp_path):
    with uproot.open(twins_file) as file:
        a = file["Events"].arrays(["T_a", "T_b"])
    one, none = tmp_path / "one.root", tmp_path / "none.root"
    with uproot.recreate(one) as file:
        file["Events"] = {"T": ak.zip({"a": a.T_a})}
    with uproot.recreate(none) as file:
        file["Events"] = {"x": np.arange(300, dtype=np.int32)}
    for source, lacks in ((one, ["'T_b'"]), (none, ["'T_a'", "'T_b'"])):
        archive = tmp_path / "a.vxc"
        report = vortex_hep.compress_file(source, archive, model=twins_model, overwrite=True)
        said = [m for m in report.messages if "lacks" in m]
        assert len(said) == 1
        assert all(name in said[0] for name in lacks)
        assert vortex_hep.verify(archive, against=source).ok


def test_branches_of_another_type(twins_model, twins_file, tmp_path):
    source = tmp_path / "wide.root"
    with uproot.open(twins_file) as file:
        arrays = file["Events"].arrays(["T_a", "T_b"])
    with uproot.recreate(source) as file:
        file["Events"] = {
            "T": ak.zip({"a": ak.values_astype(arrays.T_a, "int64"), "b": arrays.T_b})
        }
    report = vortex_hep.compress_file(source, tmp_path / "a.vxc", model=twins_model)
    assert any("another type" in m and "'T_a'" in m for m in report.messages)
    assert vortex_hep.verify(tmp_path / "a.vxc", against=source).ok


def test_training_says_what_it_cannot_do(twins_file, tmp_path):
    options = vortex_hep.TrainOptions
    with pytest.raises(UnsupportedTypeError, match="no files"):
        vortex_hep.train([])
    with pytest.raises(NotFoundError, match="no such tree; there are Events"):
        vortex_hep.train(twins_file, options=options(trees=["Event"]))
    with pytest.raises(UnsupportedTypeError, match="effort"):
        vortex_hep.train(twins_file, options=options(effort="most"))
    with pytest.raises(UnsupportedTypeError, match="device"):
        vortex_hep.train(twins_file, options=options(device="tpu"))
    with uproot.recreate(tmp_path / "few.root") as file:
        file["Events"] = {"x": np.arange(3.0)}
    with pytest.raises(UnsupportedTypeError, match="no table has enough rows"):
        vortex_hep.train(tmp_path / "few.root")


def test_a_file_is_compressed_without_torch(example_file, tmp_path, monkeypatch):
    from vortex_hep.models import train as training

    monkeypatch.setattr(training, "can_train", lambda: False)
    report = vortex_hep.compress_file(example_file, tmp_path / "a.vxc", effort="fast")
    assert "torch is not installed" in report.messages[0]
    assert vortex_hep.verify(tmp_path / "a.vxc", against=example_file).ok
    with pytest.raises(UnsupportedTypeError, match="torch"):
        vortex_hep.train(example_file)


def test_options_reach_the_fit(example_file, tmp_path, monkeypatch):
    from vortex_hep.models import train as training

    seen = []

    def fit_model(trees, options, progress, *, self_contained):
        seen.append(
            (sorted(trees), options.device, options.threads, options.effort, self_contained)
        )
        return Model({})

    monkeypatch.setattr(training, "fit_model", fit_model)
    vortex_hep.compress_file(
        example_file, tmp_path / "a.vxc", device="auto", threads=1, effort="fast"
    )
    assert seen == [(["Events"], "auto", 1, "fast", True)]
    with pytest.raises(UnsupportedTypeError, match="device"):
        vortex_hep.compress_file(example_file, tmp_path / "b.vxc", device="tpu")
    with pytest.raises(UnsupportedTypeError, match="threads must be at least 1, not 0"):
        vortex_hep.compress_file(example_file, tmp_path / "b.vxc", threads=0)
    assert [p.name for p in tmp_path.iterdir()] == ["a.vxc"]
