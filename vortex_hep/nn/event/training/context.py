"""Context of a table: columns of other tables with one row per entry."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from vortex_hep.codec.plan import CORE
from vortex_hep.codec.tokens.fields import Field
from vortex_hep.codec.tokens.rows import Source
from vortex_hep.core.schema import TableData
from vortex_hep.nn.event.training.information import mutual_information

Array = npt.NDArray[Any]
#: Plan and column of what is known of each entry.
Context = tuple[tuple[str, str], ...]

#: Share of a table's bits that context of other tables must save, ...
_LEAST_GAIN = 0.01
#: ... or this share where reading that table costs more than reading this one.
_DEAR_GAIN = 0.015
#: Bits that a column must tell of some field to be tried as context.
_LEAST_TOLD_BITS = 0.02
_CONTEXT_ROWS = 1 << 13
#: Columns of one plan that are context, at most.
_MOST_CONTEXT = 32


@dataclass
class Known:
    """What is known of the entries before a table comes: candidates for its context.

    ``columns`` are plan and column, ``buckets`` uint8 of shape (entries, columns); ``weight`` is
    how many bytes must be read for those of a plan.
    """

    columns: list[tuple[str, str]]
    buckets: list[Array]
    weight: dict[str, float]
    tables: dict[str, TableData]

    def add(
        self, plan: str, fields: Sequence[Field], source: Source, data: TableData, row_bytes: float
    ) -> None:
        """Offer the fields of a plan with one row per entry."""
        self.tables[plan] = data
        for k, f in enumerate(fields):
            if f.component == 0:
                self.columns.append((plan, f.columns[0]))
                self.buckets.append(source.buckets[:, k])
        self.weight[plan] = row_bytes * len(source.buckets)

    def core(self) -> Known:
        """What is known of the entries by the core alone."""
        kept = [k for k, (plan, _) in enumerate(self.columns) if plan == CORE]
        return Known([self.columns[k] for k in kept], [self.buckets[k] for k in kept], {}, {})


def choose_context(
    known: Known, buckets: Array, entry: Array, raw: int
) -> tuple[Context, Array, float]:
    """Choose what of the entries a table may have as context, those buckets, and the least gain.

    Parameters
    ----------
    known : _Known
    buckets : uint8 array, shape (rows, fields)
    entry : int64 array, shape (rows,)
        Entry of each row.
    raw : int
        Bytes of the table.
    """
    chosen = [k for k, (source, _) in enumerate(known.columns) if source == CORE]
    others: dict[str, list[int]] = {}
    for k, (source, _) in enumerate(known.columns):
        if source != CORE:
            others.setdefault(source, []).append(k)
    rows = np.arange(0, len(buckets), max(1, len(buckets) // _CONTEXT_ROWS))
    share = 0.0
    for source, members in others.items():
        told = np.array(
            [
                max(mutual_information(known.buckets[k][entry[rows]], b) for b in buckets[rows].T)
                for k in members
            ]
        )
        order = np.argsort(-told)[:_MOST_CONTEXT]
        best = [members[k] for k in order if told[k] >= _LEAST_TOLD_BITS]
        if best:
            chosen += best
            share = max(share, _LEAST_GAIN if known.weight[source] <= raw else _DEAR_GAIN)
    seen = [known.buckets[k] for k in chosen]
    context = tuple(known.columns[k] for k in chosen)
    if not chosen:
        return (), np.zeros((int(entry.max(initial=0)) + 1, 0), np.uint8), 0.0
    return context, np.ascontiguousarray(np.stack(seen, axis=1)), share
