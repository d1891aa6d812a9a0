"""Tests of the dataset commands on real workers: outputs, messages, exit codes."""

import json
import re
import shlex
import shutil
import sqlite3
from typing import Any

import pytest

import vortex_hep
from vortex_hep.batch.plan import learning
from vortex_hep.batch.site.site import Site, connect, example
from vortex_hep.cli import main
from vortex_hep.cli.main import build_parser
from vortex_hep.testing.examples import write_example

COMMANDS = ("train", "compress", "verify", "restore")


def run(name, *arguments):
    """Run ``vortex-hep dataset NAME ...`` in this process; return its exit code."""
    return main(["dataset", name, *arguments])


@pytest.fixture(scope="module")
def scheduler():
    """Address of a scheduler with one worker process."""
    with connect(Site(workers=1, dashboard="none")) as client:
        yield client.scheduler_info()["address"]


@pytest.fixture(scope="module")
def originals(tmp_path_factory):
    """Three small files in two folders, and a model without networks."""
    folder = tmp_path_factory.mktemp("data")
    for number, name in enumerate(("a/x.root", "a/y.root", "b/z.root")):
        (folder / name).parent.mkdir(exist_ok=True)
        write_example(folder / name, events=40, seed=number)
    vortex_hep.Model({}).save(folder / "empty.vxm")
    return folder


@pytest.fixture
def data(originals, tmp_path, monkeypatch):
    """A copy of these files, as the current folder."""
    folder = tmp_path / "work"
    shutil.copytree(originals, folder)
    monkeypatch.chdir(folder)
    return folder


def tree(folder):
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())


@pytest.mark.slow
def test_there_and_back(data, scheduler, capsys):
    where = ["--scheduler", scheduler, "--quiet"]
    fast = ["--model", "empty.vxm", "--effort", "fast"]
    (data / "files.txt").write_text("a/x.root\na/y.root  # a note\nb/z.root\n")
    assert run("compress", "files.txt", "-o", "out", *fast, *where) == 0
    assert capsys.readouterr() == ("", "")
    assert {"a/x.vxc", "a/y.vxc", "b/z.vxc", "vortex-job.sqlite", "vortex-job.html"} <= {
        *tree(data / "out")
    }
    assert not [name for name in tree(data) if name.endswith(".part")]
    archives = {name: (data / "out" / name).stat().st_mtime_ns for name in ("a/x.vxc", "b/z.vxc")}

    # The same again finds all of it done.
    assert run("compress", "files.txt", "-o", "out", *fast, *where[:2]) == 0
    out, err = capsys.readouterr()
    assert "compress: 3 of 3 files done" in out
    assert "ratio" in out
    assert "report  " in out
    assert "error" not in err
    for name, time in archives.items():
        assert (data / "out" / name).stat().st_mtime_ns == time

    assert run("restore", "out", "-o", "back", *where, "--verify", "checksum") == 0
    assert [name for name in tree(data / "back") if name.endswith(".root")] == [
        "a/x.root", "a/y.root", "b/z.root",
    ]  # fmt: skip
    assert run("verify", "out", "--against", "back", *where, "--no-report") == 0
    assert capsys.readouterr() == ("", "")


def test_a_file_that_fails_is_told_and_tried_again_later(data, scheduler, capsys):
    (data / "out").mkdir()
    (data / "out" / "y.vxc").write_bytes(b"something else")
    arguments = ["a", "-o", "out", "--model", "empty.vxm", "--scheduler", scheduler]
    more = ["--effort", "fast", "--journal", "j.sqlite", "--report", "r.html"]
    assert run("compress", *arguments, *more, "--attempts", "1") == 1
    out, err = capsys.readouterr()
    assert "1 of 2 files done, 1 failed" in out
    errors = [line for line in err.splitlines() if "error" in line]
    assert len(errors) == 1
    assert "a/y.root: output exists: " in errors[0]
    assert "1 failed" in (data / "r.html").read_text()
    (data / "out" / "y.vxc").unlink()
    again = ["jobs", "resume", "j.sqlite", "--scheduler", scheduler, "--no-report"]
    assert main(again) == 1
    assert main([*again, "--failed"]) == 0
    assert "2 of 2 files done" in capsys.readouterr().out


def test_dry_run_checks_and_shows(data, capsys):
    before = tree(data)
    command = ["a", "b", "--model", "empty.vxm", "-o", "out", "--dry-run"]
    assert run("compress", *command, "--workers", "3") == 0
    out = capsys.readouterr().out
    assert "compress: 3 files, " in out
    assert "x.root -> " in out
    assert "out/vortex-job.sqlite (new)" in out
    assert "workers: 3, on this machine" in out
    assert tree(data) == before


def test_dry_run_shows_the_job_script_of_a_site(data, capsys):
    (data / "site.yaml").write_text(example("slurm"))
    command = ["a", "--model", "empty.vxm", "--site", "site.yaml", "--workers", "7", "--dry-run"]
    assert run("compress", *command) == 0
    out = capsys.readouterr().out
    assert "workers: 7 jobs" in out
    assert "#SBATCH -p standard" in out


