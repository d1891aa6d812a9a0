"""Collections of objects: padded arrays sorted by pt, and their flattening to jagged form."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vortex_hep.testing.examples.kinematics import Array, delta_r


@dataclass
class Collection:
    """Objects of one kind, padded to the same number per event.

    Parameters
    ----------
    columns : dict of str to array, shape (events, width)
    present : bool array, shape (events, width)
        Objects that exist.
    """

    columns: dict[str, Array]
    present: Array

    def sorted_by_pt(self) -> Collection:
        """The same objects, hardest first, the padding at the end."""
        order = np.argsort(np.where(self.present, -self.columns["pt"], np.inf), axis=1)
        columns = {k: np.take_along_axis(v, order, axis=1) for k, v in self.columns.items()}
        return Collection(columns, np.take_along_axis(self.present, order, axis=1))

    def counts(self) -> Array:
        """Objects per event, int64."""
        return np.asarray(np.count_nonzero(self.present, axis=1))

    def flat(self, name: str) -> Array:
        """Values of one column without the padding, event after event."""
        return self.columns[name][self.present]


def nearest(of: Collection, to: Collection, radius: float) -> Array:
    """Index of the nearest object of another collection.

    Parameters
    ----------
    of, to : Collection
        Both with columns ``eta`` and ``phi``; ``to`` sorted, so that its index is its place.
    radius : float
        Largest distance that counts as a match.

    Returns
    -------
    int64 array, shape (events, width of ``of``)
        Place in ``to``, or -1.
    """
    distance = delta_r(
        of.columns["eta"][:, :, None], of.columns["phi"][:, :, None],
        to.columns["eta"][:, None, :], to.columns["phi"][:, None, :],
    )  # fmt: skip
    distance = np.where(to.present[:, None, :], distance, np.inf)
    best = np.argmin(distance, axis=2)
    close = np.take_along_axis(distance, best[:, :, None], axis=2)[:, :, 0] < radius
    return np.where(close & of.present, best, -1)


def picked(values: Array, index: Array, missing: float = 0.0) -> Array:
    """Values of another collection at ``index``; ``missing`` where the index is negative."""
    return np.where(index < 0, missing, np.take_along_axis(values, np.maximum(index, 0), axis=1))
