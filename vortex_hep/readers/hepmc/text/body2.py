"""Particles and vertices of HepMC2 text, parsed and serialised in one pass each."""

# mypy: disable-error-code="no-untyped-def, misc, no-untyped-call"
# ruff: noqa: ANN001, ANN201, ANN202
from __future__ import annotations

import numpy as np

from vortex_hep.core.compiled import kernel
from vortex_hep.readers.hepmc.text.body3 import (
    LETTER_P,
    LETTER_V,
    MOMENTA,
    NEW,
    NONE,
    SAME,
    _fits,
    expect,
    read_cell,
    spaced_integer,
    write_cell,
)
from vortex_hep.readers.hepmc.text.numbers import (
    DIGIT_0,
    NEWLINE,
    SPACE,
    read_integer,
    write_integer,
)

#: Numbers on a line of a particle: px, py, pz, E, m, theta, phi.
CELLS = MOMENTA + 2


@kernel
def _read_vertex(text, at, stop, precisions, n, v):
    """One line of a vertex; the place behind it, or -1."""
    row = n[1]
    at = expect(text, at + 1, stop, SPACE)
    if at < 0:
        return -1
    v.number[row], at = spaced_integer(text, at, stop)
    if at < 0 or not _fits(v.number[row]):
        return -1
    status, at = spaced_integer(text, at, stop)
    if at < 0 or not _fits(status):
        return -1
    v.status[row] = status
    placed = False
    for k in range(4):
        cell = 4 * n[2] + k
        at = read_cell(text, at, stop, precisions[2], v.digits, v.exponents, v.kinds, v.odd, cell)
        at = expect(text, at, stop, SPACE)
        if at < 0:
            return -1
        # Zero as the writer prints it, that is: the other ways have to be kept.
        placed |= v.kinds[cell] != precisions[3] or v.digits[cell] != 0
    v.placed[row] = placed
    n[2] += placed
    orphans, at = spaced_integer(text, at, stop)
    if at < 0:
        return -1
    children, at = spaced_integer(text, at, stop)
    if at < 0 or orphans < 0 or children < 0 or not _fits(orphans) or not _fits(children):
        return -1
    v.orphans[row] = orphans
    v.children[row] = children
    at = expect(text, at, stop, DIGIT_0)  # no weights
    return expect(text, at, stop, NEWLINE)


@kernel
def _read_particle(text, at, stop, precisions, row, p):
    """One line of a particle; the place behind it, or -1. Its end vertex is left as a barcode."""
    at = expect(text, at + 1, stop, SPACE)
    if at < 0:
        return -1
    p.number[row], at = spaced_integer(text, at, stop)
    if at < 0 or not _fits(p.number[row]):
        return -1
    pdg, at = spaced_integer(text, at, stop)
    if at < 0 or not _fits(pdg):
        return -1
    p.pdg[row] = pdg
    for k in range(CELLS):
        if k == MOMENTA:
            status, at = spaced_integer(text, at, stop)
            if at < 0 or not _fits(status):
                return -1
            p.status[row] = status
        precision = precisions[0] if k < MOMENTA else precisions[1]
        cell = CELLS * row + k
        at = read_cell(text, at, stop, precision, p.digits, p.exponents, p.kinds, p.odd, cell)
        at = expect(text, at, stop, SPACE)
        if at < 0:
            return -1
    p.end_of[row], at = spaced_integer(text, at, stop)
    if at < 0:
        return -1
    flows, end = read_integer(text, at, stop)
    if end == at or flows < 0 or flows > 2:
        return -1
    at = end
    p.flows[row] = 0
    p.flow[row, 0] = 0
    p.flow[row, 1] = 0
    for _ in range(flows):
        at = expect(text, at, stop, SPACE)
        if at < 0:
            return -1
        code, at = spaced_integer(text, at, stop)
        if at < 0 or code < 1 or code > 2 or p.flows[row] >> (code - 1):
            return -1
        value, end = read_integer(text, at, stop)
        if end == at or not _fits(value):
            return -1
        at = end
        p.flows[row] |= code
        p.flow[row, code - 1] = value
    return expect(text, at, stop, NEWLINE)


