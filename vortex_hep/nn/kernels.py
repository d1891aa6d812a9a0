# ruff: noqa: ANN001, ANN201 - numba infers the types of kernels
"""Compiled loops of inference and training. Widths are multiples of 16; nothing is checked."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from vortex_hep.codec.tokens.fields import BUCKETS
from vortex_hep.core.compiled import kernel
from vortex_hep.nn.vector import add, add_product, load, store, zeros

Array = npt.NDArray[Any]

#: Rows whose products are computed together.
ROWS = 6


def aligned(*shapes: tuple[int, ...]) -> list[Array]:
    """Return float32 arrays of zeros that begin where vectors do in the processor's cache."""
    sizes = [-(-math.prod(shape) // 16) * 16 for shape in shapes]
    raw = np.zeros(4 * sum(sizes) + 64, np.uint8)
    flat = raw[-raw.ctypes.data % 64 :][: 4 * sum(sizes)].view(np.float32)
    ends = np.cumsum(sizes).tolist()
    return [
        flat[end - size : end][: math.prod(shape)].reshape(shape)
        for shape, size, end in zip(shapes, sizes, ends, strict=True)
    ]


@kernel
def product(x, x_at, w, w_at, depth, width, out, out_at):  # type: ignore[no-untyped-def]
    """``out[:6] = x[:6] @ w``, for rows of ``depth`` and ``w`` of shape (depth, width).

    Parameters
    ----------
    x, w, out : float32 arrays
        Of any shape, taken as flat.
    x_at, w_at, out_at : int
        Where the matrices begin.
    depth, width : int
    """
    for c in range(0, width, 16):
        a0, a1, a2, a3, a4, a5 = zeros(), zeros(), zeros(), zeros(), zeros(), zeros()
        for k in range(depth):
            v = load(w, w_at + k * width + c)
            a0 = add_product(a0, x, x_at + k, v)
            a1 = add_product(a1, x, x_at + depth + k, v)
            a2 = add_product(a2, x, x_at + 2 * depth + k, v)
            a3 = add_product(a3, x, x_at + 3 * depth + k, v)
            a4 = add_product(a4, x, x_at + 4 * depth + k, v)
            a5 = add_product(a5, x, x_at + 5 * depth + k, v)
        at = out_at + c
        store(out, at, a0)
        store(out, at + width, a1)
        store(out, at + 2 * width, a2)
        store(out, at + 3 * width, a3)
        store(out, at + 4 * width, a4)
        store(out, at + 5 * width, a5)


@kernel
def add_outer(x, d, rows, depth, width, out, out_at):  # type: ignore[no-untyped-def]
    """``out += x[:rows].T @ d[:rows]``, for rows of ``depth`` and of ``width``."""
    for k in range(0, depth, 8):
        for c in range(0, width, 16):
            at = out_at + k * width + c
            a0, a1 = load(out, at), load(out, at + width)
            a2, a3 = load(out, at + 2 * width), load(out, at + 3 * width)
            a4, a5 = load(out, at + 4 * width), load(out, at + 5 * width)
            a6, a7 = load(out, at + 6 * width), load(out, at + 7 * width)
            for b in range(rows):
                v = load(d, b * width + c)
                q = b * depth + k
                a0 = add_product(a0, x, q, v)
                a1 = add_product(a1, x, q + 1, v)
                a2 = add_product(a2, x, q + 2, v)
                a3 = add_product(a3, x, q + 3, v)
                a4 = add_product(a4, x, q + 4, v)
                a5 = add_product(a5, x, q + 5, v)
                a6 = add_product(a6, x, q + 6, v)
                a7 = add_product(a7, x, q + 7, v)
            store(out, at, a0)
            store(out, at + width, a1)
            store(out, at + 2 * width, a2)
            store(out, at + 3 * width, a3)
            store(out, at + 4 * width, a4)
            store(out, at + 5 * width, a5)
            store(out, at + 6 * width, a6)
            store(out, at + 7 * width, a7)


@kernel
def add_to(out, out_at, x, x_at, width):  # type: ignore[no-untyped-def]
    """``out.flat[out_at:][:width] += x.flat[x_at:][:width]``."""
    for c in range(0, width, 16):
        store(out, out_at + c, add(load(out, out_at + c), load(x, x_at + c)))


@kernel
def add_sum(out, out_at, x, rows, width):  # type: ignore[no-untyped-def]
    """``out.flat[out_at:][:width] += x[:rows].sum(axis=0)``."""
    for c in range(0, width, 16):
        v = load(out, out_at + c)
        for b in range(rows):
            v = add(v, load(x, b * width + c))
        store(out, out_at + c, v)


@kernel
def add_embedded(  # type: ignore[no-untyped-def]
    state, at, table, first, buckets, row, columns, width, places
):
    """Add ``table[first + c, buckets[row, c]]``, ``c < columns``, to ``state.flat[at:][:width]``.

    ``places`` is scratch (int64, at least ``columns``).
    """
    for c in range(columns):
        places[c] = ((first + c) * BUCKETS + buckets[row, c]) * width
    for h in range(0, width, 16):
        v = load(state, at + h)
        for c in range(columns):
            v = add(v, load(table, places[c] + h))
        store(state, at + h, v)


@kernel
def add_to_embedded(  # type: ignore[no-untyped-def]
    table, first, buckets, row, columns, x, at, width
):
    """Add ``x.flat[at:][:width]`` to ``table[first + c, buckets[row, c]]``, ``c < columns``."""
    for c in range(columns):
        add_to(table, ((first + c) * BUCKETS + buckets[row, c]) * width, x, at, width)
