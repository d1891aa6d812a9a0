"""Tests of completion and manual pages, which follow from the parsers."""

import shutil
import subprocess
import sys

import pytest

from vortex_hep.cli import main
from vortex_hep.cli.common.manpages import pages
from vortex_hep.cli.main import COMMANDS, build_parser


@pytest.mark.parametrize("shell", ["bash", "zsh", "tcsh"])
def test_completion_knows_commands_and_options(shell, capsys):
    pytest.importorskip("shtab", reason="needs the extra 'completion'")
    assert main(["completion", shell]) == 0
    script = capsys.readouterr().out
    for word in ("decompress", "skip-existing", "against"):
        assert word in script


def test_bash_takes_the_completion(tmp_path):
    pytest.importorskip("shtab", reason="needs the extra 'completion'")
    if shutil.which("bash") is None:
        pytest.skip("bash is not installed")
    made = subprocess.run(
        [sys.executable, "-m", "vortex_hep", "completion", "bash"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    subprocess.run(["bash", "-n"], input=made.stdout, text=True, check=True)


def test_completion_without_shtab_names_the_remedy(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "shtab", None)
    assert main(["completion", "bash"]) == 1
    assert "completion" in capsys.readouterr().err


def test_every_command_has_a_manual_page(tmp_path, capsys):
    assert main(["man", "-o", str(tmp_path / "man1")]) == 0
    found = {path.name: path.read_text() for path in (tmp_path / "man1").iterdir()}
    assert len(found) > len(COMMANDS)
    for name in ("vortex-hep.1", "vortex-hep-compress.1", "vortex-hep-dataset-train.1",
                 "vortex-compress.1", "vortex-decompress.1"):  # fmt: skip
        assert found[name].startswith(".TH")
    page = found["vortex-hep-verify.1"]
    for section in ("NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS", "EXAMPLES", "EXIT CODES"):
        assert f".SH {section}\n" in page
    assert r"\fB\-\-against\fR \fIFILE\fR" in page
    assert "manual pages" in capsys.readouterr().out


def test_manual_pages_have_no_stray_requests():
    known = {".TH", ".SH", ".PP", ".TP", ".nf", ".fi"}
    for text in pages(build_parser()).values():
        for line in text.splitlines():
            assert line[:1] not in (".", "'") or line.split()[0] in known
