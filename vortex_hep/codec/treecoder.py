"""Coding the clusters of a tree: plans in order of dependence, side by side where they can be."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from vortex_hep.codec import classical
from vortex_hep.codec.container import check_decoded
from vortex_hep.codec.fields import Field
from vortex_hep.codec.plan import CORE, Plan
from vortex_hep.codec.rows import Source, context_fields, entry_buckets, source_of
from vortex_hep.codec.sequencecoder import LaneChoice
from vortex_hep.codec.sequencetable import decoder_of, encoder_of
from vortex_hep.codec.tablechunk import TableChunk, decoded_bytes
from vortex_hep.errors import ModelMismatchError
from vortex_hep.nn.engine import Engine
from vortex_hep.nn.linking import is_virtual
from vortex_hep.nn.sequence.model import AnyModel, SequenceModel
from vortex_hep.nn.tablemodel import TableModel
from vortex_hep.schema import Cluster, ColumnSpec, TableData, TableSpec

Array = npt.NDArray[Any]


def plan_specs(plan: Plan, tables: Sequence[TableSpec]) -> tuple[ColumnSpec, ...]:
    """Column specs of a plan, in the plan's order."""
    by_name = {c.name: c for t in tables if t.name == plan.table for c in t.columns}
    return tuple(by_name[name] for name in plan.columns)


def plan_data(plan: Plan, cluster: Cluster) -> TableData:
    """The columns of a plan, taken from a cluster."""
    table = cluster[plan.table]
    return TableData(table.offsets, {name: table.columns[name] for name in plan.columns})


def _is_flat(plan: Plan) -> bool:
    """Whether there is exactly one row per entry."""
    return plan.counter is None and not plan.jagged


def _sequences(plans: Sequence[Plan], models: Mapping[str, AnyModel]) -> dict[str, SequenceModel]:
    """Sequence models of these plans; they lean on no other plan."""
    here = {p.name for p in plans}
    return {n: m for n, m in models.items() if isinstance(m, SequenceModel) and n in here}


def _usable(plans: Sequence[Plan], models: Mapping[str, AnyModel]) -> dict[str, TableModel]:
    """Table models that can serve a tree of these plans.

    Raises
    ------
    ModelMismatchError
        The models do not fit one another.
    """
    usable = {}
    for plan in plans:
        model = models.get(plan.name)
        if not isinstance(model, TableModel) or (model.block and not _is_flat(plan)):
            continue
        # A branch may have the name of a made-up column; the classical coders take such a table.
        if not any(is_virtual(name) for name in plan.columns):
            usable[plan.name] = model
    core = usable.get(CORE)
    if core is not None and (core.fold or core.links or core.lane_context):
        raise ModelMismatchError("the model's core is no table of one row per lane")
    if _inputs_of(core) - {CORE}:
        raise ModelMismatchError("the model's core is predicted from what comes after it")
    for name, model in usable.items():
        _check_context(name, model, usable)
        for link, fields in zip(model.links, model.shape.links, strict=True):
            source = usable.get(link.source)
            if link.source == name or source is None:
                continue
            if link.source == CORE or source.fold or source.shape.fields != fields:
                raise ModelMismatchError(
                    f"the model's table {name!r} links to a {link.source!r} that is another table"
                )
    return usable


def _check_context(name: str, model: TableModel, usable: Mapping[str, TableModel]) -> None:
    known = {
        plan: context_fields(usable[plan].fields)
        for plan in {plan for plan, _ in model.lane_context}
        if plan in usable
    }
    for plan, column in model.lane_context:
        if plan in known and column not in known[plan]:
            raise ModelMismatchError(
                f"the model's table {name!r} needs context that {plan!r} does not give"
            )


def _sources_of(name: str, model: TableModel | None) -> set[str]:
    """Plans that must be decoded before one."""
    if model is None:
        return set()
    sources = {link.source for link in model.links} | {plan for plan, _ in model.lane_context}
    return (sources | _inputs_of(model)) - {name}


def _inputs_of(model: TableModel | None) -> set[str]:
    """Plans whose values a model's predictors ask for, its own among them."""
    if model is None:
        return set()
    return {i.plan for f in model.fields if f.predictor is not None for i in f.predictor.inputs}


def _levels_of(plans: Sequence[Plan], models: Mapping[str, TableModel]) -> dict[str, int]:
    """How many tables must come before each plan, counted along what it leans on."""
    here = {p.name for p in plans}
    before = {p.name: _sources_of(p.name, models.get(p.name)) & here for p in plans}
    levels: dict[str, int] = {}
    while len(levels) < len(before):
        ready = [n for n, s in before.items() if n not in levels and s <= levels.keys()]
        if not ready:
            rest = ", ".join(sorted(before.keys() - levels.keys())[:5])
            raise ModelMismatchError(f"tables of the model link in a circle: {rest}")
        for name in ready:
            levels[name] = max((1 + levels[s] for s in before[name]), default=0)
    return levels


