"""Tree descriptions in an archive's metadata, serialised and parsed."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from vortex_hep.codec.plan import CORE, Plan
from vortex_hep.core.branches import Branch, pack_branches, unpack_branches
from vortex_hep.core.interpretations import value_columns
from vortex_hep.core.schema import (
    COLUMN_DTYPES,
    MAX_COMPONENTS,
    VARBYTES,
    ColumnSpec,
    Member,
    TableSpec,
    TreeSource,
)
from vortex_hep.core.text import fault_of
from vortex_hep.errors import CorruptionError


def pack_tables(
    tables: Sequence[TableSpec], plans: Sequence[Plan], costs: Mapping[str, Sequence[Any]]
) -> dict[str, Any]:
    """Describe tables and plans as JSON values.

    Parameters
    ----------
    tables : sequence of TableSpec
    plans : sequence of Plan
    costs : mapping of str to (coder name, raw bytes, stored bytes)
        By column; for users, not for decoding.

    Returns
    -------
    dict
        ``tables``, ``coders`` and ``plans``; what :func:`unpack_tables` reads.
    """
    coders = sorted({str(c[0]) for c in costs.values()})
    return {
        "tables": [
            {
                "name": t.name,
                "counter": t.counter,
                "jagged": t.jagged,
                **({} if t.parent is None else {"within": [t.parent, t.inner_counts]}),
                # by attribute, not by column: like stands next to like
                "columns": [c.name for c in t.columns],
                "dtype": [c.dtype for c in t.columns],
                "inner": [list(c.inner) for c in t.columns],
                "typename": [c.typename for c in t.columns],
                "title": [c.title for c in t.columns],
                "link": [c.link for c in t.columns],
                "interpretation": [c.interpretation for c in t.columns],
                "coder": [
                    coders.index(costs[c.name][0]) if c.name in costs else -1 for c in t.columns
                ],
                "stored": [round(costs[c.name][2]) if c.name in costs else 0 for c in t.columns],
                "raw": [int(costs[c.name][1]) if c.name in costs else 0 for c in t.columns],
            }
            for t in tables
        ],
        "coders": coders,
        "plans": [
            [p.name, [t.name for t in tables].index(p.table), _places(p, tables)] for p in plans
        ],
    }


def pack_forms(tree: TreeSource) -> dict[str, Any]:
    """Describe the branches of a tree that are more than a column: ``branches``, if it has any."""
    found: Sequence[Branch] = getattr(tree, "branch_forms", ())
    return {"branches": pack_branches(found)} if found else {}


def read_branches(document: Mapping[str, Any], tables: Sequence[TableSpec]) -> tuple[Branch, ...]:
    """Read a tree's branches that are more than a column.

    Raises
    ------
    CorruptionError
        They are invalid.
    """
    columns = {c.spec.name: c for t in tables for c in value_columns(t)}
    try:
        return unpack_branches(document.get("branches", ()), columns, {t.name: t for t in tables})
    except (TypeError, ValueError) as error:
        msg = f"invalid 'branches' of a tree: {fault_of(error)}"
        raise CorruptionError(msg) from error


def pack_names(tree: TreeSource) -> dict[str, Any]:
    """Describe what a tree is called: ``name``, ``family`` and ``members``."""
    out: dict[str, Any] = {"name": tree.name}
    if tree.family != tree.name:
        out["family"] = tree.family
    if tree.members:
        out["members"] = [[m.name, m.prefix] for m in tree.members]
    return out


def unpack_names(document: Mapping[str, Any]) -> tuple[str, tuple[Member, ...]]:
    """Read a tree's family and members.

    Raises
    ------
    CorruptionError
        They are invalid.
    """
    try:
        family = document.get("family", document["name"])
        members = tuple(Member(name, prefix) for name, prefix in document.get("members", []))
    except (KeyError, TypeError, ValueError) as error:
        raise CorruptionError(f"invalid names of a tree: {fault_of(error)}") from error
    texts = [family, *(t for m in members for t in (m.name, m.prefix))]
    if not all(isinstance(text, str) for text in texts):
        raise CorruptionError("'family' and 'members' of a tree must be text")
    return family, members


def unpack_clusters(
    document: Mapping[str, Any],
) -> tuple[str, int, list[tuple[int, int, list[int]]]]:
    """Read a tree's name, its entries, and its clusters as (start, stop, chunk ids).

    Raises
    ------
    CorruptionError
        They are invalid, or the clusters do not cover the tree.
    """
    try:
        name, entries = str(document["name"]), int(document["entries"])
        clusters = [
            (int(start), int(stop), [int(i) for i in ids])
            for start, stop, ids in document["clusters"]
        ]
    except (KeyError, TypeError, ValueError) as error:
        raise CorruptionError(f"invalid 'clusters' of a tree: {fault_of(error)}") from error
    at = 0
    for start, stop, _ in clusters:
        if start != at or stop <= start:
            raise CorruptionError(f"'clusters' leave gaps or overlap at entry {at}", tree=name)
        at = stop
    if at != entries:
        raise CorruptionError(f"'clusters' cover {at} of {entries} entries", tree=name)
    return name, entries, clusters


def _places(plan: Plan, tables: Sequence[TableSpec]) -> list[int] | None:
    names = [c.name for t in tables if t.name == plan.table for c in t.columns]
    if list(plan.columns) == names:
        return None
    place = {n: k for k, n in enumerate(names)}
    return [place[n] for n in plan.columns]


def unpack_tables(document: Mapping[str, Any]) -> tuple[tuple[TableSpec, ...], tuple[Plan, ...]]:
    """Read what :func:`pack_tables` wrote.

    Raises
    ------
    CorruptionError
        The description is invalid.
    """
    try:
        tables = tuple(_table(t) for t in document["tables"])
        plans = tuple(_plan(p, tables) for p in document["plans"])
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
        if isinstance(error, CorruptionError):
            raise
        raise CorruptionError(f"invalid description of a tree: {fault_of(error)}") from error
    names = [n for p in plans for n in p.columns]
    whole = [c.name for t in tables for c in t.columns]
    if len(set(whole)) != len(whole) or len({t.name for t in tables}) != len(tables):
        raise CorruptionError("'tables' of a tree has a column or a table twice")
    if len(set(names)) != len(names) or len({p.name for p in plans}) != len(plans):
        raise CorruptionError("'plans' of a tree has a column or a plan twice")
    if any(len(ids) != len(plans) for _, _, ids in document["clusters"]):
        raise CorruptionError("'clusters' of a tree lists other chunks than 'plans'")
    core = {n for p in plans if p.name == CORE for n in p.columns}
    scalars = {c.name: c for t in tables if not t.jagged and t.counter is None for c in t.columns}
    for t in tables:
        if t.counter is None:
            continue
        counter = scalars.get(t.counter)
        if (
            t.counter not in core
            or counter is None
            or counter.inner
            or counter.dtype[1] not in "iu"
        ):
            raise CorruptionError(f"the counter {t.counter!r} of table {t.name!r} is invalid")
    _check_nesting(tables)
    return tables, plans


def _check_nesting(tables: Sequence[TableSpec]) -> None:
    """Raise unless every list within a list has one above it that counts it."""
    place = {t.name: k for k, t in enumerate(tables)}
    for k, t in enumerate(tables):
        if t.parent is None:
            continue
        # A list comes behind the one it is in, so that none is within itself.
        above = tables[place[t.parent]] if place.get(t.parent, k) < k else None
        counts = [c for c in above.columns if c.name == t.inner_counts] if above else []
        if not counts or counts[0].inner or counts[0].dtype[1] not in "iu" or not t.jagged:
            raise CorruptionError(f"'within' of table {t.name!r} has no valid list of counts")


def _table(t: Mapping[str, Any]) -> TableSpec:
    columns = []
    for name, dtype, inner, typename, title, link, interpretation in zip(
        t["columns"], t["dtype"], t["inner"], t["typename"], t["title"], t["link"],
        t["interpretation"], strict=True,
    ):  # fmt: skip
        if dtype not in COLUMN_DTYPES and dtype != VARBYTES:
            raise CorruptionError(f"unknown dtype {dtype!r} of a column", branch=str(name))
        if not all(isinstance(text, str) for text in (name, typename, title, interpretation)):
            raise CorruptionError(
                "name, 'typename', 'title' and 'interpretation' of a column must be text",
                branch=str(name),
            )
        if link is not None and not isinstance(link, str):
            raise CorruptionError("'link' of a column must be text", branch=name)
        shape = tuple(int(n) for n in inner)
        if any(n < 0 for n in shape) or math.prod(shape) > MAX_COMPONENTS:
            raise CorruptionError(f"'inner' {shape} of a column is out of range", branch=str(name))
        columns.append(ColumnSpec(str(name), dtype, shape, typename, title, link, interpretation))
    counter = t["counter"]
    if counter is not None and not isinstance(counter, str):
        raise CorruptionError(f"'counter' of table {t['name']!r} must be text")
    parent, counts = t.get("within", (None, None))
    if parent is not None and not (isinstance(parent, str) and isinstance(counts, str)):
        raise CorruptionError(f"'within' of table {t['name']!r} must be two texts")
    return TableSpec(str(t["name"]), tuple(columns), counter, bool(t["jagged"]), parent, counts)


def _plan(p: Sequence[Any], tables: Sequence[TableSpec]) -> Plan:
    name, number, places = p
    table = tables[int(number)]
    names = tuple(c.name for c in table.columns)
    columns = names if places is None else tuple(names[int(k)] for k in places)
    return Plan(str(name), table.name, columns, table.counter, table.jagged)
