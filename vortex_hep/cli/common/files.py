"""Output paths of sub-commands, permission to overwrite, standard input and output as files."""

from __future__ import annotations

import contextlib
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from vortex_hep.cli.common.options import STDIO, default_output
from vortex_hep.errors import OutputError, SourceError


def is_folder(path: str) -> bool:
    """Whether an output is a folder: it is there, or its name ends in a slash."""
    from vortex_hep.core import storage

    return path.endswith("/") or (not storage.is_url(path) and Path(path).is_dir())


def out_path(source: str, given: str | None, suffix: str) -> str:
    """The output for one source: as given, inside a folder as given, or named after the source."""
    from vortex_hep.core import storage

    if given is None:
        return default_output(source, suffix)
    if is_folder(given):
        return storage.join(given, storage.name(default_output(source, suffix)))
    return given


def check_new(
    path: str, *, overwrite: bool, inputs: Sequence[str] = (), model: str | None = None
) -> None:
    """Refuse early to write over a file.

    Parameters
    ----------
    path : str
        The output.
    overwrite : bool
    inputs : sequence of str
        What is read, which an output never replaces.
    model : str, optional
        A model that is read.

    Raises
    ------
    OutputError
        If ``path`` exists and may not be replaced, or its folder does not exist.
    """
    from vortex_hep.core import storage

    storage.check_distinct(path, *inputs)
    if model is not None:
        storage.check_distinct(path, model, what="the model")
    if storage.is_url(path):
        return
    target = Path(path)
    if target.is_dir():
        raise OutputError("is a folder", path=path)
    if target.exists() and not overwrite:
        raise OutputError("file exists already", path=path, hint="--overwrite replaces it")
    if not target.parent.is_dir():
        raise OutputError("its folder does not exist", path=path)


def make_parent(path: str, given: str | None) -> None:
    """Make the folder of an output that goes into a folder which the user named."""
    from vortex_hep.core import storage

    if given is not None and given != path:
        storage.make_folder(storage.parent(path))


@contextlib.contextmanager
def readable(source: str, *, archive: bool) -> Iterator[str]:
    """Give the path of an input; what comes from standard input is kept in a file for a while.

    Parameters
    ----------
    source : str
        A path, a URL, or ``-``.
    archive : bool
        Whether it is to be an archive, which nobody types.

    Raises
    ------
    SourceError
        An archive would be read from a terminal.
    """
    if source != STDIO:
        yield source
        return
    if archive and sys.stdin.isatty():
        raise SourceError("an archive is not read from a terminal", hint="name a file")
    with tempfile.TemporaryDirectory(prefix="vortex-hep-") as folder:
        path = Path(folder) / "stdin"
        with path.open("wb") as file:
            shutil.copyfileobj(sys.stdin.buffer, file)
        yield str(path)


def check_stdout(*, archive: bool) -> None:
    """Refuse to write an archive to a terminal.

    Raises
    ------
    OutputError
    """
    if archive and sys.stdout.isatty():
        raise OutputError(
            "an archive is not written to a terminal",
            hint="-o FILE, or send it to a file or a pipe",
        )


@contextlib.contextmanager
def writable(output: str) -> Iterator[str]:
    """Give the path to write an output to; standard output gets what is whole.

    Parameters
    ----------
    output : str
        A path, a URL, or ``-``.
    """
    if output != STDIO:
        yield output
        return
    with tempfile.TemporaryDirectory(prefix="vortex-hep-") as folder:
        path = Path(folder) / "stdout"
        yield str(path)
        with path.open("rb") as file:
            shutil.copyfileobj(file, sys.stdout.buffer)
        sys.stdout.buffer.flush()


def load_model(path: str | None) -> Any:
    """The model at ``path``, or None where no path is given."""
    if path is None:
        return None
    import vortex_hep

    return vortex_hep.Model.load(path)
