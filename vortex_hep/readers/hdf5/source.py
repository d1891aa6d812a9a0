"""An HDF5 file as trees of columns and a remainder."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import replace
from typing import Any

import numpy as np

from vortex_hep.core.schema import TreeSource, Unread
from vortex_hep.core.storage.identity import Identity, identity_of
from vortex_hep.core.storage.ranges import ByteSource
from vortex_hep.errors import NotFoundError, SourceError
from vortex_hep.readers.hdf5.chunks.recordtype import with_padding
from vortex_hep.readers.hdf5.datasets.lists import find_pad, lists_of
from vortex_hep.readers.hdf5.datasets.naming import groups_of
from vortex_hep.readers.hdf5.datasets.reading import CACHE_BYTES, ChunkReader
from vortex_hep.readers.hdf5.datasets.survey import KEPT, StoredDataset, survey
from vortex_hep.readers.hdf5.datasets.tree import HDF5TreeSource
from vortex_hep.readers.hdf5.image import (
    HDF5Plan,
    PlannedDataset,
    find_holes,
    pack_holes,
    pack_plan,
)
from vortex_hep.readers.hdf5.superblock import Superblock
from vortex_hep.readers.holes import kept_ranges, pieces

#: Bytes of a dataset by which its layout is chosen.
_SAMPLE = 1 << 20
#: Chunks that a forecast tries.
_FORECAST = 20
#: Bytes of a superblock of any version.
_SUPERBLOCK = 96
#: Notes of one kind that are told one by one.
_MANY = 5


class HDF5FileSource:
    """An HDF5 file as a :class:`~vortex_hep.core.schema.FileSource`.

    Parameters
    ----------
    root : h5py GroupID
        Of the file, opened by the HDF5 library.
    source : ByteSource
        Of the same file.
    superblock : Superblock
    path : str
    within : str
        Only datasets at or below this path become columns.
    trees : sequence of str, optional
        Only these trees (or members of trees) become columns; other datasets stay bytes.
    exact : bool
        Whether the restored file is to be the same byte for byte: chunks that do not come back so
        are then stored as they are.
    pool : Executor
        Decodes chunks.
    close : callable
        Called by :meth:`close`.
    """

    kind = "hdf5"

    def __init__(
        self,
        root: Any,
        source: ByteSource,
        superblock: Superblock,
        path: str,
        *,
        within: str = "",
        trees: Sequence[str] | None = None,
        exact: bool = False,
        pool: Executor,
        close: Callable[[], object],
    ) -> None:
        self.path = path
        self.exact = exact
        self._source, self._superblock, self._close = source, superblock, close
        self._reader = ChunkReader(source, path, exact=exact, pool=pool)
        self._reasons: dict[str, list[str]] = {}
        self._filled: dict[str, float] = {}
        found = self._survey(root, within)
        groups = groups_of(found, trees)
        self._datasets = [d for group in groups for d in group.datasets]
        self._trees = {g.name: HDF5TreeSource(g, self._reader, self._filled) for g in groups}
        self.trees: Mapping[str, TreeSource] = dict(self._trees)
        self._check_wanted(trees, found)
        blocks = [
            sum(d.layout.block_rows * d.layout.row_bytes for d in t.datasets)
            for t in self._trees.values()
        ]
        self._reader.cache_bytes = max(CACHE_BYTES, 2 * max(blocks, default=0))

    def _survey(self, root: Any, within: str) -> list[StoredDataset]:
        found: dict[str, StoredDataset] = {}
        for dataset, name, reason in survey(root, self.path, self._source.size):
            if within and name != within and not name.startswith(f"{within}/"):
                continue
            if dataset is None:
                if reason:
                    self._reasons.setdefault(reason, []).append(name)
            elif name not in found:
                self._choose_layout(dataset)
                found[name] = dataset
        return list(found.values())

    def _choose_layout(self, dataset: StoredDataset) -> None:
        """Choose, by the first rows, what to do with padding: of elements, and of lists."""
        lay = dataset.layout
        lists = dataset.compound and len(lay.shape) == 2 and lay.lead == 1
        if lay.gap_mask is None and not lists:
            return
        rows = min(lay.rows, max(1, _SAMPLE // lay.row_bytes))
        records = self._reader.rows(dataset, 0, rows)
        if lay.gap_mask is not None and records[..., lay.gap_mask].any():
            lay = replace(lay, parts=tuple(with_padding(lay.parts, lay.size)))
        pad = find_pad(records) if lists else None
        if pad is not None:
            lay = replace(lay, pad=pad)
            lengths, _ = lists_of(records, pad)
            self._filled[dataset.name] = float(lengths.sum()) / (rows * lay.shape[1])
        dataset.layout = lay
        # Chunks were judged by the layout that they had.
        dataset.state[:] = 0

    def _check_wanted(self, trees: Sequence[str] | None, found: Sequence[StoredDataset]) -> None:
        if not trees:
            return
        known = {n for g in groups_of(found, None) for n in (g.name, *(m.name for m in g.members))}
        for name in trees:
            if name not in known:
                near = difflib.get_close_matches(name, sorted(known), 3)
                raise NotFoundError(
                    f"no such tree; the file has {', '.join(sorted(known)) or 'none'}",
                    path=self.path, tree=name,
                    hint=f"did you mean {', '.join(map(repr, near))}?" if near else None,
                )  # fmt: skip

    def settle(self) -> None:
        """Nothing to settle: chunks that a layout does not fit are kept as they are."""

    def remainder(self) -> Iterator[tuple[str, bytes]]:
        """Plan, holes and skeleton of the file.

        Raises
        ------
        SourceError
            The file is damaged.
        """
        for dataset in self._datasets:
            self._reader.judge_all(dataset)
        holes = find_holes(self._datasets, self._superblock.at + _SUPERBLOCK)
        planned = [
            PlannedDataset(*tree.planned(d), self._reader.way(d))
            for tree in self._trees.values()
            for d in tree.datasets
        ]
        block = self._superblock
        yield (
            "hdf5/plan",
            pack_plan(HDF5Plan(self._source.size, block.end, block.at, planned, holes)),
        )
        yield "hdf5/holes", pack_holes(holes)
        ranges = kept_ranges(holes, self._source.size)
        for number, piece in enumerate(pieces(ranges)):
            yield f"hdf5/skeleton/{number}", b"".join(self._source.read_ranges(piece))

    def identity(self) -> Identity:
        """Size and checksum of the file."""
        return identity_of(self._source)

    def exact_forecast(self) -> str:
        """Say what share of the chunks can be encoded anew to their very bytes.

        Raises
        ------
        SourceError
            A chunk is damaged.
        """
        packed = [d for d in self._datasets if d.layout.pipeline.filters and len(d.numbers)]
        if not packed:
            return "no chunk is compressed: all bytes come back exactly"
        counts = np.array([len(d.numbers) for d in packed])
        ends = np.cumsum(counts)
        total = int(ends[-1])
        picks = sorted({total * i // _FORECAST for i in range(_FORECAST)})
        good = bad = bad_bytes = all_bytes = 0
        for pick in picks:
            which = int(np.searchsorted(ends, pick, "right"))
            dataset, k = packed[which], pick - int(ends[which] - counts[which])
            size = int(dataset.sizes[k])
            all_bytes += size
            if self._reader.encodes(dataset, k):
                good += 1
            else:
                bad, bad_bytes = bad + 1, bad_bytes + size
        if not bad:
            return f"all {good} sampled chunks re-encode exactly"
        stored = sum(int(d.sizes.sum()) for d in packed)
        extra = round(stored * bad_bytes / max(all_bytes, 1))
        return (
            f"{good} of {good + bad} sampled chunks re-encode exactly, the rest is stored as it is:"
            f" about +{extra / 1e6:.3g} MB"
        )

    def unread(self) -> list[Unread]:
        """Data sets that are kept as bytes."""
        return [Unread(name, "", why) for why, names in self._reasons.items() for name in names]

    def notes(self) -> list[str]:
        """What users should know of how the file was taken."""
        out = []
        for reason, names in self._reasons.items():
            shown = ", ".join(repr(n) for n in names[:_MANY])
            more = f" and {len(names) - _MANY} more" if len(names) > _MANY else ""
            out.append(f"kept as bytes, without columns: {shown}{more}: {reason}")
        for dataset in self._datasets:
            kept = dataset.state == KEPT
            if kept.any():
                size = int(dataset.sizes[kept].sum())
                out.append(
                    f"{dataset.name}: {int(kept.sum())} of {len(kept)} chunks do not come back"
                    f" from columns and are also kept as they are ({size} bytes)"
                )
        return out

    def close(self) -> None:
        """Close what was opened here."""
        for dataset in self._datasets:
            dataset.close()
        self._close()

    def __enter__(self) -> HDF5FileSource:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def check_in_use(superblock: Superblock, path: str) -> None:
    """Refuse a file that a writer has not closed.

    Raises
    ------
    SourceError
    """
    if superblock.in_use:
        raise SourceError(
            "the file is marked as open for writing", path=path,
            hint="close the writer; after a crash, 'h5clear --status' removes the mark",
        )  # fmt: skip
