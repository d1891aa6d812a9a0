"""Fields: the units that the event model codes, one compact integer per row, cut into nibbles.

A field is one component of a numeric column, or up to four flags side by side. Its compact
integer is cut into tokens of four bits, most significant first; the last may be shorter. Every
(field, token position) is a type of its own to the network.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from vortex_hep.codec.predictors import Predictor, Values
from vortex_hep.codec.tokens import transforms
from vortex_hep.codec.tokens.transforms import Segments
from vortex_hep.core.compiled import kernel

Array = npt.NDArray[Any]

#: Values of a field are seen by other fields through at most this many ordered buckets.
BUCKETS = 32
#: What a difference is taken to; stored in models.
NO_REFERENCE, PREVIOUS_ROW, LINKED_ROW, PREDICTED = 0, 1, 2, 3

FLAGS_PER_FIELD = 4


def components(column: Array) -> Array:
    """View a column as (rows, components), whatever its inner shape and however few its rows."""
    return column.reshape(len(column), int(np.prod(column.shape[1:], dtype=np.int64)))


@dataclass(frozen=True)
class Field:
    """How one field is computed from columns and back.

    Parameters
    ----------
    columns : tuple of str
        The column, or the boolean columns packed together (first is most significant).
    component : int
        Position within the column's fixed inner shape (0 for plain columns).
    dtype : str
        dtype of the columns.
    shift : int
        Low magnitude bits of a float that are always zero.
    reference : int
        NO_REFERENCE, PREVIOUS_ROW, LINKED_ROW or PREDICTED.
    segments : Segments
    thresholds : uint64 array, shape (< BUCKETS,)
        A compact integer's bucket is the number of thresholds not above it.
    flat : int
        Number of trailing tokens without structure; they are stored as they are.
    predictor : Predictor, optional
        What the difference is taken to with PREDICTED.
    """

    columns: tuple[str, ...]
    component: int
    dtype: str
    shift: int
    reference: int
    segments: Segments
    thresholds: Array
    flat: int = 0
    predictor: Predictor | None = None

    @property
    def is_flags(self) -> bool:
        """Whether this field packs boolean columns."""
        return self.dtype == "|b1"

    @property
    def width(self) -> int:
        """Bits of the compact integer."""
        return self.segments.width

    @property
    def token_widths(self) -> tuple[int, ...]:
        """Bits of each token, most significant first."""
        full, rest = divmod(self.width, 4)
        return (4,) * full + ((rest,) if rest else ())

    def with_flat(self, flat: int) -> Field:
        """Return the same field with another number of flat tokens."""
        return replace(self, flat=flat)

    def ordered(self, columns: Mapping[str, Array]) -> tuple[Array, Array]:
        """Return the ordered view (uint64, shape (rows,)) and whether each row has one."""
        if self.is_flags:
            first = columns[self.columns[0]]
            out = np.zeros(len(first), np.uint64)
            ok = np.ones(len(first), np.bool_)
            for name in self.columns:
                b = transforms.bits_of(components(columns[name])[:, self.component])
                ok &= b <= 1
                out = (out << np.uint64(1)) | (b & np.uint8(1))
            return out, ok
        column = columns[self.columns[0]]
        bits = transforms.bits_of(components(column)[:, self.component])
        kind = transforms.order_kind(self.dtype)
        ordered, ok = transforms.ordered_view(bits, kind, 8 * column.dtype.itemsize, self.shift)
        return ordered, ok

    def _rows(self, references: tuple[Array | None, ...]) -> Array | None:
        """Rows that differences are taken to; None with none, or with predictions."""
        return None if self.reference == PREDICTED else references[self.reference]

    def compact(
        self,
        columns: Mapping[str, Array],
        references: tuple[Array | None, ...] = (None, None, None),
        values: Values | None = None,
    ) -> tuple[Array, Array]:
        """Return the compact integers (uint64, shape (rows,)) and False where a row escapes.

        Parameters
        ----------
        columns : mapping of str to array of shape (rows, *inner)
        references : (None, previous rows or None, linked rows or None)
            Row indices as :func:`vortex_hep.codec.tokens.transforms.subtract_reference` takes them.
        values : callable, optional
            What a predictor needs to know.
        """
        ordered, ok = self.ordered(columns)
        if self.predictor is not None and values is not None:
            ordered = self.predictor.fold(ordered, self.dtype, self.shift, values)
        elif (reference := self._rows(references)) is not None:
            ordered = transforms.subtract_reference(ordered, reference)
        compact, inside = self.segments.compact(ordered)
        inside &= ok
        compact[~inside] = 0
        return compact, inside

    def restore(
        self,
        compact: Array,
        escape: Array,
        columns: Mapping[str, Array],
        references: tuple[Array | None, ...] = (None, None, None),
        values: Values | None = None,
    ) -> None:
        """Write the rows of ``compact`` into ``columns``; rows in ``escape`` are there already."""
        ordered = self.segments.ordered(compact)
        ok = np.ones(len(compact), np.bool_)
        ok[escape] = False
        if self.predictor is not None and values is not None:
            known, _ = self.ordered(columns)
            ordered = self.predictor.unfold(ordered, ok, known, self.dtype, self.shift, values)
        elif (reference := self._rows(references)) is not None:
            known, _ = self.ordered(columns)
            ordered = transforms.add_reference(ordered, reference, ok, known)
        if self.is_flags:
            for place, name in enumerate(reversed(self.columns)):
                bit = ((ordered >> np.uint64(place)) & np.uint64(1)).astype(np.uint8)
                target = components(columns[name]).view(np.uint8)
                target[ok, self.component] = bit[ok]
            return
        column = columns[self.columns[0]]
        width = 8 * column.dtype.itemsize
        bits = np.empty(len(compact), f"<u{column.dtype.itemsize}")
        kind = transforms.order_kind(self.dtype)
        transforms.bits_from_ordered(ordered, kind, width, self.shift, bits)
        flat = components(column).view(bits.dtype)
        if len(escape):
            bits[escape] = flat[escape, self.component]
        flat[:, self.component] = bits

    def buckets(self, compact: Array) -> Array:
        """Return the bucket (uint8, shape (rows,)) of each compact integer."""
        return np.searchsorted(self.thresholds, compact, side="right").astype(np.uint8)


@kernel
def write_tokens(compact, width, tokens, first):  # type: ignore[no-untyped-def]
    """Cut compact integers of ``width`` bits into ``tokens[:, first:]`` (uint8)."""
    for i in range(len(compact)):
        rest = width
        t = first
        while rest > 0:
            b = min(4, rest)
            rest -= b
            tokens[i, t] = (compact[i] >> np.uint64(rest)) & np.uint64((1 << b) - 1)
            t += 1


@kernel
def read_tokens(tokens, width, first):  # type: ignore[no-untyped-def]
    """Invert :func:`write_tokens`."""
    out = np.empty(len(tokens), np.uint64)
    for i in range(len(tokens)):
        rest = width
        t = first
        v = np.uint64(0)
        while rest > 0:
            b = min(4, rest)
            rest -= b
            v = (v << np.uint64(b)) | np.uint64(tokens[i, t])
            t += 1
        out[i] = v
    return out


def fit_thresholds(compact: Array) -> Array:
    """Choose bucket thresholds from a sample: one bucket per value, or equal shares of rows."""
    values = np.unique(compact)
    if len(values) <= BUCKETS:
        return values[1:].astype(np.uint64)
    shares = np.arange(1, BUCKETS) / BUCKETS
    return np.unique(np.quantile(compact, shares, method="nearest")).astype(np.uint64)
