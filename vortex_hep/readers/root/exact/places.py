"""Positions of the records of a ROOT file, numbered alike by writer and reader of an archive."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from vortex_hep.core.schema import Array
from vortex_hep.core.storage.identity import Identity
from vortex_hep.core.text import fault_of
from vortex_hep.errors import (
    CorruptionError,
    UnsupportedFeatureError,
    UnsupportedVersionError,
    VortexError,
)
from vortex_hep.readers.holes import kept_ranges
from vortex_hep.readers.root.exact.recompress import KEPT, LEVELS
from vortex_hep.readers.root.rntuple.envelopes import walk_page_list
from vortex_hep.readers.root.skeleton import Skeleton

VERSION = 1
#: Of a plan with folders that baskets name other than their trees do.
_VERSION_FOLDERS = 2

#: A record: number, place, size with its key (or a page's checksum), method and level.
PLACE = np.dtype(
    [("item", "<i8"), ("offset", "<i8"), ("size", "<i8"), ("method", "u1"), ("level", "u1")]
)


class Numbering:
    """Numbers of all records that the remainder of a file describes.

    Baskets come first, tree by tree; then pages, RNTuple by RNTuple; then, one for each, the keys
    of all directories and the streamer info; then header, footer and page lists of RNTuples.

    Parameters
    ----------
    skeleton : Skeleton
    """

    def __init__(self, skeleton: Skeleton) -> None:
        self.baskets: list[int] = []
        at = 0
        for tree in skeleton.trees:
            self.baskets.append(at)
            at += 0 if tree.shared else len(tree.fields)
        self.pages: list[int] = []
        for ntuple in skeleton.ntuples:
            self.pages.append(at)
            at += sum(
                len(column.pages)
                for data in ntuple.page_lists
                for cluster in walk_page_list(data).clusters
                for column in cluster
            )
        self.keys = at
        at += len(skeleton.info["keys"])
        self.info = at
        at += 1
        self.envelopes: list[int] = []
        for ntuple in skeleton.ntuples:
            self.envelopes.append(at)
            at += 2 + len(ntuple.page_lists)
        self.count = at
        #: Ranges (offset, size) that the remainder holds as they are.
        self.fixed = skeleton.fixed.places


@dataclass
class ExactPlan:
    """Everything of a file that its other blobs do not tell.

    Parameters
    ----------
    identity : Identity
    directories : sequence of int
        Offsets of the directories' records.
    places : structured array
        By offset; records that lie within one another are kept.
    fixed : sequence of (offset, size)
        What the remainder holds as it is, at its place.
    basket_directories : mapping of int to int
        The folder's offset that keys of baskets name, by number of the tree, where it is not that
        of the tree's folder.
    """

    identity: Identity
    directories: Sequence[int]
    places: Array
    fixed: Sequence[tuple[int, int]] = ()
    basket_directories: Mapping[int, int] = field(default_factory=dict)

    @property
    def holes(self) -> Array:
        """Places of what is made anew."""
        holes: Array = self.places[self.places["method"] != KEPT]
        return holes

    def kept_ranges(self) -> list[tuple[int, int]]:
        """What is kept: ranges (start, stop) of the file between holes."""
        fixed = np.zeros(len(self.fixed), PLACE)
        for number, (offset, size) in enumerate(self.fixed):
            fixed["offset"][number], fixed["size"][number] = offset, size
        holes = np.concatenate((self.holes, fixed))
        return kept_ranges(holes[np.argsort(holes["offset"])], self.identity.size)


def is_exact(blobs: Mapping[str, bytes]) -> bool:
    """Whether a remainder can give a file byte for byte."""
    return "root/exact/plan" in blobs


def pack_plan(plan: ExactPlan) -> Iterator[tuple[str, bytes]]:
    """Blobs of a plan."""
    document: dict[str, Any] = {
        "version": VERSION,
        **plan.identity.document,
        "directories": list(plan.directories),
    }
    if plan.basket_directories:
        document["version"] = _VERSION_FOLDERS
        document["basket_directories"] = sorted(plan.basket_directories.items())
    yield "root/exact/plan", json.dumps(document, separators=(",", ":")).encode()
    places = plan.places
    ends = np.concatenate([[0], places["offset"] + places["size"]])[:-1]
    wide = (np.diff(places["item"], prepend=0), places["offset"] - ends, places["size"])
    # Byte by byte: most of the high ones are zero.
    planes = [np.ascontiguousarray(c, "<i8").view(np.uint8).reshape(-1, 8).T for c in wide]
    narrow = [places["method"], places["level"]]
    yield "root/exact/places", b"".join(np.ascontiguousarray(p).tobytes() for p in planes + narrow)


def unpack_plan(blobs: Mapping[str, bytes], numbering: Numbering) -> ExactPlan:
    """Undo :func:`pack_plan`.

    Raises
    ------
    CorruptionError
        The plan is invalid.
    UnsupportedVersionError, UnsupportedFeatureError
        It is of a newer release.
    """
    try:
        document = json.loads(blobs["root/exact/plan"])
        if document["version"] not in (VERSION, _VERSION_FOLDERS):
            msg = f"unsupported version {document['version']!r} of the blob 'root/exact/plan'"
            raise UnsupportedVersionError(msg, hint="update vortex_hep")
        plan = ExactPlan(
            Identity.parse(document),
            [int(seek) for seek in document["directories"]],
            _places(blobs["root/exact/places"]),
            numbering.fixed,
            {int(tree): int(seek) for tree, seek in document.get("basket_directories", ())},
        )
        _check(plan, numbering)
    except (KeyError, ValueError, TypeError, OverflowError) as error:
        if isinstance(error, VortexError):
            raise
        msg = f"invalid positions of the ROOT file's records: {fault_of(error)}"
        raise CorruptionError(msg) from error
    return plan


def _places(blob: bytes) -> Array:
    count, left = divmod(len(blob), 26)
    if left:
        msg = f"blob 'root/exact/places' has {len(blob)} bytes, not a multiple of 26"
        raise ValueError(msg)
    planes = np.frombuffer(blob, np.uint8, 24 * count).reshape(3, 8, count)
    items, gaps, sizes = (
        np.ascontiguousarray(p.T).reshape(-1).view("<i8").astype(np.int64) for p in planes
    )
    places = np.zeros(count, PLACE)
    places["item"], places["size"] = np.cumsum(items), sizes
    places["offset"] = np.cumsum(gaps) + np.cumsum(sizes) - sizes
    places["method"], places["level"] = np.frombuffer(blob, np.uint8, -1, 24 * count).reshape(2, -1)
    return places


def _check(plan: ExactPlan, numbering: Numbering) -> None:
    places, holes = plan.places, plan.holes
    if any(offset + size > plan.identity.size for offset, size in plan.fixed):
        msg = "a record is to stay outside the file"
        raise ValueError(msg)
    if len(places) and (
        len(np.unique(places["item"])) != len(places)
        or not 0 <= int(places["item"].min()) <= int(places["item"].max()) < numbering.count
        or int(places["size"].min()) < 0
        or int(places["offset"].min()) < 0
    ):
        msg = "a position belongs to no record"
        raise ValueError(msg)
    ends = holes["offset"] + holes["size"]
    if (holes["offset"][1:] < ends[:-1]).any() or (ends > plan.identity.size).any():
        msg = "records overlap, or lie outside the file"
        raise ValueError(msg)
    for method, level in np.unique(holes[["method", "level"]]).tolist():
        if level not in LEVELS.get(method, ()):
            msg = f"unsupported compression method {method}, level {level} of records"
            raise UnsupportedFeatureError(msg, hint="update vortex_hep")
