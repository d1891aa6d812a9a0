"""Blocks ``<event>`` as tables of columns, and back (arXiv:hep-ph/0609017)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from vortex_hep.core.schema import VARBYTES, Array, Cluster, ColumnSpec, TableData, TableSpec
from vortex_hep.core.text import fault_of
from vortex_hep.errors import CorruptionError
from vortex_hep.readers.hepmc.leshouches.printed import KIND, LineStyle, columns, infer_line
from vortex_hep.readers.hepmc.tables.headrows import (
    make_column,
    make_offsets,
    pack_bytes,
    unpack_bytes,
    values_of,
)
from vortex_hep.readers.hepmc.tables.reading import unix_lines

#: What stands on the line of an event behind its number of particles, and on that of a particle.
EVENT = ("IDPRUP", "XWGTUP", "SCALUP", "AQEDUP", "AQCDUP")
PARTICLE = (
    "IDUP", "ISTUP", "MOTHUP1", "MOTHUP2", "ICOLUP1", "ICOLUP2",
    "PUP1", "PUP2", "PUP3", "PUP4", "PUP5", "VTIMUP", "SPINUP",
)  # fmt: skip
#: ``version`` of a layout that is one of Les Houches events.
VERSION = 1
_LINES = 1500


@dataclass(frozen=True)
class BlockLayout:
    """How the events of a file are printed.

    Parameters
    ----------
    crlf : bool
        Whether lines end with carriage return and line feed.
    event, particle : LineStyle
    """

    crlf: bool
    event: LineStyle
    particle: LineStyle

    #: Version of the description that such a layout needs.
    format_version = 3

    def tables(self) -> tuple[TableSpec, ...]:
        """Tables of the tree."""
        scalars = [ColumnSpec("NUP", "<i4", title="number of particles")]
        scalars += _specs(self.event, ("", *EVENT))
        texts = ("tag", "what the block begins with"), ("rest", "text behind the particles")
        kept = ("before", "text in front of the event"), ("text", "the event, where it is no rows")
        scalars += [
            ColumnSpec(n, VARBYTES, title=t, interpretation="opaque") for n, t in (*texts, *kept)
        ]
        particles = tuple(_specs(self.particle, PARTICLE))
        return TableSpec("", tuple(scalars)), TableSpec(
            "particles", particles, counter="NUP", jagged=True
        )

    def pack(self) -> dict[str, Any]:
        """Write as JSON values."""
        return {"version": VERSION, **asdict(self)}

    @classmethod
    def unpack(cls, document: Any) -> BlockLayout:
        """Read what :meth:`pack` wrote.

        Raises
        ------
        CorruptionError
            It is invalid.
        """
        try:
            event = _style(document["event"], len(EVENT) + 1)
            particle = _style(document["particle"], len(PARTICLE))
            if not event.kinds[0].startswith("int"):
                raise ValueError("the number of particles is no integer")  # noqa: TRY301
            return cls(bool(document["crlf"]), event, particle)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise CorruptionError(f"invalid layout of the text: {fault_of(error)}") from error


def _style(document: Any, size: int) -> LineStyle:
    style = LineStyle(
        tuple(document["kinds"]),
        tuple((int(gap), int(width)) for gap, width in document["places"]),
        str(document["end"]),
    )
    if len(style.kinds) != size or len(style.places) != size or style.end.strip(" "):
        raise ValueError(f"a line must have {size} tokens")
    if not all(KIND.fullmatch(k) for k in style.kinds):
        raise ValueError(f"invalid types {style.kinds}")
    if any(not 0 <= n <= 1 << 10 for place in style.places for n in place):
        raise ValueError("widths are out of range")
    return style


def _specs(style: LineStyle, names: Sequence[str]) -> list[ColumnSpec]:
    """Columns of the tokens that have names."""
    found = zip(style.kinds, names, strict=True)
    return [spec for kind, name in found if name for spec in columns(kind, name)]


def infer_blocks(crlf: bool, texts: Sequence[bytes]) -> BlockLayout:
    """Tell how events are printed.

    Parameters
    ----------
    crlf : bool
    texts : sequence of bytes
        Events, their lines ending with a line feed.
    """
    events: list[bytes] = []
    particles: list[bytes] = []
    for text in texts:
        found = _lines(text)
        if found is not None:
            events.append(found[1])
            particles += found[2]
        if len(particles) > _LINES:
            break
    event = infer_line(events, len(EVENT) + 1)
    if not event.kinds[0].startswith("int"):
        event = LineStyle(("int:<i4", *event.kinds[1:]), event.places, event.end)
    return BlockLayout(crlf, event, infer_line(particles, len(PARTICLE)))


def _lines(text: bytes) -> tuple[bytes, bytes, list[bytes], bytes] | None:
    """Tag, line of the event, lines of its particles, and the rest; None if there are others."""
    lines = text.split(b"\n", 2)
    if len(lines) < 3:
        return None
    count = lines[1].split()[:1]
    if not count or not count[0].isdigit():
        return None
    size = int(count[0])
    particles = lines[2].split(b"\n", size) if size <= len(lines[2]) else []
    if len(particles) != size + 1:
        return None
    return lines[0], lines[1], particles[:-1], particles[-1]


def read_blocks(
    layout: BlockLayout, events: Sequence[bytes], before: Sequence[bytes], _entry: int
) -> Cluster:
    """Take events apart; those that would not come back byte for byte are kept as text.

    Parameters
    ----------
    layout : BlockLayout
    events : sequence of bytes
        From ``<event`` on.
    before : sequence of bytes
        Text in front of each that belongs to no event.
    _entry : int
        Number of the first; of no effect.
    """
    rows = [_read(layout, e) for e in events]
    scalars, particles = layout.tables()
    numbers = _specs(layout.event, ("", *EVENT))
    empty: list[Any] = [b"" if c.dtype == VARBYTES else 0 for c in numbers]
    found = [empty if r is None else r.values for r in rows]
    counts = np.array([0 if r is None else len(r.particles) for r in rows], np.int32)
    flat = [p for r in rows if r is not None for p in r.particles]
    out: dict[str, Any] = {"NUP": counts}
    for k, spec in enumerate(numbers):
        out[spec.name] = make_column(spec, [f[k] for f in found])
    out["tag"] = pack_bytes([b"" if r is None else r.tag for r in rows])
    out["rest"] = pack_bytes([b"" if r is None else r.rest for r in rows])
    out["before"] = pack_bytes(list(before))
    out["text"] = pack_bytes([e if r is None else b"" for e, r in zip(events, rows, strict=True)])
    columns_of = {c.name: make_column(c, [p[k] for p in flat])
                  for k, c in enumerate(particles.columns)}  # fmt: skip
    own = {c.name: out[c.name] for c in scalars.columns}
    return {
        "": TableData(np.arange(len(events) + 1, dtype=np.int64), own),
        "particles": TableData(make_offsets(counts), columns_of),
    }


@dataclass(frozen=True)
class _Block:
    tag: bytes
    values: list[Any]
    particles: list[list[Any]]
    rest: bytes


def _read(layout: BlockLayout, event: bytes) -> _Block | None:
    text = unix_lines(event, crlf=layout.crlf)
    found = None if text is None else _lines(text)
    if found is None:
        return None
    tag, line, lines, rest = found
    values = layout.event.split(line)
    particles = [layout.particle.split(p) for p in lines]
    known = [[v for some in p for v in some] for p in particles if p is not None]
    if values is None or len(known) != len(particles) or values[0][0] != len(lines):
        return None
    return _Block(tag, [v for some in values[1:] for v in some], known, rest)


def write_blocks(layout: BlockLayout, cluster: Cluster, _entry: int) -> list[bytes]:
    """Put events together; the inverse of :func:`read_blocks`.

    Raises
    ------
    CorruptionError
        The tables contradict one another.
    """
    scalars, particles = cluster[""], cluster["particles"]
    sizes: Array = np.diff(particles.offsets)
    heads = _rows(layout.event, ("", *EVENT), scalars, sizes.tolist())
    lines = _rows(layout.particle, PARTICLE, particles, None)
    texts, tags, rests = (unpack_bytes(scalars.columns[n]) for n in ("text", "tag", "rest"))
    if len(sizes) != len(texts):
        raise CorruptionError("tables are of other lengths", tree="events")
    out = []
    for k, (text, tag, rest) in enumerate(zip(texts, tags, rests, strict=True)):
        if text:
            out.append(text)
            continue
        own = lines[int(particles.offsets[k]) : int(particles.offsets[k + 1])]
        event = b"\n".join([tag, heads[k], *own, rest])
        out.append(event.replace(b"\n", b"\r\n") if layout.crlf else event)
    return out


def _rows(
    style: LineStyle, names: Sequence[str], table: TableData, sizes: list[int] | None
) -> list[bytes]:
    """Lines of a table's rows; ``sizes`` are the numbers of particles, which have no name."""
    found: list[list[Any]] = []
    for kind, name in zip(style.kinds, names, strict=True):
        specs = columns(kind, name)
        if not name:
            found.append([(n,) for n in sizes or []])
        else:
            found.append(list(zip(*(values_of(table.columns[c.name]) for c in specs), strict=True)))
    return [style.join(row) for row in zip(*found, strict=True)]
