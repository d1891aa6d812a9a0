"""Numbers and tables as text."""

from __future__ import annotations

import difflib
import html
from collections.abc import Sequence
from datetime import datetime, timezone


def fault_of(error: Exception) -> str:
    """What is wrong with a document, from the exception that parsing it raised.

    Examples
    --------
    >>> fault_of(KeyError("columns")), fault_of(ValueError("precision 99"))
    ("key 'columns' is missing", 'precision 99')
    """
    if isinstance(error, KeyError) and error.args:
        return f"key {error.args[0]!r} is missing"
    return str(error) or type(error).__name__


def near_misses(name: str, known: Sequence[str]) -> str:
    """Up to three names that resemble ``name``, for an error message; whatever their case.

    Examples
    --------
    >>> near_misses("jet_PT", ["Jet_pt", "Jet_eta", "MET_pt"])
    "'Jet_pt', 'MET_pt', 'Jet_eta'"
    >>> near_misses("x", ["Jet_pt"])
    ''
    """
    by_lower: dict[str, str] = {}
    for one in known:
        by_lower.setdefault(one.lower(), one)
    found = difflib.get_close_matches(name.lower(), list(by_lower), 3)
    return ", ".join(repr(by_lower[one]) for one in found)


def format_bytes(count: int | float) -> str:
    """Bytes in decimal units.

    Examples
    --------
    >>> format_bytes(999), format_bytes(1_500_000)
    ('999 B', '1.50 MB')
    """
    if count < 1000:
        return f"{count:.0f} B"
    value = float(count)
    units = iter(("kB", "MB", "GB", "TB"))
    unit = ""
    while value >= 1000 and (larger := next(units, None)):
        value, unit = value / 1000, larger
    return f"{value:.2f} {unit}"


def format_ratio(raw: int | float, stored: int | float) -> str:
    """Raw over stored bytes; a dash where nothing is stored."""
    return f"{raw / stored:.2f}" if stored else "-"


def format_table(
    header: Sequence[str], rows: Sequence[Sequence[str]], *, left: Sequence[int] = (0,)
) -> str:
    """A table of aligned columns.

    Parameters
    ----------
    header : sequence of str
    rows : sequence of sequences of str
    left : sequence of int
        Columns to align left; the rest, figures, align right.
    """
    lines = [list(header), *[list(row) for row in rows]]
    widths = [max(len(line[i]) for line in lines) for i in range(len(header))]
    out = []
    for line in lines:
        cells = [
            cell.ljust(width) if place in left else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(line, widths, strict=True))
        ]
        out.append("  ".join(cells).rstrip())
    out.insert(1, "  ".join("-" * width for width in widths))
    return "\n".join(out)


def html_table(
    header: Sequence[str], rows: Sequence[Sequence[str]], *, left: Sequence[int] = (0,)
) -> str:
    """A table for a notebook; columns as in :func:`format_table`.

    Examples
    --------
    >>> html_table(["a"], [])
    '<table><tr><th style="text-align:left">a</th></tr></table>'
    """

    def row(cells: Sequence[str], tag: str) -> str:
        sides = ["left" if place in left else "right" for place in range(len(cells))]
        inner = "".join(
            f'<{tag} style="text-align:{side}">{html.escape(cell)}</{tag}>'
            for cell, side in zip(cells, sides, strict=True)
        )
        return f"<tr>{inner}</tr>"

    body = "".join(row(cells, "td") for cells in rows)
    return f"<table>{row(header, 'th')}{body}</table>"


def plural(count: int, noun: str, nouns: str | None = None) -> str:
    """A count with its noun.

    Examples
    --------
    >>> plural(1, "event"), plural(12000, "event"), plural(2, "entry", "entries")
    ('1 event', '12,000 events', '2 entries')
    """
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {nouns or noun + 's'}"


def format_duration(seconds: float) -> str:
    """A time span in its two largest units.

    Examples
    --------
    >>> format_duration(8.25), format_duration(723), format_duration(12_000)
    ('8.2 s', '12 min 3 s', '3 h 20 min')
    >>> format_duration(200_000)
    '2 d 7 h'
    """
    if seconds < 60:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    for large, small, size, part in (
        ("d", "h", 86400, 3600),
        ("h", "min", 3600, 60),
        ("min", "s", 60, 1),
    ):
        if whole >= size:
            return f"{whole // size} {large} {whole % size // part} {small}"
    return f"{whole} s"


def format_moment(moment: float) -> str:
    """A time in seconds since 1970, as a date in UTC; empty where there is none.

    Examples
    --------
    >>> format_moment(1796066985.36), format_moment(0)
    ('2026-11-30 19:29:45 UTC', '')
    """
    if moment <= 0:
        return ""
    return datetime.fromtimestamp(moment, timezone.utc).strftime("%Y-%m-%d %H:%M:%S UTC")


def one_line(text: str) -> str:
    r"""Text without line breaks and control characters, for a terminal or a log.

    Examples
    --------
    >>> one_line("no space\n\x1b[31mleft")
    'no space [31mleft'
    """
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())
