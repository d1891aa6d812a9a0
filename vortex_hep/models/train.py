"""Training a model on files of a dataset."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import time
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vortex_hep.codec.plan import CORE
from vortex_hep.core.install import install_hint
from vortex_hep.core.options import (
    DEFAULT_RECIPE,
    EVENT_TABLE,
    check_device,
    check_effort,
    check_family,
    check_parts,
    checked_options,
    thread_count,
    tree_names,
)
from vortex_hep.core.progress import Progress
from vortex_hep.core.schema import FileSource, TreeSource, VarBytes
from vortex_hep.core.terminal import ProgressLike, progress_of
from vortex_hep.errors import NotFoundError, UnsupportedTypeError
from vortex_hep.models.find import model_of
from vortex_hep.models.model import Model
from vortex_hep.models.options import TrainOptions

if TYPE_CHECKING:
    from vortex_hep.nn.event.model import EventModel
    from vortex_hep.nn.event.training.prepare import TableSample
    from vortex_hep.nn.sequence.model import SequenceModel

#: Steps and passes per effort.
_SPEND = {"fast": (400, 2.5), "normal": (1500, 8.0), "max": (3000, 16.0)}


def fit_options(options: TrainOptions, *, self_contained: bool) -> Any:
    """Translate what a user asked for into what the fit needs."""
    from vortex_hep.nn.event.training.prepare import FitOptions

    steps, passes = _SPEND[options.effort]
    return FitOptions(
        steps=steps,
        passes=passes if options.passes is None else options.passes,
        shrink=0.1 if self_contained else 0.04,
        self_contained=self_contained,
        seed=options.seed,
        threads=thread_count(options.threads),
        device=options.device,
        seconds=options.seconds,
        across=not options.independent,
        without=frozenset(options.without),
    )


@partial(
    checked_options, note="; how to train is in options=vortex_hep.TrainOptions(seconds=60, ...)"
)
def train(
    sources: Sequence[str | os.PathLike[str] | Any],
    *,
    options: TrainOptions | None = None,
    progress: ProgressLike = None,
) -> Model:
    """Train a model on one or a few files; it then serves all files of their kind.

    Parameters
    ----------
    sources : sequence of str, path or uproot file
        Files (paths, fsspec URLs) of one kind.
    options : TrainOptions, optional
    progress : Progress or bool, optional
        Where progress is shown; True shows it on standard error.

    Returns
    -------
    Model

    Raises
    ------
    SourceError
        A file cannot be read.
    NotFoundError
        A tree or table asked for is in none of the files, or no recipe has the name asked for.
    UnsupportedTypeError
        There is nothing to learn from, or an option has a value that cannot be.
    """
    from vortex_hep.readers import open_source

    options = options or TrainOptions()
    wanted = tree_names(options.trees)
    if isinstance(sources, (str, os.PathLike)) or not isinstance(sources, Sequence):
        sources = [sources]
    if not sources:
        raise UnsupportedTypeError("no files to train on", hint="give at least one file")
    with contextlib.ExitStack() as stack:
        files: list[FileSource] = []
        for source in sources:
            file = open_source(source, record=options.record)
            stack.callback(file.close)
            files.append(file)
        trees = _trees_by_name(files, wanted)
        model = fit_model(trees, options, progress_of(progress), self_contained=False)
        path = files[0].path
    if not model.trees:
        raise UnsupportedTypeError(
            "no table has enough rows to train on", path=path,
            hint="train on more or larger files; small files compress well without a model",
        )  # fmt: skip
    return model


def _trees_by_name(
    files: Sequence[FileSource], wanted: Sequence[str] | None
) -> dict[str, list[TreeSource]]:
    """Trees of several files, like with like, by family."""
    trees: dict[str, list[TreeSource]] = {}
    known: set[str] = set()
    for file in files:
        for tree in file.trees.values():
            names = {tree.name, tree.family, *(m.name for m in tree.members)}
            known |= names
            if wanted is None or not names.isdisjoint(wanted):
                trees.setdefault(tree.family, []).append(tree)
    for name in wanted or ():
        if name not in known:
            raise NotFoundError(
                f"no such tree; there are {', '.join(sorted(known)) or 'none'}",
                path=files[0].path, tree=name,
            )  # fmt: skip
    return trees


def fit_model(
    trees: dict[str, list[TreeSource]],
    options: TrainOptions,
    progress: Progress,
    *,
    self_contained: bool,
) -> Model:
    """Fit the models of some trees.

    Parameters
    ----------
    trees : dict of str to list of TreeSource
        By name, the sources of files of one kind.
    options : TrainOptions
    progress : Progress
    self_contained : bool
        Whether the model is stored with the data, so that its own bytes count.

    Returns
    -------
    Model
        Without a table where no network pays for itself.

    Raises
    ------
    NotFoundError
        A table asked for is in none of the trees, or no recipe has the name asked for.
    UnsupportedTypeError
        torch is not installed, an option has a value that does not exist or is not of the family,
        or a transformer finds nothing to learn from.
    UnsupportedFeatureError
        The recipe, or the device, cannot be used.
    """
    check_effort(options.effort)
    check_device(options.device)
    check_family(options.family)
    check_parts(options.without)
    _check_family(options)
    _check_tables(trees, options)
    if not can_train():
        raise UnsupportedTypeError(
            "fitting a model needs torch, which is not installed",
            hint=f"{install_hint('train')}, or pass a trained model",
        )
    if options.family == "transformer":
        return _fit_transformers(trees, options, progress)
    from vortex_hep.models.checkpoint import Checkpoint
    from vortex_hep.nn.event.training.fit import fit_tree

    fit = fit_options(options, self_contained=self_contained)
    total = sum(t.num_entries for group in trees.values() for t in group)
    if options.expected_rows is not None:
        fit = fit.with_reuse(max(1.0, options.expected_rows / max(1, total)))
    base = model_of(options.base)
    checkpoint = Checkpoint(options.checkpoint, fit, trees, base)
    models: dict[str, dict[str, EventModel]] = {}
    classical: dict[str, list[str]] = {}
    for name, group in trees.items():
        samples = _samples(group, options, progress)
        tables = fit_tree(
            samples, fit, progress,
            done=checkpoint.done(name), on_table=partial(checkpoint.put, name),
            base=None if base is None else base.table_models(name),
        )  # fmt: skip
        if set(tables) - {CORE}:  # the core alone is of no use: others have it as context
            models[name] = tables
        learnt = {n for m in models.get(name, {}).values() for f in m.fields for n in f.columns}
        seen = (c.name for tree in group for table in tree.tables for c in table.columns)
        classical[name] = [n for n in dict.fromkeys(seen) if n not in learnt]
    return Model(models, classical)


def _samples(
    group: list[TreeSource], options: TrainOptions, progress: Progress
) -> list[TableSample]:
    """Rows to learn from, of the tables that were asked for."""
    from vortex_hep.models.sample import gather

    wanted = tree_names(options.tables)
    samples = gather(group, options.sample_bytes, progress)
    if wanted is None:
        return samples
    # Event models of other tables have the core as context.
    kept = CORE if options.family == "event" else None
    return [s for s in samples if _shown(s.plan.table) in wanted or s.plan.name == kept]


def _shown(table: str) -> str:
    """How users name a table."""
    return table or EVENT_TABLE


def _check_tables(trees: dict[str, list[TreeSource]], options: TrainOptions) -> None:
    """Raise NotFoundError if a table that was asked for is in none of the trees."""
    wanted = tree_names(options.tables) or []
    known = {_shown(t.name) for group in trees.values() for tree in group for t in tree.tables}
    if missing := [name for name in wanted if name not in known]:
        raise NotFoundError(
            f"no table {', '.join(map(repr, missing))};"
            f" there are {', '.join(map(repr, sorted(known))) or 'none'}"
        )


def _check_family(options: TrainOptions) -> None:
    """Refuse options that the other family has: to pass them over would surprise."""
    event = options.family == "event"
    given = {
        "base": options.base is not None, "without": bool(options.without),
        "passes": options.passes is not None, "independent": options.independent,
        "expected_rows": options.expected_rows is not None,
    }  # fmt: skip
    if event:
        given = {
            "recipe": options.recipe != DEFAULT_RECIPE,
            "log_dir": options.log_dir is not None,
        }
    if wrong := [name for name, there in given.items() if there]:
        families = ("event", "transformer") if event else ("transformer", "event")
        raise UnsupportedTypeError(
            f"{', '.join(wrong)}: not for models of family {families[0]!r}",
            hint=f"family {families[1]!r} knows {'it' if len(wrong) == 1 else 'them'}",
        )


def _fit_transformers(
    trees: dict[str, list[TreeSource]], options: TrainOptions, progress: Progress
) -> Model:
    """Train a compressive transformer on the rows of every table."""
    from vortex_hep.nn.devices import torch_device
    from vortex_hep.nn.loop.recipes import load_recipe
    from vortex_hep.nn.sequence.fit import fit_sequences, snapshot_path
    from vortex_hep.nn.sequence.jobs import check_recipe, why_not

    recipe = load_recipe(options.recipe)
    check_recipe(recipe)
    device = torch_device(options.device)
    samples = {name: _samples(group, options, progress) for name, group in trees.items()}
    sizes = {name: max(1, sum(map(_bytes_of, found))) for name, found in samples.items()}
    budget = recipe.seconds if options.seconds is None else options.seconds
    if budget is not None and budget <= 0:
        raise UnsupportedTypeError(f"{budget} seconds to train in")
    end = None if budget is None else time.monotonic() + budget
    models: dict[str, dict[str, SequenceModel]] = {}
    classical: dict[str, list[str]] = {}
    with _torch_threads(options.threads):
        for name, group in trees.items():
            checkpoint, log_dir = options.checkpoint, options.log_dir
            if len(trees) > 1:
                checkpoint = None if checkpoint is None else snapshot_path(checkpoint, name)
                log_dir = None if log_dir is None else Path(log_dir) / name.replace("/", "_")
            # What one tree did not use is for those after it.
            share = sizes[name] / sum(sizes.values())
            fits = fit_sequences(
                samples[name], recipe, progress, device=device, seed=options.seed,
                seconds=None if end is None else max(1.0, end - time.monotonic()) * share,
                checkpoint=checkpoint, log_dir=log_dir, threads=thread_count(options.threads),
            )  # fmt: skip
            del sizes[name]
            if fits:
                models[name] = {plan: fit.model for plan, fit in fits.items()}
            learnt = {c for m in models.get(name, {}).values() for c in m.columns}
            seen = (c.name for tree in group for table in tree.tables for c in table.columns)
            classical[name] = [n for n in dict.fromkeys(seen) if n not in learnt]
    if not models:
        reasons = [why_not(s, recipe) or "training diverged" for f in samples.values() for s in f]
        raise UnsupportedTypeError(
            f"nothing is worth a transformer: {'; '.join(reasons[:5]) or 'there are no rows'}",
            hint="train on more or larger files, or with another recipe; the event model,"
            " family 'event', learns from fewer rows",
        )
    return Model(models, classical)


def _bytes_of(sample: TableSample) -> int:
    """Bytes of a table's numbers."""
    columns = sample.data.columns.values()
    return sum(int(c.nbytes) for c in columns if not isinstance(c, VarBytes))


@contextlib.contextmanager
def _torch_threads(threads: int | None) -> Iterator[None]:
    """Let torch use so many threads; None leaves its own choice."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(before if threads is None else threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def can_train() -> bool:
    """Whether what fitting needs is installed."""
    return importlib.util.find_spec("torch") is not None
