"""Rows as records of bytes: the input of a transformer."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from vortex_hep.core.schema import VARBYTES, ColumnSpec

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class RecordColumn:
    """The bytes of one column in a record.

    Parameters
    ----------
    name, dtype : str
    items : int
        Items per row.
    constant : tuple of int
        Per byte of the row (item by item, most significant byte of each first) its value
        where it is always the same, -1 where it is one of the record's tokens.
    """

    name: str
    dtype: str
    items: int
    constant: tuple[int, ...]

    @cached_property
    def coded(self) -> Array:
        """Which bytes of the row are tokens (int64)."""
        return np.flatnonzero(np.array(self.constant) < 0)

    @cached_property
    def fixed(self) -> Array:
        """Which bytes of the row are left out (int64)."""
        return np.flatnonzero(np.array(self.constant) >= 0)


def row_bytes(column: Array) -> Array:
    """Bytes of a column's rows, most significant first within each item.

    Parameters
    ----------
    column : array, shape (rows, ...)

    Returns
    -------
    uint8 array, shape (rows, bytes)

    Examples
    --------
    >>> row_bytes(np.array([[1, 258]], "<u2")).tolist()
    [[0, 1, 1, 2]]
    """
    rows = len(column)
    width = column.dtype.itemsize
    items = math.prod(column.shape[1:])
    flat = np.ascontiguousarray(column).view(np.uint8).reshape(rows, items, width)
    return np.ascontiguousarray(flat[:, :, ::-1]).reshape(rows, items * width)


def column_of(data: Array, dtype: str, inner: tuple[int, ...]) -> Array:
    """Undo :func:`row_bytes`."""
    width = np.dtype(dtype).itemsize
    rows = len(data)
    flat = data.reshape(rows, data.shape[1] // width, width)[:, :, ::-1]
    return np.ascontiguousarray(flat).reshape(-1).view(dtype).reshape((rows, *inner))


@dataclass(frozen=True)
class RecordLayout:
    """Which bytes of a table's rows are tokens, in order.

    Parameters
    ----------
    parts : tuple of RecordColumn
        Each has at least one token.

    Examples
    --------
    >>> part = RecordColumn("n", "<u2", 1, (0, -1))
    >>> RecordLayout((part,)).pack({"n": np.array([7, 8], "<u2")}, 2).tolist()
    [[7], [8]]
    """

    parts: tuple[RecordColumn, ...]

    @cached_property
    def width(self) -> int:
        """Tokens of a row."""
        return sum(len(p.coded) for p in self.parts)

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns."""
        return tuple(p.name for p in self.parts)

    @cached_property
    def starts(self) -> Array:
        """First token of each column, and the width (int64)."""
        return np.cumsum([0, *(len(p.coded) for p in self.parts)])

    def pack(self, columns: Mapping[str, Array], rows: int) -> Array:
        """Return the tokens of all rows (uint8, shape (rows, width))."""
        out = np.empty((rows, self.width), np.uint8)
        for part, start, stop in zip(self.parts, self.starts, self.starts[1:], strict=False):
            if part.name in columns:
                out[:, start:stop] = row_bytes(columns[part.name])[:, part.coded]
            else:
                out[:, start:stop] = 0
        return out

    def exceptions(self, part: RecordColumn, column: Array) -> Array:
        """Rows of a column in which a byte differs from what it always was (int64)."""
        if not len(part.fixed):
            return np.zeros(0, np.int64)
        found = row_bytes(column)[:, part.fixed]
        wanted = np.array(part.constant)[part.fixed]
        return np.flatnonzero((found != wanted).any(axis=1))

    def unpack(self, tokens: Array, part: RecordColumn, inner: tuple[int, ...]) -> Array:
        """Return a column, as its tokens and what is always the same make it."""
        k = self.parts.index(part)
        data = np.tile(np.array(part.constant, np.int64).astype(np.uint8), (len(tokens), 1))
        data[:, part.coded] = tokens[:, self.starts[k] : self.starts[k + 1]]
        return column_of(data, part.dtype, inner)


def layout_of(specs: Sequence[ColumnSpec], columns: Mapping[str, Array]) -> RecordLayout:
    """Choose the tokens of a table's rows: all bytes that vary in a sample.

    Parameters
    ----------
    specs : sequence of ColumnSpec
    columns : mapping of str to array
        The sample; at least one row.
    """
    parts = []
    for spec in specs:
        if spec.dtype == VARBYTES:
            continue
        data = row_bytes(columns[spec.name])
        same = (data == data[0]).all(axis=0)
        constant = np.where(same, data[0].astype(np.int64), -1)
        if not same.all():
            items = math.prod(spec.inner)
            parts.append(RecordColumn(spec.name, spec.dtype, items, tuple(map(int, constant))))
    return RecordLayout(tuple(parts))
