"""Tests of the checks before a job begins."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest

import vortex_hep
from tests.xrootd import XrootdServer, free_port, xrootd, xrootd_base
from vortex_hep.batch.plan.inputs import InputFile, find_inputs
from vortex_hep.batch.plan.placing import place
from vortex_hep.batch.plan.preflight import check
from vortex_hep.errors import (
    DeniedError,
    MissingError,
    ModelMismatchError,
    NetworkError,
    NotFoundError,
    NotVortexError,
    OutputError,
    UnsupportedTypeError,
)

__all__ = ["xrootd", "xrootd_base"]


def placed(files, output, suffix=".vxc"):
    targets = place(files, output=output, suffix=suffix)
    return [replace(f, target=t) for f, t in zip(files, targets, strict=True)]


@pytest.fixture
def model_for():
    """Makes models that have learnt some columns of some trees."""

    def make(**trees):
        model = vortex_hep.Model({})
        for tree, columns in trees.items():
            field = SimpleNamespace(columns=tuple(columns), dtype="<f4", component=0)
            model.trees[tree] = {"": SimpleNamespace(fields=[field])}  # type: ignore[dict-item]
        return model

    return make


def test_a_job_that_is_fine(tmp_path, example_file, model_for):
    files = placed(find_inputs([str(example_file)]), str(tmp_path / "out"))
    assert check(files, output=str(tmp_path / "out"), trees=["Events"]) is None
    assert list((tmp_path / "out").iterdir()) == []
    known = model_for(Events=["MET_pt"], Other=["x"])
    assert check(files, output=str(tmp_path / "out"), model=known) is known
    path = tmp_path / "model.vxm"
    vortex_hep.Model({}).save(path)
    loaded = check(files, model=str(path))
    assert isinstance(loaded, vortex_hep.Model)


def test_a_model_that_does_not_fit(tmp_path, example_file, model_for):
    files = placed(find_inputs([str(example_file)]), str(tmp_path / "out"))
    with pytest.raises(ModelMismatchError, match=r"it knows 'jets', and the file has 'Events'"):
        check(files, model=model_for(jets=["pt"]))
    with pytest.raises(ModelMismatchError):
        check(files, model=model_for(Events=["of_another_kind"]))
    gone = InputFile(str(tmp_path / "gone.root"), "gone.root")
    with pytest.raises(ModelMismatchError):
        check([gone, *files], model=model_for(jets=["pt"]))
    assert check([gone], model=model_for(jets=["pt"])) is not None


def test_a_model_that_is_none(tmp_path, example_file):
    files = find_inputs([str(example_file)])
    with pytest.raises(NotVortexError):
        check(files, model=example_file)
    with pytest.raises(MissingError):
        check(files, model=tmp_path / "none.vxm")


def test_a_tree_that_is_not_there(example_file):
    with pytest.raises(NotFoundError, match="Evens"):
        check(find_inputs([str(example_file)]), trees=["Evens"])


def test_two_outputs_of_one_name(tmp_path):
    for name in ("a/x.root", "b/x.root"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).touch()
    files = find_inputs([str(tmp_path / "a"), str(tmp_path / "b")])
    with pytest.raises(UnsupportedTypeError, match=r"a/x\.root and .*b/x\.root would have one out"):
        check(placed(files, str(tmp_path / "out")))


def test_outputs_that_would_replace_inputs(tmp_path):
    one, two = tmp_path / "a.root", tmp_path / "a.vxc"
    one.touch()
    two.touch()
    (file,) = find_inputs([str(one)])
    with pytest.raises(UnsupportedTypeError, match="would replace itself"):
        check([replace(file, target=f"{tmp_path}/./a.root")])
    files = find_inputs([str(one), str(two)])
    with pytest.raises(UnsupportedTypeError, match=r"would replace the input .*a\.vxc"):
        check([replace(files[0], target=str(two)), files[1]])


def test_an_output_folder_that_is_none(tmp_path):
    (tmp_path / "file").touch()
    (tmp_path / "a.root").touch()
    files = placed(find_inputs([str(tmp_path / "a.root")]), str(tmp_path / "file"))
    for output in (str(tmp_path / "file"), None):
        with pytest.raises(OutputError):
            check(files, output=output)


@pytest.mark.network
def test_a_server_that_is_down_or_refuses(xrootd: XrootdServer, tmp_path, example_file):
    secret = xrootd.root / "secret"
    secret.mkdir(mode=0o700)
    (secret / "a.root").touch()
    with pytest.raises(DeniedError) as caught:
        check([InputFile(xrootd.url("data/secret/a.root"), "a.root")])
    assert "credentials" in str(caught.value)
    gone = InputFile(xrootd.url("data/gone.root"), "gone.root")
    assert check([gone]) is None
    assert check(placed([gone], xrootd.url("data/out")), output=xrootd.url("data/out")) is None
    assert (xrootd.root / "out").is_dir()
    down = InputFile(f"root://127.0.0.1:{free_port()}//data/a.root", "a.root")
    with pytest.raises(NetworkError):
        check([down, gone])


@pytest.mark.network
def test_all_problems_at_once(xrootd_base, tmp_path, example_file):
    with XrootdServer(xrootd_base, read_only=True) as server:
        files = find_inputs([str(example_file)])
        with pytest.raises(UnsupportedTypeError) as caught:
            check(
                placed(files, server.url("data/out")), output=server.url("data/out"),
                model=tmp_path / "none.vxm",
            )  # fmt: skip
    text = str(caught.value)
    assert text.startswith("2 problems before the job begins: 1) ")
    assert "data/out" in text
    assert "none.vxm" in text
    assert "\n" not in text


@pytest.mark.parametrize("content", [b"", b"no ROOT file", b"root"], ids=["empty", "text", "cut"])
def test_a_first_file_without_trees_ends_no_job(tmp_path, example_file, model_for, content):
    (tmp_path / "0.root").write_bytes(content)
    (tmp_path / "1.root").write_bytes(example_file.read_bytes())
    files = placed(find_inputs([str(tmp_path / "[01].root")]), str(tmp_path / "out"))
    known = model_for(Events=["MET_pt"])
    assert check(files, output=str(tmp_path / "out"), model=known, trees=["Events"]) is known
    assert check(files[:1], output=str(tmp_path / "out"), model=known, trees=["Events"]) is known
    with pytest.raises(ModelMismatchError):
        check(files, output=str(tmp_path / "out"), model=model_for(Other=["x"]))
    with pytest.raises(NotFoundError):
        check(files, output=str(tmp_path / "out"), trees=["Evnts"])
