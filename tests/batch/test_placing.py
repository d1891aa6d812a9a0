"""Tests of output places."""

from __future__ import annotations

import pytest

import vortex_hep
from vortex_hep.batch.plan.inputs import InputFile, find_inputs
from vortex_hep.batch.plan.placing import original_suffixes, place


def files(*paths):
    return [InputFile(path, path.rpartition("//")[2].lstrip("/")) for path in paths]


@pytest.mark.parametrize(
    ("source", "target"),
    [
        ("a.root", "a.vxc"),
        ("./a.root", "./a.vxc"),
        ("/d/run.2024", "/d/run.2024.vxc"),
        ("/d/a.HEPMC.gz", "/d/a.vxc"),
        ("root://h//d/a.root?xrd.x=y", "root://h//d/a.vxc"),
    ],
)
def test_beside_the_source(source, target):
    assert place(files(source), output=None, suffix=".vxc") == [target]


def test_the_same_tree_below_a_prefix():
    found = files("mc/a/x.root", "mc/b/x.root")
    assert place(found, output="/out", suffix=".vxc") == ["/out/mc/a/x.vxc", "/out/mc/b/x.vxc"]
    url = "root://h//store/out/"
    assert place(found, output=url, suffix=".vxc")[0] == "root://h//store/out/mc/a/x.vxc"


def test_files_that_differ_in_their_suffix_keep_it():
    found = files("a.root", "a.h5", "b.h5")
    targets = ["a.root.vxc", "a.h5.vxc", "b.vxc"]
    assert place(found, output=None, suffix=".vxc") == targets
    kept = place(found, output=None, suffix=".vxc", replace_suffix=False)
    assert kept == ["a.root.vxc", "a.h5.vxc", "b.h5.vxc"]


def test_restored_files_get_the_suffix_of_what_they_were(tmp_path, example_file):
    archive = tmp_path / "one.vxc"
    vortex_hep.compress_file(example_file, archive, model=vortex_hep.Model({}), effort="fast")
    (tmp_path / "two.h5.vxc").touch()
    (tmp_path / "three.vxc").write_text("no archive")
    found = find_inputs([str(tmp_path)], suffixes=[".vxc"])
    suffixes = original_suffixes(found)
    assert suffixes == [".root", "", ".h5"]
    assert place(found, output="out", suffix=suffixes) == [
        "out/one.root",
        "out/three",
        "out/two.h5",
    ]
