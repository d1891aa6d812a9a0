"""TKey, TDirectory and TFile headers: the records every ROOT file is made of.

Layouts follow ROOT's ``TKey::Streamer``, ``TDirectoryFile::FillBuffer`` and ``TFile::WriteHeader``.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, replace

#: TKey: fNbytes, fVersion, fObjlen, fDatime, fKeylen, fCycle.
_KEY = struct.Struct(">ihiIhh")
#: TKey: fSeekKey, fSeekPdir, for fVersion <= 1000 and above.
_SEEKS_SMALL = struct.Struct(">ii")
_SEEKS_BIG = struct.Struct(">qq")
#: Added to the version of a record whose file offsets have 64 bits.
BIG = 1000
#: Bytes by which a key with 64-bit offsets is longer.
BIG_KEY = _SEEKS_BIG.size - _SEEKS_SMALL.size
#: Offsets above this need a 64-bit record (TFile::kStartBigFile).
START_BIG_FILE = 2_000_000_000


def pack_tstring(text: bytes) -> bytes:
    """A TString as streamed: one length byte, or 255 and four of them."""
    if len(text) < 255:
        return bytes([len(text)]) + text
    return b"\xff" + struct.pack(">i", len(text)) + text


def unpack_tstring(data: bytes | bytearray | memoryview, position: int) -> tuple[bytes, int]:
    """A TString and the position behind it."""
    size = data[position]
    position += 1
    if size == 255:
        (size,) = struct.unpack_from(">i", data, position)
        position += 4
    if size < 0 or position + size > len(data):
        msg = "a TString ends outside its record"
        raise ValueError(msg)
    return bytes(data[position : position + size]), position + size


@dataclass(frozen=True)
class Key:
    """A TKey: the header in front of every record of a ROOT file."""

    nbytes: int
    version: int
    objlen: int
    datime: int
    keylen: int
    cycle: int
    seek: int
    directory: int
    class_name: bytes
    name: bytes
    title: bytes

    @classmethod
    def unpack(cls, data: bytes | bytearray | memoryview, position: int = 0) -> tuple[Key, int]:
        """Parse a key and return it with the position behind its strings.

        Raises
        ------
        ValueError
            ``data`` ends inside the key.
        """
        try:
            nbytes, version, objlen, datime, keylen, cycle = _KEY.unpack_from(data, position)
            position += _KEY.size
            seeks = _SEEKS_BIG if version > BIG else _SEEKS_SMALL
            seek, directory = seeks.unpack_from(data, position)
            position += seeks.size
            class_name, position = unpack_tstring(data, position)
            name, position = unpack_tstring(data, position)
            title, position = unpack_tstring(data, position)
        except (struct.error, IndexError) as error:
            msg = f"not a TKey: {error}"
            raise ValueError(msg) from error
        key = cls(
            nbytes, version, objlen, datime, keylen, cycle, seek, directory, class_name, name, title
        )
        return key, position

    def pack(self) -> bytes:
        """The key as streamed, without what a class appends to it (see TBasket)."""
        seeks = _SEEKS_BIG if self.version > BIG else _SEEKS_SMALL
        return (
            _KEY.pack(self.nbytes, self.version, self.objlen, self.datime, self.keylen, self.cycle)
            + seeks.pack(self.seek, self.directory)
            + pack_tstring(self.class_name)
            + pack_tstring(self.name)
            + pack_tstring(self.title)
        )

    @property
    def stored_size(self) -> int:
        """Bytes of the record behind its key, compressed or not."""
        return self.nbytes - self.keylen

    def placed(self, seek: int, directory: int) -> Key:
        """The same key at another place; it grows to 64-bit offsets where it must."""
        key = replace(self, seek=seek, directory=directory)
        if self.version <= BIG and max(seek + self.nbytes, directory) > START_BIG_FILE:
            key = replace(key, version=self.version + BIG, keylen=self.keylen + BIG_KEY)
            key = replace(key, nbytes=key.nbytes + BIG_KEY)
        return key


#: TFile::WriteHeader: "root", fVersion, fBEGIN, then fEND, fSeekFree, fNbytesFree, nfree,
#: fNbytesName, fUnits, fCompress, fSeekInfo, fNbytesInfo, fUUID (version and 16 bytes).
_FILE_START = struct.Struct(">4sii")
_FILE_SMALL = struct.Struct(">iiiiiBiiih16s")
_FILE_BIG = struct.Struct(">qqiiiBiqih16s")
#: Added to fVersion where file offsets have 64 bits.
_BIG_FILE_VERSION = 1_000_000


@dataclass(frozen=True)
class FileHeader:
    """The header at byte 0 of a ROOT file."""

    version: int
    begin: int
    end: int
    seek_free: int
    nbytes_free: int
    nfree: int
    nbytes_name: int
    units: int
    compress: int
    seek_info: int
    nbytes_info: int
    uuid_version: int
    uuid: bytes

    @classmethod
    def unpack(cls, data: bytes | memoryview) -> FileHeader:
        """Parse the header; ``version`` is returned without its 64-bit mark."""
        try:
            magic, version, begin = _FILE_START.unpack_from(data, 0)
            big = version >= _BIG_FILE_VERSION
            rest = (_FILE_BIG if big else _FILE_SMALL).unpack_from(data, _FILE_START.size)
        except struct.error as error:
            msg = f"file is too short: {error}"
            raise ValueError(msg) from error
        if magic != b"root":
            msg = "file does not start with 'root'"
            raise ValueError(msg)
        # Negative versions are of files that were small once and were read as if they were not.
        return cls(version - _BIG_FILE_VERSION if big else version, begin, *rest)

    def pack(self) -> bytes:
        """The header as streamed, with 64-bit offsets where they are needed."""
        big = self.end > START_BIG_FILE
        rest = (
            self.end, self.seek_free, self.nbytes_free, self.nfree, self.nbytes_name, self.units,
            self.compress, self.seek_info, self.nbytes_info, self.uuid_version, self.uuid,
        )  # fmt: skip
        version = self.version % _BIG_FILE_VERSION + _BIG_FILE_VERSION if big else self.version
        layout = _FILE_BIG if big else _FILE_SMALL
        return _FILE_START.pack(b"root", version, self.begin) + layout.pack(*rest)


#: TDirectoryFile::FillBuffer: version, fDatimeC, fDatimeM, fNbytesKeys, fNbytesName, then
#: fSeekDir, fSeekParent, fSeekKeys, then fUUID (version and 16 bytes).
_DIRECTORY = struct.Struct(">hIIii")
_DIRECTORY_SEEKS_SMALL = struct.Struct(">iii")
_DIRECTORY_SEEKS_BIG = struct.Struct(">qqq")


@dataclass(frozen=True)
class DirectoryHeader:
    """The record of a TDirectory; ``rest`` (its UUID and padding) is kept as it is."""

    version: int
    created: int
    modified: int
    nbytes_keys: int
    nbytes_name: int
    seek: int
    parent: int
    seek_keys: int
    rest: bytes

    @classmethod
    def unpack(cls, data: bytes | memoryview) -> DirectoryHeader:
        """Parse a directory record from its start."""
        try:
            fields = _DIRECTORY.unpack_from(data, 0)
            big = fields[0] > BIG
            seeks = _DIRECTORY_SEEKS_BIG if big else _DIRECTORY_SEEKS_SMALL
            places = seeks.unpack_from(data, _DIRECTORY.size)
        except struct.error as error:
            msg = f"not a TDirectory: {error}"
            raise ValueError(msg) from error
        rest = bytes(data[_DIRECTORY.size + seeks.size :])
        if big:
            # A small record leaves room for growing: keep both forms of one length.
            rest = rest + b"\0" * (_DIRECTORY_SEEKS_BIG.size - _DIRECTORY_SEEKS_SMALL.size)
        return cls(
            fields[0] % BIG, fields[1], fields[2], fields[3], fields[4],
            places[0], places[1], places[2], rest,
        )  # fmt: skip

    def pack(self) -> bytes:
        """The record, always of the same length.

        Raises
        ------
        ValueError
            An offset needs 64 bits and the record left no room for it.
        """
        big = max(self.seek, self.parent, self.seek_keys) > START_BIG_FILE
        seeks = _DIRECTORY_SEEKS_BIG if big else _DIRECTORY_SEEKS_SMALL
        rest = self.rest
        if big:
            grown = _DIRECTORY_SEEKS_BIG.size - _DIRECTORY_SEEKS_SMALL.size
            if len(rest) < grown or any(rest[-grown:]):
                msg = "a directory record has no room for 64-bit offsets"
                raise ValueError(msg)
            rest = rest[:-grown]
        version = self.version + (BIG if big else 0)
        return (
            _DIRECTORY.pack(
                version, self.created, self.modified, self.nbytes_keys, self.nbytes_name
            )
            + seeks.pack(self.seek, self.parent, self.seek_keys)
            + rest
        )
