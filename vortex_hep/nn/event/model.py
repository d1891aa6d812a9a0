"""The event model of one table: its fields, its contexts and its integer weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from vortex_hep.codec.tokens.fields import BUCKETS, Field
from vortex_hep.errors import CorruptionError

Array = npt.NDArray[Any]

#: List positions with an embedding of their own; later ones share the last.
POSITIONS = 32
#: Rows of a match table: 16 nibbles, times whether all earlier nibbles matched; and "no row".
MATCHES = 33

#: Upper limits that a decoder enforces before it allocates anything.
MAX_HIDDEN = 512
MAX_FIELDS = 1 << 14
MAX_LINKS = 4

#: Fractional bits of each kind of weight: real value = integer / 2**scale.
SCALES = {
    "embed": 5, "previous": 5, "link": 5, "lane": 5, "position": 5, "gate": 5, "trunk": 6,
    "bias": 5, "nibble": 5, "match_previous": 5, "match_link": 5, "head": 5, "head_bias": 10,
}  # fmt: skip

#: Weights that are added, not multiplied, may be wider than eight bits.
WIDE = frozenset({"gate", "bias", "head_bias"})


@dataclass(frozen=True)
class Shape:
    """Sizes of a table's network.

    Parameters
    ----------
    fields, tokens : int
    hidden : int
        Width of the state that runs along the fields of a row (a multiple of 8).
    head : int
        Width of each field's own layer (a multiple of 8).
    lane_fields : int
        Fields of other plans' rows of the same entry that serve as context.
    previous : bool
        Whether the previous row of the list is a context.
    links : tuple of int
        For every link, the fields of the row that it points to. Link ``k`` becomes known with
        field ``k``: links come first among the fields.
    """

    fields: int
    tokens: int
    hidden: int
    head: int
    lane_fields: int
    previous: bool
    links: tuple[int, ...] = ()

    def weight_shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape of every weight tensor, in canonical order."""
        f, t, h, j = self.fields, self.tokens, self.hidden, self.head
        return {
            "embed": (f, BUCKETS, h),
            "previous": (f if self.previous else 0, BUCKETS, h),
            "link": (sum(self.links), BUCKETS, h),
            "lane": (self.lane_fields, BUCKETS, h),
            "position": (POSITIONS if self.previous else 1, h),
            "gate": (f, h),
            "trunk": (f, h, j),
            "bias": (t, j),
            "nibble": (t, 16, j),
            "match_previous": (t if self.previous else 0, MATCHES, j),
            "match_link": (len(self.links) * t, MATCHES, j),
            "head": (t, j, 16),
            "head_bias": (t, 16),
        }


@dataclass(frozen=True)
class Link:
    """Where a link leads: to rows of a table, of the same lane.

    Parameters
    ----------
    source : str
        Name of the plan whose rows are pointed to; the table's own for earlier rows of the
        same list.
    counterparts : tuple of str
        Per field, the column of the source that holds the same quantity, or ``""``. The field's
        tokens of that column are what is matched.
    anchors : tuple of (str, str)
        Empty where the link is a column of the data. Else the encoder makes the link up: it
        points to the row that is nearest in these pairs of columns (own, source's).
    """

    source: str
    counterparts: tuple[str, ...]
    anchors: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class EventModel:
    """Everything that decides the frequencies of a table's symbols.

    Parameters
    ----------
    table : str
        Name of the table.
    fields : tuple of Field
    shape : Shape
    lane_context : tuple of (str, str)
        Plan and column of what is known of each row's entry: columns of plans with one row per
        entry. Of a column's fields, that of component 0 serves.
    weights : dict of str to int32 array
        By name, shaped as ``shape.weight_shapes()``.
    expected : float64 array, shape (fields, 2)
        Bits per row on the validation rows: with this network, and with the best classical
        coder. Steers the encoder only.
    links : tuple of Link
        One per entry of ``shape.links``.
    fold : int
        Length of lists that are seen as one row per lane (:mod:`vortex_hep.codec.tokens.folding`);
        0 where rows are rows.
    block : int
        Length of the lists that the rows of a plan with one row per entry are cut into, so that
        the row before is context; 0 where each row is by itself.
    stored : bytes, optional
        What the model was read from, so that it need not be coded again.
    """

    table: str
    fields: tuple[Field, ...]
    shape: Shape
    lane_context: tuple[tuple[str, str], ...]
    weights: Mapping[str, Array]
    expected: Array
    links: tuple[Link, ...] = ()
    fold: int = 0
    block: int = 0
    stored: bytes | None = field(default=None, compare=False, repr=False)

    def __post_init__(self) -> None:
        check_weights(self.shape, self.weights)

    def with_parameters(self, parameters: Array) -> EventModel:
        """Return the same model with other first parameters of its predictors.

        Parameters
        ----------
        parameters : float64 array, shape (predictors,)
            In the order of the fields that have one.
        """
        if parameters.tobytes() == self.parameters().tobytes():
            return self
        given = iter(parameters.tolist())
        fields = tuple(
            f
            if f.predictor is None
            else replace(f, predictor=f.predictor.with_parameter(next(given)))
            for f in self.fields
        )
        return replace(self, fields=fields)

    @property
    def has_predictors(self) -> bool:
        """Whether any field is predicted from other columns."""
        return any(f.predictor is not None for f in self.fields)

    def parameters(self) -> Array:
        """First parameters of the predictors (float64), as chunks may change them."""
        return np.array(
            [f.predictor.parameter for f in self.fields if f.predictor is not None], np.float64
        )

    @property
    def field_starts(self) -> Array:
        """First token of every field, and the number of tokens: int64, shape (fields + 1,)."""
        return np.cumsum([0] + [len(f.token_widths) for f in self.fields]).astype(np.int64)

    @property
    def flat_bits(self) -> Array:
        """Per token: 0 where the network codes it, else its width in bits (int64)."""
        out: list[int] = []
        for f in self.fields:
            widths = f.token_widths
            keep = len(widths) - f.flat
            out.extend([0] * keep)
            out.extend(widths[keep:])
        return np.array(out, np.int64)


def check_weights(shape: Shape, weights: Mapping[str, Array]) -> None:
    """Raise CorruptionError unless every sum of the network stays below 2**24.

    That bound is what lets engines carry the integers in float32 products.
    """
    if shape.hidden > MAX_HIDDEN or shape.head > MAX_HIDDEN or shape.fields > MAX_FIELDS:
        raise CorruptionError(
            f"at most {MAX_HIDDEN} 'hidden' and 'head', and {MAX_FIELDS} fields, are allowed"
        )
    if shape.hidden % 8 or shape.head % 8:
        raise CorruptionError("'hidden' and 'head' must be multiples of 8")
    for name, size in shape.weight_shapes().items():
        w = weights[name]
        if w.shape != size or w.dtype != np.int32:
            raise CorruptionError(f"weights {name!r}: expected int32 of shape {size}")
        limit = 1 << 22 if name in WIDE else 127
        if w.size and int(np.abs(w.astype(np.int64)).max()) > limit:
            raise CorruptionError(f"weights {name!r} are beyond +-{limit}")
    if (2 * shape.fields + sum(shape.links) + shape.lane_fields + 1) * 127 >= 1 << 22:
        raise CorruptionError("too many fields for exact sums")
