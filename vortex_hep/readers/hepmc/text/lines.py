"""Lines at the head of events, found and classified."""

# mypy: disable-error-code="no-untyped-def, misc, no-untyped-call"
# ruff: noqa: ANN001, ANN201, ANN202
from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vortex_hep.core.compiled import kernel
from vortex_hep.core.schema import Array
from vortex_hep.readers.hepmc.text.body3 import LETTER_P, LETTER_V
from vortex_hep.readers.hepmc.text.numbers import (
    NEWLINE,
    SPACE,
    read_integer,
    token_end,
    write_integer,
)

#: Classes of lines: ``A id name value`` by the sign of id, and all others.
OTHER, OF_VERTEX, OF_EVENT, OF_PARTICLE = 0, 1, 2, 3
#: What keys of lines of these classes begin with.
PREFIXES = ("", "A- ", "A0 ", "A+ ")
LETTER_A = 65
_PRIME = np.uint64(0x100000001B3)
_BASIS = np.uint64(0xCBF29CE484222325)


@kernel
def _scan(text, starts, stops, heads, lines, hashes):
    """Lines of all heads; ``heads`` becomes the end of each. Returns their number."""
    n = 0
    for event in range(len(starts)):
        at, stop = starts[event], stops[event]
        while at < stop:
            if (text[at] == LETTER_P or text[at] == LETTER_V) and (
                at + 1 < stop and text[at + 1] == SPACE
            ):
                break
            end = at
            while end < stop and text[end] != NEWLINE:
                end += 1
            name, name_stop, kind, number = at, token_end(text, at, end), OTHER, np.int64(0)
            value = name_stop
            if text[at] == LETTER_A and at + 1 < end and text[at + 1] == SPACE:
                number, behind = read_integer(text, at + 2, end)
                if behind > at + 2 and behind < end and text[behind] == SPACE:
                    name_end = token_end(text, behind + 1, end)
                    if name_end < end:
                        name, name_stop, value = behind + 1, name_end, name_end + 1
                        kind = OF_EVENT
                        if number < 0:
                            kind = OF_VERTEX
                        elif number > 0:
                            kind = OF_PARTICLE
            code = _BASIS ^ np.uint64(kind)
            for k in range(name, name_stop):
                code = (code ^ np.uint64(text[k])) * _PRIME
            hashes[n] = code
            lines[n, 0] = event
            lines[n, 1] = at
            lines[n, 2] = end
            lines[n, 3] = kind
            lines[n, 4] = number
            lines[n, 5] = name
            lines[n, 6] = name_stop
            lines[n, 7] = value
            n += 1
            at = end + 1
        heads[event] = min(at, stop)
    return n


@dataclass
class Heads:
    """Lines of the heads of several events, and the runs that they form.

    A run is one line, or all neighbouring ``A`` lines of particles (of vertices) of one name.

    Parameters
    ----------
    stops : int64 array, shape (events,)
        Where the head of each event ends.
    lines : int64 array, shape (lines, 8)
        Event, start, stop (without the line feed), class, id, start and stop of the name, start
        of the value.
    runs : int64 array, shape (runs + 1,)
        First line of each run.
    keys : list of str
        Of each run.
    of_event : int64 array, shape (events + 1,)
        First run of each event.
    """

    stops: Array
    lines: Array
    runs: Array
    keys: list[str]
    of_event: Array


def find_heads(text: Array, starts: Array, stops: Array) -> Heads:
    """Find the lines in front of particles and vertices.

    Parameters
    ----------
    text : uint8 array
    starts, stops : int64 arrays, shape (events,)
    """
    most = int(np.count_nonzero(text == NEWLINE)) + len(starts)
    lines = np.empty((most, 8), np.int64)
    hashes = np.empty(most, np.uint64)
    ends = np.zeros(len(starts), np.int64)
    n = _scan(text, starts, stops, ends, lines, hashes)
    lines, hashes = lines[:n].copy(), hashes[:n]
    first = np.ones(n, np.bool_)
    many = (lines[:, 3] == OF_VERTEX) | (lines[:, 3] == OF_PARTICLE)
    same = (hashes[1:] == hashes[:-1]) & (lines[1:, 0] == lines[:-1, 0]) & many[1:]
    first[1:] = ~same
    runs = np.flatnonzero(first)
    _, where, which = np.unique(hashes[runs], return_index=True, return_inverse=True)
    names = [_key(text, lines[runs[k]]) for k in where.tolist()]
    of_event = np.searchsorted(lines[runs, 0], np.arange(len(starts) + 1))
    keys = [names[k] for k in which.reshape(-1).tolist()]
    return Heads(ends, lines, np.append(runs, n), keys, of_event)


def _key(text: Array, line: Array) -> str:
    return PREFIXES[int(line[3])] + text[line[5] : line[6]].tobytes().decode("latin-1")


@kernel
def read_values(text, starts, stops, values, good):
    """Read integers that fill their range; ``good`` becomes False for others."""
    for k in range(len(starts)):
        values[k], at = read_integer(text, starts[k], stops[k])
        good[k] = at == stops[k] and at > starts[k] and abs(values[k]) < 0x80000000


@kernel
def write_attributes(out, events, numbers, middle, values, ends):
    """Write lines ``A number middle value`` of several events, whose ends are returned."""
    at, k = 0, 0
    for event in range(len(ends)):
        while k < len(events) and events[k] == event:
            out[at] = LETTER_A
            out[at + 1] = SPACE
            at = write_integer(out, at + 2, numbers[k])
            out[at : at + len(middle)] = middle
            at += len(middle)
            if len(values):
                at = write_integer(out, at, values[k])
            out[at] = NEWLINE
            at += 1
            k += 1
        ends[event] = at
