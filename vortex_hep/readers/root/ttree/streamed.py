"""Branches inside a streamed TTree: positions of their basket tables and embedded baskets.

A TTree object names its baskets by file offset and size, and holds unflushed baskets itself. To
move a tree to another file only these places change, so this module locates them in the
uncompressed bytes of the object; nothing else of it is touched, and lengths stay the same, so that
ROOT's references between streamed objects stay valid. Layouts: ``TBranch`` versions 6 to 13,
``TObjArray`` version 3, ``TBufferFile::WriteObjectClass`` tags.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from vortex_hep.readers.root.file.tkey import Key, unpack_tstring
from vortex_hep.readers.root.ttree.basket import BasketHeader

_U4 = struct.Struct(">I")
_U2 = struct.Struct(">H")
#: kByteCountMask, kNewClassTag, kClassMask, kMapOffset of TBufferFile.
_BYTE_COUNT = 0x40000000
_NEW_CLASS = 0xFFFFFFFF
_CLASS = 0x80000000
_MAP_OFFSET = 2
#: TObject: fVersion, fUniqueID, fBits; a referenced one carries two bytes more.
_TOBJECT = struct.Struct(">HII")
_IS_REFERENCED = 1 << 4

#: TBranch: fCompress, fBasketSize, fEntryOffsetLen, fWriteBasket, fEntryNumber.
_BRANCH_START = struct.Struct(">iiiiq")
#: TBranch: fOffset, fMaxBaskets, fSplitLevel, fEntries, fFirstEntry (v11 on), fTotBytes, fZipBytes.
_BRANCH_REST_10 = struct.Struct(">iiiqqq")
_BRANCH_REST = struct.Struct(">iiiqqqq")
_BRANCH_VERSIONS = range(10, 14)
#: The same up to version 9 (``TBranch::Streamer``), which Geant4 still writes: fEntryNumber has 32
#: bits, numbers of entries and bytes are real, and so are those of its tree.
_OLD_START = struct.Struct(">iiiiiii")
_OLD_SPLIT_LEVEL = struct.Struct(">i")
_OLD_TOTALS = struct.Struct(">ddd")
_OLD_VERSIONS = range(6, 10)
#: What stands in front of a table of offsets that have 64 bits in an old branch.
_WIDE_SEEKS = 2
#: Classes whose first base, streamed first, is a TBranch.
_DERIVED = (b"TBranchElement", b"TBranchObject", b"TBranchRef", b"TBranchSTL")


class StreamedError(ValueError):
    """The bytes are not those of a TTree as this module knows it."""


@dataclass
class EmbeddedBasket:
    """A basket that lies inside the tree's own bytes.

    ``data`` and ``offsets`` are positions of its payload and of its table of entry offsets (-1
    where it has none); ``border`` is the payload's size.
    """

    index: int
    key: Key
    header: BasketHeader
    data: int
    border: int
    offsets: int


@dataclass
class StreamedBranch:
    """A TBranch inside a streamed tree; ``at_*`` are positions in its bytes."""

    name: str
    class_name: bytes
    parent: int
    compress: int
    entry_offset_len: int
    write_basket: int
    entries: int
    tot_bytes: int
    max_baskets: int
    at_tot_bytes: int
    at_zip_bytes: int
    at_basket_bytes: int
    at_basket_entry: int
    at_basket_seek: int
    file_name: bytes
    #: Types of the tables, and of fTotBytes and fZipBytes.
    entry_dtype: str = ">i8"
    seek_dtype: str = ">i8"
    total_dtype: str = ">i8"
    embedded: list[EmbeddedBasket] = field(default_factory=list)


class TreeWalker:
    """Collects all branches of one streamed tree, depth first.

    Parameters
    ----------
    data : bytes
        Uncompressed object, without its key.
    keylen : int
        Size of that key: class tags count from its start.
    """

    def __init__(self, data: bytes | bytearray, keylen: int) -> None:
        self.data = data
        self.keylen = keylen
        self.branches: list[StreamedBranch] = []
        self._classes: dict[int, bytes] = {}

    def walk(self, at_branches: int) -> list[StreamedBranch]:
        """Branches of the tree whose ``fBranches`` starts at ``at_branches``, and its fBranchRef.

        Raises
        ------
        StreamedError
        """
        try:
            end = self._branch_array(at_branches, -1)
            if all(branch.total_dtype == ">i8" for branch in self.branches):
                self._rest_of_tree(end)  # fBranchRef came later than branches of today
        except (struct.error, IndexError, ValueError) as error:
            msg = f"unknown layout of a streamed TTree: {error}"
            raise StreamedError(msg) from error
        return self.branches

    def _counted(self, position: int) -> tuple[int, int, int]:
        """Version, start of content and end of an object that starts with a byte count."""
        (count,) = _U4.unpack_from(self.data, position)
        if not count & _BYTE_COUNT:
            msg = f"no byte count at {position}"
            raise ValueError(msg)
        (version,) = _U2.unpack_from(self.data, position + 4)
        end = position + 4 + (count & ~_BYTE_COUNT)
        if end > len(self.data):
            msg = f"an object ends outside its record at {position}"
            raise ValueError(msg)
        return version, position + 6, end

    def _tobject(self, position: int) -> int:
        _, _, bits = _TOBJECT.unpack_from(self.data, position)
        return position + _TOBJECT.size + (2 if bits & _IS_REFERENCED else 0)

    def _object_array(self, position: int) -> tuple[int, int, int]:
        """Number of items, position of the first and end of a TObjArray."""
        version, position, end = self._counted(position)
        if version != 3:
            msg = f"TObjArray version {version}"
            raise ValueError(msg)
        position = self._tobject(position)
        _, position = unpack_tstring(self.data, position)
        size, _ = struct.unpack_from(">ii", self.data, position)
        return size, position + 8, end

    def _any(self, position: int) -> tuple[bytes | None, int, int]:
        """Class (None for null or a reference), start of content and end of an object pointer."""
        (tag,) = _U4.unpack_from(self.data, position)
        if not tag & _BYTE_COUNT or tag == _NEW_CLASS:
            return None, position + 4, position + 4
        end = position + 4 + (tag & ~_BYTE_COUNT)
        at_tag = position + 4
        (tag,) = _U4.unpack_from(self.data, at_tag)
        if tag == _NEW_CLASS:
            stop = self.data.index(b"\0", at_tag + 4)
            name = bytes(self.data[at_tag + 4 : stop])
            self._classes[at_tag + self.keylen + _MAP_OFFSET] = name
            return name, stop + 1, end
        if tag & _CLASS:
            return self._classes.get(tag & ~_CLASS, b"?"), at_tag + 4, end
        msg = f"unknown object tag at {at_tag}"
        raise ValueError(msg)

    def _branch_array(self, position: int, parent: int) -> int:
        size, position, end = self._object_array(position)
        for _ in range(size):
            class_name, start, position = self._any(position)
            if class_name is not None:
                self._branch(class_name, start, parent)
        return end

    def _branch(self, class_name: bytes, position: int, parent: int) -> None:
        if class_name in _DERIVED:
            _, position, _ = self._counted(position)
        elif class_name != b"TBranch":
            msg = f"branch of class {class_name.decode('latin-1')}"
            raise ValueError(msg)
        version, position, _ = self._counted(position)
        if version not in (*_BRANCH_VERSIONS, *_OLD_VERSIONS):
            msg = f"TBranch version {version}"
            raise ValueError(msg)
        _, named, position = self._counted(position)
        name, _ = unpack_tstring(self.data, self._tobject(named))
        if version in _OLD_VERSIONS:
            branch, position = self._old_fields(version, position)
        else:
            branch, position = self._fields(version, position)
        branch.name = name.decode("utf-8", "surrogateescape")
        branch.class_name, branch.parent = class_name, parent
        self.branches.append(branch)
        position = self._branch_array(position, len(self.branches) - 1)
        _, _, position = self._counted(position)  # fLeaves
        position = self._baskets(position, branch)
        branch.at_basket_bytes, position = self._table(position, branch.max_baskets, 4)
        width = np.dtype(branch.entry_dtype).itemsize
        branch.at_basket_entry, position = self._table(position, branch.max_baskets, width)
        if branch.total_dtype != ">i8" and self.data[position] == _WIDE_SEEKS:
            branch.seek_dtype = ">i8"
        width = np.dtype(branch.seek_dtype).itemsize
        branch.at_basket_seek, position = self._table(position, branch.max_baskets, width)
        branch.file_name, _ = unpack_tstring(self.data, position)

    def _old_fields(self, version: int, position: int) -> tuple[StreamedBranch, int]:
        """What stands in front of fBranches up to version 9."""
        if version > 7:
            _, _, position = self._counted(position)
        start = _OLD_START.unpack_from(self.data, position)
        compress, _, offset_len, write_basket, _, _, max_baskets = start
        position += _OLD_START.size + (_OLD_SPLIT_LEVEL.size if version > 6 else 0)
        entries, tot_bytes, _ = _OLD_TOTALS.unpack_from(self.data, position)
        position += _OLD_TOTALS.size
        branch = StreamedBranch(
            "", b"", -1, compress, offset_len, write_basket, int(entries), int(tot_bytes),
            max_baskets, position - 16, position - 8, -1, -1, -1, b"", ">i4", ">i4", ">f8",
        )  # fmt: skip
        return branch, position

    def _fields(self, version: int, position: int) -> tuple[StreamedBranch, int]:
        """What stands in front of fBranches from version 10 on."""
        _, _, position = self._counted(position)  # TAttFill
        compress, _, offset_len, write_basket, _ = _BRANCH_START.unpack_from(self.data, position)
        position += _BRANCH_START.size
        if version >= 13:
            _, _, position = self._counted(position)  # ROOT::TIOFeatures
        rest = _BRANCH_REST if version >= 11 else _BRANCH_REST_10
        fields = rest.unpack_from(self.data, position)
        position += rest.size
        branch = StreamedBranch(
            "", b"", -1, compress, offset_len, write_basket, fields[3], fields[-2], fields[1],
            position - 16, position - 8, -1, -1, -1, b"",
        )  # fmt: skip
        return branch, position

    def _table(self, position: int, size: int, width: int) -> tuple[int, int]:
        if self.data[position] == 0 and size:
            msg = f"a basket table is missing at {position}"
            raise ValueError(msg)
        stop = position + 1 + size * width
        if size < 0 or stop > len(self.data):
            msg = f"a basket table ends outside its record at {position}"
            raise ValueError(msg)
        return position + 1, stop

    def _baskets(self, position: int, branch: StreamedBranch) -> int:
        size, position, end = self._object_array(position)
        for index in range(size):
            class_name, start, position = self._any(position)
            if class_name is not None:
                basket = self._basket(index, start)
                if basket is not None:
                    branch.embedded.append(basket)
        return end

    def _basket(self, index: int, position: int) -> EmbeddedBasket | None:
        key, position = Key.unpack(self.data, position)
        header, position = BasketHeader.unpack(self.data, position)
        generated = header.flag >= 80
        flag = header.flag - 80 if generated else header.flag
        displaced = flag >= 40
        flag = flag - 40 if displaced else flag
        if flag == 0 or header.nev <= 0:
            return None  # only a header, or nothing in it: it stays in the tree's bytes
        offsets = -1
        if flag % 10 != 2 and not generated:
            (count,) = _U4.unpack_from(self.data, position)
            if count != header.nev:
                msg = f"embedded basket with {count} offsets for {header.nev} entries"
                raise ValueError(msg)
            offsets = position + 4
            position = offsets + 4 * count
            if displaced:
                position += 4 + 4 * count
        if flag < 10:
            return None
        data, border = position + key.keylen, header.last - key.keylen
        if border < 0 or data + border > len(self.data):
            msg = f"embedded basket ends outside its record at {position}"
            raise ValueError(msg)
        return EmbeddedBasket(index, key, header, data, border, offsets)

    def _rest_of_tree(self, position: int) -> None:
        """From behind fBranches to fBranchRef, whose baskets belong to the tree too."""
        _, _, position = self._counted(position)  # fLeaves
        _, _, position = self._any(position)  # fAliases
        for width in (8, 4):  # fIndexValues, fIndex
            (size,) = _U4.unpack_from(self.data, position)
            position += 4 + width * size
        for _ in range(3):  # fTreeIndex, fFriends, fUserInfo
            _, _, position = self._any(position)
        class_name, start, end = self._any(position)  # fBranchRef
        if class_name is not None:
            self._branch(class_name, start, -1)
        if end > len(self.data):
            msg = "fBranchRef ends outside the tree"
            raise ValueError(msg)


def tree_zip_bytes(data: Sequence[int] | bytes | bytearray, headers: int) -> int | None:
    """Position of TTree::fZipBytes, or None where the tree is too old to have it as an integer.

    Parameters
    ----------
    data : bytes
        The object.
    headers : int
        Classes derived from TTree whose headers stand in front of it.
    """
    raw = bytes(data[:4096])
    try:
        position = 6 * headers
        (version,) = _U2.unpack_from(raw, position + 4)
        if version < 16:
            return None
        position += 6
        for _ in range(4):  # TNamed, TAttLine, TAttFill, TAttMarker
            (count,) = _U4.unpack_from(raw, position)
            position += 4 + (count & ~_BYTE_COUNT)
    except struct.error:
        return None
    return position + 16


def basket_places(payload: bytes, branches: Sequence[StreamedBranch]) -> list[tuple[int, int]]:
    """Offset and size of all baskets in its file that a streamed tree names."""
    out: list[tuple[int, int]] = []
    for branch in branches:
        if branch.file_name:
            continue
        count = max(min(branch.write_basket, branch.max_baskets), 0)
        seeks = np.frombuffer(payload, branch.seek_dtype, count, branch.at_basket_seek).tolist()
        sizes = np.frombuffer(payload, ">i4", count, branch.at_basket_bytes).tolist()
        out += [(seek, size) for seek, size in zip(seeks, sizes, strict=True) if seek]
    return out