@dataclass
class _Levels:
    """Plans in groups that can be coded side by side, and those that others link to."""

    plans: list[list[Plan]]
    sources: set[str]


def _by_level(plans: Sequence[Plan], models: Mapping[str, TableModel]) -> _Levels:
    groups: dict[int, list[Plan]] = {}
    levels = _levels_of(plans, models)
    for plan in plans:
        groups.setdefault(levels[plan.name], []).append(plan)
    here = {p.name for p in plans}
    sources = {s for name in here for s in _sources_of(name, models.get(name))}
    return _Levels([groups[k] for k in sorted(groups)], sources)


def _sources_for(
    model: TableModel | None, found: Mapping[str, Source | None]
) -> list[Source | None]:
    """Rows that a model's links may point to; None for tables that the file does not have."""
    if model is None:
        return []
    return [found.get(link.source) for link in model.links]


def _flat_fields(
    plans: Sequence[Plan], models: Mapping[str, TableModel]
) -> dict[str, tuple[Field, ...]]:
    """Fields of the plans with one row per entry: what others may have as context."""
    return {p.name: models[p.name].fields for p in plans if _is_flat(p) and p.name in models}


def _context(
    model: TableModel | None,
    fields: Mapping[str, tuple[Field, ...]],
    found: Mapping[str, Source | None],
    entries: int,
) -> Array:
    """Buckets of the context that a model has of each entry."""
    context = () if model is None else model.lane_context
    # By name: other threads may be adding to what is found.
    known = {plan: found.get(plan) for plan in fields}
    return entry_buckets(context, fields, known, entries)


class TreeEncoder:
    """Encodes clusters of a tree.

    Parameters
    ----------
    plans : sequence of Plan
    tables : sequence of TableSpec
    models : mapping of str to TableModel or SequenceModel
        By plan name; those of other plans are passed over.
    effort : {"fast", "normal", "max"}
    outer, inner : Executor
        For plans, and for the lane groups within a plan; they must not be the same.
    engine : Engine, optional
        Computes the frequencies; all engines give the same. The compiled one by default.
    choice : LaneChoice, optional
        How sequence models cut rows into lanes.

    Attributes
    ----------
    used : set of str
        Plans whose model is needed to decode what was encoded so far.
    """

    def __init__(
        self,
        plans: Sequence[Plan],
        tables: Sequence[TableSpec],
        models: Mapping[str, AnyModel],
        effort: classical.Effort,
        outer: Executor,
        inner: Executor,
        engine: Engine | None = None,
        choice: LaneChoice | None = None,
    ) -> None:
        self._models = _usable(plans, models)
        self._sequences = _sequences(plans, models)
        self._levels = _by_level(plans, self._models)
        self._fields = _flat_fields(plans, self._models)
        self.plans = tuple(plans)
        self.used: set[str] = set()
        self._tables = tables
        self._inner = inner
        self._engine = engine
        self._decoder: tuple[int, TreeDecoder] | None = None
        known: dict[str, AnyModel] = {**self._models, **self._sequences}
        self._encoders = {
            p.name: encoder_of(
                known.get(p.name), p, plan_specs(p, tables), effort, inner, engine, choice
            )
            for p in plans
        }
        self._outer = outer

    def encode(self, cluster: Cluster) -> dict[str, TableChunk]:
        """Encode one cluster.

        Parameters
        ----------
        cluster : dict of str to TableData

        Returns
        -------
        dict of str to TableChunk
            By plan name, in the order of the plans.
        """
        found: dict[str, Source | None] = {}
        by_name = {p.name: p for p in self.plans}
        here = by_name.keys()

        def work(plan: Plan) -> tuple[TableChunk, Source | None]:
            encoder = self._encoders[plan.name]
            data = plan_data(plan, cluster)
            sources = _sources_for(encoder.model, found)
            others = {n: plan_data(by_name[n], cluster) for n in _inputs_of(encoder.model) & here}
            rows, tokens = encoder.tokenise(data, sources, others)
            entries = len(data.offsets) - 1 if tokens is not None else 0
            context = _context(encoder.model, self._fields, found, entries)
            chunk = encoder.encode(data, rows, tokens, context, sources)
            if chunk.uses_network:
                self._use(plan.name)
            if encoder.model is None or tokens is None or plan.name not in self._levels.sources:
                return chunk, None
            fields = encoder.model.fields
            return chunk, source_of(fields, tokens.compact, data.offsets, data.columns)

        chunks: dict[str, TableChunk] = {}
        for level in self._levels.plans:
            # Large plans first, so that none is left to run alone at the end.
            order = sorted(level, key=lambda p: -len(p.columns) * cluster[p.table].num_rows)
            for plan, (chunk, source) in zip(order, self._outer.map(work, order), strict=True):
                chunks[plan.name] = chunk
                found[plan.name] = source
        return {p.name: chunks[p.name] for p in self.plans}

    def decoder(self) -> TreeDecoder:
        """A decoder of what was encoded so far, with no more models than an archive will hold."""
        if self._decoder is None or self._decoder[0] != len(self.used):
            known: dict[str, AnyModel] = {**self._models, **self._sequences}
            models = {name: m for name, m in known.items() if name in self.used}
            decoder = TreeDecoder(
                self.plans, self._tables, models, self._outer, self._inner, self._engine
            )
            self._decoder = (len(self.used), decoder)
        return self._decoder[1]

    def _use(self, name: str) -> None:
        """Note that a plan's model is needed, and those of the plans that it leans on."""
        model = self._models.get(name)
        if name in self.used or (model is None and name not in self._sequences):
            return
        self.used.add(name)
        for source in _sources_of(name, model):
            self._use(source)


