"""Initial weights from another model, where fields and shapes fit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from vortex_hep.codec.predictors import Values
from vortex_hep.codec.tokens.fields import Field
from vortex_hep.codec.tokens.rows import RowSet, tokenise
from vortex_hep.nn.event.linking import is_virtual
from vortex_hep.nn.event.model import SCALES, EventModel, Link, Shape

Array = npt.NDArray[Any]

#: A field of the other model is taken if it holds all but this share of the values.
_ESCAPES = 0.005


def adopt_fields(
    fields: Sequence[Field],
    base: EventModel,
    columns: Mapping[str, Array],
    rows: RowSet,
    values: Values,
) -> tuple[Field, ...]:
    """Take over the fields of another model that suit the data at hand.

    Parameters
    ----------
    fields : sequence of Field
        As found in the data.
    base : EventModel
    columns : mapping of str to array of shape (rows, *inner)
    rows : RowSet
    values : callable
        What predictors take their inputs from.

    Returns
    -------
    tuple of Field
        In the order of ``fields``.
    """
    known = {(f.columns, f.component): f for f in base.fields}
    out = []
    for f in fields:
        old = known.get((f.columns, f.component))
        if old is None or old.dtype != f.dtype or not _alike(f, old):
            out.append(f)
            continue
        old = replace(old, predictor=f.predictor)
        escapes = len(tokenise((old,), columns, rows, values=values).escapes[0])
        out.append(old if escapes <= _ESCAPES * max(1, len(rows.lane)) else f)
    return tuple(out)


def _alike(a: Field, b: Field) -> bool:
    """Whether both are differences to the same, if any."""
    if a.reference != b.reference or is_virtual(a.columns[0]):
        return False
    if a.predictor is None or b.predictor is None:
        return a.predictor is b.predictor
    same = a.predictor.kind == b.predictor.kind and a.predictor.inputs == b.predictor.inputs
    return same and a.predictor.magnitude == b.predictor.magnitude


def known_weights(
    shape: Shape,
    fields: Sequence[Field],
    links: Sequence[Link],
    context: Sequence[tuple[str, str]],
    base: EventModel,
) -> dict[str, tuple[Array, Array]]:
    """Weights that another model has for a table.

    Parameters
    ----------
    shape, fields, links, context
        Of the table; its widths must be those of ``base``.
    base : EventModel

    Returns
    -------
    dict of str to (float32 array, bool array)
        Per tensor, weights in real units, and which of them ``base`` knows.
    """
    out = {
        name: (np.zeros(size, np.float32), np.zeros(size, np.bool_))
        for name, size in shape.weight_shapes().items()
    }

    def put(name: str, here: Any, there: Any) -> None:
        weights, known = out[name]
        if len(weights) and len(base.weights[name]):
            weights[here] = base.weights[name][there] / float(1 << SCALES[name])
            known[here] = True

    starts = np.cumsum([0] + [len(f.token_widths) for f in fields])
    pairs = _pairs(fields, base.fields)
    tokens = [
        (starts[k] + t, base.field_starts[m] + t)
        for k, m in pairs
        for t in range(len(fields[k].token_widths))
    ]
    for k, m in pairs:
        for name in ("embed", "previous", "gate", "trunk"):
            put(name, k, m)
    for t, u in tokens:
        for name in ("bias", "nibble", "match_previous", "head", "head_bias"):
            put(name, t, u)
    if shape.previous == base.shape.previous:
        put("position", slice(None), slice(None))
    for c, column in enumerate(context):
        if column in base.lane_context:
            put("lane", c, base.lane_context.index(column))
    old = {link.source: k for k, link in enumerate(base.links)}
    at, at_old = np.cumsum([0, *shape.links]), np.cumsum([0, *base.shape.links])
    for k, link in enumerate(links):
        m = old.get(link.source, -1)
        if m < 0:
            continue
        own = link.source == base.table
        if not own and shape.links[k] != base.shape.links[m]:
            continue
        seen = pairs if own else [(c, c) for c in range(shape.links[k])]
        for c, d in seen:
            put("link", at[k] + c, at_old[m] + d)
        for t, u in tokens:
            put("match_link", k * shape.tokens + t, m * base.shape.tokens + u)
    return out


def _pairs(fields: Sequence[Field], theirs: Sequence[Field]) -> list[tuple[int, int]]:
    """Numbers of the fields that are the same here and there, down to their buckets."""
    place = {(f.columns, f.component): k for k, f in enumerate(theirs)}
    out = []
    for k, f in enumerate(fields):
        m = place.get((f.columns, f.component))
        if m is not None and f.segments is theirs[m].segments:
            out.append((k, m))
    return out
