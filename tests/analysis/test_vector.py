"""Tests of vector's behaviours on arrays read from archives."""

import awkward as ak
import numpy as np
import pytest
import vector

import vortex_hep

PARTS = ["pt", "eta", "phi", "mass"]


@pytest.fixture(autouse=True)
def registered(monkeypatch):
    """What vector registers is gone after the test."""
    monkeypatch.setattr(ak, "behavior", dict(ak.behavior))
    vector.register_awkward()


def dimuon_mass(muons):
    pairs = ak.combinations(muons, 2, fields=["a", "b"])
    pairs = pairs[pairs.a.charge != pairs.b.charge]
    return ak.flatten((pairs.a + pairs.b).mass)


def test_the_dimuon_mass(dataset):
    with vortex_hep.open(dataset / "a.vxc") as archive:
        events = archive["Events"].arrays([f"Muon_{p}" for p in [*PARTS, "charge"]])
    muons = ak.zip({p: events[f"Muon_{p}"] for p in [*PARTS, "charge"]}, with_name="Momentum4D")
    masses = dimuon_mass(muons)
    assert len(masses) > 3
    m, pt, eta, phi = (events[f"Muon_{p}"] for p in ("mass", "pt", "eta", "phi"))
    px, py, pz = pt * np.cos(phi), pt * np.sin(phi), pt * np.sinh(eta)
    energy = np.sqrt(px**2 + py**2 + pz**2 + m**2)
    k = int(ak.argmax(ak.num(pt)))
    pair = [0, 1]
    plain = np.sqrt(
        sum(energy[k][pair]) ** 2 - sum(px[k][pair]) ** 2 - sum(py[k][pair]) ** 2
        - sum(pz[k][pair]) ** 2
    )  # fmt: skip
    assert np.isclose((muons[k][0] + muons[k][1]).mass, plain, rtol=1e-3)


@pytest.mark.filterwarnings("ignore:Missing cross-reference:RuntimeWarning")
def test_candidates_of_coffea(dataset):
    events = vortex_hep.nanoevents(dataset / "a.vxc")
    with vortex_hep.open(dataset / "a.vxc") as archive:
        plain = archive["Events"].arrays([f"Muon_{p}" for p in [*PARTS, "charge"]])
    muons = ak.zip({p: plain[f"Muon_{p}"] for p in [*PARTS, "charge"]}, with_name="Momentum4D")
    assert np.allclose(dimuon_mass(events.Muon), dimuon_mass(muons), rtol=1e-4)
    nearest = events.Muon.nearest(events.Jet)
    assert ak.any(~ak.is_none(nearest, axis=1))
