"""Rows of one plan and cluster as network input: tokens, buckets and context rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from vortex_hep.codec.predictors import Values
from vortex_hep.codec.tokens.fields import Field, write_tokens
from vortex_hep.core.schema import VarBytes

Array = npt.NDArray[Any]

#: Longest list that rows of a table without lists are cut into.
MAX_BLOCK = 1 << 16


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


def lay_out(offsets: Array, block: int) -> RowSet:
    """Lay out rows as the network takes them: by lanes, or as lists of ``block`` rows each.

    The last of such lists may be shorter.
    """
    if not block:
        return row_set(offsets)
    rows = int(offsets[-1])
    return row_set(np.minimum(np.arange(-(-rows // block) + 1, dtype=np.int64) * block, rows))


def resolve_links(rows: RowSet, targets: Array) -> Array:
    """Rows that ``targets`` (positions within the lane) point to, if they come earlier, else -1."""
    good = (targets >= 0) & (targets < rows.position)
    return np.where(good, rows.offsets[rows.lane] + targets, -1)


@dataclass
class Tokenised:
    """Tokens (uint8, (rows, tokens)), compact integers and escapes of the fields of a table.

    ``parameters`` are those of the predictors that differ from the model's; None if none does.
    """

    tokens: Array
    compact: list[Array]
    escapes: list[Array]
    absent: Array
    parameters: Array | None = None


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
    values: Values | None = None,
) -> Tokenised:
    """Compute all tokens of a table.

    Fields whose columns are missing, and those that are ``hidden`` (bool, shape (fields,)), are
    absent: all zero. ``values`` is what predictors take their inputs from.
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
        there = (hidden is None or not hidden[k]) and usable(f, columns, n)
        if there and f.predictor is not None:
            there = values is not None and f.predictor.available(values)
        if there:
            value, ok = f.compact(columns, references, values)  # type: ignore[arg-type]
            write_tokens(value, f.width, tokens, first)
            escapes.append(np.flatnonzero(~ok))
        else:
            absent[k] = True
            value = np.zeros(n, np.uint64)
            escapes.append(np.zeros(0, np.int64))
        compact.append(value)
        first += widths[k]
    return Tokenised(tokens, compact, escapes, absent)


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


def entry_buckets(
    context: Sequence[tuple[str, str]],
    fields: Mapping[str, tuple[Field, ...]],
    found: Mapping[str, Source | None],
    entries: int,
) -> Array:
    """Buckets of what is known of each entry: uint8, shape (entries, len(context)).

    Parameters
    ----------
    context : sequence of (plan, column)
    fields : mapping of str to tuple of Field
        By plan.
    found : mapping of str to Source or None
        By plan; where a plan is missing the bucket is 0.
    entries : int
    """
    out = np.zeros((entries, len(context)), np.uint8)
    place = {plan: context_fields(fields[plan]) for plan in {p for p, _ in context} & fields.keys()}
    for c, (plan, column) in enumerate(context):
        source = found.get(plan)
        if source is not None and entries:
            out[:, c] = source.buckets[:, place[plan][column]]
    return out


def context_fields(fields: Sequence[Field]) -> dict[str, int]:
    """Numbers of the fields that others may have as context, by column."""
    return {f.columns[0]: k for k, f in enumerate(fields) if f.component == 0}


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
