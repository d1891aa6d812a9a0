"""Particles and vertices of HepMC3 text, parsed and serialised in one pass each."""

# mypy: disable-error-code="no-untyped-def, misc, no-untyped-call"
# ruff: noqa: ANN001, ANN201, ANN202
from __future__ import annotations

from typing import NamedTuple

import numpy as np

from vortex_hep.core.compiled import kernel, part
from vortex_hep.core.schema import Array
from vortex_hep.readers.hepmc.text.numbers import (
    BARE_ZERO,
    DIGIT_0,
    NEWLINE,
    ODD,
    SPACE,
    read_integer,
    read_number,
    write_integer,
    write_number,
)

#: Kind of a cell beside those of :mod:`~vortex_hep.readers.hepmc.text.numbers`: with a minus.
NEGATIVE = 3
#: Values of the column ``birth``: a particle comes from the vertex of the row before, is the first
#: of a new one, comes from the one where ``mother`` ends, or from none.
SAME, NEW, EARLIER, NONE = 0, 1, 2, 3
#: Numbers on a line of a particle: px, py, pz, E, m.
MOMENTA = 5
LETTER_P, LETTER_V, OPEN, CLOSE, COMMA, AT = 80, 86, 91, 93, 44, 64
#: Bytes that a line needs at most, its numbers left aside.
LINE_ROOM = 160
NUMBER_ROOM = 26


@kernel(makes_arrays=False)
def read_cell(text, at, stop, precision, digits, exponents, kinds, odd, cell):
    """Read one number into the arrays at ``cell``; return the place behind it."""
    kind, negative, d, e, end = read_number(text, at, stop, precision)
    digits[cell] = d
    exponents[cell] = e
    kinds[cell] = NEGATIVE if negative else kind
    if kind == ODD:
        odd[cell, 0] = at
        odd[cell, 1] = end
    return end


@kernel(makes_arrays=False)
def write_cell(out, at, precision, digits, exponents, kinds, odd, odd_text, cell):
    """Write one number; return the place behind it."""
    kind = kinds[cell]
    if kind == ODD:
        for k in range(odd[cell, 0], odd[cell, 1]):
            out[at] = odd_text[k]
            at += 1
        return at
    if kind == BARE_ZERO:
        out[at] = DIGIT_0
        return at + 1
    return write_number(out, at, kind == NEGATIVE, digits[cell], exponents[cell], precision)


@kernel(makes_arrays=False)
def expect(text, at, stop, byte):
    """Place behind ``byte``, or -1 if it does not stand there."""
    return at + 1 if 0 <= at < stop and text[at] == byte else -1


@kernel(makes_arrays=False)
def spaced_integer(text, at, stop):
    """An integer and the space behind it; the place is -1 if they do not stand there."""
    value, end = read_integer(text, at, stop)
    return value, (-1 if end == at else expect(text, end, stop, SPACE))


@kernel(makes_arrays=False)
def _fits(value):
    return -0x7FFFFFFF <= value <= 0x7FFFFFFF


class Walk(NamedTuple):
    """Lines of an event on their way to rows, or rows on their way to lines.

    Parameters
    ----------
    text : uint8 array
        The lines.
    precisions : int64 array
        Of momenta, polarisations and positions.
    p, v : named tuples
        Particles and vertices.
    n : int64 array, shape (4,)
        Particles, vertices, positions and incoming particles so far.
    begin : int64 array, shape (4,)
        What these were before the event.
    state : int64 array
        See :data:`CURRENT` and what follows it; made by :func:`_walk`.
    """

    text: Array
    precisions: Array
    p: NamedTuple
    v: NamedTuple
    n: Array
    begin: Array
    state: Array


#: Places in ``Walk.state``: the vertex that the last particle came from, or -1; the vertex whose
#: line no particle has followed yet, or -1; the number of the last vertex; the highest number of a
#: particle that a line has named; how many particles there can be.
CURRENT, PENDING, LAST_ID, HIGHEST, ROOM = 0, 1, 2, 3, 4


def _walk(text, precisions, p, v):
    """Begin with no rows."""
    n, begin = np.zeros((2, 4), np.int64)
    return Walk(text, precisions, p, v, n, begin, np.zeros(ROOM + 1, np.int64))


@part
def _clear_ends(p, first, most):
    """Forget where particles end that were numbered before; return how many there can be."""
    for k in range(first, len(p.end_of)):
        # As many as there are lines at most; entries of events before are no more needed.
        if k > first + most:
            return k - first
        p.end_of[k] = -1
    return len(p.end_of) - first


