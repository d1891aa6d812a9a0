"""Tests of reading archives, against uproot on the source, bit for bit."""

import io
from concurrent.futures import ThreadPoolExecutor

import awkward as ak
import fsspec
import numpy as np
import pytest
import uproot

import vortex_hep
from vortex_hep.errors import NotFoundError, SourceError, UnsupportedTypeError
from vortex_hep.models.model import Model


@pytest.fixture
def archive(example_archive):
    path, model = example_archive
    with vortex_hep.open(path, model=model) as archive:
        yield archive


@pytest.fixture
def tree(archive):
    return archive["Events"]


@pytest.fixture(scope="module")
def truth(example_file):
    with uproot.open(example_file) as file:
        return file["Events"].arrays(library="np")


def test_every_branch(tree, truth, bits):
    assert sorted(tree.keys()) == sorted(truth)
    assert len(tree.clusters) > 2
    found = tree.arrays(library="np")
    for name, expected in truth.items():
        assert bits(found[name]) == bits(expected), name


def test_awkward_arrays(tree, example_file):
    names = ["run", "nJet", "Jet_pt", "GenPart_pdgId"]
    with uproot.open(example_file) as file:
        expected = file["Events"].arrays(names)
    found = tree.arrays(names)
    assert ak.array_equal(found, expected, dtype_exact=True)
    assert found.fields == names
    assert found.type.content.contents[2] == expected.type.content.contents[2]


@pytest.mark.parametrize(
    ("start", "stop"),
    [(0, 1), (10, 10), (-5, None), (None, -290), (-1000, 7), (5, 3), (295, 10**9), (90, 210)],
)
def test_entry_ranges(tree, truth, bits, start, stop):
    names = ["event", "Jet_pt", "Jet_btagDeepFlavB"]
    names = [n for n in names if n in truth]
    found = tree.arrays(names, entry_start=start, entry_stop=stop, library="np")
    for name in names:
        assert bits(found[name]) == bits(truth[name][start:stop])


def test_ranges_that_touch_two_clusters(tree, truth, bits):
    for cut, _ in tree.cluster_ranges(0)[1:]:
        found = tree["Jet_pt"].array(entry_start=cut - 1, entry_stop=cut + 1, library="np")
        assert bits(found) == bits(truth["Jet_pt"][cut - 1 : cut + 1])


@pytest.mark.parametrize("step", [None, 1000, 77])
def test_iterate(tree, truth, bits, step):
    names = ["Jet_pt", "event"]
    pieces = list(tree.iterate(names, step_size=step, entry_start=3, library="np"))
    joined = np.concatenate([p["Jet_pt"] for p in pieces])
    assert bits(joined) == bits(truth["Jet_pt"][3:])
    assert bits(np.concatenate([p["event"] for p in pieces])) == bits(truth["event"][3:])
    assert step != 77 or len(pieces) == 4


def test_filters(tree, truth):
    jets = [n for n in truth if n.startswith("Jet_")]
    assert sorted(tree.keys(filter_name="Jet_*")) == sorted(jets)
    assert sorted(tree.keys(filter_name=["Jet_*", "run"])) == sorted([*jets, "run"])
    assert tree.arrays(filter_name=lambda n: n == "run").fields == ["run"]
    assert tree.arrays(["run", "Jet_pt"], filter_name="Jet*").fields == ["Jet_pt"]
    assert tree.arrays(filter_name="no such*").fields == []
    assert len(tree.arrays([])) == tree.num_entries


def test_types_and_titles(tree, example_file):
    with uproot.open(example_file) as file:
        branches = file["Events"]
        assert tree.typenames() == branches.typenames()
        for name in tree.keys():  # noqa: SIM118 - as users of uproot write it
            assert tree[name].title == branches[name].title
    assert tree.typenames(filter_name="run") == {"run": "uint32_t"}


def test_branches(tree, truth, bits):
    branch = tree["Jet_pt"]
    assert (branch.name, branch.num_entries) == ("Jet_pt", 300)
    assert bits(branch.array(library="np")) == bits(truth["Jet_pt"])
    assert "Jet_pt" in tree
    assert "Jet_p" not in tree
    assert len(tree) == len(truth) == len(list(tree))


def test_cost_is_that_of_the_chunks_to_fetch(archive, tree):
    whole, jets = tree.cost(), tree.cost(filter_name="Jet_pt")
    # The counters come along, and what decoding needs as context.
    assert {"", "Jet"} <= set(jets) < set(whole)
    assert jets["Jet"] == whole["Jet"] > 0
    assert tree.cost(filter_name="nothing") == {}
    assert sum(whole.values()) == sum(
        table["stored_bytes"]
        for t in archive.info()["trees"] if t["name"] == tree.name
        for table in t["tables"]
    )  # fmt: skip


