"""Numbers as programs print them, and lines of such numbers: read to the byte, and written.

A type is written as text:

===========  ===================================================================================
``int:d``    an integer, column of dtype ``d``
``e:p``      ``"%.{p}e"``, a column of doubles; likewise ``E:p`` and ``f:p``
``p:0``      ``"%.0f"`` and a point behind
``F:p``      as Fortran prints it, ``0.`` and p digits, ``E`` and an exponent of two digits
``num``      a number in a form of its own; ``text``: anything (as in the heads of HepMC)
===========  ===================================================================================

``+`` in front of a type of doubles: numbers without a minus have a plus.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

from vortex_hep.core.schema import ColumnSpec
from vortex_hep.readers.hepmc.text import tokens as plain_tokens

#: All types there are.
KIND = re.compile(r"int:<i[48]|\+?(?:[eEfF]:[0-9]{1,2}|p:0)|num|text")
_INTEGER = re.compile(rb"0|-?[1-9][0-9]{0,17}")
_FIELD = re.compile(rb"( *)([^ ]+)")
_POINT = re.compile(rb"[-+]?[0-9]*\.([0-9]*)([eE][-+][0-9]{2,3})?")
_MOST_DIGITS = 30
#: The part of the tokens that make a type; events with others are kept as text.
_NEARLY = 0.95


def columns(kind: str, name: str) -> list[ColumnSpec]:
    """Columns that hold tokens of a type."""
    if kind.startswith("int") or kind in ("num", "text"):
        return plain_tokens.columns(kind, name)
    return [ColumnSpec(name, "<f8")]


def read(kind: str, token: bytes) -> tuple[Any, ...] | None:
    """Values of a token, one per column; None if it is not of that type."""
    return reader_of(kind)(token)


def write(kind: str, values: Sequence[Any]) -> bytes:
    """Text of a token from its columns' values; the inverse of :func:`read`."""
    return writer_of(kind)(values)


@cache
def reader_of(kind: str) -> Callable[[bytes], tuple[Any, ...] | None]:
    """What :func:`read` does with tokens of a type."""
    if kind.startswith("int"):
        most = 1 << 31 if kind == "int:<i4" else 1 << 63

        def integer(token: bytes) -> tuple[Any, ...] | None:
            value = int(token) if _INTEGER.fullmatch(token) else most
            return (value,) if abs(value) < most else None

        return integer
    if kind in ("num", "text"):

        def plain(token: bytes) -> tuple[Any, ...] | None:
            found = plain_tokens.read(kind, token)
            return None if found is None else found[:-1]

        return plain
    printed = writer_of(kind)

    def number(token: bytes) -> tuple[Any, ...] | None:
        try:
            values = (float(token),)
        except ValueError:
            return None
        return values if printed(values) == token else None

    return number


@cache
def writer_of(kind: str) -> Callable[[Sequence[Any]], bytes]:
    """What :func:`write` does with values of a type."""
    if kind.startswith("int"):
        return lambda values: b"%d" % values[0]
    if kind in ("num", "text"):
        return partial(plain_tokens.write, kind)
    plus = "+" if kind.startswith("+") else ""
    letter, _, digits = kind.lstrip("+").partition(":")
    if letter == "F":
        return lambda values: _fortran(values[0], int(digits), plus)
    form = f"%{plus}.0f." if letter == "p" else f"%{plus}.{digits}{letter}"
    form_bytes = form.encode()
    return lambda values: form_bytes % values[0]


def _fortran(value: float, digits: int, plus: str) -> bytes:
    mantissa, _, exponent = f"{abs(value):.{digits - 1}e}".partition("e")
    if not exponent:
        return b""
    sign = "-" if math.copysign(1, value) < 0 else plus
    power = int(exponent) + 1 if value else 0
    return f"{sign}0.{mantissa.replace('.', '')}E{power:+03d}".encode()


def infer(found: Sequence[bytes]) -> str:
    """Return the narrowest type that all of the tokens (at least one) are of, or nearly all."""
    kinds = ["int:<i4", "int:<i8", *_doubles(found), "num"]
    hits = {}
    for kind in kinds:
        of_kind = reader_of(kind)
        hits[kind] = sum(of_kind(t) is not None for t in found)
        if hits[kind] == len(found):
            return kind
    return next((k for k in kinds if hits[k] >= _NEARLY * len(found)), "text")


def _doubles(found: Sequence[bytes]) -> Iterable[str]:
    forms = Counter(
        (len(m[1]), (m[2] or b"")[:1]) for t in found if (m := _POINT.fullmatch(t))
    )  # fmt: skip
    if not forms:
        return
    (places, letter), _ = forms.most_common(1)[0]
    size = min(places, _MOST_DIGITS)
    kinds = [f"{letter.decode() or 'f'}:{size}"]
    if letter == b"E" and size:
        kinds.append(f"F:{size}")
    if not letter and not size:
        kinds.append("p:0")
    for kind in kinds:
        yield kind
        yield f"+{kind}"


@dataclass(frozen=True)
class LineStyle:
    """How a line of a fixed number of tokens is printed.

    Parameters
    ----------
    kinds : tuple of str
        Types of the tokens.
    places : tuple of (gap, width)
        Blanks in front of each; or the characters that it takes with them, where that is not 0.
    end : str
        Blanks behind the last.
    """

    kinds: tuple[str, ...]
    places: tuple[tuple[int, int], ...]
    end: str = ""

    def split(self, line: bytes) -> list[tuple[Any, ...]] | None:
        """Values of the tokens; None if the line is printed in another way."""
        found = [m[2] for m in _FIELD.finditer(line)]
        if len(found) != len(self.kinds):
            return None
        values = [reader_of(k)(t) for k, t in zip(self.kinds, found, strict=True)]
        known = [v for v in values if v is not None]
        return known if len(known) == len(values) and self.spaced(found) == line else None

    def join(self, values: Iterable[Sequence[Any]]) -> bytes:
        """Put a line together; the inverse of :meth:`split`."""
        return self.spaced([writer_of(k)(v) for k, v in zip(self.kinds, values, strict=True)])

    def spaced(self, found: Sequence[bytes]) -> bytes:
        """Tokens with their blanks."""
        out = [
            token.rjust(width) if width > len(token) else b" " * gap + token
            for token, (gap, width) in zip(found, self.places, strict=True)
        ]
        return b"".join(out) + self.end.encode("latin-1")


def infer_line(lines: Sequence[bytes], size: int) -> LineStyle:
    """Tell how lines of ``size`` tokens are printed."""
    rows = [found for line in lines if len(found := _FIELD.findall(line)) == size]
    if not rows:
        return LineStyle(("text",) * size, ((1, 0),) * size)
    kinds, places = [], []
    for number in range(size):
        some = [row[number] for row in rows]
        kinds.append(infer([token for _, token in some]))
        gap, often = Counter(len(g) for g, _ in some).most_common(1)[0]
        width, wide = Counter(len(g) + len(t) for g, t in some).most_common(1)[0]
        places.append((1, width) if wide > often else (gap, 0))
    ends = Counter(len(line) - len(line.rstrip(b" ")) for line in lines)
    return LineStyle(tuple(kinds), tuple(places), " " * ends.most_common(1)[0][0])
