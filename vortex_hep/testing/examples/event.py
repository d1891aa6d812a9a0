"""Event scalars of the example: vertices, pile-up, missing momentum, triggers."""

from __future__ import annotations

import numpy as np

from vortex_hep.testing.examples.collections import Collection
from vortex_hep.testing.examples.generator import Generated
from vortex_hep.testing.examples.kinematics import Array, azimuth, reduce_mantissa, transverse

RUN = 362_720
EVENTS_PER_BLOCK = 200

#: Triggers that fire on a lepton: name, collection, threshold in GeV, whether isolated.
LEPTON_TRIGGERS = (
    ("HLT_IsoMu24", "Muon", 24.0, True),
    ("HLT_IsoMu27", "Muon", 27.0, True),
    ("HLT_Mu17", "Muon", 17.0, False),
    ("HLT_Mu50", "Muon", 50.0, False),
    ("HLT_Mu8", "Muon", 8.0, False),
    ("HLT_Ele27_WPTight_Gsf", "Electron", 27.0, True),
    ("HLT_Ele32_WPTight_Gsf", "Electron", 32.0, True),
    ("HLT_Ele35_WPTight_Gsf", "Electron", 35.0, True),
    ("HLT_Ele115_CaloIdVT_GsfTrkIdT", "Electron", 115.0, False),
    ("HLT_Photon200", "Electron", 200.0, False),
)
HT_TRIGGERS = (180, 250, 370, 510, 780, 1050)
MET_TRIGGERS = (120, 130, 140)
FILTERS = ("Flag_goodVertices", "Flag_METFilters", "Flag_BadPFMuonFilter", "Flag_eeBadScFilter")


