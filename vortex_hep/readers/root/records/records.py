"""Streamed records: entries that are more than rows of fixed size, as programs over streams.

What ``TBufferFile`` writes of an object or collection is described by *nodes*, lists whose first
item is one of

``["frame", *nodes]``
    a byte count, and what it counts;
``["version", k]``
    constant bytes, number ``k``: a version, and a checksum where it is 0;
``["memberwise", k]``
    the same with bit 14 (kStreamedMemberWise) set, and the version of the items' class behind;
``["list", gap, *nodes]``
    the number of items, ``gap`` bytes, and the items;
``["columns", *nodes]``
    the number of items, and then every (``row``) member of all items, one member after the other;
``["each", *nodes]``
    items whose number the branch's counter knows;
``["rest", ["row", n]]``
    a flag (0 without items, else 1), and items up to the end of the entry;
``["row", n]``
    ``n`` bytes;
``["string"]``
    a TString;
``["bits"]``
    TObject::fBits: four bytes, and two more if it is referenced.

Lists make *levels*: level 0 are the entries. What nodes hold goes to *outputs*, in the order of the
nodes: numbers of items (but of lists right below the entries, whose table knows them), bytes of
rows, strings.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NoReturn

import numpy as np

from vortex_hep.core.schema import Array, VarBytes
from vortex_hep.readers.root.records import record_kernels as kernels

Node = list[Any]

#: Kinds of outputs.
NUMBERS, ROWS, STRINGS = "numbers", "rows", "strings"
#: Operations that a program may have, and bytes that a row may have.
_MAX_OPS, _MAX_ROW = 1 << 12, 1 << 20
_MAX_CONSTANTS = 1 << 8


@dataclass(frozen=True)
class RecordStream:
    """A stream of what the nodes of one place hold, an item for every row of ``level``.

    ``size`` is the bytes of a row; ``counted`` the level whose items numbers count.
    """

    kind: str
    level: int
    size: int = 0
    counted: int = 0


@dataclass
class RecordStreams:
    """Outputs of some entries.

    Parameters
    ----------
    rows : int64 array, shape (levels, entries + 1)
        First row of each entry at each level.
    outputs : list of array or VarBytes
        Numbers as int64, rows as uint8 of shape (rows, size), strings with their lengths in front.
    ends : int64 array, shape (entries,)
        Where each entry ends.
    """

    rows: Array
    outputs: list[Array | VarBytes]
    ends: Array


class Program:
    """How the entries of a branch are walked.

    Parameters
    ----------
    nodes : list of nodes
    constants : sequence of bytes, optional
        What is known of them; ``b""`` where nothing is. Decoding completes them.

    Raises
    ------
    ValueError
        The nodes are invalid.
    """

    def __init__(self, nodes: list[Node], constants: Sequence[bytes] = ()) -> None:
        self.nodes = nodes
        self.parents = [-1]
        self.outputs: list[RecordStream] = []
        #: Whether a counter must say how many items there are, and whether entries need bounds.
        self.needs_counter = self.needs_bounds = False
        self._ops: list[tuple[int, int, int]] = []
        self._numbers = self._items = self._slots = 0
        self._compile(nodes, 0, 0, 0)
        if not self._ops or len(self._ops) > _MAX_OPS:
            _refuse(nodes)
        self._constants = np.zeros((self._slots, kernels.CONSTANT_SIZE), np.uint8)
        self._sizes = np.zeros(self._slots, np.int64)
        for k, text in enumerate(constants):
            if k >= self._slots or len(text) > kernels.CONSTANT_SIZE:
                _refuse(nodes)
            self._constants[k, : len(text)] = np.frombuffer(text, np.uint8)
            self._sizes[k] = len(text)

    @property
    def constants(self) -> list[bytes]:
        """The constants, as far as they were met."""
        pairs = zip(self._constants, self._sizes.tolist(), strict=True)
        return [row[:size].tobytes() for row, size in pairs]

    @property
    def top(self) -> int:
        """The only level right below the entries, or 0 where there is none or more than one."""
        found = [level for level, parent in enumerate(self.parents) if parent == 0]
        return found[0] if len(found) == 1 else 0

    @property
    def overhead(self) -> int:
        """Bytes that every entry has beside its items, where these are in one list; else 0."""
        sizes = {kernels.FRAME: 4, kernels.COUNT: 4, kernels.REST: 1, kernels.END_FRAME: 0}
        size = int(self._sizes.sum())
        for code, _, _ in self._ops:
            if code not in (kernels.CONSTANT, kernels.ROWS):
                if code not in sizes:
                    return 0
                size += sizes[code]
        return size

    @cached_property
    def _table(self) -> Array:
        return np.array(self._ops, np.int64).reshape(-1, 3)

    # -- compiling

    def _compile(self, nodes: Sequence[Any], level: int, frames: int, loops: int) -> None:
        for node in nodes:
            if not isinstance(node, list) or not node or max(frames, loops) >= kernels.MAX_DEPTH:
                _refuse(node)
            name, rest = node[0], node[1:]
            if name == "frame":
                self._op(kernels.FRAME)
                self._compile(rest, level, frames + 1, loops)
                self._op(kernels.END_FRAME)
            elif name in ("version", "memberwise"):
                number = _integer(rest, _MAX_CONSTANTS, least=0)
                self._op(kernels.CONSTANT, number, int(name == "memberwise"))
                self._slots = max(self._slots, rest[0] + 1)
            elif name in ("list", "columns", "each", "rest"):
                self._items_of(name, rest, level, frames, loops)
            elif name == "row":
                self._op(kernels.ROW, self._rows(level, _integer(rest, _MAX_ROW)), rest[0])
            elif name == "string" and not rest:
                self.outputs.append(RecordStream(STRINGS, level))
                self._op(kernels.STRING, self._numbers, self._items)
                self._numbers += 1
                self._items += 1
            elif name == "bits" and not rest:
                self._op(kernels.BITS, self._rows(level, 6))
            else:
                _refuse(node)

    def _items_of(
        self, name: str, nodes: Sequence[Any], level: int, frames: int, loops: int
    ) -> None:
        own = len(self.parents)
        self.parents.append(level)
        if name in ("list", "columns"):
            stream = -1
            if level:
                stream = self._numbers
                self._numbers += 1
                self.outputs.append(RecordStream(NUMBERS, level, 0, own))
            self._op(kernels.COUNT, own, stream)
        elif level or loops:
            _refuse([name])
        elif name == "each":
            self.needs_counter = True
            self._op(kernels.EACH, own)
        if name == "list":
            gap = _integer(nodes[:1], _MAX_ROW, least=0)
            nodes = nodes[1:]
            if gap:
                self._op(kernels.ROW, self._rows(level, gap), gap)
        if name in ("columns", "rest") and any(
            not isinstance(node, list) or node[:1] != ["row"] for node in nodes
        ):
            _refuse([name])
        if name == "rest":
            if len(nodes) != 1:
                _refuse([name])
            self.needs_bounds = True
            self._op(kernels.REST, own, _integer(nodes[0][1:], _MAX_ROW))
        if name in ("columns", "rest") or (len(nodes) == 1 and nodes[0][:1] == ["row"]):
            for node in nodes:
                size = _integer(node[1:], _MAX_ROW)
                self._op(kernels.ROWS, self._rows(own, size), size)
            if not nodes:
                _refuse([name])
            return
        before = len(self.outputs)
        start = len(self._ops)
        self._op(kernels.LOOP)
        self._compile(nodes, own, frames, loops + 1)
        # Every turn of a loop must take something, or hostile counts would keep it busy.
        if not any(output.level == own for output in self.outputs[before:]):
            _refuse([name])
        self._op(kernels.END_LOOP)
        self._ops[start] = (kernels.LOOP, len(self._ops), 0)

    def _op(self, code: int, a: int = 0, b: int = 0) -> None:
        self._ops.append((code, a, b))

    def _rows(self, level: int, size: int) -> int:
        self.outputs.append(RecordStream(ROWS, level, size))
        self._items += 1
        return self._items - 1

    # -- running

    def decode(
        self, payload: Array, lengths: Array | None, entries: int, outer: Array
    ) -> RecordStreams:
        """Take the entries of a basket apart.

        Parameters
        ----------
        payload : uint8 array
        lengths : int64 array or None
            Bytes of each entry, where the basket says so.
        entries : int
        outer : int64 array, shape (entries,)
            Items of each entry, if ``needs_counter``.

        Raises
        ------
        ValueError
            The bytes do not fit the program.
        """
        if lengths is None and self.needs_bounds:
            msg = "no entry offsets"
            raise ValueError(msg)
        ends = np.zeros(entries, np.int64) if lengths is None else np.cumsum(lengths)
        rows = np.zeros((len(self.parents), entries + 1), np.int64)
        table = kernels.ProgramTable(self._table, self._constants, self._sizes)
        stack = kernels.empty_stack()
        walked = kernels.WalkedEntries(ends, lengths is not None, outer, rows)
        numbers, items = np.empty(0, np.int64), np.empty(0, np.uint8)
        number_at, item_at = np.zeros(self._numbers, np.int64), np.zeros(self._items, np.int64)
        number_from, item_from = number_at, item_at
        for write in (False, True):
            rows[:] = 0
            streams = kernels.Streams(numbers, number_at, items, item_at)
            found = kernels.decode(table, payload, walked, streams, stack, write)
            if found >= 0:
                msg = f"byte {found} of its data"
                raise ValueError(msg)
            if not write:
                numbers = np.empty(int(number_at.sum()), np.int64)
                items = np.empty(int(item_at.sum()), np.uint8)
                number_from, number_at = _starts(number_at)
                item_from, item_at = _starts(item_at)
        outputs = self._outputs(
            [numbers[a:b] for a, b in zip(number_from, number_at, strict=True)],
            [items[a:b] for a, b in zip(item_from, item_at, strict=True)],
        )
        return RecordStreams(rows, outputs, ends)

    def _outputs(self, numbers: list[Array], items: list[Array]) -> list[Array | VarBytes]:
        out: list[Array | VarBytes] = []
        number = item = 0
        for output in self.outputs:
            if output.kind == NUMBERS:
                out.append(numbers[number])
                number += 1
            elif output.kind == ROWS:
                out.append(items[item].reshape(-1, output.size))
                item += 1
            else:
                offsets = np.zeros(len(numbers[number]) + 1, np.int64)
                np.cumsum(numbers[number], out=offsets[1:])
                out.append(VarBytes(offsets, items[item]))
                number += 1
                item += 1
        return out

    def encode(self, rows: Array, outputs: Sequence[Array | VarBytes]) -> tuple[Array, Array]:
        """Put entries together.

        Parameters
        ----------
        rows, outputs
            As in :class:`RecordStreams`; of ``rows`` only the levels right below the entries
            matter.

        Returns
        -------
        content : uint8 array
        ends : int64 array

        Raises
        ------
        ValueError
            The outputs do not fit the program.
        """
        numbers: list[Array] = []
        items: list[Array] = []
        for output, data in zip(self.outputs, outputs, strict=True):
            if isinstance(data, VarBytes):
                numbers.append(np.diff(data.offsets))
                items.append(data.content[int(data.offsets[0]) : int(data.offsets[-1])])
            elif output.kind == NUMBERS:
                numbers.append(data.astype(np.int64))
            else:
                items.append(np.ascontiguousarray(data).reshape(-1).view(np.uint8))
        number_at, number_end = _bounds(numbers)
        item_at, item_end = _bounds(items)
        all_numbers = np.concatenate([np.empty(0, np.int64), *numbers])
        all_items = np.concatenate([np.empty(0, np.uint8), *items])
        ends = np.zeros(rows.shape[1] - 1, np.int64)
        out = np.empty(0, np.uint8)
        table = kernels.ProgramTable(self._table, self._constants, self._sizes)
        stack = kernels.empty_stack()
        stream_ends = kernels.StreamEnds(number_end, item_end)
        for write in (False, True):
            streams = kernels.Streams(all_numbers, number_at.copy(), all_items, item_at.copy())
            size = kernels.encode(table, rows, streams, stream_ends, stack, ends, out, write)
            if size < 0:
                msg = "numbers of items differ from the items"
                raise ValueError(msg)
            if not write:
                out = np.empty(size, np.uint8)
        return out, ends


def _starts(sizes: Array) -> tuple[Array, Array]:
    """Where streams of these sizes start, twice: one to keep and one to move."""
    starts = np.concatenate((np.zeros(1, np.int64), np.cumsum(sizes)))[:-1]
    return starts, starts.copy()


def _bounds(parts: Sequence[Array]) -> tuple[Array, Array]:
    ends = np.cumsum([len(part) for part in parts], dtype=np.int64)
    return ends - np.array([len(part) for part in parts], np.int64), ends


def _integer(values: Sequence[Any], limit: int, least: int = 1) -> int:
    if len(values) != 1 or not isinstance(values[0], int) or isinstance(values[0], bool):
        _refuse(values)
    if not least <= values[0] <= limit:
        _refuse(values)
    return int(values[0])


def _refuse(node: Any) -> NoReturn:
    msg = f"unknown layout of records: {str(node)[:60]}"
    raise ValueError(msg)
