"""Endless streams of batches with a position that can be saved and restored."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

import torch
from torch import Tensor

from vortex_hep.errors import SourceError


class Feed:
    """Goes through batches again and again.

    Parameters
    ----------
    batches : iterable of Tensor
        One epoch per iteration. What has a batch sampler with ``set_epoch(epoch, first)``, as
        loaders of :func:`vortex_hep.nn.loop.data.make_loaders` do, is told which epoch is next; all
        else must give the same batches each time, or cannot be resumed exactly.
    device : torch.device
        Where batches are put.

    Examples
    --------
    >>> feed = Feed([torch.tensor([1]), torch.tensor([2])], torch.device("cpu"))
    >>> [int(feed.next()) for _ in range(3)], feed.position
    ([1, 2, 1], (1, 1))
    """

    def __init__(self, batches: Iterable[Tensor], device: torch.device) -> None:
        self._batches = batches
        self._device = device
        self._epoch = self._taken = 0
        self._running: Iterator[Tensor] | None = None

    @property
    def position(self) -> tuple[int, int]:
        """Epoch, and batches taken of it; what workers have read ahead does not count."""
        return self._epoch, self._taken

    def seek(self, epoch: int, taken: int) -> None:
        """Go to where another feed was when it gave its :attr:`position`."""
        self._epoch, self._taken = epoch, taken
        self._running = self._start(taken)

    def next(self) -> Tensor:
        """Return the next batch, from the next epoch where one ends.

        Raises
        ------
        SourceError
            There are no batches.
        """
        if self._running is None:
            self._running = self._start(0)
        batch = next(self._running, None)
        if batch is None:
            if self._taken == 0:
                raise SourceError("there is nothing to train on: no batches")
            self._epoch, self._taken = self._epoch + 1, 0
            self._running = None
            return self.next()
        self._taken += 1
        return batch.to(self._device, non_blocking=True)

    def _start(self, first: int) -> Iterator[Tensor]:
        sampler: Any = getattr(self._batches, "batch_sampler", None)
        if hasattr(sampler, "set_epoch"):
            sampler.set_epoch(self._epoch, first)
            return iter(self._batches)
        return islice(iter(self._batches), first, None)
