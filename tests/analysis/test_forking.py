"""Tests of archives in use when the process forks, as data loaders and executors do."""

import os
from multiprocessing import get_context

import awkward as ak
import pytest

import vortex_hep

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork"),
    pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning"),
]


def in_a_fork(work):
    """What ``work`` returns, or raises, in a forked process; None where it hangs."""
    context = get_context("fork")
    receiver, sender = context.Pipe(duplex=False)

    def run():
        try:
            sender.send(work())
        except vortex_hep.VortexError as error:
            sender.send(error)

    child = context.Process(target=run)
    child.start()
    try:
        return receiver.recv() if receiver.poll(30) else None
    finally:
        child.kill()
        child.join()


@pytest.mark.parametrize("cache", [None, "1 MB"])
def test_a_forked_process_decodes(nameless_archive, model, cache):
    with vortex_hep.open(nameless_archive, model=model, cache=cache) as archive:
        tree = archive["Events"]
        names = ["GenPart_pt", "Jet_pt", "event"]
        tree.arrays("event", entry_stop=50)
        found = in_a_fork(lambda: tree.arrays(names))
        assert found is not None
        # The place in the file is not one that both move.
        assert ak.array_equal(found, tree.arrays(names), dtype_exact=True)


def test_a_forked_process_reads_over_the_network(dataset, xrootd):
    (xrootd.root / "a.vxc").write_bytes((dataset / "a.vxc").read_bytes())
    with vortex_hep.open(xrootd.url("data/a.vxc")) as archive:
        tree = archive["Events"]
        tree.arrays("event", entry_stop=50)

        def read_and_close():
            array = tree["Jet_pt"].array()
            archive.close()
            return array

        found = in_a_fork(read_and_close)
        assert found is not None
        assert ak.array_equal(found, tree["Jet_pt"].array())


def test_a_forked_process_finds_another_archive(dataset, tmp_path):
    path = tmp_path / "x.vxc"
    path.write_bytes((dataset / "a.vxc").read_bytes())
    with vortex_hep.open(path) as archive:
        tree = archive["Events"]
        tree.arrays("event")
        (tmp_path / "new").write_bytes((dataset / "b.vxc").read_bytes())
        (tmp_path / "new").replace(path)
        error = in_a_fork(lambda: tree["Jet_pt"].array())
        assert isinstance(error, vortex_hep.errors.ChangedError)
        assert str(path) in str(error)


def test_file_objects_are_not_shared(dataset):
    with (dataset / "a.vxc").open("rb") as file, vortex_hep.open(file) as archive:
        error = in_a_fork(lambda: archive["Events"]["event"].array())
        assert isinstance(error, vortex_hep.errors.UnsupportedTypeError)
        assert "open it by its path" in str(error)
