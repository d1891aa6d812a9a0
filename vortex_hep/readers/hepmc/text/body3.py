"""Particles and vertices of HepMC3 text, parsed and serialised in one pass each."""

# mypy: disable-error-code="no-untyped-def, misc, no-untyped-call"
# ruff: noqa: ANN001, ANN201, ANN202
from __future__ import annotations

import numpy as np

from vortex_hep.core.compiled import kernel
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


@kernel
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


@kernel
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


@kernel
def expect(text, at, stop, byte):
    """Place behind ``byte``, or -1 if it does not stand there."""
    return at + 1 if 0 <= at < stop and text[at] == byte else -1


@kernel
def spaced_integer(text, at, stop):
    """An integer and the space behind it; the place is -1 if they do not stand there."""
    value, end = read_integer(text, at, stop)
    return value, (-1 if end == at else expect(text, end, stop, SPACE))


@kernel
def _fits(value):
    return -0x7FFFFFFF <= value <= 0x7FFFFFFF


@kernel
def _read_event(text, at, stop, precisions, n, p, v, begin):
    """Rows of one event's lines, appended at ``n``; False if they are not as expected.

    ``n`` counts particles, vertices, positions, incoming; ``begin`` is what it was before.
    """
    current, pending, last_id = -1, -1, np.int64(0)
    highest = np.int64(0)
    room = len(p.end_of) - begin[0]
    for k in range(begin[0], len(p.end_of)):
        # As many as there are lines at most; entries of events before are no more needed.
        if k > begin[0] + (stop - at) // 2:
            room = k - begin[0]
            break
        p.end_of[k] = -1
    while at < stop:
        if text[at] == LETTER_V:
            if pending >= 0:
                return False
            at = expect(text, at + 1, stop, SPACE)
            number, at = spaced_integer(text, at, stop) if at >= 0 else (np.int64(0), -1)
            status, at = spaced_integer(text, at, stop) if at >= 0 else (np.int64(0), -1)
            at = expect(text, at, stop, OPEN)
            if at < 0 or number >= 0 or not _fits(number) or not _fits(status):
                return False
            row = n[1]
            size, before = 0, np.int64(0)
            while at < stop and text[at] != CLOSE:
                if size > 0:
                    at = expect(text, at, stop, COMMA)
                    if at < 0:
                        return False
                value, end = read_integer(text, at, stop)
                if end == at or value < 1 or value > room or p.end_of[begin[0] + value - 1] >= 0:
                    return False
                at = end
                highest = max(highest, value)
                p.end_of[begin[0] + value - 1] = row
                if size == 0:
                    v.mother[row] = value - 1
                else:
                    v.incoming[n[3]] = value - before
                    n[3] += 1
                before = value
                size += 1
            if size == 0:
                v.mother[row] = -1
            at = expect(text, at, stop, CLOSE)
            if at < 0 or at >= stop:
                return False
            placed = text[at] == SPACE
            if placed:
                at = expect(text, at + 1, stop, AT)
                for k in range(4):
                    at = expect(text, at, stop, SPACE)
                    if at < 0:
                        return False
                    cell = 4 * n[2] + k
                    at = read_cell(
                        text, at, stop, precisions[2], v.digits, v.exponents, v.kinds, v.odd, cell
                    )
                n[2] += 1
            at = expect(text, at, stop, NEWLINE)
            if at < 0:
                return False
            v.number[row] = number
            v.step[row] = number - (last_id - 1)
            v.status[row] = status
            v.size[row] = size
            v.placed[row] = placed
            v.line[row] = size == 1 and not placed and status == 0
            last_id = number
            pending = row
            n[1] += 1
            continue
        if text[at] != LETTER_P:
            return False
        row = n[0]
        at = expect(text, at + 1, stop, SPACE)
        number, at = spaced_integer(text, at, stop) if at >= 0 else (np.int64(0), -1)
        parent, at = spaced_integer(text, at, stop) if at >= 0 else (np.int64(0), -1)
        pdg, at = spaced_integer(text, at, stop) if at >= 0 else (np.int64(0), -1)
        if at < 0 or number != row - begin[0] + 1 or not _fits(pdg):
            return False
        for k in range(MOMENTA):
            cell = MOMENTA * row + k
            at = read_cell(
                text, at, stop, precisions[0], p.digits, p.exponents, p.kinds, p.odd, cell
            )
            at = expect(text, at, stop, SPACE)
            if at < 0:
                return False
        status, end = read_integer(text, at, stop)
        at = -1 if end == at else expect(text, end, stop, NEWLINE)
        if at < 0 or not _fits(status):
            return False
        birth = SAME
        if pending >= 0 and parent != v.number[pending]:
            return False
        if parent == 0:
            current, birth = -1, NONE
        elif pending >= 0:
            current, birth = pending, NEW
        elif parent < 0:
            if current < 0 or v.number[current] != parent:
                current, birth = -1, EARLIER
                for k in range(begin[1], n[1]):
                    if v.number[k] == parent:
                        current = k
                if current < 0 or v.mother[current] < 0:
                    return False
        else:
            if parent > room:
                return False
            highest = max(highest, parent)
            end_vertex = p.end_of[begin[0] + parent - 1]
            if end_vertex < 0:
                current, birth = n[1], NEW
                p.end_of[begin[0] + parent - 1] = current
                v.mother[current] = parent - 1
                v.number[current] = 0  # no line names it
                v.step[current] = 0
                v.status[current] = 0
                v.size[current] = 1
                v.placed[current] = False
                v.line[current] = False
                last_id -= 1
                n[1] += 1
            else:
                if v.number[end_vertex] != 0 or v.mother[end_vertex] != parent - 1:
                    return False
                if end_vertex != current:
                    current, birth = end_vertex, EARLIER
        pending = -1
        p.pdg[row] = pdg
        p.status[row] = status
        p.birth[row] = birth
        p.vertex[row] = current
        p.mother[row] = v.mother[current] if current >= 0 else -1
        n[0] += 1
    return pending < 0 and highest <= n[0] - begin[0]


