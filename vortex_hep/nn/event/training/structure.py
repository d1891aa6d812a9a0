"""The structure of a table's network, from a sample of its rows: fields, order, references."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from vortex_hep.codec.predictors import Predictor, Values
from vortex_hep.codec.tokens import fields as fd
from vortex_hep.codec.tokens import transforms as tf
from vortex_hep.codec.tokens.fields import Field
from vortex_hep.codec.tokens.rows import RowSet
from vortex_hep.codec.tokens.transforms import Segments
from vortex_hep.core.schema import ColumnSpec
from vortex_hep.nn.event.linking import is_virtual
from vortex_hep.nn.event.network import MAX_LINK_VALUES
from vortex_hep.nn.event.training.estimates import cost_estimate, trailing_zeros

Array = npt.NDArray[Any]

#: A difference to another row must promise at least this to be taken.
_REFERENCE_GAIN = 0.75
#: The same where rows are no objects of an event, but neighbours in some order.
_NEIGHBOUR_GAIN = 0.88
#: Columns with a larger fixed inner shape are left to the classical coders.
_MAX_COMPONENTS = 128
_SAMPLE = 1 << 16
#: Bits by which differences to predictions may grow beyond those seen.
_ROOM_BITS = 8


def _number_field(
    name: str, component: int, column: Array, rows: RowSet, is_link: bool,
    gain: float = _REFERENCE_GAIN,
) -> Field:  # fmt: skip
    values = fd.components(column)[:, component]
    kind = tf.order_kind(column.dtype.str)
    shift = trailing_zeros(values) if kind == tf.FLOAT else 0
    width = 8 * column.dtype.itemsize
    ordered, _ = tf.ordered_view(tf.bits_of(values), kind, width, shift)
    segments = tf.fit_segments(ordered)
    if segments.width == 0:
        return _field((name,), component, column.dtype.str, shift, fd.NO_REFERENCE, ordered)
    reference = fd.NO_REFERENCE
    if not is_link:
        best = cost_estimate(segments.compact(ordered)[0][:_SAMPLE]) * gain
        for candidate, rows_of in (
            (fd.PREVIOUS_ROW, rows.previous),
            (fd.LINKED_ROW, rows.mother),
        ):
            if rows_of is None or not (rows_of >= 0).any():
                continue
            cost = cost_estimate(tf.subtract_reference(ordered, rows_of)[:_SAMPLE])
            if cost < best:
                best, reference = cost, candidate
    if reference != fd.NO_REFERENCE:
        rows_of = rows.previous if reference == fd.PREVIOUS_ROW else rows.mother
        ordered = tf.subtract_reference(ordered, rows_of)
    return _field((name,), component, column.dtype.str, shift, reference, ordered)


def _widened(f: Field) -> Field:
    """The field of a constant with room for a second value, so that it has a token."""
    start = np.minimum(f.segments.start, np.uint64((1 << 64) - 2))
    segments = Segments(start, np.ones(1, np.uint64))
    return replace(f, segments=segments, thresholds=np.ones(1, np.uint64))


def _field(
    names: tuple[str, ...], component: int, dtype: str, shift: int, reference: int, ordered: Array
) -> Field:
    segments = tf.fit_segments(ordered)
    compact, _ = segments.compact(ordered)
    return Field(names, component, dtype, shift, reference, segments, fd.fit_thresholds(compact))


def _flag_fields(columns: Mapping[str, Array], names: Sequence[str]) -> list[Field]:
    out = []
    for k in range(0, len(names), fd.FLAGS_PER_FIELD):
        group = tuple(names[k : k + fd.FLAGS_PER_FIELD])
        top = np.array([(1 << len(group)) - 1], np.uint64)
        probe = Field(group, 0, "|b1", 0, 0, Segments(np.zeros(1, np.uint64), top), top[:0])
        ordered, _ = probe.ordered(columns)
        out.append(Field(group, 0, "|b1", 0, 0, probe.segments, fd.fit_thresholds(ordered)))
    return out


def _predicted_field(
    name: str, component: int, column: Array, predictor: Predictor, values: Values
) -> Field:
    part = fd.components(column)[:, component]
    kind, width = tf.order_kind(column.dtype.str), 8 * column.dtype.itemsize
    shift = trailing_zeros(part) if kind == tf.FLOAT else 0
    ordered, _ = tf.ordered_view(tf.bits_of(part), kind, width, shift)
    folded = predictor.fold(ordered, column.dtype.str, shift, values)
    segments = _with_room(folded, width)
    compact, _ = segments.compact(folded)
    return Field(
        (name,), component, column.dtype.str, shift, fd.PREDICTED, segments,
        fd.fit_thresholds(compact), predictor=predictor,
    )  # fmt: skip


def _with_room(folded: Array, width: int) -> Segments:
    """Segments of differences that leave room for larger ones: a factor may vary with the file."""
    usual = int(np.quantile(folded, 0.99, method="nearest")) if len(folded) else 0
    room = min(usual.bit_length() + _ROOM_BITS, width)
    top = np.uint64((1 << room) - 1)
    far = tf.fit_segments(folded[folded > top])
    first = np.zeros(1, np.uint64)
    if far.start[0] <= top:
        return Segments(first, first + top)
    return Segments(np.concatenate([first, far.start]), np.concatenate([first + top, far.length]))


def _in_order(fields: Sequence[Field], plan: str) -> list[Field]:
    """Put predicted fields behind those that they are predicted from."""
    waiting = list(fields)
    coming = {(f.columns[0], f.component) for f in fields}
    out: list[Field] = []
    while waiting:
        for f in waiting:
            inputs = () if f.predictor is None else f.predictor.inputs
            if not any(i.plan == plan and (i.column, i.component) in coming for i in inputs):
                break
        waiting.remove(f)
        coming.discard((f.columns[0], f.component))
        out.append(f)
    return out


def find_fields(
    specs: Sequence[ColumnSpec],
    columns: Mapping[str, Array],
    rows: RowSet,
    table: str,
    foreign: str | None = None,
    predictors: Mapping[tuple[str, int], Predictor] | None = None,
    values: Values | None = None,
    plan: str | None = None,
    neighbours: bool = False,
) -> tuple[tuple[Field, ...], bool, bool]:
    """Choose the fields of a table.

    Parameters
    ----------
    specs : sequence of ColumnSpec
        The plan's columns.
    columns : mapping of str to array of shape (rows, *inner)
        A sample; variable-length columns are passed over.
    rows : RowSet
        Layout of the sample; ``mother`` is filled in where a column links to the table itself.
    table : str
        Name of the table.
    foreign : str, optional
        Column in ``columns``, of the data or virtual, that links to another table.
    predictors : mapping of (str, int) to Predictor, optional
        For columns and components that are predicted.
    values : callable, optional
        What predictors take their inputs from.
    plan : str, optional
        Name of the plan in the predictors' inputs; by default that of the table.
    neighbours : bool
        Whether rows follow one another in some order, instead of being objects of an event.

    Returns
    -------
    fields : tuple of Field
        Those of linking columns first.
    within, across : bool
        Whether there is a link within the table, and the one to another.
    """
    from vortex_hep.codec.tokens.rows import resolve_links

    gain = _NEIGHBOUR_GAIN if neighbours else _REFERENCE_GAIN
    out: list[Field] = []
    link_name: str | None = None
    for spec in specs:
        column = columns.get(spec.name)
        if spec.link == table and isinstance(column, np.ndarray) and column.ndim == 1:
            rows.mother = None
            candidate = _number_field(spec.name, 0, column, rows, True)
            targets = resolve_links(rows, column.astype(np.int64))
            if candidate.segments.top >= MAX_LINK_VALUES or not candidate.width:
                continue
            if (targets >= 0).mean() > 0.05:
                link_name = spec.name
                rows.mother = targets
                out.append(candidate)
                break
    across = False
    if foreign is not None:
        column = columns[foreign]
        if is_virtual(foreign):
            column = np.concatenate([column, np.array([-1], column.dtype)])
        candidate = _number_field(foreign, 0, column, rows, True)
        if candidate.segments.top < MAX_LINK_VALUES and candidate.width:
            across = True
            out.append(candidate)
    flags: list[str] = []
    for spec in specs:
        column = columns.get(spec.name)
        if (
            is_virtual(spec.name)
            or spec.name in (link_name, foreign if across else None)
            or not isinstance(column, np.ndarray)
        ):
            continue
        size = int(np.prod(column.shape[1:], dtype=np.int64))
        if column.dtype == np.bool_ and column.ndim == 1:
            bits = tf.bits_of(column)
            if len(bits) and bits.min() != bits.max():
                flags.append(spec.name)
            continue
        if size > _MAX_COMPONENTS:
            continue
        found = [
            _predicted_field(spec.name, k, column, predictor, values)
            if (predictor := (predictors or {}).get((spec.name, k))) is not None
            and values is not None
            else _number_field(spec.name, k, column, rows, False, gain)
            for k in range(size)
        ]
        if any(f.width for f in found):
            # All components of a column are coded the same way, constant ones too.
            out.extend(f if f.width else _widened(f) for f in found)
    out = _in_order(out, table if plan is None else plan)
    out.extend(_flag_fields(columns, flags))
    return tuple(out), link_name is not None, across
