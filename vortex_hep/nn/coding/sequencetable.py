"""Table chunks coded by a transformer (docs/SPEC.md, "Sequence models")."""

from __future__ import annotations

import os
import struct
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from typing import Any

import numpy as np
import numpy.typing as npt

from vortex_hep.codec.columns import classical
from vortex_hep.codec.plan import Plan
from vortex_hep.codec.sections import Reader
from vortex_hep.codec.tokens import rans
from vortex_hep.codec.tokens.records import RecordColumn, row_bytes
from vortex_hep.core.schema import ColumnSpec, TableData
from vortex_hep.errors import CorruptionError
from vortex_hep.nn.coding.engine import CompiledEngine, Engine
from vortex_hep.nn.coding.tablechunk import (
    MAX_CELLS,
    NETWORK,
    TableChunk,
    number_column,
    pack_array,
    unpack_array,
)
from vortex_hep.nn.coding.tabledecoder import Opened, TableDecoder
from vortex_hep.nn.coding.tableencoder import TableEncoder
from vortex_hep.nn.sequence.coder import (
    MAX_CACHE_BYTES,
    Cut,
    LaneChoice,
    LaneGroup,
    SequenceCoder,
    cache_bytes,
    cut_of,
    encode_group,
    lane_groups,
    token_bits,
)
from vortex_hep.nn.sequence.model import SequenceModel

Array = npt.NDArray[Any]

_HEAD = struct.Struct("<IIB")  # SPEC 9.4: rows of a lane, tokens of a chunk, memory
#: More escapes than this part of the rows, and a column is better left to others.
_FEW = 4
#: A network that took this much more than the classical coders wherever it was measured is not run.
_HOPE = 1.2
#: A stream has no fewer bytes: its states.
_LEAST_STREAM = 8 * rans.STATES


def _coder(model: SequenceModel, cut: Cut, engine: Engine, pool: Executor) -> SequenceCoder:
    parts = max(1, os.cpu_count() or 1)
    operations = engine.operations(model, pool, parts)
    together = engine.lanes_together(1 << cut.log2, cache_bytes(model, cut))
    return SequenceCoder(model, operations, cut, together=together, pool=pool, parts=parts)


def _too_large(model: SequenceModel, rows: int) -> bool:
    """Whether a chunk has more tokens than the format allows, columns it lacks included."""
    return rows * model.shape.types > MAX_CELLS


def _knows(part: RecordColumn, spec: ColumnSpec | None) -> bool:
    """Whether a model's column is a column of this file."""
    if spec is None or spec.dtype != part.dtype:
        return False
    return int(np.prod(spec.inner, dtype=np.int64)) == part.items


