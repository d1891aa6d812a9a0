"""Generated and reconstructed jets of the example events."""

from __future__ import annotations

import numpy as np

from vortex_hep.testing.examples.collections import Collection, nearest, picked
from vortex_hep.testing.examples.generator import Generated
from vortex_hep.testing.examples.kinematics import (
    Array,
    azimuth,
    pseudorapidity,
    reduce_mantissa,
    transverse,
    wrap,
)

PILEUP_JETS = 3


def generated_jets(truth: Generated, rng: np.random.Generator) -> Collection:
    """One jet per parton above threshold.

    Returns
    -------
    Collection
        Sorted by pt; columns of GenJet plus ``parton``, the place in ``truth.partons``.
    """
    partons = truth.partons
    p = np.stack([line.p for line in partons], axis=1)
    shape = p.shape[:2]
    pt = transverse(p) * np.clip(rng.normal(0.97, 0.06, shape), 0.6, 1.2)
    eta = pseudorapidity(p) + rng.normal(0, 0.01, shape)
    flavour = np.stack([line.pdg_id for line in partons], axis=1)
    present = np.stack([line.present for line in partons], axis=1)
    columns = {
        "pt": reduce_mantissa(pt, 12),
        "eta": reduce_mantissa(np.clip(eta, -9, 9), 12),
        "phi": reduce_mantissa(wrap(azimuth(p) + rng.normal(0, 0.01, shape)), 12),
        "mass": reduce_mantissa(0.09 * pt * rng.lognormal(0, 0.35, shape) + 2.0, 10),
        "partonFlavour": flavour.astype(np.int16),
        "hadronFlavour": _hadron_flavour(flavour),
        "parton": np.broadcast_to(np.arange(len(partons)), shape),
    }
    visible = present & (pt > 15) & (np.abs(eta) < 5)
    return Collection(columns, visible).sorted_by_pt()


def reconstructed_jets(
    gen: Collection, leptons: dict[str, Collection], rho: Array, rng: np.random.Generator
) -> Collection:
    """Jets as the detector sees them: smeared generated jets, and some from pile-up.

    Parameters
    ----------
    gen : Collection
    leptons : dict of str to Collection
        Muons and electrons under ``"muon"`` and ``"electron"``.
    rho : float64 array, shape (events,)
        Pile-up density, which sets the rate of pile-up jets.
    rng : numpy.random.Generator
    """
    seeds, present = _seeds(gen, rho, rng)
    jets = Collection(seeds, present).sorted_by_pt()
    columns, shape = jets.columns, jets.present.shape
    pt, match = columns["pt"], columns["genJetIdx"]
    columns["hadronFlavour"] = picked(gen.columns["hadronFlavour"], match).astype(np.uint8)
    columns["partonFlavour"] = picked(gen.columns["partonFlavour"], match).astype(np.int16)
    columns["genJetIdx"] = match.astype(np.int16)
    columns["mass"] = reduce_mantissa(
        np.where(match < 0, 0.12 * pt, picked(gen.columns["mass"], match))
        * rng.lognormal(0, 0.15, shape), 10,
    )  # fmt: skip
    area = np.clip(rng.normal(0.5, 0.02, shape), 0.3, 0.7)
    columns["area"] = reduce_mantissa(area, 10)
    correction = 0.02 + 0.12 * np.exp(-pt / 60) + rho[:, None] * area / pt * 0.5
    columns["rawFactor"] = reduce_mantissa(correction + rng.normal(0, 0.003, shape), 6)
    for name, collection in leptons.items():
        index = nearest(jets, collection, 0.4)
        columns[f"{name}Idx1"] = index.astype(np.int16)
        columns[f"n{name.capitalize()}s"] = (index >= 0).astype(np.uint8)
    _energy_fractions(jets, rng)
    _taggers(jets, rng)
    return jets


