"""Detection of links between tables, row by row within a lane.

An index branch (``Jet_genJetIdx``) names the row of another table that belongs to a row. Where
there is none, a virtual column can take its place: the encoder points to the nearest row, and the
network codes the pointer like any other field. Both pay where two tables hold nearly the same
objects, as generator partons and their copies, or jets and the trigger objects they fired.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from vortex_hep.core.compiled import kernel
from vortex_hep.core.schema import ColumnSpec, TableData

Array = npt.NDArray[Any]

#: Columns by whose names (behind the table's) directions are told.
DIRECTION = ("eta", "phi")
#: Farther apart than this, two rows are not the same object.
NEAR = 0.2
#: A link must save this share of a table ...
_LEAST_GAIN = 0.02
#: ... or this much, where reading the source costs more than reading the table itself.
_DEAR_GAIN = 0.10
_SAMPLE_LANES = 2000
#: Rough bytes stored per raw byte, to set gains against.
_TYPICAL_RATIO = 0.25


@dataclass(frozen=True)
class LinkPlan:
    """A link to be: an index column of the data, or pairs of columns to find the nearest row by."""

    source: str
    column: str
    anchors: tuple[tuple[str, str], ...] = ()


@dataclass
class TableView:
    """What linking needs to know of a plan's sample."""

    name: str
    specs: Sequence[ColumnSpec]
    data: TableData
    jagged: bool

    @property
    def raw_bytes(self) -> int:
        """Bytes of the fixed-width columns."""
        return sum(c.nbytes for c in self.data.columns.values() if isinstance(c, np.ndarray))

    def direction(self) -> tuple[str, str] | None:
        """Names of the columns that give the rows' directions."""
        names = tuple(f"{self.name}_{part}" for part in DIRECTION)
        for name in names:
            column = self.data.columns.get(name)
            if not isinstance(column, np.ndarray) or column.dtype.kind != "f" or column.ndim != 1:
                return None
        return names[0], names[1]


@kernel
def _nearest(offsets, eta, phi, other_offsets, other_eta, other_phi, near, best, distance):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    for lane in range(len(offsets) - 1):
        for i in range(offsets[lane], offsets[lane + 1]):
            best[i] = -1
            distance[i] = near
            for k in range(other_offsets[lane], other_offsets[lane + 1]):
                d = abs(eta[i] - other_eta[k])
                if d >= distance[i]:
                    continue
                turn = abs(phi[i] - other_phi[k])
                d += min(turn, abs(6.283185307179586 - turn))
                if d < distance[i]:
                    distance[i] = d
                    best[i] = k - other_offsets[lane]


def nearest(
    offsets: Array, own: tuple[Array, Array], other_offsets: Array, other: tuple[Array, Array]
) -> tuple[Array, Array]:
    """Return the place (int16, in the lane's list) of the nearest row of another table, or -1.

    Parameters
    ----------
    offsets, other_offsets : int64 arrays, shape (lanes + 1,)
    own, other : (eta, phi)
        Float arrays, shape (rows,). Only the encoder computes distances; the decoder is told.

    Returns
    -------
    places : int16 array, shape (rows,)
    distances : float64 array, shape (rows,)
        ``NEAR`` where there is none.
    """
    rows = int(offsets[-1])
    best, distance = np.empty(rows, np.int64), np.empty(rows, np.float64)
    a, b, c, d = (np.asarray(x, np.float64) for x in (*own, *other))
    _nearest(offsets, a, b, other_offsets, c, d, NEAR, best, distance)
    best[best > np.iinfo(np.int16).max] = -1
    return best.astype("<i2"), distance


def virtual_name(source: str) -> str:
    """Name of the virtual column that links to ``source``; no branch can have it."""
    return f"@{source}"


def is_virtual(name: str) -> bool:
    """Whether a column is virtual: computed by the encoder, not in the file."""
    return name.startswith("@")