@part
def _read_incoming(w, at, stop, row):
    """Numbers of the particles that end in a vertex; how many, and the place behind, or -1."""
    size, before = 0, np.int64(0)
    first = w.begin[0]
    while at < stop and w.text[at] != CLOSE:
        if size > 0:
            at = expect(w.text, at, stop, COMMA)
            if at < 0:
                return size, -1
        value, end = read_integer(w.text, at, stop)
        if end == at or value < 1 or value > w.state[ROOM] or w.p.end_of[first + value - 1] >= 0:
            return size, -1
        at = end
        w.state[HIGHEST] = max(w.state[HIGHEST], value)
        w.p.end_of[first + value - 1] = row
        if size == 0:
            w.v.mother[row] = value - 1
        else:
            w.v.incoming[w.n[3]] = value - before
            w.n[3] += 1
        before = value
        size += 1
    if size == 0:
        w.v.mother[row] = -1
    return size, expect(w.text, at, stop, CLOSE)


@part
def _read_position(w, at, stop):
    """The four numbers of a vertex's position; the place behind them, or -1."""
    v = w.v
    at = expect(w.text, at, stop, AT)
    for k in range(4):
        at = expect(w.text, at, stop, SPACE)
        if at < 0:
            return -1
        at = read_cell(
            w.text, at, stop, w.precisions[2], v.digits, v.exponents, v.kinds, v.odd,
            4 * w.n[2] + k,
        )  # fmt: skip
    w.n[2] += 1
    return at


@part
def _read_vertex(w, at, stop):
    """A row of the line of a vertex; the place behind the line, or -1 if it is not as expected."""
    if w.state[PENDING] >= 0:
        return -1
    text, v = w.text, w.v
    at = expect(text, at + 1, stop, SPACE)
    number, at = spaced_integer(text, at, stop) if at >= 0 else (np.int64(0), -1)
    status, at = spaced_integer(text, at, stop) if at >= 0 else (np.int64(0), -1)
    at = expect(text, at, stop, OPEN)
    if at < 0 or number >= 0 or not _fits(number) or not _fits(status):
        return -1
    row = w.n[1]
    size, at = _read_incoming(w, at, stop, row)
    if at < 0 or at >= stop:
        return -1
    placed = text[at] == SPACE
    if placed:
        at = _read_position(w, at + 1, stop)
    at = expect(text, at, stop, NEWLINE)
    if at < 0:
        return -1
    v.number[row] = number
    v.step[row] = number - (w.state[LAST_ID] - 1)
    v.status[row] = status
    v.size[row] = size
    v.placed[row] = placed
    v.line[row] = size == 1 and not placed and status == 0
    w.state[LAST_ID] = number
    w.state[PENDING] = row
    w.n[1] += 1
    return at


@part
def _read_momentum(w, at, stop, row):
    """The numbers of a particle, and the space behind; the place behind that, or -1."""
    p = w.p
    for k in range(MOMENTA):
        at = read_cell(
            w.text, at, stop, w.precisions[0], p.digits, p.exponents, p.kinds, p.odd,
            MOMENTA * row + k,
        )  # fmt: skip
        at = expect(w.text, at, stop, SPACE)
        if at < 0:
            return -1
    return at


@part
def _born_at(w, number):
    """Go to the vertex of this number, which has a line of its own; how the particle is born."""
    v, current = w.v, w.state[CURRENT]
    if current >= 0 and v.number[current] == number:
        return SAME
    current = -1
    for k in range(w.begin[1], w.n[1]):
        if v.number[k] == number:
            current = k
    if current < 0 or v.mother[current] < 0:
        return -1
    w.state[CURRENT] = current
    return EARLIER


@part
def _born_of(w, parent):
    """Go to the vertex where a particle ends, which has no line; how the particle is born."""
    v, state = w.v, w.state
    if parent > state[ROOM]:
        return -1
    state[HIGHEST] = max(state[HIGHEST], parent)
    place = w.begin[0] + parent - 1
    end_vertex = w.p.end_of[place]
    if end_vertex < 0:
        current = w.n[1]
        w.p.end_of[place] = current
        v.mother[current] = parent - 1
        v.number[current] = 0  # no line names it
        v.step[current] = 0
        v.status[current] = 0
        v.size[current] = 1
        v.placed[current] = False
        v.line[current] = False
        state[CURRENT] = current
        state[LAST_ID] -= 1
        w.n[1] += 1
        return NEW
    if v.number[end_vertex] != 0 or v.mother[end_vertex] != parent - 1:
        return -1
    if end_vertex == state[CURRENT]:
        return SAME
    state[CURRENT] = end_vertex
    return EARLIER


