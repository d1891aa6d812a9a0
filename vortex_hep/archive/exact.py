"""Forecast of whether a file can be restored byte for byte."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, cast

from vortex_hep.core.options import checked_options, tree_names
from vortex_hep.core.schema import FileSource
from vortex_hep.models.find import ModelLike, model_of
from vortex_hep.models.record_width import width_for
from vortex_hep.readers import open_source
from vortex_hep.readers.kinds import ExactSource


@checked_options
def exact_forecast(
    source: str | os.PathLike[str] | Any,
    *,
    trees: str | Sequence[str] | None = None,
    record: int | None = None,
    model: ModelLike = None,
) -> str:
    """Say what ``compress_file(source, ..., exact=True)`` can promise, and what it costs.

    Parameters
    ----------
    source : str, path or open file
        As :func:`~vortex_hep.compress_file` takes it.
    trees : str or sequence of str, optional
    record : int, optional
        Bytes of a record, where the file is to be taken as such.
    model : Model, str or path, optional
        What would predict; one of records decides that the file is taken as such.

    Returns
    -------
    str
        One line: what share of the file can be made again from its columns, and about how many
        bytes are stored to that end; or that the file is carried whole, and why.

    Raises
    ------
    UnsupportedFeatureError
        ``source`` is no file, or not all of it would be restored.
    SourceError
        The file cannot be read.
    """
    width = width_for(source, record, model_of(model))
    with open_source(source, trees=tree_names(trees), exact=True, record=width) as file:
        return exact_source(file).exact_forecast()


def exact_source(file: FileSource) -> ExactSource:
    """Return ``file``, which was opened with ``exact=True``, as what it then is."""
    return cast("ExactSource", file)
