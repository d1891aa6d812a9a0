"""Tests of ``vortex-hep jobs``."""

import json
import sqlite3

import pytest

from tests.batch.invented import BEGIN, SERVER, invented_job, outcome
from vortex_hep.batch.site.site import KINDS, load_site
from vortex_hep.batch.states import Reason
from vortex_hep.cli import main

FAILURES = dict.fromkeys(range(25), (Reason.NETWORK, "Operation expired"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two jobs, one of them below, and what looks like one."""
    folder = tmp_path_factory.mktemp("jobs")
    journal = invented_job(folder / "a.sqlite", 30, failures=FAILURES, left=2)
    journal.close()
    (folder / "deep").mkdir()
    invented_job(folder / "deep" / "b.sqlite", 3).close()
    sqlite3.connect(folder / "other.sqlite").executescript("CREATE TABLE files (x)").close()
    (folder / "broken.sqlite").write_bytes(b"no database")
    return folder


def test_list_finds_journals_and_nothing_else(folder, capsys):
    assert main(["jobs", "list", str(folder)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 4
    assert "a.sqlite" in lines[2]
    assert "compress" in lines[2]
    assert "b.sqlite" in lines[3]


def test_list_for_programs(folder, capsys):
    assert main(["jobs", "list", str(folder), "--json"]) == 0
    first, second = json.loads(capsys.readouterr().out)
    assert first["failed"]["files"] == 25
    assert first["waiting"]["files"] == 2
    assert second["done"]["files"] == 3


def test_list_of_nothing(tmp_path, capsys):
    assert main(["jobs", "list", str(tmp_path)]) == 0
    assert capsys.readouterr().out == "no jobs found\n"
    assert main(["jobs", "list", str(tmp_path / "none")]) == 1
    assert "no such folder" in capsys.readouterr().err


def test_show(folder, capsys):
    assert main(["jobs", "show", str(folder / "a.sqlite")]) == 0
    text = capsys.readouterr().out
    assert "3 of 30 files done" in text
    assert "network (25 files):" in text
    assert "... and 5 more files: vortex-hep jobs show" in text


def test_show_all_failures(folder, capsys):
    assert main(["jobs", "show", str(folder / "a.sqlite"), "--failed"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 25
    assert lines[0] == f"{SERVER}/set0/file00000.root: network: Operation expired"
    assert main(["jobs", "show", str(folder / "a.sqlite"), "--failed", "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)) == 25


def test_show_for_programs(folder, capsys):
    assert main(["jobs", "show", str(folder / "deep" / "b.sqlite"), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["total"]["done"] == 3
    assert found["document"]["options"] == {"effort": "normal"}
    assert found["groups"]["Jet"] == {"raw_bytes": 4_800_000, "stored_bytes": 900_000}


def test_inspect_tells_all_attempts(tmp_path, capsys):
    journal = invented_job(tmp_path / "j.sqlite", 1, left=1)
    [row] = journal.take(1, BEGIN)
    lost = outcome(row.number, 1, reason=Reason.CRASHED, error="the worker\nis gone")
    journal.finish([lost], retry_at={row.number: BEGIN})
    [row] = journal.take(1, BEGIN)
    journal.finish([outcome(row.number, 2)])
    journal.close()
    assert main(["jobs", "inspect", str(tmp_path / "j.sqlite"), "file00000.root"]) == 0
    text = capsys.readouterr().out
    assert f"file      {SERVER}/set0/file00000.root" in text
    assert "state     done, 2 attempts" in text
    assert "worker lost: the worker is gone" in text
    assert "adler32 11e60398" in text
    assert "stages    compress" in text
    assert "note      the model does not know Jet_new" in text
    assert "Jet" in text.splitlines()[-3]
    assert main(["jobs", "inspect", str(tmp_path / "j.sqlite"), "1", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [attempt["ok"] for attempt in found["history"]] == [False, True]


@pytest.mark.parametrize(
    "name",
    [
        "1",
        f"{SERVER}/set0/file00000.root",
        f"{SERVER}/out/file00000.vxc",
        "set0/file00000.root",
    ],
)
def test_inspect_takes_numbers_sources_targets_and_ends(folder, capsys, name):
    assert main(["jobs", "inspect", str(folder / "a.sqlite"), name]) == 0
    text = capsys.readouterr().out
    assert "set0/file00000.root" in text
    assert "to do     the server did not answer" in text


def test_inspect_of_no_or_several_files(folder, tmp_path, capsys):
    assert main(["jobs", "inspect", str(folder / "a.sqlite"), "nope.root"]) == 1
    assert "no file 'nope.root'" in capsys.readouterr().err
    from vortex_hep.batch.journal.journal import Journal
    from vortex_hep.batch.plan.inputs import InputFile

    files = [InputFile(f"/d/{n}/x.root", f"{n}/x.root", target=f"/o/{n}.vxc") for n in range(9)]
    Journal.create(tmp_path / "j.sqlite", {"command": "verify"}, files).close()
    assert main(["jobs", "inspect", str(tmp_path / "j.sqlite"), "x.root"]) == 1
    error = capsys.readouterr().err
    assert "may be any of 9 files: /d/0/x.root" in error
    assert len(error.splitlines()) == 1


@pytest.mark.slow
def test_report_is_beside_the_journal_or_where_it_is_wanted(folder, tmp_path, capsys):
    journal = str(folder / "deep" / "b.sqlite")
    assert main(["jobs", "report", journal]) == 0
    assert "b.html: written" in capsys.readouterr().out
    assert "3 of 3 files done" in (folder / "deep" / "b.html").read_text()
    assert main(["jobs", "report", journal, "-o", str(tmp_path / "r.html"), "-q"]) == 0
    assert (tmp_path / "r.html").exists()
    assert main(["jobs", "report", journal, "-o", str(tmp_path / "no" / "r.html")]) == 1
    assert len(capsys.readouterr().err.splitlines()) == 1


@pytest.mark.parametrize("action", ["show", "report", "inspect"])
def test_journals_that_are_none(folder, capsys, action):
    for name in ("broken.sqlite", "other.sqlite", "none.sqlite"):
        arguments = ["x"] if action == "inspect" else []
        assert main(["jobs", action, str(folder / name), *arguments]) == 1
        error = capsys.readouterr().err
        assert name in error
        assert len(error.splitlines()) == 1


def test_looking_at_a_running_job_disturbs_nothing(tmp_path, capsys):
    journal = invented_job(tmp_path / "j.sqlite", 4, left=2)
    assert main(["jobs", "show", str(tmp_path / "j.sqlite")]) == 0
    assert "2 of 4 files done, 2 waiting" in capsys.readouterr().out
    journal.finish([outcome(row.number, 1) for row in journal.take(2, BEGIN)])
    journal.close()


@pytest.mark.parametrize("kind", KINDS)
def test_site_prints_a_file_that_can_be_used(tmp_path, capsys, kind):
    assert main(["jobs", "site", kind]) == 0
    (tmp_path / "site.yaml").write_text(capsys.readouterr().out)
    assert load_site(tmp_path / "site.yaml").kind == kind
