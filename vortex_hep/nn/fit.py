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
from vortex_hep.codec.fields import Field
from vortex_hep.codec.plan import CORE, Plan
from vortex_hep.codec.rows import row_set, tokenise
from vortex_hep.nn.structure import find_fields
from vortex_hep.nn.tablemodel import POSITIONS, Shape, TableModel
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
    classical_bits: Array
    row_bytes: float

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
            column = columns[name][:_CLASSICAL_ROWS]
            parts = max(1, column.size // max(1, len(column)))
            _, payload = classical.encode_best(column, effort="normal")
            out[k] += 8 * len(payload) / max(1, len(column)) / parts
    return out


def _prepare(
    sample: TableSample, context: tuple[str, ...], buckets: Array, options: FitOptions
) -> _Prepared | None:
    rows = row_set(sample.data.offsets)
    n = len(rows.lane)
    columns = {k: v for k, v in sample.data.columns.items() if isinstance(v, np.ndarray)}
    if n < 32 or not columns:
        return None
    fields, linked = find_fields(sample.specs, columns, rows, sample.plan.table)
    if not fields:
        return None
    tokens = tokenise(fields, columns, rows)
    seen = np.stack(
        [f.buckets(c) for f, c in zip(fields, tokens.compact, strict=True)], axis=1
    )
    jagged = sample.plan.jagged
    link = rows.link if rows.link is not None else np.full(n, -1)
    packed = Rows(
        tokens.tokens,
        np.ascontiguousarray(seen),
        rows.previous,
        link,
        np.minimum(rows.position, POSITIONS - 1) if jagged else np.zeros(n, np.int64),
        rows.lane,
        buckets,
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
        len(fields), tokens.tokens.shape[1], 16, 16, buckets.shape[1], jagged, linked
    )
    return _Prepared(
        sample.plan.name, fields, shape, packed, train, validation, context,
        _classical_bits(fields, columns), sum(c.nbytes for c in columns.values()) / n,
    )  # fmt: skip


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


class _Fit:
    """One network in training for one table."""

    def __init__(self, p: _Prepared, width: tuple[int, int], steps: int, options: FitOptions) -> None:
        self.prepared = p
        self.fields = p.fields
        self.shape = replace(p.shape, hidden=width[0], head=width[1])
        rate = 4e-3 if p.batch == 512 else 3e-3
        self.schedule = Schedule(steps, p.batch, rate, options.shrink, options.seed)
        self.trainer = TableTrainer(
            self.shape, p.rows, _field_starts(self.fields), _flat_bits(self.fields),
            self.schedule, threads=options.threads, lines=p.train,
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
    return float(np.minimum(bits, p.classical_bits).sum() * rows + 8 * model_bytes)


def _choose_width(p: _Prepared, steps: int, options: FitOptions) -> tuple[int, int]:
    """Choose the width of least description length among the two that fit the table's size."""
    rows = len(p.train) * options.served
    top = int(np.searchsorted(_WORTH, p.stake(options)))
    top = min(max(top - 1, 0), len(WIDTHS) - 2)
    if top == 0:
        return WIDTHS[0]
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
    return TableModel(p.name, fit.fields, fit.shape, p.lane_context, weights, expected)


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
    out = []
    for sample in samples:
        lanes = len(sample.data.offsets) - 1
        if buckets is None or len(buckets) != lanes:
            buckets = np.zeros((lanes, 0), np.uint8)
        p = _prepare(sample, context, buckets, options)
        if p is None:
            continue
        out.append(p)
        if p.name == CORE:
            context = tuple(f.columns[0] for f in p.fields)
            buckets = np.ascontiguousarray(p.rows.buckets)
    return out


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
