"""Opening a ROOT file: its records, its directories, its trees."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from vortex_hep.core.schema import TreeSource
from vortex_hep.core.storage.identity import Identity, identity_of
from vortex_hep.errors import NotFoundError, SourceError, UnsupportedTypeError
from vortex_hep.readers.conventions import alice
from vortex_hep.readers.conventions.bundles import bundled
from vortex_hep.readers.root import skeleton
from vortex_hep.readers.root.exact.promise import Exact, NotPresentableError
from vortex_hep.readers.root.file.bytesource import ByteReader
from vortex_hep.readers.root.file.compression import BlockError, decompress
from vortex_hep.readers.root.file.tkey import DirectoryHeader, FileHeader, Key
from vortex_hep.readers.root.rntuple.source import RNTupleSource
from vortex_hep.readers.root.ttree.orphans import has_orphan_baskets, hides_tree
from vortex_hep.readers.root.ttree.streamed import StreamedBranch, TreeWalker
from vortex_hep.readers.root.ttree.ttree import TTreeSource

DIRECTORY_CLASSES = (b"TDirectory", b"TDirectoryFile")
TREE_CLASSES = (b"TTree", b"TNtuple", b"TNtupleD")
RNTUPLE_CLASSES = (b"ROOT::RNTuple", b"ROOT::Experimental::RNTuple")
_NOT_OBJECTS = (*TREE_CLASSES, *DIRECTORY_CLASSES, *RNTUPLE_CLASSES)
#: Bytes that hold any file header or directory record.
_HEADER_SIZE = 512
#: Where fKeylen stands in a key.
_AT_KEYLEN = 14
#: Bytes that are read at a time of what follows the file's end.
_PIECE = 1 << 24


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


@dataclass
class TreeRecord:
    """A TTree key: its object's bytes, and the source that reads it, if it owns baskets."""

    entry: Entry
    name: str
    payload: bytes
    at_branches: int
    branches: list[StreamedBranch]
    source: TTreeSource | None


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


