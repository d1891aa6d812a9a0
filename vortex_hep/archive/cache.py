"""Caches of decoded chunks: in memory, or in a folder that processes share."""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from typing import Protocol

import numpy as np

from vortex_hep.archive.foldercache import FolderCache
from vortex_hep.core.schema import Array, VarBytes
from vortex_hep.core.sizes import byte_count, is_size
from vortex_hep.errors import UnsupportedTypeError
from vortex_hep.nn.coding.treecoder import DecodedTable

__all__ = ["CacheLike", "ChunkCache", "FolderCache", "MemoryCache", "open_cache"]

#: What :class:`MemoryCache` holds where nothing else is said.
MEMORY_LIMIT = 512 * 10**6


class ChunkCache(Protocol):
    """Decoded tables by key, which names the archive's content and the chunk."""

    def get(self, key: str) -> DecodedTable | None:
        """Return what was put under a key, or None; its arrays are not to be written to."""
        ...

    def put(self, key: str, table: DecodedTable) -> None:
        """Keep a table, at least for a while; its arrays become read-only."""
        ...


CacheLike = ChunkCache | str | os.PathLike[str] | None


class MemoryCache:
    """Decoded chunks in memory; what was not used for longest goes first.

    Threads may share it. Pickled, it arrives empty.

    Parameters
    ----------
    limit : int or str
        Bytes, or a size such as ``"500 MB"``.

    Attributes
    ----------
    nbytes : int
        Bytes held at present, never more than the limit.

    Examples
    --------
    >>> MemoryCache("100 MB").limit
    100000000
    """

    def __init__(self, limit: int | str = MEMORY_LIMIT) -> None:
        self.limit = byte_count(limit)
        self.nbytes = 0
        self._tables: OrderedDict[str, tuple[DecodedTable, int]] = OrderedDict()
        self._lock = threading.Lock()

    def __reduce__(self) -> tuple[type[MemoryCache], tuple[int]]:
        return MemoryCache, (self.limit,)

    def __len__(self) -> int:
        return len(self._tables)

    def get(self, key: str) -> DecodedTable | None:
        """Return the table of a key, or None."""
        with self._lock:
            if key not in self._tables:
                return None
            self._tables.move_to_end(key)
            return self._tables[key][0]

    def put(self, key: str, table: DecodedTable) -> None:
        """Keep a table, unless it is larger than the limit."""
        arrays = _arrays(table)
        for array in arrays:
            array.setflags(write=False)
        size = sum(int(a.nbytes) for a in arrays)
        if size > self.limit:
            return
        with self._lock:
            if key in self._tables:
                self.nbytes -= self._tables.pop(key)[1]
            self._tables[key] = table, size
            self.nbytes += size
            while self.nbytes > self.limit:
                self.nbytes -= self._tables.popitem(last=False)[1][1]


def _arrays(table: DecodedTable) -> list[Array]:
    out = [table.offsets]
    for column in table.columns.values():
        out += [column.offsets, column.content] if isinstance(column, VarBytes) else [column]
    return out if table.source is None else [*out, np.asarray(table.source.buckets)]


def open_cache(cache: CacheLike) -> ChunkCache | None:
    """Return the cache that a user means.

    Parameters
    ----------
    cache : ChunkCache, str, path or None
        A size such as ``"500 MB"`` means a cache in memory, any other text or path a folder,
        made if it is not there.

    Raises
    ------
    OutputError
        The folder cannot be made or written to.
    """
    if isinstance(cache, str) and is_size(cache):
        return MemoryCache(cache)
    if isinstance(cache, (str, os.PathLike)):
        return FolderCache(cache)
    if cache is None or (hasattr(cache, "get") and hasattr(cache, "put")):
        return cache
    raise UnsupportedTypeError(
        f"expected a cache, got {type(cache).__name__}",
        hint="pass a folder, a size, vortex_hep.MemoryCache or vortex_hep.FolderCache",
    )
