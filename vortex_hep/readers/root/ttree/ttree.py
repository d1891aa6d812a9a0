"""A TTree as tables of columns, read basket by basket."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import xxhash

from vortex_hep.core.schema import Array, Cluster, Member, TableData, TableSpec
from vortex_hep.errors import LayoutError, NotFoundError, SourceError
from vortex_hep.readers.root.file.bytesource import ByteReader
from vortex_hep.readers.root.ttree import layout
from vortex_hep.readers.root.ttree.assemble import Assembled, assemble, single
from vortex_hep.readers.root.ttree.basket_log import BasketLog
from vortex_hep.readers.root.ttree.clusters import cluster_ranges
from vortex_hep.readers.root.ttree.decode import BasketData, decode_basket
from vortex_hep.readers.root.ttree.layout import BasketRef, BranchPlan
from vortex_hep.readers.root.ttree.planning import TreeLayout
from vortex_hep.readers.root.ttree.probing import probe, set_alike
from vortex_hep.readers.root.ttree.streamed import StreamedBranch
from vortex_hep.readers.root.ttree.tables import families, is_counter


class TTreeSource:
    """One TTree of an opened file (a :class:`~vortex_hep.core.schema.TreeSource`).

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
        self.num_entries = int(tree.num_entries)
        self.payload = payload
        self.branches = branches
        self._reader = reader
        theirs = list(tree.itervalues(recursive=True))
        if len(theirs) > len(branches) or any(
            ours.name != other.name for ours, other in zip(branches, theirs, strict=False)
        ):
            msg = "branches found in the tree differ from those that uproot lists"
            raise SourceError(msg, path=reader.path, tree=name)
        self._layout = TreeLayout(
            branches, theirs, self.num_entries, payload, key_name, reader.size,
            {"path": reader.path, "tree": name},
        )  # fmt: skip
        self._start_over()
        self._check_sizes()
        probe(self._layout, branches, self._records_of, self._decode)
        self._start_over()

    @property
    def plans(self) -> list[BranchPlan]:
        """How each branch is read."""
        return self._layout.plans

    def _start_over(self) -> None:
        """Forget what was read: branches may have another layout now."""
        self._layout.choose()
        self.tables: tuple[TableSpec, ...] = self._layout.tables
        self.log = BasketLog([plan.baskets for plan in self.plans])
        self._cache: dict[int, list[BasketData]] = {}

    def _check_sizes(self) -> None:
        """Look closely at branches of objects whose size is not what their type says.

        Leaves of plain types are what they say; of members of objects some are not. The sizes that
        the tree itself names tell, without reading any data but counters.
        """
        sums: dict[int, int] = {}
        for plan, branch in zip(list(self.plans), self.branches, strict=True):
            plain = plan.kind in (layout.FIXED, layout.COUNTED, layout.OWN) and not plan.guessed
            if branch.class_name == b"TBranch" or not plain:
                continue
            if plan.kind == layout.COUNTED and plan.counter not in sums:
                name = self.plans[plan.counter].parts[0].name
                sums[plan.counter] = sum(
                    int(np.asarray(self.read(low, high, [name])[""].columns[name]).sum())
                    for low, high in self.cluster_ranges(1 << 30)
                )
            rows = sums[plan.counter] if plan.kind == layout.COUNTED else plan.stop - plan.first
            fits = rows * plan.stride in layout.may_be_bytes(plan, branch)
            if plan.kind == layout.OWN or not fits:
                self._settle_branch(plan.number)

    def _settle_branch(self, number: int) -> bytes:
        """Decode all of a branch, with the option that it fits; returns a digest of its counts."""
        while True:
            plan = self.plans[number]
            digest = xxhash.xxh3_128()
            if not plan.has_columns:
                return b""
            try:
                for ref in plan.baskets:
                    counts = self._decode(plan, ref, None).counts
                    if counts is not None:
                        self._check_counter(plan, counts, ref.start, ref.stop)
                        digest.update(counts.tobytes())
            except LayoutError as error:
                if not self._layout.fall_back(error.number):
                    raise
            else:
                return digest.digest()

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
        known = self._layout.by_column
        for name in sorted((wanted or set()) - set(known)):
            msg = f"no column {name!r}"
            raise NotFoundError(msg, path=self._reader.path, tree=self.name)
        plans = [plan for plan in self.plans if plan.has_columns]
        if wanted is not None:
            plans = list({id(p): p for p in map(known.__getitem__, sorted(wanted))}.values())
            plans.sort(key=lambda plan: plan.number)
        counters = {plan.counter for plan in plans if plan.is_counted}
        plans = [self.plans[i] for i in sorted(counters)] + [
            plan for plan in plans if plan.number not in counters
        ]
        raw = self._fetch(plans, start, stop)
        done = {
            plan.number: assemble(
                plan, self._pieces(plan, start, stop, raw), start, stop, self.num_entries
            )
            for plan in plans
        }
        out: Cluster = {}
        for table in self.tables:
            data = self._table(table, done, start, stop, wanted)
            if data is not None:
                out[table.name] = data
        return out

    def _table(
        self,
        table: TableSpec,
        done: dict[int, Assembled],
        start: int,
        stop: int,
        wanted: set[str] | None,
    ) -> TableData | None:
        specs = [spec for spec in table.columns if wanted is None or spec.name in wanted]
        if not specs and (wanted is not None or table.name):
            return None
        data = TableData(np.arange(stop - start + 1, dtype=np.int64))
        first: Array | None = None
        seen: set[int] = set()
        for spec in specs:
            plan = self._layout.by_column[spec.name]
            data.columns[spec.name] = done[plan.number].columns[spec.name]
            counts = done[plan.number].counts.get(table.name)
            if counts is None or plan.number in seen:
                continue
            seen.add(plan.number)
            if plan.is_counted and table.name == plan.table:
                values = single(done[plan.counter])
                if not np.array_equal(counts, values):
                    raise self._differs(plan, f"the counter {self.plans[plan.counter].name!r}")
            if first is None:
                first = counts
                data.offsets = np.zeros(stop - start + 1, np.int64)
                np.cumsum(counts, out=data.offsets[1:])
            elif not np.array_equal(counts, first):
                raise self._differs(plan, f"those of {specs[0].name!r}")
        return data

    def _differs(self, plan: BranchPlan, other: str) -> LayoutError:
        return LayoutError(
            f"numbers of items differ from {other}",
            number=plan.number, path=self._reader.path, tree=self.name, branch=plan.name,
            hint="call settle() on the opened file, then read again",
        )  # fmt: skip

    def _check_counter(self, plan: BranchPlan, counts: Array, start: int, stop: int) -> None:
        if plan.is_counted and not np.array_equal(counts, self._counts(plan, start, stop)):
            raise self._differs(plan, f"the counter {self.plans[plan.counter].name!r}")

    def _counts(self, plan: BranchPlan, start: int, stop: int) -> Array:
        """What the counter of a branch says of some entries."""
        counter = self.plans[plan.counter]
        if not is_counter(counter, self.num_entries):
            raise self._differs(plan, f"{counter.name!r}, which is no counter")
        fetched = self._fetch([counter], start, stop)
        cache = self._cache.get(counter.number)
        pieces = self._pieces(counter, start, stop, fetched)
        if cache is not None:
            self._cache[counter.number] = cache
        return single(assemble(counter, pieces, start, stop, self.num_entries))

    def _records_of(
        self, baskets: Sequence[tuple[BranchPlan, BasketRef]]
    ) -> list[memoryview | None]:
        """Records of baskets; None for those inside the tree's object."""
        free = [ref for _, ref in baskets if ref.embedded is None]
        found = iter(self._reader.read_many([(ref.seek, ref.nbytes) for ref in free]))
        return [next(found) if ref.embedded is None else None for _, ref in baskets]

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
        counter = partial(self._counts, plan) if plan.is_counted else None
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
            if not plan.has_columns:
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
        before = [(plan.kind, plan.parts, plan.table) for plan in self.plans]
        while True:
            kinds = [plan.kind for plan in self.plans]
            found = [self._settle_branch(number) for number in range(len(self.plans))]
            self._layout.choose()
            # What counts others may have turned out not to be a counter.
            if kinds == [plan.kind for plan in self.plans]:
                break
        groups: dict[tuple[str, bytes], list[int]] = {}
        for family, members in families(self.plans).items():
            for number in members:
                groups.setdefault((family, found[number]), []).append(number)
        set_alike(self._layout, list(groups.values()))
        self._start_over()
        return tuple(
            plan.name
            for plan, old in zip(self.plans, before, strict=True)
            if (plan.kind, plan.parts, plan.table) != old
        )
