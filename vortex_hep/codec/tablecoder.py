"""Coding one plan of one cluster: the network where it wins, classical coders where they do.

The payload is described in docs/SPEC.md, "Table chunks".
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from vortex_hep.codec import classical, rans
from vortex_hep.codec.container import xxh3
from vortex_hep.codec.fields import LINKED_ROW, components, read_tokens
from vortex_hep.codec.folding import common_length, fold, fold_specs, unfold
from vortex_hep.codec.plan import Plan
from vortex_hep.codec.rows import (
    RowSet,
    Source,
    Stacked,
    Tokenised,
    resolve_links,
    row_set,
    stack,
    tokenise,
    usable,
)
from vortex_hep.codec.sections import Reader, join
from vortex_hep.errors import CorruptionError
from vortex_hep.nn import cpu
from vortex_hep.nn.linking import is_virtual, nearest
from vortex_hep.nn.tablemodel import TableModel
from vortex_hep.schema import VARBYTES, ColumnSpec, TableData, VarBytes

Array = npt.NDArray[Any]

#: How a column is stored in a table chunk.
NETWORK, CLASSICAL, SOLID, STRINGS = 0, 1, 2, 3

_HEAD = struct.Struct("<BBII")  # SPEC "Table chunks": flags, log2 of group lanes, lanes, rows
_CODED = struct.Struct("<HI")  # coder, payload size
_HAS_NETWORK = 1
_HAS_COUNTS = 2

#: Lanes of a group: at least this many, and enough for this many symbols.
_MIN_LANES_LOG2 = 9
_GROUP_SYMBOLS = 1 << 17
_MAX_LANES_LOG2 = 20
#: A column whose network cost is below this many bytes is not worth a second look.
_SMALL_BYTES = 16
#: A network that was this much better than the best classical coder when it was trained, and
#: costs no more now than then, is not compared again.
_CLEAR_WIN = 0.85
_DRIFT = 1.1
#: Larger columns are not put into the solid group.
_SOLID_BYTES = 1 << 16


@dataclass
class ColumnReport:
    """Where a column of a chunk went, and at what cost in bytes."""

    name: str
    coder: str
    raw_bytes: int
    stored_bytes: float


@dataclass
class TableChunk:
    """An encoded table chunk.

    Parameters
    ----------
    payload : bytes
    decoded_size, decoded_xxh3 : int
        Of the canonical bytes of the data (:func:`decoded_bytes`).
    uses_network : bool
        Whether decoding needs the table's model.
    columns : list of ColumnReport
    """

    payload: bytes
    decoded_size: int
    decoded_xxh3: int
    uses_network: bool = False
    columns: list[ColumnReport] = field(default_factory=list)


def _fold_length(plan: Plan, model: TableModel | None, offsets: Array) -> int:
    """Length of the lists if the model has them folded and they are all as long, else 0.

    The decoder must know the lengths beforehand, from a counter.
    """
    if model is None or not model.fold or plan.counter is None:
        return 0
    return model.fold if common_length(offsets) == model.fold else 0


def decoded_bytes(plan: Plan, specs: Sequence[ColumnSpec], data: TableData) -> bytes:
    """Canonical bytes of a chunk's data: offsets if the chunk stores them, then every column."""
    parts = [np.ascontiguousarray(data.offsets, "<i8").tobytes()] if _stores_counts(plan) else []
    for spec in specs:
        column = data.columns[spec.name]
        if isinstance(column, VarBytes):
            parts.append(np.ascontiguousarray(column.offsets, "<i8").tobytes())
            parts.append(column.content.tobytes())
        else:
            parts.append(np.ascontiguousarray(column).tobytes())
    return b"".join(parts)


def _stores_counts(plan: Plan) -> bool:
    return plan.jagged and plan.counter is None


@dataclass
class _Groups:
    """Lanes of a chunk, cut into groups that are coded independently."""

    log2: int
    lanes: list[Array]
    active: list[Array]
    rows: list[int]


