"""Training a model on files of a dataset."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from typing import Any

from vortex_hep.errors import NotFoundError, UnsupportedTypeError
from vortex_hep.model import Model
from vortex_hep.options import TrainOptions, check_effort, thread_count
from vortex_hep.progress import SILENT, Progress
from vortex_hep.schema import FileSource, TreeSource

#: Steps and passes per effort.
_SPEND = {"fast": (300, 2.0), "normal": (1000, 6.0), "max": (3000, 16.0)}


def fit_options(options: TrainOptions, *, self_contained: bool) -> Any:
    """Translate what a user asked for into what the fit needs."""
    from vortex_hep.nn.fit import FitOptions

    check_effort(options.effort)
    steps, passes = _SPEND[options.effort]
    return FitOptions(
        steps=steps,
        passes=passes if options.passes is None else options.passes,
        shrink=0.15 if self_contained else 0.05,
        self_contained=self_contained,
        seed=options.seed,
        threads=thread_count(options.threads),
        device=options.device,
        seconds=options.seconds,
    )


def train(
    sources: Sequence[str | os.PathLike[str] | Any],
    *,
    options: TrainOptions | None = None,
    progress: Progress | None = None,
) -> Model:
    """Train a model on one or a few files; it then serves all files of their kind.

    Parameters
    ----------
    sources : sequence of str, path or uproot file
        Files (paths, fsspec URLs) of one kind.
    options : TrainOptions, optional
    progress : Progress, optional

    Returns
    -------
    Model

    Raises
    ------
    SourceError
        A file cannot be read.
    NotFoundError
        A tree asked for is in none of the files.
    UnsupportedTypeError
        There is nothing to learn from.
    """
    from vortex_hep.readers import open_source

    options = options or TrainOptions()
    if isinstance(sources, (str, os.PathLike)) or not isinstance(sources, Sequence):
        sources = [sources]
    if not sources:
        raise UnsupportedTypeError("no files to learn from")
    with contextlib.ExitStack() as stack:
        opened: list[FileSource] = []
        for source in sources:
            file = open_source(source)
            stack.callback(file.close)
            opened.append(file)
        trees: dict[str, list[TreeSource]] = {}
        for file in opened:
            for name, tree in file.trees.items():
                if options.trees is None or name in options.trees:
                    trees.setdefault(name, []).append(tree)
        for name in options.trees or ():
            if name not in trees:
                known = sorted({n for f in opened for n in f.trees})
                raise NotFoundError(
                    f"no such tree; there are {', '.join(known) or 'none'}",
                    path=opened[0].path, tree=name,
                )  # fmt: skip
        model = fit_model(trees, options, progress or SILENT, self_contained=False)
    if not model.trees:
        raise UnsupportedTypeError(
            "no table has enough rows to learn from", path=opened[0].path,
            hint="train on more or larger files; small files compress well without a model",
        )  # fmt: skip
    return model


def fit_model(
    trees: dict[str, list[TreeSource]],
    options: TrainOptions,
    progress: Progress,
    *,
    self_contained: bool,
) -> Model:
    """Fit the models of some trees; the sources of each are files of one kind.

    Raises
    ------
    UnsupportedTypeError
        torch is not installed.
    """
    _require_torch()
    from vortex_hep.nn.checkpoint import Checkpoint
    from vortex_hep.nn.fit import fit_tree
    from vortex_hep.sampling import gather

    fit = fit_options(options, self_contained=self_contained)
    total = sum(t.num_entries for group in trees.values() for t in group)
    if options.expected_rows is not None:
        fit = fit.with_reuse(max(1.0, options.expected_rows / max(1, total)))
    checkpoint = Checkpoint(options.checkpoint, fit, trees)
    models = {}
    for name, group in trees.items():
        samples = gather(group, options.sample_bytes, progress)
        tables = fit_tree(
            samples, fit, progress, done=checkpoint.done(name),
            on_table=lambda plan, table, name=name: checkpoint.put(name, plan, table),
        )  # fmt: skip
        if tables and not (set(tables) == {""}):
            models[name] = tables
    return Model(models)


def _require_torch() -> None:
    try:
        import torch  # noqa: F401
    except ImportError as error:
        raise UnsupportedTypeError(
            "fitting a model needs torch, which is not installed",
            hint="pip install 'vortex-hep[train]', or pass a trained model",
        ) from error
