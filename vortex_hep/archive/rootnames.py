"""Cycles of the trees of a ROOT file, and which are RNTuples, as its remainder says."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from vortex_hep.archive.handle import Handle
from vortex_hep.archive.view import Filter, TreeView
from vortex_hep.core.schema import Cluster
from vortex_hep.core.text import fault_of
from vortex_hep.errors import CorruptionError

_SKELETON, _NTUPLES = "root/skeleton", "root/ntuple/"


@dataclass(frozen=True)
class Cycle:
    """A cycle of a tree.

    Parameters
    ----------
    tree : str
        Name of the tree of the archive that holds its data.
    entries : int or None
        How many of that tree's entries it has, where it has no data of its own; None for all.
    known : bool
        Whether that is known.
    """

    tree: str
    entries: int | None = None
    known: bool = True


def is_ntuple(handle: Handle, name: str) -> bool:
    """Whether a tree of an archive was an RNTuple."""
    blobs = handle.remainder()
    if not any(blob.startswith(_NTUPLES) for blob in blobs):
        return False
    return any(str(item["name"]) == name for item in _skeleton(handle, blobs)["ntuples"])


def find_cycles(handle: Handle, name: str) -> dict[int, Cycle]:
    """Cycles of a tree in the ROOT file that an archive was made of.

    Parameters
    ----------
    handle : Handle
    name : str
        Of the tree, without cycle.

    Raises
    ------
    CorruptionError
        The remainder is damaged.
    """
    blobs = handle.remainder()
    if _SKELETON not in blobs:
        return {}
    skeleton = _skeleton(handle, blobs)
    out: dict[int, Cycle] = {}
    try:
        for key in skeleton["keys"]:
            cycle = int(key["key"][4])
            if "ntuple" in key and skeleton["ntuples"][key["ntuple"]]["name"] == name:
                out[cycle] = Cycle(name)
            item = skeleton["trees"][key["tree"]] if "tree" in key else {"name": None}
            if item["name"] not in (name, f"{name};{cycle}"):
                continue
            if item.get("shared"):
                out[cycle] = Cycle(name, item.get("entries"), "entries" in item)
            else:
                out[cycle] = Cycle(str(item["name"]))
    except (KeyError, IndexError, TypeError, ValueError) as error:
        msg = f"invalid {_SKELETON!r} in the remainder: {fault_of(error)}"
        raise CorruptionError(msg, path=handle.path) from error
    return out


def _skeleton(handle: Handle, blobs: Mapping[str, bytes]) -> dict[str, Any]:
    try:
        found = json.loads(blobs[_SKELETON])
        return {name: found[name] for name in ("keys", "trees", "ntuples")}
    except (KeyError, TypeError, ValueError) as error:
        if isinstance(error, CorruptionError):
            raise
        msg = f"invalid {_SKELETON!r} in the remainder: {fault_of(error)}"
        raise CorruptionError(msg, path=handle.path) from error


class EarlierCycle(TreeView):
    """An older cycle of a tree, whose data are the first entries of the newest.

    Parameters
    ----------
    tree : TreeView
        The newest.
    name : str
        With the cycle.
    entries : int
    """

    def __init__(self, tree: TreeView, name: str, entries: int) -> None:
        self._tree = tree
        super().__init__(name, tree.path, entries, tree.tables, tree.described)

    def cluster_ranges(self, target_bytes: int) -> list[tuple[int, int]]:
        """Entry ranges of the archive's clusters; ``target_bytes`` is of no effect."""
        ranges = self._tree.cluster_ranges(target_bytes)
        return [(a, min(b, self.num_entries)) for a, b in ranges if a < self.num_entries]

    def raw_bytes(self, names: Sequence[str]) -> int:
        """Bytes of branches as values; see :meth:`TreeView.raw_bytes`."""
        whole = self._tree.raw_bytes(names)
        return whole * self.num_entries // max(1, self._tree.num_entries)

    def read(self, start: int, stop: int, columns: Sequence[str] | None = None) -> Cluster:
        """Read entries as tables; see :meth:`TreeView.read`."""
        return self._tree.read(start, min(stop, self.num_entries), columns)

    def cost(self, *, filter_name: Filter = None) -> dict[str, int]:
        """What reading branches costs; see :meth:`TreeView.cost`."""
        return self._tree.cost(filter_name=filter_name)
