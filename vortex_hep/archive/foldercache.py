"""A persistent cache of decoded chunks in a folder, shared by many processes."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import struct
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from vortex_hep.codec.container.container_format import xxh3
from vortex_hep.codec.tokens.rows import Source
from vortex_hep.core.schema import Array, VarBytes
from vortex_hep.core.sizes import byte_count
from vortex_hep.core.storage.atomic import output_error
from vortex_hep.nn.coding.treecoder import DecodedTable

#: What the folder holds where nothing else is said, in bytes.
FOLDER_LIMIT = 10 * 10**9

_MAGIC = b"VXCHUNK1"
_HEAD = struct.Struct("<8sQ")  # magic, bytes of the description
_CHECK = struct.Struct("<Q")  # at the end: XXH3-64 of all before
_SUFFIX = ".chunk"
_PART = ".part"
_ABANDONED = 3600.0  # seconds after which a partial file has no writer any more


class FolderCache:
    """Decoded chunks in a folder; what was not used for longest goes first.

    Every entry is under a checksum: one that is damaged is removed and counts as missing. Entries
    appear whole or not at all. Where the disk is full, entries are not kept and a warning says so.

    Parameters
    ----------
    folder : str or path
        On a local disk; made if it is not there.
    limit : int or str
        Bytes, or a size such as ``"10 GB"``. Each process looks at the whole folder after it added
        a 64th of it, so that several may together exceed it by as much.

    Raises
    ------
    OutputError
        The folder cannot be made or written to.
    """

    def __init__(self, folder: str | os.PathLike[str], limit: int | str = FOLDER_LIMIT) -> None:
        self.folder = Path(folder).expanduser().absolute()
        self.limit = byte_count(limit)
        self._added = self.limit  # unknown what is there: look at the first occasion
        self._warned = False
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            probe = self._new_name("probe")
            probe.touch()
            probe.unlink()
        except OSError as error:
            raise output_error(error, str(self.folder)) from error

    def __reduce__(self) -> tuple[type[FolderCache], tuple[Path, int]]:
        return FolderCache, (self.folder, self.limit)

    def _new_name(self, key: str) -> Path:
        return self.folder / f".{key}-{secrets.token_hex(4)}{_PART}"

    def get(self, key: str) -> DecodedTable | None:
        """Return the table of a key, or None."""
        path = self.folder / f"{key}{_SUFFIX}"
        try:
            data = path.read_bytes()
        except OSError:
            return None
        table = _unpack(key, data)
        # It may be gone already: another process may have removed it to make room.
        with contextlib.suppress(OSError):
            if table is None:
                path.unlink()
            else:
                os.utime(path)
        return table

    def put(self, key: str, table: DecodedTable) -> None:
        """Keep a table, unless it is larger than the limit or the disk is full."""
        blocks = _pack(key, table)
        size = sum(len(b) for b in blocks)
        if size > self.limit:
            return
        part = self._new_name(key)
        try:
            try:
                with part.open("xb") as file:
                    file.writelines(blocks)
                part.replace(self.folder / f"{key}{_SUFFIX}")
            except BaseException:
                part.unlink(missing_ok=True)
                raise
        except OSError as error:
            if not self._warned:
                self._warned = True
                warnings.warn(
                    f"{self.folder}: decoded data are not kept: {error.strerror or error}",
                    stacklevel=2,
                )
            return
        self._added += size
        if self._added >= self.limit // 64:
            self._make_room()

    def _make_room(self) -> None:
        """Remove what was not used for longest until the rest is within the limit."""
        found: list[tuple[float, int, str]] = []
        now = time.time()
        with os.scandir(self.folder) as entries:
            for entry in entries:
                with contextlib.suppress(OSError):
                    stat = entry.stat()
                    if entry.name.endswith(_SUFFIX):
                        found.append((stat.st_mtime, stat.st_size, entry.path))
                    elif entry.name.endswith(_PART) and now - stat.st_mtime > _ABANDONED:
                        Path(entry.path).unlink()
        total = sum(size for _, size, _ in found)
        for _, size, path in sorted(found):
            if total <= self.limit:
                break
            with contextlib.suppress(OSError):
                Path(path).unlink()
            total -= size
        self._added = 0


def _pack(key: str, table: DecodedTable) -> list[bytes]:
    arrays: list[Array] = []

    def place(array: Array) -> list[Any]:
        arrays.append(np.ascontiguousarray(array))
        return [array.dtype.str, list(array.shape)]

    document: dict[str, Any] = {"key": key, "offsets": place(table.offsets), "columns": []}
    for name, column in table.columns.items():
        parts = [column.offsets, column.content] if isinstance(column, VarBytes) else [column]
        document["columns"].append([name, [place(p) for p in parts]])
    if table.source is not None:
        document["source"] = place(table.source.buckets)
    description = json.dumps(document).encode()
    description += b" " * (-len(description) % 16)
    blocks = [_HEAD.pack(_MAGIC, len(description)), description]
    for array in arrays:
        raw = array.tobytes()
        blocks += [raw, bytes(-len(raw) % 16)]
    return [*blocks, _CHECK.pack(xxh3(b"".join(blocks)))]


def _unpack(key: str, data: bytes) -> DecodedTable | None:
    """Read what :func:`_pack` gave; None where one byte of it is another."""
    body = memoryview(data)[: -_CHECK.size]
    if len(data) < _HEAD.size + _CHECK.size or _CHECK.pack(xxh3(body)) != data[-_CHECK.size :]:
        return None
    magic, size = _HEAD.unpack_from(data)
    document = json.loads(data[_HEAD.size : _HEAD.size + size]) if magic == _MAGIC else {}
    if document.get("key") != key:
        return None
    at = _HEAD.size + size

    def take(place: list[Any]) -> Array:
        nonlocal at
        dtype, shape = np.dtype(place[0]), tuple(place[1])
        count = int(np.prod(shape, dtype=np.int64))
        array = np.frombuffer(data, dtype, count, at).reshape(shape)
        at += array.nbytes + -array.nbytes % 16
        return array

    offsets = take(document["offsets"])
    columns: dict[str, Array | VarBytes] = {}
    for name, places in document["columns"]:
        parts = [take(p) for p in places]
        columns[name] = VarBytes(*parts) if len(parts) == 2 else parts[0]
    source = None
    if "source" in document:
        source = Source(offsets, columns, take(document["source"]))
    return DecodedTable(offsets, columns, source)
