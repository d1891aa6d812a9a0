"""The choice of tables and recipes for transformers; without torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy.typing as npt

from vortex_hep.codec.plan import CORE, REST
from vortex_hep.codec.tokens.records import RecordLayout, layout_of
from vortex_hep.core.schema import VarBytes
from vortex_hep.errors import UnsupportedFeatureError
from vortex_hep.nn.event.training.prepare import TableSample
from vortex_hep.nn.loop.recipes import Recipe
from vortex_hep.nn.sequence.model import (
    MAX_FF,
    MAX_HEAD_DIM,
    MAX_LANE_TOKENS,
    MAX_LAYERS,
    MAX_TYPES,
    MAX_WIDTH,
)

Array = npt.NDArray[Any]

#: Tables with fewer bytes to learn from are left to the classical coders.
LEAST_BYTES = 1 << 16
#: Bytes of rows that models are measured on, at most.
MEASURED = 1 << 19
#: Part of the rows that is held out.
_HELD_OUT = 0.1


@dataclass(frozen=True)
class Job:
    """A table to fit a model to.

    Parameters
    ----------
    sample : TableSample
    columns : dict of str to array
        Those of numbers.
    layout : RecordLayout
        Of their bytes that vary.
    name : str
        For users, and for files.
    """

    sample: TableSample
    columns: dict[str, Array]
    layout: RecordLayout
    name: str

    @property
    def rows(self) -> int:
        """Rows of the sample."""
        return self.sample.data.num_rows

    @property
    def cut(self) -> int:
        """First row that is held out; there is at least one."""
        return min(self.rows - 1, round(self.rows * (1 - _HELD_OUT)))

    @property
    def held_out(self) -> slice:
        """Rows that are measured."""
        return slice(self.cut, min(self.rows, self.cut + max(1, MEASURED // self.layout.width)))


def _columns(sample: TableSample) -> dict[str, Array]:
    return {
        name: column
        for name, column in sample.data.columns.items()
        if not isinstance(column, VarBytes)
    }


def _name(sample: TableSample) -> str:
    return {CORE: "counters", REST: "event"}.get(sample.plan.name, sample.plan.name)


def job_of(sample: TableSample, recipe: Recipe) -> Job | str:
    """Return a table as it is fitted, or say why it is left to the classical coders.

    Parameters
    ----------
    sample : TableSample
    recipe : Recipe

    Returns
    -------
    Job or str
        The latter without its subject: "has no rows to learn from".
    """
    columns = _columns(sample)
    rows = sample.data.num_rows
    if rows < 2 or not columns:
        return "has no rows to learn from"
    layout = layout_of([s for s in sample.specs if s.name in columns], columns)
    job = Job(sample, columns, layout, _name(sample))
    size = rows * layout.width
    if size < LEAST_BYTES:
        return f"has {size:,} bytes that vary, and {LEAST_BYTES:,} are the least to learn from"
    if layout.width > MAX_TYPES:
        return f"has rows of {layout.width:,} bytes that vary, and {MAX_TYPES:,} are the most"
    if (window := max(1, recipe.lane_tokens // layout.width)) > job.cut:
        return f"has fewer rows than a lane of the recipe, {window:,}"
    return job


def why_not(sample: TableSample, recipe: Recipe) -> str | None:
    """Say why a table is left to the classical coders, for users; None where it is not.

    Parameters
    ----------
    sample : TableSample
    recipe : Recipe
    """
    job = job_of(sample, recipe)
    return f"table {_name(sample)!r} {job}" if isinstance(job, str) else None


def check_recipe(recipe: Recipe) -> None:
    """Refuse what can be trained but has no form in integers: before the training, not after.

    Parameters
    ----------
    recipe : Recipe

    Raises
    ------
    UnsupportedFeatureError
        A variant that is for comparison only, or one that is too large.
    """
    c = recipe.transformer
    wrong = [
        f"{name} must be {wanted}"
        for name, found, wanted in (
            ("norm", c.norm, "rms"), ("feed_forward", c.feed_forward, "swiglu"),
            ("vocab_size", c.vocab_size, 256), ("eviction", c.eviction, "lte"),
        )
        if found != wanted and not (name == "eviction" and not c.memory)
    ]  # fmt: skip
    wrong += [
        f"{name} must be at most {most}"
        for name, found, most in (
            ("d_model", c.d_model, MAX_WIDTH), ("d_ff", c.d_ff, MAX_FF),
            ("n_layers", c.n_layers, MAX_LAYERS), ("d_model / n_heads", c.head_dim, MAX_HEAD_DIM),
            ("lane_tokens", recipe.lane_tokens, MAX_LANE_TOKENS),
        )
        if found > most
    ]  # fmt: skip
    if wrong:
        raise UnsupportedFeatureError(
            f"recipe {recipe.name!r}: files cannot be compressed with such a transformer:"
            f" {'; '.join(wrong)}"
        )
