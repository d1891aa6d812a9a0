"""Coding of the clusters of a tree: plans in order of dependency, in parallel where possible."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from vortex_hep.codec.columns import classical
from vortex_hep.codec.container.container import check_decoded
from vortex_hep.codec.plan import CORE, Plan
from vortex_hep.codec.tokens.rows import Source, source_of
from vortex_hep.core.schema import Cluster, ColumnSpec, TableData, TableSpec
from vortex_hep.nn.coding.engine import Engine
from vortex_hep.nn.coding.eventtable import EventDecoder, EventEncoder
from vortex_hep.nn.coding.sequencetable import SequenceDecoder, SequenceEncoder
from vortex_hep.nn.coding.tablechunk import TableChunk, decoded_bytes
from vortex_hep.nn.coding.tabledecoder import TableDecoder
from vortex_hep.nn.coding.tableencoder import TableEncoder
from vortex_hep.nn.coding.treeorder import (
    by_level,
    flat_fields,
    inputs_of,
    lane_context,
    link_sources,
    sequence_models,
    sources_of,
    usable_models,
)
from vortex_hep.nn.sequence.coder import LaneChoice
from vortex_hep.nn.sequence.model import AnyModel

Array = npt.NDArray[Any]


def plan_specs(plan: Plan, tables: Sequence[TableSpec]) -> tuple[ColumnSpec, ...]:
    """Column specs of a plan, in the plan's order."""
    by_name = {c.name: c for t in tables if t.name == plan.table for c in t.columns}
    return tuple(by_name[name] for name in plan.columns)


def plan_data(plan: Plan, cluster: Cluster) -> TableData:
    """The columns of a plan, taken from a cluster."""
    table = cluster[plan.table]
    return TableData(table.offsets, {name: table.columns[name] for name in plan.columns})


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
        How transformers cut rows into lanes.

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
        self._models = usable_models(plans, models)
        self._sequences = sequence_models(plans, models)
        self._levels = by_level(plans, self._models)
        self._fields = flat_fields(plans, self._models)
        self.plans = tuple(plans)
        self.used: set[str] = set()
        self._tables = tables
        self._inner = inner
        self._engine = engine
        self._decoder: tuple[int, TreeDecoder] | None = None
        self._outer = outer
        self._encoders: dict[str, TableEncoder | EventEncoder | SequenceEncoder] = {}
        for p in plans:
            how = p, plan_specs(p, tables), effort, inner
            if p.name in self._models:
                self._encoders[p.name] = EventEncoder(self._models[p.name], *how, engine)
            elif p.name in self._sequences:
                self._encoders[p.name] = SequenceEncoder(
                    self._sequences[p.name], *how, engine, choice
                )
            else:
                self._encoders[p.name] = TableEncoder(*how)

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
            if not isinstance(encoder, EventEncoder):
                chunk = encoder.encode(data)
                if chunk.uses_network:
                    self._use(plan.name)
                return chunk, None
            model = encoder.model
            sources = link_sources(model, found)
            others = {n: plan_data(by_name[n], cluster) for n in inputs_of(model) & here}
            rows, tokens = encoder.tokenise(data, sources, others)
            entries = len(data.offsets) - 1 if tokens is not None else 0
            context = lane_context(model, self._fields, found, entries)
            chunk = encoder.encode(data, rows, tokens, context, sources)
            if chunk.uses_network:
                self._use(plan.name)
            if tokens is None or plan.name not in self._levels.sources:
                return chunk, None
            return chunk, source_of(model.fields, tokens.compact, data.offsets, data.columns)

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
        """Note that a plan's model is needed, and those of its dependencies."""
        model = self._models.get(name)
        if name in self.used or (model is None and name not in self._sequences):
            return
        self.used.add(name)
        for source in sources_of(name, model):
            self._use(source)


