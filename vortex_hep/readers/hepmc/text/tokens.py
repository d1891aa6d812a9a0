"""Types of the tokens on a line: their columns, and their text to the byte.

A type is written as text, ``kind`` or ``kind:argument``:

===========  ===================================================================================
``=text``    always this text; no column
``int:d``    an integer, column of dtype ``d``
``dec:p``    ``"%.{p}e"`` with at most 15 digits: columns of all digits and of the exponent
``dbl:p``    ``"%.{p}e"`` with more digits: a column of doubles
``gen:p``    ``"%.{p}g"``: a column of doubles
``num``      a number in a form of its own: columns of doubles and of the form
``text``     anything: a column of byte strings
===========  ===================================================================================

``z`` behind p: zero is printed as ``0``.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from typing import Any

from vortex_hep.core.schema import VARBYTES, ColumnSpec

_INTEGER = re.compile(rb"(?:0|-?[1-9][0-9]{0,17})")
_SCIENTIFIC = re.compile(rb"-?[0-9](?:\.([0-9]+))?e[+-][0-9]{2,3}")
_NUMERIC = re.compile(rb"[-+]?[0-9.].*")
#: Digits behind the point up to which decimals are kept as such, and not as doubles.
LAST_DECIMAL = 14
_SMALL = 1 << 30
_NUMBER = re.compile(rb"-?[0-9]+(?:\.([0-9]*))?(?:([eE])[+-][0-9]{2,3})?")
#: A form is the place of its letter here times :data:`_DIGITS`, and digits behind the point.
_LETTERS = "fegEG"
_DIGITS = 32


def infer(tokens: Sequence[bytes]) -> str:
    """Return the narrowest type that all of ``tokens`` (at least one) are of."""
    first = tokens[0]
    if all(t == first for t in tokens) and not _NUMERIC.fullmatch(first) and b"\n" not in first:
        return "=" + first.decode("latin-1")
    return next(kind for kind in _candidates(tokens) if all(read(kind, t) for t in tokens))


def _candidates(tokens: Sequence[bytes]) -> Iterable[str]:
    if all(_INTEGER.fullmatch(t) for t in tokens):
        yield "int:<i4" if all(abs(int(t)) < _SMALL for t in tokens) else "int:<i8"
    found = next((m for t in tokens if (m := _SCIENTIFIC.fullmatch(t))), None)
    if found:
        precision = len(found[1] or b"")
        kind = "dec" if precision <= LAST_DECIMAL else "dbl"
        yield f"{kind}:{precision}"
        yield f"{kind}:{precision}z"
    yield "gen:15"
    yield "gen:17"
    yield "num"
    yield "text"


def split(kind: str) -> tuple[str, int, bool]:
    """Name, precision and whether zero is bare, of a type of numbers."""
    name, _, argument = kind.partition(":")
    digits = argument.rstrip("z")
    return name, int(digits) if digits.isdigit() else 0, argument.endswith("z")


def columns(kind: str, name: str) -> list[ColumnSpec]:
    """Columns that hold tokens of a type."""
    if kind.startswith("="):
        return []
    what, precision, _ = split(kind)
    if what == "int":
        return [ColumnSpec(name, kind[4:])]
    if what == "dec":
        dtype = "<i4" if precision <= 8 else "<i8"
        return [ColumnSpec(name, dtype), ColumnSpec(f"{name}_exp", "<i2")]
    if what == "text":
        return [ColumnSpec(name, VARBYTES, interpretation="opaque")]
    if what == "num":
        return [ColumnSpec(name, "<f8"), ColumnSpec(f"{name}_form", "<i2")]
    return [ColumnSpec(name, "<f8")]


def read(kind: str, token: bytes) -> tuple[Any, ...] | None:
    """Values of a token, one per column and one more; None if it is not of that type."""
    values = _read(kind, token)
    return None if values is None else (*values, None)


def _read(kind: str, token: bytes) -> tuple[Any, ...] | None:
    if kind.startswith("="):
        return () if token == kind[1:].encode("latin-1") else None
    if kind == "text":
        return (token,)
    if kind == "num":
        return _read_number(token)
    what, precision, bare = split(kind)
    if what == "int":
        if not _INTEGER.fullmatch(token):
            return None
        value = int(token)
        return (value,) if kind == "int:<i8" or abs(value) < 1 << 31 else None
    if what == "dec":
        if bare and token == b"0":
            return 0, 0
        found = _SCIENTIFIC.fullmatch(token)
        if not found or len(found[1] or b"") != precision:
            return None
        mantissa, _, exponent = token.partition(b"e")
        values: tuple[Any, ...] = int(mantissa.replace(b".", b"")), int(exponent)
    else:
        try:
            values = (float(token),)
        except ValueError:
            return None
        if not math.isfinite(values[0]):
            return None
    return values if write(kind, values) == token else None


def _read_number(token: bytes) -> tuple[float, int] | None:
    """Value and form of a number; None if no form prints it so."""
    found = _NUMBER.fullmatch(token)
    if not found:
        return None
    value, letter = float(token), (found[2] or b"f").decode()
    places = len(found[1] or b"")
    digits = len(token.partition(found[2] or b" ")[0].strip(b"-").replace(b".", b"").lstrip(b"0"))
    general = {"f": "g", "e": "g", "E": "G"}[letter]
    for way, size in ((letter, places), (general, digits)):
        if size < _DIGITS and math.isfinite(value):
            form = _LETTERS.index(way) * _DIGITS + size
            if write("num", (value, form)) == token:
                return value, form
    return None


def write(kind: str, values: Sequence[Any]) -> bytes:
    """Text of a token from its columns' values; the inverse of :func:`read`."""
    if kind.startswith("="):
        return kind[1:].encode("latin-1")
    if kind == "text":
        return bytes(values[0])
    if kind == "num":
        return f"{values[0]:.{values[1] % _DIGITS}{_LETTERS[values[1] // _DIGITS]}}".encode()
    what, precision, bare = split(kind)
    if what == "int":
        return b"%d" % values[0]
    if bare and values[0] == 0 and math.copysign(1.0, values[0]) > 0:
        return b"0"
    if what == "dec":
        digits = str(abs(values[0])).zfill(precision + 1)
        sign = "-" if values[0] < 0 else ""
        point = "." if precision else ""
        return f"{sign}{digits[0]}{point}{digits[1:]}e{values[1]:+03d}".encode()
    letter = "e" if what == "dbl" else "g"
    return f"{values[0]:.{precision}{letter}}".encode()
