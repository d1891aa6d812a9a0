"""Coding the clusters of a tree: plans in order of dependence, side by side where they can be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from vortex_hep.codec import classical
from vortex_hep.codec.container import check_decoded
from vortex_hep.codec.plan import CORE, Plan
from vortex_hep.codec.rows import Source, lane_buckets, source_of
from vortex_hep.codec.tablechunk import TableChunk, decoded_bytes
from vortex_hep.codec.tabledecoder import TableDecoder
from vortex_hep.codec.tableencoder import TableEncoder
from vortex_hep.errors import CorruptionError, ModelMismatchError
from vortex_hep.nn.engine import Engine
from vortex_hep.nn.linking import is_virtual
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


def _usable(plans: Sequence[Plan], models: Mapping[str, TableModel]) -> dict[str, TableModel]:
    """Models that can serve a tree of these plans: those whose context the tree has.

    Raises
    ------
    ModelMismatchError
        The models do not fit one another.
    """
    usable = {}
    for plan in plans:
        model = models.get(plan.name)
        if model is None or (model.lane_context and all(p.name != CORE for p in plans)):
            continue
        # A branch may have the name of a made-up column; the classical coders take such a table.
        if not any(is_virtual(name) for name in plan.columns):
            usable[plan.name] = model
    core = usable.get(CORE)
    known = {f.columns[0] for f in core.fields if f.component == 0} if core is not None else set()
    if any(not known.issuperset(model.lane_context) for model in usable.values()):
        raise ModelMismatchError("the model needs context that its core does not give")
    if core is not None and (core.fold or core.links):
        raise ModelMismatchError("the model's core is no table of one row per lane")
    for name, model in usable.items():
        for link, fields in zip(model.links, model.shape.links, strict=True):
            source = usable.get(link.source)
            if link.source == name or source is None:
                continue
            if link.source == CORE or source.fold or source.shape.fields != fields:
                raise ModelMismatchError(
                    f"the model's table {name!r} links to a {link.source!r} that is another table"
                )
    return usable


def _levels_of(plans: Sequence[Plan], models: Mapping[str, TableModel]) -> dict[str, int]:
    """How many tables must come before each plan, counted along its links."""
    here = {p.name for p in plans}
    before = {
        p.name: {
            link.source
            for link in (models[p.name].links if p.name in models else ())
            if link.source != p.name and link.source in here
        }
        for p in plans
    }
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
    sources = {
        link.source for name, m in models.items() if name in here for link in m.links
        if link.source != name
    }  # fmt: skip
    return _Levels([groups[k] for k in sorted(groups)], sources)


def _sources_for(
    model: TableModel | None, found: Mapping[str, Source | None]
) -> list[Source | None]:
    """Rows that a model's links may point to; None for tables that the file does not have."""
    if model is None:
        return []
    return [found.get(link.source) for link in model.links]