def _cut_groups(offsets: Array, log2: int) -> _Groups:
    counts = np.diff(offsets)
    lanes, active, rows = [], [], []
    for start in range(0, len(counts), 1 << log2):
        c = counts[start : start + (1 << log2)]
        order = np.argsort(-c, kind="stable")
        lanes.append((order + start).astype(np.int64))
        sizes = np.bincount(c, minlength=1)
        # lanes with more than j rows, for every j below the longest list
        active.append((len(c) - np.cumsum(sizes))[: int(c.max(initial=0))].astype(np.int64))
        rows.append(int(c.sum()))
    return _Groups(log2, lanes, active, rows)


def _group_log2(lanes: int, symbols: int) -> int:
    log2 = _MIN_LANES_LOG2
    while log2 < _MAX_LANES_LOG2 and (1 << log2) < lanes:
        if symbols * (1 << log2) / max(1, lanes) >= _GROUP_SYMBOLS:
            break
        log2 += 1
    return log2


class TableEncoder:
    """Encodes clusters of one plan.

    Parameters
    ----------
    plan : Plan
    specs : tuple of ColumnSpec
        Of the plan's columns, in order.
    model : TableModel or None
    effort : {"fast", "normal", "max"}
        For classical coders; "max" compares all columns with all of them.
    pool : Executor
        Runs the groups of a chunk.
    """

    def __init__(
        self,
        plan: Plan,
        specs: tuple[ColumnSpec, ...],
        model: TableModel | None,
        effort: classical.Effort,
        pool: Executor,
    ) -> None:
        self.plan = plan
        self.specs = specs
        self.model = model
        self.effort = effort
        self.net = cpu.unpack(model) if model is not None else None
        self._pool = pool

    def tokenise(
        self, data: TableData, sources: Sources = ()
    ) -> tuple[RowSet, Tokenised | None]:
        """Compute the tokens of a cluster; other tables may need them as context.

        Parameters
        ----------
        data : TableData
        sources : sequence of Source or None
            One per link of the model.
        """
        if self.model is None or self.net is None:
            return row_set(data.offsets), None
        if self.model.fold:
            if not _fold_length(self.plan, self.model, data.offsets):
                return row_set(data.offsets), None
            data = fold(data, self.model.fold)
        rows = row_set(data.offsets)
        columns = {**data.columns, **_virtual_columns(self.model, data, sources)}
        rows.mother = _mothers(self.model, self.net, columns, rows)
        return rows, tokenise(self.model.fields, columns, rows)

    def encode(
        self,
        data: TableData,
        rows: RowSet,
        tokens: Tokenised | None,
        lane_buckets: Array,
        sources: Sources = (),
    ) -> TableChunk:
        """Encode one cluster; the parameters are what :meth:`tokenise` took and returned."""
        whole = decoded_bytes(self.plan, self.specs, data)
        specs = self.specs
        length = _fold_length(self.plan, self.model, data.offsets)
        if length:
            specs, data = fold_specs(specs, length), fold(data, length)
        modes = {s.name: CLASSICAL for s in specs}
        costs: dict[str, float] = {}
        payloads: dict[str, tuple[int, bytes]] = {}
        network = b""
        escapes = b""
        log2 = 0
        if self.model is not None and tokens is not None and len(rows.lane):
            run = _NetworkRun(self, rows, tokens, lane_buckets, sources)
            while True:
                run.predict(self._pool)
                costs = run.column_costs(data)
                modes = {s.name: CLASSICAL for s in specs}
                self._choose(data, run, modes, costs, payloads)
                coded = run.coded_fields(modes)
                if not run.drop_linked(coded):
                    break
            network = run.encode(coded, self._pool)
            escapes = run.encode_escapes(coded, data)
            log2 = run.groups.log2
        return self._assemble(data, specs, whole, modes, costs, payloads, network, escapes, log2)

    def _choose(
        self,
        data: TableData,
        run: _NetworkRun,
        modes: dict[str, int],
        costs: dict[str, float],
        payloads: dict[str, tuple[int, bytes]],
    ) -> None:
        """Decide for every group of columns that share fields whether the network codes them."""
        row_count = max(1, len(run.rows.lane))
        for names, fields in run.column_groups():
            if not run.may_code(fields):
                continue
            if is_virtual(names[0]):
                modes[names[0]] = NETWORK
                continue
            cost = sum(costs[n] for n in names)
            expected, rival = run.expected(fields)
            clear = expected < _CLEAR_WIN * rival and 8 * cost / row_count <= _DRIFT * expected
            if cost > _SMALL_BYTES and (self.effort == "max" or not clear):
                total = 0
                for n in names:
                    if n not in payloads:
                        payloads[n] = classical.encode_best(_array(data, n), effort=self.effort)
                    total += len(payloads[n][1])
                if total <= cost:
                    continue
            for n in names:
                modes[n] = NETWORK

    def _assemble(
        self,
        data: TableData,
        specs: tuple[ColumnSpec, ...],
        whole: bytes,
        modes: dict[str, int],
        costs: dict[str, float],
        payloads: dict[str, tuple[int, bytes]],
        network: bytes,
        escapes: bytes,
        log2: int,
    ) -> TableChunk:
        lanes = len(data.offsets) - 1
        strings: list[bytes] = []
        for spec in specs:
            column = data.columns[spec.name]
            if isinstance(column, VarBytes):
                modes[spec.name] = STRINGS
                strings.append(classical.encode_varbytes(column))
                costs[spec.name] = len(strings[-1])
            elif modes[spec.name] == CLASSICAL:
                if spec.name not in payloads:
                    payloads[spec.name] = classical.encode_best(column, effort=self.effort)
                costs[spec.name] = len(payloads[spec.name][1])
        solid = self._solid(data, modes, payloads)
        apart = b"".join(
            _CODED.pack(payloads[s.name][0], len(payloads[s.name][1])) + payloads[s.name][1]
            for s in specs
            if modes[s.name] == CLASSICAL
        )
        flags = (_HAS_NETWORK if network else 0) | (
            _HAS_COUNTS if _stores_counts(self.plan) else 0
        )
        sections = [_pack_array(np.array([modes[s.name] for s in specs], np.uint8))]
        if flags & _HAS_COUNTS:
            sections.append(_pack_array(np.diff(data.offsets).astype(np.uint32)))
        sections += [apart, solid, join(strings)]
        if flags & _HAS_NETWORK:
            sections += [escapes, network]
        payload = _HEAD.pack(flags, log2, lanes, data.num_rows) + join(sections)
        reports = [
            ColumnReport(
                s.name,
                self._coder_name(s.name, modes, payloads),
                _raw_size(data.columns[s.name]),
                costs.get(s.name, 0.0),
            )
            for s in specs
        ]
        return TableChunk(payload, len(whole), xxh3(whole), bool(network), reports)

    def _coder_name(
        self, name: str, modes: dict[str, int], payloads: dict[str, tuple[int, bytes]]
    ) -> str:
        if modes[name] == CLASSICAL:
            return classical.COLUMN_CODERS.get(payloads[name][0]).name
        return {NETWORK: "network", SOLID: "solid", STRINGS: "strings"}[modes[name]]

    def _solid(
        self, data: TableData, modes: dict[str, int], payloads: dict[str, tuple[int, bytes]]
    ) -> bytes:
        """Put small classical columns into one stream where that is smaller in total."""
        names = [
            s.name
            for s in self.specs
            if modes[s.name] == CLASSICAL and _array(data, s.name).nbytes <= _SOLID_BYTES
        ]
        if len(names) < 2 or data.num_rows == 0:
            return b""
        solid = classical.encode_solid([_array(data, n) for n in names])
        if len(solid) >= sum(len(payloads[n][1]) + _CODED.size for n in names):
            return b""
        for n in names:
            modes[n] = SOLID
        return solid