class SequenceRun:
    """A pass of a sequence model over a cluster; its fields are the model's columns.

    Parameters
    ----------
    model : SequenceModel
    data : TableData
    specs : sequence of ColumnSpec
    engine : Engine
    choice : LaneChoice, optional
    """

    def __init__(
        self,
        model: SequenceModel,
        data: TableData,
        specs: Sequence[ColumnSpec],
        engine: Engine,
        choice: LaneChoice | None = None,
    ) -> None:
        self.model = model
        self._engine = engine
        self.cut = cut_of(model, data.num_rows, choice)
        self.row_count = data.num_rows
        parts = model.layout.parts
        by_name = {s.name: s for s in specs}
        known = {p.name: _knows(p, by_name.get(p.name)) for p in parts}
        columns = {p.name: number_column(data, p.name) for p in parts if known[p.name]}
        self._records = model.layout.pack(columns, data.num_rows)
        self._escapes = [
            model.layout.exceptions(p, columns[p.name]) if known[p.name] else np.zeros(0, np.int64)
            for p in parts
        ]
        self._may = np.array(
            [
                known[p.name] and len(e) <= data.num_rows // _FEW
                for p, e in zip(parts, self._escapes, strict=True)
            ],
            np.bool_,
        )
        self._bits = np.zeros(model.layout.width)
        self._symbols: list[tuple[LaneGroup, Array, Array]] = []

    @property
    def log2(self) -> int:
        """Logarithm of the number of lanes in a group."""
        return self.cut.log2

    def predict(self, pool: Executor) -> None:
        """Run the network over all lanes."""
        coder = _coder(self.model, self.cut, self._engine, pool)
        self._symbols = list(coder.frequencies(self._records))
        width = self.model.layout.width
        self._bits = np.sum([token_bits(f, width) for _, f, _ in self._symbols], axis=0)

    def drop_linked(self, coded: Array) -> bool:
        """Nothing to drop: columns that are not coded are known beforehand."""
        return False

    def column_groups(self) -> list[tuple[list[str], list[int]]]:
        """Every column by itself."""
        return [([name], [k]) for k, name in enumerate(self.model.columns)]

    @property
    def useful(self) -> bool:
        """Whether the model knows any of the columns."""
        return bool(self._may.any()) and cache_bytes(self.model, self.cut) <= MAX_CACHE_BYTES

    def may_code(self, fields: list[int]) -> bool:
        """Whether the columns are there and mostly as the model learnt them."""
        return bool(self._may[fields].all())

    def expected(self, fields: list[int]) -> tuple[float, float]:
        """Bits per row at training time: (network, best classical)."""
        e = self.model.expected[fields]
        return float(e[:, 0].sum()), float(e[:, 1].sum())

    def column_costs(self, data: TableData) -> dict[str, float]:
        """Bytes that every column costs under the network."""
        out = dict.fromkeys(data.columns, 0.0)
        starts = self.model.layout.starts
        bits = np.add.reduceat(self._bits, starts[:-1]) / 8
        for k, part in enumerate(self.model.layout.parts):
            if part.name in out:
                out[part.name] = float(bits[k]) + len(self._escapes[k]) * (len(part.constant) + 1.5)
        return out

    def coded_fields(self, modes: dict[str, int]) -> Array:
        """Which columns the network codes."""
        return np.array([modes.get(n) == NETWORK for n in self.model.columns], np.bool_)

    def sections(self, coded: Array, data: TableData, pool: Executor) -> list[bytes]:
        """Return escapes, and the streams of all groups behind how the rows were cut."""
        if not coded.any():
            return []
        streams = self._streams(coded, pool)
        return [self._differing(coded, data), streams]

    def _streams(self, coded: Array, pool: Executor) -> bytes:
        tokens = coded_tokens(self.model, coded)
        streams = list(pool.map(lambda g: encode_group(g[0], g[1], g[2], tokens), self._symbols))
        self._symbols = []
        cut = self.cut
        head = _HEAD.pack(cut.rows, cut.chunk, cut.memory)
        sizes = np.array([len(s) for s in streams], np.uint32)
        return head + pack_array(sizes) + b"".join(s.astype("<u4").tobytes() for s in streams)

    def _differing(self, coded: Array, data: TableData) -> bytes:
        """Rows and bytes of what differs from what was always the same."""
        lists = [e if c else e[:0] for e, c in zip(self._escapes, coded, strict=True)]
        counts = np.array([len(e) for e in lists], np.uint32)
        if not counts.any():
            return b""
        rows = np.concatenate(lists).astype(np.uint32)
        values = [
            row_bytes(number_column(data, p.name)[e])[:, p.fixed].reshape(-1)
            for p, e in zip(self.model.layout.parts, lists, strict=True)
            if len(e)
        ]
        return pack_array(counts) + pack_array(rows) + pack_array(np.concatenate(values))


def promising(model: SequenceModel) -> bool:
    """Whether the network came near the classical coders in any column when it was trained."""
    ours, theirs = model.expected.T
    return bool((ours <= _HOPE * theirs).any())


def coded_tokens(model: SequenceModel, coded: Array) -> Array:
    """Which tokens of a record are coded (bool, shape (width,)), given the columns that are."""
    return np.repeat(coded, np.diff(model.layout.starts))


class SequenceEncoder:
    """Encodes clusters of one plan by a transformer.

    Parameters
    ----------
    model : SequenceModel
    plan, specs, effort, pool
        As :class:`~vortex_hep.nn.coding.tableencoder.TableEncoder` takes them.
    engine : Engine, optional
        Computes the frequencies; all engines give the same. The compiled one by default.
    choice : LaneChoice, optional
    """

    def __init__(
        self,
        model: SequenceModel,
        plan: Plan,
        specs: tuple[ColumnSpec, ...],
        effort: classical.Effort,
        pool: Executor,
        engine: Engine | None = None,
        choice: LaneChoice | None = None,
    ) -> None:
        self.model = model
        self._table = TableEncoder(plan, specs, effort, pool)
        self._engine = engine or CompiledEngine()
        self._choice = choice

    def encode(self, data: TableData) -> TableChunk:
        """Encode one cluster."""
        return self._table.encode(data, self._run(data))

    def _run(self, data: TableData) -> SequenceRun | None:
        """What the network makes of a cluster; None where there is no use in it."""
        if not data.num_rows or _too_large(self.model, data.num_rows):
            return None
        if self._table.effort != "max" and not promising(self.model):
            return None
        run = SequenceRun(self.model, data, self._table.specs, self._engine, self._choice)
        return run if run.useful else None


