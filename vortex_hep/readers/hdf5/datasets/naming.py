"""Grouping of datasets into trees, and names of trees, tables and columns.

In every group of the file:

* datasets without fields that have as many rows as each other are the columns of one tree. The
  largest such set (by number of datasets, then the first by name) is named by the group, ``"/"``
  for the root group; another by its first dataset and the number of the others, ``"info/x+2"``;
* a dataset that stands alone is a tree named by its path, with one column named as the dataset;
* datasets of compound type are trees named by their paths, whose columns are their fields. Those
  that have as many rows as each other, more than one, are coded as one tree, ``"jets+tracks"``.

Names that are taken get ``#2``, ``#3`` and so on behind.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from vortex_hep.core.schema import Member
from vortex_hep.readers.hdf5.chunks.recordtype import ElementPart
from vortex_hep.readers.hdf5.datasets.survey import StoredDataset

#: A joint tree is named by at most so many of its datasets.
_MANY = 4


@dataclass
class DatasetGroup:
    """Datasets that are one tree.

    Parameters
    ----------
    name : str
    datasets : list of StoredDataset
        With columns named as the tree has them.
    tables : list of str
        Per dataset, the table that it is in.
    members : tuple of Member
    """

    name: str
    datasets: list[StoredDataset]
    tables: list[str]
    members: tuple[Member, ...] = ()


def groups_of(
    datasets: Iterable[StoredDataset], wanted: Sequence[str] | None
) -> list[DatasetGroup]:
    """Make trees of datasets, and name all columns.

    Parameters
    ----------
    datasets : iterable of StoredDataset
    wanted : sequence of str or None
        Names of trees, or of members of such, to make; all by default.
    """
    places: dict[tuple[str, bool, int], list[StoredDataset]] = {}
    taken = {"/"}
    for dataset in datasets:
        folder = _folder(dataset.name)
        taken |= {dataset.name, folder}
        places.setdefault((folder, dataset.compound, dataset.layout.rows), []).append(dataset)
    largest = _largest(places)
    out = []
    for (folder, compound, rows), found in places.items():
        if compound:
            out += _compound_trees(folder, found, rows, taken, wanted)
            continue
        name = _plain_name(folder, found, taken, largest=largest.get(folder) == rows)
        if wanted is None or name in wanted:
            out.append(_columns(name, found))
    return out


def _compound_trees(
    folder: str,
    found: list[StoredDataset],
    rows: int,
    taken: set[str],
    wanted: Sequence[str] | None,
) -> list[DatasetGroup]:
    chosen = [d for d in found if wanted is None or d.name in wanted]
    if len(found) > 1 and rows > 1:
        name = _unique(_joint_name(folder, found), taken)
        if len(chosen) == len(found) or name in (wanted or ()):
            return [_joint(name, found)]
    return [_fields(d) for d in chosen]


def _folder(path: str) -> str:
    return path.rpartition("/")[0]


def _base(path: str) -> str:
    return path.rpartition("/")[2]


def _unique(name: str, taken: set[str]) -> str:
    out, number = name, 1
    while out in taken:
        number += 1
        out = f"{name}#{number}"
    taken.add(out)
    return out


def _largest(places: dict[tuple[str, bool, int], list[StoredDataset]]) -> dict[str, int]:
    """Rows of the set that has the name of its group."""
    best: dict[str, tuple[int, str, int]] = {}
    for (folder, compound, rows), found in places.items():
        if not compound and len(found) > 1:
            rank = (-len(found), found[0].name, rows)
            best[folder] = min(best.get(folder, rank), rank)
    return {folder: rows for folder, (_, _, rows) in best.items()}


def _plain_name(
    folder: str, found: Sequence[StoredDataset], taken: set[str], *, largest: bool
) -> str:
    if len(found) == 1:
        return found[0].name
    return folder or "/" if largest else _unique(f"{found[0].name}+{len(found) - 1}", taken)


def _joint_name(folder: str, found: Sequence[StoredDataset]) -> str:
    names = [_base(d.name) for d in found]
    joint = "+".join(names) if len(names) <= _MANY else f"{names[0]}+{len(names) - 1}"
    return f"{folder}/{joint}" if folder else joint


def _named(dataset: StoredDataset, names: Iterable[str]) -> StoredDataset:
    """Return the dataset with other names of columns; all else is shared, its state too."""
    parts: tuple[ElementPart, ...] = tuple(
        replace(p, name=n) for p, n in zip(dataset.layout.parts, names, strict=True)
    )
    return replace(dataset, layout=replace(dataset.layout, parts=parts))


def _columns(name: str, found: list[StoredDataset]) -> DatasetGroup:
    taken: set[str] = set()
    datasets = []
    for dataset in found:
        base = _base(dataset.name)
        names = [f"{base}.{p.name}" if p.name else base for p in dataset.layout.parts]
        datasets.append(_named(dataset, [_unique(n, taken) for n in names]))
    return DatasetGroup(name, datasets, [""] * len(datasets))


def _fields(dataset: StoredDataset) -> DatasetGroup:
    # A list needs a table of its own name, for the table "" has one row per entry.
    table = "" if dataset.layout.pad is None else _base(dataset.name)
    return DatasetGroup(dataset.name, [dataset], [table])


def _joint(name: str, found: list[StoredDataset]) -> DatasetGroup:
    members = []
    tables = []
    datasets = []
    for dataset in found:
        base = _base(dataset.name)
        datasets.append(_named(dataset, [f"{base}/{p.name}" for p in dataset.layout.parts]))
        members.append(Member(dataset.name, f"{base}/"))
        tables.append(base)
    return DatasetGroup(name, datasets, tables, tuple(members))
