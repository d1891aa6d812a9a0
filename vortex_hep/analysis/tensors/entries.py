"""Selected entries as arrays: joined, in any order, cut to lists of one length."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from vortex_hep.core.schema import Array
from vortex_hep.errors import UnsupportedTypeError


@dataclass(frozen=True)
class Entries:
    """Some entries.

    Parameters
    ----------
    count : int
    columns : mapping of str to array
        By name, shape (entries, ...), or (items of all lists, ...).
    lists : mapping of str to str
        Which lists a column is the items of; it is not in here if it has one item per entry.
    offsets : mapping of str to int64 array, shape (entries + 1,)
        Where the lists begin and end, by their names.
    """

    count: int
    columns: Mapping[str, Array]
    lists: Mapping[str, str]
    offsets: Mapping[str, Array]

    def take(self, order: Array) -> Entries:
        """Return a copy of those entries that ``order`` counts up, in that order."""
        items, offsets = {}, {}
        for name, old in self.offsets.items():
            counts = np.diff(old)[order]
            new = np.zeros(len(order) + 1, np.int64)
            np.cumsum(counts, out=new[1:])
            items[name] = np.repeat(old[order] - new[:-1], counts) + np.arange(new[-1])
            offsets[name] = new
        columns = {
            name: column[items[self.lists[name]] if name in self.lists else order]
            for name, column in self.columns.items()
        }
        return Entries(len(order), columns, self.lists, offsets)


def join(parts: Sequence[Entries]) -> Entries:
    """Put entries one behind the other; all parts have the same columns."""
    if len(parts) == 1:
        return parts[0]
    first = parts[0]
    columns = {n: np.concatenate([p.columns[n] for p in parts]) for n in first.columns}
    offsets = {}
    for name in first.offsets:
        counts = np.concatenate([np.diff(p.offsets[name]) for p in parts])
        offsets[name] = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    return Entries(sum(p.count for p in parts), columns, first.lists, offsets)


def padded(
    items: Array, offsets: Array, length: int, *, truncate: bool, name: str
) -> tuple[Array, Array]:
    """Give all lists one length.

    Parameters
    ----------
    items : array, shape (items, ...)
    offsets : int64 array, shape (lists + 1,)
    length : int
    truncate : bool
        Leave out the items behind ``length``; otherwise a longer list is an error.
    name : str
        Of the column, for the error.

    Returns
    -------
    values : array, shape (lists, length, ...)
        Zero behind a list's end.
    lengths : int64 array, shape (lists,)
        How many of the values are of the list.

    Raises
    ------
    UnsupportedTypeError
        A list is longer.
    """
    counts = np.diff(offsets)
    if not truncate and len(counts) and int(counts.max()) > length:
        raise UnsupportedTypeError(
            f"a list has {int(counts.max())} items, more than the {length} to pad to", branch=name,
            hint="raise pad, or leave out the others with truncate=True",
        )  # fmt: skip
    lengths = np.minimum(counts, length)
    values = np.zeros((len(counts), length, *items.shape[1:]), items.dtype)
    kept = np.arange(length) < lengths[:, None]
    place = offsets[:-1, None] + np.arange(length)
    values[kept] = items[place[kept]]
    return values, lengths


#: Where values of an unsigned type go that torch cannot compute with.
_WIDER = {"<u2": "<i4", "<u4": "<i8", "<u8": "<i8"}


def is_unsigned(dtype: str) -> bool:
    """Whether torch has next to no operations for a type."""
    return dtype in _WIDER


def widened(column: Array, name: str) -> Array:
    """Give unsigned integers a signed type that holds them.

    Raises
    ------
    UnsupportedTypeError
        A number is 2^63 or more.
    """
    wider = _WIDER.get(column.dtype.str)
    if wider is None:
        return column
    if column.dtype.itemsize == 8 and len(column) and int(column.max()) >> 63:
        raise UnsupportedTypeError(f"{int(column.max())} does not fit into int64", branch=name)
    return column.astype(wider)
