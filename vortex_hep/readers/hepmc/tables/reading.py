"""Parsing of events into tables of columns."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from vortex_hep.core.schema import Array, Cluster, TableData
from vortex_hep.errors import CorruptionError
from vortex_hep.readers.hepmc.tables.headrows import (
    HeadRows,
    expected,
    list_table,
    make_column,
    make_offsets,
    pack_bytes,
    read_heads,
)
from vortex_hep.readers.hepmc.tables.layout import LineKey, TextLayout
from vortex_hep.readers.hepmc.tables.rows import (
    ANGLES,
    CODES,
    MOMENTA,
    PLACE_CODE,
    PLACES,
    Particles,
    Vertices,
    any_place,
    make_particles,
    make_vertices,
    precisions_of,
    vertex_ids,
)
from vortex_hep.readers.hepmc.tables.structure import (
    first_of_vertices,
    join_births,
    place_numbers,
    told_by_particles,
)
from vortex_hep.readers.hepmc.tables.writing import write_events
from vortex_hep.readers.hepmc.text import body2, body3, tokens
from vortex_hep.readers.hepmc.text.body3 import NONE
from vortex_hep.readers.hepmc.text.cells import Cells, Style, printed_cell, to_decimals, to_doubles
from vortex_hep.readers.hepmc.text.dialect import PlainEvent
from vortex_hep.readers.hepmc.text.lines import Heads, find_heads, read_values

_ALONE = re.compile(rb"\r(?!\n)|(?<!\r)\n")


def unix_lines(event: bytes, *, crlf: bool) -> bytes | None:
    """An event with line feeds alone at the ends of its lines; None if its lines are mixed."""
    if not event.endswith(b"\n"):
        return None
    if not crlf:
        return event
    return None if _ALONE.search(event) else event.replace(b"\r\n", b"\n")


def read_events(
    layout: TextLayout, events: Sequence[bytes], before: Sequence[bytes], entry: int
) -> Cluster:
    """Take events apart; those that would not come back byte for byte are kept as text.

    Parameters
    ----------
    layout : TextLayout
    events : sequence of bytes
        From the line ``E`` on.
    before : sequence of bytes
        Text in front of each that belongs to no event.
    entry : int
        Number of the first.
    """
    plain = [unix_lines(e, crlf=layout.crlf) for e in events]
    good = np.array([p is not None for p in plain], np.bool_)
    texts = [layout.dialect.plain(p or b"") for p in plain]
    while True:
        cluster = _read(layout, texts, good, events, before, entry)
        try:
            written = write_events(layout, cluster, entry)
        except CorruptionError:
            good &= _make_sense(layout, texts, good, events, entry)
            continue
        same = np.array([a == b for a, b in zip(written, events, strict=True)], np.bool_)
        if same.all():
            return cluster
        good &= same


def _make_sense(
    layout: TextLayout, texts: list[PlainEvent], good: Array, events: Sequence[bytes], entry: int
) -> Array:
    """Tell, one by one, the events whose rows can be written; none if all of them can."""
    out = np.zeros(len(good), np.bool_)
    for k in np.flatnonzero(good).tolist():
        one = np.ones(1, np.bool_)
        cluster = _read(layout, texts[k : k + 1], one, events[k : k + 1], [b""], entry)
        try:
            write_events(layout, cluster, entry)
        except CorruptionError:
            continue
        out[k] = True
    return np.zeros(len(good), np.bool_) if out[good].all() else out


def _read(
    layout: TextLayout, plain: list[PlainEvent], good: Array, events: Sequence[bytes],
    before: Sequence[bytes], entry: int,
) -> Cluster:  # fmt: skip
    weights = _read_weights(layout, plain, good)
    whole = b"".join(p.text if g else b"" for p, g in zip(plain, good, strict=True))
    text = np.frombuffer(whole, np.uint8)
    bounds = make_offsets([len(p.text) if g else 0 for p, g in zip(plain, good, strict=True)])
    heads = find_heads(text, bounds[:-1], bounds[1:])
    rows = read_heads(layout, whole, heads, good)
    rows.weights = weights
    lines = int(np.count_nonzero(text == ord("\n"))) + 1
    kernels, cells = (body3, body3.MOMENTA) if layout.version == 3 else (body2, body2.CELLS)
    p = make_particles(lines, cells)
    commas = int(np.count_nonzero(text == ord(","))) if layout.version == 3 else lines
    v = make_vertices(lines, lines, commas + 1)
    offsets = np.zeros((len(events) + 1, 4), np.int64)
    kernels.read_events(text, heads.stops, bounds[1:], precisions_of(layout), p, v, good, offsets)
    runs = _read_runs(layout, whole, text, heads, rows, v, offsets, good)
    return _assemble(layout, text, rows, runs, p, v, offsets, good, events, before, entry)


def _read_weights(
    layout: TextLayout, plain: list[PlainEvent], good: Array
) -> list[list[list[Any]]]:
    """Values of weights of vertices; ``good`` becomes False where one is of another type."""
    kind = layout.dialect.weights
    out: list[list[list[Any]]] = [[] for _ in plain]
    if not kind:
        return out
    for k in np.flatnonzero(good).tolist():
        out[k] = [[tokens.read(kind, t) for t in own] for own in plain[k].weights]
        if any(v is None for own in out[k] for v in own):
            good[k] = False
    return out


def _add_weights(layout: TextLayout, out: Cluster, rows: HeadRows, good: Array) -> None:
    """Add the weights of vertices, which all have a line of their own."""
    kept = [w if g else [] for w, g in zip(rows.weights, good, strict=True)]
    counts = [len(own) for event in kept for own in event]
    out["vertices"].columns["vertices_weights"] = np.array(counts, np.int32)
    flat = [values for event in kept for own in event for values in own]
    columns = {
        spec.name: make_column(spec, [v[k] for v in flat])
        for k, spec in enumerate(tokens.columns(layout.dialect.weights, "vertex_weights_value"))
    }
    offsets = make_offsets([sum(map(len, event)) for event in kept])
    out["vertex_weights"] = TableData(offsets, columns)


def _read_runs(
    layout: TextLayout, whole: bytes, text: Array, heads: Heads, rows: HeadRows, v: Vertices,
    offsets: Array, good: Array,
) -> dict[int, tuple[Array, list[Any]]]:  # fmt: skip
    """Rows (increasing) and values of attributes of particles and vertices, by key."""
    out: dict[int, tuple[Array, list[Any]]] = {}
    n = int(offsets[-1, 1])
    ids = vertex_ids(v.step[:n], offsets[:, 1])
    lanes = np.repeat(np.arange(len(good)), np.diff(offsets[:, 1]))
    order = np.lexsort((ids, lanes))
    flags: dict[str, Array] = {}
    for number, runs in rows.runs.items():
        key = layout.keys[number]
        runs = [r for r in runs if good[r[0]]]
        bounds = [(heads.runs[run], heads.runs[run + 1]) for _, run, _ in runs]
        lines = np.concatenate([np.zeros((0, 8), np.int64), *(heads.lines[a:b] for a, b in bounds)])
        of_run = np.repeat(np.arange(len(runs)), [b - a for a, b in bounds])
        event, number_of = lines[:, 0], lines[:, 4]
        if key.table == "particles":
            row = offsets[event, 0] + number_of - 1
            ok = number_of <= np.diff(offsets[:, 0])[event]
        else:
            row, ok = _find(lanes[order], ids[order], event, number_of)
            row = order[row] if len(order) else row
        ok[1:] &= (number_of[1:] > number_of[:-1]) | (of_run[1:] != of_run[:-1])
        values, fits = _run_values(key, whole, text, lines)
        ok &= fits
        # One column says which rows have any of the attributes that share it.
        have = np.zeros(int(offsets[-1, 0 if key.table == "particles" else 1]), np.bool_)
        have[row[ok]] = True
        first = flags.setdefault(key.flag, have)
        if first is not have:
            lanes_of = np.searchsorted(
                offsets[:, 0 if key.table == "particles" else 1],
                np.flatnonzero(first != have), "right",
            ) - 1  # fmt: skip
            ok &= ~np.isin(event, lanes_of)
        bad = np.unique(of_run[~ok])
        if first is have:
            have[row[np.isin(of_run, bad) & ok]] = False
        for k in bad.tolist():
            where, run, place = runs[k]
            start, stop = heads.lines[heads.runs[run], 1], heads.lines[heads.runs[run + 1] - 1, 2]
            rows.literal[where].append((place, True, whole[start : stop + 1]))
        keep = np.flatnonzero(~np.isin(of_run, bad))
        out[number] = row[keep], [values[k] for k in keep.tolist()]
    return out


def _find(lanes: Array, ids: Array, event: Array, number: Array) -> tuple[Array, Array]:
    """Places of (event, number) in sorted lists, and whether they are there."""
    if not len(lanes):
        return np.zeros(len(event), np.int64), np.zeros(len(event), np.bool_)
    both = np.unique(np.concatenate([ids, number]))
    size = len(both) + 1
    have = lanes * size + np.searchsorted(both, ids)
    want = event * size + np.searchsorted(both, number)
    place = np.minimum(np.searchsorted(have, want), len(have) - 1)
    return place, have[place] == want


def _run_values(key: LineKey, whole: bytes, text: Array, lines: Array) -> tuple[list[Any], Array]:
    """Values of the column of a run, and which lines are of its type."""
    kind, starts, stops = key.kinds[0], lines[:, 7], lines[:, 2]
    good = np.ones(len(lines), np.bool_)
    if kind == "int:<i4":
        integers = np.zeros(len(lines), np.int64)
        read_values(text, starts, stops, integers, good)
        return list(integers.tolist()), good
    found = [
        tokens.read(kind, whole[a:b]) for a, b in zip(starts.tolist(), stops.tolist(), strict=True)
    ]
    good = np.array([f is not None for f in found], np.bool_)
    return [f or (0, 0) for f in found], good


def _assemble(
    layout: TextLayout, text: Array, rows: HeadRows, runs: dict[int, tuple[Array, list[Any]]],
    p: Particles, v: Vertices, offsets: Array, good: Array, events: Sequence[bytes],
    before: Sequence[bytes], entry: int,
) -> Cluster:  # fmt: skip
    n_particles, n_vertices, _, n_incoming = offsets[-1].tolist()
    birth, vertex = p.birth[:n_particles], p.vertex[:n_particles]
    childless = v.children[:n_vertices] == 0
    if layout.version == 3:
        childless[:] = False
    incoming = told_by_particles(
        v.size[:n_vertices], v.incoming[:n_incoming], v.mother[:n_vertices], childless, offsets
    )
    firsts = first_of_vertices(birth, childless, offsets[:, 0], offsets[:, 1])
    out: Cluster = {
        "": TableData(np.arange(len(events) + 1, dtype=np.int64)),
        "vertices": TableData(offsets[:, 1].copy(), {
            "vertices_id": v.step[:n_vertices].astype(np.int32),
            "vertices_status": v.status[:n_vertices].copy(),
            "vertices_incoming": incoming.sizes,
        }),
        "incoming": TableData(incoming.offsets, {"incoming_step": incoming.steps}),
        "particles": TableData(offsets[:, 0].copy(), {
            "particles_birth": join_births(birth, vertex),
            "particles_mother": p.mother[:n_particles].astype(np.int32),
            "particles_partner": incoming.partner,
            "particles_pdg": p.pdg[:n_particles].copy(),
            "particles_status": p.status[:n_particles].copy(),
        }),
    }  # fmt: skip
    particles, vertices = out["particles"].columns, out["vertices"].columns
    if layout.version == 3:
        vertices["vertices_line"] = v.line[:n_vertices].copy()
    else:
        vertices["vertices_orphans"] = v.orphans[:n_vertices].astype(np.int32)
        vertices["vertices_childless"] = childless
        particles["particles_id"] = p.step[:n_particles].astype(np.int32)
        particles["particles_flows"] = p.flows[:n_particles].copy()
        for k in range(2):
            particles[f"particles_flow{k + 1}"] = p.flow[:n_particles, k].copy()
    odd: list[tuple[int, int, bytes]] = []
    # Version 1 of the description has zeros there.
    values = layout.format_version > 1
    names = MOMENTA if layout.version == 3 else (*MOMENTA, *ANGLES)
    for k, name in enumerate(names):
        style = layout.momenta if name in MOMENTA else layout.angles
        cells = _cells_of(p, np.arange(n_particles), len(names), k, style)
        _numbers(out["particles"], f"particles_{name}", cells, style, text, k, odd, values=values)
    placed = v.placed[:n_vertices]
    place = place_numbers(placed)
    at_birth = np.where(birth == NONE, -1, place[vertex] if n_vertices else -1)
    alone = np.flatnonzero(placed & childless)
    where = np.concatenate([[0], np.cumsum(placed & childless)])[offsets[:, 1]].astype(np.int64)
    out["positions"] = TableData(where, {})
    told = np.zeros(n_particles, np.bool_)
    told[firsts.rows] = True
    for k, name in enumerate(PLACES):
        style = layout.positions
        cells = _cells_of(v, at_birth, len(PLACES), k, style)
        code = PLACE_CODE + k
        _numbers(
            out["particles"], f"particles_{name}", cells, style, text, code, odd, told,
            values=values,
        )  # fmt: skip
        cells = _cells_of(v, place[alone], len(PLACES), k, style)
        _numbers(out["positions"], f"positions_{name}", cells, style, text, ~k, odd, values=values)
    unusual = placed.copy()
    unusual[firsts.vertices] ^= any_place(out["particles"], firsts.rows)
    vertices["vertices_place_unusual"] = unusual
    out["odd"] = _odd_table(odd, len(events))
    _add_runs(layout, out, runs)
    if layout.dialect.weights:
        _add_weights(layout, out, rows, good)
    _add_heads(layout, out, rows, good, events, before, entry)
    specs = {t.name: t for t in layout.tables()}
    for name, table in out.items():
        table.columns = {c.name: table.columns[c.name] for c in specs[name].columns}
    return {name: out[name] for name in specs}


def _odd_table(odd: list[tuple[int, int, bytes]], entries: int) -> TableData:
    """Numbers of another style: their event, their cell in it, and their text."""
    odd.sort()
    return TableData(
        make_offsets(np.bincount([o[0] for o in odd], minlength=entries).astype(np.int64)),
        {
            "odd_cell": np.array([o[1] for o in odd], np.int64),
            "odd_text": pack_bytes([o[2] for o in odd]),
        },
    )


def _cells_of(
    source: Particles | Vertices, rows: Array, width: int, k: int, style: Style
) -> tuple[Cells, Array]:
    """One number of some rows, zero for row -1, and where odd ones stand in the text."""
    take = np.where(rows >= 0, rows * width + k, -1)
    kinds, digits, exponents = (
        np.ascontiguousarray(a[take]) for a in (source.kinds, source.digits, source.exponents)
    )
    missing = rows < 0
    kinds[missing], digits[missing], exponents[missing] = style.zero, 0, 0
    return Cells(kinds, digits, exponents), source.odd[take]


def _numbers(
    table: TableData, name: str, found: tuple[Cells, Array], style: Style, text: Array, code: int,
    odd: list[tuple[int, int, bytes]], told: Array | None = None, *, values: bool,
) -> None:  # fmt: skip
    """Add the columns of a number; where a row is ``told``, what does not fit goes to ``odd``."""
    cells, where = found
    if style.decimal:
        digits, exponents, other = to_decimals(cells, style)
        table.columns[name] = digits.astype(np.int32 if style.precision <= 8 else np.int64)
        table.columns[f"{name}_exp"] = exponents
    else:
        table.columns[name], other = to_doubles(cells, style)
    for row in np.flatnonzero(other if told is None else other & told).tolist():
        event = int(np.searchsorted(table.offsets, row, "right")) - 1
        a, b = where[row].tolist()
        token = printed_cell(cells, row, style.precision) if cells.kinds[row] else None
        if values:
            _set_value(table, name, row, style, text[a:b].tobytes() if token is None else token)
        # Positions have negative codes, so that both kinds of rows go into one table.
        local = CODES * (row - int(table.offsets[event]))
        place = local + code if code >= 0 else ~(local + ~code)
        odd.append((event, place, text[a:b].tobytes() if token is None else token))


def _set_value(table: TableData, name: str, row: int, style: Style, token: bytes) -> None:
    """Give a column the value of a number that is printed in another way, as near as it can be."""
    try:
        value = float(token)
    except ValueError:
        return
    if not style.decimal:
        table.columns[name][row] = value  # type: ignore[index]
    elif math.isfinite(value):
        mantissa, _, exponent = f"{value:.{style.precision}e}".partition("e")
        table.columns[name][row] = int(mantissa.replace(".", ""))  # type: ignore[index]
        table.columns[f"{name}_exp"][row] = int(exponent)  # type: ignore[index]


def _add_runs(layout: TextLayout, out: Cluster, runs: dict[int, tuple[Array, list[Any]]]) -> None:
    for number, (rows, values) in runs.items():
        key = layout.keys[number]
        table = out[key.table]
        size = table.num_rows
        flag = np.zeros(size, np.bool_)
        flag[rows] = True
        if key.flag not in table.columns:
            table.columns[key.flag] = flag
        for k, spec in enumerate(tokens.columns(key.kinds[0], key.columns)):
            items = [x[k] if isinstance(x, tuple) else x for x in values]
            if spec.dtype == "bytes":
                texts = [b""] * size
                for row, item in zip(rows.tolist(), items, strict=True):
                    texts[row] = item
                table.columns[spec.name] = pack_bytes(texts)
            else:
                column = np.zeros(size, spec.dtype)
                column[rows] = items
                table.columns[spec.name] = column


def _add_heads(
    layout: TextLayout, out: Cluster, rows: HeadRows, good: Array, events: Sequence[bytes],
    before: Sequence[bytes], entry: int,
) -> None:  # fmt: skip
    bad = np.flatnonzero(~good).tolist()
    for event in bad:
        rows.literal[event] = []
        rows.shapes[event] = 0
    scalars = out[""].columns
    replaced = np.zeros(len(events), np.bool_)
    replaced[bad] = True
    for event, literal in enumerate(rows.literal):
        literal.sort()
        replaced[event] |= any(place == 0 and over for place, over, _ in literal)
    for key in layout.keys:
        if key.is_run:
            continue
        for spec in (c for some in key.token_columns(layout.version) for c in some):
            values = rows.scalars[spec.name]
            for event in bad:
                values[event] = b"" if spec.dtype == "bytes" else 0
            column = make_column(spec, values)
            if key.name == "E" and isinstance(column, np.ndarray):
                column = _less_expected(spec.name, column, out, entry, ~replaced)
            scalars[spec.name] = column
        if key.tail:
            lists = rows.lists[layout.keys.index(key)]
            for event in bad:
                lists[event] = []
            out[key.columns] = list_table(key, lists)
    scalars["shape"] = np.array(rows.shapes, np.int16)
    scalars["before"] = pack_bytes(list(before))
    scalars["text"] = pack_bytes([b"" if g else e for g, e in zip(good, events, strict=True)])
    flat = [x for literal in rows.literal for x in literal]
    out["literal"] = TableData(make_offsets([len(x) for x in rows.literal]), {
        "literal_place": np.array([x[0] for x in flat], np.int32),
        "literal_replaces": np.array([x[1] for x in flat], np.bool_),
        "literal_text": pack_bytes([x[2] for x in flat]),
    })  # fmt: skip


def _less_expected(name: str, column: Array, cluster: Cluster, entry: int, where: Array) -> Array:
    usual = expected(name, cluster, entry)
    if usual is None or column.dtype.kind != "i":
        return column
    return np.where(where, column - usual, column).astype(column.dtype)