def _head(view: TableView) -> tuple[Array, int]:
    lanes = min(_SAMPLE_LANES, len(view.data.offsets) - 1)
    return view.data.offsets[: lanes + 1], int(view.data.offsets[lanes])


def _information(distance: Array) -> Array:
    """Bits that knowing a row at this distance saves, about."""
    return np.where(distance < NEAR, 2 * np.log2(2 * NEAR / (distance + 1e-3)), 0.0)


def _gain(a: TableView, b: TableView, column: str | None) -> float:
    """Bits per row of ``a`` that a link to ``b`` saves, by a sample of directions."""
    mine, theirs = a.direction(), b.direction()
    if mine is None or theirs is None:
        return 0.0
    offsets, n = _head(a)
    other_offsets, m = _head(b)
    if n == 0 or m == 0:
        return 0.0
    own = tuple(np.asarray(a.data.columns[k][:n], np.float64) for k in mine)  # type: ignore[index]
    other = tuple(np.asarray(b.data.columns[k][:m], np.float64) for k in theirs)  # type: ignore[index]
    if column is None:
        place, distance = nearest(offsets, own, other_offsets, other)  # type: ignore[arg-type]
        share = float((place >= 0).mean())
        lists = float(np.diff(other_offsets).mean())
        # What pointing costs: whether at all, and where; neighbours tend to point in order.
        cost = (
            0.0
            if share in (0.0, 1.0)
            else -share * np.log2(share) - (1 - share) * np.log2(1 - share)
        )
        cost += share * 0.5 * np.log2(1 + lists)
        return float(_information(distance).mean() - cost)
    index = np.asarray(a.data.columns[column][:n]).astype(np.int64)  # type: ignore[index]
    lane = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
    good = (index >= 0) & (index < np.diff(other_offsets)[lane])
    row = (other_offsets[lane] + index)[good]
    turn = np.abs(own[1][good] - other[1][row])
    distance = np.full(n, NEAR)
    distance[good] = np.abs(own[0][good] - other[0][row]) + np.minimum(
        turn, np.abs(2 * np.pi - turn)
    )
    return float(_information(np.minimum(distance, NEAR)).mean())


def _closure(graph: Mapping[str, str], start: str) -> list[str]:
    """``start`` and all that must be decoded before it."""
    out = [start]
    while out[-1] in graph:
        out.append(graph[out[-1]])
    return out


def choose_links(views: Sequence[TableView]) -> dict[str, LinkPlan]:
    """Choose which tables link to which, best gains first and without circles.

    Parameters
    ----------
    views : sequence of TableView

    Returns
    -------
    dict of str to LinkPlan
        At most one link to another table each; those within a table are not among them.
    """
    # What has no rows has nothing to gain.
    tables = {v.name: v for v in views if v.jagged and v.raw_bytes and v.direction() is not None}
    found: list[tuple[float, float, str, LinkPlan]] = []
    for a in tables.values():
        rows = max(1, a.data.num_rows)
        typical = 8 * a.raw_bytes * _TYPICAL_RATIO / rows
        indices = {s.link: s.name for s in reversed(a.specs) if s.link in tables}
        for b in tables.values():
            if b.name == a.name:
                continue
            column = indices.get(b.name)
            gain = _gain(a, b, column)
            if gain < _LEAST_GAIN * typical:
                continue
            anchors = tuple((f"{a.name}_{d}", f"{b.name}_{d}") for d in DIRECTION)
            plan = LinkPlan(b.name, column or virtual_name(b.name), () if column else anchors)
            found.append((gain * rows, gain / typical, a.name, plan))
    found.sort(key=lambda item: -item[0])
    chosen: dict[str, LinkPlan] = {}
    graph: dict[str, str] = {}
    for _, share, name, plan in found:
        behind = _closure(graph, plan.source)
        if name in chosen or name in behind:
            continue
        dear = sum(tables[b].raw_bytes for b in behind) > tables[name].raw_bytes
        if dear and share < _DEAR_GAIN:
            continue
        chosen[name] = plan
        graph[name] = plan.source
    return chosen
