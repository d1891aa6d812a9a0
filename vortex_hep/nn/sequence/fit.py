"""Fitting transformers: from the rows of a table to a trained, quantised transformer."""

from __future__ import annotations

import hashlib
import lzma
import math
import os
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from vortex_hep.codec.columns import classical
from vortex_hep.core.progress import SILENT, Progress, Task
from vortex_hep.errors import UnsupportedFeatureError
from vortex_hep.nn.event.training.prepare import TableSample
from vortex_hep.nn.loop.data import LoaderOptions, make_loaders
from vortex_hep.nn.loop.loop import mean_bits, run_loop
from vortex_hep.nn.loop.options import LoopOptions, LoopResult
from vortex_hep.nn.loop.recipes import Recipe
from vortex_hep.nn.sequence.coder import SequenceCoder, cut_of, token_bits
from vortex_hep.nn.sequence.compiled import Compiled
from vortex_hep.nn.sequence.jobs import Job, check_recipe, job_of, why_not
from vortex_hep.nn.sequence.model import SequenceModel
from vortex_hep.nn.sequence.quantise import quantise
from vortex_hep.nn.transformer import CATWrapper, OptimisedCompressiveTransformer

Array = npt.NDArray[Any]

#: Bytes that scales are chosen with.
_CALIBRATED = 1 << 17
#: Of the time for a table: parts for all that follows the training, for one evaluation in it,
#: for the scales and for the measurement in integers.
_AFTER, _EVALUATION, _SCALES, _INTEGERS = 0.2, 0.03, 0.04, 0.06
#: Why a training ended, for users.
_STOPPED = {
    "steps": "all of the recipe's", "seconds": "all that the time allowed",
    "patience": "then it got no better", "diverged": "then it diverged",
}  # fmt: skip
#: Tables that are named where many are passed over.
_SHOWN = 3
#: Seconds from one snapshot to the next: what an interrupt costs at most.
_SNAPSHOT_EVERY = 60.0


@dataclass(frozen=True)
class SequenceFit:
    """A fitted transformer and how it came about.

    Parameters
    ----------
    model : SequenceModel
    bits_per_byte : float
        On held-out rows, as trained.
    exact_bits_per_byte : float
        On held-out rows, in integers: what an archive pays.
    baseline : float
        Bits per byte of LZMA on the same held-out rows.
    loop : LoopResult
    """

    model: SequenceModel
    bits_per_byte: float
    exact_bits_per_byte: float
    baseline: float
    loop: LoopResult


@dataclass(frozen=True)
class _FitSettings:
    """What all tables share."""

    recipe: Recipe
    progress: Progress
    device: str
    threads: int


class _Labelled:
    """Progress whose tasks say which table they are for."""

    def __init__(self, progress: Progress, name: str) -> None:
        self._progress = progress
        self._name = name

    def task(
        self, label: str, total: int | float | None, unit: str = "B"
    ) -> AbstractContextManager[Task]:
        """Start a task."""
        return self._progress.task(f"{label} {self._name}", total, unit)


def fit_sequences(
    samples: Sequence[TableSample],
    recipe: Recipe,
    progress: Progress = SILENT,
    *,
    device: str = "cpu",
    seconds: float | None = None,
    seed: int = 0,
    checkpoint: str | os.PathLike[str] | None = None,
    log_dir: str | os.PathLike[str] | None = None,
    threads: int = 1,
) -> dict[str, SequenceFit]:
    """Fit a model to each table that is worth one.

    Parameters
    ----------
    samples : sequence of TableSample
        Rows in the order of events: the last tenth is held out.
    recipe : Recipe
    progress : Progress
    device : str
        As torch names it.
    seconds : float, optional
        For all tables together, in place of the recipe's; each gets its share by bytes. Nearly
        all that is done counts, and less is evaluated and measured where time is short.
    seed : int
    checkpoint, log_dir : path, optional
        A file and a folder for each table are made from these.
    threads : int
        Of the measurements; training takes what torch is set to.

    Returns
    -------
    dict of str to SequenceFit
        By plan; without tables that are too small or whose training diverged.

    Raises
    ------
    UnsupportedFeatureError
        The recipe's transformer has no form in integers, or the device too little memory for it.
    """
    check_recipe(recipe)
    jobs = _jobs(samples, recipe, progress)
    budget = recipe.seconds if seconds is None else seconds
    end = None if budget is None else time.monotonic() + budget
    sizes = [job.rows * job.layout.width for job in jobs]
    fits = {}
    for k, job in enumerate(jobs):
        # What one table did not use is for those after it.
        left = None if end is None else max(1.0, end - time.monotonic()) * sizes[k] / sum(sizes[k:])
        options = recipe.loop_options(
            seconds=left, seed=seed, snapshot_every=_SNAPSHOT_EVERY,
            snapshot=None if checkpoint is None else snapshot_path(checkpoint, job.name),
            log_dir=None if log_dir is None else Path(log_dir) / _file_name(job.name),
        )  # fmt: skip
        labelled = progress if len(jobs) == 1 else _Labelled(progress, job.name)
        try:
            fit = _fit(job, _FitSettings(recipe, labelled, device, threads), options)
        except torch.cuda.OutOfMemoryError as error:
            raise UnsupportedFeatureError(
                f"recipe {recipe.name!r} needs more memory than the device has left",
                hint="in a recipe of your own set checkpointing: true, or a smaller batch",
            ) from error
        if fit is not None:
            fits[job.sample.plan.name] = fit
    return fits


