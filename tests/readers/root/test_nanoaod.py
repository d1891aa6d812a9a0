"""Tests of NanoAOD's naming rules."""

from __future__ import annotations

import pytest

from vortex_hep.readers.conventions.nanoaod import collection_name, link_target

TABLES = ["", "Jet", "Electron", "GenPart", "SubJet", "SV", "FsrPhoton", "GenJetAK8"]


@pytest.mark.parametrize(
    ("counter", "columns", "expected"),
    [
        ("nJet", ["Jet_pt", "Jet_eta"], "Jet"),
        ("nLHEPdfWeight", ["LHEPdfWeight"], "LHEPdfWeight"),
        ("nPSWeight", ["PSWeight", "PSWeight_x"], "PSWeight"),
        ("NMuon", ["Muon_Px", "Muon_Py"], "Muon"),
        ("Track_size", ["Track.PT", "Track.Eta"], "Track"),
        ("count", ["a", "b"], "count"),
    ],
)
def test_collection_name(counter, columns, expected):
    assert collection_name(counter, columns) == expected


@pytest.mark.parametrize(
    ("name", "table", "expected"),
    [
        ("Electron_jetIdx", "Electron", "Jet"),
        ("GenPart_genPartIdxMother", "GenPart", "GenPart"),
        ("FatJet_subJetIdx2", "FatJet", "SubJet"),
        ("Jet_svIdx1", "Jet", "SV"),
        ("Muon_fsrPhotonIdx", "Muon", "FsrPhoton"),
        ("FatJet_genJetAK8Idx", "FatJet", "GenJetAK8"),
        ("Jet_tauIdx", "Jet", None),
        ("Jet_pt", "Jet", None),
        ("Idx", "", None),
    ],
)
def test_link_target(name, table, expected):
    assert link_target(name, table, TABLES) == expected
