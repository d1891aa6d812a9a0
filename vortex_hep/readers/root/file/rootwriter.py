"""The writer of ROOT files, record by record, under a temporary name until complete."""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType

from vortex_hep.core.storage.atomic import atomic_output
from vortex_hep.errors import CorruptionError, OutputError
from vortex_hep.readers.root.file.compression import Compression, compress
from vortex_hep.readers.root.file.fixed import FixedRecords
from vortex_hep.readers.root.file.tkey import BIG_KEY, START_BIG_FILE, FileHeader, Key

#: TFree: fVersion, fFirst, fLast; with 64 bits above TFile::kStartBigFile.
_FREE_SMALL = struct.Struct(">hii")
_FREE_BIG = struct.Struct(">hqq")
#: The last free segment ends at a multiple of this (TFile::MakeFree).
_FREE_STEP = 1_000_000_000
#: A gap is announced by a negative fNbytes in its first four bytes.
_GAP = struct.Struct(">i")
#: Largest gap: its size is a signed number of 32 bits.
_MAX_GAP = 1 << 30

#: Bytes of pages that one RBlob key may hold.
_BLOB_SIZE = 1 << 26
#: Bytes that the key of an RBlob may have.
_BLOB_KEY_ROOM = 64


@dataclass(frozen=True)
class Reserved:
    """Space set aside for a record whose content is not known yet."""

    seek: int
    size: int


