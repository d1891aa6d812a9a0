"""HepMC text of versions 2 and 3, plain, compressed or in tar archives, byte for byte."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from typing import Any

from vortex_hep.readers.hepmc.opening import exact_forecast, open_file
from vortex_hep.readers.hepmc.packed.finding import is_hepmc
from vortex_hep.readers.hepmc.restore import restore_hepmc
from vortex_hep.readers.hepmc.source import HepmcSource
from vortex_hep.readers.kinds import ReadCluster, RestoreOptions

__all__ = [
    "HepmcSource",
    "content_of",
    "exact_forecast",
    "is_hepmc",
    "open_file",
    "restore_file",
    "restore_hepmc",
]


def restore_file(
    blobs: Mapping[str, bytes],
    trees: Mapping[str, Sequence[tuple[int, int]]],
    read_cluster: ReadCluster,
    out_path: str | os.PathLike[str],
    options: RestoreOptions,
) -> None:
    """Write the HepMC file anew; see :mod:`vortex_hep.readers.kinds`."""
    restore_hepmc(
        blobs, trees, read_cluster, out_path, exact=options.exact, overwrite=options.overwrite
    )


def content_of(name: str, blob: bytes) -> Any:
    """Return what a blob says of the content of a file: the text, not how it is compressed."""
    if name == "hepmc/tail":
        return None
    if name != "hepmc/layout":
        return blob
    try:
        document = json.loads(blob)
        del document["packing"]
    except (ValueError, KeyError, TypeError, AttributeError):
        return blob
    return document