class SequenceDecoder:
    """Decodes table chunks of one plan by a transformer.

    Parameters
    ----------
    model : SequenceModel
    plan, specs, pool, engine
        As :class:`SequenceEncoder` takes them.
    """

    def __init__(
        self,
        model: SequenceModel,
        plan: Plan,
        specs: tuple[ColumnSpec, ...],
        pool: Executor,
        engine: Engine | None = None,
    ) -> None:
        self.model = model
        # Records have no lanes of their own: a group may be as small as one.
        self._table = TableDecoder(plan, specs, least_log2=0)
        self._pool = pool
        self._engine = engine or CompiledEngine()

    def decode(
        self, payload: bytes, lanes: int, counts: Array | None, decoded_size: int | None = None
    ) -> TableData:
        """Decode a chunk; see :meth:`vortex_hep.nn.coding.tabledecoder.TableDecoder.open`."""
        opened = self._table.open(payload, lanes, counts, decoded_size)
        if opened.has_network:
            self._network(opened)
        return opened.close()

    def _network(self, opened: Opened) -> None:
        """Decode what the network coded."""
        if opened.length:
            raise CorruptionError("a table chunk of a transformer is folded")
        model, data, reader = self.model, opened.data, opened.rest
        rows = data.num_rows
        if _too_large(model, rows):
            raise CorruptionError("a table chunk has more tokens than the format allows")
        escapes = reader.section()
        section = Reader(reader.section())
        wanted = opened.left_to_network
        coded = self._coded(wanted)
        cut = self._cut(section, rows, opened.log2)
        groups = lane_groups(rows, cut)
        sizes = unpack_array(section, "<u4", len(groups))
        streams = [np.frombuffer(section.take(4 * int(s)), "<u4").astype(np.uint32) for s in sizes]
        section.finish()
        parts = model.layout.parts
        by_name = {s.name: s for s in opened.specs}
        given = {
            p.name: number_column(data, p.name)
            for p, c in zip(parts, coded, strict=True)
            if not c and _knows(p, by_name.get(p.name))
        }
        records = model.layout.pack(given, rows)
        coder = _coder(model, cut, self._engine, self._pool)
        coder.decode(records, coded_tokens(model, coded), streams)
        for part, c in zip(parts, coded, strict=True):
            if c:
                inner = by_name[part.name].inner
                data.columns[part.name] = model.layout.unpack(records, part, inner)
        self._put(escapes, coded, data)

    def _coded(self, wanted: Mapping[str, ColumnSpec]) -> Array:
        """Which of the model's columns the chunk leaves to it."""
        parts = self.model.layout.parts
        known = {p.name: p for p in parts}
        for name, spec in wanted.items():
            if name not in known or not _knows(known[name], spec):
                raise CorruptionError("coded by the network, but unknown to the model", branch=name)
        return np.array([p.name in wanted for p in parts], np.bool_)

    def _cut(self, section: Reader, rows: int, log2: int) -> Cut:
        lane_rows, chunk, memory = _HEAD.unpack(section.take(_HEAD.size))
        shape = self.model.shape
        if (
            not 1 <= lane_rows <= max(1, rows)
            or not 1 <= chunk <= shape.window
            or memory > shape.memory
        ):
            raise CorruptionError(
                f"invalid lanes of {lane_rows} rows, chunks of {chunk} tokens, memory {memory}: the"
                f" model has a window of {shape.window} tokens, memory {int(shape.memory)}"
            )
        cut = Cut(lane_rows, chunk, bool(memory), log2)
        lanes = -(-rows // lane_rows)
        if cache_bytes(self.model, cut) * min(1 << log2, lanes) > MAX_CACHE_BYTES:
            raise CorruptionError("a table chunk has lanes that need more memory than allowed")
        # Streams are counted before they are listed: a head may claim any number of them.
        if (lanes >> log2) * _LEAST_STREAM > section.left:
            raise CorruptionError("a table chunk has fewer streams than groups of lanes")
        return cut

    def _put(self, escapes: bytes, coded: Array, data: TableData) -> None:
        """Write the bytes that differ from what was always the same."""
        if not escapes:
            return
        reader = Reader(escapes)
        parts = self.model.layout.parts
        counts = unpack_array(reader, "<u4", len(parts)).astype(np.int64)
        if (counts[~coded] != 0).any() or (counts > data.num_rows).any():
            raise CorruptionError("escapes of a column that the network does not code")
        rows = unpack_array(reader, "<u4", int(counts.sum())).astype(np.int64)
        widths = [len(p.fixed) for p in parts]
        total = sum(int(c) * w for c, w in zip(counts, widths, strict=True))
        values = unpack_array(reader, "|u1", total)
        reader.finish()
        at = first = 0
        for part, count, width in zip(parts, counts.tolist(), widths, strict=True):
            e = rows[first : first + count]
            first += count
            if not count:
                continue
            if e[0] < 0 or e[-1] >= data.num_rows or (np.diff(e) <= 0).any() or not width:
                msg = "rows of escapes are out of order or out of range"
                raise CorruptionError(msg, branch=part.name)
            column = number_column(data, part.name)
            flat = column.reshape(len(column), part.items).view(np.uint8)
            size = column.dtype.itemsize
            # Bytes are numbered from the most significant one of each item.
            places = part.fixed // size * size + (size - 1 - part.fixed % size)
            flat[e[:, None], places] = values[at : at + count * width].reshape(count, width)
            at += count * width