class TreeEncoder:
    """Encodes clusters of a tree.

    Parameters
    ----------
    plans : sequence of Plan
    tables : sequence of TableSpec
    models : mapping of str to TableModel
        By plan name; those of other plans are passed over.
    effort : {"fast", "normal", "max"}
    outer, inner : Executor
        For plans, and for the lane groups within a plan; they must not be the same.
    engine : Engine, optional
        Computes the frequencies; all engines give the same. The compiled one by default.

    Attributes
    ----------
    used : set of str
        Plans whose model is needed to decode what was encoded so far.
    """

    def __init__(
        self,
        plans: Sequence[Plan],
        tables: Sequence[TableSpec],
        models: Mapping[str, TableModel],
        effort: classical.Effort,
        outer: Executor,
        inner: Executor,
        engine: Engine | None = None,
    ) -> None:
        self._models = _usable(plans, models)
        self._levels = _by_level(plans, self._models)
        self.plans = tuple(plans)
        self.used: set[str] = set()
        self._tables = tables
        self._inner = inner
        self._engine = engine
        self._decoder: tuple[int, TreeDecoder] | None = None
        self._encoders = {
            p.name: TableEncoder(
                p, plan_specs(p, tables), self._models.get(p.name), effort, inner, engine
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
        contexts = self._contexts(cluster)
        found: dict[str, Source | None] = {}

        def work(plan: Plan) -> tuple[TableChunk, Source | None]:
            encoder = self._encoders[plan.name]
            data = plan_data(plan, cluster)
            sources = _sources_for(encoder.model, found)
            rows, tokens = encoder.tokenise(data, sources)
            context = contexts.get(plan.name, np.zeros((len(data.offsets) - 1, 0), np.uint8))
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
            models = {name: m for name, m in self._models.items() if name in self.used}
            decoder = TreeDecoder(
                self.plans, self._tables, models, self._outer, self._inner, self._engine
            )
            self._decoder = (len(self.used), decoder)
        return self._decoder[1]

    def _use(self, name: str) -> None:
        """Note that a plan's model is needed, and those of the plans that it leans on."""
        model = self._models.get(name)
        if model is None or name in self.used:
            return
        self.used.add(name)
        if model.lane_context:
            self._use(CORE)
        for link in model.links:
            self._use(link.source)

    def _contexts(self, cluster: Cluster) -> dict[str, Array]:
        """Buckets of the core's columns that each plan has as context."""
        core = self._encoders.get(CORE)
        if core is None or core.model is None:
            return {}
        data = plan_data(core.plan, cluster)
        _, tokens = core.tokenise(data)
        if tokens is None:
            return {}
        lanes = len(data.offsets) - 1
        return {
            name: lane_buckets(model.lane_context, core.model.fields, tokens.compact, lanes)
            for name, model in self._models.items()
        }


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
        models: Mapping[str, TableModel],
        outer: Executor,
        inner: Executor,
        engine: Engine | None = None,
    ) -> None:
        models = _usable(plans, models)
        self._levels = _by_level(plans, models)
        self.plans = {p.name: p for p in plans}
        self._decoders = {
            p.name: TableDecoder(p, plan_specs(p, tables), models.get(p.name), inner, engine)
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
            if model is not None:
                todo += [link.source for link in model.links if link.source in self.plans]
            if self.plans[name].counter is not None or (
                model is not None and len(model.lane_context)
            ):
                names.add(CORE)
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
        compact: list[Array] | None = None
        empty = np.zeros((lanes, 0), np.uint8)
        if CORE in payloads:
            out[CORE], compact = self._decode(CORE, payloads, chunks, lanes, None, empty)
        core = self._decoders[CORE].model if CORE in self._decoders else None

        found: dict[str, Source | None] = {}

        def work(name: str) -> tuple[TableData, Source | None]:
            plan, model = self.plans[name], self._decoders[name].model
            counts = None
            if plan.counter is not None:
                counts = np.asarray(out[CORE].columns[plan.counter])
            buckets = empty
            if model is not None and model.lane_context:
                if core is None or compact is None:
                    raise CorruptionError("the core table is missing")
                buckets = lane_buckets(model.lane_context, core.fields, compact, lanes)
            sources = _sources_for(model, found)
            data, own = self._decode(name, payloads, chunks, lanes, counts, buckets, sources)
            if model is None or own is None or name not in self._levels.sources:
                return data, None
            return data, source_of(model.fields, own, data.offsets, data.columns)

        for level in self._levels.plans:
            names = [p.name for p in level if p.name in payloads and p.name != CORE]
            names.sort(key=lambda n: -len(payloads[n]))
            for name, (data, source) in zip(names, self._outer.map(work, names), strict=True):
                out[name] = data
                found[name] = source
        return out

    def _decode(
        self, name: str, payloads: Mapping[str, bytes], chunks: Mapping[str, Any], lanes: int,
        counts: Array | None, buckets: Array, sources: Sequence[Source | None] = (),
    ) -> tuple[TableData, list[Array] | None]:  # fmt: skip
        decoder = self._decoders[name]
        data, compact = decoder.decode(
            payloads[name], lanes, counts, buckets, sources, int(chunks[name]["decoded_size"])
        )
        check_decoded(chunks[name], decoded_bytes(decoder.plan, decoder.specs, data))
        return data, compact
