"""A file's records rebuilt, uncompressed, from columns and remainder.

Who writes an archive does it to find out which records come back, who restores does it to have
them: what is done here is the same for both.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol

import numpy as np

from vortex_hep.core.schema import Array, Cluster
from vortex_hep.errors import CorruptionError
from vortex_hep.readers.root.exact.places import ExactPlan, Numbering
from vortex_hep.readers.root.file.tkey import Key
from vortex_hep.readers.root.rntuple.envelopes import seal_envelope
from vortex_hep.readers.root.rntuple.fill import NTupleFiller, StoredNTuple
from vortex_hep.readers.root.skeleton import NOT_OBJECTS, Skeleton, unpack_key
from vortex_hep.readers.root.ttree.fill import TreeFiller
from vortex_hep.readers.root.ttree.stored import StoredTree, fill_shared, number_at, ranges_of
from vortex_hep.readers.root.ttree.streamed import tree_zip_bytes

#: Bytes of the checksum behind a page (BinaryFormatSpecification, "Page Locations").
PAGE_CHECKSUM = 8


class RecordSink(Protocol):
    """Takes records."""

    def put(
        self, item: int, head: bytes, payload: bytes | memoryview, *, checksum: bool = False
    ) -> None:
        """Take a record.

        Parameters
        ----------
        item : int
            Its number.
        head : bytes
            What stands in front of the compressed bytes: the key, and a basket's header.
        payload : bytes
            Uncompressed.
        checksum : bool
            Whether the XXH3-64 of the compressed bytes follows them.
        """
        ...


class Rebuilder:
    """Makes all records of a file, one after the other.

    Parameters
    ----------
    skeleton : Skeleton
        Used up by :meth:`run`.
    numbering : Numbering
    plan : ExactPlan
        Places of records; methods and levels are not looked at.
    sink : RecordSink
    """

    def __init__(
        self, skeleton: Skeleton, numbering: Numbering, plan: ExactPlan, sink: RecordSink
    ) -> None:
        self._skeleton, self._numbering, self._sink = skeleton, numbering, sink
        self._directories = plan.directories
        self._basket_directories = plan.basket_directories
        self._offsets = np.zeros(numbering.count, np.int64)
        self._sizes = np.zeros(numbering.count, np.int64)
        self._offsets[plan.places["item"]] = plan.places["offset"]
        self._sizes[plan.places["item"]] = plan.places["size"]

    def run(
        self,
        trees: Mapping[str, Sequence[tuple[int, int]]],
        read_cluster: Callable[[str, int, int], Cluster],
    ) -> None:
        """Ask for the columns cluster by cluster, and give all records to the sink.

        Raises
        ------
        CorruptionError
            Remainder and columns do not belong together.
        """
        try:
            self._objects()
            placed: list[tuple[int, int]] = []
            for number, tree in enumerate(self._skeleton.trees):
                placed += self._tree(number, tree, placed, trees, read_cluster)
            for number, ntuple in enumerate(self._skeleton.ntuples):
                self._ntuple(number, ntuple, trees, read_cluster)
        except (struct.error, IndexError, KeyError, ValueError, OverflowError) as error:
            if isinstance(error, CorruptionError):
                raise
            msg = f"a record of the ROOT file cannot be made again: {error!r}"
            raise CorruptionError(msg) from error

    def _objects(self) -> None:
        """Everything that is neither of a tree nor a directory."""
        position = 0
        for number, item in enumerate(self._skeleton.info["keys"]):
            if item.keys().isdisjoint(NOT_OBJECTS):
                key = unpack_key(item["key"])
                data = self._skeleton.objects[position : position + key.objlen]
                position += key.objlen
                self._put_object(self._numbering.keys + number, item, data)
        if self._skeleton.info["info"] is not None:
            item = {"key": self._skeleton.info["info"], "directory": 0}
            self._put_object(self._numbering.info, item, self._skeleton.objects[position:])

    def _put_object(self, item: int, described: Mapping[str, Any], data: bytes) -> None:
        key = self._placed(unpack_key(described["key"]), item, described["directory"])
        self._sink.put(item, key.pack(), data)

    def _placed(self, key: Key, item: int, directory: int) -> Key:
        return replace(
            key, seek=int(self._offsets[item]), nbytes=int(self._sizes[item]),
            directory=self._directories[directory],
        )  # fmt: skip

    def _tree(
        self,
        number: int,
        tree: StoredTree,
        before: Sequence[tuple[int, int]],
        trees: Mapping[str, Sequence[tuple[int, int]]],
        read_cluster: Callable[[str, int, int], Cluster],
    ) -> list[tuple[int, int]]:
        """Baskets of a tree, then the tree; returns where the baskets are."""
        keys = self._skeleton.info["keys"]
        position = next(i for i, item in enumerate(keys) if item.get("tree") == number)
        placed: list[tuple[int, int]] = []
        if tree.shared:
            fill_shared(tree, before)
        else:
            first = self._numbering.baskets[number]
            last = first + len(tree.fields)
            directory = self._basket_directories.get(
                number, self._directories[keys[position]["directory"]]
            )
            places = self._offsets[first:last], self._sizes[first:last]
            filler = TreeFiller(tree, _Baskets(tree, self._sink, first, directory, *places))
            filler.run(ranges_of(tree, trees), read_cluster)
            placed = filler.placed
            at = tree_zip_bytes(tree.data, tree.headers)
            if at is not None:
                number_at(tree.data, at)[0] += filler.zip_bytes
        self._put_object(self._numbering.keys + position, keys[position], bytes(tree.data))
        tree.data = bytearray()
        return placed

    def _ntuple(
        self,
        number: int,
        ntuple: StoredNTuple,
        trees: Mapping[str, Sequence[tuple[int, int]]],
        read_cluster: Callable[[str, int, int], Cluster],
    ) -> None:
        first = self._numbering.pages[number]
        sink = _Pages(self._sink, first, self._offsets, self._sizes)
        NTupleFiller(ntuple, sink).run(ranges_of(ntuple, trees), read_cluster)
        for data in ntuple.page_lists:
            seal_envelope(data)
        envelopes = (ntuple.header, ntuple.footer, *ntuple.page_lists)
        for item, envelope in enumerate(envelopes, self._numbering.envelopes[number]):
            self._sink.put(item, b"", bytes(envelope))


class _Baskets:
    """Takes baskets to their places (a BasketSink)."""

    def __init__(
        self, tree: StoredTree, sink: RecordSink, first: int, directory: int, offsets: Array,
        sizes: Array,
    ) -> None:  # fmt: skip
        self._tree, self._sink, self._first, self._directory = tree, sink, first, directory
        self._offsets, self._sizes = offsets, sizes

    def place(self, row: int, key: Key) -> Key:
        size = int(self._sizes[row])
        if not size:
            msg = f"basket {row} has no place in the file"
            raise CorruptionError(msg, tree=self._tree.name)
        seek = int(self._offsets[row])
        return replace(key, nbytes=size, seek=seek, directory=self._directory)

    def put(self, row: int, branch: int, key: Key, rest: bytes, payload: bytes | memoryview) -> Key:
        self._sink.put(self._first + row, key.pack() + rest, payload)
        return key

    def copy(self, row: int, key: Key, rest: bytes) -> None:
        self._sink.put(self._first + row, key.pack(), rest)


class _Pages:
    """Takes pages to their places (a PageSink)."""

    def __init__(self, sink: RecordSink, first: int, offsets: Array, sizes: Array) -> None:
        self._sink, self._first, self._offsets, self._sizes = sink, first, offsets, sizes

    def put(self, page: int, settings: int, plain: bytes, *, checksum: bool) -> tuple[int, int]:
        item = self._first + page
        self._sink.put(item, b"", plain, checksum=checksum)
        size = int(self._sizes[item]) - (PAGE_CHECKSUM if checksum else 0)
        return size, int(self._offsets[item])
