"""Variants of the ablation: what each leaves out or replaces, and its data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy.typing as npt

from benchmarks.transformers.data import JetFiles, jet_records, text_records
from vortex_hep.nn.loop.recipes import Recipe
from vortex_hep.nn.transformer.config import TransformerConfig

Array = npt.NDArray[Any]

#: Window and chunk, and tokens of a lane, where the past beyond a chunk is to matter.
TEXT_WINDOW, TEXT_LANE = 256, 1024
#: Name of the variant that the others are compared with.
BASE = "base"


@dataclass(frozen=True)
class Variant:
    """One network of the ablation.

    Parameters
    ----------
    name : str
    what : str
        For the table.
    config : mapping
        Fields of TransformerConfig that differ from the stream's.
    lanes : int
        Length of lanes over the stream's.
    seed : int
    """

    name: str
    what: str
    config: Mapping[str, Any] = field(default_factory=dict)
    lanes: int = 1
    seed: int = 0


@dataclass(frozen=True)
class Stream:
    """Data, and the network that its variants start from.

    Parameters
    ----------
    name, title : str
    records : uint8 array, shape (rows, width)
    config : TransformerConfig
    lane_rows : int
        Records of a lane.
    variants : tuple of Variant
    """

    name: str
    title: str
    records: Array
    config: TransformerConfig
    lane_rows: int
    variants: tuple[Variant, ...]


_SEED = Variant("seed", "the same from another seed", seed=1)
_NORM = Variant("layer norm", "LayerNorm for RMSNorm", {"norm": "layer"})
_GELU = Variant("gelu", "GELU for SwiGLU", {"feed_forward": "gelu"})

JET_VARIANTS = (
    Variant(BASE, "a table per byte of the row (TDT), lanes of whole rows within one chunk"),
    _SEED,
    Variant("shared", "one table for all bytes", {"types": 1}),
    Variant("four", "four tables, as if all were float32", {"types": 4}),
    _NORM,
    _GELU,
    Variant("rows", "lanes four times as long, with memory", lanes=4),
    Variant("rows, no memory", "lanes four times as long, no memory", {"memory": False}, lanes=4),
)
TEXT_VARIANTS = (
    Variant(BASE, "memory by token eviction (LTE), fixed chunks"),
    _SEED,
    Variant("no memory", "no memory", {"memory": False}),
    Variant("strided", "strided convolution for LTE", {"eviction": "strided"}),
    Variant(
        "cat", "chunks of random size (CAT)",
        {"chunk_sizes": (TEXT_WINDOW // 4, TEXT_WINDOW // 2, TEXT_WINDOW)},
    ),
    _NORM,
    _GELU,
)  # fmt: skip


def jet_stream(files: JetFiles, recipe: Recipe) -> Stream:
    """Typed records: the jets that a model is trained on."""
    records = jet_records(files.train)
    width = records.shape[1]
    config = replace(recipe.transformer, types=width)
    rows = max(1, recipe.lane_tokens // width)
    return Stream("jets", f"Jets of `{files.name}`", records, config, rows, JET_VARIANTS)


def text_stream(data: Path, recipe: Recipe, size: int) -> Stream:
    """A stream of plain bytes: HepMC text."""
    name, records = text_records(data, size)
    config = replace(recipe.transformer, types=1, window=TEXT_WINDOW, chunk_sizes=(TEXT_WINDOW,))
    return Stream("hepmc", f"Text of `{name}`", records, config, TEXT_LANE, TEXT_VARIANTS)
