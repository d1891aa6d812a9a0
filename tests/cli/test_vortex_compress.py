"""Tests of ``vortex-compress`` and ``vortex-decompress``."""

from __future__ import annotations

import importlib
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import uproot

import vortex_hep
from vortex_hep.cli import compress, decompress, main
from vortex_hep.cli.vortex_compress import main as vortex_compress
from vortex_hep.cli.vortex_decompress import main as vortex_decompress

PROJECT = Path(__file__).parents[2] / "pyproject.toml"
PROGRAMS = {"vortex-compress": vortex_compress, "vortex-decompress": vortex_decompress}


def run(program, *arguments):
    return program([str(argument) for argument in arguments])


@pytest.fixture
def file(tmp_path):
    """Records of three bytes, each likely to be as in the one before, and a part of one."""
    path = tmp_path / "file.bin"
    rng = np.random.default_rng(4)
    data = rng.choice([7, 9, 200], (8000, 3), p=[0.9, 0.06, 0.04]).astype("u1")
    data[:, 1] = np.where(rng.random(8000) < 0.5, data[:, 0], data[:, 1])
    path.write_bytes(data.tobytes() + b"x")
    return path


def test_there_and_back_by_place(file, capsys):
    data = file.read_bytes()
    assert run(vortex_compress, file, "--effort", "fast") == 0
    said = capsys.readouterr()
    assert said.out.startswith(f"{file.with_suffix('.vxc')}: ")
    assert f"vortex-compress: note: {file}: the file (0.024 MB) is carried whole" in said.err
    file.unlink()
    assert run(vortex_decompress, file.with_suffix(".vxc")) == 0
    assert "restored byte for byte, 24001 bytes, adler32 " in capsys.readouterr().out
    assert file.read_bytes() == data


def test_there_and_back_with_a_model(file, tmp_path, capsys):
    """Files are named by options, and the model says that they are records."""
    model, archive, out = (tmp_path / name for name in ("m.vxm", "to/file.vxc", "recovered.bin"))
    archive.parent.mkdir()
    learn = ["--seconds", 1, "--effort", "fast", "--expected-rows", 10**7, "-q"]
    assert run(main, "train", file, "--record", 3, "-o", model, *learn) == 0
    names = ["--model", model, "--input", file, "--output", archive.parent]
    assert run(vortex_compress, *names, "--no-embed", "--threads", 1, "--device", "cpu") == 0
    said = capsys.readouterr()
    assert said.out.startswith(f"{archive}: ")
    assert "8000 records" in said.err
    assert "taken as records, 8000 of 3 bytes and 1 behind the last" in said.err
    assert run(vortex_decompress, "--input", archive, "--output", out) == 1
    assert "needs model" in capsys.readouterr().err
    assert not out.exists()
    assert run(vortex_decompress, "--model", model, "--input", archive, "--output", out, "-q") == 0
    assert out.read_bytes() == file.read_bytes()
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("options", [[], ["--record", "1000"]])
def test_a_root_file_comes_back_byte_for_byte(tmp_path, options):
    source, archive, out = (tmp_path / name for name in ("in.root", "a.vxc", "out.root"))
    with uproot.recreate(source, compression=uproot.ZLIB(1)) as root:
        root.mktree("t", {"x": np.int32})
        root["t"].extend({"x": np.arange(90, dtype=np.int32) % 7})
    assert run(vortex_compress, "-i", source, "-o", archive, *options, "--no-check", "-q") == 0
    with vortex_hep.open(archive) as found:
        assert found.source["kind"] == ("bytes" if options else "root")
    assert run(vortex_decompress, "-i", archive, "-o", out) == 0
    assert out.read_bytes() == source.read_bytes()


@pytest.mark.parametrize("name", PROGRAMS)
@pytest.mark.parametrize(
    "arguments", [[], ["a", "--input", "b"], ["a", "b"], ["a", "--record", "0"], ["a", "--config"]]
)
def test_wrong_usage_is_two(name, arguments, capsys):
    with pytest.raises(SystemExit) as stop:
        PROGRAMS[name](arguments)
    assert stop.value.code == 2
    assert f"usage: {name}" in capsys.readouterr().err


@pytest.mark.parametrize("name", PROGRAMS)
def test_failures_are_one_line_by_the_commands_own_name(name, tmp_path, capsys):
    assert run(PROGRAMS[name], tmp_path / "missing.vxc", "-o", tmp_path / "out", "-q") == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"{name}: error: {tmp_path / 'missing.vxc'}")
    assert list(tmp_path.iterdir()) == []


def test_an_output_that_exists_stays_unless_told(file, capsys):
    archive = file.with_suffix(".vxc")
    archive.write_bytes(b"precious")
    assert run(vortex_compress, file, "--effort", "fast") == 1
    assert "--overwrite replaces it" in capsys.readouterr().err
    assert archive.read_bytes() == b"precious"
    assert run(vortex_compress, file, "--effort", "fast", "--overwrite", "-q") == 0
    assert run(vortex_decompress, archive) == 1
    assert "--overwrite replaces it" in capsys.readouterr().err


@pytest.mark.parametrize("name", PROGRAMS)
def test_interrupted_is_130(name, monkeypatch, capsys):
    def stop(_):
        raise KeyboardInterrupt

    for module in (compress, decompress):
        monkeypatch.setattr(module, "run", stop)
    assert run(PROGRAMS[name], "x.vxc") == 130
    assert capsys.readouterr().err == f"{name}: interrupted\n"


@pytest.mark.parametrize("name", PROGRAMS)
def test_help_teaches_at_once(name):
    module = f"vortex_hep.cli.{name.replace('-', '_')}"
    script = (
        "import sys, importlib, contextlib\n"
        f"with contextlib.suppress(SystemExit): importlib.import_module({module!r}).main()\n"
        "print(sorted({'torch', 'numba', 'numpy', 'uproot'} & set(sys.modules)), file=sys.stderr)"
    )
    result = subprocess.run(
        [sys.executable, "-c", script, "--help"], capture_output=True, text=True, check=True
    )
    assert result.stderr == "[]\n"
    assert result.stdout.startswith(f"usage: {name} ")
    assert result.stdout.count(f"\n  {name} ") >= 3


def test_every_script_of_the_project_is_there():
    text = PROJECT.read_text(encoding="utf-8")
    section = text.split("[project.scripts]\n")[1].split("\n[")[0]
    scripts = dict(re.findall(r'^(\S+) = "(\S+)"$', section, re.MULTILINE))
    assert set(scripts) >= {"vortex-hep", *PROGRAMS}
    for place in scripts.values():
        module, _, name = place.partition(":")
        assert callable(getattr(importlib.import_module(module), name))