def _jobs(samples: Sequence[TableSample], recipe: Recipe, progress: Progress) -> list[Job]:
    """Choose the tables that are worth a model; say which are not."""
    found = [job_of(sample, recipe) for sample in samples]
    jobs = [job for job in found if isinstance(job, Job)]
    left = [s for s, job in zip(samples, found, strict=True) if not isinstance(job, Job)]
    if jobs and left:
        with progress.task("choosing", len(samples), unit="tables") as task:
            reasons = [str(why_not(s, recipe)) for s in left[:_SHOWN]]
            more = f"; and {len(left) - _SHOWN} more" if len(left) > _SHOWN else ""
            task.note(f"left to the classical coders: {'; '.join(reasons)}{more}")
            task.advance(len(samples))
    return jobs


def _file_name(name: str) -> str:
    return name.replace("/", "_")


def snapshot_path(path: str | os.PathLike[str], name: str) -> Path:
    """Return the snapshot file of one table, beside the checkpoint that was named.

    Parameters
    ----------
    path : path
        For all tables.
    name : str
        Of a table.

    Examples
    --------
    >>> snapshot_path("run.vxw", "Jet").name
    'run.Jet.vxw'
    """
    whole = Path(path)
    return whole.with_name(f"{whole.stem}.{_file_name(name)}.vxw")


def _validation(
    wrapper: CATWrapper, batches: list[Tensor], device: str, seconds: float | None
) -> tuple[list[Tensor], float]:
    """As many batches, evenly spread, as can be run in some time; and seconds per byte."""
    if seconds is None:
        return batches, 0.0
    wrapper.eval()
    began = 0.0
    for _ in range(2):  # the first pass is slow
        began = time.monotonic()
        mean_bits(wrapper.bits_per_byte, batches[:1], device)
    wrapper.train()
    each = max(1e-6, time.monotonic() - began)
    many = min(len(batches), max(1, int(seconds / each)))
    chosen = np.linspace(0, len(batches) - 1, many).astype(int)
    return [batches[i] for i in chosen], each / batches[0].numel()


def _for_steps(budget: float, spent: float) -> float:
    """Seconds that the loop gets; half of them even where preparations took long."""
    return max(budget / 2, budget * (1 - _AFTER) - spent)


