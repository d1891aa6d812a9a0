"""Ablation of one transformer: variants trained alike and measured on the same rows."""

from __future__ import annotations

import lzma
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from benchmarks.run import commit
from benchmarks.transformers.bits import exact_bits, float_bits
from benchmarks.transformers.variants import Stream, Variant
from vortex_hep.codec.tokens.records import RecordColumn, RecordLayout
from vortex_hep.core.progress import SILENT, Progress
from vortex_hep.errors import UnsupportedFeatureError
from vortex_hep.nn.loop.data import LoaderOptions, Loaders, make_loaders
from vortex_hep.nn.loop.loop import mean_bits, run_loop
from vortex_hep.nn.loop.recipes import Recipe
from vortex_hep.nn.sequence import serial
from vortex_hep.nn.sequence.model import SequenceModel
from vortex_hep.nn.sequence.quantise import quantise
from vortex_hep.nn.transformer import CATWrapper, OptimisedCompressiveTransformer
from vortex_hep.testing.bench.measure import machine

Array = npt.NDArray[Any]

#: Bytes that quantisation is calibrated with.
_CALIBRATED = 1 << 17
#: Evaluations of a training of so many steps.
_EVALUATIONS = 6


@dataclass(frozen=True)
class Budget:
    """How long every variant is trained, and what it is measured on.

    Parameters
    ----------
    steps : int or None
        Optimiser steps; without, as many as the seconds allow.
    seconds : float or None
    held_out : int
        Bytes at the end of the data that are not trained on.
    """

    steps: int | None
    seconds: float | None
    held_out: int = 1 << 17


@dataclass(frozen=True)
class Where:
    """Device of the training and threads of the measurement."""

    device: str = "cpu"
    threads: int = 2
    progress: Progress = SILENT


def ablate(
    streams: Sequence[Stream],
    recipe: Recipe,
    budget: Budget,
    where: Where,
    before: dict[str, Any] | None = None,
    names: Sequence[str] | None = None,
) -> Iterator[dict[str, Any]]:
    """Train and measure all variants.

    Parameters
    ----------
    streams : sequence of Stream
    recipe : Recipe
    budget : Budget
    where : Where
    before : dict, optional
        An earlier result: runs that it has with the same settings are not run again.
    names : sequence of str, optional
        Of the variants to run; all by default.

    Yields
    ------
    dict
        Plain data for a JSON file: the result so far, after every training.
    """
    settings = {
        "recipe": recipe.name,
        "steps": budget.steps,
        "seconds": budget.seconds,
        "held_out": budget.held_out,
        "device": where.device,
    }
    same = before is not None and before["settings"] == settings
    known = before if same and before is not None else {"streams": [], "runs": []}
    result: dict[str, Any] = {
        "settings": settings,
        "commit": commit(),
        "machine": machine(),
        "streams": list(known["streams"]),
        "runs": list(known["runs"]),
    }
    for stream in streams:
        about = stream_about(stream, budget)
        others = [old for old in result["streams"] if old["name"] != stream.name]
        if about not in result["streams"]:  # other data: what was measured before is void
            result["runs"] = [r for r in result["runs"] if r["stream"] != stream.name]
        result["streams"] = [*others, about]
        for variant in stream.variants:
            if names is not None and variant.name not in names:
                continue
            wanted = variant_about(stream, variant)
            if any(all(run.get(k) == v for k, v in wanted.items()) for run in result["runs"]):
                continue
            baseline = about["lzma_bits_per_byte"]
            run = run_variant(stream, variant, recipe, budget, where, baseline)
            key = (stream.name, variant.name)
            kept = [r for r in result["runs"] if (r["stream"], r["variant"]) != key]
            result["runs"] = [*kept, run]
            yield result


def stream_about(stream: Stream, budget: Budget) -> dict[str, Any]:
    """What a JSON file says of a stream."""
    rows = _held_out_rows(stream, budget)
    held = stream.records[-rows:]
    return {
        "name": stream.name,
        "title": stream.title,
        "bytes": int(stream.records.size),
        "held_out_bytes": int(held.size),
        "record": int(stream.records.shape[1]),
        "lane_tokens": int(stream.lane_rows * stream.records.shape[1]),
        "lzma_bits_per_byte": 8 * len(lzma.compress(held.tobytes(), preset=9)) / held.size,
    }


def variant_about(stream: Stream, variant: Variant) -> dict[str, Any]:
    """What a JSON file says of a variant before it is trained; runs with the same are the same."""
    return {
        "stream": stream.name,
        "variant": variant.name,
        "what": variant.what,
        "config": replace(stream.config, **variant.config).as_json(),
        "lanes": variant.lanes,
        "seed": variant.seed,
    }


