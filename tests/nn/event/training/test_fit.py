"""Tests of the order in which tables are fitted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

from vortex_hep.nn.event.training.fit import _in_turn


@dataclass
class Table:
    """What the order depends on."""

    name: str
    row_bytes: float
    lane_context: tuple[tuple[str, str], ...] = ()


def test_no_table_waits_for_one_behind_it() -> None:
    tables = [
        Table("", 1.0), Table("small", 2.0, (("", "n"),)),
        Table("large", 900.0, (("", "n"), ("small", "x"))), Table("light", 5.0, (("", "n"),)),
        Table("heavy", 50.0, (("large", "y"),)),
    ]  # fmt: skip
    order = [p.name for p in _in_turn(cast("Any", tables), {t.name: 100 for t in tables})]
    assert order == ["", "small", "large", "heavy", "light"]