def _seeds(gen: Collection, rho: Array, rng: np.random.Generator) -> tuple[dict[str, Array], Array]:
    """Momenta and generated match of all jets, unsorted."""
    shape = gen.present.shape
    gen_pt = gen.columns["pt"].astype(np.float64)
    resolution = np.sqrt(0.04**2 + 0.8**2 / gen_pt + (3 / gen_pt) ** 2)
    pt = gen_pt * np.clip(rng.normal(1.0, resolution), 0.3, 1.8)
    seen = gen.present & (rng.random(shape) < 0.98)
    extra = (len(rho), PILEUP_JETS)
    extra_pt = 15.0 + rng.exponential(6.0, extra)
    extra_seen = rng.random(extra) < (rho / 60)[:, None]
    index = np.broadcast_to(np.arange(shape[1]), shape)
    width = 0.02 + 0.4 / gen_pt
    columns = {
        "pt": np.hstack([pt, extra_pt]),
        "eta": np.hstack(
            [gen.columns["eta"] + rng.normal(0, width), rng.uniform(-4.7, 4.7, extra)]
        ),
        "phi": wrap(
            np.hstack(
                [gen.columns["phi"] + rng.normal(0, width), rng.uniform(-np.pi, np.pi, extra)]
            )
        ),
        "genJetIdx": np.hstack([index, np.full(extra, -1)]),
    }
    present = np.hstack([seen, extra_seen]) & (columns["pt"] > 15)
    reduced = {name: reduce_mantissa(columns[name], 10) for name in ("pt", "eta", "phi")}
    return columns | reduced, present


def _energy_fractions(jets: Collection, rng: np.random.Generator) -> None:
    """Shares of the jet's energy; they add up to one before they are rounded."""
    columns, shape = jets.columns, jets.present.shape
    weights = rng.gamma([6.0, 1.2, 2.5, 0.05], size=(*shape, 4))
    weights[..., 3] *= columns["nMuons"] * 20
    weights[..., 2] += columns["nElectrons"] * 6
    shares = weights / weights.sum(axis=-1, keepdims=True)
    forward = np.abs(columns["eta"]) > 2.6
    for place, name in enumerate(("chHEF", "neHEF", "neEmEF", "muEF")):
        share = np.where(forward & (name in ("chHEF", "muEF")), 0.0, shares[..., place])
        columns[name] = reduce_mantissa(share, 6)
    charged_em = np.where(columns["nElectrons"] > 0, 0.3 * shares[..., 2], 0.0)
    columns["chEmEF"] = reduce_mantissa(charged_em, 6)
    mean = 8 + 6 * np.log1p(columns["pt"] / 20)
    constituents = np.minimum(rng.poisson(mean) + 1, 255)
    columns["nConstituents"] = constituents.astype(np.uint8)
    charged = rng.binomial(constituents, np.where(forward, 0.0, shares[..., 0]))
    columns["chMultiplicity"] = charged.astype(np.uint8)
    columns["neMultiplicity"] = (constituents - charged).astype(np.uint8)
    tight = (columns["neHEF"] < 0.9) & (columns["neEmEF"] < 0.9) & (constituents > 1)
    columns["jetId"] = np.where(tight, np.where(columns["muEF"] < 0.8, 6, 2), 0).astype(np.uint8)


def _taggers(jets: Collection, rng: np.random.Generator) -> None:
    """Flavour-tagging scores: several views of one latent, so that they correlate."""
    columns, shape = jets.columns, jets.present.shape
    flavour = columns["hadronFlavour"]
    outside = np.abs(columns["eta"]) > 2.5
    mean = np.select([flavour == 5, flavour == 4], [2.5, -0.5], -3.0)
    latent = mean + rng.normal(0, 1.4, shape)
    charm = np.where(flavour == 4, 0.5, -1.5) + rng.normal(0, 1.0, shape)
    for name, value, noise in (
        ("btagDeepFlavB", latent, 0.0),
        ("btagPNetB", 1.1 * latent, 0.4),
        ("btagDeepFlavCvB", charm - latent, 0.3),
        ("btagDeepFlavCvL", charm, 0.0),
        ("btagDeepFlavQG", -0.3 * np.log(columns["nConstituents"] / 12.0), 0.6),
    ):
        score = 1 / (1 + np.exp(-(value + noise * rng.normal(size=shape))))
        columns[name] = reduce_mantissa(np.where(outside, -1.0, score), 10)


def _hadron_flavour(pdg_id: Array) -> Array:
    kind = np.abs(pdg_id)
    return np.select([kind == 5, kind == 4], [5, 4], 0).astype(np.uint8)
