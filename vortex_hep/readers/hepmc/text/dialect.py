"""Events that are written otherwise than HepMC's own writers do, turned to the usual form and back.

What is turned is what other programs do alike on every line: fields that are padded with blanks,
Fortran's numbers, weights of vertices, and the lines of HepMC 1, which lack some tokens.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple

from vortex_hep.readers.hepmc.text import tokens

#: Lines by which a dialect is told.
_LINES = 4000
_MOST_DIGITS = 30
#: First tokens of lines that programs print by columns; others hold text.
_PRINTED = ("E", "V", "P", "U", "C", "H", "F", "W")
_FIELD = re.compile(rb"( *)([^ ]+)")
_WEIGHTED = re.compile(rb"^(V(?: [^ \n]+){8}) ([1-9][0-9]*)((?: [^ \n]+)+)$", re.MULTILINE)
_VERTEX = re.compile(rb"^(V(?: [^ \n]+){8}) ([^\n]*)$", re.MULTILINE)
_FORTRAN = re.compile(rb"-?0\.([0-9]{2,})E[+-][0-9]{2}")
#: Tokens of a particle of HepMC 1 before its flows, and where their number stands.
_PARTICLE1, _FLOWS1 = 12, 11
#: Where HepMC 1 lacks a token: the mass of a particle; of an event the number of interactions and
#: the two particles of the beam.
_MASS, _INTERACTIONS, _BEAMS = 7, 2, 9


class PlainEvent(NamedTuple):
    """An event in the usual form.

    Parameters
    ----------
    text : bytes
    weights : list of list of bytes
        Of every vertex, as tokens; empty where no dialect has any.
    """

    text: bytes
    weights: list[list[bytes]]


@dataclass(frozen=True)
class Dialect:
    """How events are written otherwise.

    Parameters
    ----------
    widths : dict of str to list of [int, int]
        By first token of a line, for each token the characters that it takes with the blanks in
        front of it, where it has no point and where it has one; 0 for one blank.
    fortran : int
        Digits behind the point of numbers as ``0.123E+01``; 0 if there are none.
    first : bool
        Whether lines are those of HepMC 1.
    weights : str
        Type of the weights of vertices; empty if there are none.
    values : bool
        Whether many numbers of particles have no style, and columns have their values all the same.
    """

    widths: dict[str, list[list[int]]] = field(default_factory=dict)
    fortran: int = 0
    first: bool = False
    weights: str = ""
    values: bool = False

    @property
    def usual(self) -> bool:
        """Whether there is nothing to turn."""
        return not (self.widths or self.fortran or self.first or self.weights or self.values)

    def pack(self) -> dict[str, Any]:
        """Write as JSON values."""
        return asdict(self)

    @classmethod
    def unpack(cls, document: Any) -> Dialect:
        """Read what :meth:`pack` wrote.

        Raises
        ------
        ValueError, KeyError, TypeError, AttributeError
            It is invalid.
        """
        widths = {str(k): [[int(w) for w in pair] for pair in v] for k, v in
                  document["widths"].items()}  # fmt: skip
        pairs = [pair for v in widths.values() for pair in v]
        digits = int(document["fortran"])
        if digits == 1 or not 0 <= digits <= _MOST_DIGITS:
            msg = f"{digits} digits are out of range"
            raise ValueError(msg)
        if any(len(pair) != len(("integer", "number")) or min(pair) < 0 for pair in pairs):
            msg = "widths of fields are out of range"
            raise ValueError(msg)
        return cls(
            widths, digits, bool(document["first"]), str(document["weights"]),
            bool(document["values"]),
        )  # fmt: skip

    def plain(self, text: bytes) -> PlainEvent:
        """Turn an event to the usual form; what has none is left as it is."""
        if self.widths:
            text = self._each(text, _narrow)
        if self.first:
            text = self._each(text, _longer)
        if self.fortran:
            text = self._from_fortran(text)
        weights: list[list[bytes]] = []
        if self.weights:
            weights = [_weights(m[2]) for m in _VERTEX.finditer(text)]
            text = _WEIGHTED.sub(rb"\1 0", text)
        return PlainEvent(text, weights)

    def written(self, event: PlainEvent) -> bytes:
        """Turn an event back; the inverse of :meth:`plain`."""
        text = event.text
        if self.weights:
            rest = iter(event.weights)

            def weighted(found: re.Match[bytes]) -> bytes:
                own = next(rest, [])
                return b" ".join([found[1], b"%d" % len(own), *own]) if own else found[0]

            text = _VERTEX.sub(weighted, text)
        if self.fortran:
            text = self._to_fortran(text)
        if self.first:
            text = self._each(text, _shorter)
        if self.widths:
            text = self._each(text, _wide)
        return text

    def _each(self, text: bytes, turn: Any) -> bytes:
        lines = text.split(b"\n")
        return b"\n".join(turn(line, self.widths) for line in lines)

    def _from_fortran(self, text: bytes) -> bytes:
        digits = self.fortran - 1

        def turned(found: re.Match[bytes]) -> bytes:
            sign, first, rest, exponent = found.groups()
            power = int(exponent) - (first != b"0")
            return b"%s%s.%se%+03d" % (sign, first, rest, power)

        return re.sub(
            rb"(?<= )(-?)0\.([0-9])([0-9]{%d})E([+-][0-9]{2})(?=[ \n])" % digits, turned, text
        )

    def _to_fortran(self, text: bytes) -> bytes:
        digits = self.fortran - 1

        def turned(found: re.Match[bytes]) -> bytes:
            sign, first, rest, exponent = found.groups()
            power = int(exponent) + (first != b"0")
            return b"%s0.%s%sE%+03d" % (sign, first, rest, power)

        return re.sub(
            rb"(?<= )(-?)([0-9])\.([0-9]{%d})e([+-][0-9]{2,3})(?=[ \n])" % digits, turned, text
        )


def _weights(rest: bytes) -> list[bytes]:
    """Weights at the end of the line of a vertex, where their number is right."""
    count, *own = rest.split(b" ")
    return own if count == b"%d" % len(own) and own else []


def _key(line: bytes) -> str:
    return line.partition(b" ")[0].decode("latin-1")


def _narrow(line: bytes, widths: dict[str, list[list[int]]]) -> bytes:
    """Put one blank between the fields of a line that is padded."""
    return b" ".join(line.split()) if _key(line) in widths else line


def _wide(line: bytes, widths: dict[str, list[list[int]]]) -> bytes:
    wanted = widths.get(_key(line))
    if wanted is None:
        return line
    out = []
    for number, token in enumerate(line.split(b" ")):
        width = wanted[number][b"." in token] if number < len(wanted) else 0
        gap = max(1, width - len(token)) if width else 1
        out.append(b" " * gap + token if number else token)
    return b"".join(out)


def _longer(line: bytes, _: Any) -> bytes:
    """Put tokens that HepMC 1 lacks into a line, with the values of what is not known."""
    found = line.split(b" ")
    if found[0] == b"P":
        found.insert(_MASS, b"0")
    elif found[0] == b"E":
        found.insert(_INTERACTIONS, b"-1")
        found[_BEAMS:_BEAMS] = [b"0", b"0"]
    return b" ".join(found)


def _shorter(line: bytes, _: Any) -> bytes:
    found = line.split(b" ")
    if found[0] == b"P":
        del found[_MASS]
    elif found[0] == b"E":
        del found[_BEAMS : _BEAMS + 2]
        del found[_INTERACTIONS]
    return b" ".join(found)


def find_dialect(version: int, texts: Sequence[bytes]) -> Dialect:
    """Tell the dialect of a file by some of its events.

    Parameters
    ----------
    version : int
        Of HepMC.
    texts : sequence of bytes
        Events, their lines ending with a line feed.
    """
    lines: list[bytes] = []
    for number, text in enumerate(texts):
        lines += text.split(b"\n")
        if len(lines) > _LINES:
            texts = texts[: number + 1]
            break
    widths = _find_widths(lines)
    particles = [line.split() for line in lines if line.startswith(b"P ")]
    found = Counter(
        len(m[1]) for p in particles for t in p[3:8] if (m := _FORTRAN.fullmatch(t))
    )  # fmt: skip
    numbers = sum(min(len(p), 8) - 3 for p in particles)
    digits, count = found.most_common(1)[0] if found else (0, 0)
    fortran = digits if 2 * count > numbers else 0
    first = version == 2 and bool(particles) and all(_is_first(p) for p in particles)
    dialect = Dialect(widths, fortran, first)
    if version != 2:
        return dialect
    weights = [
        w
        for text in texts
        for m in _WEIGHTED.finditer(dialect.plain(text).text)
        for w in m[3].split()
    ]
    kind = tokens.infer(weights[:_LINES]) if weights else ""
    return Dialect(widths, fortran, first, "text" if kind.startswith("=") else kind)


def _is_first(particle: list[bytes]) -> bool:
    """Whether the line of a particle has no mass, as in HepMC 1."""
    if len(particle) < _PARTICLE1 or not particle[_FLOWS1].isdigit():
        return False
    return len(particle) == _PARTICLE1 + 2 * int(particle[_FLOWS1])


def _find_widths(lines: Sequence[bytes]) -> dict[str, list[list[int]]]:
    """Widths of fields, by first token of lines most of which are padded.

    A few lines with more blanks than one are no dialect: somebody has edited them.
    """
    # For each token, without a point and with one, how often it takes so much with its blanks.
    found: dict[str, list[tuple[Counter[int], Counter[int]]]] = defaultdict(list)
    gaps: dict[str, list[tuple[set[int], set[int]]]] = defaultdict(list)
    lines_of: Counter[str] = Counter()
    padded: Counter[str] = Counter()
    for line in lines:
        key = _key(line)
        if key not in _PRINTED:
            continue
        lines_of[key] += 1
        padded[key] += b"  " in line
        for number, m in enumerate(_FIELD.finditer(line)):
            if number == len(found[key]):
                found[key].append((Counter(), Counter()))
                gaps[key].append((set(), set()))
            point = b"." in m[2]
            found[key][number][point][len(m[0])] += 1
            gaps[key][number][point].add(len(m[1]))
    return {
        key: [
            [0 if g <= {1} else c.most_common(1)[0][0] for c, g in zip(counts, some, strict=True)]
            for counts, some in zip(found[key], [(set(), set()), *gaps[key][1:]], strict=True)
        ]
        for key in gaps
        if 2 * padded[key] > lines_of[key]
    }
