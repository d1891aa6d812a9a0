"""Rows of one plan and cluster as the network sees them: tokens, buckets and context rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from vortex_hep.codec.fields import Field, write_tokens
from vortex_hep.schema import VarBytes

Array = npt.NDArray[Any]


@dataclass
class RowSet:
    """Everything about some rows that contexts are made of.

    Parameters
    ----------
    offsets : int64 array, shape (lanes + 1,)
    lane, position : int64 arrays, shape (rows,)
        Lane of each row, and its place in the lane's list.
    previous : int64 array, shape (rows,)
        Row before it in the list, or -1.
    link : int64 array or None, shape (rows,)
        Row that the first field points to, if it is an earlier one of the list, else -1.
    """

    offsets: Array
    lane: Array
    position: Array
    previous: Array
    link: Array | None = None


def row_set(offsets: Array) -> RowSet:
    """Lay out rows from the lanes' offsets."""
    counts = np.diff(offsets)
    lane = np.repeat(np.arange(len(counts)), counts)
    index = np.arange(int(offsets[-1]))
    position = index - offsets[lane]
    return RowSet(offsets, lane, position, np.where(position > 0, index - 1, -1))


def resolve_links(rows: RowSet, targets: Array) -> Array:
    """Rows that ``targets`` (positions within the lane) point to, if they come earlier, else -1."""
    good = (targets >= 0) & (targets < rows.position)
    return np.where(good, rows.offsets[rows.lane] + targets, -1)


@dataclass
class Tokenised:
    """Tokens (uint8, (rows, tokens)), compact integers and escapes of the fields of a table."""

    tokens: Array
    compact: list[Array]
    escapes: list[Array]
    absent: Array


def usable(field: Field, columns: Mapping[str, Array | VarBytes], extent: int) -> bool:
    """Whether the columns at hand are those that ``field`` was made for."""
    for name in field.columns:
        column = columns.get(name)
        if not isinstance(column, np.ndarray) or column.dtype.str != field.dtype:
            return False
        size = int(np.prod(column.shape[1:], dtype=np.int64))
        if len(column) != extent or field.component >= size:
            return False
    return True


def tokenise(
    fields: tuple[Field, ...], columns: Mapping[str, Array | VarBytes], rows: RowSet
) -> Tokenised:
    """Compute all tokens of a table; fields whose columns are missing are absent, all zero."""
    n = len(rows.lane)
    widths = [len(f.token_widths) for f in fields]
    tokens = np.zeros((n, sum(widths)), np.uint8)
    compact: list[Array] = []
    escapes: list[Array] = []
    absent = np.zeros(len(fields), np.bool_)
    first = 0
    references = (None, rows.previous, rows.link)
    for k, f in enumerate(fields):
        if usable(f, columns, n):
            value, ok = f.compact(columns, references)  # type: ignore[arg-type]
            write_tokens(value, f.width, tokens, first)
            escapes.append(np.flatnonzero(~ok))
        else:
            absent[k] = True
            value = np.zeros(n, np.uint64)
            escapes.append(np.zeros(0, np.int64))
        compact.append(value)
        first += widths[k]
    return Tokenised(tokens, compact, escapes, absent)


def lane_buckets(
    context: tuple[str, ...], fields: tuple[Field, ...], compact: list[Array], lanes: int
) -> Array:
    """Buckets (uint8, (lanes, len(context))) of the parent table's fields named in ``context``."""
    by_name = {f.columns[0]: k for k, f in enumerate(fields) if f.component == 0}
    out = np.zeros((lanes, len(context)), np.uint8)
    for c, name in enumerate(context):
        k = by_name[name]
        out[:, c] = fields[k].buckets(compact[k])
    return out
