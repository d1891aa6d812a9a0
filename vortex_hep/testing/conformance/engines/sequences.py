"""Sequence models with random integers, whose activations neither vanish nor saturate."""

import numpy as np

from vortex_hep.codec.tokens.records import RecordColumn, RecordLayout
from vortex_hep.nn.sequence.model import SequenceModel, SequenceShape

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


def bytes_layout(width):
    """Records of one column of so many bytes, all of them tokens."""
    return RecordLayout((RecordColumn("record", "|u1", width, (-1,) * width),))


def random_model(
    seed=0, *, layout=None, types=5, memory=True, width=32, layers=2, heads=4, ff=48, window=16,
    rate=3, chunk=16, lane_tokens=60, table="bytes",
):  # fmt: skip
    layout = layout or bytes_layout(types)
    random = np.random.default_rng(seed)
    shape = SequenceShape(width, layers, heads, ff, window, rate, layout.width, memory)
    weights = {
        name: random.integers(*RANGES.get(name, (-127, 128)), size).astype(dtype)
        for name, (dtype, size) in shape.arrays().items()
    }
    expected = np.tile([1.0, 9.0], (len(layout.parts), 1))
    return SequenceModel(table, layout, shape, chunk, lane_tokens, memory, weights, expected)
