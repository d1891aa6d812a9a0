"""The decoder of table chunks."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from vortex_hep.codec.columns import classical
from vortex_hep.codec.plan import Plan
from vortex_hep.codec.sections import Reader
from vortex_hep.codec.tokens.fields import LINKED_ROW, Field, components, read_tokens
from vortex_hep.codec.tokens.folding import common_length_of, fold_specs, foldable, unfold
from vortex_hep.codec.tokens.lanes import MAX_LANES_LOG2, MIN_LANES_LOG2, cut_groups
from vortex_hep.codec.tokens.rows import RowSet, Tokenised, lay_out, tokenise
from vortex_hep.codec.tokens.values import RowValues
from vortex_hep.core.schema import VARBYTES, ColumnSpec, TableData
from vortex_hep.errors import CorruptionError
from vortex_hep.nn.coding.engine import CompiledEngine, Engine
from vortex_hep.nn.coding.links import Sources, lead, mothers, own_link, row_values, stack_rows
from vortex_hep.nn.coding.tablechunk import (
    CLASSICAL,
    FOLDED,
    HAS_COUNTS,
    HAS_NETWORK,
    HEAD,
    NETWORK,
    SOLID,
    STRINGS,
    column_widths,
    covers,
    number_column,
    stores_counts,
    too_large,
    unpack_array,
)
from vortex_hep.nn.event import cpu
from vortex_hep.nn.event.linking import is_virtual
from vortex_hep.nn.event.tablemodel import TableModel

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Coding:
    """How a chunk's columns are coded, and what is known beside them.

    Parameters
    ----------
    specs, modes
        Of the columns, folded if the chunk is.
    log2 : int
        Of the lanes of a group.
    length : int
        Length of folded lists, or 0.
    lane_buckets, sources, others
        As :meth:`TableDecoder.decode` takes them.
    """

    specs: Sequence[ColumnSpec]
    modes: Array
    log2: int
    length: int
    lane_buckets: Array | Callable[[], Array]
    sources: Sources
    others: Mapping[str, TableData]


class TableDecoder:
    """Decodes table chunks of one plan.

    Parameters
    ----------
    plan : Plan
    specs : tuple of ColumnSpec
    model : TableModel or None
    pool : Executor
    engine : Engine, optional
        As :class:`TableEncoder <vortex_hep.nn.coding.tableencoder.TableEncoder>` takes it.
    """

    #: The least logarithm of the number of lanes in a group.
    least_log2 = MIN_LANES_LOG2

    def __init__(
        self,
        plan: Plan,
        specs: tuple[ColumnSpec, ...],
        model: TableModel | None,
        pool: Executor,
        engine: Engine | None = None,
    ) -> None:
        self.plan = plan
        self.specs = specs
        self.model = model
        self.net = cpu.unpack(model) if model is not None else None
        self._pool = pool
        self._engine = engine or CompiledEngine()

    def decode(
        self,
        payload: bytes,
        lanes: int,
        counts: Array | None,
        lane_buckets: Array | Callable[[], Array],
        sources: Sources = (),
        decoded_size: int | None = None,
        others: Mapping[str, TableData] | None = None,
    ) -> tuple[TableData, list[Array] | None]:
        """Decode a chunk; return its data and the fields' compact integers.

        Parameters
        ----------
        payload : bytes
        lanes : int
            Lanes that the cluster has.
        counts : int array or None
            Rows per lane, where the core table knows them.
        lane_buckets : uint8 array, shape (lanes, lane fields), or callable
            What gives the array is called when the chunk's size was found to be allowed.
        sources : sequence of Source or None
            One per link of the model.
        decoded_size : int, optional
            Bytes that the data may have: what claims more is refused before memory is taken.
        others : mapping of str to TableData
            Plans that predictors take inputs from.
        """
        reader = Reader(payload)
        flags, log2, stored_lanes, n = HEAD.unpack(reader.take(HEAD.size))
        if (
            flags & ~(HAS_NETWORK | HAS_COUNTS | FOLDED)
            or stored_lanes != lanes
            or log2 > MAX_LANES_LOG2
        ):
            raise CorruptionError("a table chunk has a head that makes no sense")
        self._check_head(flags, log2, lanes, n, counts, decoded_size)
        length = 0
        specs = self.specs
        if flags & FOLDED:
            length = common_length_of(counts)
            if not length or not foldable(specs):
                raise CorruptionError("a table chunk folds lists that are not equally long")
            specs, counts = fold_specs(specs, length), None
        modes = unpack_array(section := Reader(reader.section()), "|u1", len(specs))
        section.finish()
        if flags & HAS_COUNTS:
            counts = unpack_array(section := Reader(reader.section()), "<u4", lanes)
            section.finish()
        elif counts is None:
            counts = np.ones(lanes, np.int64)
        counts = counts.astype(np.int64)
        offsets = np.zeros(lanes + 1, np.int64)
        # Each count is bounded first, so that the sum cannot wrap.
        if not ((counts >= 0) & (counts <= n)).all():
            raise CorruptionError("a table chunk has other rows than its counter says")
        np.cumsum(counts, dtype=np.int64, out=offsets[1:])
        if offsets[-1] != n:
            raise CorruptionError("a table chunk has other rows than its counter says")
        data = TableData(offsets, {})
        self._classical(reader, specs, modes, data)
        has_network = bool(flags & HAS_NETWORK)
        if not has_network and (modes == NETWORK).any():
            raise CorruptionError("a table chunk lacks its network stream")
        coding = Coding(specs, modes, log2, length, lane_buckets, sources, others or {})
        compact = self._predicted(reader if has_network else None, data, coding)
        reader.finish()
        data.columns = {s.name: data.columns[s.name] for s in specs}
        return (unfold(data, length) if length else data), compact

    def _predicted(
        self, reader: Reader | None, data: TableData, coding: Coding
    ) -> list[Array] | None:
        """Decode what the network coded; return the fields' compact integers.

        Parameters
        ----------
        reader : Reader or None
            At the sections of the network, if the chunk has them.
        data : TableData
            Has the other columns, and room for these.
        coding : Coding
        """
        length = coding.length
        rows = lay_out(data.offsets, 0 if self.model is None else self.model.block)
        large = self.model is not None and too_large(
            self.model, data.num_rows, len(data.offsets) - 1
        )
        if reader is not None:
            if self.model is not None and self.model.fold != length:
                raise CorruptionError("a table chunk is folded otherwise than its model")
            if large:
                raise CorruptionError("a table chunk has more tokens than the format allows")
            escapes = reader.section()
            parameters = reader.section() if self._has_parameters else b""
            buckets = coding.lane_buckets
            return self._network(
                coding.specs,
                coding.modes,
                data,
                rows,
                buckets() if callable(buckets) else buckets,
                coding.log2,
                escapes,
                parameters,
                reader.section(),
                coding.sources,
                coding.others,
            )
        if self.model is None or self.net is None or self.model.fold != length or large:
            return None
        none = np.zeros(len(self.model.fields), np.bool_)
        return tokenise_known(self.model, none, data, rows, self.net).compact

    def _check_head(
        self, flags: int, log2: int, lanes: int, n: int, counts: Array | None,
        decoded_size: int | None,
    ) -> None:  # fmt: skip
        """Refuse what contradicts the plan, or claims more than the data have, at the outset."""
        if bool(flags & HAS_COUNTS) != stores_counts(self.plan):
            raise CorruptionError("a table chunk stores counts that it should not, or lacks them")
        has_network = bool(flags & HAS_NETWORK)
        if log2 < (self.least_log2 if has_network else 0) or (log2 and not has_network):
            raise CorruptionError("a table chunk has lane groups of a size that is not allowed")
        if decoded_size is None:
            return
        width = sum(
            np.dtype(s.dtype).itemsize * math.prod(s.inner)
            for s in self.specs
            if s.dtype != VARBYTES
        )
        rows = n * (common_length_of(counts) or 1) if flags & FOLDED else n
        offsets = 8 * (lanes + 1) if flags & HAS_COUNTS else 0
        one_each = counts is None and not flags & HAS_COUNTS
        if rows * width + offsets > decoded_size or (one_each and n != lanes):
            raise CorruptionError("a table chunk claims more rows than its data have")

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
                column = unpack_array(apart, spec.dtype, count)
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
        escapes: bytes, parameters: bytes, network: bytes, sources: Sources,
        others: Mapping[str, TableData],
    ) -> list[Array]:  # fmt: skip
        model, net = self.model, self.net
        if model is None or net is None:
            raise CorruptionError("a table chunk needs a network that the model does not have")
        by_network = {s.name for s, m in zip(specs, modes.tolist(), strict=True) if m == 0}
        for f, source in zip(model.fields, sources, strict=False):
            if is_virtual(f.columns[0]) and source is not None:
                by_network.add(f.columns[0])
        coded = np.array([all(n in by_network for n in f.columns) for f in model.fields], np.bool_)
        widths = column_widths(specs)
        kinds = {s.name: s.dtype for s in specs}
        for f, c in zip(model.fields, coded, strict=True):
            if c and any(kinds.get(n, f.dtype) != f.dtype for n in f.columns):
                raise CorruptionError("a column is not of its model's type", branch=f.columns[0])
        for name in by_network:
            members = [k for k, f in enumerate(model.fields) if name in f.columns and coded[k]]
            if not covers(model, members, widths.get(name, 1)):
                raise CorruptionError(
                    "a column is left to a network that does not know it", branch=name
                )
        escaped = self._put_escapes(escapes, coded, data)
        known = tokenise_known(model, coded, data, rows, net)
        groups = cut_groups(rows.offsets, log2)
        reader = Reader(network)
        sizes = unpack_array(reader, "<u4", len(groups.lanes))
        streams = [np.frombuffer(reader.take(4 * int(s)), "<u4").astype(np.uint32) for s in sizes]
        reader.finish()
        space = stack_rows(model, sources, known.tokens, rows)
        links = np.zeros((len(model.links), len(rows.lane)), np.int64)
        none = np.zeros(0, np.uint16)

        def work(g: int) -> int:
            return int(
                self._engine.run_group(
                    net, groups.lanes[g], rows.offsets, groups.active[g], space.tokens,
                    space.buckets, links, space.source_offsets, lane_buckets, ~coded, True, none,
                    none, np.zeros(0), streams[g],
                )
            )  # fmt: skip

        for g, used in enumerate(self._pool.map(work, range(len(groups.lanes)))):
            if used != len(streams[g]):
                raise CorruptionError("a network stream does not decode to its end")
        mother = own_link(model)
        rows.mother = None if mother is None else links[mother]
        known.tokens = space.tokens[: len(rows.lane)]
        values = row_values(model, data.columns, rows, others)
        fields = self._fields(parameters)
        self._restore(fields, coded, known, data, rows, net, escaped, values)
        return known.compact

    def _put_escapes(self, escapes: bytes, coded: Array, data: TableData) -> list[Array]:
        """Write escaped values to their rows; return those rows, per field."""
        fields = self.model.fields if self.model is not None else ()
        escaped = [np.zeros(0, np.int64)] * len(fields)
        if not escapes:
            return escaped
        reader = Reader(escapes)
        counts = unpack_array(reader, "<u4", len(fields)).astype(np.int64)
        n = data.num_rows
        if (counts[~coded] != 0).any() or (counts > n).any():
            raise CorruptionError("escapes of a field that has none")
        rows = unpack_array(reader, "<u4", int(counts.sum())).astype(np.int64)
        widths = [np.dtype(f.dtype).itemsize for f in fields]
        total = sum(
            int(c) * w * len(f.columns) for c, w, f in zip(counts, widths, fields, strict=True)
        )
        values = unpack_array(reader, "|u1", total)
        reader.finish()
        at = first = 0
        for k, f in enumerate(fields):
            e = rows[first : first + counts[k]]
            first += int(counts[k])
            if len(e) and (
                is_virtual(f.columns[0]) or e[0] < 0 or e[-1] >= n or (np.diff(e) <= 0).any()
            ):
                raise CorruptionError("escapes out of order")
            escaped[k] = e
            for name in f.columns:
                if not len(e):
                    continue
                column = number_column(data, name)
                size = len(e) * widths[k]
                part = values[at : at + size].view(column.dtype)
                components(column)[e, f.component] = part
                at += size
        return escaped

    @property
    def _has_parameters(self) -> bool:
        return self.model is not None and self.model.has_predictors

    def _fields(self, parameters: bytes) -> tuple[Field, ...]:
        """The model's fields, with the parameters that the chunk has of its own."""
        if self.model is None or not parameters:
            return () if self.model is None else self.model.fields
        reader = Reader(parameters)
        given = unpack_array(reader, "<f8", len(self.model.parameters()))
        reader.finish()
        if not np.isfinite(given).all():
            raise CorruptionError("a predictor has a parameter that is no number")
        fields = self.model.with_parameters(given).fields
        if any(f.predictor is not None and not f.predictor.allowed for f in fields):
            raise CorruptionError("a predictor without parameters was given one")
        return fields

    def _restore(
        self,
        fields: Sequence[Field],
        coded: Array,
        known: Tokenised,
        data: TableData,
        rows: RowSet,
        net: cpu.Network,
        escaped: list[Array],
        values: RowValues,
    ) -> None:
        """Turn the decoded tokens into columns."""
        if self.model is None:
            return
        references = (None, rows.previous, rows.mother)
        values.pending |= {
            (n, f.component) for f, c in zip(fields, coded, strict=True) if c for n in f.columns
        }
        for k, f in enumerate(fields):
            if coded[k]:
                compact = read_tokens(known.tokens, f.width, int(net.field_start[k]))
                if len(compact) and int(compact.max()) > f.segments.top:
                    raise CorruptionError("a value lies outside its segments", branch=f.columns[0])
                known.compact[k] = compact
            if k < len(self.model.links):
                lead(values, self.model, net, k, known.compact[k], rows)
            if not coded[k] or is_virtual(f.columns[0]):
                continue
            if f.predictor is not None and not f.predictor.available(values):
                raise CorruptionError("what predicts a column is missing", branch=f.columns[0])
            columns = {n: number_column(data, n) for n in f.columns}
            f.restore(known.compact[k], escaped[k], columns, references, values)
            values.pending -= {(n, f.component) for n in f.columns}


def tokenise_known(
    model: TableModel, coded: Array, data: TableData, rows: RowSet, net: cpu.Network
) -> Tokenised:
    """Tokens of the fields that are not coded; zero where the network is to fill them in."""
    # What these are differences to is not known before the network has run.
    hidden = np.array([f.reference >= LINKED_ROW for f in model.fields], np.bool_) | coded
    own = own_link(model)
    if own is not None and not coded[own]:
        rows.mother = mothers(model, net, data.columns, rows)
    return tokenise(model.fields, data.columns, rows, hidden)
