"""Fitting event models: from the columns of a tree to trained, quantised models."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import CancelledError, ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from vortex_hep.codec.plan import CORE
from vortex_hep.codec.tokens.fields import Field
from vortex_hep.core.progress import SILENT, Progress, Task
from vortex_hep.nn.devices import torch_device
from vortex_hep.nn.event.linking import is_virtual
from vortex_hep.nn.event.model import EventModel
from vortex_hep.nn.event.training.prepare import (
    FitOptions,
    Prepared,
    TableSample,
    field_starts,
    flat_bits,
    prepare_all,
)
from vortex_hep.nn.event.training.trainer import Schedule, TableTrainer
from vortex_hep.nn.event.training.transplant import known_weights
from vortex_hep.nn.event.weights import stored_size

Array = npt.NDArray[Any]

#: Networks to choose from, (hidden, head), by growing size.
WIDTHS = ((16, 16), (32, 16), (48, 32), (64, 32), (96, 48))
#: Classical bytes of a table that make the next larger network worth a try.
_WORTH = (3e4, 1.5e5, 5e5, 1e6, 1e7)
#: Steps that show whether a context is of use.
_TRIAL_STEPS = 200
#: Tables with fewer classical bytes at stake are not worth a network.
_LEAST_STAKE = 2.4e4
#: Time per symbol of training, for planning: a constant, so that the plan does not depend on the
#: machine, and with it the weights.
_SYMBOL_SECONDS = 1.2e-7
#: Rows for which ``shrink`` is as given; fewer rows are shrunk more, as they overfit sooner.
_SHRINK_ROWS = 60_000
#: A model that is used this often is not made smaller to save its own bytes.
_MANY = 8.0
#: Learning rate of a network that starts from another's weights, over that of a fresh one.
_TUNING_RATE = 0.4
#: A trailing token that costs this much of its width has no structure to learn.
_FLAT = 0.9985


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

    def __init__(
        self, p: Prepared, width: tuple[int, int], steps: int, options: FitOptions
    ) -> None:
        self.prepared = p
        self.fields = p.fields
        self.shape = replace(p.shape, hidden=width[0], head=width[1])
        rate = 4e-3 if p.batch == 512 else 3e-3
        start = None
        if p.base is not None and width == (p.base.shape.hidden, p.base.shape.head):
            rate *= _TUNING_RATE
            start = known_weights(self.shape, self.fields, p.links, p.lane_context, p.base)
        shrink = options.shrink * min(3.0, max(0.75, (_SHRINK_ROWS / len(p.train)) ** 0.5))
        self.schedule = Schedule(steps, p.batch, rate, shrink, options.seed)
        self.trainer = TableTrainer(
            self.shape, p.rows, field_starts(self.fields), flat_bits(self.fields),
            self.schedule, threads=options.threads, lines=p.train,
            device=torch_device(options.device), start=start,
        )  # fmt: skip

    def mark_flat(self) -> None:
        some = self.prepared.validation[: 1 << 14]
        bits = self.trainer.evaluate(some) / max(1, len(some))
        self.fields = _find_flat(self.fields, bits)
        self.trainer.flat_bits = flat_bits(self.fields)

    def bits_per_row(self) -> Array:
        """Bits per validation row of every field (float64, shape (fields,))."""
        p = self.prepared
        token_bits = self.trainer.evaluate(p.validation) / max(1, len(p.validation))
        return np.add.reduceat(token_bits, field_starts(self.fields)[:-1])


def _total_bits(p: Prepared, bits: Array, rows: float, model_bytes: int) -> float:
    """Description length: every field at its cheaper coding, plus the model."""
    made_up = np.array([is_virtual(f.columns[0]) for f in p.fields], np.bool_)
    cheaper = np.where(made_up, bits, np.minimum(bits, p.classical_bits))
    return float(cheaper.sum() * rows + 8 * model_bytes)


def _choose_width(
    p: Prepared, steps: int, options: FitOptions, task: _SharedTask
) -> tuple[int, int]:
    """Choose the width of least description length among the two that fit the table's size."""
    if p.base is not None:
        return p.base.shape.hidden, p.base.shape.head
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
        trial.trainer.advance(trial.schedule.steps, task.check)
        size = stored_size(trial.trainer.integer_weights())
        costs.append((_total_bits(p, trial.bits_per_row(), rows, size), width))
    return min(costs)[1]


