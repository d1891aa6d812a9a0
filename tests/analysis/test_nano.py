"""Tests of NanoEvents over archives, against those of the ROOT file."""

import gc
import pickle
import re
import sys
from typing import Any

import awkward as ak
import numpy as np
import pytest
import uproot
from coffea.nanoevents import BaseSchema, NanoEventsFactory

import vortex_hep
from vortex_hep.analysis.extras import check_interface
from vortex_hep.codec.container.container import ContainerReader
from vortex_hep.core.install import install_hint
from vortex_hep.errors import NotFoundError, UnsupportedFeatureError, UnsupportedTypeError

#: What coffea says of NanoAOD-like files, ROOT or not.
pytestmark = [
    pytest.mark.filterwarnings("ignore:Missing cross-reference:RuntimeWarning"),
    pytest.mark.filterwarnings("ignore:Branch Photon_:RuntimeWarning"),
    pytest.mark.filterwarnings("ignore:Branch Photon_:UserWarning"),
]


def from_root(path, **options):
    return NanoEventsFactory.from_root({str(path): "Events"}, **options).events()


def leaves(events):
    """Every field and sub-field that is no record."""
    for field in events.fields:
        inner = events[field].fields
        if not inner:
            yield (field,)
        for name in inner:
            yield (field, name)


def assert_same(found, expected):
    assert set(found.fields) == set(expected.fields)
    assert len(found) == len(expected)
    for path in leaves(expected):
        a, b = (ak.materialize(events[path]) for events in (found, expected))
        assert a.type == b.type, path  # with titles, which are parameters of types
        same = ak.array_equal(a, b, dtype_exact=True, equal_nan=True, check_parameters=True)
        assert same, path
    for field in expected.fields:
        assert set(found[field].fields) == set(expected[field].fields)
        if expected[field].fields:
            assert found[field].layout.parameters == expected[field].layout.parameters
            assert ak.parameters(found[field]) == ak.parameters(expected[field])


def test_the_example_is_the_same(dataset):
    events = vortex_hep.nanoevents(dataset / "a.vxc")
    expected = from_root(dataset / "a.root")
    assert_same(events, expected)
    assert events.Jet.pt.__doc__ == expected.Jet.pt.__doc__ != ""
    assert isinstance(events.Jet, type(expected.Jet))


def test_cross_references(dataset):
    events = vortex_hep.nanoevents(dataset / "a.vxc")
    expected = from_root(dataset / "a.root")
    for get in (
        lambda e: e.Jet.matched_gen.pt,
        lambda e: e.Muon.matched_jet.pt,
        lambda e: e.GenPart.parent.pdgId,
        lambda e: e.GenPart.distinctChildren.pt,
    ):
        assert ak.array_equal(get(events), get(expected), dtype_exact=True)
        assert ak.count(get(events), axis=None) > 0


@pytest.mark.parametrize(("start", "stop"), [(0, 0), (10, 50), (33, None), (-5, None), (None, 7)])
def test_ranges_of_entries(dataset, start, stop):
    events = vortex_hep.nanoevents(dataset / "a.vxc", entry_start=start, entry_stop=stop)
    expected = from_root(dataset / "a.root")[start:stop]
    assert len(events) == len(expected)
    for path in (("Jet", "pt"), ("event",), ("HLT", "IsoMu24")):
        assert ak.array_equal(events[path], expected[path], dtype_exact=True)


@pytest.mark.slow
def test_a_real_file_is_the_same(shared_data, make_archive, tmp_path):
    source = shared_data / "real" / "nanoaod" / "nano_tt_v12.root"
    make_archive(source, tmp_path / "x.vxc", cluster_bytes=500_000, threads=1)
    assert_same(vortex_hep.nanoevents(tmp_path / "x.vxc"), from_root(source))


def test_an_rntuple(shared_data, make_archive, tmp_path):
    source = shared_data / "real" / "nanoaod" / "nano_dy_rntuple.root"
    make_archive(source, tmp_path / "x.vxc", threads=1)
    events = vortex_hep.nanoevents(tmp_path / "x.vxc")
    with uproot.open(source) as file:
        tree = file["Events"]
        names = [n for n in tree.keys(recursive=False) if not n.startswith("_")]
        for name in ("Muon", "Jet", "GenPart"):
            fields = {n.removeprefix(f"{name}_") for n in names if n.startswith(f"{name}_")}
            assert fields <= set(events[name].fields)
            for field in ("pt", "eta", *sorted(fields)[:3]):
                found, true = events[name][field], tree[f"{name}_{field}"].array()
                assert ak.array_equal(
                    ak.materialize(found), true, dtype_exact=True, check_parameters=False
                )
            assert ak.array_equal(ak.num(events[name]), tree[f"n{name}"].array())
        assert events.event.to_list() == tree["event"].array().to_list()
    matched = events.Jet.matched_gen.pt
    assert ak.count(matched, axis=None) > 10


