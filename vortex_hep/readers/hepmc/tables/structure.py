"""Vertices as columns of the particles that come from them, and back.

The kernels know vertices with lists of incoming particles and with positions. As columns both are
told by particles, whose other columns predict them: where a particle comes from, and with which
others it goes into a vertex. Lists that this cannot tell stay lists.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from vortex_hep.core.schema import Array
from vortex_hep.errors import CorruptionError
from vortex_hep.readers.hepmc.text.body3 import NEW, NONE

#: Bit of the column ``birth`` that the last particle of a vertex has; the kernels know none.
LAST = 4


class Incoming(NamedTuple):
    """Which particles go into vertices.

    Parameters
    ----------
    partner : int32 array, shape (particles,)
        For all but the first of a vertex the place of the first in its event, else -1.
    sizes : int32 array, shape (vertices,)
        Length of the lists that are kept, else 0.
    steps : int32 array
        Of the lists that are kept: places behind that of the particle before.
    offsets : int64 array, shape (events + 1,)
        First of ``steps`` of each event.
    """

    partner: Array
    sizes: Array
    steps: Array
    offsets: Array


def split_births(birth: Array) -> Array:
    """Births as the kernels know them.

    Raises
    ------
    CorruptionError
        Some are out of range.
    """
    if len(birth) and not 0 <= int(birth.min()) <= int(birth.max()) < 2 * LAST:
        raise CorruptionError("invalid production vertex of a particle", tree="events")
    out: Array = birth & (LAST - 1)
    return out


def join_births(birth: Array, vertex: Array) -> Array:
    """Births with the mark of the last particle of each vertex.

    Parameters
    ----------
    birth : int8 array, shape (particles,)
    vertex : int64 array, shape (particles,)
        Vertex that each comes from; without meaning where there is none.
    """
    rows = np.flatnonzero(birth != NONE)
    last = np.full(int(vertex.max(initial=-1)) + 1, -1, np.int64)
    np.maximum.at(last, vertex[rows], rows)
    out: Array = birth.copy()
    out[last[last >= 0]] |= LAST
    return out


def told_by_particles(
    size: Array, steps: Array, mother: Array, childless: Array, offsets: Array
) -> Incoming:
    """Tell by particles what goes into vertices, as far as that gives the lists back.

    Parameters
    ----------
    size : int64 array, shape (vertices,)
        Number of incoming particles.
    steps : int64 array
        Of all vertices: places of all but the first, each behind that of the particle before;
        of childless ones those of all, the first behind 0.
    mother : int64 array, shape (vertices,)
        Place of the first in its event, or -1.
    childless : bool array, shape (vertices,)
    offsets : int64 array, shape (events + 1, 4)
        First rows of each event: of particles, vertices, positions, incoming.
    """
    count = np.where(childless, size, np.maximum(size - 1, 0))
    start = np.cumsum(count) - count
    vertex = np.repeat(np.arange(len(size)), count)
    total = np.cumsum(steps)
    before = np.concatenate([[0], total])[start]
    place = mother[vertex] + total - before[vertex]
    # Ascending, the first of all left aside: in that order particles stand.
    straight = np.ones(len(steps), np.bool_)
    inner = np.arange(len(steps)) > start[vertex]
    straight[inner] = steps[inner] > 0
    straight &= place != mother[vertex]
    kept = childless | (mother < 0)
    kept[vertex[~straight]] = True
    events = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets[:, 1]))
    told = ~kept[vertex]
    partner = np.full(int(offsets[-1, 0]), -1, np.int32)
    partner[offsets[events[vertex[told]], 0] + place[told]] = mother[vertex[told]]
    listed = np.bincount(events[vertex[~told]], minlength=len(offsets) - 1)
    return Incoming(
        partner,
        np.where(kept, size, 0).astype(np.int32),
        steps[~told].astype(np.int32),
        np.concatenate([[0], np.cumsum(listed)]).astype(np.int64),
    )


def as_lists(
    incoming: Incoming, mother: Array, childless: Array, particles: Array, vertices: Array
) -> Incoming:
    """Lists of all vertices again; the inverse of :func:`told_by_particles`.

    Parameters
    ----------
    incoming : Incoming
    mother : int64 array, shape (vertices,)
    childless : bool array, shape (vertices,)
    particles, vertices : int64 arrays, shape (events + 1,)
        First rows of each event.

    Returns
    -------
    Incoming
        Without partners, and with sizes and steps of all vertices.

    Raises
    ------
    CorruptionError
        Particles end in a vertex that does not exist, or the other way round.
    """
    events = np.repeat(np.arange(len(vertices) - 1), np.diff(vertices))
    size = incoming.sizes.astype(np.int64)
    told = (size == 0) & ~childless & (mother >= 0)
    # Vertices by the row of the first that goes in.
    leader = np.where(told, particles[events] + mother, -1)
    if (leader >= particles[events + 1]).any():
        raise CorruptionError("invalid incoming particle of a vertex", tree="events")
    by_leader = np.full(int(particles[-1]), -1, np.int64)
    by_leader[leader[told]] = np.flatnonzero(told)
    rows = np.flatnonzero(incoming.partner >= 0)
    of_row = np.repeat(np.arange(len(particles) - 1), np.diff(particles))[rows]
    first = particles[of_row] + incoming.partner[rows]
    good = first < particles[of_row + 1]
    vertex = np.where(good, by_leader[np.where(good, first, 0)], -1)
    if (vertex < 0).any():
        raise CorruptionError("invalid end vertex of a particle", tree="events")
    order = np.argsort(vertex, kind="stable")
    vertex, place = vertex[order], (rows - particles[of_row])[order]
    steps = np.diff(place, prepend=0)
    begins = np.diff(vertex, prepend=-1) != 0
    steps[begins] = place[begins] - mother[vertex[begins]]
    # The lists that were kept stand between these, in the order of their vertices.
    kept = np.where(childless, size, np.maximum(size - 1, 0))
    if int(kept.sum()) != len(incoming.steps) or (size < 0).any():
        raise CorruptionError("lists of incoming particles are of other lengths", tree="events")
    of_kept = np.repeat(np.arange(len(size)), kept)
    both = np.concatenate([of_kept, vertex])
    merged = np.concatenate([incoming.steps.astype(np.int64), steps])
    order = np.argsort(both, kind="stable")
    size[told] = 1 + np.bincount(vertex, minlength=len(size))[told]
    listed = np.bincount(events[both], minlength=len(vertices) - 1)
    offsets = np.concatenate([[0], np.cumsum(listed)]).astype(np.int64)
    return Incoming(np.zeros(0, np.int32), size, merged[order], offsets)


class Births(NamedTuple):
    """Particles that are the first of their vertex.

    Parameters
    ----------
    rows : int64 array
        Their rows.
    vertices : int64 array
        Their vertices: all that are not childless, in order.
    """

    rows: Array
    vertices: Array


def first_of_vertices(birth: Array, childless: Array, particles: Array, vertices: Array) -> Births:
    """Find the first particles of vertices.

    Raises
    ------
    CorruptionError
        There are more, or fewer, than vertices with particles in some event.
    """
    rows, parents = np.flatnonzero(birth == NEW), np.flatnonzero(~childless)
    of_row = np.searchsorted(particles, rows, "right")
    of_vertex = np.searchsorted(vertices, parents, "right")
    if not np.array_equal(of_row, of_vertex):
        raise CorruptionError("particles and vertices contradict one another", tree="events")
    return Births(rows, parents)


def place_numbers(placed: Array) -> Array:
    """Number of the position of every vertex, -1 where it has none."""
    out: Array = np.where(placed, np.cumsum(placed) - 1, -1)
    return out
