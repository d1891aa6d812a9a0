"""The list of generated particles of many events, built slot by slot.

A *slot* is one place in the list that an event may fill or leave empty: the same decay tree is
laid out for all events at once, and each event keeps the slots it uses.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from vortex_hep.testing.examples.kinematics import (
    Array,
    azimuth,
    invariant_mass,
    pseudorapidity,
    reduce_mantissa,
    transverse,
)

# Bits of GenPart_statusFlags.
IS_PROMPT = 1 << 0
IS_TAU_PRODUCT = 1 << 2
IS_HADRON_PRODUCT = 1 << 6
IS_HARD = 1 << 7
FROM_HARD = 1 << 8
IS_FIRST = 1 << 12
IS_LAST = 1 << 13
IS_LAST_BEFORE_FSR = 1 << 14

NO_MOTHER = -1


@dataclass
class Line:
    """The state of one particle line while it is followed through its copies.

    Parameters
    ----------
    slot : int64 array, shape (events,)
        Slot of the latest copy in each event.
    pdg_id : int64 array, shape (events,)
    p : float64 array, shape (events, 4)
    present : bool array, shape (events,)
    """

    slot: Array
    pdg_id: Array
    p: Array
    present: Array


@dataclass
class ParticleList:
    """Slots filled so far, each an array over events."""

    events: int
    pdg_id: list[Array] = field(default_factory=list)
    status: list[Array] = field(default_factory=list)
    flags: list[Array] = field(default_factory=list)
    p: list[Array] = field(default_factory=list)
    mother: list[Array] = field(default_factory=list)
    present: list[Array] = field(default_factory=list)

    def add(
        self,
        pdg_id: Array | int,
        p: Array,
        *,
        status: Array | int,
        flags: Array | int,
        mother: Array | int = NO_MOTHER,
        present: Array | None = None,
    ) -> Line:
        """Append one slot.

        Parameters
        ----------
        pdg_id, status, flags : int or array of shape (events,)
        p : float64 array, shape (events, 4)
        mother : int or array of shape (events,)
            Slot of the mother; it is present wherever the new slot is.
        present : bool array, shape (events,), optional
            Events that have this particle; all of them by default.
        """
        full = (self.events,)
        everywhere = np.ones(full, bool)
        line = Line(
            np.full(full, len(self.p)),
            np.broadcast_to(np.asarray(pdg_id), full),
            p,
            everywhere if present is None else present,
        )
        self.pdg_id.append(line.pdg_id)
        self.status.append(np.broadcast_to(np.asarray(status), full))
        self.flags.append(np.broadcast_to(np.asarray(flags), full))
        self.p.append(p)
        self.mother.append(np.broadcast_to(np.asarray(mother), full))
        self.present.append(line.present)
        return line

    def copies(
        self,
        line: Line,
        rng: np.random.Generator,
        *,
        statuses: tuple[int, ...],
        chance: float,
        recoil: float,
        flags: int,
    ) -> Line:
        """Follow a line through copies of itself, as a shower generator records them.

        Each copy exists with probability ``chance`` and is listed under the one before. Half of
        the copies repeat the momentum exactly; the others recoil by a relative ``recoil``.
        """
        for position, status in enumerate(statuses):
            last = position == len(statuses) - 1
            made = line.present & (last | (rng.random(self.events) < chance))
            kick = np.where(rng.random(self.events) < 0.5, recoil, 0.0)[:, None]
            moved = _recoiled(line.p, kick, rng)
            copy = self.add(
                line.pdg_id,
                moved,
                status=status,
                flags=flags | (IS_LAST if last else 0),
                mother=line.slot,
                present=made,
            )
            line = Line(
                np.where(made, copy.slot, line.slot),
                line.pdg_id,
                np.where(made[:, None], moved, line.p),
                line.present,
            )
        return line

    def columns(self) -> tuple[dict[str, Array], Array]:
        """The branches of GenPart.

        Returns
        -------
        dict of str to array, shape (events, slots)
            Values of every slot.
        bool array, shape (events, slots)
            Slots each event fills.
        """
        p = np.stack(self.p, axis=1)
        present = np.stack(self.present, axis=1)
        index = self.index_of_slot()
        mother = np.stack(self.mother, axis=1)
        listed = np.take_along_axis(index, np.maximum(mother, 0), axis=1)
        columns = {
            "pt": reduce_mantissa(transverse(p), 10),
            "eta": reduce_mantissa(pseudorapidity(p), 10),
            "phi": reduce_mantissa(azimuth(p), 10),
            "mass": reduce_mantissa(_listed_mass(p), 10),
            "pdgId": np.stack(self.pdg_id, axis=1).astype(np.int32),
            "status": np.stack(self.status, axis=1).astype(np.int32),
            "statusFlags": np.stack(self.flags, axis=1).astype(np.uint16),
            "genPartIdxMother": np.where(mother < 0, -1, listed).astype(np.int16),
        }
        return columns, present

    def index_of_slot(self) -> Array:
        """Place of each slot in its event's list, shape (events, slots); -1 where not filled."""
        present = np.stack(self.present, axis=1)
        return np.where(present, np.cumsum(present, axis=1) - 1, -1)


def _recoiled(p: Array, kick: Array, rng: np.random.Generator) -> Array:
    """Momenta moved by a relative kick, their masses kept; unchanged bits where kick is 0."""
    spatial = p[:, 1:] * (1 + kick * rng.normal(size=(len(p), 3)))
    energy = np.sqrt(np.sum(spatial**2, axis=-1) + invariant_mass(p) ** 2)
    moved = np.concatenate([energy[:, None], spatial], axis=-1)
    return np.where(kick == 0, p, moved)


def _listed_mass(p: Array) -> Array:
    """Mass as the list gives it: light particles get 0, as NanoAOD leaves theirs out."""
    mass = invariant_mass(p)
    return np.where(mass < 1.0, 0.0, mass)
