"""Preparation of tables for training: fields, rows, links and baseline sizes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from vortex_hep.codec.columns import classical
from vortex_hep.codec.plan import CORE, Plan
from vortex_hep.codec.tokens.fields import NO_REFERENCE, Field
from vortex_hep.codec.tokens.folding import common_length, fold, fold_specs, foldable
from vortex_hep.codec.tokens.rows import (
    RowSet,
    Source,
    Stacked,
    lay_out,
    source_of,
    stack,
    tokenise,
)
from vortex_hep.core.schema import ColumnSpec, TableData
from vortex_hep.nn.event.linking import LinkPlan, TableView, choose_links, is_virtual, nearest
from vortex_hep.nn.event.model import POSITIONS, EventModel, Link, Shape
from vortex_hep.nn.event.training.context import Context, Known, choose_context
from vortex_hep.nn.event.training.estimates import cost_estimate
from vortex_hep.nn.event.training.information import mutual_information
from vortex_hep.nn.event.training.relating import relate, row_values
from vortex_hep.nn.event.training.structure import find_fields
from vortex_hep.nn.event.training.train_kernel import Rows
from vortex_hep.nn.event.training.transplant import adopt_fields

Array = npt.NDArray[Any]

#: Lists that rows are cut into, where the row before tells something of the next.
_BLOCK = 64
#: Share of its bits that the row before must tell of a row.
_LEAST_TOLD = 0.02
#: Rows on which classical coders are measured.
_CLASSICAL_ROWS = 1 << 16


@dataclass(frozen=True)
class FitOptions:
    """How much to spend on fitting.

    Parameters
    ----------
    steps : int
        Least optimiser steps of a table's network.
    passes : float
        Least passes over the rows.
    shrink : float
        See :class:`vortex_hep.nn.event.training.trainer.Schedule`; scaled by the rows of each
        table.
    self_contained : bool
        Whether the model is stored with the data it was fitted to: all rows are learned from,
        and the model's bytes count. Else a tenth of the lanes is held out, and the model is
        taken to serve ``reuse`` times the data given.
    reuse : float
        How many times the data at hand the model will serve.
    seed : int
    threads : int
    device : str
        As :class:`vortex_hep.models.options.TrainOptions` has it.
    across : bool
        Whether tables may depend on one another; reading one then costs its dependencies as well.
    seconds : float, optional
        Time for the whole of :func:`fit_tree`; tables get their share of it by their size.
    without : frozenset of str
        Parts to leave out, as :class:`vortex_hep.models.options.TrainOptions` has them.
    """

    steps: int = 900
    passes: float = 5.0
    shrink: float = 0.1
    self_contained: bool = False
    reuse: float = 20.0
    seed: int = 0
    threads: int = 2
    device: str = "auto"
    seconds: float | None = None
    across: bool = True
    without: frozenset[str] = frozenset()

    @property
    def served(self) -> float:
        """How many times the rows at hand the model will be used on."""
        return 1.0 if self.self_contained else self.reuse

    def with_reuse(self, reuse: float) -> FitOptions:
        """Return the same options for a model that serves ``reuse`` times its training data."""
        return replace(self, reuse=reuse)


@dataclass
class TableSample:
    """The data of one plan to fit a model to."""

    plan: Plan
    specs: tuple[ColumnSpec, ...]
    data: TableData


@dataclass(eq=False)
class Prepared:
    """One table, ready for training.

    ``train`` and ``validation`` are row numbers; ``classical_bits`` is per field and row;
    ``base`` is a model of the table to start from; ``source`` is the table as others may link to
    it; ``least_gain`` is the share of all bits that context of tables other than the core must
    save.
    """

    name: str
    fields: tuple[Field, ...]
    shape: Shape
    rows: Rows
    train: Array
    validation: Array
    lane_context: Context
    links: tuple[Link, ...]
    classical_bits: Array
    row_bytes: float
    source: Source
    fold: int
    block: int
    least_gain: float
    base: EventModel | None

    @property
    def batch(self) -> int:
        """Rows per optimiser step: small tables need many steps more than large batches."""
        n = len(self.train)
        return 512 if n >= 1 << 15 else max(32, min(256, n // 16))

    @property
    def leans(self) -> bool:
        """Whether tables other than the core are context."""
        return any(plan != CORE for plan, _ in self.lane_context)

    def by_core(self) -> Prepared:
        """Return the table with the core alone as context."""
        return self.in_context_of({CORE})

    def in_context_of(self, plans: set[str]) -> Prepared:
        """Return the table with these plans alone as context."""
        kept = [k for k, (plan, _) in enumerate(self.lane_context) if plan in plans]
        if len(kept) == len(self.lane_context):
            return self
        seen = np.ascontiguousarray(self.rows.lane_buckets[:, kept])
        return replace(
            self,
            lane_context=tuple(self.lane_context[k] for k in kept),
            rows=self.rows._replace(lane_buckets=seen),
            shape=replace(self.shape, lane_fields=len(kept)),
        )

    def stake(self, options: FitOptions) -> float:
        """Classical bytes of all the rows that the model will serve."""
        return float(self.classical_bits.sum()) / 8 * len(self.train) * options.served


def _classical_bits(fields: Sequence[Field], columns: Mapping[str, Any]) -> Array:
    """Bits per row of each field's columns under the best classical coder, on a sample."""
    cost: dict[str, float] = {}
    for name in {n for f in fields for n in f.columns if not is_virtual(n)}:
        column = columns[name][:_CLASSICAL_ROWS]
        _, payload = classical.encode_best(column, effort="normal")
        cost[name] = 8 * len(payload) / max(1, column.size)
    return np.array([sum(cost.get(n, 0.0) for n in f.columns) for f in fields])


