"""Tests of what is transferred and decoded over a real XRootD server."""

import shutil

import awkward as ak
import pytest

import vortex_hep
from vortex_hep.archive import tree as archive_tree
from vortex_hep.codec.container.container_format import FRAME_SIZE
from vortex_hep.core import storage
from vortex_hep.errors import ModelMismatchError
from vortex_hep.models.find import model_file_name

THREE = ["Jet_pt", "Jet_eta", "Jet_phi"]


@pytest.fixture
def remote(xrootd, dataset):
    shutil.copy(dataset / "a.vxc", xrootd.root / "a.vxc")
    shutil.copy(dataset / "b.vxc", xrootd.root / "b.vxc")
    return xrootd


def test_opening_reads_the_end_of_the_file_once(remote, decoded):
    size = (remote.root / "a.vxc").stat().st_size
    with storage.counting() as count, vortex_hep.open(remote.url("data/a.vxc")) as archive:
        tree = archive["Events"]
        assert tree.num_entries == 120
        assert "Jet_pt" in tree.keys(filter_name="Jet_*")
        assert archive.info()["stored_bytes"] == size
    assert count.requests == 1
    assert count.bytes <= min(size, 1 << 16)
    assert decoded == []


def test_three_columns_transfer_and_decode_their_table(remote, decoded):
    with storage.counting() as count, vortex_hep.open(remote.url("data/a.vxc")) as archive:
        tree = archive["Events"]
        opened = count.bytes
        jets = tree.arrays(THREE)
        cost = tree.cost(filter_name=THREE)
        assert isinstance(tree, archive_tree.ArchiveTree)
        chunks = len(cost) * len(tree.clusters)
        assert set(cost) == {"", "Jet"}  # the counters, and the table
        assert count.bytes - opened == sum(cost.values()) + chunks * FRAME_SIZE
        assert count.requests == 2  # all clusters at once
        assert len(decoded) == chunks
        assert decoded.plans == set(cost)
        whole = sum(tree.cost().values())
        assert sum(cost.values()) < whole / 3
    with vortex_hep.open(remote.root / "a.vxc") as local:
        assert ak.array_equal(jets, local["Events"].arrays(THREE), dtype_exact=True)


def test_large_ranges_are_fetched_in_several_requests(remote, monkeypatch, decoded):
    monkeypatch.setattr(archive_tree, "AHEAD_BYTES", 1)
    with storage.counting() as count, vortex_hep.open(remote.url("data/a.vxc")) as archive:
        tree = archive["Events"]
        assert isinstance(tree, archive_tree.ArchiveTree)
        one_by_one = tree.arrays(THREE)
        assert count.requests == 1 + len(tree.clusters)
        assert len(decoded) == len(set(decoded))
    monkeypatch.undo()
    with vortex_hep.open(remote.url("data/a.vxc")) as archive:
        assert ak.array_equal(archive["Events"].arrays(THREE), one_by_one, dtype_exact=True)


def test_a_range_of_entries_transfers_its_clusters(remote, decoded):
    with storage.counting() as count, vortex_hep.open(remote.url("data/a.vxc")) as archive:
        tree = archive["Events"]
        opened = count.bytes
        _, stop = tree.cluster_ranges(0)[0]
        tree.arrays(THREE, entry_start=3, entry_stop=stop)
        assert len(decoded) == 2
        assert count.bytes - opened < sum(tree.cost(filter_name=THREE).values()) / 2


@pytest.mark.filterwarnings("ignore:Missing cross-reference:RuntimeWarning")
def test_nanoevents(remote, decoded):
    with storage.counting() as count:
        events = vortex_hep.nanoevents(remote.url("data/a.vxc"))
        assert (count.requests, decoded) == (1, [])
        opened = count.bytes
        ak.materialize(events.Jet[events.Jet.pt > 30].mass)
        assert decoded.plans == {"", "Jet"}
        with vortex_hep.open(remote.root / "a.vxc") as local:
            tree = local["Events"]
            stored = sum(tree.cost(filter_name=THREE).values())
            assert count.bytes - opened - len(decoded) * FRAME_SIZE >= stored  # local ones count
    with storage.counting() as count:
        ak.materialize([events.Jet.eta, events.Jet.phi][1])
        assert count.requests == 0  # they came with the others


def test_patterns_on_the_server(remote, dataset):
    pieces = list(
        vortex_hep.iterate(
            remote.url("data/*.vxc") + ":Events", ["Jet_pt", "event"], step_size=50, report=True
        )
    )
    assert [r.file_path.rpartition("/")[2] for _, r in pieces] == ["a.vxc"] * 3 + ["b.vxc"] * 3
    local = list(vortex_hep.iterate(f"{dataset}/*.vxc:Events", ["Jet_pt", "event"], step_size=50))
    assert ak.array_equal(ak.concatenate([p for p, _ in pieces]), ak.concatenate(local))


def test_a_model_beside_the_archive(xrootd, nameless_archive, model):
    folder = xrootd.root / "run" / "2026"
    folder.mkdir(parents=True)
    folder.parent.chmod(0o755)
    folder.chmod(0o755)
    shutil.copy(nameless_archive, folder / "a.vxc")
    model.save(xrootd.root / model_file_name(model.sha256))
    (xrootd.root / model_file_name(model.sha256)).chmod(0o644)
    with vortex_hep.open(xrootd.url("data/run/2026/a.vxc")) as archive:
        found = archive["Events"].arrays(THREE)
    with vortex_hep.open(nameless_archive, model=model) as archive:
        assert ak.array_equal(found, archive["Events"].arrays(THREE))


def test_a_model_that_is_nowhere_on_the_server(xrootd, nameless_archive):
    shutil.copy(nameless_archive, xrootd.root / "a.vxc")
    with (
        vortex_hep.open(xrootd.url("data/a.vxc")) as archive,
        pytest.raises(ModelMismatchError, match=r"there is no \w{16}\.vxm in root://.*data, root:"),
    ):
        archive["Events"].arrays(THREE)
