"""Tests that git and hooks change no byte of files that tests compare bit for bit."""

import re
import subprocess

import pytest

from tests.repository.files import ROOT, read_yaml

PROTECTED = [
    path.relative_to(ROOT).as_posix()
    for folder in ("tests/golden", "tests/readers/root/files")
    for path in sorted((ROOT / folder).rglob("*"))
    if path.is_file() and path.suffix not in (".py", ".pyc")
]


@pytest.fixture(scope="module")
def attributes(tmp_path_factory):
    """What git would do with a path, in a repository that has nothing but our rules."""
    folder = tmp_path_factory.mktemp("attributes")
    subprocess.run(["git", "init", "-q", folder], check=True)
    (folder / ".gitattributes").write_bytes((ROOT / ".gitattributes").read_bytes())

    def of(*paths):
        run = subprocess.run(
            ["git", "-C", folder, "check-attr", "text", "eol", "--", *paths],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        rows = (line.rsplit(": ", 2) for line in run.stdout.splitlines())
        return {(path, name): value for path, name, value in rows}

    return of


def test_there_is_something_to_protect():
    assert len(PROTECTED) > 20
    assert any(b"\r\n" in (ROOT / p).read_bytes() for p in PROTECTED if p.endswith(".hepmc2"))


def test_git_converts_nothing(attributes):
    found = attributes(*PROTECTED)
    assert {p for p in PROTECTED if found[p, "text"] != "unset"} == set()


def test_git_gives_code_one_line_end(attributes):
    code = ["vortex_hep/__init__.py", "tests/golden/make_golden.py", ".ci/run"]
    found = attributes(*code)
    for path in code:
        assert (found[path, "text"], found[path, "eol"]) == ("set", "lf")


def test_hooks_leave_them_alone():
    config = read_yaml(".pre-commit-config.yaml")
    excluded = re.compile(config["exclude"])
    assert [p for p in PROTECTED if not excluded.search(p)] == []
    for path in ("tests/golden/make_golden.py", "tests/batch/faults.py", "docs/SPEC.md"):
        assert not excluded.search(path)
