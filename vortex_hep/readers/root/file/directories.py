"""Header, directories and keys of a ROOT file."""

from __future__ import annotations

from dataclasses import dataclass

from vortex_hep.errors import SourceError
from vortex_hep.readers.root.file.bytesource import ByteReader
from vortex_hep.readers.root.file.compression import BlockError, decompress
from vortex_hep.readers.root.file.tkey import DirectoryHeader, FileHeader, Key

DIRECTORY_CLASSES = (b"TDirectory", b"TDirectoryFile")
#: Bytes that hold any file header or directory record.
_HEADER_SIZE = 512
#: Where fKeylen stands in a key.
_AT_KEYLEN = 14


@dataclass
class Entry:
    """A key of a directory, with what was found behind it."""

    key: Key
    directory: int
    path: str


@dataclass
class Directory:
    """A directory of the file and its own record."""

    key: Key
    header: DirectoryHeader
    path: str
    parent: int
    prefix: bytes
    #: The key in front of the record, which may name another class than the list of keys does.
    own_key: Key
    list_key: Key | None = None


class RootRecords:
    """The file header, directories and keys of a ROOT file, in file order.

    Parameters
    ----------
    reader : ByteReader
    """

    def __init__(self, reader: ByteReader) -> None:
        self.reader = reader
        self.directories: list[Directory] = []
        self.entries: list[Entry] = []
        try:
            self.header = FileHeader.unpack(reader.read(0, min(reader.size, _HEADER_SIZE)))
            self._check_size()
            begin = self.header.begin
            key, _ = self._key(begin)
            self._directory(key, key, self.header.nbytes_name, "", -1)
            self.info_key: Key | None = None
            if self.header.seek_info and self.header.nbytes_info:
                self.info_key, _ = self._key(self.header.seek_info)
        except ValueError as error:
            raise SourceError(
                str(error), path=reader.path, hint="the file is truncated or not a ROOT file"
            ) from error

    def _check_size(self) -> None:
        if self.header.end > self.reader.size:
            msg = f"the file should have {self.header.end} bytes but has {self.reader.size}"
            raise ValueError(msg)

    def _key(self, seek: int) -> tuple[Key, int]:
        size = min(_HEADER_SIZE, self.reader.size - seek)
        head = self.reader.read(seek, size)
        keylen = int.from_bytes(head[_AT_KEYLEN : _AT_KEYLEN + 2], "big")
        if size < keylen <= self.reader.size - seek:
            head = self.reader.read(seek, keylen)
        return Key.unpack(head)

    def _directory(self, key: Key, at: Key, nbytes_name: int, path: str, parent: int) -> None:
        record = self.reader.read(at.seek, at.nbytes)
        own, _ = Key.unpack(record)
        if own.keylen != at.keylen or any(d.own_key.seek == own.seek for d in self.directories):
            msg = f"the key of folder {path!r} names something else"
            raise ValueError(msg)
        header = DirectoryHeader.unpack(record[nbytes_name:])
        number = len(self.directories)
        prefix = bytes(record[at.keylen : nbytes_name])
        directory = Directory(key, header, path, parent, prefix, own)
        self.directories.append(directory)
        if header.seek_keys == 0:
            return
        data = self.reader.read(header.seek_keys, header.nbytes_keys)
        directory.list_key, _ = Key.unpack(data)
        position = directory.list_key.keylen
        count = int.from_bytes(data[position : position + 4], "big", signed=True)
        position += 4
        for _ in range(count):
            child, position = Key.unpack(data, position)
            name = child.name.decode("utf-8", "surrogateescape")
            child_path = f"{path}/{name}" if path else name
            self.entries.append(Entry(child, number, child_path))
            if child.class_name in DIRECTORY_CLASSES:
                self._directory(child, child, child.keylen, child_path, number)

    def object_bytes(self, key: Key) -> bytes:
        """The uncompressed object behind a key.

        Raises
        ------
        SourceError
        """
        try:
            record = self.reader.read(key.seek, key.nbytes)
            return decompress(record[key.keylen :], key.objlen)
        except BlockError as error:
            name = key.name.decode("utf-8", "replace")
            msg = f"object {name!r} is damaged: {error}"
            raise SourceError(msg, path=self.reader.path, offset=key.seek) from error
