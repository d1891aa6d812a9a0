"""Branch plans and basket fields as blobs, one property after the other."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from vortex_hep.core.schema import COLUMN_DTYPES, VARBYTES, Array
from vortex_hep.readers.root.records.records import ROWS, STRINGS, Program
from vortex_hep.readers.root.ttree import layout
from vortex_hep.readers.root.ttree.basket_log import BASKET_FIELDS
from vortex_hep.readers.root.ttree.layout import BranchPart, BranchPlan

_KINDS = (
    layout.NONE,
    layout.FIXED,
    layout.COUNTED,
    layout.OWN,
    layout.BYTES,
    layout.STORED,
    layout.RECORDS,
    layout.LEFT,
)
_DTYPES = (*COLUMN_DTYPES, VARBYTES)
#: Column of the basket fields that is stored as differences, and the one counted from the index.
_DATIME, _CYCLE = BASKET_FIELDS.index("datime"), BASKET_FIELDS.index("cycle")


def pack_plans(plans: Sequence[BranchPlan], tables: list[str]) -> tuple[dict[str, Any], bytes]:
    """Kind, table, row size and parts of each branch, as arrays of one property each."""
    parts = [(plan, part) for plan in plans for part in plan.parts]
    numbers = {name: i for i, name in enumerate(tables)}
    blob = b"".join(
        np.array(values, dtype).tobytes()
        for values, dtype in (
            ([_KINDS.index(plan.kind) for plan in plans], "u1"),
            ([numbers.get(plan.table, 0) for plan in plans], "<u4"),
            ([plan.stride for plan in plans], "<u4"),
            ([len(plan.parts) for plan in plans], "<u2"),
            ([plan.packed for plan in plans], "u1"),
            ([_DTYPES.index(part.dtype) for _, part in parts], "u1"),
            ([part.offset for _, part in parts], "<u4"),
        )
    )
    item = {
        "branches": len(plans),
        "parts": len(parts),
        "inner": [[i, list(part.inner)] for i, (_, part) in enumerate(parts) if part.inner],
        "names": [[i, part.name] for i, (plan, part) in enumerate(parts) if part.name != plan.name],
        **_pack_records(plans, numbers),
    }
    return item, blob


def _pack_records(plans: Sequence[BranchPlan], numbers: Mapping[str, int]) -> dict[str, Any]:
    """Programs of records, each kept once, and which branch has which."""
    programs: dict[str, int] = {}
    records = []
    for plan in plans:
        if plan.kind == layout.RECORDS and plan.program is not None:
            constants = [text.hex() for text in plan.program.constants]
            outputs = [part.output for part in plan.parts]
            text = json.dumps([plan.program.nodes, constants, outputs])
            number = programs.setdefault(text, len(programs))
            # A table without columns is not among the tree's.
            tables = [numbers.get(name, -1) for name in plan.tables[1:]]
            records.append([plan.number, number, *tables])
    return {"programs": [json.loads(text) for text in programs], "records": records}


def unpack_plans(
    item: Mapping[str, Any], blob: bytes, names: Sequence[str], tables: Sequence[str]
) -> list[BranchPlan]:
    """The inverse of :func:`pack_plans`; baskets are still to be found."""
    branches, count = item["branches"], item["parts"]
    position = 0

    def take(size: int, dtype: str) -> list[int]:
        nonlocal position
        values = np.frombuffer(blob, dtype, size, position)
        position += values.nbytes
        return values.tolist()  # type: ignore[no-any-return]

    kinds, table_numbers = take(branches, "u1"), take(branches, "<u4")
    strides, sizes = take(branches, "<u4"), take(branches, "<u2")
    packed = take(branches, "u1")
    dtypes, offsets = take(count, "u1"), take(count, "<u4")
    inner = {i: tuple(shape) for i, shape in item["inner"]}
    part_names = dict(item["names"])
    records = {row[0]: (*item["programs"][row[1]], row[2:]) for row in item["records"]}
    out = []
    first = 0
    for number in range(branches):
        nodes, constants, outputs, levels = records.get(number, ([], [], [], []))
        parts = tuple(
            BranchPart(
                part_names.get(i, names[number]),
                _DTYPES[dtypes[i]],
                inner.get(i, ()),
                offsets[i],
                outputs[i - first] if outputs else 0,
            )
            for i in range(first, first + sizes[number])
        )
        first += sizes[number]
        plan = BranchPlan(
            number, names[number], _KINDS[kinds[number]], strides[number], parts,
            table=tables[table_numbers[number]], packed=bool(packed[number]),
        )  # fmt: skip
        if plan.kind == layout.RECORDS:
            plan.program = Program(nodes, [bytes.fromhex(text) for text in constants])
            plan.tables = ["", *("" if k < 0 else tables[k] for k in levels)]
            _check_records(plan)
        out.append(plan)
    return out


def _check_records(plan: BranchPlan) -> None:
    """Raise ValueError unless every output of a program has its columns."""
    program = plan.program
    if program is None or len(plan.tables) != len(program.parents):
        msg = f"branch {plan.name!r} has other tables than its program"
        raise ValueError(msg)
    for number, output in enumerate(program.outputs):
        parts = [part for part in plan.parts if part.output == number]
        sizes = [
            part.offset + np.dtype(part.dtype).itemsize * int(np.prod(part.inner, dtype=np.int64))
            for part in parts
            if part.dtype != VARBYTES
        ]
        if output.kind == ROWS:
            right = bool(parts) and len(sizes) == len(parts) and max(sizes) <= output.size
        else:
            right = len(parts) == 1 and (output.kind == STRINGS) == (not sizes)
        if not right or any(part.output >= len(program.outputs) for part in plan.parts):
            msg = f"branch {plan.name!r} has other columns than its program"
            raise ValueError(msg)


def pack_fields(fields: Array, plans: Sequence[BranchPlan]) -> bytes:
    """Basket fields, one after the other, as what differs from the expected."""
    stored = _predicted(fields, plans, -1)
    stored[1:, _DATIME] -= fields[:-1, _DATIME]
    return np.ascontiguousarray(stored.T).astype("<i4").tobytes()


def unpack_fields(blob: bytes, plans: Sequence[BranchPlan]) -> Array:
    """The inverse of :func:`pack_fields`."""
    fields: Array = np.frombuffer(blob, "<i4").reshape(len(BASKET_FIELDS), -1).T.astype(np.int64)
    fields[:, _DATIME] = np.cumsum(fields[:, _DATIME]) & 0xFFFFFFFF
    return _predicted(fields, plans, 1)


def _predicted(fields: Array, plans: Sequence[BranchPlan], sign: int) -> Array:
    """Fields with the basket's index taken from, or added to, the cycle of its key."""
    out: Array = fields.copy()
    index = [ref.index if ref.embedded is None else 0 for plan in plans for ref in plan.baskets]
    out[:, _CYCLE] += sign * np.array(index, np.int64)
    return out
