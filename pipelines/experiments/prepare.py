"""The step "prepare": a training part and a test part, cut between events.

Nothing is cast, padded, clipped or left out; a file that needs no cutting is used as it is.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipelines.experiments.description import Cutting
from pipelines.experiments.hdf5rows import count_rows, cut_rows, range_of_rows, share_of_rows
from pipelines.experiments.hepmctext import count_events, cut_events
from pipelines.experiments.manifest import FileRecord, Outcome
from pipelines.experiments.rootentries import count_entries, cut_entries
from vortex_hep.errors import SourceError


@dataclass(frozen=True)
class Preparation:
    """How parts are made.

    Parameters
    ----------
    cutting : Cutting
    limit : int or None
        Largest size of a part in bytes of the file as it came; None for the experiment's own.
    folder : Path
        For the parts that have to be written.
    say : callable
        Receives lines for the user.
    """

    cutting: Cutting
    limit: int | None
    folder: Path
    say: Callable[[str], None]

    def __call__(self, files: Sequence[FileRecord]) -> Outcome:
        """Give the parts of some files.

        Parameters
        ----------
        files : sequence of FileRecord

        Returns
        -------
        list of (str, Path)
            Parts by role, ``"train"`` or ``"test"``.
        dict
            ``events``: by name of each part that was cut, the range taken and the total.

        Raises
        ------
        SourceError
            A file has too few events to be cut.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        parts: list[tuple[str, Path]] = []
        cuts: dict[str, list[int]] = {}
        for item in files:
            path = Path(item.path)
            for role in ("train", "test") if item.role == "split" else (item.role,):
                parts.append((role, self._part(path, role, item.role == "split", cuts)))
        return parts, {"events": cuts}

    def _part(self, path: Path, role: str, split: bool, cuts: dict[str, list[int]]) -> Path:
        cutting = self.cutting
        own = cutting.train_bytes if role == "train" else cutting.test_bytes
        limit = own if self.limit is None else self.limit
        size = path.stat().st_size
        share = 1.0 if limit is None else min(1.0, limit / size)
        if not split and share == 1:
            return path
        if not split and cutting.kind == "root" and cutting.tree is None:
            self.say(f"prepare: {path.name} can only be used whole, whatever the limit")
            return path
        target = self.folder / part_name(path.name, role, cutting.kind)
        unfinished = target.with_name(f"{target.name}.part")
        if not split and cutting.kind == "hdf5" and cutting.rows_of is None:
            cut_rows(path, unfinished, share_of_rows(share))
        else:
            total = self._count(path)
            start, stop = range_of_part(
                total, role=role, train_share=cutting.train_share if split else None, share=share
            )
            if start >= stop:
                raise SourceError(f"has {total} events, too few to be cut", path=str(path))
            self._cut(path, unfinished, total, start, stop)
            cuts[target.name] = [start, stop, total]
        unfinished.replace(target)
        return target

    def _count(self, path: Path) -> int:
        if self.cutting.kind == "hdf5" and self.cutting.rows_of is not None:
            return count_rows(path, self.cutting.rows_of)
        if self.cutting.kind == "root" and self.cutting.tree is not None:
            return count_entries(path, self.cutting.tree)
        if self.cutting.kind == "hepmc":
            return count_events(path)
        raise SourceError(
            "cannot be split: 'cutting' needs 'tree' (ROOT) or 'rows_of' (HDF5)", path=str(path)
        )

    def _cut(self, path: Path, target: Path, total: int, start: int, stop: int) -> None:
        if self.cutting.kind == "hdf5":
            cut_rows(path, target, range_of_rows(total, start, stop))
        elif self.cutting.kind == "hepmc":
            cut_events(path, target, start, stop)
        else:
            cut_entries(path, target, self.cutting.tree or "", start, stop)


def range_of_part(
    total: int, *, role: str, train_share: float | None, share: float
) -> tuple[int, int]:
    """Which events a part has: the first ones of its own side of the cut.

    Parameters
    ----------
    total : int
        Events of the file.
    role : {"train", "test"}
    train_share : float or None
        Share of the events on the training side; None where the file is all for one role.
    share : float
        Largest part of the whole file's events.

    Examples
    --------
    >>> range_of_part(1000, role="test", train_share=0.8, share=1.0)
    (800, 1000)
    >>> range_of_part(1000, role="train", train_share=0.8, share=0.1)
    (0, 100)
    """
    first, last = 0, total
    if train_share is not None:
        cut = int(total * train_share)
        first, last = (0, cut) if role == "train" else (cut, total)
    return first, min(last, first + max(1, int(total * share)))


def part_name(name: str, role: str, kind: str) -> str:
    """What a part of a file is called.

    Examples
    --------
    >>> part_name("jets.h5", "test", "hdf5"), part_name("ttbar.hepmc3.gz", "train", "hepmc")
    ('jets.test.h5', 'ttbar.train.hepmc')
    """
    if kind == "hepmc":  # parts are plain text, however the file was packed
        stem = re.sub(r"(\.hepmc\d?)?(\.tar)?(\.t?gz|\.zst)?(\.\d+)?$", "", name)
        return f"{stem}.{role}.hepmc"
    stem, dot, suffix = name.rpartition(".")
    return f"{stem}.{role}.{suffix}" if dot else f"{name}.{role}"
