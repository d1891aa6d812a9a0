"""Candidate layouts of a branch, from the one its type suggests to stored baskets.

The first way that all data of the branch fit is taken; ways that need no data to be ruled out are
not offered.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import uproot

from vortex_hep.core import interpretations as values
from vortex_hep.readers.root.records import record_types
from vortex_hep.readers.root.records.records import Program
from vortex_hep.readers.root.ttree import layout
from vortex_hep.readers.root.ttree.layout import BranchPart, BranchPlan, flatten_dtype
from vortex_hep.readers.root.ttree.tables import plain_typename

#: TBranchElement::EBranchElementType of a mother of TClonesArray or STL collection members.
_CLONES_NODE, _STL_NODE = 3, 4
#: Largest record that is laid out as bytes of fixed number if all records have as many.
_SMALL_RECORD = 256


def branch_options(plan: BranchPlan, branch: Any) -> list[BranchPlan]:
    """Ways to lay out one branch.

    Parameters
    ----------
    plan : BranchPlan
        What they have in common.
    branch : uproot TBranch or None
        Asked for types and titles; None for a branch that uproot does not know.
    """
    options: list[BranchPlan] = []
    if branch is not None:
        plan = replace(plan, title=branch.title, typename=_typename(branch))
        options = _typed(plan, branch)
    if any(option.kind == layout.COUNTED for option in options):
        own = next(option for option in options if option.kind == layout.COUNTED)
        options.append(replace(own, kind=layout.OWN))
    if not any(option.kind == layout.BYTES for option in options):
        options.append(replace(plan, kind=layout.BYTES, interpretation="opaque"))
    return [*options, replace(plan, kind=layout.STORED, interpretation="opaque")]


def _typename(branch: Any) -> str:
    try:
        return str(branch.typename)
    except Exception:  # noqa: BLE001 - a type that uproot has no name for
        return ""


def _typed(plan: BranchPlan, branch: Any) -> list[BranchPlan]:
    if counts_items(branch):
        only = (BranchPart(plan.name, "<i4", (), 0),)
        return [replace(plan, kind=layout.FIXED, stride=4, parts=only, typename="int32_t")]
    numerical = uproot.interpretation.numerical
    try:
        interpretation = branch.interpretation
    except Exception:  # noqa: BLE001 - whatever uproot cannot interpret may still be plain
        return _basic(plan, branch)
    content, kind = interpretation, layout.FIXED
    if isinstance(interpretation, uproot.interpretation.jagged.AsJagged):
        if interpretation.header_bytes:
            return _records(plan, branch)
        content, kind = interpretation.content, layout.COUNTED
    row: np.dtype[Any] | None = None
    if isinstance(content, numerical.TruncatedNumerical):
        row = np.dtype((content.from_dtype, content.to_dims))
    elif isinstance(content, (numerical.AsDtype, uproot.interpretation.objects.AsStridedObjects)):
        row = content.from_dtype
    if row is not None and row.itemsize:
        parts = _interpreted(flatten_dtype(row, plan.name), content)
        out = [replace(plan, kind=kind, stride=row.itemsize, parts=parts)]
        return out + _bits(plan, branch, counted=kind == layout.COUNTED)
    out = _records(plan, branch)
    text = isinstance(interpretation, uproot.interpretation.strings.AsStrings)
    if text and not out and not record_types.is_member_of_items(branch):
        return [replace(plan, kind=layout.BYTES, interpretation=_text_kind(interpretation))]
    return out


def _text_kind(interpretation: Any) -> str:
    """How strings begin: ``"string"``, or with the bytes to skip and of their length named."""
    skipped, length = int(interpretation.header_bytes), str(interpretation.length_bytes)
    return "string" if (skipped, length) == (0, "1-5") else f"string {skipped} {length}"


def _interpreted(parts: tuple[BranchPart, ...], content: Any) -> tuple[BranchPart, ...]:
    """Parts of numbers with what uproot says of their values."""
    numerical = uproot.interpretation.numerical
    if isinstance(content, numerical.TruncatedNumerical):
        to = content.to_dtype.base.newbyteorder("<").str
        if content.is_truncated:
            kinds: tuple[str, ...] = values.truncated(content.num_bits, to)
        else:
            low, high, bits = content.low, content.high, content.num_bits
            kinds = (values.quantized(low, high, 1 << bits, to),)
        return tuple(
            replace(part, interpretation=kind) for part, kind in zip(parts, kinds, strict=True)
        )
    if isinstance(content, numerical.AsDtype) and len(parts) == 1:
        to = content.to_dtype.base.newbyteorder("<").str
        if (parts[0].dtype, to) == ("<f4", "<f8"):
            return (replace(parts[0], interpretation=values.widened(to)),)
    return parts


def _basic(plan: BranchPlan, branch: Any) -> list[BranchPlan]:
    """Members of basic type, where uproot stumbles over the class around them."""
    item = record_types.basic_type(branch)
    if item is None:
        return []
    dtype, shape = item
    row = np.dtype((dtype, shape))
    kind = layout.COUNTED if record_types.is_member_of_items(branch) else layout.FIXED
    parts = flatten_dtype(row, plan.name)
    return [
        replace(
            plan,
            kind=kind,
            stride=row.itemsize,
            parts=parts,
            typename=plain_typename(dtype.str, shape),
        )
    ]


def _bits(plan: BranchPlan, branch: Any, *, counted: bool) -> list[BranchPlan]:
    if not record_types.is_bits(branch):
        return []
    return [_with_program(plan, record_types.describe_bits(counted=counted))]


def _records(plan: BranchPlan, branch: Any) -> list[BranchPlan]:
    return [_with_program(plan, found) for found in record_types.describe(branch)]


def _with_program(plan: BranchPlan, found: record_types.Description) -> BranchPlan:
    parts = tuple(
        BranchPart(plan.name + column.suffix, column.dtype, column.inner, column.offset, number)
        for number, columns in enumerate(found.fields)
        for column in columns
    )
    return replace(
        plan, kind=layout.RECORDS, parts=parts, program=Program(found.nodes),
        levels=tuple(plan.name + suffix for suffix in found.levels), guessed=True,
    )  # fmt: skip


def small_record(plan: BranchPlan, sizes: Sequence[int]) -> BranchPlan | None:
    """Opaque records that seem to be all of one small size: as bytes of that number.

    Parameters
    ----------
    plan : BranchPlan
        Of kind ``BYTES``.
    sizes : sequence of int
        What the bytes of all its entries together may be.
    """
    entries = plan.stop - plan.first
    if plan.kind != layout.BYTES or plan.interpretation != "opaque" or entries < 1:
        return None
    strides = [size // entries for size in sizes if size % entries == 0]
    stride = next((stride for stride in strides if 0 < stride <= _SMALL_RECORD), 0)
    if not stride:
        return None
    part = BranchPart(plan.name, "|u1", (stride,), 0)
    return replace(
        plan, kind=layout.FIXED, stride=stride, parts=(part,), interpretation="", guessed=True
    )


def counts_items(branch: Any) -> bool:
    """Whether this is the mother of a split collection, whose data are the numbers of items."""
    return branch.has_member("fType") and branch.member("fType") in (_CLONES_NODE, _STL_NODE)
