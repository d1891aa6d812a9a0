"""An event model and a cluster of rows as engines take them.

:class:`Network` is a model unpacked, :class:`Cluster` what the groups of a cluster share,
:class:`GroupArrays` one group of lanes, which is coded on its own. They are named tuples of arrays,
so that compiled kernels take them as they are.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from vortex_hep.codec.tokens.fields import BUCKETS, Field
from vortex_hep.errors import CorruptionError
from vortex_hep.nn.event.model import MAX_LINKS, EventModel
from vortex_hep.nn.vector import WIDTH

Array = npt.NDArray[Any]


class Network(NamedTuple):
    """A event model unpacked for engines; weights are float32 arrays of integers.

    ``link_values`` holds the values of all links one after the other, link ``k``'s from
    ``link_start[k]`` on; ``link_fields`` how many columns of buckets each link sees;
    ``own_link`` whether it stays within the table; ``has_match``, shape (links, tokens), whether
    the token's field has a counterpart in the link's source (so, alike for all its tokens);
    ``by_row`` whether context of entries belongs to rows instead of lanes, as in blocks.
    """

    embed: Array
    previous: Array
    link: Array
    lane: Array
    position: Array
    gate: Array
    trunk: Array
    bias: Array
    nibble: Array
    match_previous: Array
    match_link: Array
    head: Array
    head_bias: Array
    field_start: Array
    flat_bits: Array
    token_bits: Array
    thresholds: Array
    threshold_start: Array
    ladder: Array
    link_values: Array
    link_start: Array
    link_fields: Array
    own_link: Array
    has_match: Array
    by_row: bool


class Cluster(NamedTuple):
    """What all groups of a cluster share.

    Parameters
    ----------
    offsets : int64 array
        First row of every lane of the cluster.
    tokens : uint8 array, shape (rows + foreign rows, tokens)
        Known tokens; when decoding, those of coded fields are written here. The foreign rows
        are those of other tables that links point to, in tokens of this table; 255 is a token
        without counterpart.
    buckets : uint8 array, shape (rows + foreign rows, columns)
        Own rows: scratch, whose first columns are filled with the fields' buckets. Foreign rows:
        the buckets of their own table's fields.
    link_row : int64 array, shape (links, rows)
        Scratch, filled with the rows that links point to, or -1.
    source_offsets : int64 array, shape (links, lanes of the cluster + 1)
        First row of every lane among the rows that a link may point to: ``offsets`` for a link
        within the table.
    lane_buckets : uint8 array, shape (lanes of the cluster, lane fields)
        Or (rows, lane fields) with ``Network.by_row``.
    given : bool array, shape (fields,)
        Fields whose tokens are known when decoding (and not coded when encoding).
    """

    offsets: Array
    tokens: Array
    buckets: Array
    link_row: Array
    source_offsets: Array
    lane_buckets: Array
    given: Array


class GroupArrays(NamedTuple):
    """One group of lanes, coded independently of the others.

    Parameters
    ----------
    lanes : int64 array, shape (lanes,)
        Lanes of the group, those with most rows first.
    active : int64 array, shape (positions,)
        ``active[j]``: how many of ``lanes`` have more than ``j`` rows.
    freq, cum : uint16 arrays, shape (rows of the group * tokens,)
        When encoding: output, in decoding order.
    bits : float64 array, shape (fields,)
        When encoding: receives the information content per field.
    words : uint32 array
        When decoding: the stream.
    """

    lanes: Array
    active: Array
    freq: Array
    cum: Array
    bits: Array
    words: Array


def group_to_encode(lanes: Array, active: Array, symbols: int, bits: Array) -> GroupArrays:
    """Return a group with room for ``symbols`` frequencies."""
    room = np.empty((2, symbols), np.uint16)
    return GroupArrays(lanes, active, room[0], room[1], bits, np.zeros(0, np.uint32))


def group_to_decode(lanes: Array, active: Array, words: Array) -> GroupArrays:
    """Return a group that is read from a stream."""
    none = np.zeros(0, np.uint16)
    return GroupArrays(lanes, active, none, none, np.zeros(0), words)


#: A foreign row's token that has no counterpart there.
UNKNOWN = 255

#: A link column with more distinct values than this is no link.
MAX_LINK_VALUES = 1 << 16


def link_values(field: Field) -> Array:
    """Row numbers that the compact integers of a link's field stand for (int64)."""
    f = field
    if f.is_flags or f.component or np.dtype(f.dtype).kind not in "iu":
        raise CorruptionError(f"link field {f.columns}: expected a plain column of integers")
    compact = np.arange(min(f.segments.top + 1, MAX_LINK_VALUES), dtype=np.uint64)
    column = np.zeros(len(compact), f.dtype)
    f.restore(compact, np.zeros(0, np.int64), {f.columns[0]: column}, (None, None, None))
    return column.astype(np.int64)


def widened(name: str, weights: Array) -> Array:
    """Return weights as float32 with both widths filled up with zeros to whole vectors."""
    room = [(0, 0)] * weights.ndim
    if name not in ("head", "head_bias"):
        room[-1] = (0, -weights.shape[-1] % WIDTH)
    if name in ("trunk", "head"):
        room[-2] = (0, -weights.shape[-2] % WIDTH)
    return np.ascontiguousarray(np.pad(weights, room), np.float32)


def unpack(model: EventModel) -> Network:
    """Prepare an event model for engines."""
    w = {k: widened(k, v) for k, v in model.weights.items()}
    starts = np.cumsum([0] + [len(f.thresholds) for f in model.fields]).astype(np.int64)
    thresholds = np.concatenate([f.thresholds for f in model.fields] or [np.zeros(0, np.uint64)])
    ladder = np.full((len(model.fields), BUCKETS), np.iinfo(np.uint64).max)
    for row, f in zip(ladder, model.fields, strict=True):
        if len(f.thresholds) >= BUCKETS:
            raise CorruptionError(f"field {f.columns}: more than {BUCKETS} buckets")
        row[: len(f.thresholds)] = f.thresholds
    token_bits = np.array([b for f in model.fields for b in f.token_widths], np.int64)
    sizes = (len(model.fields), len(token_bits), len(model.lane_context))
    if sizes != (model.shape.fields, model.shape.tokens, model.shape.lane_fields):
        raise CorruptionError("the network does not fit its fields")
    seen = model.shape.links
    own = [link.source == model.table for link in model.links]
    if (
        not len(model.links) == len(seen) <= min(MAX_LINKS, len(model.fields))
        or any(len(link.counterparts) != len(model.fields) for link in model.links)
        or any(n < 0 for n in seen)
        or any(n != len(model.fields) for n, o in zip(seen, own, strict=True) if o)
    ):
        raise CorruptionError("the network does not fit its links")
    values = [link_values(f) for f in model.fields[: len(seen)]]
    lengths = [len(f.token_widths) for f in model.fields]
    has_match = np.zeros((len(seen), len(token_bits)), np.bool_)
    for row, link, o in zip(has_match, model.links, own, strict=True):
        row[:] = np.repeat([o or name != "" for name in link.counterparts], lengths)
    return Network(
        **w,
        field_start=model.field_starts,
        flat_bits=model.flat_bits,
        token_bits=token_bits,
        thresholds=thresholds.astype(np.uint64),
        threshold_start=starts,
        ladder=ladder,
        link_values=np.concatenate([np.zeros(0, np.int64), *values]),
        link_start=np.cumsum([0] + [len(v) for v in values]).astype(np.int64),
        link_fields=np.array(seen, np.int64),
        own_link=np.array(own, np.bool_),
        has_match=has_match,
        by_row=model.block > 0,
    )