#: Per link of a model, the rows it may point to; None where the file lacks that table.
Sources = Sequence[Source | None]


def _virtual_columns(model: TableModel, data: TableData, sources: Sources) -> dict[str, Array]:
    """Make up the index columns of links that the data do not have."""
    out = {}
    for k, link in enumerate(model.links):
        source = sources[k] if k < len(sources) else None
        if not link.anchors or source is None:
            continue
        own = [data.columns.get(a) for a, _ in link.anchors]
        other = [source.columns.get(b) for _, b in link.anchors]
        if not all(_is_angle(c) for c in own + other):
            places = np.full(data.num_rows, -1, "<i2")
        else:
            places, _ = nearest(data.offsets, tuple(own), source.offsets, tuple(other))  # type: ignore[arg-type]
        f = model.fields[k]
        _, ok = f.compact({f.columns[0]: places}, (None, None, None))
        places[~ok] = -1
        out[f.columns[0]] = places
    return out


def _is_angle(column: Array | VarBytes | None) -> bool:
    """Whether distances can be formed in a column."""
    return isinstance(column, np.ndarray) and column.ndim == 1 and column.dtype.kind == "f"


def _own_link(model: TableModel) -> int | None:
    """Number of the link that stays within the table, if there is one."""
    return next((k for k, link in enumerate(model.links) if link.source == model.table), None)