def _choose_context(p: Prepared, steps: int, options: FitOptions, task: _SharedTask) -> Prepared:
    """Keep context of other tables only where a short trial with it saves enough."""
    if not p.leans:
        return p
    if p.base is not None:
        known = set(p.base.lane_context)
        return p if any(c in known for c in p.lane_context if c[0] != CORE) else p.by_core()
    rows = len(p.train) * options.served
    bits = []
    for trial in (p, alone := p.by_core()):
        fit = _Fit(trial, WIDTHS[1], max(_TRIAL_STEPS, steps // 5), options)
        fit.trainer.advance(fit.schedule.steps, task.check)
        size = stored_size(fit.trainer.integer_weights())
        bits.append(_total_bits(trial, fit.bits_per_row(), rows, size))
    return p if bits[0] < (1 - p.least_gain) * bits[1] else alone


def _fit_prepared(
    p: Prepared, steps: int, options: FitOptions, task: _SharedTask, *, keep: bool
) -> EventModel | None:
    """Train the network of a table; None where the classical coders are cheaper."""
    p = _choose_context(p, steps, options, task)
    width = _choose_width(p, steps, options, task)
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
    return EventModel(
        p.name,
        fit.fields,
        fit.shape,
        p.lane_context,
        weights,
        expected,
        p.links,
        p.fold,
        p.block,
    )


class _SharedTask:
    """One progress bar for tables that are trained side by side, and one way to stop them."""

    def __init__(self, task: Task) -> None:
        self._task = task
        self._lock = threading.Lock()
        self.stop = threading.Event()

    def check(self, rows: int, bits: float) -> None:
        """Raise if the training was called off; to be called after every step."""
        if self.stop.is_set():
            raise CancelledError

    def reporter(self, p: Prepared) -> Callable[[int, float], None]:
        """A callback for one table's trainer."""
        seen = [0.0, 0.0, 0]

        def report(rows: int, bits: float) -> None:
            self.check(rows, bits)
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
    done: Mapping[str, EventModel | None] | None = None,
    on_table: Callable[[str, EventModel | None], None] | None = None,
    base: Mapping[str, EventModel] | None = None,
) -> dict[str, EventModel]:
    """Fit the models of all tables of a tree.

    Parameters
    ----------
    samples : sequence of TableSample
        The core plan first.
    options : FitOptions
    progress : Progress
    done : mapping of str to EventModel or None, optional
        Tables fitted by an earlier, interrupted call.
    on_table : callable, optional
        Called with the name and model of every table as it is finished.
    base : mapping of str to EventModel, optional
        Tables of another model to start from.

    Returns
    -------
    dict of str to EventModel
        By plan name; tables without an entry are for the classical coders.
    """
    prepared = prepare_all(samples, options, base or {})
    models: dict[str, EventModel | None] = dict(done or {})
    worthy = [p for p in prepared if p.stake(options) >= _LEAST_STAKE]
    if not worthy:
        return {}
    # Dependencies of others are trained too, whether or not they pay for themselves.
    needed = _needed(prepared, {p.name for p in worthy}) | {CORE}
    worthy = [p for p in prepared if p in worthy or p.name in needed]
    steps = _share_steps(worthy, options)
    todo = _in_turn([p for p in worthy if p.name not in models], steps)
    # Where the model's own bytes count, only what pays for itself is context.
    kept = (_linked(worthy) | {CORE}) if options.self_contained else needed
    total = sum(steps[p.name] * p.batch * p.row_bytes for p in todo)
    lock = threading.Lock()
    finished = {p.name: threading.Event() for p in todo}
    with progress.task("training", int(total)) as bar, _one_torch_thread():
        task = _SharedTask(bar)

        def pays(plan: str) -> bool:
            if plan == CORE or not options.self_contained:
                return True
            if plan in finished:
                # It began before, for tables are taken up in this order.
                finished[plan].wait()
                task.check(0, 0.0)
            return models.get(plan) is not None

        def work(p: Prepared) -> None:
            try:
                p = p.in_context_of({plan for plan, _ in p.lane_context if pays(plan)})
                model = _fit_prepared(p, steps[p.name], options, task, keep=p.name in kept)
                with lock:
                    models[p.name] = model
                    if on_table is not None:
                        on_table(p.name, model)
            finally:
                finished[p.name].set()

        with ThreadPoolExecutor(max(1, options.threads)) as pool:
            try:
                list(pool.map(work, todo))
            except BaseException:
                # Ctrl-C above all: training goes on in the workers unless they are told.
                task.stop.set()
                pool.shutdown(wait=True, cancel_futures=True)
                raise
    return _that_pay(worthy, models, options)


def _in_turn(prepared: Sequence[Prepared], steps: Mapping[str, int]) -> list[Prepared]:
    """Tables in the order in which they are taken up, so that none waits for one behind it.

    What is context of others comes first, as it was prepared: a table has context only of those
    prepared before. The others follow, the largest first.
    """
    offered = {plan for p in prepared for plan, _ in p.lane_context}
    first = [p for p in prepared if p.name in offered]
    rest = [p for p in prepared if p.name not in offered]
    return first + sorted(rest, key=lambda p: -steps[p.name] * p.row_bytes)


def _linked(prepared: Sequence[Prepared]) -> set[str]:
    """Plans that others link to."""
    return {link.source for p in prepared for link in p.links}


def _that_pay(
    prepared: Sequence[Prepared], models: Mapping[str, EventModel | None], options: FitOptions
) -> dict[str, EventModel]:
    """Leave out models that cost more than they save, with all that depend on them."""
    kept = {p.name: m for p in prepared if (m := models.get(p.name)) is not None}
    saved = {}
    for p in prepared:
        if (model := kept.get(p.name)) is not None:
            rows = len(p.train) * options.served
            cost = _total_bits(p, model.expected[:, 0], rows, stored_size(model.weights))
            saved[p.name] = float(p.classical_bits.sum()) * rows - cost
    while True:
        dependents = _dependents(kept)
        bad = next((n for n in kept if sum(saved[d] for d in dependents[n]) <= 0), None)
        if bad is None:
            return kept
        kept = {n: m for n, m in kept.items() if n not in dependents[bad]}


def _dependents(models: Mapping[str, EventModel]) -> dict[str, set[str]]:
    """For each plan those that need its model: itself, and all that depend on it."""
    out = {name: {name} for name in models}
    for name in models:
        todo = [name]
        while todo:
            model = models[todo.pop()]
            sources = {link.source for link in model.links}
            sources |= {plan for plan, _ in model.lane_context}
            for source in sources & out.keys():
                if name not in out[source]:
                    out[source].add(name)
                    todo.append(source)
    return out


def _needed(prepared: Sequence[Prepared], wanted: set[str]) -> set[str]:
    """Dependencies of the plans in ``wanted``, and theirs, and so on."""
    by_name = {p.name: p for p in prepared}
    needed: set[str] = set()
    todo = list(wanted)
    while todo:
        p = by_name.get(todo.pop())
        if p is None:
            continue
        sources = {link.source for link in p.links} | {plan for plan, _ in p.lane_context}
        todo += sources - needed - wanted
        needed |= sources
    return needed


def _share_steps(tables: Sequence[Prepared], options: FitOptions) -> dict[str, int]:
    """Optimiser steps per table, fewer for all where time is short."""
    steps = {
        p.name: int(max(options.steps, options.passes * len(p.train) / p.batch)) for p in tables
    }
    if options.seconds is not None:
        symbols = sum(steps[p.name] * p.batch * p.shape.tokens for p in tables)
        scale = options.seconds / max(1e-9, symbols * _SYMBOL_SECONDS)
        steps = {name: max(20, int(n * min(1.0, scale))) for name, n in steps.items()}
    return steps
