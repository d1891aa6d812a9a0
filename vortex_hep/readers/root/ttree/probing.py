"""Trial of a tree's layout on some of its data.

What types say of objects and collections is tried on the first and last basket of each such
branch. The numbers of items there tell which branches belong to one collection. Both are checked
again on all data; :meth:`~vortex_hep.readers.root.ttree.ttree.TTreeSource.settle` decides by all of
them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import xxhash

from vortex_hep.core.schema import Array
from vortex_hep.errors import LayoutError
from vortex_hep.readers.root.ttree import layout
from vortex_hep.readers.root.ttree.decode import BasketData
from vortex_hep.readers.root.ttree.layout import BasketRef, BranchPlan
from vortex_hep.readers.root.ttree.tables import families

if TYPE_CHECKING:
    from vortex_hep.readers.root.ttree.planning import TreeLayout
    from vortex_hep.readers.root.ttree.streamed import StreamedBranch

#: Stored bytes of baskets that are fetched at a time.
_BATCH = 1 << 25

#: ``fetch(plans, baskets)`` gives the records of baskets; ``decode(plan, basket, record)``.
Fetch = Callable[[Sequence[tuple[BranchPlan, BasketRef]]], list[memoryview | None]]
#: Entries from, to, and the numbers of items of each.
Known = tuple[int, int, Array]
Decode = Callable[[BranchPlan, BasketRef, memoryview | None], BasketData]


def probe(
    tree: TreeLayout, branches: Sequence[StreamedBranch], fetch: Fetch, decode: Decode
) -> None:
    """Try the options of all branches whose layout is a guess, and find what belongs together."""
    found: dict[int, list[Known]] = {}
    totals: dict[int, int] = {}
    for batch in _batches(tree):
        for (plan, ref), raw in zip(batch, fetch(batch), strict=True):
            data = _first_that_fits(tree, plan.number, ref, raw, decode)
            if data is not None and data.counts is not None:
                found.setdefault(plan.number, []).append((ref.start, ref.stop, data.counts))
                totals[plan.number] = _total_rows(
                    tree.plans[plan.number], branches[plan.number], data
                )
    tree.choose()
    groups: list[list[int]] = []
    for members in families(tree.plans).values():
        known = [number for number in members if number in found]
        if not known:
            continue
        # Baskets of one branch hold more entries than those of another: what all know is compared.
        first = min(found[number][0][1] for number in known)
        last = max(found[number][-1][0] for number in known)
        equal: dict[bytes, list[int]] = {}
        for number in known:
            equal.setdefault(_signature(found[number], first, last), []).append(number)
        for numbers in equal.values():
            groups += _by_total(numbers, totals)
    set_alike(tree, groups)


def _by_total(numbers: Sequence[int], totals: Mapping[int, int]) -> list[list[int]]:
    """Part branches by their rows in all; those that do not tell join the most."""
    parts: dict[int, list[int]] = {}
    for number in numbers:
        parts.setdefault(totals[number], []).append(number)
    silent = parts.pop(-1, [])
    out = sorted(parts.values(), key=lambda part: (-len(part), part[0])) or [[]]
    out[0] = sorted(out[0] + silent)
    return out


def _signature(known: Sequence[Known], first: int, last: int) -> bytes:
    """What the numbers of items before ``first`` and from ``last`` on are compared by."""
    start, _, counts = known[0]
    head = counts[: max(first - start, 0)]
    start, _, counts = known[-1]
    return xxhash.xxh3_128_digest(head.tobytes() + counts[last - start :].tobytes())


def set_alike(tree: TreeLayout, groups: Sequence[Sequence[int]]) -> None:
    """Let the branches of each group share a table."""
    tree.alike = {}
    for members in groups:
        counters = {tree.plans[n].counter if tree.plans[n].is_counted else -1 - n for n in members}
        # What one counter counts is together anyway.
        if len(counters) > 1:
            tree.alike |= dict.fromkeys(members, str(members[0]).encode())
    tree.choose()


def _batches(tree: TreeLayout) -> Iterator[list[tuple[BranchPlan, BasketRef]]]:
    batch: list[tuple[BranchPlan, BasketRef]] = []
    size = 0
    related = {number for members in families(tree.plans).values() for number in members}
    for plan in tree.plans:
        if not plan.guessed and plan.number not in related:
            continue
        filled = [ref for ref in plan.baskets if ref.stop > ref.start]
        for ref in {ref.index: ref for ref in (*filled[:1], *filled[-1:])}.values():
            batch.append((plan, ref))
            size += ref.nbytes
        if size > _BATCH:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _first_that_fits(
    tree: TreeLayout, number: int, ref: BasketRef, raw: memoryview | None, decode: Decode
) -> BasketData | None:
    while True:
        plan = tree.plans[number]
        if not plan.has_columns:
            return None
        try:
            return decode(plan, ref, raw)
        except LayoutError as error:
            if not tree.fall_back(error.number):
                return None


def _total_rows(plan: BranchPlan, branch: StreamedBranch, data: BasketData) -> int:
    """Rows of the whole tree as the sizes of its baskets tell them, or -1."""
    size = layout.data_bytes(plan, branch, keylen=data.keylen)
    if plan.kind == layout.COUNTED:
        width = plan.stride
    elif plan.program is not None and plan.program.overhead and len(plan.program.outputs) == 1:
        size -= plan.program.overhead * (plan.stop - plan.first)
        width = plan.program.outputs[0].size
    else:
        return -1
    return size // width if width and size % width == 0 else -1
