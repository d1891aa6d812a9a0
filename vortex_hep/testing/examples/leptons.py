"""Reconstructed muons and electrons of the example events."""

from __future__ import annotations

import numpy as np

from vortex_hep.testing.examples.collections import Collection, nearest
from vortex_hep.testing.examples.generator import Generated
from vortex_hep.testing.examples.kinematics import (
    azimuth,
    pseudorapidity,
    reduce_mantissa,
    transverse,
    wrap,
)

MUON, ELECTRON = 13, 11


def leptons(truth: Generated, kind: int, rng: np.random.Generator) -> Collection:
    """Leptons of one kind: from W and tau decays, and the soft ones inside b jets.

    Parameters
    ----------
    truth : Generated
    kind : {11, 13}
        PDG code: electrons or muons.
    rng : numpy.random.Generator

    Returns
    -------
    Collection
        Sorted by pt; ``jetIdx`` is added by :func:`link_to_jets`.
    """
    lines = truth.leptons + truth.soft_leptons
    soft = len(truth.leptons)
    p = np.stack([line.p for line in lines], axis=1)
    shape = p.shape[:2]
    pdg_id = np.stack([line.pdg_id for line in lines], axis=1)
    slots = np.stack([line.slot for line in lines], axis=1)
    true_pt = transverse(p)
    resolution = 0.012 + 0.0001 * true_pt if kind == MUON else 0.02 + 0.3 / (true_pt + 5)
    pt = true_pt * np.clip(rng.normal(1, resolution), 0.5, 1.5)
    eta = pseudorapidity(p)
    present = np.stack([line.present for line in lines], axis=1) & (np.abs(pdg_id) == kind)
    threshold, reach = (3.0, 2.4) if kind == MUON else (5.0, 2.5)
    present &= (pt > threshold) & (np.abs(eta) < reach) & (rng.random(shape) < 0.95)
    columns = {
        "pt": reduce_mantissa(pt, 10),
        "eta": reduce_mantissa(np.clip(eta, -9, 9) + rng.normal(0, 5e-4, shape), 12),
        "phi": reduce_mantissa(wrap(azimuth(p) + rng.normal(0, 5e-4, shape)), 12),
        "charge": -np.sign(pdg_id).astype(np.int32),
        "pdgId": pdg_id.astype(np.int32),
        "genPartIdx": np.take_along_axis(
            truth.particles.index_of_slot(), slots, axis=1
        ).astype(np.int16),
        "genPartFlav": np.broadcast_to(
            np.where(np.arange(shape[1]) < soft, 1, 5), shape
        ).astype(np.uint8),
    }  # fmt: skip
    collection = Collection(columns, present).sorted_by_pt()
    _track(collection, rng)
    _isolation(collection, rng)
    (_muon_ids if kind == MUON else _electron_ids)(collection, rng)
    return collection


def link_to_jets(collection: Collection, jets: Collection) -> None:
    """Add ``jetIdx``, the jet each lepton lies in."""
    collection.columns["jetIdx"] = nearest(collection, jets, 0.4).astype(np.int16)


def _track(collection: Collection, rng: np.random.Generator) -> None:
    """Impact parameters with their errors, and what is computed from them."""
    columns, shape = collection.columns, collection.present.shape
    pt = columns["pt"].astype(np.float64)
    lifetime = np.where(columns["genPartFlav"] == 5, 0.02, 0.0)
    spread = np.abs(columns["eta"])
    error = (0.0012 + 0.012 / pt) * (1 + 0.15 * spread) * rng.lognormal(0, 0.1, shape)
    error_z = 1.6 * error * (1 + 0.8 * spread)
    dxy = error * rng.normal(size=shape) + lifetime * rng.normal(size=shape)
    dz = error_z * rng.normal(size=shape) + lifetime * rng.normal(size=shape)
    ip3d = np.hypot(dxy, dz * 0.5)
    columns["dxy"], columns["dxyErr"] = reduce_mantissa(dxy, 10), reduce_mantissa(error, 6)
    columns["dz"], columns["dzErr"] = reduce_mantissa(dz, 10), reduce_mantissa(error_z, 6)
    columns["ip3d"] = reduce_mantissa(ip3d, 10)
    columns["sip3d"] = reduce_mantissa(ip3d / error, 10)


