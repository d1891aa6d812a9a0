"""Values of columns as users are given them, where these are not the items that are stored."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from vortex_hep.core.schema import VARBYTES, Array, ColumnSpec
from vortex_hep.errors import UnsupportedTypeError


@dataclass(frozen=True)
class Conversion:
    """How items of a column become values.

    Parameters
    ----------
    convert : callable, optional
        Makes values of items: an array of shape (rows, ...) of one of the same number of rows.
    refusal : str
        Why there are no values, where that is so: the items are bytes that nobody should take for
        numbers.
    """

    convert: Callable[[Array], Array] | None = None
    refusal: str = ""

    def of(self, column: Array, *, path: str, tree: str, branch: str) -> Array:
        """Values of some rows.

        Raises
        ------
        UnsupportedTypeError
            The type has no values here.
        """
        if self.refusal:
            raise UnsupportedTypeError(
                self.refusal, path=path, tree=tree, branch=branch,
                hint="leave it out with filter_name; it is restored with the file",
            )  # fmt: skip
        return column if self.convert is None else self.convert(column)


def may_differ(spec: ColumnSpec) -> bool:
    """Whether a column may hold items that are not yet values, by its type alone."""
    if spec.dtype == VARBYTES:
        return False
    # Items that are no IEEE numbers are kept as integers of their size, complex ones as two.
    return np.dtype(spec.dtype).kind in "iu" or spec.inner[-1:] == (2,)
