"""The layout of a HepMC file: the types on its lines, and the tables that follow from them.

A layout is found in a sample of events, kept in the remainder as JSON, and decides alone which
tables and columns there are.
"""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass, field
from typing import Any

from vortex_hep.core.schema import VARBYTES, ColumnSpec, TableSpec
from vortex_hep.core.text import fault_of
from vortex_hep.errors import CorruptionError
from vortex_hep.readers.hepmc.text import tokens
from vortex_hep.readers.hepmc.text.cells import Style
from vortex_hep.readers.hepmc.text.dialect import Dialect
from vortex_hep.readers.hepmc.text.lines import PREFIXES
from vortex_hep.readers.hepmc.text.numbers import MAX_PRECISION

#: Names of what stands behind ``E``, by version of HepMC.
_EVENT_NAMES = {
    3: ("", "number", "n_vertices", "n_particles"),
    2: (
        "", "number", "mpi", "scale", "alphaQCD", "alphaQED", "signal_process_id",
        "signal_vertex", "n_vertices", "beam1", "beam2", "n_random",
    ),
}  # fmt: skip
#: Tables of other names are made from lists on lines.
FIXED_TABLES = ("", "literal", "vertices", "incoming", "particles", "positions", "odd")


@dataclass
class LineKey:
    """A kind of line at the head of events, or a run of attributes of particles or vertices.

    Parameters
    ----------
    name : str
        First token; for ``A`` lines one of ``"A- "``, ``"A0 "``, ``"A+ "`` and the name.
    columns : str
        What its columns are called, or begin with.
    kinds : list of str
        Types of the tokens; of a run, of the value.
    tail : str or None
        Type of all further tokens: a list, the rows of table ``columns``.
    rest : bool
        Whether the last token is all the rest of the line, spaces included.
    flag : str
        Of a run, the column that says which particles or vertices have the attribute.
    """

    name: str
    columns: str
    kinds: list[str]
    tail: str | None = None
    rest: bool = False
    flag: str = ""

    @property
    def is_run(self) -> bool:
        """Whether it is a run of attributes of particles or vertices."""
        return self.name.startswith((PREFIXES[1], PREFIXES[3]))

    @property
    def table(self) -> str:
        """Table whose rows have the attribute."""
        return "vertices" if self.name.startswith(PREFIXES[1]) else "particles"

    def token_columns(self, version: int) -> list[list[ColumnSpec]]:
        """Columns of each token."""
        out = []
        names = _EVENT_NAMES[version] if self.name == "E" else ()
        several = sum(not k.startswith("=") for k in self.kinds) > 1
        # The value of an attribute stands behind "A", 0 and its name.
        first = 3 if self.name.startswith(PREFIXES[2]) else 1
        for number, kind in enumerate(self.kinds):
            name = names[number] if number < len(names) else ""
            name = name or (f"{self.columns}_{number - first}" if several else self.columns)
            out.append(tokens.columns(kind, name))
        return out

    def split(self, line: bytes, version: int) -> list[bytes] | None:
        """Cut a line into tokens; None if it cannot be one of this key."""
        found = line.split(b" ", len(self.kinds) - 1) if self.rest else line.split(b" ")
        if self.name == "E" and version == 2:
            # Behind the number of random states, which are none: the number of weights.
            at = len(_EVENT_NAMES[2])
            if found[at - 1 : at + 1] != [b"0", b"%d" % (len(found) - at - 1)]:
                return None
            del found[at]
        if len(found) < len(self.kinds) or (len(found) > len(self.kinds) and not self.tail):
            return None
        return found

    def join(self, found: list[bytes], version: int) -> bytes:
        """Put tokens together; the inverse of :meth:`split`."""
        if self.name == "E" and version == 2:
            at = len(_EVENT_NAMES[2])
            found = [*found[:at], b"%d" % (len(found) - at), *found[at:]]
        return b" ".join(found)

    def tail_columns(self) -> list[ColumnSpec]:
        """Columns of the list."""
        return tokens.columns(self.tail, f"{self.columns}_value") if self.tail else []


