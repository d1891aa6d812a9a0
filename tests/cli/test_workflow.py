"""Tests of the commands on real archives, from training to the restored file."""

import json
import shutil
from collections import OrderedDict
from pathlib import Path

import pytest
import uproot

import vortex_hep
from vortex_hep.cli import demo, main
from vortex_hep.models.find import model_file_name
from vortex_hep.models.model import Model
from vortex_hep.testing.examples import write_example


@pytest.fixture(scope="module")
def folder(tmp_path_factory, example_file):
    """A model, archives with and without it, made by the commands themselves."""
    folder = tmp_path_factory.mktemp("workflow")
    shutil.copy(example_file, folder / "events.root")
    write_example(folder / "train.root", events=300, seed=8)
    run = ["--quiet", "--effort", "fast"]
    model = str(folder / "model.vxm")
    source = str(folder / "events.root")
    learn = ["--seconds", "0.3", "--expected-rows", "100000000"]
    assert main(["train", str(folder / "train.root"), "-o", model, *learn, *run]) == 0
    assert main(["compress", source, "--model", model, *run]) == 0
    return folder


@pytest.fixture(scope="module")
def bare(tmp_path_factory, folder):
    """An archive that has its model neither inside nor beside it."""
    path = tmp_path_factory.mktemp("bare") / "bare.vxc"
    model = ["--model", str(folder / "model.vxm"), "--no-embed", "-o", str(path)]
    run = ["--quiet", "--effort", "fast"]
    assert main(["compress", str(folder / "events.root"), *model, *run]) == 0
    return str(path)


def columns_of(path):
    with uproot.open(path) as file:
        return {name: file[name].arrays(library="np") for name in ("Events", "Runs")}


def same(first, second):
    return all(
        x.tobytes() == y.tobytes() if x.dtype != object else all(
            a.tobytes() == b.tobytes() for a, b in zip(x, y, strict=True)
        )
        for tree in first
        for name, x in first[tree].items()
        for y in [second[tree][name]]
    )  # fmt: skip


def test_verify_against_the_source(folder, capsys):
    archive, source = str(folder / "events.vxc"), str(folder / "events.root")
    assert main(["verify", archive, "--against", source]) == 0
    assert "events.vxc" in capsys.readouterr().out


