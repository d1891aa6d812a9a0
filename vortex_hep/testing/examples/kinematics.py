"""Four-momenta of many particles at a time, and NanoAOD's reduced mantissas.

A momentum is an array of shape ``(..., 4)`` holding E, px, py, pz in GeV.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

#: Pseudorapidity written for a particle without transverse momentum.
BEAM_ETA = 23040.0


def momentum(pt: Array, eta: Array, phi: Array, mass: Array | float) -> Array:
    """Four-momenta from transverse momentum, pseudorapidity, azimuth and mass."""
    px, py, pz = pt * np.cos(phi), pt * np.sin(phi), pt * np.sinh(eta)
    return np.stack([np.sqrt(px * px + py * py + pz * pz + mass * mass), px, py, pz], axis=-1)


def with_mass(spatial: Array, mass: Array | float) -> Array:
    """Four-momenta from the three spatial components and a mass."""
    energy = np.sqrt(np.sum(spatial * spatial, axis=-1) + mass * mass)
    return np.concatenate([energy[..., None], spatial], axis=-1)


def transverse(p: Array) -> Array:
    """Transverse momentum."""
    return np.asarray(np.hypot(p[..., 1], p[..., 2]))


def pseudorapidity(p: Array) -> Array:
    """Pseudorapidity; :data:`BEAM_ETA` with the sign of pz along the beam."""
    pt = transverse(p)
    along = pt < 1e-9
    eta = np.arcsinh(p[..., 3] / np.where(along, 1.0, pt))
    return np.where(along, np.copysign(BEAM_ETA, p[..., 3]), eta)


def azimuth(p: Array) -> Array:
    """Azimuth in (-pi, pi]."""
    return np.asarray(np.arctan2(p[..., 2], p[..., 1]))


def invariant_mass(p: Array) -> Array:
    """Invariant mass; 0 where rounding makes its square negative."""
    square = p[..., 0] ** 2 - np.sum(p[..., 1:] ** 2, axis=-1)
    return np.asarray(np.sqrt(np.maximum(square, 0.0)))


def wrap(phi: Array) -> Array:
    """Angle brought back to [-pi, pi)."""
    return (phi + np.pi) % (2 * np.pi) - np.pi


def delta_r(eta1: Array, phi1: Array, eta2: Array, phi2: Array) -> Array:
    """Distance in pseudorapidity and azimuth."""
    return np.asarray(np.hypot(eta1 - eta2, wrap(phi1 - phi2)))


def boost(p: Array, frame: Array) -> Array:
    """Momenta ``p``, given in the rest frame of ``frame``, in the frame ``frame`` is given in."""
    mass = invariant_mass(frame)[..., None]
    along = np.sum(p[..., 1:] * frame[..., 1:], axis=-1, keepdims=True)
    energy = p[..., :1]
    scale = (along / (frame[..., :1] + mass) + energy) / mass
    total = (energy * frame[..., :1] + along) / mass
    return np.concatenate([total, p[..., 1:] + frame[..., 1:] * scale], axis=-1)


def decay(
    parent: Array, mass1: Array | float, mass2: Array | float, rng: np.random.Generator
) -> tuple[Array, Array]:
    """Momenta of an isotropic decay into two bodies.

    Parameters
    ----------
    parent : float64 array, shape (n, 4)
        Momenta of the decaying particles; heavier than both products together.
    mass1, mass2 : float64 array of shape (n,) or float
        Masses of the products in GeV.
    rng : numpy.random.Generator

    Returns
    -------
    tuple of float64 array, shape (n, 4)
    """
    heavy = np.maximum(invariant_mass(parent), mass1 + mass2 + 1e-3)
    parent = with_mass(parent[..., 1:], heavy)
    square = (heavy**2 - (mass1 + mass2) ** 2) * (heavy**2 - (mass1 - mass2) ** 2)
    size = np.sqrt(np.maximum(square, 0.0)) / (2 * heavy)
    cosine = rng.uniform(-1, 1, len(parent))
    phi = rng.uniform(-np.pi, np.pi, len(parent))
    sine = np.sqrt(1 - cosine**2)
    direction = np.stack([sine * np.cos(phi), sine * np.sin(phi), cosine], axis=-1)
    first = with_mass(size[:, None] * direction, mass1)
    second = with_mass(-size[:, None] * direction, mass2)
    return boost(first, parent), boost(second, parent)


def reduce_mantissa(values: Array, bits: int) -> Array:
    """Round to ``bits`` bits of mantissa, as CMS does before it writes a NanoAOD branch.

    Parameters
    ----------
    values : array of finite numbers
    bits : int
        Mantissa bits to keep, 1 to 23; the rest become zero.

    Returns
    -------
    float32 array

    Examples
    --------
    >>> reduce_mantissa(np.array([3.14159]), 4)
    array([3.125], dtype=float32)
    """
    pattern = np.ascontiguousarray(values, dtype=np.float32).view(np.uint32)
    drop = 23 - bits
    if drop == 0:
        return pattern.view(np.float32)
    half = np.uint32(1 << (drop - 1))
    mask = np.uint32(0xFFFFFFFF ^ ((1 << drop) - 1))
    rounded: Array = (pattern + half) & mask
    return rounded.view(np.float32)