@kernel
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
    n = np.zeros(4, np.int64)
    begin = np.zeros(4, np.int64)
    for event in range(len(starts)):
        begin[:] = n
        if good[event] and not _read_event(
            text, starts[event], stops[event], precisions, n, p, v, begin
        ):
            good[event] = False
            n[:] = begin
        offsets[event + 1] = n


@kernel
def write_events(out, precisions, p, v, offsets, ends):
    """Lines of several events; the inverse of :func:`read_events`.

    Returns
    -------
    bool
        False if the rows contradict one another.
    """
    at = 0
    for event in range(len(offsets) - 1):
        first, last = offsets[event, 0], offsets[event + 1, 0]
        vertex, place, other = offsets[event, 1], offsets[event, 2], offsets[event, 3]
        begin = vertex
        current, last_id = -1, np.int64(0)
        for row in range(first, last):
            birth, mother = p.birth[row], np.int64(p.mother[row])
            if mother < -1 or mother >= last - first:
                return False
            if birth == NEW:
                if vertex >= offsets[event + 1, 1]:
                    return False
                current = vertex
                vertex += 1
                size = v.size[current]
                if size < 0 or (mother < 0) != (size == 0):
                    return False
                usual = size == 1 and not v.placed[current] and v.status[current] == 0
                number = last_id - 1 + v.step[current]
                last_id = number
                v.mother[current] = mother
                v.number[current] = 0 if usual and not v.line[current] else number
                if mother >= 0:
                    p.end_of[first + mother] = current
                if v.number[current] != 0:
                    out[at] = LETTER_V
                    out[at + 1] = SPACE
                    at = write_integer(out, at + 2, number)
                    out[at] = SPACE
                    at = write_integer(out, at + 1, np.int64(v.status[current]))
                    out[at] = SPACE
                    out[at + 1] = OPEN
                    at += 2
                    if size - 1 > offsets[event + 1, 3] - other:
                        return False
                    value = mother + 1
                    for k in range(size):
                        if k > 0:
                            out[at] = COMMA
                            at += 1
                            value += v.incoming[other]
                            other += 1
                        at = write_integer(out, at, value)
                    out[at] = CLOSE
                    at += 1
                    if v.placed[current]:
                        if place >= offsets[event + 1, 2]:
                            return False
                        out[at] = SPACE
                        out[at + 1] = AT
                        at += 2
                        for k in range(4):
                            out[at] = SPACE
                            at = write_cell(
                                out, at + 1, precisions[2], v.digits, v.exponents, v.kinds, v.odd,
                                v.text, 4 * place + k,
                            )  # fmt: skip
                        place += 1
                    out[at] = NEWLINE
                    at += 1
            elif birth == EARLIER:
                if mother < 0:
                    return False
                current = p.end_of[first + mother]
                if current < begin or current >= vertex:
                    return False
            elif birth == NONE:
                current = -1
            elif birth != SAME:
                return False
            parent = np.int64(0)
            if current >= 0:
                parent = v.number[current]
                if parent == 0:
                    parent = v.mother[current] + 1
            out[at] = LETTER_P
            out[at + 1] = SPACE
            at = write_integer(out, at + 2, np.int64(row - first + 1))
            out[at] = SPACE
            at = write_integer(out, at + 1, parent)
            out[at] = SPACE
            at = write_integer(out, at + 1, np.int64(p.pdg[row]))
            for k in range(MOMENTA):
                out[at] = SPACE
                at = write_cell(
                    out, at + 1, precisions[0], p.digits, p.exponents, p.kinds, p.odd, p.text,
                    MOMENTA * row + k,
                )  # fmt: skip
            out[at] = SPACE
            at = write_integer(out, at + 1, np.int64(p.status[row]))
            out[at] = NEWLINE
            at += 1
        if (
            vertex != offsets[event + 1, 1]
            or place != offsets[event + 1, 2]
            or other != offsets[event + 1, 3]
        ):
            return False
        ends[event] = at
    return True
