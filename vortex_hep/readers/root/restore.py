"""Restoring ROOT files from columns and remainder."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from vortex_hep.core.schema import Cluster
from vortex_hep.errors import CorruptionError
from vortex_hep.readers.root.file.compression import Compression
from vortex_hep.readers.root.file.rootwriter import BlobWriter, Reserved, RootWriter
from vortex_hep.readers.root.file.sinks import AppendedBaskets, AppendedPages, original
from vortex_hep.readers.root.file.tkey import START_BIG_FILE, DirectoryHeader, FileHeader, Key
from vortex_hep.readers.root.rntuple.fill import NTupleFiller, StoredNTuple, write_envelopes
from vortex_hep.readers.root.skeleton import NOT_OBJECTS, Skeleton, read_blobs, unpack_key
from vortex_hep.readers.root.ttree.fill import TreeFiller
from vortex_hep.readers.root.ttree.stored import StoredTree, fill_shared, number_at, ranges_of
from vortex_hep.readers.root.ttree.streamed import tree_zip_bytes

#: What records of a restored file are compressed with unless told otherwise: what each was, so that
#: a restored file is no larger than the one that was compressed.
DEFAULT_COMPRESSION = "original"
#: Room for what else the file holds, when guessing whether it stays below 2 GB.
_MARGIN = 100_000_000
#: Bytes of a folder's record, at most, beside its names.
_FOLDER_ROOM = 256


def restore_root(
    blobs: Mapping[str, bytes] | Iterable[tuple[str, bytes]],
    trees: Mapping[str, Sequence[tuple[int, int]]],
    read_cluster: Callable[[str, int, int], Cluster],
    out_path: str | os.PathLike[str],
    *,
    compression: str = DEFAULT_COMPRESSION,
    overwrite: bool = False,
) -> None:
    """Write a ROOT file with the trees, objects and directories of the one that was read.

    Parameters
    ----------
    blobs : mapping, or iterable of pairs
        What ``FileSource.remainder()`` gave.
    trees : mapping of str to sequence of (start, stop)
        Entry ranges in which to ask for each tree: contiguous, increasing, covering the tree.
    read_cluster : callable
        ``read_cluster(tree_name, start, stop)`` gives all columns of these entries.
    out_path : str or path
        Local file; it appears only when it is complete.
    compression : str
        ``"zstd:5"``, ``"zlib:1"``, ``"lzma:9"``, ``"lz4:4"`` (any level), ``"none"``, or
        ``"original"`` for what each branch was written with.
    overwrite : bool
        Whether an existing file may be replaced.

    Raises
    ------
    CorruptionError
        Remainder and columns do not belong together.
    OutputError
        The file cannot be written.

    Notes
    -----
    The file's header names the compression that was asked for, or the original's. Every basket
    holds the same entries as before, and its uncompressed bytes are the same. A basket written
    beyond 2 GB gets a 64-bit key, whose length its entry offsets count.
    """
    how = Compression.parse(compression)
    skeleton = read_blobs(blobs if isinstance(blobs, Mapping) else dict(blobs))
    with RootWriter(out_path, overwrite=overwrite) as writer:
        _FileRestorer(skeleton, writer, how).run(trees, read_cluster)


class _FileRestorer:
    """Writes one file: directories and objects first, then baskets, then trees and key lists."""

    def __init__(self, skeleton: Skeleton, writer: RootWriter, how: Compression | None) -> None:
        self._info = skeleton.info
        self._objects = skeleton.objects
        self._trees = skeleton.trees
        self._ntuples = skeleton.ntuples
        self._tail = skeleton.tail
        self._fixed = skeleton.fixed
        self._writer = writer
        self._how = how
        file = self._info["file"]
        self._object_how = how or Compression.from_code(file["compress"])
        self._directories: list[tuple[Key, DirectoryHeader, bytes]] = []
        self._keys: list[Key | None] = [None] * len(self._info["keys"])

    def run(
        self,
        trees: Mapping[str, Sequence[tuple[int, int]]],
        read_cluster: Callable[[str, int, int], Cluster],
    ) -> None:
        file = self._info["file"]
        self._writer.write(bytes(file["begin"]))
        self._start_directories()
        seek_info, nbytes_info = self._write_objects()
        spaces = self._reserve_trees()
        placed: list[tuple[int, int]] = []
        for number, tree in enumerate(self._trees):
            item = self._tree_item(number)
            directory = self._directories[item["directory"]][0].seek
            if tree.shared:
                fill_shared(tree, placed)
            else:
                filler = TreeFiller(tree, self._basket_sink(tree, directory))
                filler.run(ranges_of(tree, trees), read_cluster)
                placed += filler.placed
                at = tree_zip_bytes(tree.data, tree.headers)
                if at is not None:
                    number_at(tree.data, at)[0] += filler.zip_bytes
            key = unpack_key(item["key"])
            self._keys[self._info["keys"].index(item)] = self._writer.put(
                key, bytes(tree.data), directory, self._object_how, spaces.get(number)
            )
            tree.data = bytearray()
        for number, ntuple in enumerate(self._ntuples):
            self._write_ntuple(number, ntuple, trees, read_cluster)
        self._finish_directories()
        header = FileHeader(
            file["version"], file["begin"], 0, 0, 0, 0, file["nbytes_name"], file["units"],
            file["compress"] if self._how is None else self._how.code,
            seek_info, nbytes_info, file["uuid_version"],
            bytes.fromhex(file["uuid"]),
        )  # fmt: skip
        self._writer.finish(header, self._directories[0][0])
        self._writer.write(*self._tail)

    def _basket_sink(self, tree: StoredTree, directory: int) -> AppendedBaskets:
        compress = self._info["file"]["compress"]
        how = [
            self._how or original(branch.compress, compress, packed=plan.packed)
            for branch, plan in zip(tree.branches, tree.plans, strict=True)
        ]
        return AppendedBaskets(self._writer, directory, how)

    def _write_ntuple(
        self,
        number: int,
        ntuple: StoredNTuple,
        trees: Mapping[str, Sequence[tuple[int, int]]],
        read_cluster: Callable[[str, int, int], Cluster],
    ) -> None:
        position, item = next(
            (i, item) for i, item in enumerate(self._info["keys"]) if item.get("ntuple") == number
        )
        directory = self._directories[item["directory"]][0].seek
        blobs = BlobWriter(self._writer, self._directories[0][0].seek)
        filler = NTupleFiller(ntuple, AppendedPages(blobs, self._how))
        filler.run(ranges_of(ntuple, trees), read_cluster)
        anchor = write_envelopes(ntuple, blobs, self._how, bytes.fromhex(item["anchor"]))
        key = replace(unpack_key(item["key"]), objlen=len(anchor))
        # ROOT finds an RNTuple through an uncompressed anchor.
        self._keys[position] = self._writer.append(key, anchor, directory)

    def _tree_item(self, number: int) -> dict[str, Any]:
        return next(item for item in self._info["keys"] if item.get("tree") == number)

    def _start_directories(self) -> None:
        """Write all directory records, whose lists of keys are not known yet."""
        for item in self._info["directories"]:
            key = unpack_key(item.get("own", item["key"]))
            parent = self._directories[item["parent"]][0].seek if item["parent"] >= 0 else 0
            # A folder's record names its own place.
            self._writer.make_room(key.keylen + _FOLDER_ROOM + len(item["prefix"]))
            header = DirectoryHeader(
                item["version"], item["created"], item["modified"], 0, item["nbytes_name"],
                self._writer.position, parent, 0, bytes.fromhex(item["rest"]),
            )  # fmt: skip
            prefix = item["prefix"].encode("latin-1")
            content = prefix + header.pack()
            # The root directory's key names no directory above it.
            placed = self._writer.append(replace(key, objlen=len(content)), content, parent)
            self._directories.append((placed, header, prefix))
            if len(self._directories) == 1:
                self._writer.keep_free(self._fixed)
        for number, item in enumerate(self._info["keys"]):
            if "is_directory" in item:
                key, placed = unpack_key(item["key"]), self._directories[item["is_directory"]][0]
                names = {n: getattr(key, n) for n in ("class_name", "name", "title")}
                self._keys[number] = replace(placed, **names)

    def _write_objects(self) -> tuple[int, int]:
        """Write all other objects; returns place and size of the streamer info."""
        position = 0
        for number, item in enumerate(self._info["keys"]):
            if "fixed" in item:
                seek, nbytes = item["fixed"]
                parent = self._directories[item["directory"]][0].seek
                key = replace(unpack_key(item["key"]), nbytes=nbytes, seek=seek, directory=parent)
                self._keys[number] = key
            if not item.keys().isdisjoint(NOT_OBJECTS):
                continue
            key = unpack_key(item["key"])
            data = self._objects[position : position + key.objlen]
            position += key.objlen
            directory = self._directories[item["directory"]][0].seek
            self._keys[number] = self._writer.put(key, data, directory, self._object_how)
        if self._info["info"] is None:
            return 0, 0
        key = unpack_key(self._info["info"])
        root = self._directories[0][0].seek
        placed = self._writer.put(key, self._objects[position:], root, self._object_how)
        return placed.seek, placed.nbytes

    def _reserve_trees(self) -> dict[int, Reserved]:
        """Space for the trees ahead of the baskets, if these may reach beyond 2 GB.

        A key there is eight bytes longer, and references inside a tree count from its key's start.
        """
        expected = sum(tree.total_bytes + len(tree.data) for tree in self._trees)
        if self._writer.position + expected + _MARGIN < START_BIG_FILE:
            return {}
        return {
            number: self._writer.reserve(
                unpack_key(self._tree_item(number)["key"]).keylen + len(tree.data)
            )
            for number, tree in enumerate(self._trees)
        }

    def _finish_directories(self) -> None:
        """Write each directory's list of keys, and its place into the directory's record."""
        for number, item in enumerate(self._info["directories"]):
            key, header, prefix = self._directories[number]
            if item["list"] is None:
                continue
            children = [
                placed
                for placed, child in zip(self._keys, self._info["keys"], strict=True)
                if placed is not None and child["directory"] == number
            ]
            content = len(children).to_bytes(4, "big") + b"".join(k.pack() for k in children)
            list_key = replace(unpack_key(item["list"]), objlen=len(content))
            placed_list = self._writer.append(list_key, content, key.seek)
            header = replace(header, nbytes_keys=placed_list.nbytes, seek_keys=placed_list.seek)
            try:
                record = key.pack() + prefix + header.pack()
            except ValueError as error:
                raise CorruptionError(str(error)) from error
            self._writer.overwrite(key.seek, record)
