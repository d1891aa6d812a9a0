"""Fitting event models: from the columns of a tree to trained, quantised table models."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from vortex_hep.codec import classical
from vortex_hep.codec.fields import Field
from vortex_hep.codec.plan import CORE, Plan
from vortex_hep.codec.rows import lane_buckets, row_set, tokenise
from vortex_hep.nn.structure import find_fields
from vortex_hep.nn.tablemodel import POSITIONS, Shape, TableModel
from vortex_hep.nn.train_kernel import Rows
from vortex_hep.nn.trainer import Schedule, TableTrainer
from vortex_hep.nn.weights import stored_size
from vortex_hep.progress import SILENT, Progress
from vortex_hep.schema import ColumnSpec, TableData

Array = npt.NDArray[Any]

#: Networks to choose from, (hidden, head), by growing size.
WIDTHS = ((16, 16), (32, 16), (48, 32), (64, 32), (96, 48))
#: Classical bytes of a table that make the next larger network worth a try.
_WORTH = (3e4, 1.5e5, 5e5, 1e6, 1e7)
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
    fields: tuple[Field, ...]
    shape: Shape
    rows: Rows
    train: Array
    validation: Array
    lane_context: tuple[str, ...]
    classical_bits: Array
    raw_bytes: int
    columns: Mapping[str, Any]


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
        fields, shape, packed, train, validation, context,
        _classical_bits(fields, columns), sum(c.nbytes for c in columns.values()), columns,
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
        n = len(p.train)
        self.prepared = p
        self.fields = p.fields
        self.shape = replace(p.shape, hidden=width[0], head=width[1])
        batch = 512 if n >= 1 << 15 else max(32, min(256, n // 16))
        self.schedule = Schedule(
            steps, batch, 4e-3 if batch == 512 else 3e-3, options.shrink, options.seed
        )
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


def _steps(p: _Prepared, options: FitOptions, batch: int = 512) -> int:
    return int(max(options.steps, options.passes * len(p.train) / batch))


def _total_bits(p: _Prepared, bits: Array, rows: float, model_bytes: int) -> float:
    """Description length: every field at its cheaper coding, plus the model."""
    return float(np.minimum(bits, p.classical_bits).sum() * rows + 8 * model_bytes)


def _choose_width(p: _Prepared, options: FitOptions) -> tuple[int, int]:
    """Choose the width of least description length among the two that fit the table's size."""
    n = len(p.train)
    rows = n * (1.0 if options.self_contained else options.reuse)
    stake = float(p.classical_bits.sum()) / 8 * rows
    top = int(np.searchsorted(_WORTH, stake))
    top = min(max(top - 1, 0), len(WIDTHS) - 2)
    if top == 0:
        return WIDTHS[0]
    best: tuple[float, tuple[int, int]] | None = None
    for width in (WIDTHS[top - 1], WIDTHS[top]):
        trial = _Fit(p, width, max(100, _steps(p, options) // 6), options)
        trial.trainer.advance(trial.schedule.steps)
        size = stored_size(trial.trainer.integer_weights())
        cost = _total_bits(p, trial.bits_per_row(), rows, size)
        if best is None or cost < best[0]:
            best = (cost, width)
    return best[1] if best is not None else WIDTHS[0]


def fit_table(
    sample: TableSample,
    context: tuple[str, ...],
    buckets: Array,
    options: FitOptions,
    progress: Progress = SILENT,
) -> TableModel | None:
    """Fit the network of one table.

    Parameters
    ----------
    sample : TableSample
    context : tuple of str
        Core columns that serve as context.
    buckets : uint8 array, shape (lanes, len(context))
    options : FitOptions
    progress : Progress

    Returns
    -------
    TableModel or None
        None where no network pays for itself; the classical coders then take the table.
    """
    p = _prepare(sample, context, buckets, options)
    if p is None:
        return None
    name = sample.plan.name or "event core"
    width = _choose_width(p, options)
    steps = _steps(p, options)
    fit = _Fit(p, width, steps, options)
    row_bytes = p.raw_bytes / max(1, len(p.rows.tokens))
    with progress.task(name, int(steps * fit.schedule.batch * row_bytes)) as task:
        seen = [0.0, 0.0]

        def report(rows: int, bits: float) -> None:
            seen[0] += rows
            seen[1] += bits
            if fit.trainer.step % 20 == 0:
                task.advance(
                    int(seen[0] * row_bytes),
                    bits_per_byte=round(seen[1] / seen[0] / row_bytes, 3),
                    classical=round(float(p.classical_bits.sum()) / row_bytes, 3),
                )
                seen[:] = [0.0, 0.0]

        fit.trainer.advance(steps * 2 // 5, report)
        fit.mark_flat()
        fit.trainer.advance(steps, report)
    bits = fit.bits_per_row()
    weights = fit.trainer.integer_weights()
    rows = len(p.train) * (1.0 if options.self_contained else options.reuse)
    cost = _total_bits(p, bits, rows, stored_size(weights))
    if cost >= float(p.classical_bits.sum()) * rows and sample.plan.name != CORE:
        return None
    expected = np.stack([bits, p.classical_bits], axis=1)
    return TableModel(sample.plan.name, fit.fields, fit.shape, context, weights, expected)


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
    models: dict[str, TableModel] = {}
    known = dict(done or {})
    context: tuple[str, ...] = ()
    buckets: Array | None = None
    for sample in samples:
        name = sample.plan.name
        lanes = len(sample.data.offsets) - 1
        if buckets is None or len(buckets) != lanes:
            buckets = np.zeros((lanes, 0), np.uint8)
        if name in known:
            model = known[name]
        else:
            model = fit_table(sample, context, buckets, options, progress)
            if on_table is not None:
                on_table(name, model)
        if model is None:
            continue
        models[name] = model
        if name == CORE:
            tokens = tokenise(model.fields, sample.data.columns, row_set(sample.data.offsets))
            context = tuple(f.columns[0] for f in model.fields)
            buckets = lane_buckets(context, model.fields, tokens.compact, lanes)
    return models