def _mothers(
    model: TableModel, net: cpu.Network, columns: Mapping[str, Array | VarBytes], rows: RowSet
) -> Array | None:
    """Linked rows within the list, as the decoder will see them: an escape counts as 0."""
    k = _own_link(model)
    if k is None:
        return None
    f = model.fields[k]
    compact = np.zeros(len(rows.lane), np.uint64)
    if usable(f, columns, len(rows.lane)):
        compact, _ = f.compact(columns, (None, None, None))  # type: ignore[arg-type]
    start, stop = net.link_start[k], net.link_start[k + 1]
    values = net.link_values[start:stop]
    known = compact < stop - start
    targets = np.where(known, values[np.where(known, compact, 0).astype(np.int64)], -1)
    return resolve_links(rows, targets)


def _array(data: TableData, name: str) -> Array:
    column = data.columns[name]
    if isinstance(column, VarBytes):
        raise CorruptionError("byte strings where numbers belong", branch=name)
    return column


def _raw_size(column: Array | VarBytes) -> int:
    if isinstance(column, VarBytes):
        return int(column.content.nbytes) + 4 * len(column)
    return int(column.nbytes)


def _pack_array(array: Array) -> bytes:
    coder, payload = classical.encode_best(array)
    return _CODED.pack(coder, len(payload)) + payload


def _unpack_array(reader: Reader, dtype: str, count: int) -> Array:
    coder, size = _CODED.unpack(reader.take(_CODED.size))
    return classical.decode(coder, reader.take(size), dtype, count)


def stack_rows(model: TableModel, sources: Sources, tokens: Array, rows: RowSet) -> Stacked:
    """Own rows and those of the links' sources in one row space."""
    here = [sources[k] if k < len(sources) else None for k in range(len(model.links))]
    return stack(
        model.fields,
        [link.counterparts for link in model.links],
        here,
        [link.source == model.table for link in model.links],
        tokens,
        rows.offsets,
    )