def _isolation(collection: Collection, rng: np.random.Generator) -> None:
    """Relative isolation: small or exactly zero for prompt leptons, large inside jets."""
    columns, shape = collection.columns, collection.present.shape
    prompt = columns["genPartFlav"] == 1
    charged = np.where(prompt, 0.03, 0.8) * rng.exponential(size=shape)
    charged = np.where(prompt & (rng.random(shape) < 0.45), 0.0, charged)
    neutral = np.where(prompt, 0.03, 0.4) * rng.exponential(size=shape)
    neutral = np.where(rng.random(shape) < 0.3, 0.0, neutral)
    columns["pfRelIso03_chg"] = reduce_mantissa(charged, 10)
    columns["pfRelIso03_all"] = reduce_mantissa(charged + neutral, 10)
    columns["miniPFRelIso_all"] = reduce_mantissa(0.6 * charged + 0.4 * neutral, 10)


def _muon_ids(collection: Collection, rng: np.random.Generator) -> None:
    columns, shape = collection.columns, collection.present.shape
    iso, pt = columns["pfRelIso03_all"], columns["pt"]
    columns["mass"] = np.full(shape, 0.10565837, np.float32)
    columns["ptErr"] = reduce_mantissa(pt * 0.012 * rng.lognormal(0, 0.2, shape), 6)
    columns["pfRelIso04_all"] = reduce_mantissa(iso * rng.lognormal(0.2, 0.2, shape), 10)
    columns["nStations"] = rng.choice([0, 1, 2, 3, 4], p=[0.03, 0.07, 0.2, 0.3, 0.4], size=shape)
    columns["nStations"] = columns["nStations"].astype(np.uint8)
    columns["nTrackerLayers"] = np.clip(rng.normal(13, 2, shape), 5, 18).astype(np.uint8)
    columns["looseId"] = np.ones(shape, bool)
    columns["isGlobal"] = columns["nStations"] > 0
    columns["mediumId"] = columns["isGlobal"] & (rng.random(shape) < 0.97)
    small = (np.abs(columns["dxy"]) < 0.2) & (columns["nStations"] > 1)
    columns["tightId"] = columns["mediumId"] & small & (columns["nTrackerLayers"] > 5)
    grade = np.select([iso < 0.05, iso < 0.10, iso < 0.15, iso < 0.20, iso < 0.25], [6, 5, 4, 3, 2])
    columns["pfIsoId"] = np.maximum(grade, 1).astype(np.uint8)


def _electron_ids(collection: Collection, rng: np.random.Generator) -> None:
    columns, shape = collection.columns, collection.present.shape
    endcap = np.abs(columns["eta"]) > 1.48
    good = columns["genPartFlav"] == 1
    columns["mass"] = reduce_mantissa(rng.normal(0, 0.01, shape), 10)
    columns["energyErr"] = reduce_mantissa(columns["pt"] * rng.lognormal(-4, 0.3, shape), 6)
    columns["deltaEtaSC"] = reduce_mantissa(rng.normal(0, 0.03, shape), 10)
    columns["r9"] = reduce_mantissa(np.minimum(rng.normal(0.93, 0.08, shape), 1.0), 10)
    width = np.where(endcap, 0.026, 0.0095) * rng.lognormal(0, np.where(good, 0.06, 0.2))
    columns["sieie"] = reduce_mantissa(width, 10)
    hoe = np.where(good, 0.02, 0.1) * rng.exponential(size=shape)
    columns["hoe"] = reduce_mantissa(np.where(rng.random(shape) < 0.4, 0.0, hoe), 10)
    columns["eInvMinusPInv"] = reduce_mantissa(rng.normal(0.001, 0.01, shape), 10)
    score = np.tanh(np.where(good, 2.0, -0.5) + rng.normal(0, 0.8, shape))
    columns["mvaIso"] = reduce_mantissa(score, 10)
    columns["mvaIso_WP90"] = score > 0.6
    columns["mvaIso_WP80"] = score > 0.85
    columns["cutBased"] = np.digitize(score, [-0.2, 0.4, 0.7, 0.9]).astype(np.uint8)
    columns["convVeto"] = rng.random(shape) < np.where(good, 0.98, 0.8)
    columns["lostHits"] = np.minimum(rng.poisson(np.where(good, 0.05, 0.4)), 5).astype(np.uint8)
