"""Fitting sequence models: from the rows of a table to a trained, quantised transformer."""

from __future__ import annotations

import hashlib
import lzma
import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from vortex_hep.codec import classical
from vortex_hep.codec.records import RecordLayout, layout_of
from vortex_hep.codec.sequencecoder import SequenceCoder, cut_of, token_bits
from vortex_hep.nn.data import LoaderOptions, Loaders, make_loaders
from vortex_hep.nn.loop import mean_bits, run_loop
from vortex_hep.nn.loop_options import LoopResult
from vortex_hep.nn.prepare import TableSample
from vortex_hep.nn.recipes import Recipe
from vortex_hep.nn.sequence.compiled import Compiled
from vortex_hep.nn.sequence.model import MAX_TYPES, SequenceModel
from vortex_hep.nn.sequence.quantise import quantise
from vortex_hep.nn.transformer import CATWrapper, OptimisedCompressiveTransformer
from vortex_hep.progress import SILENT, Progress
from vortex_hep.schema import VarBytes

Array = npt.NDArray[Any]

#: Tables with fewer bytes to learn from are left to the classical coders.
LEAST_BYTES = 1 << 16
#: Bytes that quantised models are measured on, and that scales are chosen with.
_MEASURED, _CALIBRATED = 1 << 19, 1 << 17
#: Part of the rows that is held out.
_HELD_OUT = 0.1


@dataclass(frozen=True)
class SequenceFit:
    """A fitted sequence model and how it came about.

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


def _columns(sample: TableSample) -> dict[str, Array]:
    return {
        name: column
        for name, column in sample.data.columns.items()
        if not isinstance(column, VarBytes)
    }


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
        For all tables together, in place of the recipe's; each gets its share by bytes.
    seed : int
    checkpoint, log_dir : path, optional
        A file and a folder for each table are made from these.
    threads : int
        Of the measurements; training takes what torch is set to.

    Returns
    -------
    dict of str to SequenceFit
        By plan.
    """
    layouts: list[tuple[TableSample, RecordLayout]] = []
    for sample in samples:
        columns = _columns(sample)
        if sample.data.num_rows < 2 or not columns:
            continue
        layout = layout_of([s for s in sample.specs if s.name in columns], columns)
        size = sample.data.num_rows * layout.width
        if size >= LEAST_BYTES and layout.width <= MAX_TYPES:
            layouts.append((sample, layout))
    total = sum(s.data.num_rows * lay.width for s, lay in layouts)
    budget = recipe.seconds if seconds is None else seconds
    fits = {}
    for sample, layout in layouts:
        share = sample.data.num_rows * layout.width / total
        name = sample.plan.name.strip("/").replace("/", "_") or "core"
        options = recipe.loop_options(
            seconds=None if budget is None else budget * share,
            seed=seed,
            checkpoint=None if checkpoint is None else _beside(checkpoint, name),
            log_dir=None if log_dir is None else Path(log_dir) / name,
        )
        fits[sample.plan.name] = _fit(sample, layout, recipe, options, progress, device, threads)
    return fits


def _beside(path: str | os.PathLike[str], name: str) -> Path:
    """``DIR/run.vxw`` and a table to ``DIR/run.TABLE.vxw``."""
    whole = Path(path)
    return whole.with_name(f"{whole.stem}.{name}.vxw")


def _loaders(records: Array, recipe: Recipe, seed: int) -> Loaders:
    return make_loaders(
        records,
        LoaderOptions(
            window=recipe.lane_tokens,
            batch=recipe.batch,
            fractions=(1 - _HELD_OUT, _HELD_OUT, 0.0),
            seed=seed,
        ),
    )


def _fit(
    sample: TableSample, layout: RecordLayout, recipe: Recipe, options: Any, progress: Progress,
    device: str, threads: int,
) -> SequenceFit:  # fmt: skip
    columns = _columns(sample)
    records = layout.pack(columns, sample.data.num_rows)
    loaders = _loaders(records, recipe, options.seed)
    config = replace(recipe.transformer, types=layout.width)
    torch.manual_seed(options.seed)
    model = OptimisedCompressiveTransformer(config).to(device)
    model.enable_gradient_checkpointing(recipe.checkpointing)
    wrapper = CATWrapper(model, seed=options.seed)
    cut = int(len(records) * (1 - _HELD_OUT))
    held_out = records[cut:][: max(1, _MEASURED // layout.width)]
    baseline = 8 * len(lzma.compress(held_out.tobytes(), preset=9)) / held_out.size
    made_from = hashlib.sha256(repr((layout, config, recipe.lane_tokens)).encode())
    made_from.update(records.tobytes())
    loop = run_loop(
        wrapper,
        wrapper.bits_per_byte,
        loaders.train,
        lambda: mean_bits(wrapper.bits_per_byte, loaders.validation, device),
        replace(options, made_from=made_from.hexdigest()),
        progress=progress,
        baselines={"lzma -9": baseline},
    )
    _forget_unseen(model, records[:cut])
    lane_rows = max(1, recipe.lane_tokens // layout.width)
    lanes = max(1, min(cut // lane_rows, _CALIBRATED // (lane_rows * layout.width)))
    some = np.linspace(0, max(0, cut // lane_rows - 1), lanes).astype(int)
    whole = records[: cut // lane_rows * lane_rows].reshape(-1, lane_rows * layout.width)
    if not len(whole):
        whole, some = records[:cut].reshape(1, -1), np.zeros(1, int)
    exact = quantise(model.to("cpu"), layout, whole[some], table=sample.plan.name)
    exact = replace(exact, lane_tokens=lane_rows * layout.width)
    bits = _measured(exact, held_out, threads)
    exact = replace(exact, expected=_expected(exact, bits, columns, cut, len(held_out)))
    return SequenceFit(exact, loop.bits_per_byte, float(bits.sum() / held_out.size), baseline, loop)


def _forget_unseen(model: OptimisedCompressiveTransformer, records: Array) -> None:
    """Zero the embeddings of bytes that never came: they were never trained, and cost bytes."""
    types, width = records.shape[1], model.config.d_model
    seen = np.zeros((types, 256), np.bool_)
    for k in range(types):
        seen[k, np.unique(records[:, k])] = True
    with torch.no_grad():
        table = model.embedding.table.weight.view(types, 256, width)
        table[torch.from_numpy(~seen).to(table.device)] = 0.0


def _measured(model: SequenceModel, records: Array, threads: int) -> Array:
    """Bits that each token of a record costs in integers, over all records."""
    with ThreadPoolExecutor(threads) as pool:
        cut = cut_of(model, len(records))
        coder = SequenceCoder(
            model, Compiled(model, pool, threads), cut, together=1 << cut.log2, pool=pool,
            parts=threads,
        )  # fmt: skip
        parts = [token_bits(f, model.layout.width) for _, f, _ in coder.frequencies(records)]
    out: Array = np.sum(parts, axis=0)
    return out


def _expected(
    model: SequenceModel, bits: Array, columns: Mapping[str, Array], first: int, rows: int
) -> Array:
    """Bits per row of each column: by the network, and by the best quick classical coder."""
    ours = np.add.reduceat(bits, model.layout.starts[:-1]) / rows
    theirs = [
        8 * len(classical.encode_best(columns[n][first : first + rows], effort="fast")[1]) / rows
        for n in model.columns
    ]
    return np.stack([ours, np.array(theirs)], axis=1)