def run_variant(
    stream: Stream, variant: Variant, recipe: Recipe, budget: Budget, where: Where, baseline: float
) -> dict[str, Any]:
    """Train one variant and measure it.

    Parameters
    ----------
    stream : Stream
    variant : Variant
    recipe : Recipe
        Rates and tokens per step; its transformer is not used.
    budget : Budget
    where : Where
    baseline : float
        What LZMA needs, to show during the training.

    Returns
    -------
    dict
        Plain data for a JSON file: ``bits_per_byte`` is in floating point,
        ``exact_bits_per_byte`` in integers, or None for a variant without an integer form.
    """
    width = stream.records.shape[1]
    lane = stream.lane_rows * variant.lanes * width
    held_rows = _held_out_rows(stream, budget)
    loaders = _loaders(stream, recipe, lane, held_rows, variant.seed)
    torch.manual_seed(variant.seed)
    model = OptimisedCompressiveTransformer(replace(stream.config, **variant.config))
    wrapper = CATWrapper(model.to(where.device), seed=variant.seed)
    held = stream.records[-held_rows:]
    loop = run_loop(
        wrapper,
        wrapper.bits_per_byte,
        loaders.train,
        lambda: mean_bits(wrapper.bits_per_byte, loaders.validation, where.device),
        _loop_options(recipe, budget, variant.seed),
        progress=where.progress,
        baselines={"lzma -9": baseline},
    )
    wrapper.eval()
    by_chunk = {
        str(size): float_bits(wrapper, held, lane, chunk=size, device=where.device)
        for size in _chunks(stream, lane)
    }
    exact = _exact(model.to("cpu"), stream.records[:-held_rows], held, lane, where.threads)
    return {
        **variant_about(stream, variant),
        "bits_per_byte": by_chunk[str(max(stream.config.chunk_sizes))],
        "by_chunk": by_chunk,
        "parameters": model.parameter_count,
        "steps": loop.steps,
        "seconds": round(loop.seconds, 1),
        "stopped": loop.stopped,
        "history": [asdict(entry) for entry in loop.history],
        **exact,
    }


def _held_out_rows(stream: Stream, budget: Budget) -> int:
    """Records that are held out: no more than a quarter."""
    rows, width = stream.records.shape
    return int(max(1, min(budget.held_out // width, rows // 4)))


def _loaders(stream: Stream, recipe: Recipe, lane: int, held: int, seed: int) -> Loaders:
    share = held / len(stream.records)
    batch = max(1, recipe.batch * recipe.lane_tokens // lane)
    options = LoaderOptions(window=lane, batch=batch, fractions=(1 - share, share, 0.0), seed=seed)
    return make_loaders(stream.records, options)


def _loop_options(recipe: Recipe, budget: Budget, seed: int) -> Any:
    if budget.steps is None:
        return recipe.loop_options(seconds=budget.seconds, seed=seed)
    return recipe.loop_options(
        steps=budget.steps,
        seconds=budget.seconds,
        warmup=min(recipe.warmup, budget.steps // 4),
        eval_every=max(1, budget.steps // _EVALUATIONS),
        patience=_EVALUATIONS + 1,
        seed=seed,
    )


def _chunks(stream: Stream, lane: int) -> list[int]:
    """Chunks to measure with: the network's own, and smaller ones where lanes are longer."""
    largest = max(stream.config.chunk_sizes)
    return [size for size in (largest // 4, largest // 2, largest) if size and lane > largest] or [
        largest
    ]


def _exact(
    model: OptimisedCompressiveTransformer, train: Array, held: Array, lane: int, threads: int
) -> dict[str, Any]:
    """Bits per byte in integers, and bytes of the stored model; None where there is no form."""
    types = model.config.types
    layout = RecordLayout((RecordColumn("row", "|u1", types, (-1,) * types),))
    # The same lanes, read as records of as many bytes as the network has types.
    count = train.size // lane
    chosen = np.unique(np.linspace(0, count - 1, max(1, _CALIBRATED // lane)).astype(int))
    lanes = train.reshape(-1)[: count * lane].reshape(count, lane)[chosen]
    try:
        exact = quantise(model, layout, lanes, table="ablation")
    except UnsupportedFeatureError:
        return {"exact_bits_per_byte": None, "model_bytes": None}
    exact = _without_unseen(replace(exact, lane_tokens=lane), train.reshape(-1, types))
    return {
        "exact_bits_per_byte": exact_bits(exact, held.reshape(-1, types), threads),
        "model_bytes": len(serial.dump(exact)),
    }


def _without_unseen(model: SequenceModel, records: Array) -> SequenceModel:
    """The model with embeddings of bytes that never came set to zero: they cost nothing then."""
    seen = np.zeros((records.shape[1], 256, 1), np.int8)
    for k, column in enumerate(records.T):
        seen[k, np.unique(column)] = 1
    weights = {**model.weights, "embed": model.weights["embed"] * seen}
    return replace(model, weights=weights)
