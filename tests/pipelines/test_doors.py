"""Tests of ``python -m pipelines.NAME`` in a checkout: the same as ``vortex-hep dataset``."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOORS = {
    "train_model": "train",
    "compress_dataset": "compress",
    "verify_dataset": "verify",
    "restore_dataset": "restore",
}


def python_m(name, *arguments):
    return subprocess.run(
        [sys.executable, "-m", f"pipelines.{name}", *arguments],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip


@pytest.mark.parametrize(("name", "command"), DOORS.items())
def test_help_is_that_of_the_command(name, command):
    shown = python_m(name, "--help")
    assert shown.returncode == 0
    assert shown.stdout.startswith(f"usage: vortex-hep dataset {command} ")


def test_arguments_and_exit_codes_go_through():
    refused = python_m("compress_dataset", "none.root", "--workers", "0")
    assert refused.returncode == 2
    assert "--workers" in refused.stderr
    failed = python_m("verify_dataset", "no-such-folder", "-q")
    assert failed.returncode == 1
    assert "no-such-folder" in failed.stderr
    assert len(failed.stderr.splitlines()) == 1