class _NetworkRun:
    """One pass of the network over a cluster, and the coding of what it predicts."""

    def __init__(
        self,
        encoder: TableEncoder,
        rows: RowSet,
        tokens: Tokenised,
        lane_buckets: Array,
        sources: Sources,
    ) -> None:
        model = encoder.model
        if model is None or encoder.net is None:
            raise CorruptionError("no model for this table")
        self.plan = encoder.plan
        self.specs = encoder.specs
        self.model = model
        self.net = encoder.net
        self.rows = rows
        self.tokens = tokens
        self.lane_buckets = lane_buckets
        self._sources = sources
        symbols = tokens.tokens.size
        self.groups = _cut_groups(rows.offsets, _group_log2(len(rows.offsets) - 1, symbols))
        fields = len(model.fields)
        self._bits = np.zeros((len(self.groups.lanes), fields))
        self._symbols: list[tuple[Array, Array]] = []
        self.escape_bytes = np.zeros(fields)
        self._given = tokens.absent.copy()
        for k, f in enumerate(model.fields):
            loses = model.expected[k, 0] > 1.03 * model.expected[k, 1] + 0.01
            loses &= not is_virtual(f.columns[0])
            many = len(tokens.escapes[k]) > len(rows.lane) // 4
            if loses or many:
                self._given[k] = True
            size = np.dtype(f.dtype).itemsize * len(f.columns)
            self.escape_bytes[k] = len(tokens.escapes[k]) * (size + 1.5)
        # Columns of one field, and fields of one column, stand or fall together.
        for _, members in self.column_groups():
            if self._given[members].any():
                self._given[members] = True
        self.drop_linked(~self._given)

    def drop_linked(self, coded: Array) -> bool:
        """Take differences to linked rows out of all contexts where they are not coded.

        The decoder cannot form them before the network has decoded the links. Returns whether
        predictions must be made anew.
        """
        changed = False
        starts = self.net.field_start
        for k, f in enumerate(self.model.fields):
            if f.reference == LINKED_ROW and not coded[k] and not self.tokens.absent[k]:
                self._given[k] = self.tokens.absent[k] = True
                self.tokens.tokens[:, starts[k] : starts[k + 1]] = 0
                self.tokens.compact[k][:] = 0
                changed = True
        if changed:
            self._bits[:] = 0.0
        return changed

    def predict(self, pool: Executor) -> None:
        """Run the network over all groups."""
        n_tokens = self.tokens.tokens.shape[1]
        space = stack_rows(self.model, self._sources, self.tokens.tokens, self.rows)
        links = np.zeros((len(self.model.links), len(self.rows.lane)), np.int64)
        none = np.zeros(0, np.uint32)

        def work(g: int) -> tuple[Array, Array]:
            freq = np.empty(self.groups.rows[g] * n_tokens, np.uint16)
            cum = np.empty(self.groups.rows[g] * n_tokens, np.uint16)
            cpu.run_group(
                self.net, self.groups.lanes[g], self.rows.offsets, self.groups.active[g],
                space.tokens, space.buckets, links, space.source_offsets, self.lane_buckets,
                self._given, False, freq, cum, self._bits[g], none,
            )  # fmt: skip
            return freq, cum

        self._symbols = list(pool.map(work, range(len(self.groups.lanes))))

    def column_groups(self) -> list[tuple[list[str], list[int]]]:
        """Sets of columns and fields that are coded the same way: (column names, field numbers)."""
        by_column: dict[tuple[str, ...], list[int]] = {}
        for k, f in enumerate(self.model.fields):
            by_column.setdefault(f.columns, []).append(k)
        return [(list(names), members) for names, members in by_column.items()]

    def may_code(self, fields: list[int]) -> bool:
        """Whether the network may code these fields at all."""
        return not self._given[fields].any()

    def expected(self, fields: list[int]) -> tuple[float, float]:
        """Bits per row at training time: (network, best classical)."""
        e = self.model.expected[fields]
        return float(e[:, 0].sum()), float(e[:, 1].sum())

    def column_costs(self, data: TableData) -> dict[str, float]:
        """Bytes that every column costs under the network; shared fields are split evenly."""
        bits = self._bits.sum(axis=0) / 8 + self.escape_bytes
        out = {name: 0.0 for name in data.columns}
        for k, f in enumerate(self.model.fields):
            for name in f.columns:
                if name in out:
                    out[name] += bits[k] / len(f.columns)
        return out

    def coded_fields(self, modes: dict[str, int]) -> Array:
        """Which fields the network codes (bool, shape (fields,))."""
        return np.array(
            [all(modes.get(n) == NETWORK for n in f.columns) for f in self.model.fields], np.bool_
        )

    def encode(self, coded: Array, pool: Executor) -> bytes:
        """Return the streams of all groups."""
        if not coded.any():
            return b""
        skip = np.repeat(~coded, np.diff(self.net.field_start))

        def work(g: int) -> bytes:
            freq, cum = self._symbols[g]
            words = np.empty(len(freq) // 2 + 2 * rans.STATES + 2, np.uint32)
            n = rans.encode_words(freq, cum, self.groups.active[g], skip, words)
            return words[len(words) - n :].astype("<u4").tobytes()

        streams = list(pool.map(work, range(len(self.groups.lanes))))
        self._symbols = []
        sizes = np.array([len(s) // 4 for s in streams], np.uint32)
        return _pack_array(sizes) + b"".join(streams)

    def encode_escapes(self, coded: Array, data: TableData) -> bytes:
        """Return rows and values of what no segment holds, for the coded fields."""
        lists = [e if c else e[:0] for e, c in zip(self.tokens.escapes, coded, strict=True)]
        counts = np.array([len(e) for e in lists], np.uint32)
        if not counts.any():
            return b""
        rows = np.concatenate(lists).astype(np.uint32)
        values = []
        for f, e in zip(self.model.fields, lists, strict=True):
            for name in f.columns if len(e) else ():
                column = _array(data, name)
                flat = components(column)
                values.append(np.ascontiguousarray(flat[e, f.component]).view(np.uint8))
        return (
            _pack_array(counts) + _pack_array(rows) + _pack_array(np.concatenate(values))
        )


class TableDecoder:
    """Decodes table chunks of one plan.

    Parameters
    ----------
    plan : Plan
    specs : tuple of ColumnSpec
    model : TableModel or None
    pool : Executor
    """

    def __init__(
        self,
        plan: Plan,
        specs: tuple[ColumnSpec, ...],
        model: TableModel | None,
        pool: Executor,
    ) -> None:
        self.plan = plan
        self.specs = specs
        self.model = model
        self.net = cpu.unpack(model) if model is not None else None
        self._pool = pool

    def decode(
        self,
        payload: bytes,
        lanes: int,
        counts: Array | None,
        lane_buckets: Array,
        sources: Sources = (),
    ) -> tuple[TableData, list[Array] | None]:
        """Decode a chunk; return its data and the fields' compact integers.

        Parameters
        ----------
        payload : bytes
        lanes : int
            Lanes that the cluster has.
        counts : int array or None
            Rows per lane, where the core table knows them.
        lane_buckets : uint8 array, shape (lanes, lane fields)
        sources : sequence of Source or None
            One per link of the model.
        """
        reader = Reader(payload)
        flags, log2, stored_lanes, n = _HEAD.unpack(reader.take(_HEAD.size))
        if flags & ~(_HAS_NETWORK | _HAS_COUNTS) or stored_lanes != lanes or log2 > _MAX_LANES_LOG2:
            raise CorruptionError("a table chunk has a head that makes no sense")
        length = 0
        specs = self.specs
        if counts is not None and self.model is not None and self.model.fold:
            known = np.zeros(lanes + 1, np.int64)
            np.cumsum(counts, dtype=np.int64, out=known[1:])
            length = _fold_length(self.plan, self.model, known)
            if length:
                specs, counts = fold_specs(specs, length), None
        modes = _unpack_array(section := Reader(reader.section()), "|u1", len(specs))
        section.finish()
        if flags & _HAS_COUNTS:
            counts = _unpack_array(section := Reader(reader.section()), "<u4", lanes)
            section.finish()
        elif counts is None:
            counts = np.ones(lanes, np.int64)
        offsets = np.zeros(lanes + 1, np.int64)
        np.cumsum(counts, dtype=np.int64, out=offsets[1:])
        if offsets[-1] != n or (np.diff(offsets) < 0).any():
            raise CorruptionError("a table chunk has other rows than its counter says")
        data = TableData(offsets, {})
        self._classical(reader, specs, modes, data)
        compact: list[Array] | None = None
        rows = row_set(offsets)
        if flags & _HAS_NETWORK:
            escapes, network = reader.section(), reader.section()
            compact = self._network(
                specs, modes, data, rows, lane_buckets, log2, escapes, network, sources
            )
        elif (modes == NETWORK).any():
            raise CorruptionError("a table chunk lacks its network stream")
        reader.finish()
        if compact is None and self.model is not None and self.net is not None:
            none = np.zeros(len(self.model.fields), np.bool_)
            compact = tokenise_known(self.model, none, data, rows, self.net).compact
        data.columns = {s.name: data.columns[s.name] for s in specs}
        return (unfold(data, length) if length else data), compact

    def _classical(
        self, reader: Reader, specs: Sequence[ColumnSpec], modes: Array, data: TableData
    ) -> None:
        n = data.num_rows
        apart, solid, strings = (Reader(reader.section()) for _ in range(3))
        together: list[ColumnSpec] = []
        for spec, mode in zip(specs, modes.tolist(), strict=True):
            if (mode == STRINGS) != (spec.dtype == VARBYTES):
                raise CorruptionError("a column is stored as another type", branch=spec.name)
            count = n * int(np.prod(spec.inner, dtype=np.int64))
            if mode == CLASSICAL:
                column = _unpack_array(apart, spec.dtype, count)
                data.columns[spec.name] = column.reshape((n, *spec.inner))
            elif mode == SOLID:
                together.append(spec)
            elif mode == STRINGS:
                data.columns[spec.name] = classical.decode_varbytes(strings.section(), n)
            elif mode == NETWORK:
                data.columns[spec.name] = np.zeros((n, *spec.inner), spec.dtype)
            else:
                raise CorruptionError("a column is stored in no known way", branch=spec.name)
        sizes = [(s.dtype, n * int(np.prod(s.inner, dtype=np.int64))) for s in together]
        if together:
            stream = classical.decode_solid(solid.take(solid.left), sizes)
            for spec, column in zip(together, stream, strict=True):
                data.columns[spec.name] = column.reshape((n, *spec.inner))
        for part in (apart, solid, strings):
            part.finish()

    def _network(
        self, specs: Sequence[ColumnSpec], modes: Array, data: TableData, rows: RowSet,
        lane_buckets: Array, log2: int,
        escapes: bytes, network: bytes, sources: Sources,
    ) -> list[Array]:  # fmt: skip
        model, net = self.model, self.net
        if model is None or net is None:
            raise CorruptionError("a table chunk needs a network that the model does not have")
        by_network = {s.name for s, m in zip(specs, modes.tolist(), strict=True) if m == 0}
        for f, source in zip(model.fields, sources, strict=False):
            if is_virtual(f.columns[0]) and source is not None:
                by_network.add(f.columns[0])
        coded = np.array([all(n in by_network for n in f.columns) for f in model.fields], np.bool_)
        covered = {n for f, c in zip(model.fields, coded, strict=True) if c for n in f.columns}
        if covered != by_network:
            raise CorruptionError("a column is left to a network that does not know it")
        escaped = self._put_escapes(escapes, coded, data)
        known = tokenise_known(model, coded, data, rows, net)
        groups = _cut_groups(rows.offsets, log2)
        reader = Reader(network)
        sizes = _unpack_array(reader, "<u4", len(groups.lanes))
        streams = [np.frombuffer(reader.take(4 * int(s)), "<u4").astype(np.uint32) for s in sizes]
        reader.finish()
        space = stack_rows(model, sources, known.tokens, rows)
        links = np.zeros((len(model.links), len(rows.lane)), np.int64)
        none = np.zeros(0, np.uint16)

        def work(g: int) -> int:
            return int(
                cpu.run_group(
                    net, groups.lanes[g], rows.offsets, groups.active[g], space.tokens,
                    space.buckets, links, space.source_offsets, lane_buckets, ~coded, True, none,
                    none, np.zeros(0), streams[g],
                )
            )  # fmt: skip

        for g, used in enumerate(self._pool.map(work, range(len(groups.lanes)))):
            if used != len(streams[g]):
                raise CorruptionError("a network stream does not decode to its end")
        mother = _own_link(model)
        rows.mother = None if mother is None else links[mother]
        known.tokens = space.tokens[: len(rows.lane)]
        self._restore(coded, known, data, rows, net.field_start, escaped)
        return known.compact

    def _put_escapes(self, escapes: bytes, coded: Array, data: TableData) -> list[Array]:
        """Write escaped values to their rows; return those rows, per field."""
        fields = self.model.fields if self.model is not None else ()
        escaped = [np.zeros(0, np.int64)] * len(fields)
        if not escapes:
            return escaped
        reader = Reader(escapes)
        counts = _unpack_array(reader, "<u4", len(fields)).astype(np.int64)
        n = data.num_rows
        if (counts[~coded] != 0).any() or (counts > n).any():
            raise CorruptionError("escapes of a field that has none")
        rows = _unpack_array(reader, "<u4", int(counts.sum())).astype(np.int64)
        widths = [np.dtype(f.dtype).itemsize for f in fields]
        total = sum(
            int(c) * w * len(f.columns) for c, w, f in zip(counts, widths, fields, strict=True)
        )
        values = _unpack_array(reader, "|u1", total)
        reader.finish()
        at = first = 0
        for k, f in enumerate(fields):
            e = rows[first : first + counts[k]]
            first += int(counts[k])
            if len(e) and (e[-1] >= n or (np.diff(e) <= 0).any()):
                raise CorruptionError("escapes out of order")
            escaped[k] = e
            for name in f.columns:
                if not len(e):
                    continue
                column = _array(data, name)
                size = len(e) * widths[k]
                part = values[at : at + size].view(column.dtype)
                components(column)[e, f.component] = part
                at += size
        return escaped

    def _restore(
        self,
        coded: Array,
        known: Tokenised,
        data: TableData,
        rows: RowSet,
        starts: Array,
        escaped: list[Array],
    ) -> None:
        """Turn the decoded tokens into columns."""
        if self.model is None:
            return
        references = (None, rows.previous, rows.mother)
        for k, f in enumerate(self.model.fields):
            if not coded[k]:
                continue
            compact = read_tokens(known.tokens, f.width, int(starts[k]))
            if len(compact) and int(compact.max()) > f.segments.top:
                raise CorruptionError("a value lies outside its segments", branch=f.columns[0])
            known.compact[k] = compact
            if is_virtual(f.columns[0]):
                continue
            columns = {n: _array(data, n) for n in f.columns}
            f.restore(compact, escaped[k], columns, references)


def tokenise_known(
    model: TableModel, coded: Array, data: TableData, rows: RowSet, net: cpu.Network
) -> Tokenised:
    """Tokens of the fields that are not coded; zero where the network is to fill them in."""
    hidden = {n for f, c in zip(model.fields, coded, strict=True) if c for n in f.columns}
    # A difference to a linked row cannot be formed before the links are decoded.
    hidden |= {n for f in model.fields if f.reference == LINKED_ROW for n in f.columns}
    columns = {k: v for k, v in data.columns.items() if k not in hidden}
    rows.mother = _mothers(model, net, columns, rows)
    return tokenise(model.fields, columns, rows)
