"""Lines at the head of events as columns, and back."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np

from vortex_hep.core.schema import VARBYTES, Array, Cluster, ColumnSpec, TableData, VarBytes
from vortex_hep.errors import CorruptionError
from vortex_hep.readers.hepmc.tables.layout import LineKey, TextLayout
from vortex_hep.readers.hepmc.text import tokens
from vortex_hep.readers.hepmc.text.lines import Heads

#: Columns of the line ``E`` from which the numbers of rows are taken off, and their tables.
COUNTED = {"n_vertices": "vertices", "n_particles": "particles"}


def pack_bytes(texts: list[bytes]) -> VarBytes:
    """Byte strings as a column."""
    offsets = np.zeros(len(texts) + 1, np.int64)
    np.cumsum([len(t) for t in texts], out=offsets[1:])
    return VarBytes(offsets, np.frombuffer(b"".join(texts), np.uint8))


def unpack_bytes(column: Any) -> list[bytes]:
    """A column of byte strings as a list."""
    whole, at = column.content.tobytes(), column.offsets.tolist()
    return [whole[a:b] for a, b in pairwise(at)]


def make_column(spec: ColumnSpec, values: list[Any]) -> Array | VarBytes:
    """Values as a column."""
    return pack_bytes(values) if spec.dtype == VARBYTES else np.array(values, spec.dtype)


def values_of(column: Any) -> list[Any]:
    """A column as a list."""
    return unpack_bytes(column) if isinstance(column, VarBytes) else list(column.tolist())


def make_offsets(counts: list[int] | Array) -> Array:
    """First rows from numbers of rows."""
    offsets = np.zeros(len(counts) + 1, np.int64)
    np.cumsum(counts, out=offsets[1:])
    return offsets


@dataclass
class HeadRows:
    """What the heads of some events say, but for attributes of particles and vertices.

    Parameters
    ----------
    shapes : list of int
        Sequence of keys of each event; -1 where none fits.
    literal : list of list of (place, replaces, text)
        Lines that are kept as they are, by event.
    runs : dict of int to list of (event, run, place)
        By key.
    weights : list of list of list
        Values of the weights of every vertex, by event; empty where no dialect has any.
    """

    shapes: list[int] = field(default_factory=list)
    literal: list[list[tuple[int, bool, bytes]]] = field(default_factory=list)
    runs: dict[int, list[tuple[int, int, int]]] = field(default_factory=dict)
    scalars: dict[str, list[Any]] = field(default_factory=dict)
    lists: dict[int, list[list[Any]]] = field(default_factory=dict)
    weights: list[list[list[Any]]] = field(default_factory=list)


def read_heads(layout: TextLayout, text: bytes, heads: Heads, good: Array) -> HeadRows:
    """Take the lines of heads apart.

    Parameters
    ----------
    layout : TextLayout
    text : bytes
    heads : Heads
    good : bool array, shape (events,)
        Becomes False for events whose heads have no known shape.
    """
    events = len(good)
    out = HeadRows([0] * events, [[] for _ in range(events)])
    specs: list[tuple[LineKey, list[list[ColumnSpec]]]] = []
    for number, key in enumerate(layout.keys):
        columns = [] if key.is_run else key.token_columns(layout.version)
        specs.append((key, columns))
        for spec in (c for some in columns for c in some):
            empty: Any = b"" if spec.dtype == VARBYTES else 0
            out.scalars[spec.name] = [empty] * events
        if key.tail:
            out.lists[number] = [[] for _ in range(events)]
        if key.is_run:
            out.runs[number] = []
    number_of = {key.name: k for k, key in enumerate(layout.keys)}
    exact = {tuple(shape): k for k, shape in reversed(list(enumerate(layout.shapes)))}
    of_event, bounds = heads.of_event.tolist(), heads.runs
    for event in np.flatnonzero(good).tolist():
        runs = range(of_event[event], of_event[event + 1])
        keys = [number_of.get(heads.keys[r], -1) for r in runs]
        shape = exact.get(tuple(keys), -1)
        extra: set[int] = set()
        if shape < 0:
            shape, extra = _fit(layout, keys)
            if shape < 0:
                good[event] = False
                continue
        out.shapes[event] = shape
        for place, run in enumerate(runs):
            start = int(heads.lines[bounds[run], 1])
            stop = int(heads.lines[bounds[run + 1] - 1, 2])
            if place in extra:
                out.literal[event].append((place, False, text[start : stop + 1]))
                continue
            key, columns = specs[keys[place]]
            if key.is_run:
                out.runs[keys[place]].append((event, run, place))
            elif not _read_line(layout, key, keys[place], columns, text[start:stop], event, out):
                out.literal[event].append((place, True, text[start : stop + 1]))
    return out


def _fit(layout: TextLayout, keys: list[int]) -> tuple[int, set[int]]:
    """A shape that is part of a sequence of keys, and the places that are not of it."""
    for number, shape in enumerate(layout.shapes):
        at, extra = 0, set()
        for place, key in enumerate(keys):
            if at < len(shape) and key == shape[at]:
                at += 1
            else:
                extra.add(place)
        if at == len(shape):
            return number, extra
    return -1, set()


def _read_line(
    layout: TextLayout, key: LineKey, number: int, columns: list[list[ColumnSpec]], line: bytes,
    event: int, out: HeadRows,
) -> bool:  # fmt: skip
    """Put the values of one line in their columns; False if one is of another type."""
    found = key.split(line, layout.version)
    if found is None:
        return False
    fixed = len(key.kinds)
    values = [tokens.read(kind, t) for kind, t in zip(key.kinds, found, strict=False)]
    tail = [tokens.read(key.tail, t) for t in found[fixed:]] if key.tail else []
    if any(v is None for v in values) or any(v is None for v in tail):
        return False
    for some, value in zip(columns, values, strict=True):
        for spec, item in zip(some, value or (), strict=False):
            out.scalars[spec.name][event] = item
    if key.tail:
        out.lists[number][event] = tail
    return True


def list_table(key: LineKey, rows: list[list[Any]]) -> TableData:
    """The table of a list on lines."""
    flat = [values for row in rows for values in row]
    columns = {
        spec.name: make_column(spec, [values[k] for values in flat])
        for k, spec in enumerate(key.tail_columns())
    }
    return TableData(make_offsets([len(row) for row in rows]), columns)


def write_heads(layout: TextLayout, cluster: Cluster, runs: dict[int, list[bytes]]) -> list[bytes]:
    """Put the lines of heads together; the inverse of :func:`read_heads`.

    Parameters
    ----------
    layout : TextLayout
    cluster : Cluster
    runs : dict of int to list of bytes
        By key, the lines of attributes of particles or vertices of each event.
    """
    scalars = {name: values_of(column) for name, column in cluster[""].columns.items()}
    pieces: dict[int, list[bytes]] = {}
    for number, key in enumerate(layout.keys):
        pieces[number] = runs[number] if key.is_run else _lines(layout, key, scalars, cluster)
    literal = cluster["literal"]
    bounds = literal.offsets.tolist()
    places = values_of(literal.columns["literal_place"])
    replaces = values_of(literal.columns["literal_replaces"])
    texts = values_of(literal.columns["literal_text"])
    out = []
    for event, shape in enumerate(scalars["shape"]):
        if scalars["text"][event] or not 0 <= shape < len(layout.shapes):
            out.append(b"")
            continue
        lines = [pieces[k][event] for k in layout.shapes[shape]]
        for row in range(bounds[event], bounds[event + 1]):
            place = places[row]
            if not 0 <= place <= len(lines) - bool(replaces[row]):
                raise CorruptionError("invalid position of a line in an event", tree="events")
            lines[place : place + bool(replaces[row])] = [texts[row]]
        out.append(b"".join(lines))
    return out


def _lines(
    layout: TextLayout, key: LineKey, scalars: dict[str, list[Any]], cluster: Cluster
) -> list[bytes]:
    """The line of a key, of every event."""
    events = len(scalars["shape"])
    found: list[list[bytes]] = []
    for kind, columns in zip(key.kinds, key.token_columns(layout.version), strict=True):
        if not columns:
            found.append([tokens.write(kind, ())] * events)
            continue
        values = zip(*(scalars[c.name] for c in columns), strict=True)
        found.append([tokens.write(kind, v) for v in values])
    rows: list[list[bytes]] = [list(row) for row in zip(*found, strict=True)]
    if key.tail:
        table = cluster[key.columns]
        values = zip(*(values_of(table.columns[c.name]) for c in key.tail_columns()), strict=True)
        tail = [tokens.write(key.tail, v) for v in values]
        for row, start, stop in zip(rows, table.offsets[:-1], table.offsets[1:], strict=True):
            row += tail[start:stop]
    return [key.join(row, layout.version) + b"\n" for row in rows]


def expected(name: str, cluster: Cluster, entry: int) -> Array | None:
    """What a number of the line ``E`` most likely is; None for most columns."""
    lanes = len(cluster[""].offsets) - 1
    if name == "number":
        return np.arange(entry, entry + lanes)
    if name in COUNTED:
        return np.diff(cluster[COUNTED[name]].offsets)
    return None
