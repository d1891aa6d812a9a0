"""One model for many files: trained on a sample of them."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

import vortex_hep
from vortex_hep import storage
from vortex_hep.batch.inputs import InputFile, find_inputs
from vortex_hep.errors import OutputError, SourceError, UnsupportedTypeError
from vortex_hep.options import TrainOptions
from vortex_hep.progress import SILENT, Progress
from vortex_hep.readers import open_source


@dataclass(frozen=True)
class LearningReport:
    """What a training over many files made.

    Parameters
    ----------
    path : str
        The model.
    sha256 : str
    files : list of str
        Those learnt from.
    skipped : list of str
        A line for each file that was to be learnt from, but cannot be read.
    seconds : float
    """

    path: str
    sha256: str
    files: list[str]
    skipped: list[str]
    seconds: float


def sample(files: Sequence[InputFile], count: int) -> list[InputFile]:
    """Choose files evenly over a list.

    Examples
    --------
    >>> files = [InputFile(f"{i}.root", f"{i}.root") for i in range(10)]
    >>> [file.source for file in sample(files, 3)]
    ['0.root', '4.root', '9.root']
    """
    if len(files) <= count:
        return list(files)
    return [files[i] for i in np.unique(np.linspace(0, len(files) - 1, count).astype(int))]


def train_on_dataset(
    inputs: Sequence[str],
    *,
    output: str | os.PathLike[str],
    options: TrainOptions | None = None,
    sample_files: int = 16,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> LearningReport:
    """Train a model on events taken evenly from files taken evenly from a list.

    Parameters
    ----------
    inputs : sequence of str
        As :func:`~vortex_hep.batch.inputs.find_inputs` takes them.
    output : str or path
        The model; a local path or a URL. It appears when it is complete.
    options : TrainOptions, optional
        ``expected_rows`` follows from the whole list where it is not given.
    sample_files : int
        How many files to learn from.
    overwrite : bool
        Whether a model that exists may be replaced.
    progress : Progress, optional

    Returns
    -------
    LearningReport

    Raises
    ------
    OutputError
        The model exists, or cannot be written: before anything is read.
    SourceError
        More than half of the files cannot be read.
    UnsupportedTypeError
        There is nothing to learn from.
    """
    began = time.monotonic()
    target = os.fspath(output)
    options = options or TrainOptions()
    if sample_files < 1:
        raise UnsupportedTypeError(f"{sample_files} files to learn from")
    files = find_inputs(inputs)
    if not overwrite and storage.exists(target):
        raise OutputError("the model exists already", path=target, hint="pass overwrite=True")
    storage.check_writable(storage.parent(target))
    chosen = sample(files, sample_files)
    readable, skipped, rows = _readable(chosen, options, progress or SILENT)
    if options.expected_rows is None and options.family == "event":
        share = len(files) / len(readable)
        options = replace(options, expected_rows=max(1, round(rows * share)))
    model = vortex_hep.train(readable, options=options, progress=progress)
    model.save(target, overwrite=overwrite)
    return LearningReport(target, model.sha256, readable, skipped, time.monotonic() - began)


def _readable(
    chosen: Sequence[InputFile], options: TrainOptions, progress: Progress
) -> tuple[list[str], list[str], int]:
    """Files that can be opened, a line for each of the others, and the entries of all trees."""
    readable: list[str] = []
    skipped: list[str] = []
    rows = 0
    with progress.task("opening", len(chosen), unit="files") as task:
        for file in chosen:
            try:
                with open_source(file.source, record=options.record) as opened:
                    rows += sum(tree.num_entries for tree in opened.trees.values())
                readable.append(file.source)
            except SourceError as error:
                skipped.append(str(error))
                task.note(f"left out: {error}")
            task.advance(1)
    if len(skipped) > len(readable):
        raise SourceError(
            f"{len(skipped)} of {len(chosen)} files cannot be read, such as {skipped[0]}",
            hint="mend the list first",
        )
    return readable, skipped, rows