class RootFileSource:
    """A ROOT file as a :class:`~vortex_hep.core.schema.FileSource`.

    Parameters
    ----------
    file : uproot.ReadOnlyFile
    path : str
    owned : bool
        Whether :meth:`close` closes ``file``.
    trees : sequence of str, optional
        Trees to present; the others are left out of a restored file too.
    exact : bool
        Whether the restored file is to be the same byte for byte.

    Raises
    ------
    UnsupportedFeatureError
        It is, but trees are to be left out.
    NotPresentableError
        The file can only be carried whole.
    """

    kind = "root"

    def __init__(
        self,
        file: Any,
        path: str,
        *,
        owned: bool,
        trees: Sequence[str] | None = None,
        exact: bool = False,
    ) -> None:
        self.path = path
        self._file = file
        self._owned = owned
        self.records = RootRecords(ByteReader(file.source, path))
        self.tree_records: list[TreeRecord] = []
        self.ntuple_records: list[tuple[Entry, RNTupleSource]] = []
        self.left_out: set[int] = set()
        self.trees: Mapping[str, TreeSource] = {}
        self.sources: dict[str, TTreeSource | RNTupleSource] = {}
        self._check_presentable()
        self._find_trees(trees)
        self._find_hidden_trees()
        self._exact = Exact(self) if exact else None

    def _check_presentable(self) -> None:
        """Raise NotPresentableError where the lists of keys do not tell all that is in the file."""
        for directory in self.records.directories:
            if directory.header.seek_keys == 0:
                # What such a file holds, ROOT finds by going through its records.
                where = f"folder {directory.path!r}" if directory.path else "the file"
                msg = f"{where} has no list of keys, as if the job that wrote it had died"
                raise NotPresentableError(msg)
        if not self.records.entries:
            msg = "its list of keys is empty"
            raise NotPresentableError(msg)
        trees: set[tuple[str, int]] = set()
        for entry in self.records.entries:
            key = entry.key
            if key.class_name in (*TREE_CLASSES, *RNTUPLE_CLASSES):
                if (entry.path, key.cycle) in trees:
                    msg = f"there are two trees {entry.path!r} of cycle {key.cycle}"
                    raise NotPresentableError(msg)
                trees.add((entry.path, key.cycle))
            if key.class_name not in DIRECTORY_CLASSES and len(key.pack()) != key.keylen:
                msg = f"the list of keys describes {entry.path!r} differently than its record"
                raise NotPresentableError(msg)

    def _find_trees(self, wanted: Sequence[str] | None) -> None:
        found = [e for e in self.records.entries if e.key.class_name in TREE_CLASSES]
        # The newest cycle of a name is the tree; older ones are backups that share its baskets.
        found.sort(key=lambda entry: (entry.path, -entry.key.cycle))
        order = {id(entry): i for i, entry in enumerate(self.records.entries)}
        newest: dict[str, int] = {}
        for entry in found:
            newest.setdefault(entry.path, order[id(entry)])
        found.sort(key=lambda entry: (newest[entry.path], -entry.key.cycle))
        owned: set[int] = set()
        sources: dict[str, TTreeSource | RNTupleSource] = {}
        for entry in found:
            name = (
                entry.path
                if order[id(entry)] == newest[entry.path]
                else (f"{entry.path};{entry.key.cycle}")
            )
            if wanted is not None and entry.path not in wanted and name not in wanted:
                self.left_out.add(order[id(entry)])
                continue
            record = self._open_tree(entry, name, owned)
            self.tree_records.append(record)
            if record.source is not None:
                sources[name] = record.source
        for number, entry in enumerate(self.records.entries):
            if entry.key.class_name in RNTUPLE_CLASSES:
                if wanted is not None and entry.path not in wanted:
                    self.left_out.add(number)
                else:
                    sources[entry.path] = self._open_ntuple(entry, entry.path in sources)
        for name in wanted or ():
            if name not in sources:
                raise self._no_tree(name)
        self.sources = sources
        self.trees = bundled(sources)

    def _no_tree(self, name: str) -> NotFoundError:
        known = dict.fromkeys(
            entry.path
            for entry in self.records.entries
            if entry.key.class_name in (*TREE_CLASSES, *RNTUPLE_CLASSES)
        )
        near = difflib.get_close_matches(name, list(known), 3)
        return NotFoundError(
            f"no such tree; the file has {', '.join(known) or 'none'}", path=self.path, tree=name,
            hint=f"did you mean {', '.join(map(repr, near))}?" if near else None,
        )  # fmt: skip

    def _open_tree(self, entry: Entry, name: str, owned: set[int]) -> TreeRecord:
        key = entry.key
        payload = self.records.object_bytes(key)
        try:
            tree = self._file.root_directory[f"{entry.path};{key.cycle}"]
            at_branches = int(tree.member("fBranches")._cursor.index)
            branches = TreeWalker(payload, key.keylen).walk(at_branches)
        except Exception as error:
            # Of a class or version that is not known, or compressed as ROOT did before 2010.
            msg = f"tree {name!r} is not understood: {error}"
            raise NotPresentableError(msg) from error
        seeks = {seek for seek, _ in skeleton.basket_places(payload, branches)}
        if owned and seeks and seeks <= owned:
            return TreeRecord(entry, name, payload, at_branches, branches, None)
        try:
            source = TTreeSource(name, tree, self.records.reader, payload, branches, key.name)
        except UnsupportedTypeError as error:
            msg = f"tree {name!r}: {error.message}"
            raise NotPresentableError(msg) from error
        source.family = alice.family_of(name)
        owned |= seeks
        return TreeRecord(entry, name, payload, at_branches, branches, source)

    def _open_ntuple(self, entry: Entry, known: bool) -> RNTupleSource:
        if known:
            msg = f"several cycles of RNTuple {entry.path!r}"
            raise NotPresentableError(msg)
        try:
            ntuple = self._file.root_directory[f"{entry.path};{entry.key.cycle}"]
            payload = self.records.object_bytes(entry.key)
            source = RNTupleSource(entry.path, ntuple, self.records.reader, payload)
        except SourceError:
            raise
        except Exception as error:
            msg = f"RNTuple {entry.path!r} is not understood: {error}"
            raise NotPresentableError(msg) from error
        self.ntuple_records.append((entry, source))
        return source

    def _find_hidden_trees(self) -> None:
        records = self.records
        known = [(0, records.header.begin), (records.header.seek_free, records.header.nbytes_free)]
        known += [(e.key.seek, e.key.nbytes) for e in records.entries]
        known += [(d.key.seek, d.key.nbytes) for d in records.directories]
        known += [(d.list_key.seek, d.list_key.nbytes) for d in records.directories if d.list_key]
        if records.info_key is not None:
            known.append((records.info_key.seek, records.info_key.nbytes))
        for record in self.tree_records:
            known += skeleton.basket_places(record.payload, record.branches)
        if not has_orphan_baskets(records.reader, known, records.header.end):
            return
        for path, class_name, _, payload in self.objects():
            if hides_tree(payload):
                msg = f"object {path!r} of class {class_name} holds a tree"
                raise NotPresentableError(msg)

    def tail(self) -> Iterator[bytes]:
        """What lies behind the end that the file names, in pieces."""
        reader = self.records.reader
        for start in range(self.records.header.end, reader.size, _PIECE):
            yield bytes(reader.read(start, min(_PIECE, reader.size - start)))

    def objects(self) -> Iterator[tuple[str, str, int, bytes]]:
        """Path, class, cycle and uncompressed bytes of all objects that are not trees."""
        for number, entry in enumerate(self.records.entries):
            key = entry.key
            if key.class_name in _NOT_OBJECTS or number in self.left_out:
                continue
            payload = self.records.object_bytes(key)
            yield entry.path, key.class_name.decode("latin-1"), key.cycle, payload

    def settle(self) -> dict[str, tuple[str, ...]]:
        """Check all data against the layout of the tables; lay out anew what does not fit.

        Needed only after :class:`~vortex_hep.errors.LayoutError`.

        Returns
        -------
        dict of str to tuple of str
            Branches with another layout, by tree.
        """
        return {name: tree.settle() for name, tree in self.sources.items()}

    def remainder(self) -> Iterator[tuple[str, bytes]]:
        """Named blobs that, with the trees' data, are all that is needed to restore the file.

        Baskets that were not read before are read now, so call this after reading.
        """
        blobs = skeleton.write_blobs(self)
        return blobs if self._exact is None else self._exact.extended(blobs)

    def identity(self) -> Identity:
        """Size and checksum of the file."""
        return identity_of(self.records.reader)

    def exact_forecast(self) -> str:
        """Say what share of the file can be made again byte for byte, and what that costs."""
        return (self._exact or Exact(self)).forecast()

    def notes(self) -> list[str]:
        """What came of the promise to restore the file byte for byte, if it was made."""
        return [] if self._exact is None else self._exact.notes()

    def close(self) -> None:
        """Close the file, if it was opened here."""
        if self._owned:
            self._file.close()

    def __enter__(self) -> RootFileSource:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
