"""The record length of models of plain records."""

from __future__ import annotations

import os
from typing import Any

from vortex_hep.models.model import Model
from vortex_hep.nn.event.model import EventModel
from vortex_hep.nn.sequence.model import SequenceModel
from vortex_hep.readers.records import COLUMN, TREE


def record_width(model: Model) -> int | None:
    """Bytes of the records that a model predicts; None for a model of anything else.

    Parameters
    ----------
    model : Model
        Of records if it knows no other tree than theirs, and no other column.

    Returns
    -------
    int or None

    Examples
    --------
    >>> record_width(Model({})) is None
    True
    """
    if set(model.trees) != {TREE}:
        return None
    known = [column for table in model.tables(TREE).values() for column in _columns(table)]
    if any((name, dtype) != (COLUMN, "|u1") for name, dtype, _ in known):
        return None
    return max((items for _, _, items in known), default=None)


def _columns(table: EventModel | SequenceModel) -> list[tuple[str, str, int]]:
    """Name and dtype of every column that a table's model predicts, and items of a row."""
    if isinstance(table, SequenceModel):
        return [(part.name, part.dtype, part.items) for part in table.layout.parts]
    return [(field.columns[0], field.dtype, field.component + 1) for field in table.fields]


def width_for(source: Any, record: int | None, model: Model | None) -> int | None:
    """Bytes of the records as which a source is taken; None where its own format counts.

    Parameters
    ----------
    source : str, path or open file
    record : int or None
        As the user asked for.
    model : Model or None
        Decides otherwise; not for what a library has open, which has columns of its own.
    """
    if record is None and model is not None and isinstance(source, (str, os.PathLike)):
        return record_width(model)
    return record
