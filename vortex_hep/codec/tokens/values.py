"""Columns as inputs of predictors: of the own row, of its entry, or of a linked row."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from vortex_hep.codec.predictors import Input
from vortex_hep.codec.tokens.fields import components
from vortex_hep.core.schema import TableData, VarBytes

Array = npt.NDArray[Any]


@dataclass
class RowValues:
    """What predictors of one table may take their inputs from.

    Parameters
    ----------
    plan : str
        The own plan.
    columns : mapping of str to array of shape (rows, *inner)
    entry : int64 array, shape (rows,)
        Entry of every row.
    others : mapping of str to TableData
        Plans that come before, over the same entries; those that no link leads to serve where
        they have one row per entry.
    targets : dict of str to int64 array, shape (rows,)
        Per plan that a link leads to, the row there, or -1.
    pending : set of (str, int)
        Own columns and components whose values are not known yet.
    """

    plan: str
    columns: Mapping[str, Array | VarBytes]
    entry: Array
    others: Mapping[str, TableData] = field(default_factory=dict)
    targets: dict[str, Array] = field(default_factory=dict)
    pending: set[tuple[str, int]] = field(default_factory=set)

    def __call__(self, i: Input) -> tuple[Array, Array] | None:
        """Values of an input and where there are some; None where there is no such column."""
        if i.plan == self.plan:
            own = _component(self.columns, i)
            if (
                own is None
                or len(own) != len(self.entry)
                or (i.column, i.component) in self.pending
            ):
                return None
            return own, np.ones(len(own), np.bool_)
        table = self.others.get(i.plan)
        column = None if table is None else _component(table.columns, i)
        if table is None or column is None:
            return None
        if i.plan in self.targets:
            rows = self.targets[i.plan]
        elif np.array_equal(table.offsets, np.arange(len(table.offsets))):
            rows = self.entry
        else:
            return None
        known = rows >= 0
        out = np.zeros(len(rows), column.dtype)
        out[known] = column[rows[known]]
        return out, known

    def part(self, rows: slice) -> RowValues:
        """Return the same of some of the rows."""
        return RowValues(
            self.plan,
            {n: c[rows] for n, c in self.columns.items() if isinstance(c, np.ndarray)},
            self.entry[rows],
            self.others,
            {plan: targets[rows] for plan, targets in self.targets.items()},
            self.pending,
        )


def _component(columns: Mapping[str, Array | VarBytes], i: Input) -> Array | None:
    column = columns.get(i.column)
    if not isinstance(column, np.ndarray) or column.dtype.kind not in "iuf":
        return None
    parts = components(column)
    return parts[:, i.component] if i.component < parts.shape[1] else None
