"""Output paths of sub-commands, and permission to overwrite."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from vortex_hep.cli.common.options import default_output
from vortex_hep.core import storage
from vortex_hep.errors import OutputError


def out_path(source: str, given: str | None, suffix: str) -> str:
    """The output for one source: as given, inside a folder as given, or named after the source."""
    if given is None:
        return default_output(source, suffix)
    if given.endswith("/") or Path(given).is_dir():
        name = Path(default_output(source, suffix)).name
        return str(Path(given) / name)
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
    storage.check_distinct(path, *inputs)
    if model is not None:
        storage.check_distinct(path, model, what="the model")
    if "://" in path:
        return
    target = Path(path)
    if target.is_dir():
        raise OutputError("is a folder", path=path)
    if target.exists() and not overwrite:
        raise OutputError("file exists already", path=path, hint="--overwrite replaces it")
    if not target.parent.is_dir():
        raise OutputError("its folder does not exist", path=path)


def load_model(path: str | None) -> Any:
    """The model at ``path``, or None where no path is given."""
    if path is None:
        return None
    import vortex_hep

    return vortex_hep.Model.load(path)
