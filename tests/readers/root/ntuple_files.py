"""RNTuples written piece by piece, for layouts that uproot reads but does not write.

By the sections "Envelopes", "Header Envelope", "Footer Envelope" and "Page List Envelope" of ROOT's
``BinaryFormatSpecification.md``.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import uproot
import xxhash

from vortex_hep.readers.root.rntuple.envelopes import Anchor

LOWEST = -(1 << 63)


def _text(value: str) -> bytes:
    return struct.pack("<I", len(value)) + value.encode()


def _record(payload: bytes) -> bytes:
    return struct.pack("<q", 8 + len(payload)) + payload


def _list(items: list[bytes]) -> bytes:
    payload = b"".join(items)
    return struct.pack("<qI", -(12 + len(payload)), len(items)) + payload


def _envelope(kind: int, body: bytes) -> bytes:
    data = struct.pack("<Q", kind | (16 + len(body)) << 16) + body
    return data + struct.pack("<Q", xxhash.xxh3_64_intdigest(data))


def a_field(parent: int, role: int, name: str, typename: str) -> bytes:
    """A field's record; a field at the top is its own parent."""
    head = struct.pack("<IIIHH", 0, 0, parent, role, 0)
    return _record(head + b"".join(map(_text, (name, typename, "", ""))))


def a_column(
    code: int, bits: int, of: int, *, first: int | None = None, representation: int = 0
) -> bytes:
    """A column's record; ``first`` is the element with which a deferred one begins."""
    head = struct.pack("<HHIHH", code, bits, of, first is not None, representation)
    return _record(head + (b"" if first is None else struct.pack("<q", first)))


@dataclass
class Cluster:
    """Entries, and of each column its page, as (elements, bytes), or None where it has none."""

    entries: int
    pages: list[tuple[int, bytes] | str | None] = field(default_factory=list)


def write(
    path: Path,
    fields: tuple[list[bytes], list[bytes]],
    columns: tuple[list[bytes], list[bytes]],
    clusters: list[Cluster],
    more: bytes = b"",
) -> None:
    """Write a file with the RNTuple ``N``.

    Parameters
    ----------
    path : Path
    fields, columns : pair of lists
        Records in the header, and in the footer's extension of the schema.
    clusters : list of Cluster
        A page of ``"suppressed"`` is that of a representation that is not used.
    more : bytes
        What the footer has behind its list of cluster groups.
    """
    with uproot.recreate(path, compression=None) as file:
        file["first"] = {"a": np.arange(100)}
        file.mkrntuple("N", {"unused": np.arange(3)})
    with uproot.open(path) as file:
        key = file.key("N")
        at, size = key.fSeekKey + key.fKeylen, key.fObjlen
    data = bytearray(path.read_bytes())

    def put(record: bytes) -> int:
        data.extend(record)
        return len(data) - len(record)

    empty = _list([])
    body = bytes(8) + _text("N") + _text("") + _text("test")
    header = _envelope(1, body + _list(fields[0]) + _list(columns[0]) + empty + empty)
    checksum = header[-8:]
    summaries, described, entry = [], [], 0
    for cluster in clusters:
        summaries.append(_record(struct.pack("<QQ", entry, cluster.entries)))
        entry += cluster.entries
        lists = []
        for page in cluster.pages:
            inner = b""
            if isinstance(page, tuple):
                inner = struct.pack("<iiQ", page[0], len(page[1]), put(page[1]))
            tail = struct.pack("<q", LOWEST) if page == "suppressed" else struct.pack("<qI", 0, 0)
            length = -(12 + len(inner) + len(tail))
            lists.append(struct.pack("<qI", length, bool(inner)) + inner + tail)
        described.append(_list(lists))
    pages = _envelope(3, checksum + _list(summaries) + _list(described))
    link = struct.pack("<QiQ", len(pages), len(pages), put(pages))
    group = _record(struct.pack("<QQI", 0, entry, len(clusters)) + link)
    extension = _record(_list(fields[1]) + _list(columns[1]) + empty + empty)
    footer = _envelope(2, bytes(8) + checksum + extension + _list([group]) + more)
    anchor = Anchor.unpack(bytes(data[at : at + size]))
    anchor.fields[4:10] = [
        *(put(header), len(header), len(header)),
        *(put(footer), len(footer), len(footer)),
    ]
    data[at : at + size] = anchor.pack()
    data[12:16] = len(data).to_bytes(4, "big")
    path.write_bytes(data)
