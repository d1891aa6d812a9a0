"""Datasets with equal numbers of rows as one tree."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from vortex_hep.core.schema import MOST_ROWS, Array, Cluster, ColumnSpec, TableData, TableSpec
from vortex_hep.errors import NotFoundError
from vortex_hep.readers.hdf5.chunks.layout import DatasetLayout
from vortex_hep.readers.hdf5.chunks.recordtype import extract
from vortex_hep.readers.hdf5.datasets.lists import lists_of
from vortex_hep.readers.hdf5.datasets.naming import DatasetGroup
from vortex_hep.readers.hdf5.datasets.reading import ChunkReader
from vortex_hep.readers.hdf5.datasets.survey import StoredDataset

#: Bytes of filled-up rows that are read at a time.
_STEP = 1 << 24


class HDF5TreeSource:
    """A tree of an HDF5 file (a :class:`~vortex_hep.core.schema.TreeSource`).

    Parameters
    ----------
    group : DatasetGroup
    reader : ChunkReader
    filled : dict of str to float
        Part of the elements that is no padding, by path of dataset, where there are lists.
    """

    def __init__(self, group: DatasetGroup, reader: ChunkReader, filled: dict[str, float]) -> None:
        self.name = self.family = group.name
        self.members = group.members
        self.datasets = group.datasets
        self.num_entries = group.datasets[0].layout.rows
        self._table_of = dict(zip((d.name for d in group.datasets), group.tables, strict=True))
        self._reader = reader
        self._filled = filled
        self.tables = tuple(
            TableSpec(
                table,
                tuple(
                    spec
                    for d, t in zip(group.datasets, group.tables, strict=True)
                    if t == table
                    for spec in column_specs(d.layout)
                ),
                jagged=any(
                    d.layout.pad is not None
                    for d, t in zip(group.datasets, group.tables, strict=True)
                    if t == table
                ),
            )
            for table in dict.fromkeys(group.tables)
        )
        self._names = {c.name for t in self.tables for c in t.columns}

    def planned(self, dataset: StoredDataset) -> tuple[str, str, DatasetLayout]:
        """Tree, table and columns of a dataset as users of the archive know them.

        A member of a joint tree is a tree of its own there.
        """
        for member in self.members:
            if member.name == dataset.name:
                lay = dataset.layout
                own = tuple(replace(p, name=p.name.removeprefix(member.prefix)) for p in lay.parts)
                return member.name, "", replace(lay, parts=own)
        return self.name, self._table_of[dataset.name], dataset.layout

    def cluster_ranges(self, target_bytes: int) -> list[tuple[int, int]]:
        """Entry ranges (start, stop) that cover the tree, each near ``target_bytes`` raw.

        They end where chunks of the largest dataset do, if those are not much larger.
        """
        width = sum(d.layout.row_bytes * self._filled.get(d.name, 1.0) for d in self.datasets)
        rows = max(1, min(int(target_bytes / max(width, 1e-3)), MOST_ROWS))
        block = max(self.datasets, key=lambda d: d.layout.row_bytes).layout.block_rows
        if block <= rows:
            rows = rows // block * block
        elif block * width <= 2 * target_bytes:
            rows = block
        else:
            rows = -(-block // -(-block // rows))
        out = []
        start = 0
        while start < self.num_entries:
            stop = min(start + rows, self.num_entries)
            if block > rows:
                stop = min(stop, start // block * block + block)
            out.append((start, stop))
            start = stop
        return out

    def read(self, start: int, stop: int, columns: Sequence[str] | None = None) -> Cluster:
        """Data of entries ``start`` to ``stop``; all columns, or only those named.

        Raises
        ------
        NotFoundError
            There is no such column.
        SourceError
            The file is damaged.
        """
        for name in columns or ():
            if name not in self._names:
                raise NotFoundError("no such column", tree=self.name, branch=name)
        wanted = self._names if columns is None else set(columns)
        out: Cluster = {}
        for dataset in self.datasets:
            if any(p.name in wanted for p in dataset.layout.parts):
                table = self._table_of[dataset.name]
                data = self._read_dataset(dataset, start, stop, wanted)
                if table in out:
                    out[table].columns.update(data.columns)
                else:
                    out[table] = data
        return out

    def _read_dataset(
        self, dataset: StoredDataset, start: int, stop: int, wanted: set[str]
    ) -> TableData:
        lay = dataset.layout
        if lay.pad is None:
            records = self._reader.rows(dataset, start, stop)
            offsets = np.arange(stop - start + 1, dtype=np.int64)
        else:
            lengths, records = self._read_lists(dataset, start, stop, lay.pad)
            offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        parts = [p for p in lay.parts if p.name in wanted]
        return TableData(offsets, {p.name: extract(records, p) for p in parts})

    def _read_lists(
        self, dataset: StoredDataset, start: int, stop: int, pad: bytes
    ) -> tuple[Array, Array]:
        step = max(1, _STEP // dataset.layout.row_bytes)
        lengths = [np.zeros(0, np.int64)]
        records = [np.zeros((0, dataset.layout.size), np.uint8)]
        for at in range(start, stop, step):
            rows = self._reader.rows(dataset, at, min(at + step, stop))
            counts, elements = lists_of(rows, pad)
            lengths.append(counts)
            records.append(elements)
        return np.concatenate(lengths), np.concatenate(records)


def column_specs(layout: DatasetLayout) -> list[ColumnSpec]:
    """Columns of a dataset."""
    inner = layout.inner if layout.pad is None else ()
    return [
        ColumnSpec(
            p.name, p.dtype, inner + p.shape,
            typename=p.typename + "".join(f"[{n}]" for n in inner),
        )
        for p in layout.parts
    ]  # fmt: skip
