"""Checks of a job before the first file is read."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from vortex_hep.batch.plan.inputs import InputFile, twice
from vortex_hep.batch.problems import Problems
from vortex_hep.core import storage
from vortex_hep.core.schema import FileSource
from vortex_hep.core.storage.paths import same_file_key, server_of
from vortex_hep.errors import (
    MissingError,
    ModelMismatchError,
    NotFoundError,
    SourceError,
    UnsupportedTypeError,
    VortexError,
)
from vortex_hep.models.find import model_of
from vortex_hep.models.model import Model
from vortex_hep.models.novelty import learnt_columns
from vortex_hep.models.record_width import record_width
from vortex_hep.readers import open_source

_T = TypeVar("_T")

#: Servers and folders that are tried: many, but not one for each of a hundred thousand files.
_MOST = 16
#: Inputs that are opened until one can be read.
_TRIES = 5
#: Names that a message spells out.
_SHOWN = 8


def check(
    files: Sequence[InputFile],
    *,
    output: str | None = None,
    model: Model | str | os.PathLike[str] | None = None,
    trees: Sequence[str] | None = None,
) -> Model | None:
    """Check a job before it begins; whatever is wrong is said at once.

    The output folder is made, and a small file written to it and removed; each server is asked for
    one file; the model is loaded, and compared with the first file that can be read.

    Parameters
    ----------
    files : sequence of InputFile
        With their targets, where there are any.
    output : str, optional
        Folder of all targets; without it, the folders of the targets are tried.
    model : Model, str or path, optional
        To compress with.
    trees : sequence of str, optional
        Trees that are asked for.

    Returns
    -------
    Model or None
        The model, loaded.

    Raises
    ------
    VortexError
        The one thing that is wrong, by the class that fits it.
    UnsupportedTypeError
        What is wrong, where that is several things.
    """
    problems = Problems("problems before the job begins")
    _check_targets(files, problems)
    folders = [output] if output is not None else _folders(files)
    with ThreadPoolExecutor(_MOST) as pool:
        asked = [pool.submit(_problem, _check_server, file.source) for file in _one_each(files)]
        written = [pool.submit(_problem, storage.check_writable, folder) for folder in folders]
        for future in (*written, *asked):
            error = future.result()
            if error is not None:
                problems.add(error)
    loaded = None
    try:
        loaded = model_of(model)
        _check_content(files, loaded, trees)
    except VortexError as error:
        problems.add(error)
    problems.check()
    return loaded


def _check_targets(files: Sequence[InputFile], problems: Problems) -> None:
    placed = [file for file in files if file.target is not None]
    twice(
        placed, lambda file: same_file_key(str(file.target)), problems,
        lambda first, second: UnsupportedTypeError(
            f"{first.source} and {second.source} would have one output", path=second.target,
            hint="give their outputs other folders, with an output folder and a base",
        ),
    )  # fmt: skip
    sources = {same_file_key(file.source): file for file in files}
    for file in placed:
        source = sources.get(same_file_key(str(file.target)))
        if source is not None:
            what = "itself" if source is file else f"the input {source.source}"
            msg = f"the output of {file.source} would replace {what}"
            problems.add(
                UnsupportedTypeError(msg, path=file.target, hint="choose another output folder")
            )


def _folders(files: Sequence[InputFile]) -> list[str]:
    """Folders of the targets, or some of them if they are many."""
    found = list(dict.fromkeys(storage.parent(file.target) for file in files if file.target))
    return _spread(found)


def _one_each(files: Sequence[InputFile]) -> list[InputFile]:
    """One file of each server."""
    first: dict[str, InputFile] = {}
    for file in files:
        first.setdefault(server_of(file.source), file)
    first.pop("", None)
    return _spread(list(first.values()))


def _spread(found: list[_T]) -> list[_T]:
    step = max(1, -(-len(found) // _MOST))
    return found[::step]


def _check_server(url: str) -> None:
    # A server that answers is fine: what is missing is no matter of the job as a whole.
    with contextlib.suppress(MissingError):
        storage.stat(url)


def _problem(checking: Callable[[str], object], path: str) -> VortexError | None:
    try:
        checking(path)
    except VortexError as error:
        return error
    return None


def _check_content(
    files: Sequence[InputFile], model: Model | None, trees: Sequence[str] | None
) -> None:
    """Compare the first files that can be read with what is asked of them.

    One that fits is enough: what ails another one (it is empty, say, or a text) will be said where
    its turn comes, and is no matter of the job as a whole.

    Raises
    ------
    ModelMismatchError
        The model knows nothing of any of them.
    NotFoundError
        They lack a tree that is asked for.
    """
    of_columns = model is not None and bool(model.trees) and record_width(model) is None
    if not of_columns and trees is None:
        return
    wrong: VortexError | None = None
    for file in files[:_TRIES]:
        try:
            with open_source(file.source, trees=trees) as source:
                if not source.trees:
                    continue
                if model is not None and of_columns:
                    _check_fits(model, source)
        except SourceError:
            continue
        except (ModelMismatchError, NotFoundError) as error:
            wrong = wrong or (None if _is_without_trees(file.source) else error)
            continue
        return
    if wrong is not None:
        raise wrong


def _is_without_trees(path: str) -> bool:
    """Whether a file, in which something was not found, has nothing that could be found."""
    try:
        with open_source(path) as source:
            return not source.trees
    except VortexError:
        return True


def _check_fits(model: Model, source: FileSource) -> None:
    for tree in source.trees.values():
        here = {column.name for table in tree.tables for column in table.columns}
        if not here.isdisjoint(learnt_columns(model, tree.family)):
            return
    has = _some(sorted({tree.family for tree in source.trees.values()}))
    raise ModelMismatchError(
        f"the model knows nothing of what this file holds: it knows {_some(model.trees)}, and the"
        f" file has {has}",
        path=str(source.path), hint="train a model on such files, or compress without one",
    )  # fmt: skip


def _some(names: Iterable[str]) -> str:
    every = list(names)
    shown = ", ".join(repr(name) for name in every[:_SHOWN]) or "no trees"
    return shown if len(every) <= _SHOWN else f"{shown} and {len(every) - _SHOWN} more"
