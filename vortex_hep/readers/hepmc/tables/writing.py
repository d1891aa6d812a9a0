"""Serialisation of tables of columns to events as text."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from vortex_hep.core.schema import Array, Cluster, TableData
from vortex_hep.errors import CorruptionError
from vortex_hep.readers.hepmc.tables.headrows import (
    expected,
    make_offsets,
    unpack_bytes,
    values_of,
    write_heads,
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
    Births,
    Incoming,
    as_lists,
    first_of_vertices,
    place_numbers,
    split_births,
)
from vortex_hep.readers.hepmc.text import body2, body3, tokens
from vortex_hep.readers.hepmc.text.cells import Style, from_decimals, from_doubles
from vortex_hep.readers.hepmc.text.dialect import PlainEvent
from vortex_hep.readers.hepmc.text.lines import write_attributes

#: Bytes that ``A``, a number, a value and the ends of line and tokens need at most.
_ATTRIBUTE_ROOM = 48


def write_events(layout: TextLayout, cluster: Cluster, entry: int) -> list[bytes]:
    """Put events together; the inverse of ``read_events``.

    Parameters
    ----------
    layout : TextLayout
    cluster : Cluster
    entry : int
        Number of the first event.

    Raises
    ------
    CorruptionError
        The tables contradict one another.
    """
    cluster = _with_expected(layout, cluster, entry)
    bodies = _bodies(layout, cluster)
    heads = write_heads(layout, cluster, _runs(layout, cluster))
    texts = unpack_bytes(cluster[""].columns["text"])
    weights = _weights(layout, cluster)
    out = []
    for head, body, text, own in zip(heads, bodies, texts, weights, strict=True):
        if text:
            out.append(text)
        else:
            event = layout.dialect.written(PlainEvent(head + body, own))
            out.append(event.replace(b"\n", b"\r\n") if layout.crlf else event)
    return out


def _weights(layout: TextLayout, cluster: Cluster) -> list[list[list[bytes]]]:
    """Weights of every vertex as text, by event."""
    kind, vertices = layout.dialect.weights, cluster["vertices"]
    events = len(vertices.offsets) - 1
    if not kind:
        return [[] for _ in range(events)]
    table = cluster["vertex_weights"]
    names = [c.name for c in tokens.columns(kind, "vertex_weights_value")]
    if names:
        values = zip(*(values_of(table.columns[n]) for n in names), strict=True)
        texts = [tokens.write(kind, v) for v in values]
    else:
        texts = [tokens.write(kind, ())] * table.num_rows
    counts = np.asarray(vertices.columns["vertices_weights"])
    ends = make_offsets(counts)
    if len(counts) and (int(counts.min()) < 0 or int(ends[-1]) != len(texts)):
        raise CorruptionError("weights of vertices are of another number", tree="events")
    of_vertex = [texts[a:b] for a, b in pairwise(ends.tolist())]
    return [of_vertex[a:b] for a, b in pairwise(vertices.offsets.tolist())]


def _with_expected(layout: TextLayout, cluster: Cluster, entry: int) -> Cluster:
    """Add to the numbers of the line ``E`` what they are expected to be."""
    scalars = cluster[""]
    columns = dict(scalars.columns)
    for key in layout.keys:
        if key.name != "E":
            continue
        for spec in (c for some in key.token_columns(layout.version) for c in some):
            usual = expected(spec.name, cluster, entry)
            column = columns[spec.name]
            if usual is not None and isinstance(column, np.ndarray) and column.dtype.kind == "i":
                columns[spec.name] = column + usual
    return {**cluster, "": TableData(scalars.offsets, columns)}


def _bodies(layout: TextLayout, cluster: Cluster) -> list[bytes]:
    """Lines of particles and vertices of each event."""
    n_particles, n_vertices = (cluster[n].num_rows for n in ("particles", "vertices"))
    vertices = cluster["vertices"]
    childless = np.zeros(n_vertices, np.bool_)
    if layout.version == 2:
        childless = np.asarray(vertices.columns["vertices_childless"]).astype(np.bool_)
    particles = cluster["particles"]
    birth = split_births(np.asarray(particles.columns["particles_birth"]))
    firsts = first_of_vertices(birth, childless, particles.offsets, vertices.offsets)
    incoming = _incoming(cluster, childless, firsts)
    placed = np.asarray(vertices.columns["vertices_place_unusual"]).astype(np.bool_)
    placed[firsts.vertices] ^= any_place(particles, firsts.rows)
    places = np.concatenate([[0], np.cumsum(placed)])[vertices.offsets]
    offsets = np.stack(
        [particles.offsets, vertices.offsets, places, incoming.offsets], axis=1
    ).astype(np.int64)
    n_places, n_incoming = int(offsets[-1, 2]), int(offsets[-1, 3])
    width = len(MOMENTA) + (len(ANGLES) if layout.version == 2 else 0)
    p = make_particles(n_particles, width)
    v = make_vertices(n_vertices, n_places, n_incoming)
    p.birth[:], p.mother[:] = birth, particles.columns["particles_mother"]
    v.size[:], v.incoming[:], v.placed[:] = incoming.sizes, incoming.steps, placed
    _fill(layout, cluster, p, v, width)
    _fill_places(layout, cluster, v, firsts, childless)
    p, v = _odd(cluster, p, v, width, firsts, childless)
    size = n_particles * (body3.LINE_ROOM + width * body3.NUMBER_ROOM)
    size += n_vertices * (body3.LINE_ROOM + len(PLACES) * body3.NUMBER_ROOM) + 21 * n_incoming
    out = np.empty(size + len(p.text), np.uint8)
    ends = np.zeros(len(offsets) - 1, np.int64)
    kernels = body3 if layout.version == 3 else body2
    if not kernels.write_events(out, precisions_of(layout), p, v, offsets, ends):
        raise CorruptionError("particles and vertices contradict one another", tree="events")
    at = [0, *ends.tolist()]
    whole = out[: at[-1]].tobytes()
    return [whole[a:b] for a, b in pairwise(at)]


def _incoming(cluster: Cluster, childless: Array, firsts: Births) -> Incoming:
    """Lists of incoming particles of all vertices."""
    particles, vertices = cluster["particles"], cluster["vertices"]
    mother = np.full(vertices.num_rows, -1, np.int64)
    mother[firsts.vertices] = np.asarray(particles.columns["particles_mother"])[firsts.rows]
    kept = Incoming(
        np.asarray(particles.columns["particles_partner"]),
        np.asarray(vertices.columns["vertices_incoming"]),
        np.asarray(cluster["incoming"].columns["incoming_step"]),
        cluster["incoming"].offsets,
    )
    return as_lists(kept, mother, childless, particles.offsets, vertices.offsets)


def _fill(layout: TextLayout, cluster: Cluster, p: Particles, v: Vertices, width: int) -> None:
    """Copy columns to the arrays of the kernels."""
    particles, vertices = cluster["particles"].columns, cluster["vertices"].columns
    pairs = [
        (p.pdg, particles["particles_pdg"]), (p.status, particles["particles_status"]),
        (v.step, vertices["vertices_id"]), (v.status, vertices["vertices_status"]),
    ]  # fmt: skip
    if layout.version == 3:
        pairs.append((v.line, vertices["vertices_line"]))
    else:
        pairs += [
            (v.orphans, vertices["vertices_orphans"]), (v.line, vertices["vertices_childless"]),
            (p.step, particles["particles_id"]), (p.flows, particles["particles_flows"]),
            (p.flow[:, 0], particles["particles_flow1"]),
            (p.flow[:, 1], particles["particles_flow2"]),
        ]  # fmt: skip
    for target, column in pairs:
        target[:] = column
    names = MOMENTA if width == len(MOMENTA) else (*MOMENTA, *ANGLES)
    rows = np.arange(len(p.pdg))
    for k, name in enumerate(names):
        style = layout.momenta if name in MOMENTA else layout.angles
        _number(cluster["particles"], f"particles_{name}", style, rows, p, rows * width + k)


def _fill_places(
    layout: TextLayout, cluster: Cluster, v: Vertices, firsts: Births, childless: Array
) -> None:
    """Put positions where the kernels want them: those of particles, and of childless vertices."""
    place, style = place_numbers(v.placed), layout.positions
    placed = v.placed[firsts.vertices]
    rows, at = firsts.rows[placed], place[firsts.vertices[placed]] * len(PLACES)
    alone = place[np.flatnonzero(v.placed & childless)] * len(PLACES)
    if len(alone) != cluster["positions"].num_rows:
        raise CorruptionError("the table of positions does not match the vertices", tree="events")
    for k, name in enumerate(PLACES):
        _number(cluster["particles"], f"particles_{name}", style, rows, v, at + k)
        every = np.arange(len(alone))
        _number(cluster["positions"], f"positions_{name}", style, every, v, alone + k)
    v.kinds[-1] = style.zero


def _number(
    table: TableData, name: str, style: Style, rows: Array, target: Particles | Vertices, at: Array
) -> None:
    """Print the numbers of some rows into the cells at ``at``."""
    column: Array = np.asarray(table.columns[name])[rows]
    if style.decimal:
        cells = from_decimals(column, np.asarray(table.columns[f"{name}_exp"])[rows], style)
    else:
        cells = from_doubles(column, style)
    target.kinds[at], target.digits[at], target.exponents[at] = cells


def _odd(
    cluster: Cluster, p: Particles, v: Vertices, width: int, firsts: Births, childless: Array
) -> tuple[Particles, Vertices]:
    """Mark the numbers that are kept as text."""
    odd = cluster["odd"]
    text = odd.columns["odd_text"]
    codes = np.asarray(odd.columns["odd_cell"])
    events = np.repeat(np.arange(len(odd.offsets) - 1), np.diff(odd.offsets))
    place = place_numbers(v.placed)
    at_birth = np.full(len(p.pdg), -1, np.int64)
    at_birth[firsts.rows] = place[firsts.vertices]
    alone = place[np.flatnonzero(v.placed & childless)]
    start, stop = text.offsets[:-1], text.offsets[1:]  # type: ignore[union-attr]
    for table, mine in ((cluster["particles"], codes >= 0), (cluster["positions"], codes < 0)):
        code = np.where(codes < 0, ~codes, codes)[mine]
        row, k = code // CODES, code % CODES
        event = events[mine]
        if (row >= np.diff(table.offsets)[event]).any():
            raise CorruptionError("'odd_text' names a row that does not exist", tree="events")
        row += table.offsets[event]
        of_place = (k >= PLACE_CODE) | (codes[mine] < 0)
        k = np.where(k >= PLACE_CODE, k - PLACE_CODE, k)
        where = at_birth[row] if table is cluster["particles"] else alone[row]
        cell = np.where(of_place, where * len(PLACES) + k, row * width + k)
        if (k >= np.where(of_place, len(PLACES), width)).any() or (where[of_place] < 0).any():
            raise CorruptionError("'odd_text' names a position that does not exist", tree="events")
        for rows, some in ((v, of_place), (p, ~of_place)):
            rows.kinds[cell[some]] = 0
            rows.odd[cell[some], 0] = start[mine][some]
            rows.odd[cell[some], 1] = stop[mine][some]
    content = text.content  # type: ignore[union-attr]
    return p._replace(text=content), v._replace(text=content)


def _runs(layout: TextLayout, cluster: Cluster) -> dict[int, list[bytes]]:
    """Lines of attributes of particles and vertices, by key and event."""
    out = {}
    orders: dict[str, tuple[Array, Array]] = {}
    for number, key in enumerate(layout.keys):
        if not key.is_run:
            continue
        table = cluster[key.table]
        if key.table not in orders:
            orders[key.table] = _numbers_of(key.table, table)
        order, ids = orders[key.table]
        rows = order[np.asarray(table.columns[key.flag]).astype(np.bool_)[order]]
        events = np.searchsorted(table.offsets, rows, "right") - 1
        out[number] = _run(key, table, rows, events, ids[rows])
    return out


def _numbers_of(name: str, table: TableData) -> tuple[Array, Array]:
    """Rows in the order in which their attributes stand, and the ids by row."""
    lanes = np.repeat(np.arange(len(table.offsets) - 1), np.diff(table.offsets))
    if name == "particles":
        rows = np.arange(table.num_rows)
        return rows, rows - table.offsets[lanes] + 1
    ids = vertex_ids(np.asarray(table.columns["vertices_id"]), table.offsets)
    return np.lexsort((ids, lanes)), ids


def _run(key: LineKey, table: TableData, rows: Array, events: Array, ids: Array) -> list[bytes]:
    kind = key.kinds[0]
    name = f" {key.name[3:]} ".encode("latin-1")
    lanes = len(table.offsets) - 1
    if kind == "int:<i4" or kind.startswith("="):
        fixed = tokens.write(kind, ()) if kind.startswith("=") else b""
        middle = np.frombuffer(name + fixed, np.uint8)
        values = np.zeros(0, np.int64)
        if not kind.startswith("="):
            values = np.asarray(table.columns[key.columns])[rows].astype(np.int64)
        out = np.empty(len(rows) * (_ATTRIBUTE_ROOM + len(middle)), np.uint8)
        ends = np.zeros(lanes, np.int64)
        write_attributes(out, events, ids, middle, values, ends)
        at = [0, *ends.tolist()]
        whole = out[: at[-1]].tobytes()
    else:
        specs = tokens.columns(kind, key.columns)
        columns = [values_of(table.columns[c.name]) for c in specs]
        lines = [
            b"A %d%s%s\n" % (i, name, tokens.write(kind, [c[row] for c in columns]))
            for row, i in zip(rows.tolist(), ids.tolist(), strict=True)
        ]
        ends = make_offsets([len(line) for line in lines])
        at = ends[np.searchsorted(events, np.arange(lanes + 1))].tolist()
        whole = b"".join(lines)
    return [whole[a:b] for a, b in pairwise(at)]