@part
def _birth(w, parent):
    """Go to the vertex that a particle comes from; how it is born, or -1 if that cannot be."""
    state, pending = w.state, w.state[PENDING]
    if pending >= 0 and parent != w.v.number[pending]:
        return -1
    if parent == 0:
        state[CURRENT] = -1
        return NONE
    if pending >= 0:
        state[CURRENT] = pending
        return NEW
    if parent < 0:
        return _born_at(w, parent)
    return _born_of(w, parent)


@part
def _read_particle(w, at, stop):
    """A row of the line of a particle; the place behind it, or -1 if it is not as expected."""
    text, p = w.text, w.p
    row = w.n[0]
    at = expect(text, at + 1, stop, SPACE)
    number, at = spaced_integer(text, at, stop) if at >= 0 else (np.int64(0), -1)
    parent, at = spaced_integer(text, at, stop) if at >= 0 else (np.int64(0), -1)
    pdg, at = spaced_integer(text, at, stop) if at >= 0 else (np.int64(0), -1)
    if at < 0 or number != row - w.begin[0] + 1 or not _fits(pdg):
        return -1
    at = _read_momentum(w, at, stop, row)
    if at < 0:
        return -1
    status, end = read_integer(text, at, stop)
    at = -1 if end == at else expect(text, end, stop, NEWLINE)
    if at < 0 or not _fits(status):
        return -1
    birth = _birth(w, parent)
    if birth < 0:
        return -1
    current = w.state[CURRENT]
    w.state[PENDING] = -1
    p.pdg[row] = pdg
    p.status[row] = status
    p.birth[row] = birth
    p.vertex[row] = current
    p.mother[row] = w.v.mother[current] if current >= 0 else -1
    w.n[0] += 1
    return at


