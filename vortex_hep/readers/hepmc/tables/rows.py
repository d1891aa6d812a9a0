"""Arrays that the kernels of HepMC's two versions read and write."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from vortex_hep.core.schema import Array, TableData
from vortex_hep.readers.hepmc.tables.layout import TextLayout

#: Names of the numbers of a particle and of a position, in the order of the text.
MOMENTA, ANGLES, PLACES = ("px", "py", "pz", "e", "m"), ("theta", "phi"), ("x", "y", "z", "t")
#: Numbers of a row that may be printed in an odd way: momenta, angles, and the place from here on.
CODES, PLACE_CODE = 16, 8


class Particles(NamedTuple):
    """Rows of particles; what only one version has is empty for the other."""

    number: Array
    step: Array
    pdg: Array
    status: Array
    birth: Array
    mother: Array
    vertex: Array
    end_of: Array
    flows: Array
    flow: Array
    digits: Array
    exponents: Array
    kinds: Array
    odd: Array
    text: Array


class Vertices(NamedTuple):
    """Rows of vertices, of their positions, and of incoming particles."""

    number: Array
    step: Array
    status: Array
    size: Array
    placed: Array
    line: Array
    orphans: Array
    children: Array
    mother: Array
    first: Array
    last: Array
    incoming: Array
    digits: Array
    exponents: Array
    kinds: Array
    odd: Array
    text: Array


def _cells(size: int) -> tuple[Array, Array, Array, Array, Array]:
    return (
        np.zeros(size, np.int64), np.zeros(size, np.int16), np.zeros(size, np.uint8),
        np.zeros((size, 2), np.int64), np.zeros(0, np.uint8),
    )  # fmt: skip


def make_particles(rows: int, cells: int) -> Particles:
    """Room for ``rows`` particles of ``cells`` numbers each."""
    number, step, mother, vertex = (np.zeros(rows, np.int64) for _ in range(4))
    pdg, status = (np.zeros(rows, np.int32) for _ in range(2))
    birth, flows = (np.zeros(rows, np.int8) for _ in range(2))
    return Particles(
        number, step, pdg, status, birth, mother, vertex, np.full(rows, -1, np.int64), flows,
        np.zeros((rows, 2), np.int32), *_cells(rows * cells),
    )  # fmt: skip


def make_vertices(rows: int, positions: int, incoming: int) -> Vertices:
    """Room for vertices; the cell behind those of all positions is spare."""
    number, step, size, orphans, children, mother, first, last = (
        np.zeros(rows, np.int64) for _ in range(8)
    )
    placed, line = (np.zeros(rows, np.bool_) for _ in range(2))
    return Vertices(
        number, step, np.zeros(rows, np.int32), size, placed, line, orphans, children, mother,
        first, last, np.zeros(incoming, np.int64), *_cells(4 * positions + 1),
    )  # fmt: skip


def precisions_of(layout: TextLayout) -> Array:
    """What kernels need to know of styles."""
    styles = layout.momenta, layout.angles, layout.positions
    return np.array([*(s.precision for s in styles), layout.positions.zero], np.int64)


def vertex_ids(steps: Array, offsets: Array) -> Array:
    """Ids of vertices from their column: each is one less than the one before, and the step."""
    ids = np.cumsum(steps.astype(np.int64) - 1)
    start = np.concatenate([[0], ids])[offsets[:-1]]
    out: Array = ids - np.repeat(start, np.diff(offsets))
    return out


def any_place(particles: TableData, rows: Array) -> Array:
    """Whether some number of the places of particles is not zero (bool, shape (rows,))."""
    out = np.zeros(len(rows), np.bool_)
    for name in PLACES:
        column = np.asarray(particles.columns[f"particles_{name}"])[rows]
        out |= column.view(f"u{column.itemsize}") != 0
    return out
