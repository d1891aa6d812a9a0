"""A transformer in integers: its weights, and the layout of its records."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy.typing as npt

from vortex_hep.codec.tokens.records import RecordLayout
from vortex_hep.nn.event.model import EventModel

Array = npt.NDArray[Any]

#: Limits that a decoder enforces before it allocates anything (SPEC 9.2).
MAX_WIDTH, MAX_FF, MAX_LAYERS = 4096, 1 << 14, 64
#: Products of a head's queries and keys are summed in float32.
MAX_HEAD_DIM = 1024
MAX_WINDOW = 4096
MAX_TYPES = 1 << 14
MAX_WEIGHTS = 1 << 30
#: Tokens of a lane; a lane of one row may have more.
MAX_LANE_TOKENS = 1 << 16


@dataclass(frozen=True)
class SequenceShape:
    """Sizes of a transformer in integers.

    Parameters
    ----------
    width : int
        Of the residual stream; even, a multiple of ``heads``.
    layers, heads, ff : int
    window : int
        Tokens that local attention sees at most.
    rate : int
        Tokens per token of memory.
    types : int
        Bytes of a record.
    memory : bool
        Whether there are weights for compressed memory.
    """

    width: int
    layers: int
    heads: int
    ff: int
    window: int
    rate: int
    types: int
    memory: bool

    @property
    def head_dim(self) -> int:
        """Width of a head."""
        return self.width // self.heads

    @property
    def capacity(self) -> int:
        """Tokens that the memory holds."""
        return max(1, self.window // 2)

    def arrays(self) -> dict[str, tuple[str, tuple[int, ...]]]:
        """Dtype and shape of every array, in canonical order."""
        n, d, h, f, p = self.layers, self.width, self.heads, self.ff, self.types
        small, wide = "|i1", "<i4"
        out = {
            "embed": (small, (p, 256, d)),
            "embed_factor": (wide, (p,)),
            "begin": (wide, (d,)),
            "next_type": (small, (p, d)),
            "next_factor": (wide, (1,)),
            "rates": ("<u4", (d // 2,)),
            "position_factor": (wide, (1,)),
            "unit": (wide, (2 * n + 1,)),
            "qkv": (small, (n, 3 * d, d)),
            "qkv_factor": (wide, (n, 3 * d)),
            "logit_factor": (wide, (n, h)),
            "value_factor": (wide, (n, h)),
            "out": (small, (n, d, d)),
            "out_factor": (wide, (n, d)),
            "gate": (small, (n, f, d)),
            "gate_factor": (wide, (n, f)),
            "up": (small, (n, f, d)),
            "up_factor": (wide, (n, f)),
            "act_factor": (wide, (n, f)),
            "down": (small, (n, d, f)),
            "down_factor": (wide, (n, d)),
            "head": (small, (256, d)),
            "head_factor": (wide, (256,)),
            "head_bias": (wide, (p, 256)),
        }
        if self.memory:
            out |= {
                "depthwise": (small, (n, 3, d)),
                "depthwise_factor": (wide, (n, d)),
                "depthwise_bias": (wide, (n, d)),
                "pointwise": (small, (n, d)),
                "project": (small, (n, d, d)),
                "project_bias": (wide, (n, d)),
                "memory_unit": (wide, (n,)),
                "memory_kv": (small, (n, 2 * d, d)),
                "memory_kv_factor": (wide, (n, 2 * d)),
                "memory_kv_bias": (wide, (n, 2 * d)),
                "memory_logit_factor": (wide, (n, h)),
                "memory_value_factor": (wide, (n, h)),
                "mix": (wide, (n, h)),
            }
        return out


@dataclass(frozen=True, eq=False)
class SequenceModel:
    """Everything that decides the frequencies of a table's bytes.

    Parameters
    ----------
    table : str
        Name of the plan.
    layout : RecordLayout
        Which bytes of which columns are the tokens of a row.
    shape : SequenceShape
    chunk : int
        Tokens of a chunk: where attention begins anew.
    lane_tokens : int
        Tokens of a lane, about; a lane has whole rows.
    use_memory : bool
        Whether archives are to be written with memory across chunks.
    weights : mapping of str to integer array
    expected : float64 array, shape (columns, 2)
        Bits per row on validation rows: with this network, with the best classical coder.
        Steers the encoder only.
    stored : bytes, optional
        What the model was read from.
    """

    table: str
    layout: RecordLayout
    shape: SequenceShape
    chunk: int
    lane_tokens: int
    use_memory: bool
    weights: Mapping[str, Array]
    expected: Array
    stored: bytes | None = field(default=None, repr=False, compare=False)

    @property
    def parameters(self) -> int:
        """Number of integers."""
        return sum(w.size for w in self.weights.values())

    @property
    def lane_rows(self) -> int:
        """Rows of a lane."""
        return max(1, self.lane_tokens // self.layout.width)

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """Columns that the network knows."""
        return self.layout.columns


#: What the columns of a plan may be coded by.
AnyModel = EventModel | SequenceModel
