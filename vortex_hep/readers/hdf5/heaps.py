"""Global heaps, which hold data of variable length, and those on which the library hangs.

Numbers of sections are those of the HDF5 File Format Specification, version 4.0.
"""

from __future__ import annotations

from collections.abc import Iterator

#: What a collection begins with: signature, version 1, three reserved bytes (III.E).
_COLLECTION = b"GCOL\x01\0\0\0"
_HEADER = 16


def endless_heap(data: bytes) -> int | None:
    """Find a collection of objects in which the library would go round for ever.

    Parameters
    ----------
    data : bytes
        Of a file whose lengths have eight bytes.

    Returns
    -------
    int or None
        Where the object is that leads nowhere.
    """
    for start, stop in _collections(data):
        at = start + _HEADER
        while at + _HEADER <= stop:
            index = int.from_bytes(data[at : at + 2], "little")
            size = int.from_bytes(data[at + 8 : at + 16], "little")
            # Object 0 is the free space, whose size counts its header.
            step = _HEADER + -(-size // 8) * 8 if index else size
            if not step:
                return at
            at += step
    return None


def _collections(data: bytes) -> Iterator[tuple[int, int]]:
    at = data.find(_COLLECTION)
    while at >= 0:
        size = int.from_bytes(data[at + 8 : at + 16], "little")
        if at + size <= len(data):
            yield at, at + size
        at = data.find(_COLLECTION, at + 1)
