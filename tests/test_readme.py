"""Tests that what the README promises exists."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from vortex_hep.cli.main import build_parser
from vortex_hep.core.version import __version__

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


def shell_lines():
    blocks = re.findall(r"```sh\n(.*?)```", README, flags=re.DOTALL)
    lines = [line.partition("#")[0].strip() for block in blocks for line in block.splitlines()]
    return [line for line in lines if line.startswith("vortex-hep ")]


@pytest.mark.parametrize("line", shell_lines())
def test_commands_parse(line):
    build_parser().parse_args(line.split()[1:])


@pytest.mark.slow
def test_commands_run_as_printed(tmp_path):
    """In an empty folder, one after the other."""
    if shutil.which("bash") is None:
        pytest.skip("bash is not installed")
    (block,) = re.findall(r"<!-- commands that run -->\n```sh\n(.*?)```", README, flags=re.DOTALL)
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    for line in filter(None, block.splitlines()):
        done = subprocess.run(
            ["bash", "-o", "pipefail", "-ec", line], cwd=tmp_path, capture_output=True,
            env={**os.environ, "PATH": path}, check=False,
        )  # fmt: skip
        assert done.returncode == 0, (line, done.stderr)
    names = {item.name for item in tmp_path.iterdir()}
    assert {"1.vxc", "restored.root", "ttbar.vxm", "any.root", "pipe.root"} <= names
    assert (tmp_path / "any.root").read_bytes() == (tmp_path / "3.root").read_bytes()
    assert len(list((tmp_path / "archives").glob("[123].vxc"))) == 3


def test_there_are_commands_to_check():
    assert len(shell_lines()) >= 5


@pytest.mark.parametrize(
    ("name", "does"), [("test", "python -m pytest"), ("demo", "vortex-hep demo")]
)
def test_one_command_for_readers_and_for_ci(name, does):
    found = re.findall(rf"<!-- {name} command -->\n```sh\n([^\n]+)\n```", README)
    assert len(found) == 1
    assert f"&& .venv/bin/{does}" in found[0]
    assert f'from_readme "{name} command"' in (ROOT / ".ci" / "run").read_text()


@pytest.mark.parametrize("path", sorted(ROOT.glob("*.md")) + sorted(ROOT.glob("*/*.md")), ids=str)
def test_links_lead_somewhere(path):
    for target in re.findall(r"\]\(([^)#:]+)\)", path.read_text()):
        assert (path.parent / target).exists(), f"{path.name} links to {target}"


def test_version_is_the_same_everywhere():
    assert f"\nversion: {__version__}\n" in (ROOT / "CITATION.cff").read_text()
    assert f" {__version__}\n" in (ROOT / "CHANGELOG.md").read_text()