class RootWriter:
    """An output file that gets its name only when its ``with`` block ends without an exception.

    Parameters
    ----------
    path : str or path
    overwrite : bool
        Whether a file of that name may be replaced.

    Raises
    ------
    OutputError
        The file exists, or cannot be written.
    """

    def __init__(self, path: str | os.PathLike[str], *, overwrite: bool) -> None:
        self.path = Path(path)
        self._output = atomic_output(path, overwrite=overwrite)
        self._file = self._output.__enter__()
        self.position = 0
        self.gaps: list[Reserved] = []
        self._fixed = FixedRecords((), {})
        self._next_fixed = 0

    def __enter__(self) -> RootWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._output.__exit__(kind, error, trace)

    def write(self, *parts: bytes | memoryview) -> None:
        """Append bytes."""
        for part in parts:
            self._file.write(part)
            self.position += len(part)

    def keep_free(self, fixed: FixedRecords) -> None:
        """Write these records at their own places, and all that follows around them.

        To be called when header and root directory are written, which no record can overlap.
        """
        self._fixed = fixed

    def fits(self, size: int) -> bool:
        """Whether so many bytes can be appended before the next record that has its own place."""
        if self._next_fixed == len(self._fixed.places):
            return True
        # What is left in front of it must have room for the size of a gap.
        return self._fixed.places[self._next_fixed][0] - self.position - size >= _GAP.size

    def make_room(self, size: int) -> None:
        """Go on behind the records that have their own places, until ``size`` bytes fit."""
        while not self.fits(size):
            self._write_fixed()

    def _write_fixed(self) -> None:
        number, self._next_fixed = self._next_fixed, self._next_fixed + 1
        offset = self._fixed.places[number][0]
        if offset != self.position and offset - self.position < _GAP.size:
            msg = f"no room for the record that is to stay at byte {offset}"
            raise CorruptionError(msg, path=str(self.path))
        while self.position < offset:
            gap = Reserved(self.position, min(offset - self.position, _MAX_GAP))
            if 0 < offset - gap.seek - gap.size < _GAP.size:
                gap = Reserved(gap.seek, gap.size - _GAP.size)
            self._file.write(_GAP.pack(-gap.size))
            self.position += gap.size
            self._file.seek(self.position)
            self.gaps.append(gap)
        self.write(*self._fixed.pieces(number))

    def overwrite(self, seek: int, data: bytes) -> None:
        """Replace bytes that were written before."""
        self._file.seek(seek)
        self._file.write(data)
        self._file.seek(self.position)

    def reserve(self, size: int) -> Reserved:
        """Set space aside for one record."""
        self.make_room(size)
        space = Reserved(self.position, size)
        self.write(bytes(size))
        return space

    def append(self, key: Key, content: bytes | memoryview, directory: int) -> Key:
        """Append a record: a key and what is stored behind it."""
        self.make_room(key.keylen + BIG_KEY + len(content))
        key = replace(key, nbytes=key.keylen + len(content)).placed(self.position, directory)
        self.write(key.pack(), content)
        return key

    def put(
        self, key: Key, data: bytes, directory: int, how: Compression, space: Reserved | None = None
    ) -> Key:
        """Compress an object and append it, or put it into the space reserved for it.

        Raises
        ------
        OutputError
            An object lies beyond 2 GB, where its longer key would break its references.
        """
        content = compress(data, how)
        key = replace(key, objlen=len(data))
        if space is None:
            self.make_room(key.keylen + BIG_KEY + len(content))
            if self.position + key.keylen + len(content) > START_BIG_FILE and key.version <= 1000:
                msg = f"object {key.name.decode('utf-8', 'replace')!r} would lie beyond 2 GB"
                raise OutputError(msg, path=str(self.path))
            return self.append(key, content, directory)
        key = replace(key, nbytes=key.keylen + len(content), seek=space.seek, directory=directory)
        left = space.size - key.nbytes
        if 0 < left < _GAP.size:
            content = data
            key = replace(key, nbytes=key.keylen + len(content))
            left = space.size - key.nbytes
        self.overwrite(space.seek, key.pack() + content)
        if left > 0:
            gap = Reserved(space.seek + key.nbytes, left)
            self.overwrite(gap.seek, _GAP.pack(-left))
            self.gaps.append(gap)
        return key

    def finish(self, header: FileHeader, template: Key) -> None:
        """Write the list of free segments and the file header."""
        while self._next_fixed < len(self._fixed.places):
            self._write_fixed()
        key = replace(template, seek=0, directory=header.begin, cycle=1)
        key = replace(key, keylen=len(key.pack()))
        size = len(self._free(0)) + (16 if self.position > START_BIG_FILE - 1000 else 0)
        # The size of the record decides where the file ends, and the end stands in the record.
        for _ in range(2):
            end = (
                self.position
                + len(replace(key, objlen=size).placed(self.position, 100).pack())
                + size
            )
            size = len(self._free(end))
        seek = self.position
        placed = self.append(replace(key, objlen=size), self._free(end), header.begin)
        header = replace(
            header, end=self.position, seek_free=seek, nbytes_free=placed.nbytes,
            nfree=1 + len(self.gaps),
        )  # fmt: skip
        self.overwrite(0, header.pack())

    def _free(self, end: int) -> bytes:
        gaps = sorted(self.gaps, key=lambda gap: gap.seek)
        segments = [(gap.seek, gap.seek + gap.size - 1) for gap in gaps]
        last = START_BIG_FILE if end <= START_BIG_FILE else (end // _FREE_STEP + 1) * _FREE_STEP
        out = b""
        for first, stop in [*segments, (end, last)]:
            if stop > START_BIG_FILE:
                out += _FREE_BIG.pack(1001, first, stop)
            else:
                out += _FREE_SMALL.pack(1, first, stop)
        return out


class BlobWriter:
    """Writes byte ranges that are found by offset, in records of class RBlob.

    Parameters
    ----------
    writer : RootWriter
    directory : int
        Offset of the directory that the keys name.
    """

    def __init__(self, writer: RootWriter, directory: int) -> None:
        self._writer = writer
        self._directory = directory
        self._key: Key | None = None
        self._start = 0

    def write(self, data: bytes) -> int:
        """Append bytes and return where they are."""
        full = self._key is not None and self._writer.position - self._start > _BLOB_SIZE
        if full or not self._writer.fits(len(data)):
            self.close()
        if self._key is None:
            self._writer.make_room(_BLOB_KEY_ROOM + len(data))
            key = Key(_BLOB_SIZE, 4, 0, 0, 0, 1, 0, 0, b"RBlob", b"", b"")
            key = replace(key, keylen=len(key.pack()), nbytes=_BLOB_SIZE + len(data))
            self._start = self._writer.position
            self._key = key.placed(self._start, self._directory)
            self._writer.write(self._key.pack())
        offset = self._writer.position
        self._writer.write(data)
        return offset

    def close(self) -> None:
        """Complete the record that is open."""
        if self._key is None:
            return
        size = self._writer.position - self._start
        key = replace(self._key, nbytes=size, objlen=size - self._key.keylen)
        self._writer.overwrite(self._start, key.pack())
        self._key = None
