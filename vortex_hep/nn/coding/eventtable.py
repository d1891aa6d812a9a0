"""Table chunks coded by an event model (docs/SPEC.md, "Table chunks")."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from typing import Any

import numpy as np
import numpy.typing as npt

from vortex_hep.codec.columns import classical
from vortex_hep.codec.plan import Plan
from vortex_hep.codec.sections import Reader
from vortex_hep.codec.tokens.fields import LINKED_ROW, Field, components, read_tokens
from vortex_hep.codec.tokens.folding import fold, fold_specs
from vortex_hep.codec.tokens.lanes import cut_groups
from vortex_hep.codec.tokens.rows import RowSet, Tokenised, lay_out, row_set, tokenise, usable
from vortex_hep.codec.tokens.values import RowValues
from vortex_hep.core.schema import ColumnSpec, TableData, VarBytes
from vortex_hep.errors import CorruptionError
from vortex_hep.nn.coding.engine import CompiledEngine, Engine
from vortex_hep.nn.coding.links import (
    Sources,
    lead,
    mothers,
    own_link,
    row_values,
    stack_rows,
    virtual_columns,
)
from vortex_hep.nn.coding.networkrun import NetworkRun
from vortex_hep.nn.coding.tablechunk import (
    TableChunk,
    column_widths,
    covers,
    fold_length,
    number_column,
    too_large,
    unpack_array,
)
from vortex_hep.nn.coding.tabledecoder import Opened, TableDecoder
from vortex_hep.nn.coding.tableencoder import TableEncoder
from vortex_hep.nn.event.linking import is_virtual
from vortex_hep.nn.event.model import EventModel
from vortex_hep.nn.event.network import Cluster, Network, group_to_decode, unpack

Array = npt.NDArray[Any]


def _refitted(
    model: EventModel, columns: Mapping[str, Array | VarBytes], values: RowValues
) -> Array:
    """First parameters of all predictors (float64), as they suit some data best."""
    out = model.parameters()
    at = 0
    for f in model.fields:
        if f.predictor is None:
            continue
        if usable(f, columns, len(values.entry)) and f.predictor.available(values):
            column = components(np.asarray(columns[f.columns[0]]))[:, f.component]
            out[at] = f.predictor.refitted(column, values).parameter
        at += 1
    return out


class EventEncoder:
    """Encodes clusters of one plan by an event model.

    Parameters
    ----------
    model : EventModel
    plan, specs, effort, pool
        As :class:`~vortex_hep.nn.coding.tableencoder.TableEncoder` takes them.
    engine : Engine, optional
        Computes the frequencies; all engines give the same. The compiled one by default.
    """

    def __init__(
        self,
        model: EventModel,
        plan: Plan,
        specs: tuple[ColumnSpec, ...],
        effort: classical.Effort,
        pool: Executor,
        engine: Engine | None = None,
    ) -> None:
        self.model = model
        self._net = unpack(model)
        self._table = TableEncoder(plan, specs, effort, pool)
        self._engine = engine or CompiledEngine()

    def _fold_length(self, data: TableData) -> int:
        return fold_length(self._table.plan, self._table.specs, self.model, data.offsets)

    def tokenise(
        self, data: TableData, sources: Sources = (), others: Mapping[str, TableData] | None = None
    ) -> tuple[RowSet, Tokenised | None]:
        """Compute the tokens of a cluster; other tables may need them as context.

        Parameters
        ----------
        data : TableData
        sources : sequence of Source or None
            One per link of the model.
        others : mapping of str to TableData
            Plans that predictors take inputs from.
        """
        if self.model.fold:
            if not self._fold_length(data):
                return row_set(data.offsets), None
            data = fold(data, self.model.fold)
        if too_large(self.model, data.num_rows, len(data.offsets) - 1):
            return row_set(data.offsets), None
        rows = lay_out(data.offsets, self.model.block)
        columns = {**data.columns, **virtual_columns(self.model, data, sources)}
        rows.mother = mothers(self.model, self._net, columns, rows)
        # Made-up columns are not among the data that a decoder has.
        values = row_values(self.model, data.columns, rows, others or {})
        for k, f in enumerate(self.model.fields[: len(self.model.links)]):
            compact = np.zeros(len(rows.lane), np.uint64)
            if usable(f, columns, len(rows.lane)):
                compact, _ = f.compact(columns)  # type: ignore[arg-type]
            lead(values, self.model, self._net, k, compact, rows)
        model = self.model.with_parameters(_refitted(self.model, columns, values))
        tokens = tokenise(model.fields, columns, rows, values=values)
        if model.parameters().tobytes() != self.model.parameters().tobytes():
            tokens.parameters = model.parameters()
        return rows, tokens

    def encode(
        self,
        data: TableData,
        rows: RowSet,
        tokens: Tokenised | None,
        lane_buckets: Array,
        sources: Sources = (),
    ) -> TableChunk:
        """Encode one cluster.

        Parameters
        ----------
        data, sources
            As :meth:`tokenise` took them.
        rows, tokens
            What it returned.
        lane_buckets : uint8 array, shape (lanes, lane fields)
            What other tables say of each lane.
        """
        length = self._fold_length(data)
        if tokens is None or not len(rows.lane):
            return self._table.encode(data, length=length)
        specs = self._table.specs
        widths = column_widths(fold_specs(specs, length) if length else specs)
        run = NetworkRun(
            self.model, self._net, rows, tokens, lane_buckets, sources, widths, self._engine
        )
        return self._table.encode(data, run, length)


class EventDecoder:
    """Decodes table chunks of one plan by an event model.

    Parameters
    ----------
    model : EventModel
    plan, specs, pool, engine
        As :class:`EventEncoder` takes them.
    """

    def __init__(
        self,
        model: EventModel,
        plan: Plan,
        specs: tuple[ColumnSpec, ...],
        pool: Executor,
        engine: Engine | None = None,
    ) -> None:
        self.model = model
        self._net = unpack(model)
        self._table = TableDecoder(plan, specs)
        self._pool = pool
        self._engine = engine or CompiledEngine()

    def decode(
        self,
        payload: bytes,
        lanes: int,
        counts: Array | None,
        lane_buckets: Callable[[], Array],
        sources: Sources = (),
        decoded_size: int | None = None,
        others: Mapping[str, TableData] | None = None,
    ) -> tuple[TableData, list[Array] | None]:
        """Decode a chunk; return its data and the fields' compact integers.

        Parameters
        ----------
        payload, lanes, counts, decoded_size
            As :meth:`TableDecoder.open <vortex_hep.nn.coding.tabledecoder.TableDecoder.open>`
            takes them.
        lane_buckets : callable
            Gives a uint8 array, shape (lanes, lane fields); called when the chunk's size was found
            to be allowed.
        sources : sequence of Source or None
            One per link of the model.
        others : mapping of str to TableData
            Plans that predictors take inputs from.
        """
        opened = self._table.open(payload, lanes, counts, decoded_size)
        data, model = opened.data, self.model
        rows = lay_out(data.offsets, model.block)
        fits = model.fold == opened.length
        large = too_large(model, data.num_rows, len(data.offsets) - 1)
        compact = None
        if opened.has_network:
            if not fits:
                msg = f"lists are folded to length {opened.length}, the model expects {model.fold}"
                raise CorruptionError(msg)
            if large:
                raise CorruptionError("a table chunk has more tokens than the format allows")
            compact = self._network(opened, rows, lane_buckets(), sources, others or {})
        elif fits and not large:
            none = np.zeros(len(model.fields), np.bool_)
            compact = tokenise_known(model, none, data, rows, self._net).compact
        return opened.close(), compact

    def _network(
        self,
        opened: Opened,
        rows: RowSet,
        lane_buckets: Array,
        sources: Sources,
        others: Mapping[str, TableData],
    ) -> list[Array]:
        """Decode what the network coded; return the fields' compact integers."""
        model, net, data, specs = self.model, self._net, opened.data, opened.specs
        rest = opened.rest
        escapes = rest.section()
        parameters = rest.section() if model.has_predictors else b""
        network = rest.section()
        by_network = set(opened.left_to_network)
        for f, source in zip(model.fields, sources, strict=False):
            if is_virtual(f.columns[0]) and source is not None:
                by_network.add(f.columns[0])
        coded = np.array([all(n in by_network for n in f.columns) for f in model.fields], np.bool_)
        widths = column_widths(specs)
        kinds = {s.name: s.dtype for s in specs}
        for f, c in zip(model.fields, coded, strict=True):
            if c and any(kinds.get(n, f.dtype) != f.dtype for n in f.columns):
                raise CorruptionError(
                    f"the model expects dtype {f.dtype} of this column", branch=f.columns[0]
                )
        for name in by_network:
            members = [k for k, f in enumerate(model.fields) if name in f.columns and coded[k]]
            if not covers(model, members, widths.get(name, 1)):
                raise CorruptionError("coded by the network, but unknown to the model", branch=name)
        escaped = self._put_escapes(escapes, coded, data)
        known = tokenise_known(model, coded, data, rows, net)
        groups = cut_groups(rows.offsets, opened.log2)
        reader = Reader(network)
        sizes = unpack_array(reader, "<u4", len(groups.lanes))
        streams = [np.frombuffer(reader.take(4 * int(s)), "<u4").astype(np.uint32) for s in sizes]
        reader.finish()
        space = stack_rows(model, sources, known.tokens, rows)
        links = np.zeros((len(model.links), len(rows.lane)), np.int64)
        cluster = Cluster(
            rows.offsets, space.tokens, space.buckets, links, space.source_offsets, lane_buckets,
            ~coded,
        )  # fmt: skip

        def work(g: int) -> int:
            group = group_to_decode(groups.lanes[g], groups.active[g], streams[g])
            return self._engine.run_group(net, cluster, group, True)

        for g, used in enumerate(self._pool.map(work, range(len(groups.lanes)))):
            if used != len(streams[g]):
                raise CorruptionError("a network stream is longer than its symbols")
        mother = own_link(model)
        rows.mother = None if mother is None else links[mother]
        known.tokens = space.tokens[: len(rows.lane)]
        values = row_values(model, data.columns, rows, others)
        fields = self._fields(parameters)
        self._restore(fields, coded, known, data, rows, escaped, values)
        return known.compact

    def _put_escapes(self, escapes: bytes, coded: Array, data: TableData) -> list[Array]:
        """Write escaped values to their rows; return those rows, per field."""
        fields = self.model.fields
        escaped = [np.zeros(0, np.int64)] * len(fields)
        if not escapes:
            return escaped
        reader = Reader(escapes)
        counts = unpack_array(reader, "<u4", len(fields)).astype(np.int64)
        n = data.num_rows
        if (counts[~coded] != 0).any() or (counts > n).any():
            raise CorruptionError("escapes of a field that the network does not code")
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
                msg = "rows of escapes are out of order or out of range"
                raise CorruptionError(msg, branch=f.columns[0])
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

    def _fields(self, parameters: bytes) -> tuple[Field, ...]:
        """The model's fields, with the parameters that the chunk has of its own."""
        if not parameters:
            return self.model.fields
        reader = Reader(parameters)
        given = unpack_array(reader, "<f8", len(self.model.parameters()))
        reader.finish()
        if not np.isfinite(given).all():
            raise CorruptionError("a parameter of a predictor is not finite")
        fields = self.model.with_parameters(given).fields
        if any(f.predictor is not None and not f.predictor.allowed for f in fields):
            raise CorruptionError("a parameter of a predictor without parameters")
        return fields

    def _restore(
        self,
        fields: Sequence[Field],
        coded: Array,
        known: Tokenised,
        data: TableData,
        rows: RowSet,
        escaped: list[Array],
        values: RowValues,
    ) -> None:
        """Turn the decoded tokens into columns."""
        references = (None, rows.previous, rows.mother)
        values.pending |= {
            (n, f.component) for f, c in zip(fields, coded, strict=True) if c for n in f.columns
        }
        for k, f in enumerate(fields):
            if coded[k]:
                compact = read_tokens(known.tokens, f.width, int(self._net.field_start[k]))
                if len(compact) and int(compact.max()) > f.segments.top:
                    raise CorruptionError("a value lies outside its segments", branch=f.columns[0])
                known.compact[k] = compact
            if k < len(self.model.links):
                lead(values, self.model, self._net, k, known.compact[k], rows)
            if not coded[k] or is_virtual(f.columns[0]):
                continue
            if f.predictor is not None and not f.predictor.available(values):
                raise CorruptionError("an input of the predictor is missing", branch=f.columns[0])
            columns = {n: number_column(data, n) for n in f.columns}
            f.restore(known.compact[k], escaped[k], columns, references, values)
            values.pending -= {(n, f.component) for n in f.columns}


def tokenise_known(
    model: EventModel, coded: Array, data: TableData, rows: RowSet, net: Network
) -> Tokenised:
    """Tokens of the fields that are not coded; zero where the network is to fill them in."""
    # What these are differences to is not known before the network has run.
    hidden = np.array([f.reference >= LINKED_ROW for f in model.fields], np.bool_) | coded
    own = own_link(model)
    if own is not None and not coded[own]:
        rows.mother = mothers(model, net, data.columns, rows)
    return tokenise(model.fields, data.columns, rows, hidden)
