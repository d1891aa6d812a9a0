"""Choice of the layout of a TTree: one of the options for every branch, and its tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from vortex_hep.core.branches import Branch
from vortex_hep.core.schema import TableSpec
from vortex_hep.errors import SourceError
from vortex_hep.readers.root.records.forms import BranchForms
from vortex_hep.readers.root.ttree import layout
from vortex_hep.readers.root.ttree.layout import BranchPlan
from vortex_hep.readers.root.ttree.options import branch_options, counts_items, small_record
from vortex_hep.readers.root.ttree.streamed import StreamedBranch
from vortex_hep.readers.root.ttree.tables import assign_tables, build_tables, covers, is_counter


class TreeLayout:
    """Which option every branch of a tree has, and the tables that follow from it.

    Parameters
    ----------
    branches : sequence of StreamedBranch
        Branches in the tree's object; those of uproot come first, in the same order.
    uproot_branches : sequence of TBranch
    entries : int
    payload : bytes
        The tree object, uncompressed, without its key.
    key_name : bytes
        Name in the tree's key, which is the title of its baskets' keys.
    file_size : int
    where : mapping
        ``path`` and ``tree``, for errors.
    """

    def __init__(
        self,
        branches: Sequence[StreamedBranch],
        uproot_branches: Sequence[Any],
        entries: int,
        payload: bytes,
        key_name: bytes,
        file_size: int,
        where: Mapping[str, Any],
    ) -> None:
        self._branches = branches
        self._theirs = uproot_branches
        self._entries = entries
        self._payload = payload
        self._key_name = key_name
        self._file_size = file_size
        self._where = where
        self._mothers = {branch.parent for branch in branches}
        self._options = self._all_options()
        self._forms = BranchForms(uproot_branches, self._paths, entries)
        #: Branches that are more than a column to users.
        self.branch_forms: tuple[Branch, ...] = ()
        self._choice = [0] * len(branches)
        #: Branches that share a table where they have the same value here.
        self.alike: dict[int, bytes] = {}
        self.plans: list[BranchPlan] = []
        self.tables: tuple[TableSpec, ...] = ()
        self.by_column: dict[str, BranchPlan] = {}
        self.choose()

    def _all_options(self) -> list[list[BranchPlan]]:
        numbers = {id(branch): i for i, branch in enumerate(self._theirs)}
        paths: list[str] = []
        for branch in self._branches:
            parent = paths[branch.parent] + "/" if branch.parent >= 0 else ""
            paths.append(parent + branch.name)
        self._paths = paths
        names = layout.unique_names(paths, [branch.name for branch in self._branches])
        out = []
        for number, branch in enumerate(self._branches):
            plan = BranchPlan(number, names[number], layout.BYTES)
            plan.key_names = (branch.name.encode("utf-8", "surrogateescape"), self._key_name)
            self._locate(plan, branch)
            if plan.kind == layout.LEFT:
                out.append([plan])
                continue
            theirs = self._theirs[number] if number < len(self._theirs) else None
            if theirs is not None:
                plan.counter = self._counter(number, theirs, numbers)
            options = branch_options(plan, theirs)
            if options[0].kind == layout.BYTES:
                small = small_record(options[0], layout.may_be_bytes(options[0], branch))
                options[:0] = [] if small is None else [small]
            out.append(options)
        _make_unique(out)
        return out

    def _counter(self, number: int, theirs: Any, numbers: Mapping[int, int]) -> int:
        """Number of the branch that counts the items of branch ``number``, or -1.

        A leaf names its counter; members of a split collection are counted by their mother.
        """
        try:
            plain = not theirs.has_member("fType") and theirs.count_branch is not None
        except Exception:  # noqa: BLE001 - leaves of a class that uproot does not know
            return -1
        if plain:
            return numbers.get(id(theirs.count_branch), -1)
        mother = self._branches[number].parent
        while mother >= 0 and not counts_items(self._theirs[mother]):
            mother = self._branches[mother].parent
        return mother

    def _locate(self, plan: BranchPlan, branch: StreamedBranch) -> None:
        size = branch.max_baskets
        sizes = np.frombuffer(self._payload, ">i4", size, branch.at_basket_bytes).tolist()
        entries = np.frombuffer(
            self._payload, branch.entry_dtype, size, branch.at_basket_entry
        ).tolist()
        seeks = np.frombuffer(
            self._payload, branch.seek_dtype, size, branch.at_basket_seek
        ).tolist()
        where = {**self._where, "branch": plan.name}
        if branch.file_name and any(seeks):
            name = branch.file_name.decode("utf-8", "replace")
            plan.kind, plan.reason = layout.LEFT, f"its baskets are in another file, {name}"
            return
        try:
            plan.baskets = layout.find_baskets(branch, sizes, entries, seeks)
        except ValueError as error:
            raise SourceError(str(error), **where) from error
        for ref in plan.baskets:
            if ref.embedded is None and not 0 < ref.seek <= self._file_size - ref.nbytes:
                plan.kind = layout.LEFT
                plan.reason = (
                    f"basket {ref.index} should end at byte {ref.seek + ref.nbytes}, but the file"
                    f" has {self._file_size}: it is damaged"
                )
                plan.baskets = []
                return
        if plan.baskets:
            plan.first, plan.stop = plan.baskets[0].start, plan.baskets[-1].stop

    def choose(self) -> None:
        """Take for every branch the first option that is not ruled out, and make the tables."""
        self.plans = [
            options[choice] for options, choice in zip(self._options, self._choice, strict=True)
        ]
        for plan in self.plans:
            if plan.stop > self._entries:
                self._take(plan.number, len(self._options[plan.number]) - 1)
            elif not plan.baskets and plan.number in self._mothers:
                plan.kind = layout.NONE
        for number in range(len(self.plans)):
            while not self._usable(self.plans[number]):
                self._take(number, self._choice[number] + 1)
        assign_tables(self.plans, self._entries, self.alike)
        self.branch_forms = self._forms.describe(self.plans)
        self.tables = build_tables(self.plans)
        self.by_column = {part.name: plan for plan in self.plans for part in plan.parts} | {
            plan.name: plan for plan in self.plans if plan.kind == layout.BYTES
        }

    def _take(self, number: int, choice: int) -> None:
        self._choice[number] = choice
        self.plans[number] = self._options[number][choice]

    def _usable(self, plan: BranchPlan) -> bool:
        if plan.is_counted:
            counted = plan.counter >= 0 and is_counter(self.plans[plan.counter], self._entries)
            return counted and covers(plan, self._entries)
        return plan.kind != layout.RECORDS or covers(plan, self._entries)

    def fall_back(self, number: int) -> bool:
        """Take the next option of a branch, the data of which do not fit the present one.

        The tables follow with :meth:`choose`. False says that there was no other option.
        """
        if self._choice[number] + 1 >= len(self._options[number]):
            return False
        self._take(number, self._choice[number] + 1)
        self.alike.pop(number, None)
        return True


def _make_unique(options: list[list[BranchPlan]]) -> None:
    """Rename columns, of members or of numbers of items, that are called as others are."""
    taken = {plan.name for plans in options for plan in plans[:1]}
    for plans in options:
        for k, plan in enumerate(plans):
            own: set[str] = set()
            parts = []
            for part in plan.parts:
                choice, number = part.name, 2
                while choice in own or (choice in taken and choice != plan.name):
                    choice = f"{part.name}#{number}"
                    number += 1
                own.add(choice)
                parts.append(replace(part, name=choice))
            plans[k] = replace(plan, parts=tuple(parts))
        taken |= {part.name for plan in plans for part in plan.parts}
