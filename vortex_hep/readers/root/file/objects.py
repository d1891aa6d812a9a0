"""Objects of a file as uproot reads them, from bytes that are decompressed already."""

from __future__ import annotations

from typing import Any

import numpy as np
import uproot

from vortex_hep.readers.root.file.tkey import Key

Chunk = uproot.source.chunk.Chunk
Cursor = uproot.source.cursor.Cursor


class _GivenKey(uproot.reading.ReadOnlyKey):  # type: ignore[misc]
    """A key whose object is at hand, so that how it was compressed does not matter."""

    def __init__(self, file: Any, key: Key, payload: bytes) -> None:
        self._payload = payload
        chunk = Chunk.wrap(file.source, np.frombuffer(key.pack(), np.uint8))
        super().__init__(chunk, Cursor(0), {}, file, file.root_directory, read_strings=True)

    @property
    def cache_key(self) -> str:
        """Never that of another key: restored files have the identifier of their original."""
        return f"{super().cache_key}:{id(self)}"

    def get_uncompressed_chunk_cursor(self) -> tuple[Any, Any]:
        """Return the object's bytes and their start."""
        chunk = Chunk.wrap(self._file.source, np.frombuffer(self._payload, np.uint8))
        return chunk, Cursor(0, origin=-self._fKeylen)


def read_object(file: Any, key: Key, payload: bytes) -> Any:
    """Have uproot read the object behind a key, whatever its name, cycle and compression.

    Parameters
    ----------
    file : uproot.ReadOnlyFile
    key : Key
    payload : bytes
        The object, uncompressed.
    """
    return _GivenKey(file, key, payload).get()


def read_streamers(file: Any, key: Key, payload: bytes) -> None:
    """Give uproot a file's streamer info, where it cannot decompress it by itself.

    Parameters
    ----------
    file : uproot.ReadOnlyFile
    key : Key
        Of the streamer info.
    payload : bytes
        The list of it, uncompressed.
    """
    found: dict[str, dict[int, Any]] = {}
    for item in read_object(file, key, payload):
        if isinstance(item, uproot.streamers.Model_TStreamerInfo):
            found.setdefault(item.name, {})[item.class_version] = item
    file._streamers, file._streamer_rules = found, []


def tree_headers(file: Any, class_name: bytes) -> int | None:
    """How many headers of classes stand in front of that of TTree; None for what is no tree.

    Parameters
    ----------
    file : uproot.ReadOnlyFile
    class_name : bytes
    """
    known = {b"TTree": 0, b"TNtuple": 1, b"TNtupleD": 1}
    if class_name in known:
        return known[class_name]
    name, depth = class_name.decode("utf-8", "replace"), 0
    if getattr(uproot.classes.get(name), "__module__", "").startswith("uproot.models"):
        return None  # a class of ROOT itself: no need to read the streamer info
    seen: set[str] = set()
    while name != "TTree":
        versions = file.streamers.get(name)
        if not versions or name in seen:
            return None
        seen.add(name)
        elements = versions[max(versions)].elements
        bases = [e for e in elements if isinstance(e, uproot.streamers.Model_TStreamerBase)]
        if not bases:
            return None
        name, depth = bases[0].name, depth + 1
    return depth
