"""Options of datasets for training."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vortex_hep.errors import UnsupportedTypeError

if TYPE_CHECKING:
    from vortex_hep.archive.cache import CacheLike
    from vortex_hep.models.model import Model


@dataclass(frozen=True)
class ServeOptions:
    """What is read of archives, and how it is served.

    Parameters
    ----------
    tree : str or sequence of str, optional
        A tree; or several with as many entries each, such as ``("jets", "tracks")``, whose columns
        are then called ``"jets/pt"`` and so on. Left out, the archive's only tree.
    expressions : sequence of str, optional
        Columns, by the names that the batches have.
    filter_name : str, sequence of str or callable, optional
        Glob patterns, or a function of the name, for these names.
    batch : int
        Entries per batch.
    shuffle : bool
        Take files, and in each its clusters, in another order in every epoch, and entries in any
        order within ``buffer``.
    buffer : int
        Entries that are shuffled together, at least.
    seed : int
        Of the order.
    drop_last : bool
        Leave out entries that do not fill a batch: of each process, which then all have as many
        batches as one another.
    pad : int, optional
        Give lists this many items instead of serving them with their offsets.
    truncate : bool
        Leave out items behind ``pad``, which are otherwise an error.
    widen : bool
        Serve unsigned integers of 16 to 64 bits, which torch cannot compute with, as int32 and
        int64; otherwise such a column is an error.
    rank, world : int
        Which of how many processes this is; each serves other entries.
    model : Model, path or None
        Needed where the archives name a model but do not hold it.
    threads : int
        That decode, in each process and each worker.
    cache : str, path or ChunkCache, optional
        See :func:`vortex_hep.open`.
    """

    tree: str | Sequence[str] | None = None
    expressions: Sequence[str] | None = None
    filter_name: str | Sequence[str] | Callable[[str], bool] | None = None
    batch: int = 1024
    shuffle: bool = False
    buffer: int = 65536
    seed: int = 0
    drop_last: bool = False
    pad: int | None = None
    truncate: bool = False
    widen: bool = False
    rank: int = 0
    world: int = 1
    model: Model | str | os.PathLike[str] | None = None
    threads: int = 1
    cache: CacheLike = None

    def __post_init__(self) -> None:
        if self.batch < 1 or self.buffer < 1 or (self.pad is not None and self.pad < 1):
            raise UnsupportedTypeError(
                f"batch {self.batch}, buffer {self.buffer}, pad {self.pad}: all are at least 1"
            )
        if not 0 <= self.rank < self.world:
            raise UnsupportedTypeError(
                f"rank {self.rank} of world {self.world}: ranks count from 0 up to the world"
            )
