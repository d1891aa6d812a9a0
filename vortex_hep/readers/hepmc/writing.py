"""Tables of columns to events as text."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from vortex_hep.errors import CorruptionError
from vortex_hep.readers.hepmc import body2, body3, tokens
from vortex_hep.readers.hepmc.cells import Style, from_decimals, from_doubles
from vortex_hep.readers.hepmc.headrows import (
    expected,
    make_offsets,
    unpack_bytes,
    values_of,
    write_heads,
)
from vortex_hep.readers.hepmc.layout import Key, Layout
from vortex_hep.readers.hepmc.lines import write_attributes
from vortex_hep.readers.hepmc.rows import (
    ANGLES,
    MOMENTA,
    PLACES,
    Particles,
    Vertices,
    make_particles,
    make_vertices,
    precisions_of,
    vertex_ids,
)
from vortex_hep.schema import Array, Cluster, TableData

#: Bytes that ``A``, a number, a value and the ends of line and tokens need at most.
_ATTRIBUTE_ROOM = 48


def write_events(layout: Layout, cluster: Cluster, entry: int) -> list[bytes]:
    """Put events together; the inverse of :func:`~vortex_hep.readers.hepmc.reading.read_events`.

    Parameters
    ----------
    layout : Layout
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
    out = []
    for head, body, text in zip(heads, bodies, texts, strict=True):
        if text:
            out.append(text)
        else:
            event = head + body
            out.append(event.replace(b"\n", b"\r\n") if layout.crlf else event)
    return out


def _with_expected(layout: Layout, cluster: Cluster, entry: int) -> Cluster:
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


def _bodies(layout: Layout, cluster: Cluster) -> list[bytes]:
    """Lines of particles and vertices of each event."""
    names = ("particles", "vertices", "positions", "incoming")
    offsets = np.stack([cluster[n].offsets for n in names], axis=1).astype(np.int64)
    n_particles, n_vertices, n_places, n_incoming = offsets[-1].tolist()
    width = len(MOMENTA) + (len(ANGLES) if layout.version == 2 else 0)
    p = make_particles(n_particles, width)
    v = make_vertices(n_vertices, n_places, n_incoming)
    p, v = _fill(layout, cluster, p, v, width)
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


def _fill(
    layout: Layout, cluster: Cluster, p: Particles, v: Vertices, width: int
) -> tuple[Particles, Vertices]:
    """Copy columns to the arrays of the kernels."""
    particles, vertices = cluster["particles"].columns, cluster["vertices"].columns
    pairs = [
        (p.birth, particles["particles_birth"]), (p.mother, particles["particles_mother"]),
        (p.pdg, particles["particles_pdg"]), (p.status, particles["particles_status"]),
        (v.step, vertices["vertices_id"]), (v.status, vertices["vertices_status"]),
        (v.size, vertices["vertices_incoming"]), (v.placed, vertices["vertices_has_position"]),
        (v.incoming, cluster["incoming"].columns["incoming_step"]),
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
    for k, name in enumerate(names):
        style = layout.momenta if name in MOMENTA else layout.angles
        _number(cluster["particles"], f"particles_{name}", style, p, width, k)
    for k, name in enumerate(PLACES):
        _number(cluster["positions"], f"positions_{name}", layout.positions, v, len(PLACES), k)
    v.kinds[-1] = layout.positions.zero
    return _odd(cluster, p, v, width)


def _number(
    table: TableData, name: str, style: Style, rows: Particles | Vertices, width: int, k: int
) -> None:
    column: Array = np.asarray(table.columns[name])
    if style.decimal:
        cells = from_decimals(column, np.asarray(table.columns[f"{name}_exp"]), style)
    else:
        cells = from_doubles(column, style)
    take = slice(k, len(column) * width, width)
    rows.kinds[take], rows.digits[take], rows.exponents[take] = cells


def _odd(cluster: Cluster, p: Particles, v: Vertices, width: int) -> tuple[Particles, Vertices]:
    """Mark the numbers that are kept as text."""
    odd = cluster["odd"]
    text = odd.columns["odd_text"]
    codes = np.asarray(odd.columns["odd_cell"])
    events = np.repeat(np.arange(len(odd.offsets) - 1), np.diff(odd.offsets))
    for rows, size, table, mine in (
        (p, width, cluster["particles"], codes >= 0),
        (v, len(PLACES), cluster["positions"], codes < 0),
    ):
        code = np.where(codes < 0, ~codes, codes)[mine]
        row, k = code // 8, code % 8
        event = events[mine]
        if (k >= size).any() or (row >= np.diff(table.offsets)[event]).any():
            raise CorruptionError("a number that is kept as text has no place", tree="events")
        cell = (table.offsets[event] + row) * size + k
        rows.kinds[cell] = 0
        rows.odd[cell, 0] = text.offsets[:-1][mine]  # type: ignore[union-attr]
        rows.odd[cell, 1] = text.offsets[1:][mine]  # type: ignore[union-attr]
    content = text.content  # type: ignore[union-attr]
    return p._replace(text=content), v._replace(text=content)


def _runs(layout: Layout, cluster: Cluster) -> dict[int, list[bytes]]:
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


def _run(key: Key, table: TableData, rows: Array, events: Array, ids: Array) -> list[bytes]:
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
