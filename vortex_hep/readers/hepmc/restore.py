"""Restoring HepMC files from tables and remainder."""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, BinaryIO

import numpy as np

from vortex_hep.core.arrays import cut
from vortex_hep.core.schema import Cluster
from vortex_hep.core.storage.atomic import atomic_output
from vortex_hep.core.text import fault_of
from vortex_hep.errors import CorruptionError, UnsupportedVersionError, VortexError
from vortex_hep.readers.hepmc.leshouches.events import BlockLayout, write_blocks
from vortex_hep.readers.hepmc.packed.packing import make_packer
from vortex_hep.readers.hepmc.source import TREE
from vortex_hep.readers.hepmc.tables.headrows import unpack_bytes
from vortex_hep.readers.hepmc.tables.layout import TextLayout
from vortex_hep.readers.hepmc.tables.writing import write_events
from vortex_hep.readers.kinds import ReadCluster

#: Versions of the description of a text.
_VERSIONS = (1, 2, BlockLayout.format_version)
#: Particles that are written at once.
_BATCH_ROWS = 1 << 15


class _Checked:
    """An output that counts what is written."""

    def __init__(self, out: BinaryIO) -> None:
        self._out = out
        self.adler32 = 1

    def write(self, data: bytes) -> None:
        self.adler32 = zlib.adler32(data, self.adler32)
        self._out.write(data)


def restore_hepmc(
    blobs: Mapping[str, bytes],
    trees: Mapping[str, Sequence[tuple[int, int]]],
    read_cluster: ReadCluster,
    out_path: str | os.PathLike[str],
    *,
    exact: bool = True,
    overwrite: bool = False,
) -> None:
    """Write the file that remainder and events came from, packed as that was.

    Parameters
    ----------
    blobs : mapping of str to bytes
        The remainder.
    trees : mapping of str to sequence of (start, stop)
        Clusters of the tree.
    read_cluster : callable
    out_path : str or path
        Its name does not matter: a source in gzip comes back in gzip.
    exact : bool
        Whether compressed bytes that are promised are insisted upon, and not only the text.
    overwrite : bool

    Raises
    ------
    CorruptionError
        The remainder or the tables are invalid, or the text is not the one that was read.
    OutputError
        The file cannot be written.
    """
    path = os.fspath(out_path)
    try:
        _restore(blobs, trees, read_cluster, path, exact=exact, overwrite=overwrite)
    except VortexError:
        raise
    except (KeyError, TypeError, ValueError, IndexError, AttributeError, OverflowError) as error:
        raise CorruptionError(
            f"invalid tables of the events: {fault_of(error)}", path=path
        ) from error


def _restore(
    blobs: Mapping[str, bytes], trees: Mapping[str, Sequence[tuple[int, int]]],
    read_cluster: ReadCluster, path: str, *, exact: bool, overwrite: bool,
) -> None:  # fmt: skip
    document = _document(blobs, path)
    layout: TextLayout | BlockLayout
    if document["version"] == BlockLayout.format_version:
        layout = BlockLayout.unpack(document["layout"])
    else:
        layout = TextLayout.unpack(document["layout"])
    packing = dict(document["packing"])
    size, crc32, wanted = 0, 0, (int(document["size"]), int(document["crc32"]))
    with atomic_output(path, overwrite=overwrite) as raw:
        out = _Checked(raw)
        packer = make_packer(packing, wanted[0])
        for piece in _text(layout, blobs, trees.get(TREE, ()), read_cluster):
            size += len(piece)
            crc32 = zlib.crc32(piece, crc32)
            if size > wanted[0]:
                break
            out.write(packer.compress(piece))
        if (size, crc32) != wanted:
            raise CorruptionError("the restored text is not the one that was read", path=path)
        out.write(packer.finish())
        out.write(blobs.get("hepmc/tail", b""))
        if exact and out.adler32 != packing.get("adler32", out.adler32):
            raise CorruptionError(
                "the compressed bytes are not those of the source", path=path,
                hint="zlib or zstd at hand differs from that of the machine that compressed it;"
                " exact=False (--no-exact) writes the same text, compressed otherwise",
            )  # fmt: skip


def _document(blobs: Mapping[str, bytes], path: str) -> dict[str, Any]:
    if "hepmc/layout" not in blobs:
        raise CorruptionError("blob 'hepmc/layout' is missing in the remainder", path=path)
    document = json.loads(blobs["hepmc/layout"])
    if not isinstance(document, dict):
        raise CorruptionError("blob 'hepmc/layout' is not a JSON object", path=path)
    if document.get("version") not in _VERSIONS:
        raise UnsupportedVersionError(
            f"unsupported version {document.get('version')!r} of the blob 'hepmc/layout'",
            path=path, hint="update vortex_hep",
        )  # fmt: skip
    return document


def _pieces(blobs: Mapping[str, bytes], name: str) -> Iterator[bytes]:
    number = 0
    while (key := f"hepmc/{name}/{number}") in blobs:
        yield blobs[key]
        number += 1


def _batches(cluster: Cluster) -> Iterator[tuple[int, int]]:
    """Ranges of events of a few megabytes of text: what is worked on at once."""
    rows = cluster["particles"].offsets
    low = 0
    while low < len(rows) - 1:
        most = int(rows[low]) + _BATCH_ROWS
        high = max(low + 1, int(np.searchsorted(rows, most, "right")) - 1)
        yield low, high
        low = high


def _text(
    layout: TextLayout | BlockLayout, blobs: Mapping[str, bytes], ranges: Sequence[tuple[int, int]],
    read_cluster: ReadCluster,
) -> Iterator[bytes]:  # fmt: skip
    """All that the file held, in pieces."""
    yield from _pieces(blobs, "prefix")
    yield from _pieces(blobs, "head")
    for start, stop in ranges:
        whole = read_cluster(TREE, start, stop)
        for low, high in _batches(whole):
            cluster = {
                name: cut(
                    {name: table}, dict.fromkeys(table.columns, name), [*table.columns], low, high
                )
                for name, table in whole.items()
            }
            before = unpack_bytes(cluster[""].columns["before"])
            if isinstance(layout, BlockLayout):
                events = write_blocks(layout, cluster, start + low)
            else:
                events = write_events(layout, cluster, start + low)
            yield b"".join(part for both in zip(before, events, strict=True) for part in both)
    yield from _pieces(blobs, "foot")
    yield from _pieces(blobs, "suffix")
