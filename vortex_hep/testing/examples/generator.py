"""Toy generator of top-quark pairs: from the incoming partons to the stable particles.

Every step is one array operation over all events. The shapes are invented but of the right kind:
falling spectra, resonances with their widths, decay chains that repeat their particles.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from vortex_hep.testing.examples.kinematics import Array, decay, momentum, transverse, with_mass
from vortex_hep.testing.examples.particles import (
    FROM_HARD,
    IS_FIRST,
    IS_HADRON_PRODUCT,
    IS_HARD,
    IS_LAST,
    IS_LAST_BEFORE_FSR,
    IS_PROMPT,
    IS_TAU_PRODUCT,
    Line,
    ParticleList,
)

BEAM_ENERGY = 6800.0
TOP_MASS, TOP_WIDTH = 172.5, 1.4
W_MASS, W_WIDTH = 80.4, 2.1
B_MASS = 4.8
B_HADRONS = ((511, 5.280), (521, 5.279), (531, 5.367), (5122, 5.620))
D_HADRONS = ((411, 1.870), (421, 1.865), (431, 1.968))
HARD = IS_PROMPT | IS_HARD | FROM_HARD | IS_FIRST
COPY = IS_PROMPT | FROM_HARD


@dataclass
class Generated:
    """What the hard process leaves to the detector.

    Parameters
    ----------
    particles : ParticleList
    partons : list of Line
        Quarks and gluons that make jets.
    leptons : list of Line
        Charged leptons from W and tau decays; ``pdg_id`` is 0 where the line is empty.
    soft_leptons : list of Line
        Charged leptons from b-hadron decays.
    soft_hosts : list of int
        For each soft lepton, the parton (place in ``partons``) whose jet it sits in.
    invisible : float64 array, shape (events, 4)
        Sum of the neutrinos.
    x1, x2, scale : float64 array, shape (events,)
        Momentum fractions of the incoming partons, and the scale of the process in GeV.
    """

    particles: ParticleList
    partons: list[Line]
    leptons: list[Line]
    soft_leptons: list[Line]
    soft_hosts: list[int]
    invisible: Array
    x1: Array
    x2: Array
    scale: Array


def generate(events: int, rng: np.random.Generator) -> Generated:
    """Generate events.

    Parameters
    ----------
    events : int
    rng : numpy.random.Generator

    Returns
    -------
    Generated
    """
    particles = ParticleList(events)
    mass = 2 * TOP_MASS * (1.02 + rng.exponential(0.25, events))
    rapidity = np.clip(rng.normal(0, 0.9, events), -2.5, 2.5)
    x1 = np.minimum(mass / (2 * BEAM_ENERGY) * np.exp(rapidity), 0.95)
    x2 = np.minimum(mass / (2 * BEAM_ENERGY) * np.exp(-rapidity), 0.95)
    incoming = _incoming(particles, x1, x2, rng)

    pt = rng.exponential(45.0, events)
    phi = rng.uniform(-np.pi, np.pi, events)
    longitudinal = np.sqrt(mass**2 + pt**2) * np.sinh(rapidity)
    pair = with_mass(np.stack([pt * np.cos(phi), pt * np.sin(phi), longitudinal], axis=-1), mass)
    top, antitop = decay(pair, _resonance(TOP_MASS, TOP_WIDTH, rng, events), TOP_MASS, rng)

    out = Generated(particles, [], [], [], [], np.zeros((events, 4)), x1, x2, mass)
    tops = []
    for sign, p in ((1, top), (-1, antitop)):
        line = particles.add(6 * sign, p, status=22, flags=HARD, mother=incoming[0].slot)
        tops.append((sign, line))
    _radiation(out, incoming, rng)
    for sign, line in tops:
        last = particles.copies(
            line, rng, statuses=(44, 44, 44, 62), chance=0.6, recoil=0.03, flags=COPY
        )
        _top_decay(out, sign, last, rng)
    return out


def _incoming(
    particles: ParticleList, x1: Array, x2: Array, rng: np.random.Generator
) -> list[Line]:
    """Two incoming partons along the beam, gluons nine times out of ten."""
    gluon = rng.random(particles.events) < 0.9
    flavour = rng.choice([1, 2, 3], p=[0.4, 0.55, 0.05], size=particles.events)
    lines = []
    for sign, x in ((1, x1), (-1, x2)):
        zero = np.zeros_like(x)
        p = np.stack([x * BEAM_ENERGY, zero, zero, sign * x * BEAM_ENERGY], axis=-1)
        pdg_id = np.where(gluon, 21, sign * flavour)
        lines.append(particles.add(pdg_id, p, status=21, flags=HARD | IS_LAST))
    return lines


def _radiation(out: Generated, incoming: list[Line], rng: np.random.Generator) -> None:
    """Up to three jets radiated off the incoming partons."""
    events = out.particles.events
    present = np.ones(events, bool)
    for order in range(3):
        present = present & (rng.random(events) < 0.55)
        pt = 20.0 + rng.exponential(35.0 / (order + 1), events)
        phi = rng.uniform(-np.pi, np.pi, events)
        p = momentum(pt, np.clip(rng.normal(0, 1.9, events), -4.7, 4.7), phi, 0.0)
        pdg_id = np.where(rng.random(events) < 0.8, 21, rng.choice([1, 2, -1, -2], events))
        mother = incoming[order % 2].slot
        line = out.particles.add(
            pdg_id, p, status=43, flags=COPY | IS_FIRST, mother=mother, present=present
        )
        out.partons.append(
            out.particles.copies(
                line, rng, statuses=(51, 71), chance=0.5, recoil=0.02, flags=FROM_HARD
            )
        )


def _top_decay(out: Generated, sign: int, top: Line, rng: np.random.Generator) -> None:
    """A top quark to b W, and both of these onwards."""
    particles = out.particles
    w_p, b_p = decay(top.p, _resonance(W_MASS, W_WIDTH, rng, particles.events), B_MASS, rng)
    w = particles.add(24 * sign, w_p, status=22, flags=HARD, mother=top.slot)
    b = particles.add(5 * sign, b_p, status=23, flags=HARD | IS_LAST_BEFORE_FSR, mother=top.slot)
    w = particles.copies(w, rng, statuses=(52, 52), chance=0.8, recoil=0.01, flags=COPY)
    _w_decay(out, sign, w, rng)
    b = particles.copies(b, rng, statuses=(51, 52, 51, 71), chance=0.6, recoil=0.05, flags=COPY)
    out.partons.append(b)
    _b_hadron(out, sign, b, len(out.partons) - 1, rng)


def _w_decay(out: Generated, sign: int, w: Line, rng: np.random.Generator) -> None:
    """A W boson to quarks two times out of three, else to a lepton and its neutrino."""
    particles, events = out.particles, out.particles.events
    first, second = decay(w.p, 0.0, 0.0, rng)
    hadronic = rng.random(events) < 0.67
    up = np.where(rng.random(events) < 0.5, 2, 4)
    lepton = rng.choice([11, 13, 15], events)
    common: dict[str, Any] = {"status": 23, "flags": HARD | IS_LAST_BEFORE_FSR, "mother": w.slot}
    for pdg_id, p in ((sign * up, first), (-sign * (up - 1), second)):
        quark = particles.add(pdg_id, p, present=hadronic, **common)
        out.partons.append(
            particles.copies(quark, rng, statuses=(51, 51, 71), chance=0.5, recoil=0.05, flags=COPY)
        )
    leptonic = ~hadronic
    charged = particles.add(-sign * lepton, first, present=leptonic, **common)
    neutrino = particles.add(sign * (lepton + 1), second, present=leptonic, **common)
    out.invisible += np.where(leptonic[:, None], second, 0.0)
    particles.copies(neutrino, rng, statuses=(1,), chance=1.0, recoil=0.0, flags=COPY)

    is_tau = leptonic & (lepton == 15)
    stable = Line(charged.slot, charged.pdg_id, charged.p, leptonic & ~is_tau)
    out.leptons.append(
        particles.copies(stable, rng, statuses=(51, 1), chance=0.3, recoil=0.01, flags=COPY)
    )
    _tau_decay(out, sign, Line(charged.slot, charged.pdg_id, charged.p, is_tau), rng)


def _tau_decay(out: Generated, sign: int, tau: Line, rng: np.random.Generator) -> None:
    """A tau lepton to an electron, a muon or a pion, with a neutrino."""
    particles = out.particles
    tau = particles.copies(tau, rng, statuses=(51, 2), chance=0.4, recoil=0.01, flags=COPY)
    heavy = with_mass(tau.p[:, 1:], 1.777)
    visible, neutrino = decay(heavy, 0.14, 0.0, rng)
    kind = rng.choice([-11, -13, 211], p=[0.18, 0.18, 0.64], size=particles.events)
    flags = IS_TAU_PRODUCT | IS_FIRST | IS_LAST
    common: dict[str, Any] = {
        "status": 1,
        "flags": flags,
        "mother": tau.slot,
        "present": tau.present,
    }
    particles.add(-16 * sign, neutrino, **common)
    line = particles.add(kind * sign, visible, **common)
    out.invisible += np.where(tau.present[:, None], neutrino, 0.0)
    is_lepton = tau.present & (np.abs(kind) < 100)
    out.leptons.append(Line(line.slot, line.pdg_id, line.p, is_lepton))


def _b_hadron(out: Generated, sign: int, b: Line, host: int, rng: np.random.Generator) -> None:
    """A b quark to a b hadron, on to a charmed hadron and at times a soft lepton."""
    particles, events = out.particles, out.particles.events
    species = rng.choice(len(B_HADRONS), p=[0.4, 0.4, 0.11, 0.09], size=events)
    codes, masses = np.array(B_HADRONS).T
    share = rng.beta(7.0, 2.5, events)[:, None]
    spread = 0.3 * rng.normal(size=(events, 3))
    hadron_p = with_mass(b.p[:, 1:] * share + spread, masses[species])
    excited = rng.random(events) < 0.5
    code = codes[species].astype(np.int64)
    flags = IS_FIRST | IS_LAST
    star = particles.add(
        sign * (code + 2), hadron_p, status=2, flags=IS_FIRST | IS_LAST, mother=b.slot,
        present=excited,
    )  # fmt: skip
    hadron = particles.add(
        sign * code, hadron_p, status=2, flags=flags, mother=np.where(excited, star.slot, b.slot)
    )
    charm = rng.choice(len(D_HADRONS), p=[0.3, 0.6, 0.1], size=events)
    charm_codes, charm_masses = np.array(D_HADRONS).T
    has_charm = transverse(hadron_p) > 10.0
    rest, charmed = decay(hadron_p, 0.8, charm_masses[charm], rng)
    particles.add(
        -sign * charm_codes[charm].astype(np.int64), charmed, status=2,
        flags=flags | IS_HADRON_PRODUCT, mother=hadron.slot, present=has_charm,
    )  # fmt: skip
    with_lepton = has_charm & (rng.random(events) < 0.22)
    kind = np.where(rng.random(events) < 0.5, 11, 13)
    soft = with_mass(rest[:, 1:] * 0.6, 0.1)
    line = particles.add(
        -sign * kind, soft, status=1, flags=flags | IS_HADRON_PRODUCT, mother=hadron.slot,
        present=with_lepton,
    )  # fmt: skip
    out.soft_leptons.append(line)
    out.soft_hosts.append(host)


def _resonance(mass: float, width: float, rng: np.random.Generator, events: int) -> Array:
    """Masses of a resonance, kept within ten widths."""
    return mass + np.clip(rng.standard_cauchy(events) * width / 2, -10 * width, 10 * width)