@dataclass
class TextLayout:
    """How the events of a file are printed.

    Parameters
    ----------
    version : int
        Of HepMC: 2 or 3.
    crlf : bool
        Whether lines end with carriage return and line feed.
    momenta, angles, positions : Style
    keys : list of LineKey
    shapes : list of list of int
        Sequences of keys (numbers) that heads have, the most frequent first.
    dialect : Dialect
        How lines are written otherwise than HepMC writes them.
    """

    version: int
    crlf: bool
    momenta: Style
    angles: Style
    positions: Style
    keys: list[LineKey] = field(default_factory=list)
    shapes: list[list[int]] = field(default_factory=list)
    dialect: Dialect = field(default_factory=Dialect)

    @property
    def format_version(self) -> int:
        """Version of the description that this layout needs: 2 with types that 1 has not."""
        kinds = [k for key in self.keys for k in (*key.kinds, key.tail)]
        return 2 if "num" in kinds or not self.dialect.usual else 1

    def tables(self) -> tuple[TableSpec, ...]:
        """Tables of the tree."""
        scalars = [ColumnSpec("shape", "<i2", title="sequence of the lines of the head")]
        runs: dict[str, list[ColumnSpec]] = {"vertices": [], "particles": []}
        lists = []
        for key in self.keys:
            if key.is_run:
                have = runs[key.table]
                if all(c.name != key.flag for c in have):
                    have.append(ColumnSpec(key.flag, "|b1", title=f"has {key.columns}"))
                have += tokens.columns(key.kinds[0], key.columns)
                continue
            scalars += [c for columns in key.token_columns(self.version) for c in columns]
            if key.tail:
                lists.append(TableSpec(key.columns, tuple(key.tail_columns()), jagged=True))
        scalars += [
            _text("before", "text in front of the event"),
            _text("text", "the event, where it is no rows"),
        ]
        literal = [
            ColumnSpec("literal_place", "<i4", title="line of the head"),
            ColumnSpec("literal_replaces", "|b1"),
            _text("literal_text", ""),
        ]
        odd = [
            ColumnSpec("odd_cell", "<i8", title="number that is printed in another way"),
            _text("odd_text", ""),
        ]
        incoming = ColumnSpec("incoming_step", "<i4", title="row behind the incoming one before")
        places = [
            c
            for name in ("x", "y", "z", "t")
            for c in self._number(f"positions_{name}", self.positions)
        ]
        named = {
            "": scalars,
            "literal": literal,
            **{table.name: list(table.columns) for table in lists},
            "vertices": self._vertices() + runs["vertices"],
            "incoming": [incoming],
            "particles": self._particles(runs["particles"]),
            "positions": places,
            "odd": odd,
            "vertex_weights": self._weights(),
        }
        return tuple(TableSpec(n, tuple(c), jagged=n != "") for n, c in named.items() if c)

    def _weights(self) -> list[ColumnSpec]:
        kind = self.dialect.weights
        return tokens.columns(kind, "vertex_weights_value") if kind else []

    def _vertices(self) -> list[ColumnSpec]:
        out = [
            ColumnSpec("vertices_id", "<i4", title="id behind that of the vertex before, less one"),
            ColumnSpec("vertices_status", "<i4"),
            ColumnSpec(
                "vertices_incoming",
                "<i4",
                title="number of incoming particles, where these do not tell themselves",
            ),
            ColumnSpec(
                "vertices_place_unusual",
                "|b1",
                title="has a position of zero, or none that is not; of childless ones any",
            ),
        ]
        if self.version == 3:
            return [*out, ColumnSpec("vertices_line", "|b1", title="has a line, needing none")]
        if self.dialect.weights:
            out.append(ColumnSpec("vertices_weights", "<i4", title="number of weights"))
        return [
            *out,
            ColumnSpec("vertices_orphans", "<i4", title="particles from no vertex in front"),
            ColumnSpec("vertices_childless", "|b1"),
        ]

    def _particles(self, runs: list[ColumnSpec]) -> list[ColumnSpec]:
        out = [
            ColumnSpec(
                "particles_birth",
                "|i1",
                title="vertex: of the row before, new, earlier, none; 4 more for its last",
            ),
            ColumnSpec("particles_mother", "<i4", link="particles", title="first incoming row"),
            ColumnSpec(
                "particles_partner", "<i4", title="first row that goes into the same vertex"
            ),
            ColumnSpec("particles_pdg", "<i4"),
            ColumnSpec("particles_status", "<i4"),
        ]
        if self.version == 2:
            out += [
                ColumnSpec("particles_id", "<i4", title="barcode behind that before, less one"),
                ColumnSpec("particles_flows", "|i1", title="flow 1 (bit 0) and 2 (bit 1)"),
                ColumnSpec("particles_flow1", "<i4"),
                ColumnSpec("particles_flow2", "<i4"),
            ]
        out += runs
        for name in ("m", "px", "py", "pz", "e"):
            out += self._number(f"particles_{name}", self.momenta)
        if self.version == 2:
            for name in ("theta", "phi"):
                out += self._number(f"particles_{name}", self.angles)
        for name in ("t", "x", "y", "z"):
            out += self._number(f"particles_{name}", self.positions)
        return out

    @staticmethod
    def _number(name: str, style: Style) -> list[ColumnSpec]:
        kind = f"{'dec' if style.decimal else 'dbl'}:{style.precision}"
        return tokens.columns(kind, name)

    def pack(self) -> dict[str, Any]:
        """Write as JSON values."""
        document = asdict(self)
        del document["dialect"]
        if not self.dialect.usual:
            document["dialect"] = self.dialect.pack()
        return document | {
            "momenta": list(self.momenta),
            "angles": list(self.angles),
            "positions": list(self.positions),
        }

    @classmethod
    def unpack(cls, document: Any) -> TextLayout:
        """Read what :meth:`pack` wrote.

        Raises
        ------
        CorruptionError
            It is invalid.
        """
        try:
            momenta, angles, places = (
                _style(document[n]) for n in ("momenta", "angles", "positions")
            )
            keys = [_key(d) for d in document["keys"]]
            shapes = [[int(k) for k in shape] for shape in document["shapes"]]
            version = int(document["version"])
            known = version in _EVENT_NAMES
            if not known or any(not 0 <= k < len(keys) for shape in shapes for k in shape):
                raise ValueError("unknown version, or key out of range")  # noqa: TRY301
            dialect = Dialect()
            if "dialect" in document:
                dialect = Dialect.unpack(document["dialect"])
                if dialect.weights and not _KIND.fullmatch(dialect.weights):
                    raise ValueError("invalid type of weights")  # noqa: TRY301
            return cls(
                version, bool(document["crlf"]), momenta, angles, places, keys, shapes, dialect
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise CorruptionError(f"invalid layout of the text: {fault_of(error)}") from error


_KIND = re.compile(r"=.*|text|num|int:<i[48]|dec:(?:[0-9]|1[0-4])z?|dbl:[0-9]{1,2}z?|gen:1[57]")


def _key(document: Any) -> LineKey:
    key = LineKey(**document)
    kinds = [*key.kinds, *([key.tail] if key.tail is not None else [])]
    names = (key.name, key.columns, key.flag)
    if not all(isinstance(n, str) for n in names) or not all(_KIND.fullmatch(k) for k in kinds):
        raise ValueError(f"invalid key {key.name!r}")
    if key.is_run and len(key.kinds) != 1:
        raise ValueError(f"run {key.name!r} must have one kind")
    return key


def _style(document: Any) -> Style:
    style = Style(int(document[0]), bool(document[1]))
    if not 0 <= style.precision <= MAX_PRECISION:
        raise ValueError(f"precision {style.precision} is out of range")
    return style


def _text(name: str, title: str) -> ColumnSpec:
    return ColumnSpec(name, VARBYTES, title=title, interpretation="opaque")


def dump(document: Any) -> bytes:
    """JSON, with the same bytes for the same values."""
    return json.dumps(document, separators=(",", ":"), sort_keys=True).encode()
