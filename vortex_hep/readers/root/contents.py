"""The contents of a ROOT file: its records, and the trees among them."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from vortex_hep.core.schema import Unread
from vortex_hep.core.storage.identity import Identity, identity_of
from vortex_hep.errors import NotFoundError, SourceError, UnsupportedTypeError
from vortex_hep.readers.conventions import alice
from vortex_hep.readers.root.file.bytesource import ByteReader
from vortex_hep.readers.root.file.directories import DIRECTORY_CLASSES, Entry, RootRecords
from vortex_hep.readers.root.file.fixed import Unnamed, merged, unnamed_records
from vortex_hep.readers.root.file.objects import read_object, read_streamers, tree_headers
from vortex_hep.readers.root.file.tkey import Key
from vortex_hep.readers.root.rntuple.source import RNTupleSource
from vortex_hep.readers.root.ttree import layout
from vortex_hep.readers.root.ttree.streamed import StreamedBranch, TreeWalker, basket_places
from vortex_hep.readers.root.ttree.ttree import TTreeSource

RNTUPLE_CLASSES = (b"ROOT::RNTuple", b"ROOT::Experimental::RNTuple")
#: Bytes that are read at a time of what follows the file's end.
_PIECE = 1 << 24
#: How ROOT writes the first object of a class that starts with these letters (kNewClassTag).
_BRANCH_TAG = b"\xff\xff\xff\xffTBranch"
#: A tag of blocks that ROOT compressed before 2002, and uproot does not decompress.
_OLD_BLOCK = b"CS"


class NotPresentableError(ValueError):
    """The file's trees cannot be presented as tables, though the file may be sound."""


class _NotUnderstoodError(ValueError):
    """One tree cannot be presented as tables."""


