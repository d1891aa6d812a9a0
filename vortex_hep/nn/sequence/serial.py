"""Transformers as bytes: a canonical form that names the model, and one that is stored."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from vortex_hep.codec.sections import Reader, join
from vortex_hep.codec.tokens.records import RecordColumn, RecordLayout
from vortex_hep.core.schema import COLUMN_DTYPES
from vortex_hep.errors import CorruptionError
from vortex_hep.nn import stored
from vortex_hep.nn.sequence.model import (
    MAX_FF,
    MAX_HEAD_DIM,
    MAX_LANE_TOKENS,
    MAX_LAYERS,
    MAX_TYPES,
    MAX_WEIGHTS,
    MAX_WIDTH,
    MAX_WINDOW,
    SequenceModel,
    SequenceShape,
)

Array = npt.NDArray[Any]

_MAX_EXPECTED = 10**9
#: Range of the arrays that decide how large sums can grow (SPEC 9.2).
_RANGES = {
    "unit": (1, 127),
    "memory_unit": (1, 127),
    "begin": (-(1 << 23), 1 << 23),
    "value_factor": (0, 1 << 24),
    "memory_value_factor": (0, 1 << 24),
    "depthwise_bias": (-(1 << 24), 1 << 24),
    "project_bias": (-(1 << 24), 1 << 24),
    "head_bias": (-(1 << 20), 1 << 20),
    "mix": (0, 256),
}
_SIZES = {
    "width": MAX_WIDTH, "layers": MAX_LAYERS, "heads": MAX_WIDTH, "ff": MAX_FF,
    "window": MAX_WINDOW, "rate": MAX_WINDOW,
}  # fmt: skip


def _document(model: SequenceModel) -> dict[str, Any]:
    s = model.shape
    return {
        "table": model.table,
        "columns": [[p.name, p.dtype, p.items, list(p.constant)] for p in model.layout.parts],
        **{name: getattr(s, name) for name in _SIZES},
        "memory": s.memory,
        "chunk": model.chunk,
        "lane_tokens": model.lane_tokens,
        "use_memory": model.use_memory,
    }


def _arrays(model: SequenceModel) -> list[Array]:
    expected = np.rint(np.minimum(model.expected, 1e6) * 1000).astype(np.uint32).reshape(-1)
    return [expected, *(model.weights[name].reshape(-1) for name in model.shape.arrays())]


def canonical(model: SequenceModel) -> bytes:
    """Return the bytes whose SHA-256 names a transformer; no coder takes part in them."""
    return join([stored.document_bytes(_document(model)), *(a.tobytes() for a in _arrays(model))])


def dump(model: SequenceModel) -> bytes:
    """Return a transformer as it is stored."""
    if model.stored is not None:
        return model.stored
    # Numbers that were learnt have no structure for slow coders to find.
    return stored.pack(_document(model), _arrays(model), "fast")


def load(payload: bytes) -> SequenceModel:
    """Read what :func:`dump` wrote, checking every value that a decoder relies on.

    Raises
    ------
    CorruptionError
        The bytes are not a transformer.
    """
    model = stored.unpack(payload, "a transformer", _build, _document)
    return replace(model, stored=payload)


def _build(document: Mapping[str, Any], body: Reader) -> SequenceModel:
    layout = _layout(document["columns"])
    sizes = {name: document[name] for name in _SIZES}
    # Numbers equal to one, such as true or 1.0, would be other texts of the same model.
    if any(type(v) is not int or not 1 <= v <= _SIZES[name] for name, v in sizes.items()):
        wrong = ", ".join(f"{name!r} {value!r}" for name, value in sizes.items())
        raise CorruptionError(f"sizes of a transformer out of range: {wrong}")
    memory, use = document["memory"], document["use_memory"]
    if type(memory) is not bool or type(use) is not bool or (use and not memory):
        raise CorruptionError(f"invalid 'memory' {memory!r} or 'use_memory' {use!r}")
    shape = SequenceShape(**sizes, types=layout.width, memory=memory)
    if shape.width % 2 or shape.width % shape.heads or shape.head_dim > MAX_HEAD_DIM:
        raise CorruptionError(
            f"'heads' {shape.heads} does not divide 'width' {shape.width} into at most"
            f" {MAX_HEAD_DIM} numbers a head, or the width is odd"
        )
    chunk, lane_tokens = document["chunk"], document["lane_tokens"]
    if (
        type(chunk) is not int
        or type(lane_tokens) is not int
        or not 1 <= chunk <= shape.window
        or not 1 <= lane_tokens <= MAX_LANE_TOKENS
    ):
        raise CorruptionError(f"'chunk' {chunk!r} or 'lane_tokens' {lane_tokens!r} out of range")
    arrays = shape.arrays()
    if sum(int(np.prod(s, dtype=np.int64)) for _, s in arrays.values()) > MAX_WEIGHTS:
        raise CorruptionError(f"more than {MAX_WEIGHTS} weights")
    expected = stored.read_array(body, "<u4", 2 * len(layout.parts))
    if (expected > _MAX_EXPECTED).any():
        raise CorruptionError(f"'expected' is above {_MAX_EXPECTED}")
    weights = {
        name: stored.read_array(body, dtype, int(np.prod(size))).reshape(size)
        for name, (dtype, size) in arrays.items()
    }
    body.finish()
    for name, w in weights.items():
        low, high = _RANGES.get(name, (-127, 127) if w.dtype == np.int8 else (0, (1 << 32) - 1))
        if name == "memory_kv_bias":
            continue  # any value will do
        if w.size and (int(w.min()) < low or int(w.max()) > high):
            raise CorruptionError(f"weights {name!r} out of range {low} to {high}")
    return SequenceModel(
        str(document["table"]), layout, shape, chunk, lane_tokens, use, weights,
        expected.astype(np.float64).reshape(-1, 2) / 1000,
    )  # fmt: skip


def _layout(entries: list[Any]) -> RecordLayout:
    parts = []
    width = 0
    for name, dtype, items, constant in entries:
        if (
            not isinstance(name, str)
            or dtype not in COLUMN_DTYPES
            or type(items) is not int
            or items < 1
            or len(constant) != items * np.dtype(dtype).itemsize
            or any(type(c) is not int or not -1 <= c <= 255 for c in constant)
        ):
            raise CorruptionError(f"invalid column {name!r} in 'columns'")
        part = RecordColumn(name, dtype, items, tuple(constant))
        width += len(part.coded)
        if not len(part.coded) or width > MAX_TYPES:
            raise CorruptionError(
                f"column {name!r} has no coded bytes, or the row more than {MAX_TYPES}"
            )
        parts.append(part)
    if not parts or len({p.name for p in parts}) != len(parts):
        raise CorruptionError("'columns' is empty, or has a column twice")
    return RecordLayout(tuple(parts))
