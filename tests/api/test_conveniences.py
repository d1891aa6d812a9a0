"""Tests of what makes calls pleasant: paths of models, progress, reports, errors, notebooks."""

from typing import cast

import awkward as ak
import numpy as np
import pytest
import uproot

import vortex_hep
from vortex_hep.errors import NotFoundError, OutputError, UnsupportedTypeError


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A small file, its archive, and a model."""
    monkeypatch.chdir(tmp_path)
    with uproot.recreate("x.root") as file:
        file["t"] = {
            "x": np.arange(50),
            "jagged": ak.Array([[1.5] * (i % 3) for i in range(50)]),
            "fixed": np.arange(100.0).reshape(50, 2),
        }
    vortex_hep.Model({}).save("m.vxm")
    vortex_hep.compress_file("x.root", "x.vxc", model="m.vxm")
    return tmp_path


def test_a_model_is_a_path_wherever_there_is_one(folder):
    assert vortex_hep.verify("x.vxc", against="x.root", model="m.vxm").ok
    vortex_hep.restore("x.vxc", "y.root", model=folder / "m.vxm")
    vortex_hep.compress_tree({"a": np.arange(5)}, "m.vxm", path="a.vxc")
    vortex_hep.exact_forecast("x.root", model="m.vxm")
    with pytest.raises(UnsupportedTypeError, match="model must be"):
        vortex_hep.compress_file("x.root", "z.vxc", model=cast("str", 3))
    with pytest.raises(OutputError, match="the model"):
        vortex_hep.compress_file("x.root", "m.vxm", model="m.vxm", overwrite=True)


def test_progress_is_shown_if_it_is_asked_for(folder, capsys):
    vortex_hep.compress_file("x.root", "y.vxc", progress=True)
    vortex_hep.verify("y.vxc", against="x.root", progress=True)
    vortex_hep.verify("y.vxc", progress=True)
    vortex_hep.restore("y.vxc", "y.root", progress=True)
    shown = capsys.readouterr().err
    for what in ("compressing", "comparing", "decoding", "restoring"):
        assert f"{what}: 50 entries" in shown
    vortex_hep.compress_file("x.root", "z.vxc", progress=False)
    assert capsys.readouterr() == ("", "")
    with pytest.raises(UnsupportedTypeError, match="progress must be"):
        vortex_hep.verify("y.vxc", progress=cast("bool", "yes"))


@pytest.fixture
def archive(folder):
    """The archive, open."""
    with vortex_hep.open("x.vxc") as opened:
        yield opened


def read_with(options):
    with vortex_hep.open("x.vxc") as archive:
        archive["t"].arrays(**options)


@pytest.mark.parametrize(
    ("call", "option", "near"),
    [
        (lambda o: vortex_hep.compress_file("x.root", "y.vxc", **o), "efort", "effort"),
        (lambda o: vortex_hep.compress_tree({"a": np.arange(5)}, **o), "modle", "model"),
        (lambda o: vortex_hep.restore("x.vxc", "y.root", **o), "compresion", "compression"),
        (lambda o: vortex_hep.verify("x.vxc", **o), "againts", "against"),
        (lambda o: vortex_hep.open("x.vxc", **o), "modl", "model"),
        (read_with, "filtername", "filter_name"),
        (lambda o: list(vortex_hep.iterate("x.vxc:t", **o)), "stepsize", "step_size"),
        (lambda o: vortex_hep.train(["x.root"], **o), "seconds", "TrainOptions"),
        (lambda o: vortex_hep.TrainOptions(**o), "second", "seconds"),
    ],
)
def test_options_that_do_not_exist(folder, call, option, near):
    with pytest.raises(TypeError) as caught:
        call({option: 1})
    assert isinstance(caught.value, vortex_hep.VortexError)
    assert f"no option {option!r}" in str(caught.value)
    assert near in str(caught.value)
    assert not (folder / "y.vxc").exists()


def test_names_that_do_not_exist(archive):
    for ask in (
        lambda: archive["T"],
        lambda: archive["t"]["X"],
        lambda: archive["t"].arrays(["X"]),
        lambda: vortex_hep.compress_file("x.root", "y.vxc", trees="tt"),
    ):
        with pytest.raises(NotFoundError, match="did you mean"):
            ask()


def test_a_report_is_a_dozen_lines(folder):
    report = vortex_hep.compress_file("x.root", "x.vxc", overwrite=True)
    lines = str(report).splitlines()
    assert 8 <= len(lines) <= 15
    assert "ratio" in lines[1]
    assert "the source file" in lines[1]  # what users have, before what only we see
    assert len(repr(report)) < 200
    assert "<table>" in report._repr_html_()
    assert "bit for bit" in str(vortex_hep.verify("x.vxc", against="x.root"))


def test_a_tree_without_a_path_replaces_nothing(folder):
    tree = {"a": np.arange(5)}
    assert vortex_hep.compress_tree(tree).path == "arrays.vxc"
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(OutputError, match="exists"):
        vortex_hep.compress_tree(tree)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_numpy_gets_an_array_or_an_error(archive):
    tree = archive["t"]
    assert np.array_equal(np.asarray(tree["x"]), np.arange(50))
    assert np.asarray(tree["fixed"]).shape == (50, 2)
    assert np.asarray(tree["x"], dtype="f4").dtype == np.float32
    assert len(tree["x"]) == 50
    for one in (archive, tree, tree["jagged"]):
        with pytest.raises(UnsupportedTypeError, match="array"):
            np.asarray(one)


def test_notebooks_show_tables(archive):
    for shown in (archive, archive["t"], archive["t"]["x"], vortex_hep.verify("x.vxc")):
        assert "<table>" in shown._repr_html_()
