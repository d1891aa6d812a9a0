"""The text of docs/SPEC.md, for tests that compare it with the code."""

from __future__ import annotations

import re
from pathlib import Path

TEXT = (Path(__file__).parents[1] / "docs" / "SPEC.md").read_text(encoding="utf-8")


def section(number: str) -> str:
    """Text of a section, without those behind it."""
    start = re.search(rf"^#+ {re.escape(number)}\.? ", TEXT, re.MULTILINE)
    assert start is not None
    stop = re.search(r"^#+ \d", TEXT[start.end() :], re.MULTILINE)
    return TEXT[start.start() : start.end() + stop.start()] if stop else TEXT[start.start() :]


def table_rows(text: str) -> list[list[str]]:
    """Cells of all tables in a text."""
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
