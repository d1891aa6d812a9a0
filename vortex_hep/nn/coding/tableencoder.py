"""The encoder of table chunks: the network where it is smaller, classical coders elsewhere."""

from __future__ import annotations

from concurrent.futures import Executor
from typing import Any

import numpy as np
import numpy.typing as npt

from vortex_hep.codec.columns import classical
from vortex_hep.codec.container.container import xxh3
from vortex_hep.codec.plan import Plan
from vortex_hep.codec.sections import join
from vortex_hep.codec.tokens.folding import fold, fold_specs
from vortex_hep.core.schema import ColumnSpec, TableData, VarBytes
from vortex_hep.nn.coding.networkrun import Run
from vortex_hep.nn.coding.tablechunk import (
    CLASSICAL,
    CODED,
    FOLDED,
    HAS_COUNTS,
    HAS_NETWORK,
    HEAD,
    NETWORK,
    SOLID,
    STRINGS,
    ColumnReport,
    TableChunk,
    decoded_bytes,
    number_column,
    pack_array,
    raw_size,
    stores_counts,
)
from vortex_hep.nn.event.linking import is_virtual

Array = npt.NDArray[Any]

#: A column whose network cost is below this many bytes is not worth a second look.
_SMALL_BYTES = 16
#: A network that was this much better than the best classical coder when it was trained, and
#: costs no more now than then, is not compared again.
_CLEAR_WIN = 0.92
_DRIFT = 1.06
#: What the coders make of a sample tells to within so much what they make of a whole column; the
#: quick coders come this close to the best ones, or closer.
_SAMPLE_MARGIN, _QUICK_MARGIN = 0.995, 0.93
#: Larger columns are not put into the solid group.
_SOLID_BYTES = 1 << 16


def _likely_wins(names: list[str], cost: float, data: TableData, effort: classical.Effort) -> bool:
    """Whether classical coders are likely to take more than ``cost`` bytes for some columns."""
    columns = [number_column(data, n) for n in names]
    steps: list[tuple[classical.Effort, float]] = [("fast", _QUICK_MARGIN)]
    steps += [(effort, _SAMPLE_MARGIN)] if effort != "fast" else []
    return any(
        cost < margin * sum(classical.likely_size(c, effort=how) for c in columns)
        for how, margin in steps
    )


