"""Conformance of engines with transformers in integers: the integers of the reference.

Random models have integers whose activations neither vanish nor saturate. The operations of an
engine are :class:`~vortex_hep.nn.sequence.session.Operations`; the definition is
:class:`~vortex_hep.nn.sequence.reference.Reference`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from vortex_hep.codec.tokens.records import RecordColumn, RecordLayout
from vortex_hep.core.schema import Array
from vortex_hep.nn.sequence.model import SequenceModel, SequenceShape
from vortex_hep.nn.sequence.reference import Reference
from vortex_hep.nn.sequence.session import BEGIN, Operations, Session
from vortex_hep.testing.conformance.reporting import Subject

#: Ranges of the integers of random models; others are those of an 8-bit weight.
RANGES = {
    "embed_factor": (2000, 9000), "next_factor": (2000, 9000), "position_factor": (500, 900),
    "unit": (20, 40), "qkv_factor": (300, 1500), "logit_factor": (20_000, 200_000),
    "value_factor": (2000, 20_000), "out_factor": (10**5, 10**6), "gate_factor": (3000, 30_000),
    "up_factor": (3000, 30_000), "act_factor": (1, 40), "down_factor": (10**5, 10**6),
    "head_factor": (10**4, 10**5), "begin": (-4096, 4096), "head_bias": (-3000, 3000),
    "depthwise_factor": (200, 2000), "depthwise_bias": (-5000, 5000),
    "project_bias": (-9000, 9000), "memory_unit": (20, 40), "memory_kv_factor": (300, 1500),
    "memory_kv_bias": (-(10**7), 10**7), "memory_logit_factor": (20_000, 200_000),
    "memory_value_factor": (2000, 20_000), "mix": (0, 257), "rates": (0, 2**32),
}  # fmt: skip


def bytes_layout(width: int) -> RecordLayout:
    """Records of one column of so many bytes, all of them tokens."""
    return RecordLayout((RecordColumn("record", "|u1", width, (-1,) * width),))


def random_model(
    seed: int = 0, *, layout: RecordLayout | None = None, types: int = 5, memory: bool = True,
    width: int = 32, layers: int = 2, heads: int = 4, ff: int = 48, window: int = 16, rate: int = 3,
    chunk: int = 16, lane_tokens: int = 60, table: str = "bytes",
) -> SequenceModel:  # fmt: skip
    """Make a model of random integers.

    Parameters
    ----------
    seed : int
    layout : RecordLayout, optional
        By default, :func:`bytes_layout` of ``types``.
    types : int
        Bytes of a record.
    memory, width, layers, heads, ff, window, rate
        As for :class:`~vortex_hep.nn.sequence.model.SequenceShape`.
    chunk, lane_tokens, table
        As for :class:`~vortex_hep.nn.sequence.model.SequenceModel`.

    Examples
    --------
    >>> random_model(1, types=3).shape.types
    3
    """
    layout = layout or bytes_layout(types)
    random = np.random.default_rng(seed)
    shape = SequenceShape(width, layers, heads, ff, window, rate, layout.width, memory)
    weights = {
        name: random.integers(*RANGES.get(name, (-127, 128)), size).astype(dtype)
        for name, (dtype, size) in shape.arrays().items()
    }
    expected = np.tile([1.0, 9.0], (len(layout.parts), 1))
    return SequenceModel(table, layout, shape, chunk, lane_tokens, memory, weights, expected)


def random_lanes(seed: int, lanes: int, tokens: int) -> Array:
    """Make inputs of lanes, int64 of shape (lanes, tokens), as a session is fed with them."""
    inputs = np.random.default_rng(seed).integers(0, 256, (lanes, tokens))
    inputs[:, 0] = BEGIN
    return inputs


def feed_in_pieces(
    model: SequenceModel,
    operations: Operations,
    inputs: Array,
    sizes: Sequence[int],
    **choices: Any,
) -> Array:
    """Return the logits of all tokens, fed in pieces of these sizes, again and again.

    Parameters
    ----------
    model : SequenceModel
    operations : Operations
    inputs : int64 array, shape (lanes, tokens)
    sizes : sequence of int
        Tokens of a piece; fewer where a chunk ends.
    **choices
        As for :class:`~vortex_hep.nn.sequence.session.Session`.
    """
    session = Session(model, operations, len(inputs), **choices)
    out, at, k = [], 0, 0
    while at < inputs.shape[1]:
        n = min(session.room, inputs.shape[1] - at, sizes[k % len(sizes)])
        out.append(session.feed(inputs[:, at : at + n]))
        at, k = at + n, k + 1
    return np.concatenate(out, axis=1)


def check_operations(
    operations: Operations,
    model: SequenceModel,
    inputs: Array,
    sizes: Sequence[int] = (99,),
    *,
    length: int | None = None,
    **choices: Any,
) -> Array:
    """Check that operations fed in any pieces give the logits of the reference fed in one.

    Parameters
    ----------
    operations : Operations
        Of the engine and model to check.
    model : SequenceModel
    inputs : int64 array, shape (lanes, tokens)
    sizes : sequence of int
        As for :func:`feed_in_pieces`.
    length : int, optional
        What the operations are told of the length of lanes.
    **choices
        ``chunk`` and ``memory``, for both.

    Returns
    -------
    int array, shape (lanes, tokens, 256)
        The reference's.

    Raises
    ------
    ConformanceError
        Names the lane, token and byte.

    Examples
    --------
    >>> model = random_model(1)
    >>> logits = check_operations(Reference(model), model, random_lanes(1, 2, 20), [3, 7])
    >>> logits.shape
    (2, 20, 256)
    """
    here = Subject(f"operations {type(operations).__name__}")
    here = here.of(f"{inputs.shape[0]} lanes of {inputs.shape[1]} tokens in pieces of {[*sizes]}")
    wanted = feed_in_pieces(model, Reference(model), inputs, [99], **choices)
    found = here.call(
        "a session",
        lambda: feed_in_pieces(model, operations, inputs, sizes, length=length, **choices),
    )
    here.equal("shapes of logits", found.shape, wanted.shape)
    unequal = np.argwhere(found != wanted)
    if len(unequal):
        lane, token, byte = (int(k) for k in unequal[0])
        raise here.error(
            "logits differ from the reference's",
            position=f"lane {lane}, token {token}, byte {byte}",
            expected=wanted[lane, token, byte], found=found[lane, token, byte],
        )  # fmt: skip
    return wanted


def check_lanes_alone(make: Callable[[], Operations], model: SequenceModel, inputs: Array) -> None:
    """Check that lanes do not know of one another: each has the same logits alone.

    Parameters
    ----------
    make : callable
        Gives fresh operations of the engine.
    model : SequenceModel
    inputs : int64 array, shape (lanes, tokens)
        At least 12 lanes.

    Raises
    ------
    ConformanceError
    """
    whole = feed_in_pieces(model, make(), inputs, [7])
    for part in (slice(0, 1), slice(5, 12)):
        operations = make()
        alone = feed_in_pieces(model, operations, inputs[part], [7])
        here = Subject(f"operations {type(operations).__name__}")
        here.same_bits(f"logits of lanes {part.start} to {part.stop} alone", alone, whole[part])


def saturated_model(seed: int = 2) -> SequenceModel:
    """Make a model with sums of more terms than float32 holds exactly, and weights at limits."""
    model = random_model(seed, width=32, ff=1200, layers=1)
    for array in ("gate", "up", "down"):
        model.weights[array][:] = np.sign(model.weights[array]) * 127
    model.weights["act_factor"][:] = 4000
    return model
