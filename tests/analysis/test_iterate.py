"""Tests of iterating over many archives, against uproot on the ROOT files."""

import awkward as ak
import numpy as np
import pytest
import uproot

import vortex_hep
from vortex_hep.analysis.iterate import Report
from vortex_hep.errors import MissingError, NotFoundError, UnsupportedTypeError

NAMES = ["nJet", "Jet_pt", "event"]


@pytest.fixture(scope="module")
def truth(dataset):
    return uproot.concatenate([f"{dataset}/{n}.root:Events" for n in "ab"], NAMES)


@pytest.mark.parametrize("step", [None, 50, 7, 10**6, "4 kB"])
def test_pieces_are_those_of_uproot(dataset, truth, step, decoded):
    files = [f"{dataset}/a.vxc:Events", f"{dataset}/b.vxc:Events"]
    pieces = list(vortex_hep.iterate(files, NAMES, step_size=step))
    assert ak.array_equal(ak.concatenate(pieces), truth, dtype_exact=True)
    assert len(decoded) == len(set(decoded))  # no chunk twice, wherever pieces are cut
    assert decoded.plans == {"", "Jet", "/scalars"}
    if isinstance(step, int):
        expected = [
            len(a)
            for name in "ab"
            for a in uproot.iterate(f"{dataset}/{name}.root:Events", NAMES, step_size=step)
        ]
        assert [len(p) for p in pieces] == expected
    if step == "4 kB":
        assert len(pieces) > 2
        assert max(sum(p[n].nbytes for n in NAMES) for p in pieces) < 8000


def test_reports_say_where_pieces_come_from(dataset):
    found = list(
        vortex_hep.iterate(
            {f"{dataset}/a.vxc": "Events", f"{dataset}/b.vxc": "Events"}, "event",
            step_size=100, report=True, library="np",
        )
    )  # fmt: skip
    assert [r for _, r in found] == [
        Report(f"{dataset}/a.vxc", "Events", 0, 100, 0, 100),
        Report(f"{dataset}/a.vxc", "Events", 100, 120, 100, 120),
        Report(f"{dataset}/b.vxc", "Events", 0, 100, 120, 220),
        Report(f"{dataset}/b.vxc", "Events", 100, 120, 220, 240),
    ]
    assert all(isinstance(piece["event"], np.ndarray) for piece, _ in found)


def test_steps_of_one_tree(dataset):
    with vortex_hep.open(dataset / "a.vxc") as archive:
        tree = archive["Events"]
        pieces = list(tree.iterate(NAMES, step_size="2 kB"))
        assert len(pieces) > 2
        assert ak.array_equal(ak.concatenate(pieces), tree.arrays(NAMES))
        for step in (0, -5, "many"):
            with pytest.raises(UnsupportedTypeError, match="such as"):
                next(tree.iterate(NAMES, step_size=step))


def test_ways_to_name_files(dataset):
    def events(files, **options):
        pieces = vortex_hep.iterate(files, "event", library="np", **options)
        return np.concatenate([p["event"] for p in pieces]).tolist()

    a, b = (events(f"{dataset}/{n}.vxc:Events") for n in "ab")
    assert len(a) == len(b) == 120
    assert events(f"{dataset}/*.vxc:Events") == a + b
    assert events(f"{dataset}/{{b,a}}.vxc:Events") == b + a
    assert events({f"{dataset}/?.vxc": {"object_path": "Events"}}) == a + b
    assert events({dataset / "a.vxc": {"object_path": "Events", "steps": [[0, 7], [9, 12]]}}) == (
        a[:7] + a[9:12]
    )
    assert events([{dataset / "b.vxc": "Events"}, f"{dataset}/a.vxc:Events"]) == b + a
    with vortex_hep.open(dataset / "a.vxc") as archive:
        assert events([archive["Events"], f"{dataset}/b.vxc:Events"]) == a + b


def test_filters(dataset):
    piece = next(vortex_hep.iterate(f"{dataset}/a.vxc:Events", filter_name=["Jet_*", "run"]))
    assert "run" in piece.fields
    assert {f.split("_")[0] for f in piece.fields} == {"Jet", "run"}


def test_mistakes_are_told_before_a_file_is_opened(dataset):
    with pytest.raises(MissingError, match=r"nothing\*\.vxc: no file matches"):
        vortex_hep.iterate(f"{dataset}/nothing*.vxc:Events")
    with pytest.raises(MissingError, match="no files are given"):
        vortex_hep.iterate([])
    with pytest.raises(UnsupportedTypeError, match="not a size in bytes"):
        vortex_hep.iterate("no such.vxc", step_size="a lot")
    with pytest.raises(UnsupportedTypeError, match="step_size 0 is not a positive number"):
        vortex_hep.iterate("no such.vxc", step_size=0)
    with pytest.raises(UnsupportedTypeError, match="neither 'ak' nor 'np'"):
        vortex_hep.iterate("no such.vxc", library="pd")
    with pytest.raises(UnsupportedTypeError, match="expected files, got int"):
        vortex_hep.iterate(3)  # type: ignore[arg-type]
    with pytest.raises(UnsupportedTypeError, match="steps are pairs"):
        vortex_hep.iterate({"a.vxc": {"object_path": "Events", "steps": [[3, 1]]}})


def test_mistakes_in_a_file_name_it(dataset):
    with pytest.raises(UnsupportedTypeError, match=r"a\.vxc: name one of its trees: .*Events"):
        list(vortex_hep.iterate(f"{dataset}/a.vxc"))
    with pytest.raises(NotFoundError, match=r"a\.vxc, tree 'Events', branch 'Jet_p'"):
        list(vortex_hep.iterate(f"{dataset}/a.vxc:Events", ["Jet_p"]))
    with pytest.raises(MissingError, match=r"c\.vxc: "):
        list(vortex_hep.iterate(f"{dataset}/c.vxc:Events"))
    with pytest.raises(UnsupportedTypeError, match="entries 100 to 130 are outside the tree's 120"):
        list(
            vortex_hep.iterate(
                {dataset / "a.vxc": {"object_path": "Events", "steps": [[100, 130]]}}
            )
        )
