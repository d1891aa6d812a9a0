"""Baskets of a tree from its columns, and their positions in the tree."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from vortex_hep.core.schema import Array, Cluster, VarBytes
from vortex_hep.errors import CorruptionError, OutputError
from vortex_hep.readers.root.file.sinks import BasketSink
from vortex_hep.readers.root.file.tkey import Key
from vortex_hep.readers.root.ttree import layout
from vortex_hep.readers.root.ttree.basket import TAIL_RAW, BasketHeader, build_tail, entry_offsets
from vortex_hep.readers.root.ttree.basket_log import BASKET_FIELDS
from vortex_hep.readers.root.ttree.decode import as_strings, join_outputs, join_rows
from vortex_hep.readers.root.ttree.layout import BasketRef, BranchPlan
from vortex_hep.readers.root.ttree.stored import StoredTree, number_at, table


class _Pending:
    """The part of a basket that earlier clusters gave."""

    def __init__(self) -> None:
        self.next = 0
        self.content: list[Array] = []
        self.lengths: list[Array] = []

    def take(self) -> tuple[Array, Array]:
        content = _joined(self.content, np.uint8)
        lengths = _joined(self.lengths, np.int64)
        self.content, self.lengths = [], []
        self.next += 1
        return content, lengths


def _joined(parts: list[Array], dtype: type) -> Array:
    if len(parts) == 1:
        return parts[0]
    return np.concatenate(parts) if parts else np.empty(0, dtype)


class TreeFiller:
    """Writes all baskets of one tree and completes the tree's object.

    Parameters
    ----------
    tree : StoredTree
        Its ``data`` is complete after :meth:`run`.
    sink : BasketSink
        Where baskets go.
    """

    def __init__(self, tree: StoredTree, sink: BasketSink) -> None:
        self._tree = tree
        self._sink = sink
        self._pending = [_Pending() for _ in tree.plans]
        self._first = np.cumsum([0, *(len(plan.baskets) for plan in tree.plans)]).tolist()
        #: Offset and size of each basket, in the order of their numbers.
        self.placed: list[tuple[int, int]] = [(0, 0)] * self._first[-1]
        self.zip_bytes = 0
        self._tables = [
            (table(tree.data, b, "seek"), table(tree.data, b, "bytes")) for b in tree.branches
        ]

    def run(
        self,
        ranges: Sequence[tuple[int, int]],
        read_cluster: Callable[[str, int, int], Cluster],
    ) -> None:
        """Ask for the clusters one after the other and write the baskets they complete."""
        for plan in self._tree.plans:
            if plan.kind == layout.STORED:
                self._copy_stored(plan)
        for start, stop in ranges:
            cluster = read_cluster(self._tree.name, start, stop)
            for plan in self._tree.plans:
                if plan.has_columns:
                    self._feed(plan, cluster, start, stop)
        for plan in self._tree.plans:
            pending = self._pending[plan.number]
            while plan.has_columns and pending.next < len(plan.baskets):
                self._flush(plan)  # baskets without entries at the end

    def _feed(self, plan: BranchPlan, cluster: Cluster, start: int, stop: int) -> None:
        pending = self._pending[plan.number]
        while pending.next < len(plan.baskets):
            ref = plan.baskets[pending.next]
            low, high = max(ref.start, start), min(ref.stop, stop)
            if low < high:
                content, lengths = self._rows(plan, cluster, low - start, high - start)
                pending.content.append(content)
                if lengths is not None:
                    pending.lengths.append(lengths)
            if ref.stop > stop:
                # What stays must not keep the whole cluster in memory.
                pending.content = [np.array(part) for part in pending.content]
                return
            self._flush(plan)

    def _rows(
        self, plan: BranchPlan, cluster: Cluster, low: int, high: int
    ) -> tuple[Array, Array | None]:
        """Big-endian bytes of entries ``low`` to ``high`` of a cluster, and the bytes of each."""
        try:
            if plan.kind == layout.RECORDS:
                return _records(plan, cluster, low, high)
            data = cluster[plan.table]
            rows = slice(int(data.offsets[low]), int(data.offsets[high]))
            if plan.kind == layout.BYTES:
                strings = as_strings(data.columns[plan.name])
                bounds = strings.offsets[rows.start : rows.stop + 1]
                return strings.content[int(bounds[0]) : int(bounds[-1])], np.diff(bounds)
            arrays = [np.asarray(data.columns[part.name])[rows] for part in plan.parts]
            content = join_rows(arrays, plan.parts, plan.stride)
        except (KeyError, ValueError, IndexError, TypeError) as error:
            msg = f"column does not fit the remainder: {error}"
            raise CorruptionError(msg, tree=self._tree.name, branch=plan.name) from error
        if plan.kind == layout.FIXED:
            return content, None
        return content, np.diff(data.offsets[low : high + 1]) * plan.stride

    def _flush(self, plan: BranchPlan) -> None:
        pending = self._pending[plan.number]
        row = self._first[plan.number] + pending.next
        ref = plan.baskets[pending.next]
        content, lengths = pending.take()
        nev = ref.stop - ref.start
        if plan.kind == layout.FIXED:
            lengths = np.full(nev, plan.stride, np.int64)
        if len(lengths) != nev or int(lengths.sum()) != len(content):
            msg = f"basket {ref.index} has {nev} entries, its column {len(lengths)}"
            raise CorruptionError(msg, tree=self._tree.name, branch=plan.name)
        if ref.embedded is not None:
            self._fill_embedded(plan, ref, row, content, lengths)
        else:
            self._write(plan, ref, row, content, lengths)

    def _fill_embedded(
        self, plan: BranchPlan, ref: BasketRef, row: int, content: Array, lengths: Array
    ) -> None:
        basket = ref.embedded
        if basket is None or len(content) != basket.border:
            msg = f"basket {ref.index} has another size in its tree"
            raise CorruptionError(msg, tree=self._tree.name, branch=plan.name)
        view = np.frombuffer(self._tree.data, np.uint8)
        view[basket.data : basket.data + basket.border] = content
        if self._tree.fields[row, 0]:
            offsets = entry_offsets(lengths, basket.key.keylen).astype(">i4").view(np.uint8)
            view[basket.offsets : basket.offsets + len(offsets)] = offsets

    def _write(
        self, plan: BranchPlan, ref: BasketRef, row: int, content: Array, lengths: Array
    ) -> None:
        item = dict(zip(BASKET_FIELDS, self._tree.fields[row].tolist(), strict=True))
        header = BasketHeader(
            item["version"], item["buffer_size"], item["nev_buf_size"], item["io_bits"],
            ref.stop - ref.start, 0, item["flag"],
        )  # fmt: skip
        if row in self._tree.raw_headers:
            key, position = Key.unpack(self._tree.raw_headers[row])
            header_size = len(self._tree.raw_headers[row]) - position
        else:
            key = Key(
                0, item["key_version"], 0, item["datime"], 0, item["cycle"], 0, 0,
                b"TBasket", *plan.key_names,
            )  # fmt: skip
            header_size = len(header.pack())
            key = replace(key, keylen=len(key.pack()) + header_size)
        # The key must be placed before offsets can be counted from it; its size is bounded.
        bound = key.keylen + len(content) + 8 * (len(lengths) + 4)
        placed = self._sink.place(row, replace(key, nbytes=bound))
        if item["tail_mode"] == TAIL_RAW:
            if placed.keylen != key.keylen:
                msg = "a basket with unknown entry offsets would lie beyond 2 GB"
                raise OutputError(msg, tree=self._tree.name, branch=plan.name)
            tail = self._tree.raw_tails[row]
        else:
            tail = build_tail(item["tail_mode"], lengths, placed.keylen, item["tail_last"])
        payload = content.tobytes() + tail if tail else np.ascontiguousarray(content).data
        placed = replace(placed, objlen=len(payload))
        if row in self._tree.raw_headers:
            rest = self._tree.raw_headers[row][-header_size:]
        else:
            rest = replace(header, last=placed.keylen + len(content)).pack()
        self._note(plan, ref, row, self._sink.put(row, plan.number, placed, rest, payload))

    def _copy_stored(self, plan: BranchPlan) -> None:
        """Write baskets that were kept as records of the file."""
        for i, ref in enumerate(plan.baskets):
            if ref.embedded is None:
                row = self._first[plan.number] + i
                record = self._tree.stored[row]
                key, position = Key.unpack(record)
                placed = self._sink.place(row, key)
                if placed.keylen != key.keylen:
                    msg = "a basket kept as it is would lie beyond 2 GB"
                    raise OutputError(msg, tree=self._tree.name, branch=plan.name)
                self._sink.copy(row, placed, record[position:])
                self._note(plan, ref, row, placed)

    def _note(self, plan: BranchPlan, ref: BasketRef, row: int, key: Key) -> None:
        branch = self._tree.branches[plan.number]
        seeks, sizes = self._tables[plan.number]
        seeks[ref.index], sizes[ref.index] = key.seek, key.nbytes
        number_at(self._tree.data, branch.at_zip_bytes, branch.total_dtype)[0] += key.nbytes
        number_at(self._tree.data, branch.at_tot_bytes, branch.total_dtype)[0] += (
            key.keylen + key.objlen
        )
        self.zip_bytes += key.nbytes
        self.placed[row] = (key.seek, key.nbytes)


def _records(plan: BranchPlan, cluster: Cluster, low: int, high: int) -> tuple[Array, Array]:
    """Bytes of records, and the bytes of each."""
    program = plan.program
    if program is None:
        msg = "records without a program"
        raise ValueError(msg)
    rows = np.zeros((len(plan.tables), high - low + 1), np.int64)
    columns: dict[str, Array | VarBytes] = {}
    for level, name in enumerate(plan.tables):
        if level == 0 or name in cluster:
            first = (
                np.arange(low, high + 1) if level == 0 else cluster[name].offsets[low : high + 1]
            )
            rows[level] = first - first[0]
            bounds = int(first[0]), int(first[-1])
            for part in plan.parts:
                if program.outputs[part.output].level == level:
                    columns[part.name] = _slice(cluster[name].columns[part.name], *bounds)
    content, ends = program.encode(rows, join_outputs(plan, columns))
    return content, np.diff(ends, prepend=0)


def _slice(column: Array | VarBytes, start: int, stop: int) -> Array | VarBytes:
    if isinstance(column, VarBytes):
        return VarBytes(column.offsets[start : stop + 1], column.content)
    return column[start:stop]
