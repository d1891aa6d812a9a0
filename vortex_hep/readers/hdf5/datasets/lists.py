"""Padded lists in rows of fixed length: the padding is a constant element."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np

from vortex_hep.core.compiled import kernel
from vortex_hep.core.schema import Array

#: Rows that are looked at to find what fills them up.
_LOOK_AT = 4096
#: Padding must be this part of the elements to be worth it.
_WORTH = 0.05


@kernel
def list_lengths(records: Array, pad: Array) -> Any:
    """Length of each row without the padding at its end.

    Parameters
    ----------
    records : uint8 array, shape (rows, elements, bytes)
    pad : uint8 array, shape (bytes,)

    Returns
    -------
    int64 array, shape (rows,)
    """
    rows, length, size = records.shape
    out = np.empty(rows, np.int64)
    for i in range(rows):
        n = length
        while n > 0:
            same = True
            for b in range(size):
                if records[i, n - 1, b] != pad[b]:
                    same = False
                    break
            if not same:
                break
            n -= 1
        out[i] = n
    return out


def find_pad(records: Array) -> bytes | None:
    """Find the element that fills up rows; None where there is none, or where it is rare.

    Parameters
    ----------
    records : uint8 array, shape (rows, elements, bytes)
    """
    records = records[:_LOOK_AT]
    if not len(records) or records.shape[1] < 2:
        return None
    last = Counter(element.tobytes() for element in records[:, -1])
    pad, _ = max(last.items(), key=lambda item: (item[1], item[0]))
    lengths = list_lengths(records, np.frombuffer(pad, np.uint8))
    share = 1 - float(lengths.sum()) / (records.shape[0] * records.shape[1])
    return pad if share >= _WORTH else None


def lists_of(records: Array, pad: bytes) -> tuple[Array, Array]:
    """Lengths of the lists, and their elements one after the other.

    Returns
    -------
    lengths : int64 array, shape (rows,)
    elements : uint8 array, shape (sum of lengths, bytes)
    """
    lengths = list_lengths(records, np.frombuffer(pad, np.uint8))
    kept = np.arange(records.shape[1]) < lengths[:, None]
    return lengths, records[kept]


def rows_of_lists(lengths: Array, elements: Array, width: int, pad: bytes) -> Array:
    """Fill up lists to rows; the inverse of :func:`lists_of`.

    Raises
    ------
    ValueError
        A list is longer than a row.
    """
    if len(lengths) and (int(lengths.max()) > width or int(lengths.min()) < 0):
        msg = f"a list has more than {width} elements"
        raise ValueError(msg)
    out = np.empty((len(lengths), width, len(pad)), np.uint8)
    out[...] = np.frombuffer(pad, np.uint8)
    out[np.arange(width) < lengths[:, None]] = elements
    return out
