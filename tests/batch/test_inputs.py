"""Tests of job inputs: files, folders, patterns and lists as one list of files."""

from __future__ import annotations

import gzip
import json

import pytest

from tests.xrootd import XrootdServer, xrootd, xrootd_base
from vortex_hep.batch.plan.inputs import find_inputs
from vortex_hep.core.storage.paths import same_file_key
from vortex_hep.errors import MissingError, NetworkError, SourceError, UnsupportedTypeError

__all__ = ["xrootd", "xrootd_base"]


@pytest.fixture
def tree(tmp_path, monkeypatch):
    """A folder of files, in which the test runs."""
    for name in ("mc/a/x.root", "mc/a/y.h5", "mc/b/x.root", "mc/b/z.hepmc3.gz", "mc/notes.md",
                 "mc/.hidden.root", "mc/a/old.vxc"):  # fmt: skip
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x" * len(name))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def listed(found):
    return [(file.source, file.relative) for file in found]


def test_a_folder_gives_its_data_files(tree):
    found = find_inputs(["mc"])
    assert listed(found) == [
        ("mc/a/x.root", "a/x.root"), ("mc/a/y.h5", "a/y.h5"),
        ("mc/b/x.root", "b/x.root"), ("mc/b/z.hepmc3.gz", "b/z.hepmc3.gz"),
    ]  # fmt: skip
    assert found[0].size == len("mc/a/x.root")
    assert found[0].mtime == (tree / "mc/a/x.root").stat().st_mtime
    assert listed(find_inputs([f"{tree}/mc/"], suffixes=[".vxc"])) == [
        (f"{tree}/mc/a/old.vxc", "a/old.vxc")
    ]
    with pytest.raises(UnsupportedTypeError, match=r"no files that end in \.vxc"):
        find_inputs(["mc/b"], suffixes=[".vxc"])


def test_files_and_patterns(tree):
    assert listed(find_inputs(["mc/a/x.root"])) == [("mc/a/x.root", "x.root")]
    two = find_inputs(["mc/b/x.root", "mc/a/x.root"])
    assert listed(two) == [("mc/b/x.root", "b/x.root"), ("mc/a/x.root", "a/x.root")]
    assert [file.relative for file in find_inputs(["mc/*/x.root"])] == ["a/x.root", "b/x.root"]
    assert [file.relative for file in find_inputs(["mc/**/*.h5"])] == ["a/y.h5"]
    (tree / "a[1].root").touch()
    assert listed(find_inputs(["a[1].root"])) == [("a[1].root", "a[1].root")]
    with pytest.raises(MissingError, match=r"nothing\*: no file matches"):
        find_inputs(["nothing*"])


def test_a_base_decides_what_outputs_are_called(tree):
    (file,) = find_inputs(["mc/a/x.root"], base=str(tree))
    assert file.relative == "mc/a/x.root"
    with pytest.raises(UnsupportedTypeError, match="not below the base"):
        find_inputs(["mc/a/x.root"], base="mc/b")


def test_a_text_list(tree):
    (tree / "files.txt").write_text(
        "# all of it\n\nmc/a/x.root\n  mc/b/x.root  # the second\n"
        "root://eos.example.org//store/c/x.root\n"
    )
    found = find_inputs(["files.txt"])
    assert [file.source for file in found] == [
        "mc/a/x.root", "mc/b/x.root", "root://eos.example.org//store/c/x.root",
    ]  # fmt: skip
    assert [file.where for file in found] == [f"files.txt line {n}" for n in (3, 4, 5)]
    assert [file.size for file in found] == [None] * 3
    (tree / "mc/list").write_bytes(b"\xef\xbb\xbfa/x.root\r\nb/*.root\r\n")
    assert listed(find_inputs(["@mc/list"])) == [
        ("mc/a/x.root", "a/x.root"), ("mc/b/x.root", "b/x.root")
    ]  # fmt: skip


