"""Coding plans: the units of a tree that are coded and read together.

A collection is one plan. The event scalars are two: the *core*, which holds what other plans
need (the counters, above all), so that reading a collection does not cost all scalars, and the
rest.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from vortex_hep.core.schema import TableSpec

CORE = ""
REST = "/scalars"


@dataclass(frozen=True)
class Plan:
    """A unit of coding: some columns of one table.

    Parameters
    ----------
    name : str
        Unique within the tree; CORE, REST, or the table's name.
    table : str
        Name of the reader's table that the columns belong to.
    columns : tuple of str
    counter : str or None
        Core column that gives the rows per lane; None where the chunk stores them itself
        (jagged) or where there is one row per lane.
    jagged : bool
    """

    name: str
    table: str
    columns: tuple[str, ...]
    counter: str | None = None
    jagged: bool = False


def make_plans(tables: Sequence[TableSpec]) -> tuple[Plan, ...]:
    """Cut the tables of a tree into plans; the core, if there is one, comes first."""
    counters = {t.counter for t in tables if t.counter is not None}
    plans: list[Plan] = []
    for t in tables:
        names = tuple(c.name for c in t.columns)
        if t.name != CORE or t.jagged:
            plans.append(Plan(t.name, t.name, names, t.counter, t.jagged))
            continue
        core = tuple(n for n in names if n in counters)
        rest = tuple(n for n in names if n not in counters)
        if core:
            plans.insert(0, Plan(CORE, CORE, core))
        if rest:
            plans.append(Plan(REST, CORE, rest))
    return tuple(plans)