@dataclass
class TreeRecord:
    """A TTree key: its object's bytes, and the source that reads it, if it owns baskets.

    ``headers`` is how many classes are derived from one another above TTree.
    """

    entry: Entry
    name: str
    payload: bytes
    headers: int
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
    left : dict of int to str
        Numbers of the entries that stay where they are, and why.
    fixed : list of (offset, size)
        What else stays where it is, and these entries: they may name it by its place.

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
        self.left: dict[int, str] = {}
        self.fixed: list[tuple[int, int]] = []
        self.sources: dict[str, TTreeSource | RNTupleSource] = {}
        self._prepare_streamers()
        self._headers = {
            name: tree_headers(file, name)
            for name in {entry.key.class_name for entry in self.records.entries}
            - {*DIRECTORY_CLASSES, *RNTUPLE_CLASSES}
        }
        self._trees = [
            number
            for number, entry in enumerate(self.records.entries)
            if self._is_tree(entry) or entry.key.class_name in RNTUPLE_CLASSES
        ]
        self._check_presentable()
        self._find_trees(trees)
        self._fix()

    @property
    def identity(self) -> Identity:
        """Size and checksum of the file."""
        return identity_of(self.records.reader)

    def unread(self) -> list[Unread]:
        """Trees and branches that no column presents, and why."""
        out = []
        for number in self._trees:
            if number in self.left:
                entry = self.records.entries[number]
                out.append(Unread(entry.path, "", self.left[number]))
        for record in self.tree_records:
            if record.source is not None:
                out += [
                    Unread(record.name, plan.name, plan.reason)
                    for plan in record.source.plans
                    if plan.kind == layout.LEFT
                ]
        return out

    def _is_tree(self, entry: Entry) -> bool:
        return self._headers.get(entry.key.class_name) is not None

    def _prepare_streamers(self) -> None:
        key = self.records.info_key
        if key is None:
            return
        record = self.records.reader.read(key.seek, key.nbytes)
        if bytes(record[key.keylen : key.keylen + 2]) == _OLD_BLOCK:
            read_streamers(self._file, key, self.records.object_bytes(key))

    def _check_presentable(self) -> None:
        """Note what cannot be written elsewhere; raise NotPresentableError if that is all."""
        if self.records.directories[0].header.seek_keys == 0:
            # What such a file holds, ROOT finds by going through its records.
            msg = "the file has no list of keys, as if the job that wrote it had died"
            raise NotPresentableError(msg)
        if not self.records.entries:
            msg = "its list of keys is empty"
            raise NotPresentableError(msg)
        first: dict[tuple[str, int], int] = {}
        for number in self._trees:
            entry = self.records.entries[number]
            before = first.setdefault((entry.path, entry.key.cycle), number)
            if before != number:
                reason = f"there are two trees {entry.path!r} of cycle {entry.key.cycle}"
                self.left[before] = self.left[number] = reason
        for number, entry in enumerate(self.records.entries):
            key = entry.key
            if key.class_name not in DIRECTORY_CLASSES and len(key.pack()) != key.keylen:
                self.left[number] = "the list of keys describes it differently than its record"

    def _find_trees(self, wanted: Sequence[str] | None) -> None:
        by_path: dict[str, list[int]] = {}
        for number in self._trees:
            by_path.setdefault(self.records.entries[number].path, []).append(number)
        known = {}
        for path, numbers in by_path.items():
            # The newest cycle of a name is the tree; older ones are backups that share its baskets.
            numbers.sort(key=lambda number: -self.records.entries[number].key.cycle)
            for place, number in enumerate(numbers):
                cycle = self.records.entries[number].key.cycle
                known[number] = path if place == 0 else f"{path};{cycle}"
        for path in sorted(by_path, key=lambda path: by_path[path][0]):
            asked = [
                number
                for number in by_path[path]
                if wanted is None or path in wanted or known[number] in wanted
            ]
            self.left_out |= set(by_path[path]) - set(asked)
            self._open_cycles(asked, known)
        self._check_found(wanted, known)

    def _open_cycles(self, numbers: Sequence[int], names: dict[int, str]) -> None:
        """Open the cycles of one tree: all of them, or, as they share baskets, none."""
        entries = self.records.entries
        reason = next((self.left[number] for number in numbers if number in self.left), None)
        trees: list[TreeRecord] = []
        ntuples: list[tuple[Entry, RNTupleSource]] = []
        owned: set[int] = set()
        if len(numbers) > 1 and any(not self._is_tree(entries[number]) for number in numbers):
            reason = f"there are several cycles of RNTuple {entries[numbers[0]].path!r}"
        if reason is None:
            try:
                for number in numbers:
                    if self._is_tree(entries[number]):
                        trees.append(self._open_tree(entries[number], names[number], owned))
                    else:
                        ntuples.append((entries[number], self._open_ntuple(entries[number])))
            except _NotUnderstoodError as error:
                reason = " ".join(str(error).split())
        if reason is not None:
            self.left.update(dict.fromkeys(numbers, reason))
            return
        self.tree_records += trees
        self.ntuple_records += ntuples
        self.sources |= {tree.name: tree.source for tree in trees if tree.source is not None}
        self.sources |= {entry.path: source for entry, source in ntuples}

    def _check_found(self, wanted: Sequence[str] | None, names: dict[int, str]) -> None:
        left = {names[number]: self.left[number] for number in self._trees if number in self.left}
        for name in wanted or ():
            if name in left:
                raise NotPresentableError(left[name])
            if name not in self.sources:
                raise self._no_tree(name)
        if left and not self.sources:
            raise NotPresentableError(next(iter(left.values())))

    def _no_tree(self, name: str) -> NotFoundError:
        known = dict.fromkeys(self.records.entries[number].path for number in self._trees)
        near = difflib.get_close_matches(name, list(known), 3)
        return NotFoundError(
            f"no such tree; the file has {', '.join(known) or 'none'}", path=self.path, tree=name,
            hint=f"did you mean {', '.join(map(repr, near))}?" if near else None,
        )  # fmt: skip

    def _open_tree(self, entry: Entry, name: str, owned: set[int]) -> TreeRecord:
        key = entry.key
        headers = self._headers[key.class_name] or 0
        payload = self.records.object_bytes(key)
        try:
            tree = read_object(self._file, key, payload)
            at_branches = int(tree.member("fBranches")._cursor.index)
            branches = TreeWalker(payload, key.keylen).walk(at_branches)
        except Exception as error:
            # Of an unknown class or version.
            msg = f"tree {name!r} is not understood: {error}"
            raise _NotUnderstoodError(msg) from error
        seeks = {seek for seek, _ in basket_places(payload, branches)}
        if owned and seeks and seeks <= owned:
            return TreeRecord(entry, name, payload, headers, at_branches, branches, None)
        try:
            source = TTreeSource(name, tree, self.records.reader, payload, branches, key.name)
        except UnsupportedTypeError as error:
            msg = f"tree {name!r}: {error.message}"
            raise _NotUnderstoodError(msg) from error
        source.family = alice.family_of(name)
        owned |= seeks
        return TreeRecord(entry, name, payload, headers, at_branches, branches, source)

    def _open_ntuple(self, entry: Entry) -> RNTupleSource:
        payload = self.records.object_bytes(entry.key)
        try:
            ntuple = read_object(self._file, entry.key, payload)
            return RNTupleSource(entry.path, ntuple, self.records.reader, payload)
        except SourceError:
            raise
        except Exception as error:
            msg = f"RNTuple {entry.path!r} is not understood: {error}"
            raise _NotUnderstoodError(msg) from error

    def _fix(self) -> None:
        """Find what has to stay where it is, because something names it by its place."""
        unnamed = list(unnamed_records(self.records.reader, self._named(), self.records.header.end))
        if any(record.class_name == b"TBasket" for record in unnamed):
            self._find_hidden_trees()
        lost = any(d.header.seek_keys == 0 for d in self.records.directories)
        here = any(
            plan.kind == layout.LEFT and not branch.file_name
            for record in self.tree_records
            if record.source is not None
            for plan, branch in zip(record.source.plans, record.branches, strict=True)
        )
        if not (self.left or here or self._has_attributes() or (lost and unnamed)):
            return
        blobs = self._blobs_in_use(unnamed)
        places = [(r.offset, r.size) for r in unnamed if r.offset not in blobs]
        keys = [self.records.entries[number].key for number in self.left]
        self.fixed = merged([*places, *((key.seek, key.nbytes) for key in keys)])

    def _has_attributes(self) -> bool:
        """Whether an RNTuple that is understood names RNTuples of attributes by their offsets."""
        return any(source.has_attributes for _, source in self.ntuple_records)

    def _named(self) -> list[tuple[int, int]]:
        """Offset and size of all records that the file's lists and its trees name."""
        records = self.records
        named = [(0, records.header.begin), (records.header.seek_free, records.header.nbytes_free)]
        named += [(e.key.seek, e.key.nbytes) for e in records.entries]
        named += [(d.key.seek, d.key.nbytes) for d in records.directories]
        named += [(d.list_key.seek, d.list_key.nbytes) for d in records.directories if d.list_key]
        if records.info_key is not None:
            named.append((records.info_key.seek, records.info_key.nbytes))
        for record in self.tree_records:
            if record.source is None:
                continue
            for plan in record.source.plans:
                named += [(ref.seek, ref.nbytes) for ref in plan.baskets if ref.embedded is None]
        return named

    def _blobs_in_use(self, unnamed: Sequence[Unnamed]) -> set[int]:
        """Offsets of RBlobs whose pages are all written anew, or that no RNTuple needs."""
        blobs = [record for record in unnamed if record.class_name == b"RBlob"]
        left = {self.records.entries[number].key.class_name for number in self.left}
        if not self._has_attributes() and left.isdisjoint(RNTUPLE_CLASSES):
            return {record.offset for record in blobs}
        pages = merged(place for _, source in self.ntuple_records for place in source.places())
        out = set()
        for record in blobs:
            key, _ = Key.unpack(self.records.reader.read(record.offset, min(record.size, 256)))
            start, stop = record.offset + key.keylen, record.offset + record.size
            if any(offset <= start and stop <= offset + size for offset, size in pages):
                out.add(record.offset)
        return out

    def _find_hidden_trees(self) -> None:
        """Let objects stay that hold a tree, for it names baskets by their offsets."""
        for number, entry in enumerate(self.records.entries):
            if self._is_object(number) and number not in self.left:
                payload = self.records.object_bytes(entry.key)
                if _BRANCH_TAG in payload:
                    class_name = entry.key.class_name.decode("latin-1")
                    self.left[number] = f"object {entry.path!r} of class {class_name} holds a tree"

    def _is_object(self, number: int) -> bool:
        """Whether an entry is no tree, RNTuple or folder, and is asked for."""
        class_name = self.records.entries[number].key.class_name
        return not (
            number in self.left_out
            or self._is_tree(self.records.entries[number])
            or class_name in (*RNTUPLE_CLASSES, *DIRECTORY_CLASSES)
        )

    def tail(self) -> Iterator[bytes]:
        """What lies behind the end that the file names, in pieces."""
        reader = self.records.reader
        for start in range(self.records.header.end, reader.size, _PIECE):
            yield bytes(reader.read(start, min(_PIECE, reader.size - start)))

    def objects(self) -> Iterator[tuple[str, str, int, bytes]]:
        """Path, class, cycle and bytes of all objects that are not presented as trees.

        Their bytes are uncompressed, but for what stays where it is.
        """
        for number, entry in enumerate(self.records.entries):
            key, class_name = entry.key, entry.key.class_name.decode("latin-1")
            if number in self.left and number not in self.left_out:
                record = self.records.reader.read(key.seek, key.nbytes)
                yield entry.path, class_name, key.cycle, bytes(record[key.keylen :])
            elif self._is_object(number):
                yield entry.path, class_name, key.cycle, self.records.object_bytes(key)
