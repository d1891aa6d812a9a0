"""Index expressions of datasets: items of the first axis, and an index for each other axis."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from vortex_hep.core.schema import Array


@dataclass(frozen=True)
class Selection:
    """A part of a dataset.

    Parameters
    ----------
    rows : range or int64 array
        Items of the first axis, increasing.
    scalar : bool
        Whether the first axis was indexed by a number, so that the result lacks it.
    rest : tuple of int, slice or int64 array
        Of the other axes, each to be applied by itself.
    mask : bool array, optional
        Of the dataset's shape; the result is then one-dimensional, and ``rest`` is of no effect.
    """

    rows: range | Array
    scalar: bool
    rest: tuple[Any, ...]
    mask: Array | None = None

    @property
    def whole(self) -> bool:
        """Whether whole rows that follow one another are asked for."""
        return (
            isinstance(self.rows, range)
            and self.rows.step == 1
            and self.mask is None
            and all(isinstance(i, slice) and i == slice(None) for i in self.rest)
        )

    @property
    def plain(self) -> bool:
        """Whether it has numbers and slices only, and so numpy gives a view."""
        return isinstance(self.rows, range) and not any(
            isinstance(i, np.ndarray) for i in self.rest
        )

    def shape(self, whole: tuple[int, ...]) -> tuple[int, ...]:
        """Shape of what is asked for, of a dataset of shape ``whole``."""
        if self.mask is not None:
            return (int(np.count_nonzero(self.mask)),)
        found = [] if self.scalar else [len(self.rows)]
        for index, length in zip(self.rest, whole[1:], strict=True):
            if not isinstance(index, int):
                found.append(len(range(length)[index] if isinstance(index, slice) else index))
        return tuple(found)

    def among(self, low: int, high: int) -> range | Array:
        """Those of the rows that are from ``low`` to ``high``."""
        if not isinstance(self.rows, range):
            first, last = np.searchsorted(self.rows, [low, high])
            return self.rows[first:last]
        start, step = self.rows.start, self.rows.step
        first, last = (max(0, -(-(edge - start) // step)) for edge in (low, high))
        return self.rows[first:last]

    def cut(self, data: Array, rows: range | Array, low: int) -> Array:
        """Take what is asked for out of items of the first axis, which begin with ``low``."""
        if not len(rows):
            data = data[:0]
        elif isinstance(rows, range):
            data = data[rows.start - low : rows[-1] + 1 - low : rows.step]
        else:
            data = data[rows - low]
        if self.mask is not None:
            return data[self.mask[np.asarray(rows, np.int64)]]
        # One axis after the other, the last one first: an index does not act upon another.
        for axis in range(len(self.rest), 0, -1):
            where = (*[slice(None)] * axis, self.rest[axis - 1])
            data = data[where]
        return data


def select(args: Any, shape: tuple[int, ...]) -> Selection | None:
    """Understand an index.

    Parameters
    ----------
    args : object
        What stands in the brackets, without names of fields.
    shape : tuple of int
        Of the dataset.

    Returns
    -------
    Selection or None
        None where h5py is to judge: what is rare, and what is wrong.
    """
    if not shape:
        return None
    items = list(args) if isinstance(args, tuple) else [args]
    if len(items) == 1 and len(shape) > 1 and _is_mask(items[0], shape):
        mask = np.asarray(items[0])
        touched = mask.any(axis=tuple(range(1, len(shape))))
        return Selection(np.flatnonzero(touched), False, (), mask)
    dots = [k for k, item in enumerate(items) if item is Ellipsis]
    if len(dots) > 1 or len(items) - len(dots) > len(shape):
        return None
    at = dots[0] if dots else len(items)
    missing = len(shape) - (len(items) - len(dots))
    items[at : at + 1] = [slice(None)] * missing
    found = []
    for item, length in zip(items, shape, strict=True):
        index = _axis(item, length)
        if index is None:
            return None
        found.append(index)
    if sum(isinstance(index, np.ndarray) for index in found) > 1:
        return None
    first, *rest = found
    if isinstance(first, int):
        return Selection(range(first, first + 1), True, tuple(rest))
    rows = range(shape[0])[first] if isinstance(first, slice) else first
    return Selection(rows, False, tuple(rest))


def _is_mask(item: Any, shape: tuple[int, ...]) -> bool:
    return isinstance(item, np.ndarray) and item.dtype == np.bool_ and item.shape == shape


def _axis(item: Any, length: int) -> int | slice | Array | None:
    """Index of one axis, with numbers from 0 to its length; None for other forms."""
    if isinstance(item, (int, np.integer)) and not isinstance(item, bool):
        number = int(item) + (length if item < 0 else 0)
        return number if 0 <= number < length else None
    if isinstance(item, slice):
        return _slice(item, length)
    if isinstance(item, (list, np.ndarray)):
        return _list(item, length)
    return None


def _slice(item: slice, length: int) -> slice | None:
    try:
        start, stop, step = item.indices(length)
    except TypeError:
        return None
    if step < 1:
        return None
    if start == 0 and stop == length and step == 1:
        return slice(None)
    return slice(start, max(start, stop), step)


def _list(item: list[Any] | Array, length: int) -> Array | None:
    try:
        numbers = np.asarray(item)
    except ValueError:
        return None
    if numbers.ndim != 1 or not len(numbers):
        return None
    if numbers.dtype == np.bool_:
        return np.flatnonzero(numbers) if len(numbers) == length else None
    if numbers.dtype.kind not in "iu" or numbers.min() < 0 or numbers.max() >= length:
        return None
    numbers = numbers.astype(np.int64)
    return numbers if (np.diff(numbers) > 0).all() else None
