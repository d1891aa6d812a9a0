"""Tables of a tree: which columns share a row axis."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import numpy as np

from vortex_hep.core.schema import VARBYTES, ColumnSpec, TableSpec
from vortex_hep.readers.conventions.nanoaod import collection_name, link_target
from vortex_hep.readers.root.records.records import NUMBERS
from vortex_hep.readers.root.ttree import layout
from vortex_hep.readers.root.ttree.layout import BranchPart, BranchPlan


def is_counter(plan: BranchPlan, entries: int) -> bool:
    """Whether a branch can say how many rows the entries of others have."""
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


def family_of(plan: BranchPlan) -> str:
    """What the names of branches that may share their rows begin with, or ""."""
    if not plan.rows_vary or plan.kind == layout.OWN:
        return ""
    mark = "." if "." in plan.name else "_"
    prefix, found, rest = plan.name.partition(mark)
    return prefix if found and rest and re.match(r"\w", prefix) else ""


def families(plans: Sequence[BranchPlan]) -> dict[str, list[int]]:
    """Branches that may share their rows beyond what their counters say, by family.

    ``AnalysisJetsAuxDyn.pt`` belongs to ``AnalysisJetsAuxDyn``, ``Jet_pt`` with the counter
    ``nJet_pt`` to ``Jet``. Families that have one list only, such as all of ``Jet_*`` with the
    counter ``nJet``, are left out.
    """
    members: dict[str, list[int]] = {}
    lists: dict[str, set[int]] = {}
    for plan in plans:
        family = family_of(plan)
        if family:
            members.setdefault(family, []).append(plan.number)
            own = plan.counter if plan.is_counted else -1 - plan.number
            lists.setdefault(family, set()).add(own)
    return {family: numbers for family, numbers in members.items() if len(lists[family]) > 1}


def assign_tables(plans: Sequence[BranchPlan], entries: int, alike: Mapping[int, bytes]) -> None:
    """Set ``table`` and ``tables`` of every plan.

    Parameters
    ----------
    plans : sequence of BranchPlan
    entries : int
        Entries of the tree.
    alike : mapping of int to bytes
        Numbers of branches that stand together where they have the same value here.
    """
    taken = {""}
    for name, members in [*_by_counter(plans, alike), *_by_family(plans, alike)]:
        choice = _unique(name, taken)
        taken.add(choice)
        for plan in members:
            plan.table = choice
    for plan in plans:
        alone = plan.kind in (layout.FIXED, layout.BYTES) and not covers(plan, entries)
        if plan.kind == layout.OWN or alone or _stands_alone(plan, alike):
            plan.table = _unique(plan.name, taken)
            taken.add(plan.table)
        elif not plan.rows_vary:
            plan.table = ""
    for plan in plans:
        _name_levels(plan, taken)


def _stands_alone(plan: BranchPlan, alike: Mapping[int, bytes]) -> bool:
    return plan.rows_vary and not plan.is_counted and plan.number not in alike


def _by_counter(
    plans: Sequence[BranchPlan], alike: Mapping[int, bytes]
) -> list[tuple[str, list[BranchPlan]]]:
    groups: dict[int, list[BranchPlan]] = {}
    for plan in plans:
        if plan.is_counted and plan.number not in alike:
            groups.setdefault(plan.counter, []).append(plan)
    return [
        (collection_name(plans[counter].name, [plan.name for plan in members]), members)
        for counter, members in sorted(groups.items())
    ]


def _by_family(
    plans: Sequence[BranchPlan], alike: Mapping[int, bytes]
) -> list[tuple[str, list[BranchPlan]]]:
    """Groups of branches with equal numbers of rows; the largest one of a family has its name."""
    groups: dict[tuple[str, bytes], list[BranchPlan]] = {}
    for plan in plans:
        if plan.number in alike:
            groups.setdefault((family_of(plan), alike[plan.number]), []).append(plan)
    order = sorted(groups.items(), key=lambda item: (-len(item[1]), item[1][0].number))
    return [(family, members) for (family, _), members in order]


def _name_levels(plan: BranchPlan, taken: set[str]) -> None:
    """Name the tables of the lists in a branch of records."""
    program = plan.program
    if program is None or plan.kind != layout.RECORDS:
        return
    plan.tables = [""]
    for level in range(1, len(program.parents)):
        if level == program.top:
            plan.tables.append(plan.table)
        else:
            plan.tables.append(_unique(plan.levels[level], taken))
            taken.add(plan.tables[-1])


def _unique(name: str, taken: set[str]) -> str:
    choice, number = name, 2
    while choice in taken:
        choice = f"{name}#{number}"
        number += 1
    return choice


def build_tables(plans: Sequence[BranchPlan]) -> tuple[TableSpec, ...]:
    """Table specs in a fixed order: event scalars first, then by first branch."""
    members: dict[str, list[tuple[BranchPlan, BranchPart]]] = {"": []}
    counters: dict[str, str] = {}
    nested: dict[str, tuple[str, str]] = {}
    for plan in plans:
        if not plan.has_columns:
            continue
        if plan.kind == layout.BYTES:
            members.setdefault(plan.table, []).append(
                (plan, BranchPart(plan.name, VARBYTES, (), 0))
            )
        for part in plan.parts if plan.kind != layout.BYTES else ():
            members.setdefault(plan.table_of(part), []).append((plan, part))
        if plan.is_counted:
            counters.setdefault(plan.table, plans[plan.counter].parts[0].name)
        nested |= _nesting(plan)
    out = []
    for name, group in members.items():
        columns = tuple(_column(plan, part, name, members) for plan, part in group)
        counter = counters.get(name)
        parent, counts = nested.get(name, (None, None))
        out.append(
            TableSpec(name, columns, counter=counter, jagged=bool(name), parent=parent,
                      inner_counts=counts)
        )  # fmt: skip
    return tuple(out)


def _nesting(plan: BranchPlan) -> dict[str, tuple[str, str]]:
    """Of each list within a list: the table of the outer one, and the column that counts it."""
    program = plan.program
    if program is None or plan.kind != layout.RECORDS:
        return {}
    out = {}
    for number, output in enumerate(program.outputs):
        if output.kind == NUMBERS:
            part = next(part for part in plan.parts if part.output == number)
            out[plan.tables[output.counted]] = plan.tables[output.level], part.name
    return out


def _column(
    plan: BranchPlan, part: BranchPart, table: str, tables: Mapping[str, object]
) -> ColumnSpec:
    if part.dtype == VARBYTES:
        kind = plan.interpretation or ("string" if plan.kind == layout.RECORDS else "opaque")
        return ColumnSpec(part.name, VARBYTES, (), plan.typename, plan.title, None, kind)
    link = None
    if np.dtype(part.dtype).kind in "iu" and part.inner == ():
        link = link_target(part.name, table, tables)
    return ColumnSpec(part.name, part.dtype, part.inner, plan.typename, plan.title, link)
