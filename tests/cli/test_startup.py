"""Tests of the command's start: nothing heavy is imported before a sub-command runs."""

import subprocess
import sys

import pytest

from vortex_hep.cli.main import COMMANDS

HEAVY = (
    "torch", "numba", "uproot", "awkward", "numpy", "matplotlib", "h5py", "dask", "distributed",
)  # fmt: skip

SCRIPT = """
import sys
from vortex_hep.cli import main
try:
    main(sys.argv[1:])
except SystemExit as stop:
    assert stop.code == 0, stop.code
print("loaded:", *(name for name in {heavy!r} if name in sys.modules), file=sys.stderr)
"""

NAMES = [module.__name__.rpartition(".")[2].replace("_", "-") for module in COMMANDS]
ALL = [
    *((name,) for name in NAMES),
    *(("dataset", name) for name in ("train", "compress", "verify", "restore")),
    *(("jobs", name) for name in ("list", "show", "inspect", "report", "resume", "site")),
]


def loaded(*arguments):
    """Heavy modules that the command line loads, and what it prints."""
    result = subprocess.run(
        [sys.executable, "-c", SCRIPT.format(heavy=HEAVY), *arguments],
        capture_output=True,
        text=True,
        check=True,
    )
    return result.stderr.splitlines()[-1].split()[1:], result.stdout


@pytest.mark.parametrize(
    "arguments", [["--help"], ["--version"], *([*names, "--help"] for names in ALL)], ids=" ".join
)
def test_help_and_version_import_nothing_heavy(arguments):
    heavy, text = loaded(*arguments)
    assert heavy == []
    assert "vortex-hep" in text


@pytest.mark.parametrize("names", ALL, ids=" ".join)
def test_every_command_teaches_by_example(names):
    _, text = loaded(*names, "--help")
    usage, _, examples = text.partition("examples:")
    assert f"vortex-hep {' '.join(names)}" in usage
    assert f"vortex-hep {' '.join(names)}" in examples


def test_module_is_a_program():
    result = subprocess.run(
        [sys.executable, "-m", "vortex_hep", "--version"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert result.stdout.startswith("vortex-hep ")
