"""Options of a training."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vortex_hep.core.options import DEFAULT_RECIPE, checked_fields

if TYPE_CHECKING:
    from vortex_hep.models.model import Model


@checked_fields
@dataclass(frozen=True)
class TrainOptions:
    """How to train.

    Parameters
    ----------
    trees : str or sequence of str, optional
        Trees to learn; all of them by default.
    tables : str or sequence of str, optional
        Of these trees only these tables; all of them by default. "(event)" is the one of what
        there is once per event.
    family : {"event", "transformer"}
        What to train: small networks inside each event, or a compressive transformer over the
        bytes of each table's rows.
    recipe : str or path
        Transformers only: a name of :func:`vortex_hep.nn.loop.recipes.recipe_names`, or a YAML
        file.
    effort : {"fast", "normal", "max"}
        How many optimiser steps to spend on each table; a transformer's recipe says how many.
    passes : float, optional
        Passes over the rows of large tables; overrides the effort's.
    seconds : float, optional
        Give the tables that are left no more steps than fit in this time. For a transformer this
        takes the place of the recipe's, and measuring it is part of it.
    seed : int
        Same seed, data and options give the same weights.
    device : {"auto", "cpu", "cuda"}
        Where gradients are computed.
    threads : int, optional
        Workers; the weights of event models do not depend on it. Transformers are trained by
        torch, which otherwise chooses for itself.
    checkpoint : str, optional
        File that keeps finished tables; a later call with the same data resumes from it. Of a
        transformer, snapshots of its training are kept in one file per table, named after this
        one.
    log_dir : str, optional
        Folder for TensorBoard; transformers only.
    expected_rows : int, optional
        Events the model will serve in all; more of them carry a larger model.
    sample_bytes : int
        Learn from at most this many bytes of columns, taken evenly from all files.
    record : int, optional
        Take the files as records of so many bytes each, whatever they are; compressing with the
        model then takes files so, too.
    independent : bool
        Code every table without the others: reading a collection then costs that collection and the
        counters alone, and archives are larger by some per cent.
    base : Model, str or path, optional
        Start from what this model knows of the same branches, instead of from nothing.
    without : sequence of str
        Parts of the modelling to leave out, to see what they are worth: "predictors" (exact
        arithmetic between columns), "links" (rows of other tables), "context" (what other tables
        with one row per entry say of it), "blocks" (the rows before, of tables whose rows are
        entries).
    """

    trees: str | Sequence[str] | None = None
    tables: str | Sequence[str] | None = None
    family: str = "event"
    recipe: str | os.PathLike[str] = DEFAULT_RECIPE
    effort: str = "normal"
    passes: float | None = None
    seconds: float | None = None
    seed: int = 0
    device: str = "auto"
    threads: int | None = None
    checkpoint: str | os.PathLike[str] | None = None
    log_dir: str | os.PathLike[str] | None = None
    expected_rows: int | None = None
    sample_bytes: int = 1 << 28
    record: int | None = None
    independent: bool = False
    base: Model | str | os.PathLike[str] | None = None
    without: Sequence[str] = ()