@kernel
def _read_event(text, at, stop, precisions, n, p, v, begin, of_barcode):
    """Rows of one event's lines; see :func:`~vortex_hep.readers.hepmc.text.body3.read_events`."""
    orphans, children = np.int64(0), np.int64(0)
    last_particle, last_vertex = np.int64(0), np.int64(0)
    while at < stop:
        if text[at] == LETTER_V:
            if orphans or children:
                return False
            at = _read_vertex(text, at, stop, precisions, n, v)
            row = n[1]
            if at < 0 or not 0 < -v.number[row] < len(of_barcode):
                return False
            orphans, children = v.orphans[row], v.children[row]
            v.step[row] = v.number[row] - (last_vertex - 1)
            last_vertex = v.number[row]
            v.size[row] = 0
            v.mother[row] = -1
            of_barcode[-last_vertex] = row
            n[1] += 1
            continue
        if text[at] != LETTER_P or orphans + children == 0:
            return False
        row = n[0]
        at = _read_particle(text, at, stop, precisions, row, p)
        if at < 0:
            return False
        p.step[row] = p.number[row] - (last_particle + 1)
        last_particle = p.number[row]
        p.vertex[row] = n[1] - 1
        if orphans:
            orphans -= 1
            p.birth[row] = NONE
        else:
            p.birth[row] = NEW if children == v.children[n[1] - 1] else SAME
            children -= 1
        n[0] += 1
    if orphans or children:
        return False
    return _connect(n, p, v, begin, of_barcode)


@kernel
def _connect(n, p, v, begin, of_barcode):
    """Turn barcodes of end vertices into mothers and incoming rows."""
    for row in range(begin[0], n[0]):
        barcode = p.end_of[row]
        p.end_of[row] = -1
        if barcode == 0:
            continue
        if not 0 < -barcode < len(of_barcode):
            return False
        vertex = of_barcode[-barcode]
        # What earlier events wrote there is no vertex of this one.
        if not begin[1] <= vertex < n[1] or v.number[vertex] != barcode:
            return False
        p.end_of[row] = vertex
        v.size[vertex] += 1
        if v.size[vertex] == 1:
            v.mother[vertex] = row - begin[0]
    for row in range(begin[0], n[0]):
        p.mother[row] = -1 if p.birth[row] == NONE else v.mother[p.vertex[row]]
    # Where the incoming rows of each vertex go: all but the mother, if a particle names that.
    at = n[3]
    for vertex in range(begin[1], n[1]):
        v.first[vertex] = at
        v.last[vertex] = v.mother[vertex] if v.children[vertex] else 0
        at += v.size[vertex] - (1 if v.children[vertex] and v.size[vertex] else 0)
    n[3] = at
    for row in range(begin[0], n[0]):
        vertex = p.end_of[row]
        if vertex < 0 or (v.children[vertex] and v.mother[vertex] == row - begin[0]):
            continue
        v.incoming[v.first[vertex]] = row - begin[0] - v.last[vertex]
        v.last[vertex] = row - begin[0]
        v.first[vertex] += 1
    return True


@kernel
def read_events(text, starts, stops, precisions, p, v, good, offsets):
    """Rows of several events; see :func:`~vortex_hep.readers.hepmc.text.body3.read_events`.

    ``precisions[3]`` is the kind of cell that zeros of positions have.
    """
    n = np.zeros(4, np.int64)
    begin = np.zeros(4, np.int64)
    of_barcode = np.full(4 * len(v.number) + 1024, -1, np.int64)
    for event in range(len(starts)):
        begin[:] = n
        if good[event] and not _read_event(
            text, starts[event], stops[event], precisions, n, p, v, begin, of_barcode
        ):
            good[event] = False
            n[:] = begin
        offsets[event + 1] = n


