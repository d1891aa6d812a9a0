"""Coding the clusters of a tree: plans in order of dependence, side by side where they can be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from typing import Any

import numpy as np
import numpy.typing as npt

from vortex_hep.codec import classical
from vortex_hep.codec.container import check_decoded
from vortex_hep.codec.plan import CORE, Plan
from vortex_hep.codec.rows import lane_buckets
from vortex_hep.codec.tablecoder import TableChunk, TableDecoder, TableEncoder, decoded_bytes
from vortex_hep.errors import CorruptionError, ModelMismatchError
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


def _check_core(plans: Sequence[Plan], models: Mapping[str, TableModel]) -> None:
    """Every context that a model needs must come from the core's model."""
    core = models.get(CORE)
    known = {f.columns[0] for f in core.fields if f.component == 0} if core is not None else set()
    for plan in plans:
        model = models.get(plan.name)
        if model is not None and not known.issuperset(model.lane_context):
            raise ModelMismatchError("the model needs context that its core does not give")


class TreeEncoder:
    """Encodes clusters of a tree.

    Parameters
    ----------
    plans : sequence of Plan
    tables : sequence of TableSpec
    models : mapping of str to TableModel
        By plan name.
    effort : {"fast", "normal", "max"}
    outer, inner : Executor
        For plans, and for the lane groups within a plan; they must not be the same.
    """

    def __init__(
        self,
        plans: Sequence[Plan],
        tables: Sequence[TableSpec],
        models: Mapping[str, TableModel],
        effort: classical.Effort,
        outer: Executor,
        inner: Executor,
    ) -> None:
        _check_core(plans, models)
        self.plans = tuple(plans)
        self._encoders = {
            p.name: TableEncoder(p, plan_specs(p, tables), models.get(p.name), effort, inner)
            for p in plans
        }
        self._outer = outer

    def encode(self, cluster: Cluster) -> dict[str, TableChunk]:
        """Encode one cluster; return its chunks by plan name."""
        contexts: dict[str, Array] = {}
        core = self._encoders.get(CORE)
        if core is not None and core.model is not None:
            data = plan_data(core.plan, cluster)
            _, tokens = core.tokenise(data)
            if tokens is not None:
                for name, e in self._encoders.items():
                    if e.model is not None:
                        contexts[name] = lane_buckets(
                            e.model.lane_context, core.model.fields, tokens.compact,
                            len(data.offsets) - 1,
                        )  # fmt: skip

        def work(plan: Plan) -> TableChunk:
            encoder = self._encoders[plan.name]
            data = plan_data(plan, cluster)
            rows, tokens = encoder.tokenise(data)
            context = contexts.get(plan.name, np.zeros((len(data.offsets) - 1, 0), np.uint8))
            return encoder.encode(data, rows, tokens, context)

        # Large plans first, so that none is left to run alone at the end.
        order = sorted(
            self.plans, key=lambda p: -len(p.columns) * cluster[p.table].num_rows
        )
        chunks = dict(zip([p.name for p in order], self._outer.map(work, order), strict=True))
        return {p.name: chunks[p.name] for p in self.plans}


class TreeDecoder:
    """Decodes clusters of a tree; see :class:`TreeEncoder`."""

    def __init__(
        self,
        plans: Sequence[Plan],
        tables: Sequence[TableSpec],
        models: Mapping[str, TableModel],
        outer: Executor,
        inner: Executor,
    ) -> None:
        _check_core(plans, models)
        self.plans = {p.name: p for p in plans}
        self._decoders = {
            p.name: TableDecoder(p, plan_specs(p, tables), models.get(p.name), inner)
            for p in plans
        }
        self._outer = outer

    def needed(self, wanted: Sequence[str]) -> list[str]:
        """Plans to decode, in order, to get those in ``wanted``."""
        names = set(wanted)
        for name in wanted:
            model = self._decoders[name].model
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

        Raises
        ------
        CorruptionError
        """
        out: dict[str, TableData] = {}
        compact: list[Array] | None = None
        empty = np.zeros((lanes, 0), np.uint8)
        if CORE in payloads:
            out[CORE], compact = self._decode(CORE, payloads, chunks, lanes, None, empty)
        core = self._decoders[CORE].model if CORE in self._decoders else None

        def work(name: str) -> TableData:
            plan, model = self.plans[name], self._decoders[name].model
            counts = None
            if plan.counter is not None:
                counts = np.asarray(out[CORE].columns[plan.counter])
            buckets = empty
            if model is not None and model.lane_context:
                if core is None or compact is None:
                    raise CorruptionError("the core table is missing")
                buckets = lane_buckets(model.lane_context, core.fields, compact, lanes)
            return self._decode(name, payloads, chunks, lanes, counts, buckets)[0]

        rest = sorted((n for n in payloads if n != CORE), key=lambda n: -len(payloads[n]))
        out.update(zip(rest, self._outer.map(work, rest), strict=True))
        return out

    def _decode(
        self, name: str, payloads: Mapping[str, bytes], chunks: Mapping[str, Any], lanes: int,
        counts: Array | None, buckets: Array,
    ) -> tuple[TableData, list[Array] | None]:  # fmt: skip
        decoder = self._decoders[name]
        data, compact = decoder.decode(payloads[name], lanes, counts, buckets)
        check_decoded(chunks[name], decoded_bytes(decoder.plan, decoder.specs, data))
        return data, compact
