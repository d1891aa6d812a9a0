"""Sinks for a restored file's baskets and pages: appended, or at their old positions."""

from __future__ import annotations

from dataclasses import replace
from typing import Protocol

import xxhash

from vortex_hep.readers.root.file.compression import Compression, compress
from vortex_hep.readers.root.file.rootwriter import BlobWriter, RootWriter
from vortex_hep.readers.root.file.tkey import BIG_KEY, Key

#: ROOT's default setting, zlib level 1.
_DEFAULT_CODE = 101
#: Pages up to this size are written once where they are equal; so many are remembered.
_SHARED_PAGE, _SHARED_PAGES = 256, 1 << 16


class BasketSink(Protocol):
    """Takes the baskets of one tree."""

    def place(self, row: int, key: Key) -> Key:
        """Return the key of basket ``row`` at its place; ``nbytes`` bounds the record's size."""
        ...

    def put(self, row: int, branch: int, key: Key, rest: bytes, payload: bytes | memoryview) -> Key:
        """Take basket ``row``, uncompressed; ``rest`` follows its key. Returns the final key."""
        ...

    def copy(self, row: int, key: Key, rest: bytes) -> None:
        """Take basket ``row`` as it was stored; ``rest`` is all that follows its key."""
        ...


class PageSink(Protocol):
    """Takes the pages of one RNTuple."""

    def put(self, page: int, settings: int, plain: bytes, *, checksum: bool) -> tuple[int, int]:
        """Take a page, uncompressed.

        Parameters
        ----------
        page : int
            Its number in the order of the page lists.
        settings : int
            Compression that its column names.
        plain : bytes
        checksum : bool
            Whether a checksum follows the page.

        Returns
        -------
        tuple of int
            Stored size without checksum, and offset.
        """
        ...


def original(branch: int, file: int, *, packed: bool) -> Compression:
    """What a branch was written with; uproot notes 0 in the branches it compresses."""
    for code in (branch, file, _DEFAULT_CODE):
        how = Compression.from_code(code)
        if code >= 0 and (how.algorithm != "none" or not packed):
            return how
    return Compression("none", 0)


class AppendedBaskets:
    """Appends baskets to a file that is written anew.

    Parameters
    ----------
    writer : RootWriter
    directory : int
        Offset of the directory the tree is in.
    how : list of Compression
        By branch.
    """

    def __init__(self, writer: RootWriter, directory: int, how: list[Compression]) -> None:
        self._writer, self._directory, self._how = writer, directory, how

    def place(self, row: int, key: Key) -> Key:
        """Return the key at the end of the file."""
        self._writer.make_room(key.nbytes + BIG_KEY)
        return key.placed(self._writer.position, self._directory)

    def put(self, row: int, branch: int, key: Key, rest: bytes, payload: bytes | memoryview) -> Key:
        """Compress and append a basket."""
        stored = compress(payload, self._how[branch])
        key = replace(key, nbytes=key.keylen + len(stored))
        self._writer.write(key.pack(), rest, stored)
        return key

    def copy(self, row: int, key: Key, rest: bytes) -> None:
        """Append a basket as it is."""
        self._writer.write(key.pack(), rest)


class AppendedPages:
    """Appends pages to a file that is written anew.

    Parameters
    ----------
    blobs : BlobWriter
    how : Compression or None
        None takes each column's own setting.
    """

    def __init__(self, blobs: BlobWriter, how: Compression | None) -> None:
        self._blobs, self._how = blobs, how
        self._written: dict[bytes, int] = {}

    def put(self, page: int, settings: int, plain: bytes, *, checksum: bool) -> tuple[int, int]:
        """Compress and append a page."""
        stored = compress(plain, self._how or Compression.from_code(settings))
        data = stored
        if checksum:
            data += xxhash.xxh3_64_intdigest(stored).to_bytes(8, "little")
        # As ROOT does: equal small pages are written once.
        offset = self._written.get(data)
        if offset is None:
            offset = self._blobs.write(data)
            if len(data) <= _SHARED_PAGE and len(self._written) < _SHARED_PAGES:
                self._written[data] = offset
        return len(stored), offset