def test_filesets_of_coffea(tree):
    url = "root://eos.example.org//store/"
    fileset = {
        "tt": {"files": {f"{url}a/1.root": "Events", f"{url}a/2.root": {"object_path": "Events"}}},
        "dy": {"treename": "Other", "files": [f"{url}b/1.root"]},
        "zz": [f"{url}c/1.root"],
    }
    (tree / "set.json").write_text(json.dumps(fileset))
    (tree / "set.json.gz").write_bytes(gzip.compress(json.dumps(fileset).encode()))
    found = find_inputs(["set.json"])
    assert [(f.relative, f.dataset, f.tree) for f in found] == [
        ("a/1.root", "tt", "Events"), ("a/2.root", "tt", "Events"),
        ("b/1.root", "dy", "Other"), ("c/1.root", "zz", None),
    ]  # fmt: skip
    assert found[2].where == "set.json, dataset 'dy'"
    assert listed(find_inputs(["set.json.gz"])) == listed(found)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("empty.txt", b"# nothing\n\n", "names no file"),
        ("empty.json", b"{}", "names no file"),
        ("binary.txt", b"root\x00\xff\xfe", "not a list of files: it is not text"),
        ("nul.txt", b"root\x00", "not a list of files"),
        ("control.txt", b"a.root\nb\x1b[1m.root\n", "line 2 is not a path"),
        ("broken.json", b"{", "not JSON"),
        ("number.json", b"3", "not a fileset"),
        ("form.json", b'{"tt": {"files": {"a.root": 3}}}', "not a file and its tree"),
        ("form.json", b'{"tt": "a.root"}', "dataset 'tt': no files"),
    ],
)
def test_lists_that_are_none(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UnsupportedTypeError, match=message) as caught:
        find_inputs([str(tmp_path / name)])
    assert name in str(caught.value)
    assert "\n" not in str(caught.value)


def test_inputs_that_cannot_be_read(tree):
    with pytest.raises(MissingError, match=r"none\.root"):
        find_inputs(["none.root"])
    with pytest.raises(MissingError, match=r"none\.txt"):
        find_inputs(["none.txt"])
    (tree / "bad.json.gz").write_bytes(b"no gzip")
    with pytest.raises(SourceError, match="cannot be unpacked"):
        find_inputs(["bad.json.gz"])
    with pytest.raises(UnsupportedTypeError, match="no input"):
        find_inputs([])
    with pytest.raises(UnsupportedTypeError, match=r"^2 problems with the inputs: 1\) .*; 2\) "):
        find_inputs(["none.root", "none.txt"])


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("mc/a/x.root", "./mc//a/../a/x.root"),
        ("root://host//store/x.root", "root://HOST:1094///store/./x.root"),
        ("root://host//store/x.root?xrd.wantprot=gsi", "xroot://host//store/x.root"),
        ("https://host/x.root", "https://host:443/./x.root"),
    ],
)
def test_two_lines_that_name_one_file(tree, one, other):
    (tree / "files.txt").write_text(f"{one}\n{other}\n")
    message = r"files\.txt line 1 and files\.txt line 2 name one file"
    with pytest.raises(UnsupportedTypeError, match=message):
        find_inputs(["files.txt"])


def test_different_files_stay_different():
    urls = [
        "root://host//a.root", "root://host:1095//a.root", "https://host/a.root",
        "https://host/a.root?version=2", "/a.root", "root://host//a.zip?xrdcl.unzip=a",
        "root://host//a.zip?xrdcl.unzip=b",
    ]  # fmt: skip
    assert len(set(map(same_file_key, urls))) == len(urls)


def test_many_problems_are_counted(tree):
    (tree / "files.txt").write_text("".join(f"{n}.root\n{n}.root\n" for n in range(25)))
    with pytest.raises(UnsupportedTypeError, match=r"^25 problems .* 10\) .*and 15 more$"):
        find_inputs(["files.txt"])


@pytest.mark.slow
def test_a_long_list(tree):
    lines = "".join(f"root://eos.example.org//store/{n % 50}/{n}.root\n" for n in range(100_000))
    (tree / "files.txt").write_text(lines)
    found = find_inputs(["files.txt"])
    assert len(found) == 100_000
    assert found[51].relative == "1/51.root"


@pytest.mark.network
def test_inputs_on_a_server(xrootd: XrootdServer, tmp_path):
    for name in ("mc/a/x.root", "mc/b/x.root"):
        path = xrootd.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"12345")
        path.parent.chmod(0o777)
    (xrootd.root / "files.txt").write_text("mc/a/x.root\n")
    found = find_inputs([xrootd.url("data/mc")])
    assert [(f.relative, f.size) for f in found] == [("a/x.root", 5), ("b/x.root", 5)]
    assert found[0].mtime is not None
    assert found[0].source == xrootd.url("data/mc/a/x.root")
    assert [f.relative for f in find_inputs([xrootd.url("data/mc/*/x.root")])] == [
        "a/x.root", "b/x.root"
    ]  # fmt: skip
    assert find_inputs([xrootd.url("data/files.txt")])[0].source == found[0].source
    xrootd.kill()
    with pytest.raises(NetworkError):
        find_inputs([xrootd.url("data/mc")])
