"""The contents of a ROOT file: its records, and the trees among them."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from vortex_hep.core.storage.identity import Identity, identity_of
from vortex_hep.errors import NotFoundError, SourceError, UnsupportedTypeError
from vortex_hep.readers.conventions import alice
from vortex_hep.readers.root.file.bytesource import ByteReader
from vortex_hep.readers.root.file.directories import DIRECTORY_CLASSES, Entry, RootRecords
from vortex_hep.readers.root.rntuple.source import RNTupleSource
from vortex_hep.readers.root.ttree.orphans import has_orphan_baskets, hides_tree
from vortex_hep.readers.root.ttree.streamed import StreamedBranch, TreeWalker, basket_places
from vortex_hep.readers.root.ttree.ttree import TTreeSource

TREE_CLASSES = (b"TTree", b"TNtuple", b"TNtupleD")
RNTUPLE_CLASSES = (b"ROOT::RNTuple", b"ROOT::Experimental::RNTuple")
_NOT_OBJECTS = (*TREE_CLASSES, *DIRECTORY_CLASSES, *RNTUPLE_CLASSES)
#: Bytes that are read at a time of what follows the file's end.
_PIECE = 1 << 24


class NotPresentableError(ValueError):
    """The file's trees cannot be presented as tables, though the file may be sound."""


@dataclass
class TreeRecord:
    """A TTree key: its object's bytes, and the source that reads it, if it owns baskets."""

    entry: Entry
    name: str
    payload: bytes
    at_branches: int
    branches: list[StreamedBranch]
    source: TTreeSource | None


class RootContents:
    """The records of a ROOT file, and the trees among them with what reads them.

    Parameters
    ----------
    file : uproot.ReadOnlyFile
    path : str
    trees : sequence of str, optional
        Trees to present; all by default.

    Attributes
    ----------
    records : RootRecords
    tree_records : list of TreeRecord
        Older cycles, which share the baskets of the newest, behind it.
    ntuple_records : list of (Entry, RNTupleSource)
    sources : dict of str to TTreeSource or RNTupleSource
        What reads the trees, by name.
    left_out : set of int
        Numbers of the entries of ``records`` that are not asked for.

    Raises
    ------
    NotFoundError
        One of ``trees`` is not there.
    NotPresentableError
        The file can only be carried whole.
    """

    def __init__(self, file: Any, path: str, trees: Sequence[str] | None = None) -> None:
        self.path = path
        self._file = file
        self.records = RootRecords(ByteReader(file.source, path))
        self.tree_records: list[TreeRecord] = []
        self.ntuple_records: list[tuple[Entry, RNTupleSource]] = []
        self.left_out: set[int] = set()
        self.sources: dict[str, TTreeSource | RNTupleSource] = {}
        self._check_presentable()
        self._find_trees(trees)
        self._find_hidden_trees()

    @property
    def identity(self) -> Identity:
        """Size and checksum of the file."""
        return identity_of(self.records.reader)

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
            # Of an unknown class or version, or compressed as ROOT did before 2010.
            msg = f"tree {name!r} is not understood: {error}"
            raise NotPresentableError(msg) from error
        seeks = {seek for seek, _ in basket_places(payload, branches)}
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
            known += basket_places(record.payload, record.branches)
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