def test_verify_finds_another_file(folder, tmp_path, capsys):
    other = tmp_path / "other.root"
    write_example(other, events=300, seed=99)
    assert main(["verify", str(folder / "events.vxc"), "--against", str(other), "--quiet"]) == 3
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_verify_finds_damage(folder, tmp_path, capsys):
    data = bytearray((folder / "events.vxc").read_bytes())
    data[len(data) // 2] ^= 1
    damaged = tmp_path / "damaged.vxc"
    damaged.write_bytes(data)
    assert main(["verify", str(damaged), "--quiet"]) == 3
    assert str(damaged) in capsys.readouterr().err


def test_decompress_gives_the_columns_back(folder, tmp_path):
    restored = tmp_path / "restored.root"
    assert main(["decompress", str(folder / "events.vxc"), "-o", str(restored), "--quiet"]) == 0
    assert same(columns_of(folder / "events.root"), columns_of(restored))


def test_an_archive_without_its_model_needs_it(
    folder, bare, tmp_path, capsys, monkeypatch
):  # fmt: skip
    restored = str(tmp_path / "restored.root")
    monkeypatch.setattr("vortex_hep.models.find._models", OrderedDict())  # as a new process
    assert main(["decompress", bare, "-o", restored, "--quiet"]) == 1
    assert "model" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
    model = ["--model", str(folder / "model.vxm")]
    assert main(["decompress", bare, "-o", restored, "--quiet", *model]) == 0
    assert same(columns_of(folder / "events.root"), columns_of(restored))


def test_info_for_readers(folder, capsys):
    assert main(["info", str(folder / "events.vxc"), "--columns"]) == 0
    text = capsys.readouterr().out
    assert "tree Events: 300 entries" in text
    assert "(event)" in text
    assert "Jet_btagDeepFlavB" in text


def test_info_for_programs(folder, capsys):
    assert main(["info", str(folder / "events.vxc"), "--json"]) == 0
    details = json.loads(capsys.readouterr().out)
    assert details["stored_bytes"] == (folder / "events.vxc").stat().st_size
    assert [tree["name"] for tree in details["trees"]] == ["Events", "Runs"]
    columns = [c for tree in details["trees"] for table in tree["tables"] for c in table["columns"]]
    assert sum(column["raw_bytes"] for column in columns) == details["raw_bytes"]
    assert all(column["coder"] for column in columns)


def test_info_of_a_model(folder, capsys):
    assert main(["info", str(folder / "model.vxm"), "--json"]) == 0
    details = json.loads(capsys.readouterr().out)
    assert len(details["sha256"]) == 64
    assert {table["tree"] for table in details["tables"]} <= {"Events", "Runs"}
    assert main(["info", str(folder / "model.vxm")]) == 0
    assert details["sha256"] in capsys.readouterr().out


def test_info_of_something_else(example_file, capsys):
    assert main(["info", str(example_file)]) == 1
    assert "example.root" in capsys.readouterr().err


def test_wrong_model_is_refused(folder, bare, tmp_path, capsys):
    right, model = Model.load(folder / "model.vxm"), str(tmp_path / "other.vxm")
    tables = {name: part for name, part in right.trees["Events"].items() if name != "Electron"}
    Model({"Events": tables}, right.classical).save(model)
    assert main(["verify", bare, "--model", model, "--quiet"]) == 1
    assert "model" in capsys.readouterr().err


def test_several_files_into_a_folder(folder, tmp_path):
    sources = [str(folder / "events.root"), str(folder / "train.root")]
    model = ["--model", str(folder / "model.vxm"), "--effort", "fast", "--quiet"]
    assert main(["compress", *sources, "-o", str(tmp_path), *model]) == 0
    stored = model_file_name(vortex_hep.Model.load(folder / "model.vxm").sha256)
    names = sorted(path.name for path in tmp_path.iterdir() if path.name != stored)
    assert names == ["events.vxc", "train.vxc"]


def test_a_model_lies_beside_its_archives_once(folder, tmp_path):
    """So it does in data sets; readers find it there."""
    source, model = str(folder / "events.root"), ["--model", str(folder / "model.vxm")]
    run = [*model, "--effort", "fast", "--quiet"]
    assert main(["compress", source, "-o", f"{tmp_path}/out/", *run]) == 0
    stored = tmp_path / "out" / model_file_name(vortex_hep.Model.load(model[1]).sha256)
    assert stored.exists()
    with vortex_hep.open(tmp_path / "out" / "events.vxc") as archive:
        assert not archive.info()["model"]["embedded"]
    whole = str(tmp_path / "whole.vxc")
    assert main(["compress", source, "-o", whole, "--embed-model", *run]) == 0
    with vortex_hep.open(whole) as archive:
        assert archive.info()["model"]["embedded"]
    assert Path(whole).stat().st_size > (tmp_path / "out" / "events.vxc").stat().st_size


def test_a_model_that_costs_next_to_nothing_is_stored_inside(folder, tmp_path, monkeypatch):
    monkeypatch.setattr("vortex_hep.archive.write.EMBEDDED_SHARE", 1e6)
    source, model = str(folder / "events.root"), ["--model", str(folder / "model.vxm")]
    out = str(tmp_path / "x.vxc")
    assert main(["compress", source, "-o", out, *model, "--effort", "fast", "--quiet"]) == 0
    assert [path.name for path in tmp_path.iterdir()] == ["x.vxc"]


def test_missing_input_is_one_line(tmp_path, capsys):
    assert main(["compress", str(tmp_path / "none.root")]) == 1
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert "none.root" in lines[0]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_compress_without_a_model_needs_nothing_else(folder, tmp_path, short_trainings):
    archive = str(tmp_path / "alone.vxc")
    source = str(folder / "events.root")
    assert main(["compress", source, "-o", archive, "--effort", "fast", "--quiet"]) == 0
    assert main(["verify", archive, "--against", source, "--quiet"]) == 0


@pytest.mark.slow
def test_bench_with_a_model(folder, tmp_path, capsys):
    write_example(tmp_path / "few.root", events=60, seed=7)
    command = ["bench", str(tmp_path / "few.root"), "--model", str(folder / "model.vxm")]
    options = ["-o", str(tmp_path), "--quiet", "--repeat", "1", "--threads", "1"]
    assert main([*command, *options]) == 0
    table = capsys.readouterr().out
    assert "ROOT LZMA 9" in table
    assert "vortex_hep" in table
    plain = json.loads((tmp_path / "bench.json").read_text())
    ours = next(m for m in plain["measurements"] if m["codec"] == "vortex_hep")
    assert ours["verified"]
    assert 0 < ours["model_bytes"] <= (folder / "model.vxm").stat().st_size
    assert (tmp_path / "bench.png").exists()


@pytest.mark.slow
def test_demo(tmp_path, capsys, monkeypatch):
    folder = tmp_path / "demo"
    sizes = ["--events", "60", "--train-events", "300", "--seconds", "1"]
    assert main(["demo", "--folder", str(folder), *sizes]) == 0
    names = {path.name for path in folder.iterdir()}
    assert {"events.vxc", "model.vxm", "restored.root", "bench.json", "bench.png"} <= names
    assert same(columns_of(folder / "events.root"), columns_of(folder / "restored.root"))
    text = capsys.readouterr().out
    assert "$ vortex-hep train" in text
    # Again over its own files, as a second try would; learning again shows nothing more.
    run_step = demo._run_step

    def run_but_training(step, parse, *, quiet):
        assert quiet
        if step[0] not in ("train", "bench"):
            run_step(step, parse, quiet=quiet)

    monkeypatch.setattr(demo, "_run_step", run_but_training)
    assert {"train", "bench"} <= set(demo.WRITING)
    assert main(["demo", "--folder", str(folder), *sizes, "--quiet"]) == 0