def test_names_that_are_not_there(archive, tree):
    with pytest.raises(NotFoundError, match=r"did you mean .*'Jet_pt'"):
        tree.arrays(["Jet_ptt"])
    with pytest.raises(NotFoundError, match="no such branch"):
        tree["nope"]
    with pytest.raises(NotFoundError, match="did you mean 'Events'"):
        archive["Event"]
    with pytest.raises(UnsupportedTypeError, match="pandas"):
        tree.arrays("run", library="pandas")
    with pytest.raises(UnsupportedTypeError, match="step_size"):
        next(tree.iterate("run", step_size=0))


def test_an_archive_is_a_mapping(example_archive):
    path, model = example_archive
    with vortex_hep.open(path, model=model) as archive:
        assert list(archive) == ["Events", "Runs"]
        assert archive["Events;1"] is archive["Events"]
        assert "Runs" in archive
        assert "nope" not in archive
        assert archive.get("nope") is None
        assert "Events" in repr(archive)
        assert "300 entries" in repr(archive["Events"])


def test_odd_values(odd_file, tmp_path, bits):
    vortex_hep.compress_file(odd_file, tmp_path / "odd.vxc")
    with uproot.open(odd_file) as file, vortex_hep.open(tmp_path / "odd.vxc") as archive:
        for tree in ("t", "folder/empty"):
            truth = file[tree].arrays(library="np")
            found = archive[tree].arrays(library="np")
            assert {k: bits(v) for k, v in found.items()} == {k: bits(v) for k, v in truth.items()}
            assert str(archive[tree].arrays().type) == str(file[tree].arrays(list(found)).type)
        assert archive["folder/empty"].cost() == {"/scalars": 0}
        assert list(archive["folder/empty"].iterate()) == []


def test_threads_may_share_an_archive(example_archive, truth, bits):
    path, model = example_archive
    names = ["Jet_pt", "event", "GenPart_pdgId", "Muon_pt"]

    def read(k):
        name = names[k % len(names)]
        found = events.arrays([name], entry_start=k, library="np")[name]
        return bits(found) == bits(truth[name][k:])

    with vortex_hep.open(path, model=model, threads=2) as archive:
        events = archive["Events"]
        with ThreadPoolExecutor(4) as pool:
            assert all(pool.map(read, range(40)))


def test_a_closed_archive_says_so(example_archive):
    path, model = example_archive
    with vortex_hep.open(path, model=model) as archive:
        events = archive["Events"]
    archive.close()
    with pytest.raises(SourceError, match="closed"):
        events.arrays("run")
    fsspec.filesystem("memory").pipe("/closed.vxc", path.read_bytes())
    with vortex_hep.open("memory://closed.vxc", model=model) as archive:
        events = archive["Events"]
    with pytest.raises(SourceError, match="closed"):
        events.arrays("run")


def test_files_that_are_open_and_urls(example_archive, tmp_path):
    import fsspec

    path, model = example_archive
    data = path.read_bytes()
    with vortex_hep.open(io.BytesIO(data), model=model) as archive:
        first = archive["Events"].arrays("run")
    with fsspec.open("memory://archives/example.vxc", "wb") as file:
        file.write(data)
    with vortex_hep.open("memory://archives/example.vxc", model=model) as archive:
        assert ak.array_equal(archive["Events"].arrays("run"), first)
    assert vortex_hep.verify("memory://archives/example.vxc", model=model).ok
    vortex_hep.restore("memory://archives/example.vxc", tmp_path / "out.root", model=model)
    with uproot.open(tmp_path / "out.root") as file:
        assert ak.array_equal(file["Events"].arrays("run"), first)


def test_input_from_a_url(example_file, tmp_path):
    import fsspec

    with fsspec.open("memory://sources/example.root", "wb") as file:
        file.write(example_file.read_bytes())
    source, path = "memory://sources/example.root", tmp_path / "out.vxc"
    vortex_hep.compress_file(source, path, model=Model({}), effort="fast")
    assert vortex_hep.verify(path, against=source).ok
    assert vortex_hep.verify(path, against=example_file).ok


def test_strings_and_records(tmp_path):
    """Text comes without its length; records that stay as they are come as bytes."""
    from vortex_hep.core.arrays import leaf_layout, leaf_numpy
    from vortex_hep.core.schema import VARBYTES, ColumnSpec, VarBytes

    long = b"x" * 300
    rows = [b"\x02ab", b"\x00", b"\xff" + (300).to_bytes(4, "big") + long]
    strings = VarBytes(
        np.cumsum([0, *map(len, rows)]).astype(np.int64),
        np.frombuffer(b"".join(rows), np.uint8),
    )
    text = ColumnSpec("s", VARBYTES, interpretation="string")
    raw = ColumnSpec("o", VARBYTES, interpretation="opaque")
    assert leaf_numpy(text, strings).tolist() == ["ab", "", "x" * 300]
    assert leaf_numpy(raw, strings).tolist() == rows
    assert ak.to_list(leaf_layout(text, strings)) == ["ab", "", "x" * 300]
    assert ak.to_list(leaf_layout(raw, strings)) == rows
    nothing = VarBytes(np.zeros(1, np.int64), np.zeros(0, np.uint8))
    assert ak.to_list(leaf_layout(text, nothing)) == []
    assert leaf_numpy(text, nothing).tolist() == []