@kernel
def _find_ends(p, v, first, last, vertices, others):
    """Fill ``end_of`` from mothers and incoming rows; False if they contradict one another.

    Also counts the children of each vertex, and gives those their barcode.
    """
    row, other = first, others[0]
    last_vertex = np.int64(0)
    for vertex in range(vertices[0], vertices[1]):
        v.number[vertex] = last_vertex - 1 + v.step[vertex]
        last_vertex = v.number[vertex]
        size, orphans = np.int64(v.size[vertex]), v.orphans[vertex]
        if size < 0 or orphans < 0 or orphans > last - row:
            return False
        for k in range(row, row + orphans):
            if p.birth[k] != NONE:
                return False
        row += orphans
        v.children[vertex] = 0
        value = np.int64(0)
        if not v.line[vertex]:
            if row >= last or p.birth[row] != NEW:
                return False
            mother = np.int64(p.mother[row])
            if mother >= last - first or mother < -1 or (mother < 0) != (size == 0):
                return False
            if mother >= 0:
                p.end_of[first + mother] = vertex
                size -= 1
                value = mother
            v.children[vertex] = 1
            row += 1
            while row < last and p.birth[row] == SAME:
                v.children[vertex] += 1
                row += 1
        if size > others[1] - other:
            return False
        for _ in range(size):
            value += v.incoming[other]
            other += 1
            if value < 0 or value >= last - first:
                return False
            p.end_of[first + value] = vertex
    return row == last and other == others[1]


@kernel
def _write_particle(out, at, precisions, p, v, row, number):
    out[at] = LETTER_P
    out[at + 1] = SPACE
    at = write_integer(out, at + 2, number)
    out[at] = SPACE
    at = write_integer(out, at + 1, np.int64(p.pdg[row]))
    for k in range(CELLS):
        if k == MOMENTA:
            out[at] = SPACE
            at = write_integer(out, at + 1, np.int64(p.status[row]))
        out[at] = SPACE
        precision = precisions[0] if k < MOMENTA else precisions[1]
        at = write_cell(
            out, at + 1, precision, p.digits, p.exponents, p.kinds, p.odd, p.text, CELLS * row + k
        )
    out[at] = SPACE
    end = p.end_of[row]
    at = write_integer(out, at + 1, v.number[end] if end >= 0 else np.int64(0))
    flows = p.flows[row]
    out[at] = SPACE
    out[at + 1] = DIGIT_0 + (flows & 1) + (flows >> 1 & 1)
    at += 2
    for code in range(1, 3):
        if flows & code:
            out[at] = SPACE
            out[at + 1] = DIGIT_0 + code
            out[at + 2] = SPACE
            at = write_integer(out, at + 3, np.int64(p.flow[row, code - 1]))
    out[at] = NEWLINE
    return at + 1


@kernel
def _write_vertex(out, at, precisions, v, vertex, place):
    out[at] = LETTER_V
    out[at + 1] = SPACE
    at = write_integer(out, at + 2, v.number[vertex])
    out[at] = SPACE
    at = write_integer(out, at + 1, np.int64(v.status[vertex]))
    for k in range(4):
        out[at] = SPACE
        # The cell behind all others is a zero as the writer prints it.
        cell = 4 * place + k if v.placed[vertex] else len(v.kinds) - 1
        at = write_cell(
            out, at + 1, precisions[2], v.digits, v.exponents, v.kinds, v.odd, v.text, cell
        )
    out[at] = SPACE
    at = write_integer(out, at + 1, np.int64(v.orphans[vertex]))
    out[at] = SPACE
    at = write_integer(out, at + 1, np.int64(v.children[vertex]))
    out[at] = SPACE
    out[at + 1] = DIGIT_0
    out[at + 2] = NEWLINE
    return at + 3


@kernel
def write_events(out, precisions, p, v, offsets, ends):
    """Lines of several events; the inverse of :func:`read_events`.

    ``v.line`` says which vertices have no outgoing particles.

    Returns
    -------
    bool
        False if the rows contradict one another.
    """
    at = 0
    for event in range(len(offsets) - 1):
        first, last = offsets[event, 0], offsets[event + 1, 0]
        vertices, others = offsets[event : event + 2, 1], offsets[event : event + 2, 3]
        place = offsets[event, 2]
        if not _find_ends(p, v, first, last, vertices, others):
            return False
        row, number = first, np.int64(0)
        for vertex in range(vertices[0], vertices[1]):
            if v.placed[vertex] and place >= offsets[event + 1, 2]:
                return False
            at = _write_vertex(out, at, precisions, v, vertex, place)
            place += v.placed[vertex]
            for _ in range(v.orphans[vertex] + v.children[vertex]):
                number += 1 + p.step[row]
                at = _write_particle(out, at, precisions, p, v, row, number)
                row += 1
        if place != offsets[event + 1, 2]:
            return False
        ends[event] = at
    return True