def write_unusual(path):
    """One branch of every type that such files may hold."""
    rng = np.random.default_rng(1)
    counts = rng.integers(0, 4, 50)
    dtypes = ["?", "u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f4", "f8"]
    flat = {
        f"flag_{d[-2:]}" if d != "?" else "flag_b": rng.integers(0, 2, 50).astype(d) for d in dtypes
    }
    flat |= {"run": flat["flag_u4"], "luminosityBlock": flat["flag_u4"], "event": flat["flag_u8"]}
    flat["fixed"] = rng.random((50, 3)).astype("f4")
    jagged = {
        f"x{d[-2:]}" if d != "?" else "xb": ak.unflatten(
            rng.integers(0, 2, int(counts.sum())).astype(d), counts
        )
        for d in dtypes
    }
    texts = ak.Array([f"LHE weight {k}, with a comma" * (k % 3) for k in range(50)])
    with uproot.recreate(path) as file:
        file.mktree("Events", {
            **{k: (v.dtype, v.shape[1:]) for k, v in flat.items()},
            "Thing": ak.zip(jagged).type,
            "title": "string",
        })  # fmt: skip
        file["Events"].extend({**flat, "Thing": ak.zip(jagged), "title": texts})
    return path


def test_unusual_types(make_archive, tmp_path):
    source = write_unusual(tmp_path / "x.root")
    make_archive(source, tmp_path / "x.vxc", cluster_bytes=2000)
    events = vortex_hep.nanoevents(tmp_path / "x.vxc")
    assert_same(events, from_root(source))
    assert events.Thing.xb.type.content.content.primitive == "bool"


def test_opening_decodes_nothing_and_touching_its_table(dataset, decoded):
    log: list[Any] = []
    events = vortex_hep.nanoevents(dataset / "a.vxc", access_log=log)
    assert len(events) == 120
    assert "pt" in events.Jet.fields
    assert decoded == []
    ak.materialize(events.Jet[events.Jet.pt > 30].mass)
    assert decoded.plans == {"", "Jet"}
    assert {a.branch for a in log} == {"nJet", "Jet_pt", "Jet_mass"}
    ak.materialize([events.Jet.eta, events.Muon.pt, events.Jet.phi][1])
    assert decoded.plans == {"", "Jet", "Muon"}
    assert len(decoded) == len(set(decoded))  # each once, though its columns are asked for singly


def test_metadata_and_open_archives(dataset):
    with vortex_hep.open(dataset / "a.vxc", cache="1 MB") as archive:
        events = vortex_hep.nanoevents(archive, metadata={"dataset": "DY"})
        assert events.metadata["dataset"] == "DY"
        assert len(vortex_hep.nanoevents(archive, tree="Runs", schemaclass=BaseSchema)) > 0
        assert ak.sum(ak.num(events.Jet)) > 0
        with pytest.raises(UnsupportedTypeError, match="open already, so threads must be given"):
            vortex_hep.nanoevents(archive, threads=1)
    with pytest.raises(NotFoundError, match="did you mean 'Events'"):
        vortex_hep.nanoevents(dataset / "a.vxc", tree="Event")


def test_events_close_their_file(dataset, monkeypatch):
    gc.collect()  # files of other tests
    closed = []
    close = ContainerReader.close

    def closing(reader):
        closed.append(1)
        close(reader)

    monkeypatch.setattr(ContainerReader, "close", closing)
    events = vortex_hep.nanoevents(dataset / "a.vxc")
    jets = events.Jet
    del events
    gc.collect()
    assert closed == []
    assert ak.sum(ak.num(jets.pt)) > 0
    del jets
    gc.collect()
    assert closed == [1]


def test_another_release_of_coffea_is_a_clear_error(dataset, monkeypatch):
    monkeypatch.delitem(sys.modules, "vortex_hep.analysis.coffea.mapping", raising=False)
    monkeypatch.setitem(sys.modules, "coffea.nanoevents.mapping.base", None)
    with pytest.raises(UnsupportedFeatureError, match=re.escape(install_hint("coffea"))):
        vortex_hep.nanoevents(dataset / "a.vxc")


def test_a_changed_interface_is_a_clear_error():
    check_interface(NanoEventsFactory, ["from_root(file)", "events"], "coffea")
    for name in ("from_root(nothing)", "no_such"):
        with pytest.raises(
            UnsupportedFeatureError, match=r"coffea has no NanoEventsFactory\."
        ) as e:
            check_interface(NanoEventsFactory, [name], "coffea")
        assert "pip install" in str(e.value)


def test_branches_that_coffea_cannot_name(make_archive, tmp_path):
    arrays = {n: np.arange(3, dtype="u4") for n in ("run", "luminosityBlock", "event", "a,b")}
    with uproot.recreate(tmp_path / "x.root") as file:
        file.mktree("Events", {n: a.dtype for n, a in arrays.items()})
        file["Events"].extend(arrays)
    make_archive(tmp_path / "x.root", tmp_path / "x.vxc")
    with pytest.warns(UserWarning, match="cannot take branch 'a,b'"):
        events = vortex_hep.nanoevents(tmp_path / "x.vxc")
    assert set(events.fields) == {"run", "luminosityBlock", "event"}


def test_the_factory_can_be_pickled(dataset):
    events = vortex_hep.nanoevents(dataset / "a.vxc", entry_stop=30)
    again = pickle.loads(pickle.dumps(events.attrs["@events_factory"])).events()
    assert ak.array_equal(again.Jet.pt, events.Jet.pt)
