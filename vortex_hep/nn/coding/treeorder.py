"""Dependencies between the tables of a tree, and the order in which they are coded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy.typing as npt

from vortex_hep.codec.plan import CORE, Plan
from vortex_hep.codec.tokens.fields import Field
from vortex_hep.codec.tokens.rows import Source, context_fields, entry_buckets
from vortex_hep.errors import ModelMismatchError
from vortex_hep.nn.event.linking import is_virtual
from vortex_hep.nn.event.model import EventModel
from vortex_hep.nn.sequence.model import AnyModel, SequenceModel

Array = npt.NDArray[Any]


def is_flat(plan: Plan) -> bool:
    """Whether there is exactly one row per entry."""
    return plan.counter is None and not plan.jagged


def sequence_models(
    plans: Sequence[Plan], models: Mapping[str, AnyModel]
) -> dict[str, SequenceModel]:
    """Transformers of these plans; they depend on no other plan."""
    here = {p.name for p in plans}
    return {n: m for n, m in models.items() if isinstance(m, SequenceModel) and n in here}


def usable_models(plans: Sequence[Plan], models: Mapping[str, AnyModel]) -> dict[str, EventModel]:
    """Event models that can serve a tree of these plans.

    Raises
    ------
    ModelMismatchError
        The models do not fit one another.
    """
    usable = {}
    for plan in plans:
        model = models.get(plan.name)
        if not isinstance(model, EventModel) or (model.block and not is_flat(plan)):
            continue
        # A branch may have the name of a virtual column; classical coders then code the table.
        if not any(is_virtual(name) for name in plan.columns):
            usable[plan.name] = model
    core = usable.get(CORE)
    if core is not None and (core.fold or core.links or core.lane_context):
        raise ModelMismatchError("the model's core must have one row per entry, and no context")
    if inputs_of(core) - {CORE}:
        raise ModelMismatchError("the model's core must not depend on other tables")
    for name, model in usable.items():
        _check_context(name, model, usable)
        for link, fields in zip(model.links, model.shape.links, strict=True):
            source = usable.get(link.source)
            if link.source == name or source is None:
                continue
            if link.source == CORE or source.fold or source.shape.fields != fields:
                raise ModelMismatchError(
                    f"the model's table {name!r} links to {link.source!r}, which has other fields"
                )
    return usable


def _check_context(name: str, model: EventModel, usable: Mapping[str, EventModel]) -> None:
    known = {
        plan: context_fields(usable[plan].fields)
        for plan in {plan for plan, _ in model.lane_context}
        if plan in usable
    }
    for plan, column in model.lane_context:
        if plan in known and column not in known[plan]:
            raise ModelMismatchError(
                f"the model's table {name!r} needs column {column!r} of {plan!r} as context"
            )


def sources_of(name: str, model: EventModel | None) -> set[str]:
    """Plans that must be decoded before one."""
    if model is None:
        return set()
    sources = {link.source for link in model.links} | {plan for plan, _ in model.lane_context}
    return (sources | inputs_of(model)) - {name}


def inputs_of(model: EventModel | None) -> set[str]:
    """Plans whose values a model's predictors ask for, its own among them."""
    if model is None:
        return set()
    return {i.plan for f in model.fields if f.predictor is not None for i in f.predictor.inputs}


def _levels_of(plans: Sequence[Plan], models: Mapping[str, EventModel]) -> dict[str, int]:
    """How many tables must come before each plan, counted along its dependencies."""
    here = {p.name for p in plans}
    before = {p.name: sources_of(p.name, models.get(p.name)) & here for p in plans}
    levels: dict[str, int] = {}
    while len(levels) < len(before):
        ready = [n for n, s in before.items() if n not in levels and s <= levels.keys()]
        if not ready:
            rest = ", ".join(sorted(before.keys() - levels.keys())[:5])
            raise ModelMismatchError(
                f"tables of the model depend on one another in a circle: {rest}"
            )
        for name in ready:
            levels[name] = max((1 + levels[s] for s in before[name]), default=0)
    return levels


@dataclass
class Levels:
    """Plans in groups that can be coded side by side, and the dependencies of others.

    Parameters
    ----------
    plans : list of list of Plan
    sources : set of str
    """

    plans: list[list[Plan]]
    sources: set[str]


def by_level(plans: Sequence[Plan], models: Mapping[str, EventModel]) -> Levels:
    """Group plans so that each depends only on plans of the groups before.

    Raises
    ------
    ModelMismatchError
        They depend on one another in a circle.
    """
    groups: dict[int, list[Plan]] = {}
    levels = _levels_of(plans, models)
    for plan in plans:
        groups.setdefault(levels[plan.name], []).append(plan)
    here = {p.name for p in plans}
    sources = {s for name in here for s in sources_of(name, models.get(name))}
    return Levels([groups[k] for k in sorted(groups)], sources)


def link_sources(model: EventModel, found: Mapping[str, Source | None]) -> list[Source | None]:
    """Rows that a model's links may point to; None for tables that the file does not have."""
    return [found.get(link.source) for link in model.links]


def flat_fields(
    plans: Sequence[Plan], models: Mapping[str, EventModel]
) -> dict[str, tuple[Field, ...]]:
    """Fields of the plans with one row per entry: what others may have as context."""
    return {p.name: models[p.name].fields for p in plans if is_flat(p) and p.name in models}


def lane_context(
    model: EventModel,
    fields: Mapping[str, tuple[Field, ...]],
    found: Mapping[str, Source | None],
    entries: int,
) -> Array:
    """Buckets of the context that a model has of each entry."""
    # By name: other threads may be adding to what is found.
    known = {plan: found.get(plan) for plan in fields}
    return entry_buckets(model.lane_context, fields, known, entries)
