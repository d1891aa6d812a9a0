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
    mother : int64 array or None, shape (rows,)
        Earlier row of the same list that an index column points to, else -1.
    link : int64 array or None, shape (links, rows)
        Target of every link in the stacked row space (:class:`Stacked`), else -1.
    """

    offsets: Array
    lane: Array
    position: Array
    previous: Array
    mother: Array | None = None
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
    fields: tuple[Field, ...],
    columns: Mapping[str, Array | VarBytes],
    rows: RowSet,
    hidden: Array | None = None,
) -> Tokenised:
    """Compute all tokens of a table.

    Fields whose columns are missing, and those that are ``hidden`` (bool, shape (fields,)), are
    absent: all zero.
    """
    n = len(rows.lane)
    widths = [len(f.token_widths) for f in fields]
    tokens = np.zeros((n, sum(widths)), np.uint8)
    compact: list[Array] = []
    escapes: list[Array] = []
    absent = np.zeros(len(fields), np.bool_)
    first = 0
    references = (None, rows.previous, rows.mother)
    for k, f in enumerate(fields):
        if (hidden is None or not hidden[k]) and usable(f, columns, n):
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


@dataclass
class Source:
    """The rows of another table that links may point to.

    Parameters
    ----------
    offsets : int64 array, shape (lanes + 1,)
    columns : mapping of str to array of shape (rows, *inner)
    buckets : uint8 array, shape (rows, fields of that table)
    """

    offsets: Array
    columns: Mapping[str, Array | VarBytes]
    buckets: Array


def source_of(
    fields: tuple[Field, ...], compact: list[Array], offsets: Array,
    columns: Mapping[str, Array | VarBytes],
) -> Source:  # fmt: skip
    """A table as a source of links for others."""
    seen = [f.buckets(c) for f, c in zip(fields, compact, strict=True)]
    return Source(offsets, columns, np.ascontiguousarray(np.stack(seen, axis=1)))


#: A token of a foreign row that has no counterpart.
NO_TOKEN = 255


@dataclass
class Stacked:
    """The row space of links: own rows, then those of the sources, in the own table's tokens.

    Parameters
    ----------
    tokens : uint8 array, shape (own + foreign rows, tokens)
    buckets : uint8 array, shape (own + foreign rows, most fields of any table)
        Own rows are left to the network to fill in.
    source_offsets : int64 array, shape (links, lanes + 1)
        First row of every lane of every link's source.
    """

    tokens: Array
    buckets: Array
    source_offsets: Array


def stack(
    fields: tuple[Field, ...],
    counterparts: list[tuple[str, ...]],
    sources: list[Source | None],
    own: list[bool],
    tokens: Array,
    offsets: Array,
) -> Stacked:
    """Lay out own and foreign rows in one row space.

    Parameters
    ----------
    fields : tuple of Field
        Of the own table.
    counterparts : list of tuple of str
        Per link and field, the source's column of the same quantity, or ``""``.
    sources : list of Source or None
        Per link; None where the file at hand has no such table.
    own : list of bool
        Per link, whether it stays within the table.
    tokens : uint8 array, shape (rows, tokens)
    offsets : int64 array, shape (lanes + 1,)
    """
    at = len(tokens)
    parts = [tokens]
    widest = max([len(fields), *(s.buckets.shape[1] for s in sources if s is not None)])
    source_offsets = np.zeros((len(sources), len(offsets)), np.int64)
    blocks: list[tuple[int, Array]] = []
    for k, source in enumerate(sources):
        if own[k]:
            source_offsets[k] = offsets
        elif source is not None:
            source_offsets[k] = source.offsets + at
            parts.append(_foreign_tokens(fields, counterparts[k], source, tokens.shape[1]))
            blocks.append((at, source.buckets))
            at += len(source.buckets)
    buckets = np.zeros((at, widest), np.uint8)
    for first, block in blocks:
        buckets[first : first + len(block), : block.shape[1]] = block
    stacked = tokens if len(parts) == 1 else np.concatenate(parts)
    return Stacked(stacked, buckets, source_offsets)


def _foreign_tokens(
    fields: tuple[Field, ...], counterparts: tuple[str, ...], source: Source, width: int
) -> Array:
    """Columns of a source in the tokens of the own table's fields."""
    out = np.full((len(source.buckets), width), NO_TOKEN, np.uint8)
    first = 0
    for f, name in zip(fields, counterparts, strict=True):
        count = len(f.token_widths)
        column = source.columns.get(name)
        if isinstance(column, np.ndarray) and column.dtype.str == f.dtype and column.ndim == 1:
            value, ok = f.compact({f.columns[0]: column}, (None, None, None))
            write_tokens(value, f.width, out, first)
            out[~ok, first : first + count] = NO_TOKEN
        first += count
    return out