@part
def _read_event(w, at, stop):
    """Rows of one event's lines, appended at ``n``; False if they are not as expected."""
    state = w.state
    state[CURRENT], state[PENDING], state[LAST_ID], state[HIGHEST] = -1, -1, 0, 0
    state[ROOM] = _clear_ends(w.p, w.begin[0], (stop - at) // 2)
    while at < stop:
        if w.text[at] == LETTER_V:
            at = _read_vertex(w, at, stop)
        elif w.text[at] == LETTER_P:
            at = _read_particle(w, at, stop)
        else:
            return False
        if at < 0:
            return False
    return state[PENDING] < 0 and state[HIGHEST] <= w.n[0] - w.begin[0]


@kernel(makes_arrays=False)
def _read_all(w, starts, stops, good, offsets):
    for event in range(len(starts)):
        for k in range(4):
            w.begin[k] = w.n[k]
        if good[event] and not _read_event(w, starts[event], stops[event]):
            good[event] = False
            for k in range(4):
                w.n[k] = w.begin[k]
        for k in range(4):
            offsets[event + 1, k] = w.n[k]


def read_events(text, starts, stops, precisions, p, v, good, offsets):
    """Rows of the particles and vertices of several events.

    Parameters
    ----------
    text : uint8 array
    starts, stops : int64 arrays, shape (events,)
        Lines of particles and vertices of each event.
    precisions : int64 array
        Of momenta, polarisations and positions.
    p, v : named tuples
        Particles and vertices, with room for as many rows as there are lines.
    good : bool array, shape (events,)
        False on entry for events to skip, on return for those whose lines are not as expected.
    offsets : int64 array, shape (events + 1, 4)
        First rows of each event: of particles, vertices, positions, incoming.
    """
    _read_all(_walk(text, precisions, p, v), starts, stops, good, offsets)


@part
def _open_vertex(w, row_mother, offsets, event):
    """Take the next vertex; whether its line is written: 1, 0, or -1 if rows contradict."""
    v, current = w.v, w.n[1]
    if current >= offsets[event + 1, 1]:
        return -1
    w.n[1] += 1
    w.state[CURRENT] = current
    size = v.size[current]
    if size < 0 or (row_mother < 0) != (size == 0):
        return -1
    usual = size == 1 and not v.placed[current] and v.status[current] == 0
    number = w.state[LAST_ID] - 1 + v.step[current]
    w.state[LAST_ID] = number
    v.mother[current] = row_mother
    v.number[current] = 0 if usual and not v.line[current] else number
    if row_mother >= 0:
        w.p.end_of[w.begin[0] + row_mother] = current
    return 1 if v.number[current] != 0 else 0


@part
def _write_incoming(w, at, size, value, most):
    """Write the particles that end in a vertex; the place behind, or -1 if there are too few."""
    if size - 1 > most:
        return -1
    for k in range(size):
        if k > 0:
            w.text[at] = COMMA
            at += 1
            value += w.v.incoming[w.n[3]]
            w.n[3] += 1
        at = write_integer(w.text, at, value)
    return at


@part
def _write_position(w, at):
    """Write the position of a vertex; the place behind it."""
    v = w.v
    w.text[at] = SPACE
    w.text[at + 1] = AT
    at += 2
    for k in range(4):
        w.text[at] = SPACE
        at = write_cell(
            w.text, at + 1, w.precisions[2], v.digits, v.exponents, v.kinds, v.odd, v.text,
            4 * w.n[2] + k,
        )  # fmt: skip
    w.n[2] += 1
    return at


@part
def _write_vertex(w, at, mother, offsets, event):
    """Write the line of a vertex; the place behind it, or -1 if rows contradict one another."""
    out, v, current = w.text, w.v, w.state[CURRENT]
    out[at] = LETTER_V
    out[at + 1] = SPACE
    at = write_integer(out, at + 2, w.state[LAST_ID])
    out[at] = SPACE
    at = write_integer(out, at + 1, np.int64(v.status[current]))
    out[at] = SPACE
    out[at + 1] = OPEN
    most = offsets[event + 1, 3] - w.n[3]
    at = _write_incoming(w, at + 2, v.size[current], mother + 1, most)
    if at < 0:
        return -1
    out[at] = CLOSE
    at += 1
    if v.placed[current]:
        if w.n[2] >= offsets[event + 1, 2]:
            return -1
        at = _write_position(w, at)
    out[at] = NEWLINE
    return at + 1


@part
def _write_particle(w, at, row, number):
    """Write the line of a particle; the place behind it."""
    out, p, current = w.text, w.p, w.state[CURRENT]
    parent = np.int64(0)
    if current >= 0:
        parent = w.v.number[current]
        if parent == 0:
            parent = w.v.mother[current] + 1
    out[at] = LETTER_P
    out[at + 1] = SPACE
    at = write_integer(out, at + 2, number)
    out[at] = SPACE
    at = write_integer(out, at + 1, parent)
    out[at] = SPACE
    at = write_integer(out, at + 1, np.int64(p.pdg[row]))
    for k in range(MOMENTA):
        out[at] = SPACE
        at = write_cell(
            out, at + 1, w.precisions[0], p.digits, p.exponents, p.kinds, p.odd, p.text,
            MOMENTA * row + k,
        )  # fmt: skip
    out[at] = SPACE
    at = write_integer(out, at + 1, np.int64(p.status[row]))
    out[at] = NEWLINE
    return at + 1


@part
def _write_event(w, at, offsets, event):
    """Lines of one event; the place behind them, or -1 if rows contradict one another."""
    p, state = w.p, w.state
    state[CURRENT], state[LAST_ID] = -1, 0
    first, last = offsets[event, 0], offsets[event + 1, 0]
    for row in range(first, last):
        birth, mother = p.birth[row], np.int64(p.mother[row])
        if mother < -1 or mother >= last - first:
            return -1
        if birth == NEW:
            has_line = _open_vertex(w, mother, offsets, event)
            if has_line > 0:
                at = _write_vertex(w, at, mother, offsets, event)
            if has_line < 0 or at < 0:
                return -1
        elif birth == EARLIER:
            if mother < 0:
                return -1
            current = p.end_of[first + mother]
            if current < w.begin[1] or current >= w.n[1]:
                return -1
            state[CURRENT] = current
        elif birth == NONE:
            state[CURRENT] = -1
        elif birth != SAME:
            return -1
        at = _write_particle(w, at, row, np.int64(row - first + 1))
    for k in range(1, 4):
        if w.n[k] != offsets[event + 1, k]:
            return -1
    return at


@kernel(makes_arrays=False)
def _write_all(w, offsets, ends):
    at = 0
    for event in range(len(offsets) - 1):
        for k in range(4):
            w.n[k] = w.begin[k] = offsets[event, k]
        at = _write_event(w, at, offsets, event)
        if at < 0:
            return False
        ends[event] = at
    return True


def write_events(out, precisions, p, v, offsets, ends):
    """Lines of several events; the inverse of :func:`read_events`.

    Returns
    -------
    bool
        False if the rows contradict one another.
    """
    return _write_all(_walk(out, precisions, p, v), offsets, ends)
