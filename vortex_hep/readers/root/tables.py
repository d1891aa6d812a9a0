"""From branches to tables: which columns share a row axis."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from vortex_hep.readers.nanoaod import collection_name, link_target
from vortex_hep.readers.root import layout
from vortex_hep.readers.root.layout import BranchPlan
from vortex_hep.schema import VARBYTES, ColumnSpec, TableSpec


def _is_counter(plan: BranchPlan, entries: int) -> bool:
    return (
        plan.kind == layout.FIXED
        and len(plan.parts) == 1
        and plan.parts[0].inner == ()
        and np.dtype(plan.parts[0].dtype).kind in "iu"
        and covers(plan, entries)
    )


def covers(plan: BranchPlan, entries: int) -> bool:
    """Whether the branch's baskets hold all entries of the tree."""
    return (plan.first, plan.stop) == (0, entries)


def assign_tables(plans: Sequence[BranchPlan], entries: int) -> None:
    """Set ``table`` of every plan, and ``kind`` where a counter cannot be used."""
    groups: dict[int, list[BranchPlan]] = {}
    for plan in plans:
        if plan.kind == layout.COUNTED:
            usable = plan.counter >= 0 and _is_counter(plans[plan.counter], entries)
            if usable and covers(plan, entries):
                groups.setdefault(plan.counter, []).append(plan)
            else:
                plan.kind = layout.OWN
    taken = {""}
    for counter, members in sorted(groups.items()):
        name = collection_name(plans[counter].name, [plan.name for plan in members])
        for plan in members:
            plan.table = _unique(name, taken)
        taken.add(members[0].table)
    for plan in plans:
        if plan.kind == layout.OWN or (
            plan.kind in (layout.FIXED, layout.BYTES) and not covers(plan, entries)
        ):
            plan.table = _unique(plan.name, taken)
            taken.add(plan.table)
        elif plan.kind in (layout.FIXED, layout.BYTES):
            plan.table = ""


def _unique(name: str, taken: set[str]) -> str:
    choice, number = name, 2
    while choice in taken:
        choice = f"{name}#{number}"
        number += 1
    return choice


def build_tables(plans: Sequence[BranchPlan]) -> tuple[TableSpec, ...]:
    """Table specs in a fixed order: event scalars first, then by first branch."""
    members: dict[str, list[BranchPlan]] = {"": []}
    for plan in plans:
        if plan.kind not in (layout.NONE, layout.STORED):
            members.setdefault(plan.table, []).append(plan)
    out = []
    for name, group in members.items():
        columns = tuple(spec for plan in group for spec in _columns(plan, name, members))
        counter = None
        if name and group[0].kind == layout.COUNTED:
            counter = plans[group[0].counter].parts[0].name
        out.append(TableSpec(name, columns, counter=counter, jagged=bool(name)))
    return tuple(out)


def _columns(plan: BranchPlan, table: str, tables: dict[str, list[BranchPlan]]) -> list[ColumnSpec]:
    if plan.kind == layout.BYTES:
        return [
            ColumnSpec(
                plan.name, VARBYTES, (), plan.typename, plan.title, None,
                plan.interpretation or "opaque",
            )
        ]  # fmt: skip
    out = []
    for part in plan.parts:
        link = None
        if np.dtype(part.dtype).kind in "iu" and part.inner == ():
            link = link_target(part.name, table, tables)
        out.append(ColumnSpec(part.name, part.dtype, part.inner, plan.typename, plan.title, link))
    return out