class TreeDecoder:
    """Decodes clusters of a tree.

    Parameters
    ----------
    plans, tables, models, outer, inner
        As :class:`TreeEncoder` takes them.
    """

    def __init__(
        self,
        plans: Sequence[Plan],
        tables: Sequence[TableSpec],
        models: Mapping[str, AnyModel],
        outer: Executor,
        inner: Executor,
        engine: Engine | None = None,
    ) -> None:
        usable = _usable(plans, models)
        self._levels = _by_level(plans, usable)
        self._fields = _flat_fields(plans, usable)
        self.plans = {p.name: p for p in plans}
        known: dict[str, AnyModel] = {**usable, **_sequences(plans, models)}
        self._decoders = {
            p.name: decoder_of(known.get(p.name), p, plan_specs(p, tables), inner, engine)
            for p in plans
        }
        self._outer = outer

    def needed(self, wanted: Sequence[str]) -> list[str]:
        """Plans to decode, in order, to get those in ``wanted``."""
        names: set[str] = set()
        todo = list(wanted)
        while todo:
            name = todo.pop()
            if name in names:
                continue
            names.add(name)
            model = self._decoders[name].model
            todo += [s for s in _sources_of(name, model) if s in self.plans]
            if self.plans[name].counter is not None:
                todo.append(CORE)
        return [name for name in self.plans if name in names]

    def decode(
        self, payloads: Mapping[str, bytes], chunks: Mapping[str, Any], lanes: int
    ) -> dict[str, TableData]:
        """Decode the chunks of one cluster and check them.

        Parameters
        ----------
        payloads : mapping of str to bytes
            By plan name, as :meth:`needed` lists them.
        chunks : mapping of str to index rows
            What the container promises of the decoded data.
        lanes : int

        Returns
        -------
        dict of str to TableData
            By plan name.

        Raises
        ------
        CorruptionError
            A chunk does not decode, or to other data than was encoded.
        """
        out: dict[str, TableData] = {}
        found: dict[str, Source | None] = {}

        def work(name: str) -> tuple[TableData, Source | None]:
            plan, model = self.plans[name], self._decoders[name].model
            counts = None
            if plan.counter is not None:
                counts = np.asarray(out[CORE].columns[plan.counter])
            buckets = partial(_context, model, self._fields, found, lanes)
            sources = _sources_for(model, found)
            others = {n: out[n] for n in _inputs_of(model) & self.plans.keys() if n != name}
            data, own = self._decode(
                name, payloads, chunks, lanes, counts, buckets, sources, others
            )
            if model is None or own is None or name not in self._levels.sources:
                return data, None
            return data, source_of(model.fields, own, data.offsets, data.columns)

        if CORE in payloads:
            out[CORE], found[CORE] = work(CORE)
        for level in self._levels.plans:
            names = [p.name for p in level if p.name in payloads and p.name != CORE]
            names.sort(key=lambda n: -len(payloads[n]))
            for name, (data, source) in zip(names, self._outer.map(work, names), strict=True):
                out[name] = data
                found[name] = source
        return out

    def _decode(
        self, name: str, payloads: Mapping[str, bytes], chunks: Mapping[str, Any], lanes: int,
        counts: Array | None, buckets: Callable[[], Array], sources: Sequence[Source | None],
        others: Mapping[str, TableData],
    ) -> tuple[TableData, list[Array] | None]:  # fmt: skip
        decoder = self._decoders[name]
        data, compact = decoder.decode(
            payloads[name],
            lanes,
            counts,
            buckets,
            sources,
            int(chunks[name]["decoded_size"]),
            others,
        )
        check_decoded(chunks[name], decoded_bytes(decoder.plan, decoder.specs, data))
        return data, compact
