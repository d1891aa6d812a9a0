"""ROOT files: TTrees basket by basket, RNTuples page by page, the rest as stored bytes."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from typing import Any

from vortex_hep.readers.kinds import ReadCluster, RestoreOptions
from vortex_hep.readers.root.exact import is_exact, restore_exact
from vortex_hep.readers.root.opening import open_file
from vortex_hep.readers.root.restore import DEFAULT_COMPRESSION, restore_root
from vortex_hep.readers.root.rootfile import RootFileSource

__all__ = ["RootFileSource", "content_of", "open_file", "restore_file", "restore_root"]


def restore_file(
    blobs: Mapping[str, bytes],
    trees: Mapping[str, Sequence[tuple[int, int]]],
    read_cluster: ReadCluster,
    out_path: str | os.PathLike[str],
    options: RestoreOptions,
) -> None:
    """Write the ROOT file anew; see :mod:`vortex_hep.readers.kinds`."""
    if options.exact and is_exact(blobs):
        restore_exact(blobs, trees, read_cluster, out_path, overwrite=options.overwrite)
        return
    restore_root(
        blobs, trees, read_cluster, out_path,
        compression=options.compression or DEFAULT_COMPRESSION, overwrite=options.overwrite,
    )  # fmt: skip


def content_of(name: str, blob: bytes) -> Any:
    """Return what a blob of a remainder says of the content of a file, not of its layout on disk.

    A file that was restored holds the same as its source in baskets and key lists of other sizes.
    """
    if name.endswith("/plan") or name.startswith("root/exact/"):
        return None
    if name.endswith("/envelopes"):
        # The header is the schema; what follows it says where pages stand. An envelope begins
        # with its type (16 bits) and its length (48 bits): BinaryFormatSpecification, "Envelopes".
        return blob[: int.from_bytes(blob[2:8], "little")]
    if name != "root/skeleton":
        return blob
    try:
        skeleton = json.loads(blob)
        del skeleton["file"]["compress"]  # of what is written next, and no content
        for directory in skeleton["directories"]:
            del directory["list"]
        for key in skeleton["keys"]:
            key.pop("anchor", None)
    except (ValueError, KeyError, TypeError):
        return blob
    return skeleton
