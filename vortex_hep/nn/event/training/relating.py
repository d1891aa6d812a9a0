"""Relations of a table's columns to one another, to its entries and to linked rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from vortex_hep.codec.predictors import Input
from vortex_hep.codec.tokens.fields import components
from vortex_hep.codec.tokens.rows import Source
from vortex_hep.codec.tokens.values import RowValues
from vortex_hep.core.schema import TableData
from vortex_hep.nn.event.linking import is_virtual
from vortex_hep.nn.event.training.candidates import Candidate
from vortex_hep.nn.event.training.relations import Found, find_relations

Array = npt.NDArray[Any]

#: Rows on which relations between columns are sought.
_RELATION_ROWS = 1 << 12
#: Columns with more components than this have no relations with others.
_MOST_PARTS = 4


def row_values(
    plan: str, columns: Mapping[str, Array], entry: Array, known: Mapping[str, TableData],
    link: tuple[str, Source, Array] | None,
) -> RowValues:  # fmt: skip
    """What predictors of a table may take inputs from.

    Parameters
    ----------
    plan : str
    columns : mapping of str to array of shape (rows, *inner)
    entry : int64 array, shape (rows,)
    known : mapping of str to TableData
        Plans with one row per entry that come before.
    link : (plan, its rows, place of the row meant in the entry's list) or None
        What the table links to.
    """
    if link is None:
        return RowValues(plan, columns, entry, known)
    source, there, index = link
    first = there.offsets[entry]
    place = index.astype(np.int64)
    good = (place >= 0) & (place < there.offsets[entry + 1] - first)
    others = {**known, source: TableData(there.offsets, dict(there.columns))}
    return RowValues(plan, columns, entry, others, {source: np.where(good, first + place, -1)})


def relate(values: RowValues) -> list[Found]:
    """Find predictors for the columns of a table; see :func:`find_relations`."""
    part = values.part(_stretch(values.entry))
    return find_relations(_candidates(part), part)


def _stretch(entry: Array) -> slice:
    """Consecutive rows from the middle, enough to find relations on.

    They begin where an entry does, so that places in its list are what they were.
    """
    rows = len(entry)
    size = min(rows, _RELATION_ROWS)
    middle = (rows - size) // 2
    start = int(np.searchsorted(entry, entry[middle])) if rows else 0
    return slice(start, max(start + 1, (rows + size) // 2))


def _candidates(values: RowValues) -> list[Candidate]:
    """Number columns that may be in some relation: the table's, and floats of the others."""
    inputs = [
        (Input(values.plan, name, k), True)
        for name, column in values.columns.items()
        if not is_virtual(name)
        and isinstance(column, np.ndarray)
        and (size := components(column).shape[1]) <= _MOST_PARTS
        for k in range(size)
    ]
    inputs += [
        (Input(plan, name), False)
        for plan, table in values.others.items()
        for name, theirs in table.columns.items()
        if isinstance(theirs, np.ndarray) and theirs.dtype.kind == "f" and theirs.ndim == 1
    ]
    out = []
    for i, own in inputs:
        found = values(i)
        if found is not None:
            out.append(Candidate(i, np.ascontiguousarray(found[0]), own))
    return out