def test_training_is_passed_on(data, capsys, monkeypatch):
    seen: dict[str, Any] = {}

    def train(files, *, options, progress):
        seen.update(files=files, options=options)
        return vortex_hep.Model({})

    monkeypatch.setattr(learning, "train", train)
    files = ["a", "b", "--sample-files", "2", "--seconds", "5", "--tree", "Events"]
    assert run("train", *files, "-o", "m.vxm", "--dry-run") == 0
    assert "train: 2 files of 3" in capsys.readouterr().out
    assert not (data / "m.vxm").exists()
    assert run("train", *files, "-o", "m.vxm", "--quiet") == 0
    assert vortex_hep.Model.load("m.vxm").sha256 == vortex_hep.Model({}).sha256
    assert len(seen["files"]) == 2
    assert (seen["options"].seconds, seen["options"].trees) == (5.0, ["Events"])
    assert run("train", *files, "-o", "m.vxm", "--quiet") == 1
    assert "m.vxm: the file exists already" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("compress", []),
        ("compress", ["a", "--site", "s.yaml", "--scheduler", "tcp://x:1"]),
        ("compress", ["a", "--scheduler", "tcp://x:1", "--workers", "2"]),
        ("verify", ["a", "--workers", "0"]),
        ("restore", ["a", "--report", "r.html", "--no-report"]),
        ("train", ["a"]),
    ],
)
def test_wrong_usage(data, name, arguments):
    with pytest.raises(SystemExit) as stop:
        run(name, *arguments)
    assert stop.value.code == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["none.txt"], "none.txt"),
        (["a", "--model", "none.vxm"], "none.vxm"),
        (["a", "--site", "none.yaml"], "none.yaml"),
        (["a", "a/x.root", "--model", "empty.vxm"], "x.root"),
    ],
)
def test_bad_input_is_one_line(data, capsys, arguments, message):
    before = tree(data)
    assert run("compress", *arguments, "--effort", "fast") == 1
    error = capsys.readouterr().err
    assert message in error
    assert len(error.splitlines()) == 1
    assert tree(data) == before


def test_wrong_scheduler_is_one_line(data, capsys):
    (data / "site.yaml").write_text("kind: address\naddress: tcp://127.0.0.1:9\ntimeout: 0.5\n")
    command = ["a", "--model", "empty.vxm", "--site", "site.yaml"]
    for more in (["--dry-run", "-q"], ["-q"]):
        assert run("compress", *command, *more) == 1
        error = capsys.readouterr().err
        assert "no dask scheduler answers" in error
        assert len(error.splitlines()) == 1
    assert not list(data.rglob("*.vxc"))


def test_interrupts_say_how_to_go_on(data, scheduler, capsys, monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("vortex_hep.batch.run.run.run_job", interrupted)
    command = ["a", "-o", "out", "--model", "empty.vxm", "--scheduler", scheduler]
    assert run("compress", *command) == 130
    lines = capsys.readouterr().err.splitlines()
    assert "the same command again goes on" in lines[-2]
    assert lines[-1] == "vortex-hep: interrupted"
    rows = sqlite3.connect(data / "out" / "vortex-job.sqlite")
    assert rows.execute("SELECT DISTINCT state FROM files").fetchall() == [("waiting",)]
    rows.close()


def help_of(capsys, *words):
    """What a command says of itself."""
    with pytest.raises(SystemExit) as stop:
        main([*words, "--help"])
    assert stop.value.code == 0
    return capsys.readouterr().out


@pytest.mark.parametrize("name", COMMANDS)
def test_help_teaches_by_examples_that_parse(name, capsys):
    text = help_of(capsys, "dataset", name)
    assert "exit codes:" in text
    examples = text.partition("examples:\n")[2].partition("\nexit codes")[0]
    joined = examples.replace("\n          ", " ").strip().splitlines()
    assert len(joined) >= 3
    for line in joined:
        words = shlex.split(line)
        assert words[:3] == ["vortex-hep", "dataset", name]
        build_parser().parse_args(words[1:])


@pytest.mark.parametrize("group", ["dataset", "jobs"])
def test_help_of_the_groups_teaches_by_examples_that_parse(group, capsys):
    text = help_of(capsys, group)
    examples = text.partition("examples:\n")[2].partition("\n\n")[0]
    lines = [re.split(r"   | > ", line.strip())[0] for line in examples.splitlines()]
    assert len(lines) >= 6
    for line in lines:
        words = shlex.split(line)
        assert words[0] == "vortex-hep"
        build_parser().parse_args(words[1:])


def test_filesets_name_data_sets(data, scheduler, capsys):
    files = {"one": {"files": {"a/x.root": "Events"}}, "two": {"files": ["b/z.root"]}}
    (data / "set.json").write_text(json.dumps(files))
    command = ["set.json", "-o", "out", "--model", "empty.vxm", "--effort", "fast"]
    assert run("compress", *command, "--scheduler", scheduler, "--no-report") == 0
    out = capsys.readouterr().out
    assert "data set" in out
    assert "two" in out
    assert not (data / "out" / "vortex-job.html").exists()
