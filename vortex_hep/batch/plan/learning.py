"""Training one model for a whole data set on some of its files."""

from __future__ import annotations

import errno
import io
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from vortex_hep.batch.plan.inputs import InputFile, find_inputs
from vortex_hep.batch.site.clients import client_of
from vortex_hep.batch.states import Reason, reason_of
from vortex_hep.batch.worker.modelbytes import model_bytes
from vortex_hep.core import storage
from vortex_hep.core.progress import Progress
from vortex_hep.core.storage.failures import output_error
from vortex_hep.core.terminal import ProgressLike, progress_of
from vortex_hep.core.text import one_line
from vortex_hep.errors import (
    OutputError,
    SourceError,
    UnsupportedFeatureError,
    UnsupportedTypeError,
    VortexError,
)
from vortex_hep.models.model import Model
from vortex_hep.models.options import TrainOptions
from vortex_hep.models.train import train
from vortex_hep.readers import open_source

#: Unreadable files that are left out, for each file to learn from: more are no accident.
_MOST_SKIPPED = 1.0


@dataclass
class LearningReport:
    """What was learnt from.

    Parameters
    ----------
    path : str
        The model.
    sha256 : str
    files : list of str
        Those that were learnt from.
    skipped : list of str
        One line for each file that was left out because it could not be read.
    seconds : float
    """

    path: str
    sha256: str
    files: list[str]
    skipped: list[str] = field(default_factory=list)
    seconds: float = 0.0


def sample(files: Sequence[InputFile], count: int) -> list[InputFile]:
    """Choose files evenly over a list.

    Examples
    --------
    >>> files = [InputFile(name, name) for name in "abcdefg"]
    >>> [file.source for file in sample(files, 3)]
    ['a', 'd', 'g']
    """
    return [files[at] for at in _spread(len(files), count)]


