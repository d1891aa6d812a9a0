"""Links of a table for the coder: virtual link columns, rows within the list, row space."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from vortex_hep.codec.tokens.rows import RowSet, Source, Stacked, resolve_links, stack, usable
from vortex_hep.codec.tokens.values import RowValues
from vortex_hep.core.schema import TableData, VarBytes
from vortex_hep.nn.event.linking import nearest
from vortex_hep.nn.event.model import EventModel
from vortex_hep.nn.event.network import Network

Array = npt.NDArray[Any]

#: Per link of a model, the rows it may point to; None where the file lacks that table.
Sources = Sequence[Source | None]


def virtual_columns(model: EventModel, data: TableData, sources: Sources) -> dict[str, Array]:
    """Make up the index columns of links that the data do not have."""
    out = {}
    for k, link in enumerate(model.links):
        source = sources[k] if k < len(sources) else None
        if not link.anchors or source is None:
            continue
        own = [data.columns.get(a) for a, _ in link.anchors]
        other = [source.columns.get(b) for _, b in link.anchors]
        if not all(_is_angle(c) for c in own + other):
            places = np.full(data.num_rows, -1, "<i2")
        else:
            places, _ = nearest(data.offsets, tuple(own), source.offsets, tuple(other))  # type: ignore[arg-type]
        f = model.fields[k]
        _, ok = f.compact({f.columns[0]: places}, (None, None, None))
        places[~ok] = -1
        out[f.columns[0]] = places
    return out


def _is_angle(column: Array | VarBytes | None) -> bool:
    """Whether distances can be formed in a column."""
    return isinstance(column, np.ndarray) and column.ndim == 1 and column.dtype.kind == "f"


def own_link(model: EventModel) -> int | None:
    """Number of the link that stays within the table, if there is one."""
    return next((k for k, link in enumerate(model.links) if link.source == model.table), None)


def mothers(
    model: EventModel, net: Network, columns: Mapping[str, Array | VarBytes], rows: RowSet
) -> Array | None:
    """Linked rows within the list, as the decoder will see them: an escape counts as 0."""
    k = own_link(model)
    if k is None:
        return None
    f = model.fields[k]
    compact = np.zeros(len(rows.lane), np.uint64)
    if usable(f, columns, len(rows.lane)):
        compact, _ = f.compact(columns, (None, None, None))  # type: ignore[arg-type]
    start, stop = net.link_start[k], net.link_start[k + 1]
    values = net.link_values[start:stop]
    known = compact < stop - start
    targets = np.where(known, values[np.where(known, compact, 0).astype(np.int64)], -1)
    return resolve_links(rows, targets)


def foreign_rows(
    model: EventModel, net: Network, k: int, compact: Array, rows: RowSet, offsets: Array
) -> Array:
    """Rows of another table that link ``k`` leads to, or -1 (int64, shape (rows,)).

    Parameters
    ----------
    model, net
    k : int
    compact : uint64 array, shape (rows,)
        Compact integers of the link's field.
    rows : RowSet
    offsets : int64 array, shape (lanes + 1,)
        Of the table that the link leads to.
    """
    start, stop = net.link_start[k], net.link_start[k + 1]
    known = compact < np.uint64(stop - start)
    place = net.link_values[start:stop][np.where(known, compact, 0).astype(np.int64)]
    first = offsets[rows.lane]
    good = known & (place >= 0) & (place < offsets[rows.lane + 1] - first)
    return np.where(good, first + place, -1)


def row_values(
    model: EventModel, columns: Mapping[str, Array | VarBytes], rows: RowSet,
    others: Mapping[str, TableData],
) -> RowValues:  # fmt: skip
    """What the predictors of a table may take their inputs from, but for rows that links lead to.

    Parameters
    ----------
    model : EventModel
    columns : mapping of str to array of shape (rows, *inner)
    rows : RowSet
    others : mapping of str to TableData
        Plans that come before.
    """
    entry = np.arange(len(rows.lane)) if model.block else rows.lane
    return RowValues(model.table, columns, entry, others)


def lead(
    values: RowValues, model: EventModel, net: Network, k: int, compact: Array, rows: RowSet
) -> None:
    """Tell ``values`` where link ``k`` leads, if it leads to a table it has."""
    source = model.links[k].source
    table = values.others.get(source)
    if source != model.table and table is not None:
        values.targets[source] = foreign_rows(model, net, k, compact, rows, table.offsets)


def stack_rows(model: EventModel, sources: Sources, tokens: Array, rows: RowSet) -> Stacked:
    """Own rows and those of the links' sources in one row space."""
    here = [sources[k] if k < len(sources) else None for k in range(len(model.links))]
    return stack(
        model.fields,
        [link.counterparts for link in model.links],
        here,
        [link.source == model.table for link in model.links],
        tokens,
        rows.offsets,
    )
