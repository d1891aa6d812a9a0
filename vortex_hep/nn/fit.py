"""Fitting event models: from the columns of a tree to trained, quantised table models."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from vortex_hep.codec import classical
from vortex_hep.codec.fields import NO_REFERENCE, Field
from vortex_hep.codec.folding import common_length, fold, fold_specs, foldable
from vortex_hep.codec.plan import CORE, Plan
from vortex_hep.codec.rows import RowSet, Source, Stacked, row_set, source_of, stack, tokenise
from vortex_hep.nn.linking import LinkPlan, TableView, choose_links, is_virtual, nearest
from vortex_hep.nn.structure import find_fields
from vortex_hep.nn.tablemodel import POSITIONS, Link, Shape, TableModel
from vortex_hep.nn.train_kernel import Rows
from vortex_hep.nn.trainer import Schedule, TableTrainer
from vortex_hep.nn.weights import stored_size
from vortex_hep.progress import SILENT, Progress, Task
from vortex_hep.schema import ColumnSpec, TableData

Array = npt.NDArray[Any]

#: Networks to choose from, (hidden, head), by growing size.
WIDTHS = ((16, 16), (32, 16), (48, 32), (64, 32), (96, 48))
#: Classical bytes of a table that make the next larger network worth a try.
_WORTH = (3e4, 1.5e5, 5e5, 1e6, 1e7)
#: Tables with fewer classical bytes at stake are not worth a network.
_LEAST_STAKE = 2.4e4
#: Time per symbol of training and core, for planning.
_SYMBOL_SECONDS = 4e-7
#: A model that is used this often is not made smaller to save its own bytes.
_MANY = 8.0
#: A trailing token that costs this much of its width has no structure to learn.
_FLAT = 0.9985
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
        See :class:`vortex_hep.nn.trainer.Schedule`.
    self_contained : bool
        Whether the model is stored with the data it was fitted to: all rows are learned from,
        and the model's bytes count. Else a tenth of the lanes is held out, and the model is
        taken to serve ``reuse`` times the data given.
    reuse : float
        How many times the data at hand the model will serve.
    seed : int
    threads : int
    device : str
        As :class:`vortex_hep.options.TrainOptions` has it.
    across : bool
        Whether tables may lean on one another; what is read then costs the tables it leans on.
    seconds : float, optional
        Time for the whole of :func:`fit_tree`; tables get their share of it by their size.
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


@dataclass
class _Prepared:
    name: str
    fields: tuple[Field, ...]
    shape: Shape
    rows: Rows
    train: Array
    validation: Array
    lane_context: tuple[str, ...]
    links: tuple[Link, ...]
    classical_bits: Array
    row_bytes: float
    source: Source
    fold: int

    @property
    def batch(self) -> int:
        """Rows per optimiser step: small tables need many steps more than large batches."""
        n = len(self.train)
        return 512 if n >= 1 << 15 else max(32, min(256, n // 16))

    def stake(self, options: FitOptions) -> float:
        """Classical bytes of all the rows that the model will serve."""
        return float(self.classical_bits.sum()) / 8 * len(self.train) * options.served


def _classical_bits(fields: Sequence[Field], columns: Mapping[str, Any]) -> Array:
    """Bits per row of each field's columns under the best classical coder, on a sample."""
    out = np.zeros(len(fields))
    for k, f in enumerate(fields):
        for name in f.columns:
            if is_virtual(name):
                continue
            column = columns[name][:_CLASSICAL_ROWS]
            parts = max(1, column.size // max(1, len(column)))
            _, payload = classical.encode_best(column, effort="normal")
            out[k] += 8 * len(payload) / max(1, len(column)) / parts
    return out


def _prepare(
    sample: TableSample,
    context: tuple[str, ...],
    buckets: Array,
    link: tuple[LinkPlan, Source] | None,
    options: FitOptions,
) -> _Prepared | None:
    sample, length = _folded(sample)
    rows = row_set(sample.data.offsets)
    n = len(rows.lane)
    columns = {k: v for k, v in sample.data.columns.items() if isinstance(v, np.ndarray)}
    if n < 32 or not columns:
        return None
    foreign = None
    if link is not None:
        foreign = link[0].column
        if link[0].anchors:
            columns[foreign] = _made_up(link[0], columns, rows.offsets, link[1])
    fields, within, across = find_fields(sample.specs, columns, rows, sample.plan.table, foreign)
    if not fields:
        return None
    tokens = tokenise(fields, columns, rows)
    links, sources = _links(sample, fields, within, link if across else None)
    own = [k.source == sample.plan.name for k in links]
    space = stack(
        fields, [k.counterparts for k in links], sources, own, tokens.tokens, rows.offsets
    )
    for k, f in enumerate(fields):
        space.buckets[:n, k] = f.buckets(tokens.compact[k])
    jagged = sample.plan.jagged
    counts = [len(fields) if s is None else s.buckets.shape[1] for s in sources]
    packed = Rows(
        tokens=space.tokens,
        buckets=space.buckets,
        previous=rows.previous,
        link=_targets(rows, fields, columns, own, space),
        position=np.minimum(rows.position, POSITIONS - 1) if jagged else np.zeros(n, np.int64),
        lane=rows.lane,
        lane_buckets=buckets,
        has_match=_has_match(fields, links),
        link_fields=np.array(counts, np.int64),
    )
    lanes = len(rows.offsets) - 1
    if options.self_contained:
        train = validation = np.arange(n)
    else:
        cut = rows.offsets[lanes - max(1, lanes // 10)]
        train, validation = np.arange(cut), np.arange(cut, n)
        if len(train) < 32 or len(validation) < 8:
            train = validation = np.arange(n)
    shape = Shape(
        len(fields), tokens.tokens.shape[1], 16, 16, buckets.shape[1], jagged, tuple(counts)
    )
    return _Prepared(
        sample.plan.name, fields, shape, packed, train, validation, context, links,
        _classical_bits(fields, columns),
        sum(c.nbytes for name, c in columns.items() if not is_virtual(name)) / n,
        source_of(fields, tokens.compact, rows.offsets, columns), length,
    )  # fmt: skip


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


def _field_starts(fields: Sequence[Field]) -> Array:
    return np.cumsum([0] + [len(f.token_widths) for f in fields]).astype(np.int64)


def _flat_bits(fields: Sequence[Field]) -> Array:
    out: list[int] = []
    for f in fields:
        w = f.token_widths
        out += [0] * (len(w) - f.flat) + list(w[len(w) - f.flat :])
    return np.array(out, np.int64)


def _find_flat(fields: tuple[Field, ...], bits_per_row: Array) -> tuple[Field, ...]:
    """Mark trailing tokens that cost their full width."""
    out = []
    first = 0
    for f in fields:
        w = f.token_widths
        flat = 0
        while flat < len(w) and bits_per_row[first + len(w) - 1 - flat] > _FLAT * w[-1 - flat]:
            flat += 1
        out.append(f.with_flat(flat))
        first += len(w)
    return tuple(out)


def _device(name: str) -> str:
    """Where to compute gradients: as asked for; for "auto" on a GPU if torch sees one."""
    if name != "auto":
        return name
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


class _Fit:
    """One network in training for one table."""

    def __init__(
        self, p: _Prepared, width: tuple[int, int], steps: int, options: FitOptions
    ) -> None:
        self.prepared = p
        self.fields = p.fields
        self.shape = replace(p.shape, hidden=width[0], head=width[1])
        rate = 4e-3 if p.batch == 512 else 3e-3
        self.schedule = Schedule(steps, p.batch, rate, options.shrink, options.seed)
        self.trainer = TableTrainer(
            self.shape, p.rows, _field_starts(self.fields), _flat_bits(self.fields),
            self.schedule, threads=options.threads, lines=p.train, device=_device(options.device),
        )  # fmt: skip

    def mark_flat(self) -> None:
        some = self.prepared.validation[: 1 << 14]
        bits = self.trainer.evaluate(some) / max(1, len(some))
        self.fields = _find_flat(self.fields, bits)
        self.trainer.flat_bits = _flat_bits(self.fields)

    def bits_per_row(self) -> Array:
        """Bits per validation row of every field (float64, shape (fields,))."""
        p = self.prepared
        token_bits = self.trainer.evaluate(p.validation) / max(1, len(p.validation))
        return np.add.reduceat(token_bits, _field_starts(self.fields)[:-1])


def _total_bits(p: _Prepared, bits: Array, rows: float, model_bytes: int) -> float:
    """Description length: every field at its cheaper coding, plus the model."""
    made_up = np.array([is_virtual(f.columns[0]) for f in p.fields], np.bool_)
    cheaper = np.where(made_up, bits, np.minimum(bits, p.classical_bits))
    return float(cheaper.sum() * rows + 8 * model_bytes)


def _choose_width(p: _Prepared, steps: int, options: FitOptions) -> tuple[int, int]:
    """Choose the width of least description length among the two that fit the table's size."""
    rows = len(p.train) * options.served
    top = int(np.searchsorted(_WORTH, p.stake(options)))
    top = min(max(top - 1, 0), len(WIDTHS) - 2)
    if top == 0:
        return WIDTHS[0]
    if not options.self_contained and options.reuse >= _MANY:
        return WIDTHS[top]  # the model's bytes hardly count; short trials favour the small
    costs = []
    for width in (WIDTHS[top - 1], WIDTHS[top]):
        trial = _Fit(p, width, max(60, steps // 6), options)
        trial.trainer.advance(trial.schedule.steps)
        size = stored_size(trial.trainer.integer_weights())
        costs.append((_total_bits(p, trial.bits_per_row(), rows, size), width))
    return min(costs)[1]


def _fit_prepared(
    p: _Prepared, steps: int, options: FitOptions, task: _SharedTask, *, keep: bool
) -> TableModel | None:
    """Train the network of a table; None where the classical coders are cheaper."""
    width = _choose_width(p, steps, options)
    fit = _Fit(p, width, steps, options)
    report = task.reporter(p)
    fit.trainer.advance(steps * 2 // 5, report)
    fit.mark_flat()
    fit.trainer.advance(steps, report)
    bits = fit.bits_per_row()
    weights = fit.trainer.integer_weights()
    rows = len(p.train) * options.served
    cost = _total_bits(p, bits, rows, stored_size(weights))
    if cost >= float(p.classical_bits.sum()) * rows and not keep:
        return None
    expected = np.stack([bits, p.classical_bits], axis=1)
    return TableModel(
        p.name, fit.fields, fit.shape, p.lane_context, weights, expected, p.links, p.fold
    )


class _SharedTask:
    """One progress bar for tables that are trained side by side."""

    def __init__(self, task: Task) -> None:
        self._task = task
        self._lock = threading.Lock()

    def reporter(self, p: _Prepared) -> Callable[[int, float], None]:
        """A callback for one table's trainer."""
        seen = [0.0, 0.0, 0]

        def report(rows: int, bits: float) -> None:
            seen[0] += rows
            seen[1] += bits
            seen[2] += 1
            if seen[2] % 16 == 0:
                with self._lock:
                    self._task.advance(
                        int(seen[0] * p.row_bytes),
                        table=p.name or "event",
                        bits_per_byte=round(seen[1] / seen[0] / p.row_bytes, 3),
                        classical=round(float(p.classical_bits.sum()) / p.row_bytes, 3),
                    )
                seen[:2] = [0.0, 0.0]

        return report


@contextlib.contextmanager
def _one_torch_thread() -> Iterator[None]:
    """Keep torch's own workers out of the way: tables and shards are what runs in parallel."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def fit_tree(
    samples: Sequence[TableSample],
    options: FitOptions,
    progress: Progress = SILENT,
    *,
    done: Mapping[str, TableModel | None] | None = None,
    on_table: Callable[[str, TableModel | None], None] | None = None,
) -> dict[str, TableModel]:
    """Fit the models of all tables of a tree.

    Parameters
    ----------
    samples : sequence of TableSample
        The core plan first.
    options : FitOptions
    progress : Progress
    done : mapping of str to TableModel or None, optional
        Tables fitted by an earlier, interrupted call.
    on_table : callable, optional
        Called with the name and model of every table as it is finished.

    Returns
    -------
    dict of str to TableModel
        By plan name; tables without an entry are for the classical coders.
    """
    prepared = _prepare_all(samples, options)
    models: dict[str, TableModel | None] = dict(done or {})
    worthy = [p for p in prepared if p.stake(options) >= _LEAST_STAKE or p.name == CORE]
    if not any(p.name != CORE for p in worthy) and all(
        p.stake(options) < _LEAST_STAKE for p in worthy
    ):
        return {}
    steps = _share_steps(worthy, options)
    todo = [p for p in worthy if p.name not in models]
    todo.sort(key=lambda p: -steps[p.name] * p.row_bytes)
    total = sum(steps[p.name] * p.batch * p.row_bytes for p in todo)
    lock = threading.Lock()
    with progress.task("training", int(total)) as bar, _one_torch_thread():
        task = _SharedTask(bar)

        def work(p: _Prepared) -> None:
            model = _fit_prepared(p, steps[p.name], options, task, keep=p.name == CORE)
            with lock:
                models[p.name] = model
                if on_table is not None:
                    on_table(p.name, model)

        with ThreadPoolExecutor(max(1, options.threads)) as pool:
            list(pool.map(work, todo))
    kept = {p.name: models[p.name] for p in worthy}
    return {name: m for name, m in kept.items() if m is not None}


def _prepare_all(samples: Sequence[TableSample], options: FitOptions) -> list[_Prepared]:
    """Find fields and lay out rows; the core's fields are the context of all other tables."""
    context: tuple[str, ...] = ()
    buckets: Array | None = None
    done: dict[str, _Prepared] = {}
    plans: dict[str, LinkPlan] = {}
    if options.across:
        plans = choose_links(
            [TableView(s.plan.name, s.specs, s.data, s.plan.jagged) for s in samples]
        )
    waiting = list(samples)
    while waiting:
        sample = next(
            s for s in waiting
            if s.plan.name not in plans
            or all(plans[s.plan.name].source != w.plan.name for w in waiting)
        )  # fmt: skip
        waiting.remove(sample)
        lanes = len(sample.data.offsets) - 1
        if buckets is None or len(buckets) != lanes:
            buckets = np.zeros((lanes, 0), np.uint8)
        link = plans.get(sample.plan.name)
        source = done.get(link.source) if link is not None else None
        pair = (link, source.source) if link is not None and source is not None else None
        p = _prepare(sample, context, buckets, pair, options)
        if p is None:
            continue
        done[p.name] = p
        if p.name == CORE:
            context = tuple(f.columns[0] for f in p.fields)
            buckets = np.ascontiguousarray(p.rows.buckets)
    return list(done.values())


def _share_steps(tables: Sequence[_Prepared], options: FitOptions) -> dict[str, int]:
    """Optimiser steps per table, fewer for all where time is short."""
    steps = {
        p.name: int(max(options.steps, options.passes * len(p.train) / p.batch)) for p in tables
    }
    if options.seconds is not None:
        symbols = sum(steps[p.name] * p.batch * p.shape.tokens for p in tables)
        scale = options.seconds * min(options.threads, 2) / max(1e-9, symbols * _SYMBOL_SECONDS)
        steps = {name: max(20, int(n * min(1.0, scale))) for name, n in steps.items()}
    return steps
