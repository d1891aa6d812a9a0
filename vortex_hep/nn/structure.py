"""What a table's network looks like, found from a sample of its rows: fields, order, references."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from vortex_hep.codec import fields as fd
from vortex_hep.codec import transforms as tf
from vortex_hep.codec.fields import Field
from vortex_hep.codec.rows import RowSet
from vortex_hep.codec.transforms import Segments
from vortex_hep.nn.cpu import MAX_LINK_VALUES
from vortex_hep.nn.linking import is_virtual
from vortex_hep.schema import ColumnSpec

Array = npt.NDArray[Any]

#: A difference to another row must promise at least this to be taken.
_REFERENCE_GAIN = 0.75
#: Columns with a larger fixed inner shape are left to the classical coders.
_MAX_COMPONENTS = 128
_SAMPLE = 1 << 16


def trailing_zeros(column: Array) -> int:
    """Low bits of the magnitude that are zero in every value of a float column."""
    bits = tf.bits_of(column)
    union = int(np.bitwise_or.reduce(bits, axis=None)) if bits.size else 0
    union &= (1 << (8 * column.dtype.itemsize - 1)) - 1
    return (union & -union).bit_length() - 1 if union else 0


def cost_estimate(integers: Array) -> float:
    """Bits per value of integers told by their length and leading bits: a quick yardstick."""
    if len(integers) == 0:
        return 0.0
    length = np.zeros(len(integers), np.int64)
    rest = integers.copy()
    for step in (32, 16, 8, 4, 2, 1):
        big = rest >= np.uint64(1) << np.uint64(step)
        length[big] += step
        rest[big] >>= np.uint64(step)
    below = np.maximum(length - 3, 0)
    key = length * 16 + (integers >> below.astype(np.uint64)).astype(np.int64)
    _, counts = np.unique(key, return_counts=True)
    share = counts / len(integers)
    return float(-(share * np.log2(share)).sum() + below.mean())


def _number_field(name: str, component: int, column: Array, rows: RowSet, is_link: bool) -> Field:
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
        best = cost_estimate(segments.compact(ordered)[0][:_SAMPLE]) * _REFERENCE_GAIN
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


def find_fields(
    specs: Sequence[ColumnSpec],
    columns: Mapping[str, Array],
    rows: RowSet,
    table: str,
    foreign: str | None = None,
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
        Column in ``columns``, of the data or made up, that links to another table.

    Returns
    -------
    fields : tuple of Field
        Those of linking columns first.
    within, across : bool
        Whether there is a link within the table, and the one to another.
    """
    from vortex_hep.codec.rows import resolve_links

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
        found = [_number_field(spec.name, k, column, rows, False) for k in range(size)]
        if any(f.width for f in found):
            # All components of a column are coded the same way, constant ones too.
            out.extend(f if f.width else _widened(f) for f in found)
    out.extend(_flag_fields(columns, flags))
    return tuple(out), link_name is not None, across
