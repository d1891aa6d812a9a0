"""Tests of commands on several files, folders, standard input and output."""

import io
import json
import sys
from pathlib import Path

import numpy as np
import pytest
import uproot

import vortex_hep
from vortex_hep.cli import main


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Three small files, two of one name, and one that is none."""
    monkeypatch.chdir(tmp_path)
    for name in ("a/x", "b/x", "c"):
        Path(name).parent.mkdir(exist_ok=True)
        with uproot.recreate(f"{name}.root") as file:
            file["t"] = {"x": np.arange(20)}
    Path("bad.root").write_bytes(Path("c.root").read_bytes()[:300])
    return tmp_path


def names(top="."):
    return sorted(str(path) for path in Path(top).rglob("*") if path.is_file())


def test_a_bad_file_stops_no_other(folder, capsys):
    assert main(["compress", "a/x.root", "bad.root", "none.root", "c.root", "-o", "out/"]) == 1
    said = capsys.readouterr()
    assert names("out") == ["out/c.vxc", "out/x.vxc"]
    table = said.err[said.err.index("2 of 4 files failed") :]
    assert "bad.root" in table
    assert "none.root" in table
    assert "c.root" not in table


def test_two_of_one_name_keep_their_folders(folder):
    assert main(["compress", "a/x.root", "b/x.root", "-o", "out/", "-q"]) == 0
    assert names("out") == ["out/a/x.vxc", "out/b/x.vxc"]
    assert main(["decompress", "out/a/x.vxc", "out/b/x.vxc", "-o", "back/", "-q"]) == 0
    assert names("back") == ["back/a/x.root", "back/b/x.root"]


def test_two_that_differ_in_their_suffix_keep_it(folder):
    Path("c.txt").write_text("text")
    assert main(["compress", "c.root", "c.txt", "-q"]) == 0
    assert main(["decompress", "c.root.vxc", "c.txt.vxc", "-o", "back/", "-q"]) == 0
    assert names("back") == ["back/c.root", "back/c.txt"]
    assert Path("back/c.txt").read_text() == "text"


def test_folders_are_gone_through(folder, capsys):
    Path("bad.root").unlink()
    assert main(["compress", "-r", ".", "-o", "out", "-q"]) == 0
    assert names("out") == ["out/a/x.vxc", "out/b/x.vxc", "out/c.vxc"]
    assert main(["decompress", "-r", "out", "-o", "back/", "-q"]) == 0
    assert names("back") == ["back/a/x.root", "back/b/x.root", "back/c.root"]
    capsys.readouterr()
    assert main(["compress", "a", "-q"]) == 1
    assert "-r takes the files in it" in capsys.readouterr().err


def test_what_exists_is_left_alone(folder, capsys):
    Path("c.vxc").write_bytes(b"as it was")
    assert main(["compress", "a/x.root", "c.root", "--skip-existing"]) == 0
    assert "left as it is" in capsys.readouterr().out
    assert Path("c.vxc").read_bytes() == b"as it was"
    assert main(["compress", "a/x.root", "c.root"]) == 1
    assert main(["compress", "a/x.root", "c.root", "-f", "-T0", "-k"]) == 0
    assert vortex_hep.verify("c.vxc", against="c.root").ok
    assert names() == sorted([*names("a"), *names("b"), "bad.root", "c.root", "c.vxc"])


def test_inputs_are_removed_only_if_asked_and_after_a_comparison(folder, capsys, monkeypatch):
    assert main(["compress", "a/x.root", "c.root", "-q"]) == 0
    assert Path("c.root").exists()
    assert main(["compress", "c.root", "-o", "other.vxc", "--rm", "-q"]) == 0
    assert not Path("c.root").exists()
    assert main(["decompress", "c.vxc", "-q"]) == 0
    assert Path("c.vxc").exists()
    assert main(["decompress", "c.vxc", "-f", "--rm", "-q"]) == 0
    assert Path("c.root").exists()
    assert not Path("c.vxc").exists()
    wrong = vortex_hep.VerifyReport("c.vxc", "c.root", 1, 1, ["column 'x' differs"])
    monkeypatch.setattr("vortex_hep.verify", lambda *_, **__: wrong, raising=False)
    assert main(["compress", "c.root", "--rm", "-q"]) == 3
    assert Path("c.root").exists()


@pytest.mark.parametrize(
    "words",
    [
        ["compress", "--rm", "--tree", "t", "c.root"],
        ["compress", "--rm", "-"],
        ["decompress", "--rm", "-"],
        ["compress", "-f", "--skip-existing", "c.root"],
        ["compress", "c.root", "a/x.root", "-o", "-"],
    ],
)
def test_what_contradicts_itself_is_wrong_usage(folder, words):
    with pytest.raises(SystemExit) as stop:
        main(words)
    assert stop.value.code == 2
    assert Path("c.root").exists()


class Stream(io.TextIOWrapper):
    """Standard input or output as a pipe or a terminal."""

    def __init__(self, content=b"", *, terminal=False):
        self.written = io.BytesIO(content)
        super().__init__(self.written)
        self.terminal = terminal

    def isatty(self):
        return self.terminal


@pytest.fixture
def through(monkeypatch):
    """Run a command on what stands on standard input; give what it wrote."""

    def run(words, content=b"", code=0, *, terminal=False):
        out = Stream(terminal=terminal)
        with monkeypatch.context() as patch:
            patch.setattr(sys, "stdin", Stream(content, terminal=terminal))
            patch.setattr(sys, "stdout", out)
            assert main(words) == code
        out.flush()
        return out.written.getvalue()

    return run


def test_through_pipes(folder, through):
    source = Path("c.root").read_bytes()
    archive = through(["compress", "-", "--exact", "-q"], source)
    assert through(["decompress", "-", "-q"], archive) == source
    assert through(["compress", "c.root", "-c", "--exact", "-q"]) == archive or archive
    assert through(["compress", "c.root", "-o", "-", "-q"])[:8] == archive[:8]
    Path("c.vxc").write_bytes(archive)
    assert through(["decompress", "c.vxc", "-o", "-"]) == source
    through(["verify", "-", "--against", "c.root", "-q"], archive)
    assert b"tree t: 20 entries" in through(["info", "-"], archive)
    through(["compress", "-", "-o", "d.vxc", "-q"], source)
    assert main(["decompress", "d.vxc", "-q"]) == 0
    assert "-" not in names()
    assert Path("d.root").exists()


def test_terminals_get_no_archives(folder, through, capsys):
    assert through(["compress", "c.root", "-o", "-"], code=1, terminal=True) == b""
    assert through(["decompress", "-"], code=1, terminal=True) == b""
    assert capsys.readouterr().err.count("terminal") == 2


def test_verify_many(folder, capsys):
    assert main(["compress", "a/x.root", "c.root", "-q", "-o", "out/"]) == 0
    Path("out/broken.vxc").write_bytes(Path("out/c.vxc").read_bytes()[:-9])
    capsys.readouterr()
    assert main(["verify", "-r", "out", "--json", "-q"]) == 3
    found = json.loads(capsys.readouterr().out)
    assert [row["ok"] for row in found] == [False, True, True]
    assert "error" in found[0]
    assert main(["verify", "out/c.vxc", "--json", "-q"]) == 0
    assert json.loads(capsys.readouterr().out)["entries"] == 20
    assert main(["verify", "out/c.vxc", "none.vxc", "-q"]) == 1
    vortex_hep.Model({}).save("m.vxm")
    assert main(["verify", "m.vxm"]) == 0
    Path("m.vxm").write_bytes(Path("m.vxm").read_bytes()[:-1] + b"?")
    assert main(["verify", "m.vxm"]) == 3


def test_verify_against_a_folder_of_sources(folder):
    assert main(["compress", "a/x.root", "b/x.root", "c.root", "-q", "-o", "out/"]) == 0
    assert main(["verify", "-r", "out", "--against", ".", "-q"]) == 0
    archives = ["out/a/x.vxc", "out/b/x.vxc", "out/c.vxc"]
    assert main(["verify", *archives, "--against", ".", "-q"]) == 0
    with uproot.recreate("b/x.root") as file:
        file["t"] = {"x": np.arange(20) + 1}
    assert main(["verify", *archives, "--against", ".", "-q"]) == 3


def test_differences_outside_of_branches_have_a_code_of_their_own(folder, capsys):
    assert main(["compress", "c.root", "-q"]) == 0
    with uproot.recreate("d.root", compression=uproot.LZMA(3)) as file:
        file["t"] = {"x": np.arange(20)}
        file["h"] = np.histogram(np.arange(4))
    assert main(["verify", "c.vxc", "--against", "d.root"]) == 4
    assert "every branch" in capsys.readouterr().err
    with uproot.recreate("d.root") as file:
        file["t"] = {"x": np.arange(20) * 2}
    assert main(["verify", "c.vxc", "--against", "d.root"]) == 3


def test_info_of_many(folder, capsys):
    assert main(["compress", "a/x.root", "c.root", "-q", "-o", "out/"]) == 0
    assert main(["info", "out/x.vxc", "out/c.vxc"]) == 0
    assert capsys.readouterr().out.count("tree t: 20 entries") == 2
    assert main(["info", "-r", "out", "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)) == 2
    assert main(["info", "out/x.vxc", "none.vxc"]) == 1


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        (["comprss", "c.root"], "'compress'"),
        (["compress", "c.root", "--modle", "m.vxm"], "'--model'"),
        (["compress", "c.root", "--effort", "fats"], "'fast'"),
        (["dataset", "comprss", "x"], "'compress'"),
        (["jobs", "shw", "x"], "'show'"),
    ],
)
def test_misspelt_words(words, meant, capsys):
    with pytest.raises(SystemExit):
        main(words)
    assert f"did you mean {meant}" in capsys.readouterr().err


def test_misspelt_trees(folder, capsys):
    assert main(["compress", "c.root", "--tree", "tt"]) == 1
    assert "did you mean 't'" in capsys.readouterr().err
