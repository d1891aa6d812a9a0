"""Tests of failures on the command line: one line on stderr and a documented exit code."""

import os
import subprocess
import sys

import pytest

from vortex_hep.cli import example as example_command
from vortex_hep.cli import main
from vortex_hep.errors import SourceError, VerificationError


@pytest.fixture
def fails_with(monkeypatch):
    """Make a sub-command raise, and run it."""

    def run(error, *options):
        def fail(_):
            raise error

        monkeypatch.setattr(example_command, "run", fail)
        return main(["example", "x.root", *options])

    return run


def test_error_is_one_line_with_place_and_hint(fails_with, capsys):
    error = SourceError("is cut short\nhere", path="a.root", tree="Events", hint="copy it again")
    assert fails_with(error) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == (
        "vortex-hep: error: a.root, tree 'Events': is cut short here (copy it again)\n"
    )


def test_debug_adds_the_traceback(fails_with, capsys):
    assert fails_with(SourceError("broken"), "--debug") == 1
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith("Traceback")
    assert lines[-1] == "vortex-hep: error: broken"


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (VerificationError("Jet_pt differs"), 3),
        (OSError("disk on fire"), 1),
        (MemoryError(), 1),
        (KeyboardInterrupt(), 130),
    ],
)
def test_exit_code_of(fails_with, capsys, error, code):
    assert fails_with(error) == code
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("vortex-hep: ")


def test_a_defect_keeps_its_traceback(fails_with):
    with pytest.raises(ZeroDivisionError):
        fails_with(ZeroDivisionError())


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["nonsense"],
        ["compress"],
        ["example", "--events", "0"],
        ["train", "a.root", "--device", "abacus"],
        ["compress", "a.root", "--no-embed"],
        ["compress", "a.root", "b.root", "-o", "one.vxc"],
    ],
)
def test_wrong_usage_is_two(arguments, capsys):
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    assert stop.value.code == 2
    assert "usage: vortex-hep" in capsys.readouterr().err


def test_output_that_exists_is_refused_before_any_work(tmp_path, capsys):
    target = tmp_path / "out.vxc"
    target.write_bytes(b"precious")
    assert main(["compress", "missing.root", "-o", str(target)]) == 1
    assert "exists already (--overwrite replaces it)" in capsys.readouterr().err
    assert target.read_bytes() == b"precious"


def test_output_folder_must_exist(tmp_path, capsys):
    assert main(["example", str(tmp_path / "none" / "x.root")]) == 1
    assert "its folder does not exist" in capsys.readouterr().err


def test_a_reader_that_leaves_is_no_error(tmp_path):
    """As in ``vortex-hep example x.root | true``."""
    read_end, write_end = os.pipe()
    os.close(read_end)
    result = subprocess.run(
        [sys.executable, "-m", "vortex_hep", "example", str(tmp_path / "x.root"), "--events", "5"],
        stdout=write_end,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    os.close(write_end)
    assert (result.returncode, result.stderr) == (141, "")
