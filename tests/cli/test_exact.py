"""Tests of the commands on archives that promise the bytes of their source."""

import gzip
import json

import numpy as np
import pytest
import uproot

from vortex_hep.cli import main


@pytest.fixture
def source(tmp_path):
    """A small ROOT file."""
    path = tmp_path / "in.root"
    with uproot.recreate(path, compression=uproot.ZLIB(1)) as file:
        file.mktree("t", {"x": np.int32})
        file["t"].extend({"x": np.arange(90, dtype=np.int32) % 7})
    return path


def run(*arguments):
    return main([str(argument) for argument in arguments])


def test_there_and_back(source, tmp_path, capsys):
    assert run("compress", source, "--exact", "--effort", "fast") == 0
    said = capsys.readouterr().err.splitlines()
    assert said[0].startswith(f"vortex-hep: note: {source}: ")
    assert "come out the same when they are compressed again" in said[0]
    assert sum("come out the same" in line for line in said) == 1
    assert any("the file comes back byte for byte" in line for line in said)
    archive, out = tmp_path / "in.vxc", tmp_path / "out.root"
    assert run("info", archive) == 0
    assert f"restores {source.stat().st_size} bytes of adler32 " in capsys.readouterr().out
    assert run("info", archive, "--json") == 0
    assert json.loads(capsys.readouterr().out)["exact"]["size"] == source.stat().st_size
    assert run("decompress", archive, "-o", out) == 0
    said = capsys.readouterr()
    assert "restored byte for byte" in said.out
    assert "--compression" not in said.err
    assert out.read_bytes() == source.read_bytes()
    assert run("verify", archive, "--against", out, "-q") == 0


def test_compression_is_ignored_and_that_is_said(source, tmp_path, capsys):
    assert run("compress", source, "--exact", "--effort", "fast", "-q") == 0
    archive, out = tmp_path / "in.vxc", tmp_path / "out.root"
    capsys.readouterr()
    assert run("decompress", archive, "-o", out, "--compression", "lzma:1") == 0
    assert "--compression is ignored" in capsys.readouterr().err
    assert out.read_bytes() == source.read_bytes()
    again = ["-o", out, "--overwrite", "--no-exact", "--compression", "lzma:1"]
    assert run("decompress", archive, *again, "-q") == 0
    assert capsys.readouterr().err == ""
    assert out.read_bytes() != source.read_bytes()
    assert run("verify", archive, "--against", out, "-q") == 4  # no branch differs
    assert "where the archive promises" in capsys.readouterr().out


def test_a_dry_run_only_tells(source, tmp_path, capsys):
    packed = tmp_path / "in.txt.gz"
    packed.write_bytes(gzip.compress(b"no events"))
    assert run("compress", source, packed, "--exact", "--dry-run") == 0
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith(f"{source}: ")
    assert "of the file is made anew" in first
    assert second.startswith(f"{packed}: the file (2.9e-05 MB) is carried whole")
    assert not (tmp_path / "in.vxc").exists()
    with pytest.raises(SystemExit) as error:
        run("compress", source, "--dry-run")
    assert error.value.code == 2
    assert "--dry-run needs --exact" in capsys.readouterr().err


def test_what_cannot_be_promised_is_refused(source, tmp_path, capsys):
    with uproot.update(source) as file:
        file.mktree("other", {"x": np.int32})
    assert run("compress", source, "--exact", "--tree", "t", "-q") == 1
    assert "ask for all trees" in capsys.readouterr().err
    assert not (tmp_path / "in.vxc").exists()
