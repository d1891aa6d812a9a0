"""Restoring a ROOT file byte for byte, from columns, remainder and positions."""

from __future__ import annotations

import os
import zlib
from collections.abc import Mapping, Sequence
from typing import BinaryIO

import numpy as np
import xxhash

from vortex_hep.core.storage.atomic import atomic_output
from vortex_hep.core.storage.identity import Identity, joined_identity
from vortex_hep.errors import CorruptionError, VortexError
from vortex_hep.readers.holes import pieces
from vortex_hep.readers.kinds import ReadCluster
from vortex_hep.readers.root.exact.pipeline import Pipeline
from vortex_hep.readers.root.exact.places import ExactPlan, Numbering, unpack_plan
from vortex_hep.readers.root.exact.rebuild import Rebuilder
from vortex_hep.readers.root.exact.recompress import KEPT, Setting, recompress
from vortex_hep.readers.root.skeleton import read_blobs

_HINT = (
    "the compression libraries at hand may differ from those that compressed it; "
    "exact=False (--no-exact) writes a file of the same content"
)


def restore_exact(
    blobs: Mapping[str, bytes],
    trees: Mapping[str, Sequence[tuple[int, int]]],
    read_cluster: ReadCluster,
    out_path: str | os.PathLike[str],
    *,
    overwrite: bool = False,
) -> None:
    """Write the file that an archive was made from, byte for byte.

    Parameters
    ----------
    blobs : mapping of str to bytes
        The remainder, with its plan.
    trees : mapping of str to sequence of (start, stop)
        Entry ranges in which to ask for each tree.
    read_cluster : callable
    out_path : str or path
    overwrite : bool

    Raises
    ------
    CorruptionError
        Remainder and columns do not belong together, or the result is not the original.
    OutputError
        The file cannot be written.
    """
    path = os.fspath(out_path)
    try:
        skeleton = read_blobs(blobs)
        numbering = Numbering(skeleton)
        plan = unpack_plan(blobs, numbering)
        with atomic_output(path, overwrite=overwrite) as out:
            image = _Image(out)
            for number, piece in enumerate(pieces(plan.kept_ranges())):
                _put_kept(image, piece, blobs.get(f"root/exact/kept/{number}", b""), number)
            for number, (offset, _) in enumerate(skeleton.fixed.places):
                for part in skeleton.fixed.pieces(number):
                    image.put(offset, part)
                    offset += len(part)
            with _Holes(plan, numbering.count, image) as holes:
                Rebuilder(skeleton, numbering, plan, holes).run(trees, read_cluster)
                holes.finish()
            plan.identity.check(image.identity(), path, hint=_HINT)
    except VortexError as error:
        error.path = error.path or path
        raise


class _Image:
    """The file to be, written in any order; its checksum follows from those of its parts."""

    def __init__(self, out: BinaryIO) -> None:
        self._out = out
        self._parts: list[tuple[int, int, int]] = []

    def put(self, offset: int, data: bytes | memoryview) -> None:
        """Write bytes at their place."""
        self._out.seek(offset)
        self._out.write(data)
        self._parts.append((offset, len(data), zlib.adler32(data)))

    def identity(self) -> Identity:
        """Size and checksum of all parts in the order of their places."""
        self._parts.sort()
        return joined_identity((size, checksum) for _, size, checksum in self._parts)


def _put_kept(image: _Image, piece: Sequence[tuple[int, int]], blob: bytes, number: int) -> None:
    if len(blob) != sum(size for _, size in piece):
        msg = f"piece {number} of the kept bytes is missing or cut"
        raise CorruptionError(msg)
    view, at = memoryview(blob), 0
    for offset, size in piece:
        image.put(offset, view[at : at + size])
        at += size


class _Holes:
    """Compresses records as they were and puts them into their holes (a RecordSink)."""

    def __init__(self, plan: ExactPlan, count: int, image: _Image) -> None:
        self._image = image
        self._row = np.full(count, -1, np.int64)
        self._places = plan.places
        self._row[plan.places["item"]] = np.arange(len(plan.places))
        self._left = len(plan.holes)
        self._pipeline: Pipeline[tuple[int, int, bytes]] = Pipeline(self._take)

    def put(
        self, item: int, head: bytes, payload: bytes | memoryview, *, checksum: bool = False
    ) -> None:
        row = int(self._row[item])
        if row < 0:
            return
        _, offset, size, method, level = self._places[row].tolist()
        if method != KEPT:
            self._left -= 1
            setting = Setting(method, level)
            self._pipeline.submit(
                len(payload), _record, offset, size, head, payload, setting, checksum
            )

    def _take(self, found: tuple[int, int, bytes]) -> None:
        offset, size, data = found
        if len(data) != size:
            msg = f"a record of {size} bytes at byte {offset} has {len(data)} when it is made again"
            raise CorruptionError(msg, hint=_HINT)
        self._image.put(offset, data)

    def finish(self) -> None:
        """Wait for all records; raise CorruptionError where some are missing."""
        self._pipeline.finish()
        if self._left:
            msg = f"{self._left} records of the ROOT file are missing"
            raise CorruptionError(msg)

    def __enter__(self) -> _Holes:
        self._pipeline.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self._pipeline.__exit__(None, None, None)


def _record(
    offset: int,
    size: int,
    head: bytes,
    payload: bytes | memoryview,
    setting: Setting,
    checksum: bool,
) -> tuple[int, int, bytes]:
    try:
        stored = bytes(recompress(payload, setting))
    except ValueError as error:
        msg = f"the record at byte {offset} cannot be compressed: {error}"
        raise CorruptionError(msg, hint=_HINT) from error
    end = xxhash.xxh3_64_intdigest(stored).to_bytes(8, "little") if checksum else b""
    return offset, size, head + stored + end
