"""Baskets that belong to no known tree: a sign of trees inside other objects.

A tree inside a list or another object names its baskets by file offset as any tree does. Such an
object cannot be moved without knowing it, so a file with one is carried whole.
"""

from __future__ import annotations

from collections.abc import Iterable

from vortex_hep.readers.root.file.bytesource import ByteReader
from vortex_hep.readers.root.file.tkey import Key

#: How ROOT writes the first object of a class that starts with these letters (kNewClassTag).
_BRANCH_TAG = b"\xff\xff\xff\xffTBranch"
_KEY_ROOM = 256


def has_orphan_baskets(reader: ByteReader, known: Iterable[tuple[int, int]], end: int) -> bool:
    """Whether a TBasket lies outside all records ``known`` as (start, size)."""
    position = 0
    for start, size in [*sorted(set(known)), (end, 0)]:
        while position < start:
            try:
                key, _ = Key.unpack(reader.read(position, min(_KEY_ROOM, end - position)))
            except ValueError:
                break  # not a record: space that nothing uses
            if key.nbytes < 0:
                position -= key.nbytes  # a gap
            elif key.nbytes < key.keylen or key.keylen <= 0:
                break
            elif key.class_name == b"TBasket":
                return True
            else:
                position += key.nbytes
        position = max(position, start + size)
    return False


def hides_tree(payload: bytes) -> bool:
    """Whether an object's bytes contain a branch."""
    return _BRANCH_TAG in payload
