"""Tests of ``vortex-hep evaluate``."""

import json

import pytest

from vortex_hep.cli import evaluate as command
from vortex_hep.cli import main
from vortex_hep.errors import CorruptionError
from vortex_hep.testing.bench.rivals import bytecodecs

QUICK = ["--levels", "quick", "--codecs", "zstd, bz2", "--quiet"]


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "notes.txt"
    path.write_bytes(b"again and again\n" * 300)
    return path


def test_table_json_and_plot(source, tmp_path, capsys):
    other = tmp_path / "more.bin"
    other.write_bytes(bytes(range(256)) * 20)
    out = tmp_path / "out"
    assert main(["evaluate", str(source), str(other), "-o", str(out), *QUICK]) == 0
    text = capsys.readouterr().out
    assert text.count("bits/byte") == 3  # two files and both
    assert "all 2 files: 9.92 kB" in text
    assert {path.name for path in out.iterdir()} == {"evaluate.json", "evaluate.png"}
    assert (out / "evaluate.png").read_bytes().startswith(b"\x89PNG")
    plain = json.loads((out / "evaluate.json").read_text())
    assert [file["file"] for file in plain["files"]] == ["notes.txt", "more.bin"]
    first = {m["codec"]: m for m in plain["files"][0]["measurements"]}
    assert set(first) == {"zstd -3", "zstd -19", "bz2 -9"}
    assert all(m["verified"] for m in first.values())
    stored = len(bytecodecs.byte_codecs(["bz2"])[-1].encode(source.read_bytes()))
    assert first["bz2 -9"]["bits_per_byte"] == round(8 * stored / 4800, 6)
    assert f"{8 * stored / 4800:.4f}" in text


def test_json_elsewhere_no_plot_and_a_cut(source, tmp_path, capsys):
    path = tmp_path / "x.json"
    options = ["--json", str(path), "--no-plot", "--max-bytes", "100", "--overwrite", *QUICK]
    path.write_text("old")
    assert main(["evaluate", str(source), "-o", str(tmp_path), *options]) == 0
    assert "note: only the first 100 of 4,800 bytes were taken" in capsys.readouterr().out
    assert json.loads(path.read_text())["files"][0]["raw_bytes"] == 100
    assert {p.name for p in tmp_path.iterdir()} == {"x.json", "notes.txt"}


@pytest.mark.parametrize("name", ["none", "empty"])
def test_what_cannot_be_measured_is_one_line(name, source, tmp_path, capsys):
    (tmp_path / "empty").touch()
    arguments = [str(source), str(tmp_path / name), "-o", str(tmp_path / "out"), *QUICK]
    assert main(["evaluate", *arguments]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert len(captured.err.splitlines()) == 1
    assert str(tmp_path / name) in captured.err
    assert list((tmp_path / "out").iterdir()) == []


def test_an_output_that_exists_is_refused_before_any_work(source, tmp_path, capsys):
    (tmp_path / "evaluate.png").write_text("precious")
    assert main(["evaluate", str(source), "-o", str(tmp_path), *QUICK]) == 1
    captured = capsys.readouterr()
    assert "exists already" in captured.err
    assert captured.out == ""


def test_a_codec_that_lies_is_another_exit_code(source, tmp_path, monkeypatch, capsys):
    liar = bytecodecs.Family(lambda data, level: data, lambda data: data + b"!", (1,), (1,))
    monkeypatch.setitem(bytecodecs.FAMILIES, "zstd", liar)
    assert main(["evaluate", str(source), "-o", str(tmp_path / "out"), *QUICK]) == 3
    assert "zstd -1 does not give back" in capsys.readouterr().err
    assert list((tmp_path / "out").iterdir()) == []


def test_wrong_options(source, tmp_path, capsys):
    with pytest.raises(SystemExit) as stop:
        main(["evaluate", str(source), "--codecs", ""])
    assert stop.value.code == 2
    assert "nothing to measure" in capsys.readouterr().err
    assert main(["evaluate", str(source), "--codecs", "zpaq", "-o", str(tmp_path)]) == 1
    assert "there are gzip" in capsys.readouterr().err


def test_models_are_loaded_and_named(source, tmp_path, monkeypatch):
    """Two models of one name go by their paths."""
    monkeypatch.setattr("vortex_hep.cli.common.files.load_model", lambda path: f"model of {path}")
    assert command._models(["a/m.vxm", "b/m.vxm", "b/n.vxm"]) == {
        "a/m.vxm": "model of a/m.vxm",
        "b/m.vxm": "model of b/m.vxm",
        "n.vxm": "model of b/n.vxm",
    }
    monkeypatch.undo()
    broken = tmp_path / "m.vxm"
    broken.write_bytes(b"")
    with pytest.raises((CorruptionError, ValueError), match=r"m\.vxm"):
        command._models([str(broken)])


def test_both_helps_tell_the_two_commands_apart(capsys):
    for name, other in (("bench", "evaluate"), ("evaluate", "bench")):
        with pytest.raises(SystemExit):
            main([name, "--help"])
        assert f"'vortex-hep {other}'" in capsys.readouterr().out


def test_help_names_all_codecs(capsys):
    with pytest.raises(SystemExit):
        main(["evaluate", "--help"])
    assert ",".join(bytecodecs.FAMILIES) in capsys.readouterr().out
