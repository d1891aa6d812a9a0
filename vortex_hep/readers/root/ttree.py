"""A TTree as tables of columns, read basket by basket."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from vortex_hep.errors import LayoutError, NotFoundError, SourceError, UnsupportedTypeError
from vortex_hep.readers.root import layout
from vortex_hep.readers.root.assemble import assemble
from vortex_hep.readers.root.basket_log import BasketLog
from vortex_hep.readers.root.bytesource import ByteReader
from vortex_hep.readers.root.clusters import cluster_ranges
from vortex_hep.readers.root.decode import BasketData, decode_basket
from vortex_hep.readers.root.layout import BasketRef, BranchPlan
from vortex_hep.readers.root.streamed import StreamedBranch
from vortex_hep.readers.root.tables import assign_tables, build_tables
from vortex_hep.schema import Array, Cluster, Member, TableData, TableSpec, VarBytes


class TTreeSource:
    """One TTree of an opened file (a :class:`~vortex_hep.schema.TreeSource`).

    Parameters
    ----------
    name : str
        Path of the tree in the file.
    tree : uproot TTree
        Asked for types and titles only.
    reader : ByteReader
    payload : bytes
        The tree object, uncompressed, without its key.
    branches : list of StreamedBranch
        Branches in ``payload``; those of uproot come first, in the same order.
    key_name : bytes
        Name in the tree's key, which is the title of its baskets' keys.
    """

    def __init__(
        self,
        name: str,
        tree: Any,
        reader: ByteReader,
        payload: bytes,
        branches: list[StreamedBranch],
        key_name: bytes,
    ) -> None:
        self.name = self.family = name
        self.members: tuple[Member, ...] = ()
        self._key_name = key_name
        self.num_entries = int(tree.num_entries)
        self.payload = payload
        self.branches = branches
        self._reader = reader
        self._fallbacks: dict[int, str] = {}
        self._mothers = {branch.parent for branch in branches}
        self._uproot_branches = list(tree.itervalues(recursive=True))
        if len(self._uproot_branches) > len(branches) or any(
            ours.name != theirs.name
            for ours, theirs in zip(branches, self._uproot_branches, strict=False)
        ):
            msg = "branches found in the tree differ from those that uproot lists"
            raise SourceError(msg, path=reader.path, tree=name)
        self._plan()
        self._check_sizes()

    def _plan(self) -> None:
        """Lay out all branches; called again by :meth:`settle` with more fallbacks."""
        numbers = {id(branch): i for i, branch in enumerate(self._uproot_branches)}
        paths: list[str] = []
        for branch in self.branches:
            parent = paths[branch.parent] + "/" if branch.parent >= 0 else ""
            paths.append(parent + branch.name)
        names = layout.unique_names(paths, [branch.name for branch in self.branches])
        self.plans: list[BranchPlan] = []
        for number, branch in enumerate(self.branches):
            if number < len(self._uproot_branches):
                theirs = self._uproot_branches[number]
                plan = layout.plan_branch(number, names[number], theirs)
                if plan.kind == layout.COUNTED:
                    plan.counter = self._counter(number, theirs, numbers)
            else:
                plan = BranchPlan(number, names[number], layout.BYTES, interpretation="opaque")
            plan.key_names = (branch.name.encode("utf-8", "surrogateescape"), self._key_name)
            self._locate(plan, branch)
            self.plans.append(plan)
        assign_tables(self.plans, self.num_entries)
        for number, kind in self._fallbacks.items():
            self.plans[number].kind = kind
            if kind in (layout.BYTES, layout.STORED):
                self.plans[number].interpretation = "opaque"
        assign_tables(self.plans, self.num_entries)
        self.tables: tuple[TableSpec, ...] = build_tables(self.plans)
        self.log = BasketLog([plan.baskets for plan in self.plans])
        self._cache: dict[int, list[BasketData]] = {}
        self._by_column = {part.name: plan for plan in self.plans for part in plan.parts} | {
            plan.name: plan for plan in self.plans if plan.kind == layout.BYTES
        }

    def _counter(self, number: int, theirs: Any, numbers: dict[int, int]) -> int:
        """Number of the branch that counts the items of branch ``number``, or -1.

        A leaf names its counter; members of a split collection are counted by their mother.
        """
        if not theirs.has_member("fType") and theirs.count_branch is not None:
            return numbers.get(id(theirs.count_branch), -1)
        mother = self.branches[number].parent
        while mother >= 0 and not layout.counts_items(self._uproot_branches[mother]):
            mother = self.branches[mother].parent
        return mother

    def _locate(self, plan: BranchPlan, branch: StreamedBranch) -> None:
        size = branch.max_baskets
        sizes = np.frombuffer(self.payload, ">i4", size, branch.at_basket_bytes).tolist()
        entries = np.frombuffer(self.payload, ">i8", size, branch.at_basket_entry).tolist()
        seeks = np.frombuffer(self.payload, ">i8", size, branch.at_basket_seek).tolist()
        where: dict[str, Any] = {"path": self._reader.path, "tree": self.name, "branch": plan.name}
        if branch.file_name and any(seeks):
            msg = f"baskets are in another file, {branch.file_name.decode('utf-8', 'replace')}"
            raise UnsupportedTypeError(msg, **where)
        try:
            plan.baskets = layout.find_baskets(branch, sizes, entries, seeks)
        except ValueError as error:
            raise SourceError(str(error), **where) from error
        for ref in plan.baskets:
            if ref.embedded is None and not 0 < ref.seek <= self._reader.size - ref.nbytes:
                msg = f"basket {ref.index} should end at byte {ref.seek + ref.nbytes}"
                hint = f"the file has {self._reader.size} bytes: truncated or damaged"
                raise SourceError(msg, offset=ref.seek, hint=hint, **where)
        if plan.baskets:
            plan.first, plan.stop = plan.baskets[0].start, plan.baskets[-1].stop
        if plan.stop > self.num_entries:
            plan.kind = layout.STORED
        elif not plan.baskets and plan.number in self._mothers:
            plan.kind = layout.NONE

    def _check_sizes(self) -> None:
        """Look closely at branches of objects whose size is not what their type says.

        Leaves of plain types are what they say; of members of objects some are not (a TObject's
        fBits takes two more bytes where it is referenced). The sizes that the tree itself names
        tell, without reading any data but counters.
        """
        sums: dict[int, int] = {}
        suspects = []
        for plan, branch in zip(self.plans, self.branches, strict=True):
            if branch.class_name == b"TBranch" or plan.kind not in layout.FALLBACK:
                continue
            if plan.kind == layout.COUNTED and plan.counter not in sums:
                name = self.plans[plan.counter].parts[0].name
                sums[plan.counter] = sum(
                    int(np.asarray(self.read(low, high, [name])[""].columns[name]).sum())
                    for low, high in self.cluster_ranges(1 << 30)
                )
            rows = plan.stop - plan.first
            rows = sums[plan.counter] if plan.kind == layout.COUNTED else rows
            if plan.kind == layout.BYTES:
                continue
            if plan.kind == layout.OWN or rows * plan.stride != layout.data_bytes(plan, branch):
                suspects.append(plan.number)
        for number in suspects:
            while self.plans[number].kind in layout.FALLBACK:
                plan = self.plans[number]
                try:
                    for ref in plan.baskets:
                        self._decode(plan, ref, None)
                except LayoutError:
                    self._fall_back(plan)
                else:
                    break

    def _fall_back(self, plan: BranchPlan) -> None:
        self._fallbacks[plan.number] = layout.FALLBACK[plan.kind]
        self._plan()

    def cluster_ranges(self, target_bytes: int) -> list[tuple[int, int]]:
        """Entry ranges (start, stop) that cover the tree, each near ``target_bytes`` raw."""
        return cluster_ranges(self.plans, self.branches, self.num_entries, target_bytes)

    def read(self, start: int, stop: int, columns: Sequence[str] | None = None) -> Cluster:
        """Data of entries ``start`` to ``stop``; all columns, or only those named.

        Raises
        ------
        NotFoundError
            A column does not exist.
        LayoutError
            A branch does not fit its type; call ``settle()`` on the file.
        SourceError
            The file is damaged.
        """
        if not 0 <= start <= stop <= self.num_entries:
            msg = f"entries {start} to {stop} of a tree with {self.num_entries}"
            raise ValueError(msg)
        wanted = None if columns is None else set(columns)
        for name in sorted((wanted or set()) - set(self._by_column)):
            msg = f"no column {name!r}"
            raise NotFoundError(msg, path=self._reader.path, tree=self.name)
        plans = [plan for plan in self.plans if plan.kind not in (layout.NONE, layout.STORED)]
        if wanted is not None:
            plans = list(
                {id(p): p for p in map(self._by_column.__getitem__, sorted(wanted))}.values()
            )
            plans.sort(key=lambda plan: plan.number)
        counters = {plan.counter for plan in plans if plan.kind == layout.COUNTED}
        plans = [self.plans[i] for i in sorted(counters)] + [
            plan for plan in plans if plan.number not in counters
        ]
        raw = self._fetch(plans, start, stop)
        pieces = {plan.number: self._pieces(plan, start, stop, raw) for plan in plans}
        out: Cluster = {}
        for table in self.tables:
            data = self._table(table, pieces, start, stop, wanted)
            if data is not None:
                out[table.name] = data
        return out

    def _table(
        self,
        table: TableSpec,
        pieces: dict[int, list[BasketData]],
        start: int,
        stop: int,
        wanted: set[str] | None,
    ) -> TableData | None:
        specs = [spec for spec in table.columns if wanted is None or spec.name in wanted]
        if not specs and (wanted is not None or table.name):
            return None
        data = TableData(np.arange(stop - start + 1, dtype=np.int64))
        done: dict[int, list[Array | VarBytes]] = {}
        first = True
        for spec in specs:
            plan = self._by_column[spec.name]
            if plan.number not in done:
                counts, done[plan.number] = assemble(
                    plan, pieces[plan.number], start, stop, self.num_entries
                )
                if counts is not None:
                    expected = self._expected(plan, counts, pieces, start, stop)
                    if first:
                        data.offsets = np.zeros(stop - start + 1, np.int64)
                        np.cumsum(expected, out=data.offsets[1:])
                        first = False
            names = [part.name for part in plan.parts] if plan.kind != layout.BYTES else [plan.name]
            data.columns[spec.name] = done[plan.number][names.index(spec.name)]
        return data

    def _expected(
        self,
        plan: BranchPlan,
        counts: Array,
        pieces: dict[int, list[BasketData]],
        start: int,
        stop: int,
    ) -> Array:
        if plan.kind != layout.COUNTED:
            return counts
        counter = self.plans[plan.counter]
        _, (values,) = assemble(counter, pieces[counter.number], start, stop, self.num_entries)
        if not np.array_equal(counts, values):  # type: ignore[arg-type]
            msg = f"numbers of items differ from the counter {counter.name!r}"
            raise LayoutError(
                msg, number=plan.number, path=self._reader.path, tree=self.name, branch=plan.name,
                hint="call settle() on the opened file, then read again",
            )  # fmt: skip
        return counts

    def _needed(self, plan: BranchPlan, start: int, stop: int) -> list[BasketRef]:
        return [ref for ref in plan.baskets if ref.start < stop and ref.stop > start]

    def _fetch(
        self, plans: Sequence[BranchPlan], start: int, stop: int
    ) -> dict[tuple[int, int], memoryview]:
        """Records of all baskets that are not at hand already."""
        refs = []
        for plan in plans:
            cached = {data.ref.index for data in self._cache.get(plan.number, ())}
            refs += [
                (plan.number, ref)
                for ref in self._needed(plan, start, stop)
                if ref.embedded is None and ref.index not in cached
            ]
        found = self._reader.read_many([(ref.seek, ref.nbytes) for _, ref in refs])
        return {(number, ref.index): raw for (number, ref), raw in zip(refs, found, strict=True)}

    def _pieces(
        self,
        plan: BranchPlan,
        start: int,
        stop: int,
        raw: dict[tuple[int, int], memoryview],
    ) -> list[BasketData]:
        cached = {data.ref.index: data for data in self._cache.get(plan.number, ())}
        out = []
        for ref in self._needed(plan, start, stop):
            data = cached.get(ref.index)
            if data is None:
                data = self._decode(plan, ref, raw.get((plan.number, ref.index)))
            out.append(data)
        # Only baskets that reach beyond this range are worth keeping for the next one.
        self._cache[plan.number] = [data for data in out if data.ref.stop > stop]
        return out

    def _decode(self, plan: BranchPlan, ref: BasketRef, raw: memoryview | None) -> BasketData:
        if ref.embedded is not None:
            raw = memoryview(self.payload)
        elif raw is None:
            raw = self._reader.read(ref.seek, ref.nbytes)
        counter = None
        if plan.kind == layout.COUNTED:
            counts = self.plans[plan.counter]

            def counter(low: int, high: int) -> Array:
                fetched = self._fetch([counts], low, high)
                cache = self._cache.get(counts.number)
                _, (values,) = assemble(
                    counts, self._pieces(counts, low, high, fetched), low, high, self.num_entries
                )
                if cache is not None:
                    self._cache[counts.number] = cache
                return values  # type: ignore[return-value]

        try:
            data = decode_basket(plan, ref, raw, counter)
        except SourceError as error:
            error.path, error.tree = self._reader.path, self.name
            raise
        self.log.record(plan.number, data)
        plan.packed |= data.packed
        return data

    def complete_log(self) -> None:
        """Decode, and so check, every basket that no :meth:`read` has touched yet."""
        for plan in self.plans:
            if plan.kind in (layout.NONE, layout.STORED):
                continue
            for ref in self.log.missing(plan.number):
                self._decode(plan, ref, None)

    def stored_record(self, ref: BasketRef) -> memoryview:
        """A basket's record as it is in the file."""
        return self._reader.read(ref.seek, ref.nbytes)

    def settle(self) -> tuple[str, ...]:
        """Check all data against the layout, and lay out anew the branches that do not fit.

        Returns
        -------
        tuple of str
            Branches that have another layout now.
        """
        changed = []
        while True:
            try:
                for start, stop in self.cluster_ranges(1 << 26):
                    self.read(start, stop)
                self.complete_log()
            except LayoutError as error:
                plan = self.plans[error.number]
                changed.append(plan.name)
                self._fall_back(plan)
            else:
                return tuple(dict.fromkeys(changed))
