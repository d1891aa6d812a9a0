"""Batches of byte windows from files, HDF5 datasets and typed streams, for byte-level models."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from vortex_hep.errors import SourceError, UnsupportedTypeError
from vortex_hep.nn.loop.records import Bytes, RecordSource, open_records

#: A window: piece, first record, records.
Window = tuple[int, int, int]


@dataclass(frozen=True)
class LoaderOptions:
    """What windows are cut, and how they are split and served.

    Parameters
    ----------
    dataset : str, optional
        Take the files as HDF5, and of them this dataset, whose rows are the records. Without it
        a file of any kind is plain bytes.
    record : int, optional
        Bytes per record of binary files: 4 for a dump of float32; by default 1. Of other sources
        it is known, and must be right if given.
    window : int
        Tokens per window at most; rounded down to whole records, but at least one.
    batch : int
        Windows per batch.
    fractions : tuple of float
        Of the records, for training, validation and test.
    seed : int
        Of the order of windows.
    workers : int
        Processes that read ahead; 0 reads in this one.
    start_method : str, optional
        How those processes start: "fork", "spawn" or "forkserver"; by default Python's choice.
    drop_tail : bool
        Leave out bytes after the last whole record of a file instead of refusing it.
    pin : bool
        Put batches into page-locked memory, from which a GPU copies faster.
    """

    dataset: str | None = None
    record: int | None = None
    window: int = 1024
    batch: int = 16
    fractions: tuple[float, float, float] = (0.8, 0.1, 0.1)
    seed: int = 0
    workers: int = 0
    start_method: str | None = None
    drop_tail: bool = False
    pin: bool = False

    def __post_init__(self) -> None:
        if self.window < 1 or self.batch < 1 or self.workers < 0:
            raise UnsupportedTypeError(
                f"window {self.window}, batch {self.batch}, workers {self.workers}: the first two "
                "are at least 1, the last at least 0"
            )
        parts = list(self.fractions)
        if len(parts) != 3 or min(parts) < 0 or parts[0] == 0 or abs(sum(parts) - 1) > 1e-9:
            raise UnsupportedTypeError(
                f"fractions {self.fractions}: three shares are needed, for training (more than 0), "
                "validation and test, that add up to 1"
            )


@dataclass(frozen=True)
class Loaders:
    """Batches of the three parts of some data.

    Parameters
    ----------
    train, validation, test : DataLoader
        Of uint8 tensors, shape (B, T): every row is a window that begins with a record. In
        ``train`` T is ``window`` throughout. The other two hold each byte of their part exactly
        once: what does not fill a window is a batch of its own, with B = 1 and a smaller T. A
        part without records has no batches.
    width : int
        Bytes per record.
    window : int
        Tokens per window: a multiple of ``width``.
    """

    train: DataLoader[Tensor]
    validation: DataLoader[Tensor]
    test: DataLoader[Tensor]
    width: int
    window: int


@dataclass(frozen=True)
class _Stretch:
    """Records of one part that lie together: windows do not leave it."""

    piece: int
    start: int
    stop: int


class WindowDataset(Dataset[Tensor]):
    """Windows of records, by :data:`Window`.

    Parameters
    ----------
    pieces : sequence of RecordSource
    """

    def __init__(self, pieces: Sequence[RecordSource]) -> None:
        self.pieces = list(pieces)

    def __getitem__(self, window: Window) -> Tensor:
        piece, start, count = window
        return torch.from_numpy(self.pieces[piece].read(start, count))


class ShuffledWindows(Sampler[list[Window]]):
    """Batches of full windows for training, in an order that seed and epoch decide.

    Every epoch cuts at other records: all windows of a stretch are shifted by the same number of
    records, so that what is at a window's edge in one epoch is inside of it in another. The last
    windows are shifted by less where the stretch ends, so all epochs are equally long.

    Parameters
    ----------
    stretches : sequence of stretches
    records : int
        Per window.
    batch : int
        Windows per batch; those that do not fill one wait for another epoch.
    seed : int
    """

    def __init__(self, stretches: Sequence[_Stretch], records: int, batch: int, seed: int) -> None:
        self._stretches = [s for s in stretches if s.stop - s.start >= records]
        self._records = records
        self._seed = seed
        self._windows = sum((s.stop - s.start) // records for s in self._stretches)
        self._batch = min(batch, self._windows)
        self._epoch = self._first = 0

    def set_epoch(self, epoch: int, first: int = 0) -> None:
        """Say which epoch the next iteration is, and with which of its batches it begins."""
        self._epoch, self._first = epoch, first

    def __len__(self) -> int:
        return self._windows // self._batch if self._batch else 0

    def __iter__(self) -> Iterator[list[Window]]:
        random = np.random.default_rng([self._seed % (1 << 64), self._epoch])
        pieces, starts = [], []
        for s in self._stretches:
            shift = int(random.integers(self._records))
            count = (s.stop - s.start) // self._records
            begin = s.start + shift + np.arange(count) * self._records
            starts.append(np.minimum(begin, s.stop - self._records))
            pieces.append(np.full(count, s.piece))
        piece, start = np.concatenate(pieces), np.concatenate(starts)
        order = random.permutation(self._windows)
        for k in range(self._first, len(self)):
            chosen = order[k * self._batch : (k + 1) * self._batch]
            yield [(int(piece[i]), int(start[i]), self._records) for i in chosen]


class EveryWindow(Sampler[list[Window]]):
    """Batches that hold every record exactly once, in order.

    Parameters
    ----------
    stretches : sequence of stretches
    records : int
        Per full window; a shorter one at the end of a stretch is a batch of its own.
    batch : int
        Windows per batch.
    """

    def __init__(self, stretches: Sequence[_Stretch], records: int, batch: int) -> None:
        self._stretches = list(stretches)
        self._records = records
        self._batch = batch

    def __len__(self) -> int:
        sizes = [divmod(s.stop - s.start, self._records) for s in self._stretches]
        full = sum(count for count, _ in sizes)
        return -(-full // self._batch) + sum(rest > 0 for _, rest in sizes)

    def __iter__(self) -> Iterator[list[Window]]:
        batch: list[Window] = []
        for s in self._stretches:
            for start in range(s.start, s.stop - self._records + 1, self._records):
                batch.append((s.piece, start, self._records))
                if len(batch) == self._batch:
                    yield batch
                    batch = []
        if batch:
            yield batch
        for s in self._stretches:
            if rest := (s.stop - s.start) % self._records:
                yield [(s.piece, s.stop - rest, rest)]


def _split(pieces: Sequence[RecordSource], fractions: Sequence[float]) -> list[list[_Stretch]]:
    """Cut the records, all pieces in a row, into three ranges that do not overlap."""
    total = sum(piece.count for piece in pieces)
    borders = [0, round(total * fractions[0]), round(total * (fractions[0] + fractions[1])), total]
    for name, share, low, high in zip(
        ("training", "validation", "test"), fractions, borders[:-1], borders[1:], strict=True
    ):
        if share and low == high:
            raise SourceError(
                f"{total} records are too few: none is left for {name}", path=pieces[0].name,
                hint="give a smaller record, or that part the fraction 0",
            )  # fmt: skip
    parts = []
    for low, high in pairwise(borders):
        stretches, first = [], 0
        for number, piece in enumerate(pieces):
            start, stop = max(low - first, 0), min(high - first, piece.count)
            if start < stop:
                stretches.append(_Stretch(number, start, stop))
            first += piece.count
        parts.append(stretches)
    return parts


def make_loaders(
    source: str | os.PathLike[str] | Sequence[str | os.PathLike[str]] | Bytes,
    options: LoaderOptions | None = None,
) -> Loaders:
    """Serve data as windows of bytes, split by record into training, validation and test.

    The parts are contiguous ranges of records, in the order of files and rows: no record is in
    two of them, and no window runs across a border or from one file into the next.

    Parameters
    ----------
    source : path, sequence of paths, or uint8 array of shape (rows, width)
        Binary files or HDF5 files (see ``options.dataset``), or a typed stream. Files are read on
        demand: binary ones through a memory map, HDF5 datasets by ranges of rows. A memory map of
        a whole file is opened anew by every worker.
    options : LoaderOptions, optional

    Returns
    -------
    Loaders

    Raises
    ------
    SourceError
        A file is missing, empty or not in whole records, or there are too few records to split or
        to fill one training window.
    NotFoundError
        No such dataset.
    UnsupportedTypeError
        An array or dataset that is not made of records of fixed size.

    Examples
    --------
    >>> rows = np.arange(4000, dtype=np.uint8).reshape(1000, 4)
    >>> loaders = make_loaders(rows, LoaderOptions(window=64, batch=8))
    >>> loaders.width, next(iter(loaders.train)).shape
    (4, torch.Size([8, 64]))
    >>> sum(batch.numel() for batch in loaders.validation)
    400
    """
    options = options or LoaderOptions()
    pieces = open_records(
        source, dataset=options.dataset, width=options.record, drop_tail=options.drop_tail
    )
    width = pieces[0].width
    records = max(1, options.window // width)
    train, validation, test = _split(pieces, options.fractions)
    shuffled = ShuffledWindows(train, records, options.batch, options.seed)
    if len(shuffled) == 0:
        raise SourceError(
            f"the records for training do not fill one window of {records * width} bytes",
            path=pieces[0].name, hint="give a smaller window",
        )  # fmt: skip
    dataset = WindowDataset(pieces)
    return Loaders(
        _loader(dataset, shuffled, options),
        _loader(dataset, EveryWindow(validation, records, options.batch), options),
        _loader(dataset, EveryWindow(test, records, options.batch), options),
        width,
        records * width,
    )


def _loader(
    dataset: WindowDataset, batches: Sampler[list[Window]], options: LoaderOptions
) -> DataLoader[Tensor]:
    return DataLoader(
        dataset,
        batch_sampler=batches,
        num_workers=options.workers,
        multiprocessing_context=options.start_method if options.workers else None,
        persistent_workers=options.workers > 0,
        pin_memory=options.pin,
        # Of its own, so that to iterate draws nothing from torch's global one.
        generator=torch.Generator().manual_seed(options.seed),
    )
