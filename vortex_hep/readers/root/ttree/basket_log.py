"""Per-basket information needed to write each basket again."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from vortex_hep.readers.root.ttree.decode import BasketData
from vortex_hep.readers.root.ttree.layout import BasketRef

#: Fields of a basket that its columns do not give, in the order of BasketData.fields.
BASKET_FIELDS = (
    "key_version", "datime", "cycle", "version", "buffer_size",
    "nev_buf_size", "io_bits", "flag", "tail_mode", "tail_last",
)  # fmt: skip


class BasketLog:
    """Collects the fields of all baskets of a tree, in whatever order they are read.

    Parameters
    ----------
    baskets : sequence of lists of BasketRef
        Baskets of each branch.
    """

    def __init__(self, baskets: Sequence[list[BasketRef]]) -> None:
        self._baskets = baskets
        self._first = np.cumsum([0, *map(len, baskets)])
        self.fields = np.zeros((int(self._first[-1]), len(BASKET_FIELDS)), np.int64)
        #: fKeylen + fObjlen of each basket: what ROOT sums up in fTotBytes.
        self.totals = np.zeros(len(self.fields), np.int64)
        self.seen = np.zeros(len(self.fields), bool)
        self.raw_tails: dict[int, bytes] = {}
        self.raw_headers: dict[int, bytes] = {}
        self._position = [{ref.index: i for i, ref in enumerate(refs)} for refs in baskets]

    def row(self, number: int, ref: BasketRef) -> int:
        """Number of a basket of branch ``number`` among all baskets of the tree."""
        return int(self._first[number]) + self._position[number][ref.index]

    def record(self, number: int, data: BasketData) -> None:
        """Remember a basket; the same one may come again."""
        row = self.row(number, data.ref)
        if self.seen[row]:
            return
        self.seen[row] = True
        self.fields[row, : len(data.fields)] = data.fields
        self.totals[row] = data.total
        if data.raw_tail is not None:
            self.raw_tails[row] = data.raw_tail
        if data.raw_header is not None:
            self.raw_headers[row] = data.raw_header

    def missing(self, number: int) -> list[BasketRef]:
        """Baskets of branch ``number`` that were not read yet."""
        first = int(self._first[number])
        return [ref for i, ref in enumerate(self._baskets[number]) if not self.seen[first + i]]
