"""The contents of a file as byte strings, the same for every codec."""

from __future__ import annotations

import lzma
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from vortex_hep.core.schema import FileSource, TableData, TableSpec, TreeSource, VarBytes

#: Bytes of columns read at a time.
READ_BYTES = 64_000_000

#: Name of the column that holds what a file has besides its trees' data.
REMAINDER = "(rest of the file)"

#: Kinds whose columns are a reader's view of them: their users see a text, or bytes.
WITHOUT_COLUMNS = ("hepmc", "opaque")


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
    """All columns of a file, its other bytes, and the file as one stream where that makes sense.

    Parameters
    ----------
    columns : tuple of Column
        Those of all trees; jagged columns without a counter branch have their counts added.
    remainder : Column
        Headers and metadata, needed to restore the file.
    kind : str
        Kind of the file, as readers name it.
    stream : bytes, optional
        What a user would give to xz: the text of a HepMC file without its compression, any other
        file as it is. None for ROOT files, whose compression is their own.
    """

    columns: tuple[Column, ...]
    remainder: Column
    kind: str = "root"
    stream: bytes | None = None

    @property
    def raw_bytes(self) -> int:
        """Bytes that ratios and speeds refer to.

        Those of the text or file where the format has no columns (HepMC, unknown files); else
        those of the columns: the remainder is not data and does not count.
        """
        if self.stream is not None and self.kind in WITHOUT_COLUMNS:
            return len(self.stream)
        return sum(len(column.data) for column in self.columns)

    @cached_property
    def stored_remainder(self) -> int:
        """Bytes of the remainder under the better of xz -9 and zstd -19."""
        from vortex_hep.core import zstd

        data = self.remainder.data
        return min(len(zstd.compress(data, 19)), len(lzma.compress(data, preset=9)))


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
        content = content_of(source)
    return replace(content, stream=_stream(path, content.kind))


def _stream(path: str, kind: str) -> bytes | None:
    """Return a whole file as one string of bytes, HepMC text without its compression."""
    if kind == "root":
        return None
    if kind != "hepmc":
        return Path(path).read_bytes()
    from vortex_hep.core.storage.ranges import open_binary
    from vortex_hep.readers.hepmc.packed.stream import Stream

    stream = Stream(open_binary(path))
    try:
        return b"".join(stream.pieces(0))
    finally:
        stream.close()


def content_of(source: FileSource) -> Content:
    """The content of an open source."""
    columns = [column for tree in source.trees.values() for column in _tree_columns(tree)]
    # After the trees: the remainder holds what reading them did not account for.
    blobs = b"".join(blob for _, blob in source.remainder())
    return Content(tuple(columns), Column(REMAINDER, blobs, 1, "|u1"), source.kind)


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
