"""Candidate columns for relations to other columns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from vortex_hep.codec.predictors import Input

Array = npt.NDArray[Any]


@dataclass
class Candidate:
    """A number column that may be predicted, or predicted from.

    Parameters
    ----------
    source : Input
    values : array, shape (rows,)
        A sample, in its own dtype.
    own : bool
        Whether it belongs to the table itself.
    """

    source: Input
    values: Array
    own: bool

    def __post_init__(self) -> None:
        with np.errstate(all="ignore"):
            self.reals = self.values.astype(np.float64)
