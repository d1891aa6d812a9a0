"""Transformers of the golden archive, and the clusters that they code."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from tests.golden.golden_model import _field, _segments, _table
from vortex_hep.codec.tokens.records import RecordColumn, RecordLayout
from vortex_hep.core.schema import Cluster, ColumnSpec, TableData, TableSpec, VarBytes
from vortex_hep.models.model import Model
from vortex_hep.nn.sequence.coder import LaneChoice
from vortex_hep.nn.sequence.model import SequenceModel, SequenceShape
from vortex_hep.testing.conformance.engines.sequences import RANGES

Array = npt.NDArray[Any]

TABLES = (
    TableSpec(
        "",
        (
            ColumnSpec("nT", "|u1"),
            ColumnSpec("run", "<u4"),
            ColumnSpec("name", "bytes", interpretation="string"),
            ColumnSpec("pt", "<f4"),
            ColumnSpec("flags", "|b1", (3,)),
            ColumnSpec("charge", "|i1"),
            ColumnSpec("noise", "<u2"),
            ColumnSpec("unknown", "<f8"),
            ColumnSpec("retyped", "<u2"),
            ColumnSpec("big", "<i8"),
            ColumnSpec("constant", "<f8"),
        ),
    ),
    TableSpec("T", (ColumnSpec("T_q", "|u1"), ColumnSpec("T_pair", "<f2", (2,))), "nT", True),
    TableSpec("J", (ColumnSpec("J_matrix", "<i2", (2, 2)), ColumnSpec("J_n", "<u8")), None, True),
)

#: Lanes of a group are few, so that small clusters have several groups.
GROUP_LOG2 = 2
#: Chunks are shorter than the models say: what counts is what the archive says.
CHOICE = LaneChoice(chunk=25)

_COLUMNS = (
    RecordColumn("run", "<u4", 1, (0, 5, -1, -1)),
    RecordColumn("pt", "<f4", 1, (-1, -1, -1, 0)),
    RecordColumn("flags", "|b1", 3, (-1, -1, -1)),
    RecordColumn("charge", "|i1", 1, (-1,)),
    RecordColumn("noise", "<u2", 1, (-1, -1)),
    RecordColumn("gone", "<f2", 1, (60, -1)),
    RecordColumn("retyped", "<i2", 1, (0, -1)),
    RecordColumn("big", "<i8", 1, (255, 255, 255, 255, 255, -1, 7, -1)),
)


def clusters() -> list[Cluster]:
    """A small cluster and a larger one."""
    return [_cluster(1, 40), _cluster(2, 150)]


def _cluster(seed: int, lanes: int) -> Cluster:
    rng = np.random.default_rng(seed)
    pt = rng.exponential(30, lanes).astype("<f4").view("<u4") & np.uint32(0xFFFFFF00)
    run = (5 << 16) + rng.integers(0, 300, lanes)
    # What is otherwise always the same: escapes.
    pt[3], run[5], run[-1] = pt[3] | np.uint32(9), 1 << 31, 7
    lengths = rng.integers(0, 4, lanes)
    counts = {"T": rng.integers(0, 5, lanes), "J": rng.poisson(1.0, lanes)}
    big = -(1 << 24) + (rng.integers(0, 256, lanes) << 16) + (7 << 8) + rng.integers(0, 9, lanes)
    scalars: dict[str, Array | VarBytes] = {
        "nT": counts["T"].astype("|u1"),
        "run": run.astype("<u4"),
        "name": VarBytes(
            np.cumsum([0, *lengths]), rng.integers(65, 90, lengths.sum()).astype("u1")
        ),
        "pt": pt.view("<f4"),
        # Booleans may be any byte.
        "flags": rng.choice([0, 1, 255], (lanes, 3)).astype("u1").view("|b1"),
        "charge": rng.choice([-1, 1], lanes).astype("|i1"),
        "noise": rng.integers(0, 1 << 16, lanes).astype("<u2"),
        "unknown": rng.normal(size=lanes),
        "retyped": rng.integers(0, 99, lanes).astype("<u2"),
        "big": big.astype("<i8"),
        "constant": np.full(lanes, 1.25),
    }
    t, j = int(counts["T"].sum()), int(counts["J"].sum())
    matrix = rng.integers(-9, 9, (j, 2, 2)).astype("<i2")
    matrix[1:, 0, 1], matrix[2:, 1, 0] = abs(matrix[1:, 0, 1]), -1 - abs(matrix[2:, 1, 0])
    matrix[:, 1, 1] = 5
    return {
        "": TableData(np.arange(lanes + 1), scalars),
        "T": TableData(
            np.cumsum([0, *counts["T"]]),
            {
                "T_q": rng.integers(0, 16, t).astype("|u1"),
                "T_pair": rng.normal(size=(t, 2)).astype("<f2"),
            },
        ),
        "J": TableData(
            np.cumsum([0, *counts["J"]]),
            {
                "J_matrix": matrix,
                "J_n": rng.integers(0, 1 << 16, j).astype("<u8"),
            },
        ),
    }


def _sequence_model(
    seed: int, name: str, columns: tuple[RecordColumn, ...], shape: SequenceShape,
    *, chunk: int, tokens: int,
) -> SequenceModel:  # fmt: skip
    rng = np.random.default_rng(seed)
    weights = {}
    for key, (dtype, size) in shape.arrays().items():
        if key in RANGES and key != "head_bias":
            w = rng.integers(*RANGES[key], size)
        elif key in ("embed", "head", "head_bias"):
            # The large ones have few values, so that the file stays small.
            w = rng.choice([-97, -32, 31, 95] if key == "head" else [-83, 71], size)
            w *= 19 if key == "head_bias" else 1
        else:
            w = rng.integers(-127, 128, size)
        weights[key] = w.astype(dtype)
    # That much better than any other coder: the network codes all that it may.
    expected = np.tile([1e5, 1e6], (len(columns), 1))
    for k, column in enumerate(columns):
        if column.name == "noise":
            expected[k] = 1e6, 1.0
    layout = RecordLayout(columns)
    return SequenceModel(
        name, layout, shape, chunk, tokens, shape.memory, weights, expected
    )  # fmt: skip


def model() -> Model:
    """Sequence models of three plans, and an event model that would have one of them as context."""
    scalars = SequenceShape(8, 2, 2, 12, 40, 4, 15, memory=True)
    core = SequenceShape(4, 1, 1, 3, 25, 1, 1, memory=True)
    jets = SequenceShape(6, 1, 3, 8, 30, 2, 6, memory=False)
    matrix = RecordColumn("J_matrix", "<i2", 4, (-1, -1, 0, -1, 255, -1, 0, -1))
    fields = (
        _field("T_q", "|u1", _segments((0, 15))),
        *(_field("T_pair", "<f2", _segments((0, (1 << 16) - 1)), component=k) for k in range(2)),
    )
    return Model(
        {
            "Events": {
                "": _sequence_model(
                    1, "", (RecordColumn("nT", "|u1", 1, (-1,)),), core, chunk=25, tokens=60
                ),
                "/scalars": _sequence_model(
                    2, "/scalars", _COLUMNS, scalars, chunk=30, tokens=110
                ),
                "J": _sequence_model(
                    3, "J", (RecordColumn("J_n", "<u8", 1, (*6 * (0,), -1, 9)), matrix), jets,
                    chunk=30, tokens=65,
                ),
                "T": _table(4, "T", fields, previous=True, context="/scalars.charge"),
            }
        },
        {"Events": ["name", "constant"]},
    )  # fmt: skip