def _fit(job: Job, how: _FitSettings, options: LoopOptions) -> SequenceFit | None:
    """Train and turn into integers; None where the training diverged."""
    recipe, layout, budget = how.recipe, job.layout, options.seconds
    began = time.monotonic()
    records = layout.pack(job.columns, job.rows)
    used = records[: job.held_out.stop]
    share = job.cut / len(used)
    loaders = make_loaders(
        used,
        LoaderOptions(
            window=recipe.lane_tokens, batch=recipe.batch, fractions=(share, 1 - share, 0.0),
            seed=options.seed,
        ),
    )  # fmt: skip
    config = replace(recipe.transformer, types=layout.width)
    torch.manual_seed(options.seed)
    model = OptimisedCompressiveTransformer(config).to(how.device)
    model.enable_gradient_checkpointing(recipe.checkpointing)
    wrapper = CATWrapper(model, seed=options.seed)
    held_out = records[job.held_out]
    theirs = _classical_bits(job)
    lzma_bits = 8 * len(lzma.compress(held_out.tobytes(), preset=9)) / held_out.size
    made_from = hashlib.sha256(repr((layout, config, recipe.lane_tokens)).encode())
    made_from.update(records.tobytes())
    batches, pace = _validation(
        wrapper,
        list(loaders.validation),
        how.device,
        None if budget is None else budget * _EVALUATION,
    )
    loop = run_loop(
        wrapper,
        wrapper.bits_per_byte,
        loaders.train,
        lambda: mean_bits(wrapper.bits_per_byte, batches, how.device),
        replace(
            options,
            made_from=made_from.hexdigest(),
            seconds=None if budget is None else _for_steps(budget, time.monotonic() - began),
        ),
        progress=how.progress,
        baselines={"lzma -9": lzma_bits, "column coders": theirs.sum() / layout.width},
    )
    with how.progress.task("measuring", None, unit="rows") as task:
        if not math.isfinite(loop.bits_per_byte):
            task.note(
                "the training diverged, and the table is left to the classical coders: try a"
                " recipe with a lower rate"
            )
            return None
        _forget_unseen(model, records[: job.cut])
        exact = _in_integers(job, how, model, records[: job.cut], budget, pace)
        end = None if budget is None else time.monotonic() + _INTEGERS * budget
        bits, rows = _measured(exact, held_out, how.threads, end)
        task.advance(rows)
        paid = float(bits.sum() / (rows * layout.width))
        task.note(
            f"{loop.steps} steps, {_STOPPED[loop.stopped]}; {paid:.4f} bits per byte in integers,"
            f" column coders {theirs.sum() / layout.width:.4f}"
        )
    ours = np.add.reduceat(bits, layout.starts[:-1]) / rows
    exact = replace(exact, expected=np.stack([ours, theirs], axis=1))
    return SequenceFit(exact, loop.bits_per_byte, paid, lzma_bits, loop)


def _in_integers(
    job: Job, how: _FitSettings, model: OptimisedCompressiveTransformer, records: Array,
    budget: float | None, pace: float,
) -> SequenceModel:  # fmt: skip
    """Choose scales on as many lanes of the training's rows as there is time for."""
    width = job.layout.width
    lane = max(1, how.recipe.lane_tokens // width)
    size = _CALIBRATED
    if budget is not None:
        size = min(size, max(1, int(_SCALES * budget / max(pace, 1e-12))))
    whole = records[: len(records) // lane * lane].reshape(-1, lane * width)
    many = min(len(whole), max(1, size // (lane * width)))
    some = np.linspace(0, len(whole) - 1, many).astype(int)
    exact = quantise(model.to("cpu"), job.layout, whole[some], table=job.sample.plan.name)
    return replace(exact, lane_tokens=lane * width)


def _forget_unseen(model: OptimisedCompressiveTransformer, records: Array) -> None:
    """Zero the embeddings of bytes that never came: they were never trained, and cost bytes."""
    types, width = records.shape[1], model.config.d_model
    seen = np.zeros((types, 256), np.bool_)
    for k in range(types):
        seen[k, np.unique(records[:, k])] = True
    with torch.no_grad():
        table = model.embedding.table.weight.view(types, 256, width)
        table[torch.from_numpy(~seen).to(table.device)] = 0.0


def _measured(
    model: SequenceModel, records: Array, threads: int, end: float | None
) -> tuple[Array, int]:
    """Bits that each token of a record costs in integers, and the rows that were measured."""
    bits, rows = np.zeros(model.layout.width), 0
    with ThreadPoolExecutor(threads) as pool:
        cut = cut_of(model, len(records))
        coder = SequenceCoder(
            model, Compiled(model, pool, threads), cut, together=1 << cut.log2, pool=pool,
            parts=threads,
        )  # fmt: skip
        for group, freq, _ in coder.frequencies(records):
            bits += token_bits(freq, model.layout.width)
            rows += group.lanes * group.rows
            if end is not None and time.monotonic() > end:
                break
    return bits, rows


def _classical_bits(job: Job) -> Array:
    """Bits per row that the best quick classical coder needs for each column."""
    part = job.held_out
    sizes = [
        len(classical.encode_best(job.columns[name][part], effort="fast")[1])
        for name in job.layout.columns
    ]
    bits: Array = 8 * np.array(sizes) / (part.stop - part.start)
    return bits
