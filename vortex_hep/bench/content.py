"""What a file holds, as byte strings that every codec is given alike."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from vortex_hep.schema import FileSource, TableData, TableSpec, TreeSource, VarBytes

#: Bytes of columns read at a time.
READ_BYTES = 64_000_000

#: Name of the column that holds what a file has besides its trees' data.
REMAINDER = "(rest of the file)"


@dataclass(frozen=True)
class Column:
    """One column of one tree.

    Parameters
    ----------
    name : str
        ``tree/branch``.
    data : bytes
        Values one after another, little-endian, lists flattened.
    width : int
        Bytes of one value.
    dtype : str
        NumPy's name of the values' type.
    """

    name: str
    data: bytes
    width: int
    dtype: str

    def values(self) -> Any:
        """The values as an array, shape (len(data) // width,)."""
        return np.frombuffer(self.data, dtype=self.dtype)


@dataclass(frozen=True)
class Content:
    """All columns of a file, and its other bytes.

    Parameters
    ----------
    columns : tuple of Column
        Those of all trees; jagged columns without a counter branch have their counts added.
    remainder : Column
        Headers and metadata, needed to restore the file.
    """

    columns: tuple[Column, ...]
    remainder: Column

    @property
    def raw_bytes(self) -> int:
        """Bytes of the columns; the remainder is not data and does not count."""
        return sum(len(column.data) for column in self.columns)


def load_content(path: str) -> Content:
    """Read a whole file.

    Parameters
    ----------
    path : str

    Returns
    -------
    Content

    Raises
    ------
    SourceError
        If the file cannot be read.
    """
    from vortex_hep.readers import open_source

    with open_source(path) as source:
        return content_of(source)


def content_of(source: FileSource) -> Content:
    """The content of an open source."""
    columns = [column for tree in source.trees.values() for column in _tree_columns(tree)]
    # After the trees: the remainder holds what reading them did not account for.
    blobs = b"".join(blob for _, blob in source.remainder())
    return Content(tuple(columns), Column(REMAINDER, blobs, 1, "|u1"))


def _tree_columns(tree: TreeSource) -> list[Column]:
    parts: dict[str, list[bytes]] = {}
    kinds: dict[str, str] = {}
    for start, stop in tree.cluster_ranges(READ_BYTES):
        cluster = tree.read(start, stop)
        for table in tree.tables:
            for name, array in _arrays(table, cluster[table.name]):
                kinds[name] = array.dtype.newbyteorder("<").str
                parts.setdefault(name, []).append(np.ascontiguousarray(array).tobytes())
    return [
        Column(f"{tree.name}/{name}", b"".join(found), np.dtype(kinds[name]).itemsize, kinds[name])
        for name, found in parts.items()
    ]


def _arrays(table: TableSpec, data: TableData) -> list[tuple[str, Any]]:
    out: list[tuple[str, Any]] = []
    if table.jagged and table.counter is None:
        out.append((f"{table.name}(counts)", np.diff(data.offsets).astype("<i4")))
    for name, column in data.columns.items():
        if isinstance(column, VarBytes):
            out.append((f"{name}(lengths)", np.diff(column.offsets).astype("<i4")))
            out.append((name, column.content))
        else:
            out.append((name, column))
    return out