def _prepare(
    sample: TableSample,
    known: Known,
    link: tuple[LinkPlan, Source] | None,
    options: FitOptions,
    base: EventModel | None,
) -> Prepared | None:
    sample, length = _folded(sample)
    n = sample.data.num_rows
    columns = {k: v for k, v in sample.data.columns.items() if isinstance(v, np.ndarray)}
    if n < 32 or not columns:
        return None
    foreign = None
    if link is not None:
        foreign = link[0].column
        if link[0].anchors:
            columns[foreign] = _made_up(link[0], columns, sample.data.offsets, link[1])
    in_blocks = foreign is None and "blocks" not in options.without
    block = _block(sample, columns) if in_blocks else 0
    rows = lay_out(sample.data.offsets, block)
    entry = rows.lane if not block else np.arange(n)
    there = None
    if link is not None and foreign is not None:
        there = link[0].source, link[1], columns[foreign]
    values = row_values(sample.plan.name, columns, entry, known.tables, there)
    relations = relate(values) if "predictors" not in options.without else []
    fields, within, across = find_fields(
        sample.specs, columns, rows, sample.plan.table, foreign,
        {(f.target.column, f.target.component): f.predictor for f in relations}, values,
        sample.plan.name, block > 0,
    )  # fmt: skip
    if not fields:
        return None
    if base is not None and base.fold == length and base.block == block:
        fields = adopt_fields(fields, base, columns, rows, values)
    else:
        base = None
    tokens = tokenise(fields, columns, rows, values=values)
    links, sources = _links(sample, fields, within, link if across else None)
    own = [k.source == sample.plan.name for k in links]
    space = stack(
        fields, [k.counterparts for k in links], sources, own, tokens.tokens, rows.offsets
    )
    for k, f in enumerate(fields):
        space.buckets[:n, k] = f.buckets(tokens.compact[k])
    lists = sample.plan.jagged or block > 0
    told = space.buckets[:n, : len(fields)]
    raw = sum(c.nbytes for name, c in columns.items() if not is_virtual(name))
    context, seen, least_gain = choose_context(known, told, entry, raw)
    counts = [len(fields) if s is None else s.buckets.shape[1] for s in sources]
    packed = Rows(
        tokens=space.tokens,
        buckets=space.buckets,
        previous=rows.previous,
        link=_targets(rows, fields, columns, own, space),
        position=np.minimum(rows.position, POSITIONS - 1) if lists else np.zeros(n, np.int64),
        lane=entry,
        lane_buckets=seen,
        has_match=_has_match(fields, links),
        link_fields=np.array(counts, np.int64),
    )
    lanes = len(rows.offsets) - 1
    if options.self_contained:
        train = validation = np.arange(n)
    else:
        cut = int(rows.offsets[lanes - max(1, lanes // 10)])
        train, validation = np.arange(cut), np.arange(cut, n)
        if len(train) < 32 or len(validation) < 8:
            train = validation = np.arange(n)
    shape = Shape(len(fields), tokens.tokens.shape[1], 16, 16, len(context), lists, tuple(counts))
    return Prepared(
        sample.plan.name, fields, shape, packed, train, validation, context, links,
        _classical_bits(fields, columns),
        raw / n,
        source_of(fields, tokens.compact, sample.data.offsets, columns), length, block,
        least_gain, base,
    )  # fmt: skip


def _block(sample: TableSample, columns: Mapping[str, Array]) -> int:
    """Length of lists to cut rows into; 0 where the row before tells nothing."""
    n = sample.data.num_rows
    if sample.plan.counter is not None or sample.plan.jagged or n < _BLOCK * _BLOCK // 4:
        return 0
    block = _BLOCK if n >= _BLOCK * _BLOCK * 4 else _BLOCK // 2
    rows = lay_out(sample.data.offsets, block)
    fields, _, _ = find_fields(sample.specs, columns, rows, sample.plan.table, neighbours=True)
    if any(f.reference != NO_REFERENCE for f in fields):
        return block
    tokens = tokenise(fields, columns, rows)
    follows = rows.previous >= 0
    told = total = 0.0
    for f, compact in zip(fields, tokens.compact, strict=True):
        seen = f.buckets(compact)
        told += mutual_information(seen[follows], seen[rows.previous[follows]])
        total += cost_estimate(compact[:_CLASSICAL_ROWS])
    return block if told > _LEAST_TOLD * total else 0


def _folded(sample: TableSample) -> tuple[TableSample, int]:
    """The sample with lists of one length seen as rows, and that length; else as it is, and 0."""
    length = common_length(sample.data.offsets) if sample.plan.counter is not None else 0
    # Lists of several columns are objects, which resemble one another: rows serve them better.
    if not length or not foldable(sample.specs) or len(sample.specs) != 1:
        return sample, 0
    plan = replace(sample.plan, jagged=False)
    return TableSample(plan, fold_specs(sample.specs, length), fold(sample.data, length)), length


def _made_up(link: LinkPlan, columns: Mapping[str, Array], offsets: Array, source: Source) -> Array:
    own = tuple(columns[a] for a, _ in link.anchors)
    other = tuple(source.columns[b] for _, b in link.anchors)
    return nearest(offsets, own, source.offsets, other)[0]  # type: ignore[arg-type]


def _links(
    sample: TableSample,
    fields: Sequence[Field],
    within: bool,
    foreign: tuple[LinkPlan, Source] | None,
) -> tuple[tuple[Link, ...], list[Source | None]]:
    """The links of a table in the order of their fields, and where they lead (None: within)."""
    links: list[Link] = []
    sources: list[Source | None] = []
    if within:
        links.append(Link(sample.plan.name, tuple(f.columns[0] for f in fields)))
        sources.append(None)
    if foreign is not None:
        plan, source = foreign
        names = tuple(_counterpart(f, sample.plan.name, plan.source, source) for f in fields)
        links.append(Link(plan.source, names, plan.anchors))
        sources.append(source)
    return tuple(links), sources


def _counterpart(f: Field, table: str, other: str, source: Source) -> str:
    """The source's column of the same name behind the table's, if it is of the same type."""
    name = f.columns[0]
    if f.is_flags or f.reference != NO_REFERENCE or not name.startswith(f"{table}_"):
        return ""
    there = f"{other}_{name[len(table) + 1 :]}"
    column = source.columns.get(there)
    if not isinstance(column, np.ndarray) or column.ndim != 1 or column.dtype.str != f.dtype:
        return ""
    return there


def _has_match(fields: Sequence[Field], links: Sequence[Link]) -> Array:
    counts = [len(f.token_widths) for f in fields]
    flags = [np.repeat([bool(name) for name in k.counterparts], counts) for k in links]
    return np.array(flags, np.bool_).reshape(len(links), sum(counts))


def _targets(
    rows: RowSet, fields: Sequence[Field], columns: Mapping[str, Array], own: Sequence[bool],
    space: Stacked,
) -> Array:  # fmt: skip
    """Target rows of all links in the stacked row space, or -1."""
    out = np.full((len(own), len(rows.lane)), -1, np.int64)
    for k, within in enumerate(own):
        if within and rows.mother is not None:
            out[k] = rows.mother
            continue
        index = columns[fields[k].columns[0]].astype(np.int64)
        first = space.source_offsets[k]
        good = (index >= 0) & (index < np.diff(first)[rows.lane])
        out[k] = np.where(good, first[rows.lane] + index, -1)
    return out


def field_starts(fields: Sequence[Field]) -> Array:
    """First token of every field, and the number of tokens."""
    return np.cumsum([0] + [len(f.token_widths) for f in fields]).astype(np.int64)


def flat_bits(fields: Sequence[Field]) -> Array:
    """Width of every token that is stored as it is, 0 for those the network codes."""
    out: list[int] = []
    for f in fields:
        w = f.token_widths
        out += [0] * (len(w) - f.flat) + list(w[len(w) - f.flat :])
    return np.array(out, np.int64)


def prepare_all(
    samples: Sequence[TableSample],
    options: FitOptions,
    base: Mapping[str, EventModel] | None = None,
) -> list[Prepared]:
    """Get all tables of a tree ready.

    Find fields and lay out rows; the core's fields are the context of all other tables.
    """
    known = Known([], [], {}, {})
    done: dict[str, Prepared] = {}
    plans: dict[str, LinkPlan] = {}
    if options.across and "links" not in options.without:
        plans = choose_links(
            [TableView(s.plan.name, s.specs, s.data, s.plan.jagged) for s in samples]
        )
    # What has one row per entry comes first: it may be context of all that follow.
    waiting = sorted(samples, key=lambda s: not _is_flat(s.plan))
    while waiting:
        sample = next(
            s for s in waiting
            if s.plan.name not in plans
            or all(plans[s.plan.name].source != w.plan.name for w in waiting)
        )  # fmt: skip
        waiting.remove(sample)
        link = plans.get(sample.plan.name)
        source = done.get(link.source) if link is not None else None
        pair = (link, source.source) if link is not None and source is not None else None
        p = _prepare(
            sample,
            known if options.across and "context" not in options.without else known.core(),
            pair,
            options,
            (base or {}).get(sample.plan.name),
        )
        if p is None:
            continue
        done[p.name] = p
        if _is_flat(sample.plan):
            known.add(p.name, p.fields, p.source, sample.data, p.row_bytes)
    return [done[s.plan.name] for s in samples if s.plan.name in done]


def _is_flat(plan: Plan) -> bool:
    """Whether there is exactly one row per entry."""
    return plan.counter is None and not plan.jagged
