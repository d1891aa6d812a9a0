"""Tests of the example file: reproducible, typed as NanoAOD is, consistent."""

import awkward as ak
import numpy as np
import pytest
import uproot

from vortex_hep.errors import OutputError
from vortex_hep.testing.examples import nanoaod, write_example
from vortex_hep.testing.examples.kinematics import (
    boost,
    decay,
    invariant_mass,
    momentum,
    reduce_mantissa,
)


@pytest.fixture(scope="module")
def events(example_file):
    with uproot.open(example_file) as file:
        return file["Events"].arrays()


def test_trees_and_types(example_file):
    with uproot.open(example_file) as file:
        assert file.classnames(cycle=False) == {"Events": "TTree", "Runs": "TTree"}
        types = file["Events"].typenames()
    expected = {
        "run": "uint32_t",
        "event": "uint64_t",
        "nJet": "int32_t",
        "Jet_pt": "float[]",
        "Jet_genJetIdx": "int16_t[]",
        "Jet_hadronFlavour": "uint8_t[]",
        "Muon_tightId": "bool[]",
        "GenPart_pdgId": "int32_t[]",
        "GenPart_statusFlags": "uint16_t[]",
        "HLT_IsoMu24": "bool",
    }
    assert {name: types[name] for name in expected} == expected
    assert sum(name.startswith("HLT_") for name in types) == 20


def test_same_seed_same_columns(tmp_path):
    trees = []
    for name, seed in (("a", 5), ("b", 5), ("c", 6)):
        write_example(tmp_path / name, events=30, seed=seed)
        with uproot.open(tmp_path / name) as file:
            trees.append(file["Events"].arrays())
    same, other = trees[1:]
    for name in same.fields:
        assert ak.array_equal(trees[0][name], same[name])
    assert not ak.array_equal(trees[0]["Jet_pt"], other["Jet_pt"])


def test_several_blocks_make_one_tree(tmp_path, monkeypatch):
    monkeypatch.setattr(nanoaod, "BLOCK", 10)
    write_example(tmp_path / "x.root", events=25)
    with uproot.open(tmp_path / "x.root") as file:
        tree, runs = file["Events"], file["Runs"].arrays(library="np")
        assert tree["Jet_pt"].num_baskets == 3
        number = tree["event"].array(library="np")
        weights = tree["genWeight"].array(library="np").astype(np.float64)
    assert np.all(np.diff(number.astype(np.int64)) > 0)
    assert runs["genEventCount"] == 25
    assert runs["genEventSumw"] == weights.sum()


@pytest.mark.parametrize(
    ("index", "target"),
    [
        ("GenPart_genPartIdxMother", "nGenPart"),
        ("Jet_genJetIdx", "nGenJet"),
        ("Jet_muonIdx1", "nMuon"),
        ("Jet_electronIdx1", "nElectron"),
        ("Muon_jetIdx", "nJet"),
        ("Electron_genPartIdx", "nGenPart"),
    ],
)
def test_indices_stay_within_their_collection(events, index, target):
    assert ak.all(events[index] >= -1)
    assert ak.all(events[index] < events[target])
    assert ak.any(events[index] >= 0)


def test_mothers_come_first_and_copies_repeat_them(events):
    mother = events["GenPart_genPartIdxMother"]
    assert ak.all(mother < ak.local_index(mother))
    has_mother = mother >= 0
    code = events["GenPart_pdgId"]
    copies = (code == code[ak.mask(mother, has_mother)]) & has_mother
    pt = events["GenPart_pt"]
    repeated = ak.sum(copies & (pt == pt[ak.mask(mother, has_mother)]))
    assert repeated > 0.3 * ak.sum(copies)


def test_objects_are_sorted_and_linked_leptons_agree(events):
    for name in ("Jet", "GenJet", "Muon", "Electron"):
        pt = events[f"{name}_pt"]
        assert ak.all(pt[:, 1:] <= pt[:, :-1])
    found = events["GenPart_pdgId"][events["Muon_genPartIdx"]]
    assert ak.all(found == events["Muon_pdgId"])


def test_energy_fractions_add_up(events):
    shares = sum(events[f"Jet_{name}"] for name in ("chHEF", "neHEF", "neEmEF", "muEF"))
    central = abs(events["Jet_eta"]) < 2.5
    assert ak.all(abs(shares[central] - 1) < 0.05)


def test_mantissas_are_reduced():
    values = np.array([0.0, -0.0, 1.0, -3.14159, 1e-30, 123456.0])
    reduced = reduce_mantissa(values, 6)
    assert reduced.dtype == np.float32
    assert not np.any(reduced.view(np.uint32) & np.uint32((1 << 17) - 1))
    assert np.signbit(reduced[1])
    np.testing.assert_allclose(reduced, values, rtol=2**-7)
    np.testing.assert_array_equal(reduce_mantissa(values, 23), values.astype(np.float32))


def test_decays_conserve_momentum():
    rng = np.random.default_rng(0)
    parent = momentum(rng.uniform(1, 2, 50), rng.uniform(1, 2, 50), rng.uniform(1, 2, 50), 90.0)
    first, second = decay(parent, 4.8, 0.1, rng)
    np.testing.assert_allclose(first + second, parent, rtol=1e-9)
    np.testing.assert_allclose(invariant_mass(first), 4.8, rtol=1e-6)
    at_rest = np.tile([90.0, 0, 0, 0], (50, 1))
    np.testing.assert_allclose(boost(at_rest, parent), parent, rtol=1e-9)


def test_a_file_that_exists_is_kept(tmp_path):
    path = tmp_path / "x.root"
    path.write_text("precious")
    with pytest.raises(OutputError, match="exists already"):
        write_example(path)
    assert path.read_text() == "precious"


def test_a_failed_write_leaves_nothing(tmp_path, monkeypatch):
    def fail(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(nanoaod, "make_events", fail)
    with pytest.raises(KeyboardInterrupt):
        write_example(tmp_path / "x.root")
    assert list(tmp_path.iterdir()) == []


def test_missing_folder_is_an_output_error(tmp_path):
    with pytest.raises(OutputError, match="folder does not exist"):
        write_example(tmp_path / "none" / "x.root")
    assert list(tmp_path.iterdir()) == []
