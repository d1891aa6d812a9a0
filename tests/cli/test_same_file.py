"""Tests of commands whose output is one of their inputs: refused, and nothing is lost."""

import os
import shutil
import stat
from pathlib import Path

import numpy as np
import pytest
import uproot

import vortex_hep
from vortex_hep.cli import main
from vortex_hep.codec.weights.safetensors import write_safetensors


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Inputs of all commands, each with links to it."""
    monkeypatch.chdir(tmp_path)
    with uproot.recreate("x.root") as file:
        file["t"] = {"x": np.arange(50)}  # too few to fit a model to
    vortex_hep.compress_file("x.root", "x.vxc", effort="fast")
    with open("w.safetensors", "wb") as file:  # noqa: PTH123
        write_safetensors(file, {"w": np.arange(6, dtype=np.float32)})
    assert main(["compress-weights", "w.safetensors", "-o", "w.vxw", "-q"]) == 0
    for name in ("x.root", "x.vxc", "w.safetensors", "w.vxw"):
        os.symlink(name, f"soft-{name}")  # noqa: PTH211
        os.link(name, f"hard-{name}")
    return tmp_path


COMMANDS = {
    "compress": ("x.root", ["compress"]),
    "train": ("x.root", ["train", "--seconds", "1"]),
    "decompress": ("x.vxc", ["decompress"]),
    "compress-weights": ("w.safetensors", ["compress-weights"]),
    "restore-weights": ("w.vxw", ["compress-weights", "--restore"]),
    "dataset train": ("x.root", ["dataset", "train", "--seconds", "1"]),
}


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("by", ["", "./", "soft-", "hard-"])
def test_an_output_that_is_the_input_is_refused(folder, capsys, command, by):
    name, words = COMMANDS[command]
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    for source, output in ((name, f"{by}{name}"), (f"{by}{name}", name)):
        assert main([*words, source, "-o", output, "--overwrite", "-q"]) == 1
        assert "the same file" in capsys.readouterr().err
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_another_input_and_the_model_are_safe_too(folder, capsys):
    shutil.copy("x.root", "y.root")
    assert main(["train", "x.root", "y.root", "-o", "y.root", "--overwrite", "-q"]) == 1
    vortex_hep.Model({}).save("m.vxm")
    before = (folder / "m.vxm").read_bytes()
    assert main(["compress", "x.root", "--model", "m.vxm", "-o", "m.vxm", "--overwrite"]) == 1
    assert main(["decompress", "x.vxc", "--model", "m.vxm", "-o", "m.vxm", "--overwrite"]) == 1
    assert main(["train", "x.root", "--base", "m.vxm", "-o", "m.vxm", "--overwrite", "-q"]) == 1
    assert capsys.readouterr().err.count("the same file") == 4
    assert (folder / "m.vxm").read_bytes() == before


def test_a_file_object_may_not_be_the_source(folder):
    with open("x.root", "r+b") as file, pytest.raises(vortex_hep.OutputError):  # noqa: PTH123
        vortex_hep.compress_file("x.root", file)


def mode(path):
    return stat.S_IMODE(Path(path).stat().st_mode)


@pytest.mark.parametrize("exact", [[], ["--exact"]])
def test_private_files_stay_private(folder, exact):
    (folder / "x.root").chmod(0o600)
    assert main(["compress", "x.root", "-o", "p.vxc", *exact, "-q", "--effort", "fast"]) == 0
    assert main(["decompress", "p.vxc", "-o", "p.root", "-q"]) == 0
    assert mode("p.vxc") == mode("p.root") == 0o600
    (folder / "w.safetensors").chmod(0o600)
    assert main(["compress-weights", "w.safetensors", "-o", "p.vxw", "-q"]) == 0
    assert main(["compress-weights", "p.vxw", "--restore", "-o", "p.safetensors", "-q"]) == 0
    assert mode("p.vxw") == mode("p.safetensors") == 0o600