@dataclass
class DecodedTable(TableData):
    """A table with what the models of other tables ask of it.

    Parameters
    ----------
    offsets, columns
        As of :class:`~vortex_hep.core.schema.TableData`.
    source : Source, optional
        Rows as links and contexts of other tables see them; None where no table asks for them.
    """

    source: Source | None = None


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
        usable = self._models = usable_models(plans, models)
        sequences = sequence_models(plans, models)
        self._levels = by_level(plans, usable)
        self._fields = flat_fields(plans, usable)
        self.plans = {p.name: p for p in plans}
        self._specs = {p.name: plan_specs(p, tables) for p in plans}
        self._outer = outer
        self._decoders: dict[str, TableDecoder | EventDecoder | SequenceDecoder] = {}
        for p in plans:
            how = p, self._specs[p.name]
            if p.name in usable:
                self._decoders[p.name] = EventDecoder(usable[p.name], *how, inner, engine)
            elif p.name in sequences:
                self._decoders[p.name] = SequenceDecoder(sequences[p.name], *how, inner, engine)
            else:
                self._decoders[p.name] = TableDecoder(*how)

    def needed(self, wanted: Sequence[str], known: Collection[str] = ()) -> list[str]:
        """Plans to decode, in order, to get those in ``wanted`` where those ``known`` are there."""
        names: set[str] = set()
        todo = list(wanted)
        while todo:
            name = todo.pop()
            if name in names or name in known:
                continue
            names.add(name)
            todo += [s for s in sources_of(name, self._models.get(name)) if s in self.plans]
            if self.plans[name].counter is not None:
                todo.append(CORE)
        return [name for name in self.plans if name in names]

    def decode(
        self,
        payloads: Mapping[str, bytes],
        chunks: Mapping[str, Any],
        lanes: int,
        known: Mapping[str, DecodedTable] | None = None,
    ) -> dict[str, DecodedTable]:
        """Decode the chunks of one cluster and check them.

        Parameters
        ----------
        payloads : mapping of str to bytes
            By plan name, as :meth:`needed` lists them.
        chunks : mapping of str to index rows
            What the container promises of the decoded data.
        lanes : int
        known : mapping of str to DecodedTable, optional
            What was decoded of the same cluster before.

        Returns
        -------
        dict of str to DecodedTable
            What was decoded here, by plan name.

        Raises
        ------
        CorruptionError
            A chunk does not decode, or to other data than was encoded.
        """
        out: dict[str, DecodedTable] = dict(known or {})
        found: dict[str, Source | None] = {n: table.source for n, table in out.items()}

        def work(name: str) -> DecodedTable:
            plan, decoder, row = self.plans[name], self._decoders[name], chunks[name]
            counts = None
            if plan.counter is not None:
                counts = np.asarray(out[CORE].columns[plan.counter])
            size = int(row["decoded_size"])
            source = None
            if isinstance(decoder, EventDecoder):
                model = decoder.model
                others: dict[str, TableData] = {
                    n: out[n] for n in inputs_of(model) & self.plans.keys() if n != name
                }
                data, own = decoder.decode(
                    payloads[name], lanes, counts,
                    partial(lane_context, model, self._fields, found, lanes),
                    link_sources(model, found), size, others,
                )  # fmt: skip
                if own is not None and name in self._levels.sources:
                    source = source_of(model.fields, own, data.offsets, data.columns)
            else:
                data = decoder.decode(payloads[name], lanes, counts, size)
            check_decoded(row, decoded_bytes(plan, self._specs[name], data))
            return DecodedTable(data.offsets, data.columns, source)

        if CORE in payloads:
            out[CORE] = work(CORE)
            found[CORE] = out[CORE].source
        for level in self._levels.plans:
            names = [p.name for p in level if p.name in payloads and p.name != CORE]
            names.sort(key=lambda n: -len(payloads[n]))
            for name, table in zip(names, self._outer.map(work, names), strict=True):
                out[name] = table
                found[name] = table.source
        return {name: out[name] for name in payloads}