def _spread(total: int, count: int) -> list[int]:
    if count >= total:
        return list(range(total))
    if count == 1:
        return [total // 2]
    return [round(n * (total - 1) / (count - 1)) for n in range(count)]


def train_on_dataset(
    inputs: Sequence[str | os.PathLike[str]],
    *,
    output: str | os.PathLike[str],
    options: TrainOptions | None = None,
    sample_files: int = 16,
    overwrite: bool = False,
    site: Any = None,
    progress: ProgressLike = None,
) -> LearningReport:
    """Train a model on some files of a data set, taken evenly; and on events evenly from each.

    Parameters
    ----------
    inputs : sequence of str or path
        Files, folders, patterns, lists; see :func:`~vortex_hep.batch.plan.inputs.find_inputs`.
    output : str or path
        The model to write, which appears when it is complete; a local path or a URL.
    options : TrainOptions, optional
        Its ``sample_bytes`` says how much is learnt from in all. Unless it says how many events
        the model will serve, that is estimated from the sizes of the files.
    sample_files : int
        Files to learn from.
    overwrite : bool
        Whether a model that exists may be replaced.
    site : Site or distributed.Client, optional
        Train on one of its workers; by default in this process.
    progress : Progress or bool, optional
        Of training in this process.

    Returns
    -------
    LearningReport
        Names files that could not be read; others took their place.

    Raises
    ------
    OutputError
        The model exists, or cannot be written; before anything is read.
    SourceError
        Too many of the files cannot be read.
    UnsupportedTypeError
        There is nothing to learn from.
    """
    began = time.monotonic()
    target = os.fspath(output)
    if sample_files < 1:
        raise UnsupportedTypeError(f"sample_files must be at least 1, not {sample_files!r}")
    _check_output(target, overwrite=overwrite)
    files = find_inputs([os.fspath(one) for one in inputs])
    storage.check_distinct(target, *(file.source for file in files))
    learner = _Learner(files, options or TrainOptions(), sample_files)
    if site is None:
        model, report = learner.learn(progress_of(progress))
    else:
        with client_of(site) as client:
            model, report = _on_worker(client, learner)
    model.save(target, overwrite=overwrite)
    report.path, report.seconds = target, time.monotonic() - began
    return report


def _check_output(path: str, *, overwrite: bool) -> None:
    try:
        there = storage.exists(path)
    except SourceError as error:  # what cannot be asked for cannot be written
        raise output_error(error, path) from error
    if there and not overwrite:
        found = OutputError("the file exists already", path=path, hint="allow to overwrite it")
        found.errno = errno.EEXIST
        raise found
    storage.check_writable(storage.parent(path))


class _Learner:
    """Learns from a list of files; travels to a worker."""

    def __init__(self, files: Sequence[InputFile], options: TrainOptions, count: int) -> None:
        self._options = options
        self._count = min(count, len(files))
        self._files = list(files)
        self._skipped: dict[str, str] = {}

    def learn(self, progress: Progress) -> tuple[Model, LearningReport]:
        """Train; files that turn out to be unreadable are left out."""
        while True:
            chosen, entries = self._choose()
            options = self._options
            if options.expected_rows is None and entries and options.family == "event":
                options = replace(options, expected_rows=self._expected(chosen, entries))
            names = [file.source for file in chosen]
            try:
                model = train(names, options=options, progress=progress)
            except SourceError as error:
                if str(error.path) not in names:
                    raise
                self._skip(str(error.path), error)
                continue
            return model, LearningReport("", model.sha256, names, list(self._skipped.values()))

    def _choose(self) -> tuple[list[InputFile], int]:
        """Readable files, evenly over the list, and how many events they have."""
        chosen: list[InputFile] = []
        entries = 0
        taken: set[int] = set()
        for at in _spread(len(self._files), self._count):
            for place in (*range(at, len(self._files)), *range(at)):
                file = self._files[place]
                if place in taken or file.source in self._skipped:
                    continue
                try:
                    with open_source(file.source, record=self._options.record) as source:
                        here = sum(tree.num_entries for tree in source.trees.values())
                    if not here:
                        raise SourceError("there is nothing in it to learn from", path=file.source)
                except VortexError as error:
                    self._skip(file.source, error)
                    continue
                taken.add(place)
                entries += here
                chosen.append(file)
                break
        if not chosen:
            raise SourceError(
                f"no file has anything to learn from; the last: {list(self._skipped.values())[-1]}"
            )
        return chosen, entries

    def _skip(self, path: str, error: VortexError) -> None:
        """Leave a file out.

        Raises
        ------
        VortexError
            It is one too many.
        """
        self._skipped[path] = one_line(str(error))
        if len(self._skipped) > _MOST_SKIPPED * self._count:
            raise SourceError(
                f"{len(self._skipped)} of the files to learn from cannot be read; the last: "
                f"{error.message}",
                path=path,
            ) from error

    def _expected(self, chosen: Sequence[InputFile], entries: int) -> int:
        """Events of all files, if the others are like those that were chosen."""
        read = sum(file.size or 0 for file in chosen)
        total = sum(file.size or 0 for file in self._files)
        known = read > 0 and all(file.size is not None for file in self._files)
        share = total / read if known else len(self._files) / max(1, len(chosen))
        return max(1, round(entries * max(1.0, share)))


def _learn_there(learner: _Learner) -> tuple[bytes, LearningReport] | VortexError:
    """What runs on a worker, which prints what its tasks raise: errors are returned."""
    try:
        model, report = learner.learn(progress_of(None))
    except VortexError as error:
        return error
    return model_bytes(model), report


def _on_worker(client: Any, learner: _Learner) -> tuple[Model, LearningReport]:
    future = client.submit(_learn_there, learner, key=("train", os.urandom(6).hex()), retries=0)
    try:
        found = future.result()
    except Exception as error:  # dask's, or whatever the worker met
        if reason_of(error) is Reason.CRASHED:
            raise UnsupportedFeatureError(
                "the worker that trained was lost",
                hint="give it more memory, or a smaller TrainOptions.sample_bytes",
            ) from error
        raise
    finally:
        future.cancel()
    if isinstance(found, VortexError):
        raise found
    stored, report = found
    return Model.load(io.BytesIO(stored)), report