class TableEncoder:
    """Encodes clusters of one plan, with what a network makes of each or by classical coders alone.

    Parameters
    ----------
    plan : Plan
    specs : tuple of ColumnSpec
        Of the plan's columns, in order.
    effort : {"fast", "normal", "max"}
        For classical coders; "max" compares all columns with all of them.
    pool : Executor
        Runs the groups of a chunk.
    """

    def __init__(
        self, plan: Plan, specs: tuple[ColumnSpec, ...], effort: classical.Effort, pool: Executor
    ) -> None:
        self.plan = plan
        self.specs = specs
        self.effort = effort
        self.pool = pool

    def encode(self, data: TableData, run: Run | None = None, length: int = 0) -> TableChunk:
        """Encode one cluster.

        Parameters
        ----------
        data : TableData
        run : Run, optional
            What a network makes of the cluster, where there is one.
        length : int
            Of the lists, where they are folded.
        """
        whole = decoded_bytes(self.plan, self.specs, data)
        specs = self.specs
        if length:
            specs, data = fold_specs(specs, length), fold(data, length)
        modes = {s.name: CLASSICAL for s in specs}
        costs: dict[str, float] = {}
        payloads: dict[str, tuple[int, bytes]] = {}
        network: list[bytes] = []
        if run is not None:
            while True:
                run.predict(self.pool)
                costs = run.column_costs(data)
                modes = {s.name: CLASSICAL for s in specs}
                self._choose(data, run, modes, costs, payloads)
                coded = run.coded_fields(modes)
                if not run.drop_linked(coded):
                    break
            network = run.sections(coded, data, self.pool)
        log2 = run.log2 if run is not None and network else 0
        return self._assemble(data, specs, whole, modes, costs, payloads, network, log2)

    def _choose(
        self,
        data: TableData,
        run: Run,
        modes: dict[str, int],
        costs: dict[str, float],
        payloads: dict[str, tuple[int, bytes]],
    ) -> None:
        """Decide for every group of columns that share fields whether the network codes them."""
        row_count = max(1, run.row_count)
        close: list[tuple[list[str], float]] = []
        unsure: list[tuple[list[str], float]] = []
        for names, fields in run.column_groups():
            if not run.may_code(fields):
                continue
            cost = sum(costs.get(n, 0.0) for n in names)
            if is_virtual(names[0]) or cost <= _SMALL_BYTES:
                modes.update(dict.fromkeys(names, NETWORK))
                continue
            expected, rival = run.expected(fields)
            bits = 8 * cost / row_count
            if self.effort == "max":
                close.append((names, cost))
            elif expected < _CLEAR_WIN * rival and bits <= _DRIFT * expected:
                modes.update(dict.fromkeys(names, NETWORK))
            else:
                (unsure if bits < rival else close).append((names, cost))
        wins = self.pool.map(lambda item: _likely_wins(item[0], item[1], data, self.effort), unsure)
        for item, win in zip(unsure, wins, strict=True):
            if win:
                modes.update(dict.fromkeys(item[0], NETWORK))
            else:
                close.append(item)
        self._classical(data, [n for names, _ in close for n in names], payloads)
        for names, cost in close:
            if sum(len(payloads[n][1]) for n in names) > cost:
                modes.update(dict.fromkeys(names, NETWORK))

    def _classical(
        self, data: TableData, names: list[str], payloads: dict[str, tuple[int, bytes]]
    ) -> None:
        """Encode columns by the best classical coders, side by side."""
        missing = [n for n in names if n not in payloads]
        found = self.pool.map(
            lambda n: classical.encode_best(number_column(data, n), effort=self.effort), missing
        )
        payloads.update(zip(missing, found, strict=True))

    def _assemble(
        self,
        data: TableData,
        specs: tuple[ColumnSpec, ...],
        whole: bytes,
        modes: dict[str, int],
        costs: dict[str, float],
        payloads: dict[str, tuple[int, bytes]],
        network: list[bytes],
        log2: int,
    ) -> TableChunk:
        lanes = len(data.offsets) - 1
        strings: list[bytes] = []
        plain = [s.name for s in specs if not isinstance(data.columns[s.name], VarBytes)]
        self._classical(data, [n for n in plain if modes[n] == CLASSICAL], payloads)
        for spec in specs:
            column = data.columns[spec.name]
            if isinstance(column, VarBytes):
                modes[spec.name] = STRINGS
                strings.append(classical.encode_varbytes(column))
                costs[spec.name] = len(strings[-1])
            elif modes[spec.name] == CLASSICAL:
                costs[spec.name] = len(payloads[spec.name][1])
        solid = self._solid(data, modes, payloads)
        apart = b"".join(
            CODED.pack(payloads[s.name][0], len(payloads[s.name][1])) + payloads[s.name][1]
            for s in specs
            if modes[s.name] == CLASSICAL
        )
        flags = (HAS_NETWORK if network else 0) | (HAS_COUNTS if stores_counts(self.plan) else 0)
        flags |= FOLDED if specs is not self.specs else 0
        sections = [pack_array(np.array([modes[s.name] for s in specs], np.uint8))]
        if flags & HAS_COUNTS:
            sections.append(pack_array(np.diff(data.offsets).astype(np.uint32)))
        sections += [apart, solid, join(strings)]
        sections += network
        payload = HEAD.pack(flags, log2, lanes, data.num_rows) + join(sections)
        reports = [
            ColumnReport(
                s.name,
                self._coder_name(s.name, modes, payloads),
                raw_size(data.columns[s.name]),
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
            if modes[s.name] == CLASSICAL and number_column(data, s.name).nbytes <= _SOLID_BYTES
        ]
        if len(names) < 2 or data.num_rows == 0:
            return b""
        solid = classical.encode_solid([number_column(data, n) for n in names])
        if len(solid) >= sum(len(payloads[n][1]) + CODED.size for n in names):
            return b""
        for n in names:
            modes[n] = SOLID
        return solid