def identity(events: int, first: int, rng: np.random.Generator) -> dict[str, Array]:
    """Run, luminosity block and event number; events of one block stay together."""
    number = first + np.arange(events, dtype=np.uint64)
    return {
        "run": np.full(events, RUN, np.uint32),
        "luminosityBlock": (1 + number // EVENTS_PER_BLOCK).astype(np.uint32),
        "event": number * 7 + rng.integers(0, 7, events).astype(np.uint64),
        "bunchCrossing": rng.integers(1, 3564, events).astype(np.uint32),
    }


def pileup(events: int, rng: np.random.Generator) -> dict[str, Array]:
    """Pile-up, primary vertex and energy density; all follow the number of interactions."""
    mean = np.clip(rng.normal(45, 12, events), 5, 90)
    interactions = rng.poisson(mean)
    vertices = np.clip(rng.binomial(interactions, 0.7) + 1, 1, 255)
    rho = np.maximum(0.55 * vertices + rng.normal(0, 2.5, events), 1.0)
    x, y = (rng.normal(0.17, 0.001, events), rng.normal(-0.18, 0.001, events))
    z = rng.normal(0.5, 3.5, events)
    tracks = rng.poisson(80, events) + 4
    return {
        "Pileup_nTrueInt": reduce_mantissa(mean, 10),
        "Pileup_nPU": interactions.astype(np.int32),
        "PV_npvs": vertices.astype(np.uint8),
        "PV_npvsGood": rng.binomial(vertices, 0.85).astype(np.uint8),
        "PV_x": reduce_mantissa(x + rng.normal(0, 3e-4, events), 10),
        "PV_y": reduce_mantissa(y + rng.normal(0, 3e-4, events), 10),
        "PV_z": reduce_mantissa(z + rng.normal(0, 3e-4, events), 16),
        "PV_ndof": reduce_mantissa(2.0 * tracks - 3.0, 8),
        "PV_chi2": reduce_mantissa(rng.normal(0.95, 0.1, events).clip(0.1), 8),
        "PV_score": reduce_mantissa(tracks * rng.lognormal(5, 0.4, events), 8),
        "GenVtx_x": reduce_mantissa(x, 10),
        "GenVtx_y": reduce_mantissa(y, 10),
        "GenVtx_z": reduce_mantissa(z, 16),
        "Rho_fixedGridRhoFastjetAll": rho.astype(np.float32),
        "Rho_fixedGridRhoFastjetCentral": (rho * 0.93 + rng.normal(0, 0.8, events)).astype(
            np.float32
        ),
    }


def hard_process(truth: Generated, rng: np.random.Generator) -> dict[str, Array]:
    """What the generator records of the hard scattering."""
    weight = np.where(rng.random(len(truth.x1)) < 0.005, -1.0, 1.0)
    return {
        "genWeight": (weight * 1.3e2).astype(np.float32),
        "Generator_x1": reduce_mantissa(truth.x1, 14),
        "Generator_x2": reduce_mantissa(truth.x2, 14),
        "Generator_scalePDF": reduce_mantissa(truth.scale, 14),
        "Generator_weight": (weight * 1.3e2).astype(np.float32),
        "GenMET_pt": reduce_mantissa(transverse(truth.invisible), 10),
        "GenMET_phi": reduce_mantissa(azimuth(truth.invisible), 10),
    }


def missing_momentum(
    truth: Generated, jets: Collection, rng: np.random.Generator
) -> dict[str, Array]:
    """Missing transverse momentum: the neutrinos plus noise that grows with the activity."""
    events = len(truth.x1)
    activity = scalar_sum(jets) + rng.normal(900, 180, events).clip(100)
    width = 0.65 * np.sqrt(activity)
    out: dict[str, Array] = {}
    for name, scale in (("MET", 1.0), ("PuppiMET", 0.8)):
        x = truth.invisible[:, 1] + scale * width * rng.normal(size=events)
        y = truth.invisible[:, 2] + scale * width * rng.normal(size=events)
        out[f"{name}_pt"] = np.hypot(x, y).astype(np.float32)
        out[f"{name}_phi"] = reduce_mantissa(np.arctan2(y, x), 12)
        out[f"{name}_sumEt"] = reduce_mantissa(activity * scale, 10)
    variance = width**2 * rng.lognormal(0, 0.05, events)
    out["MET_covXX"] = reduce_mantissa(variance * rng.lognormal(0, 0.1, events), 8)
    out["MET_covYY"] = reduce_mantissa(variance * rng.lognormal(0, 0.1, events), 8)
    out["MET_covXY"] = reduce_mantissa(variance * rng.normal(0, 0.1, events), 8)
    out["MET_significance"] = reduce_mantissa(out["MET_pt"] ** 2 / variance, 10)
    return out


def triggers(
    collections: dict[str, Collection], met: Array, rng: np.random.Generator
) -> dict[str, Array]:
    """Trigger bits and filters: thresholds on the event's own objects, with a turn-on."""
    events = len(met)
    out: dict[str, Array] = {}
    for name, kind, threshold, isolated in LEPTON_TRIGGERS:
        objects = collections[kind]
        passing = objects.present & (
            objects.columns["pt"] * rng.normal(1, 0.02, objects.present.shape) > threshold
        )
        if isolated:
            passing &= objects.columns["pfRelIso03_all"] < 0.15
        out[name] = passing.any(axis=1) & (rng.random(events) < 0.92)
    online = scalar_sum(collections["Jet"]) * rng.normal(1, 0.05, events)
    for threshold in HT_TRIGGERS:
        out[f"HLT_PFHT{threshold}"] = online > threshold
    for threshold in MET_TRIGGERS:
        out[f"HLT_PFMET{threshold}_PFMHT{threshold}_IDTight"] = met > threshold + 20
    out["HLT_ZeroBias"] = np.zeros(events, bool)
    for name in FILTERS:
        out[name] = rng.random(events) < 0.999
    return out


def scalar_sum(jets: Collection) -> Array:
    """Scalar sum of the jets' transverse momenta, shape (events,)."""
    total: Array = np.where(jets.present, jets.columns["pt"], 0.0).sum(axis=1, dtype=np.float64)
    return total
