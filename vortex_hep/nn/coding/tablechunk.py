"""The payload of a table chunk: the parts common to encoder and decoder.

Described in docs/SPEC.md, "Table chunks".
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from vortex_hep.codec.columns import classical
from vortex_hep.codec.plan import Plan
from vortex_hep.codec.sections import Reader
from vortex_hep.codec.tokens.folding import common_length, foldable
from vortex_hep.core.schema import ColumnSpec, TableData, VarBytes
from vortex_hep.errors import CorruptionError
from vortex_hep.nn.event.model import EventModel

Array = npt.NDArray[Any]

#: How a column is stored in a table chunk.
NETWORK, CLASSICAL, SOLID, STRINGS = 0, 1, 2, 3

HEAD = struct.Struct("<BBII")  # SPEC "Table chunks": flags, log2 of group lanes, lanes, rows
CODED = struct.Struct("<HI")  # coder, payload size
HAS_NETWORK = 1
HAS_COUNTS = 2
FOLDED = 4


@dataclass
class ColumnReport:
    """Where a column of a chunk went, and at what cost in bytes."""

    name: str
    coder: str
    raw_bytes: int
    stored_bytes: float


@dataclass
class TableChunk:
    """An encoded table chunk.

    Parameters
    ----------
    payload : bytes
    decoded_size, decoded_xxh3 : int
        Of the canonical bytes of the data (:func:`decoded_bytes`).
    uses_network : bool
        Whether decoding needs the table's model.
    columns : list of ColumnReport
    """

    payload: bytes
    decoded_size: int
    decoded_xxh3: int
    uses_network: bool = False
    columns: list[ColumnReport] = field(default_factory=list)


#: Tokens of rows and buckets of context that a chunk may have together: they are held in memory.
MAX_CELLS = 1 << 31


def too_large(model: EventModel, rows: int, lanes: int) -> bool:
    """Whether a chunk has more tokens and context than the format allows."""
    return rows * model.shape.tokens + lanes * model.shape.lane_fields > MAX_CELLS


def fold_length(plan: Plan, specs: Sequence[ColumnSpec], model: EventModel, offsets: Array) -> int:
    """Length of the lists if the model has them folded and they are all as long, else 0.

    The decoder must know the lengths beforehand, from a counter.
    """
    if not model.fold or plan.counter is None or not foldable(specs):
        return 0
    return model.fold if common_length(offsets) == model.fold else 0


def decoded_bytes(plan: Plan, specs: Sequence[ColumnSpec], data: TableData) -> bytes:
    """Canonical bytes of a chunk's data: offsets if the chunk stores them, then every column."""
    parts = [np.ascontiguousarray(data.offsets, "<i8").tobytes()] if stores_counts(plan) else []
    for spec in specs:
        column = data.columns[spec.name]
        if isinstance(column, VarBytes):
            parts.append(np.ascontiguousarray(column.offsets, "<i8").tobytes())
            parts.append(column.content.tobytes())
        else:
            parts.append(np.ascontiguousarray(column).tobytes())
    return b"".join(parts)


def stores_counts(plan: Plan) -> bool:
    """Whether the chunks of a plan hold the number of rows of every lane themselves."""
    return plan.jagged and plan.counter is None


def column_widths(specs: Sequence[ColumnSpec]) -> dict[str, int]:
    """Components of every fixed-width column."""
    return {s.name: int(np.prod(s.inner, dtype=np.int64)) for s in specs}


def covers(model: EventModel, fields: Sequence[int], width: int) -> bool:
    """Whether these fields of one column are all of its components, each once."""
    return sorted(model.fields[k].component for k in fields) == list(range(width))


def number_column(data: TableData, name: str) -> Array:
    """A fixed-width column of a table."""
    column = data.columns[name]
    if isinstance(column, VarBytes):
        raise CorruptionError("expected a column of numbers, got byte strings", branch=name)
    return column


def raw_size(column: Array | VarBytes) -> int:
    """Bytes of a column as users count them; four for the length of each byte string."""
    if isinstance(column, VarBytes):
        return int(column.content.nbytes) + 4 * len(column)
    return int(column.nbytes)


def pack_array(array: Array) -> bytes:
    """Store an array behind its coder and size (SPEC "Stored arrays")."""
    coder, payload = classical.encode_best(array)
    return CODED.pack(coder, len(payload)) + payload


def unpack_array(reader: Reader, dtype: str, count: int) -> Array:
    """Read what :func:`pack_array` stored."""
    coder, size = CODED.unpack(reader.take(CODED.size))
    return classical.decode(coder, reader.take(size), dtype, count)
