"""Layouts of branches as columns: row size, parts, counter."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from vortex_hep.core.schema import COLUMN_DTYPES
from vortex_hep.readers.root.file.tkey import BIG_KEY, pack_tstring
from vortex_hep.readers.root.records.records import Program
from vortex_hep.readers.root.ttree.streamed import EmbeddedBasket, StreamedBranch

#: Bytes of a basket's key and header beside its three strings (26 and 19).
_BASKET_KEY_SIZE = 45

#: A branch without data of its own (the mother of split branches).
NONE = "none"
#: Every entry has the same size.
FIXED = "fixed"
#: An entry has as many rows as its counter says.
COUNTED = "counted"
#: Rows of one size, whose number per entry only the basket's offsets tell.
OWN = "own"
#: The bytes of each entry, as they are.
BYTES = "bytes"
#: Baskets are kept as records of the file; there is no column.
STORED = "stored"
#: The tree's object names the baskets, but these stay where they are, or are in another file; there
#: is no column.
LEFT = "left"

#: The entries are records that a program walks: objects, vectors, vectors of vectors.
RECORDS = "records"


@dataclass(frozen=True)
class BranchPart:
    """One column of a branch: an item at ``offset`` of each row.

    ``output`` is the stream of the branch's program that holds the rows, if there is one; a column
    of strings has the dtype ``"bytes"``. ``interpretation`` says what values are, where they are
    not what is stored.
    """

    name: str
    dtype: str
    inner: tuple[int, ...]
    offset: int
    output: int = 0
    interpretation: str = field(default="", compare=False, repr=False)


@dataclass(frozen=True)
class BasketRef:
    """Where one basket of a branch is, and which entries it holds."""

    index: int
    start: int
    stop: int
    seek: int
    nbytes: int
    embedded: EmbeddedBasket | None = None


@dataclass
class BranchPlan:
    """How one branch is read.

    ``first`` and ``stop`` bound the entries its baskets hold; ``counter`` is the number of the
    counter branch, or -1; ``table`` is the table that it shares with others.
    """

    number: int
    name: str
    kind: str
    stride: int = 0
    parts: tuple[BranchPart, ...] = ()
    counter: int = -1
    table: str = ""
    typename: str = ""
    title: str = ""
    interpretation: str = ""
    first: int = 0
    stop: int = 0
    #: Name and title that the keys of its baskets have: those of branch and tree.
    key_names: tuple[bytes, bytes] = (b"", b"")
    #: Whether any of its baskets was compressed, whatever fCompress says.
    packed: bool = False
    baskets: list[BasketRef] = field(default_factory=list)
    #: How records are walked, what the tables of its levels are called, and which these are.
    program: Program | None = None
    levels: tuple[str, ...] = ()
    tables: list[str] = field(default_factory=list)
    #: Whether the layout is to be tried on some data before it is relied upon.
    guessed: bool = False
    #: Why there is no column, of kind ``LEFT``; shown to users.
    reason: str = ""

    def table_of(self, part: BranchPart) -> str:
        """Table that a column is in."""
        if self.program is None:
            return self.table
        return self.tables[self.program.outputs[part.output].level]

    @property
    def has_columns(self) -> bool:
        """Whether its data are in columns."""
        return self.kind not in (NONE, STORED, LEFT)

    @property
    def rows_vary(self) -> bool:
        """Whether entries have a list of rows of their own, in ``table``."""
        top = self.program is not None and self.program.top > 0
        return top or self.kind in (COUNTED, OWN)

    @property
    def is_counted(self) -> bool:
        """Whether a counter says how many rows entries have."""
        program = self.program
        return self.kind == COUNTED or (program is not None and program.needs_counter)


def flatten_dtype(dtype: np.dtype[Any], name: str) -> tuple[BranchPart, ...]:
    """Columns of a (possibly structured) row; opaque bytes where its items are not ours.

    Examples
    --------
    >>> flatten_dtype(np.dtype(">f4"), "pt")
    (BranchPart(name='pt', dtype='<f4', inner=(), offset=0, output=0),)
    """
    parts = _flatten(dtype, name, 0)
    covered = 0
    for part in sorted(parts or (), key=lambda item: item.offset):
        if part.offset != covered:
            break
        covered += np.dtype(part.dtype).itemsize * int(np.prod(part.inner, dtype=np.int64))
    if not parts or covered != dtype.itemsize:
        return (BranchPart(name, "|u1", (dtype.itemsize,), 0),)
    return tuple(parts)


def _flatten(dtype: np.dtype[Any], name: str, offset: int) -> list[BranchPart] | None:
    if dtype.fields is not None:
        out: list[BranchPart] = []
        for key, item in dtype.fields.items():
            parts = _flatten(item[0], f"{name}.{key.lstrip('@')}", offset + int(item[1]))
            if parts is None:
                return None
            out += parts
        return out
    base, shape = dtype.subdtype or (dtype, ())
    text = base.newbyteorder("<").str
    if base.fields is not None or text not in COLUMN_DTYPES:
        return None
    return [BranchPart(name, text, tuple(int(size) for size in shape), offset)]


def find_baskets(
    branch: StreamedBranch, sizes: Sequence[int], entries: Sequence[int], seeks: Sequence[int]
) -> list[BasketRef]:
    """Baskets of a branch in entry order, from its fBasketBytes, fBasketEntry and fBasketSeek.

    Raises
    ------
    ValueError
        The baskets' entries do not follow one another.
    """
    embedded = {basket.index: basket for basket in branch.embedded}
    out: list[BasketRef] = []
    limit = branch.max_baskets
    for index in range(limit):
        start = entries[index]
        if index < branch.write_basket and seeks[index] != 0:
            at_end = index + 1 >= limit or (
                index + 1 == branch.write_basket and entries[index + 1] == 0
            )
            stop = branch.entries if at_end else entries[index + 1]
            out.append(BasketRef(index, start, stop, seeks[index], sizes[index]))
        elif index in embedded:
            basket = embedded[index]
            out.append(BasketRef(index, start, start + basket.header.nev, 0, 0, basket))
        elif index > branch.write_basket:
            break
    for before, after in itertools.pairwise(out):
        if before.stop != after.start:
            msg = f"basket {after.index} starts at entry {after.start}, not at {before.stop}"
            raise ValueError(msg)
    for ref in out:
        if ref.stop < ref.start or ref.start < 0:
            msg = f"basket {ref.index} has entries {ref.start} to {ref.stop}"
            raise ValueError(msg)
    return out


def data_bytes(plan: BranchPlan, branch: StreamedBranch, *, keylen: int = 0) -> int:
    """Bytes of data in all baskets of a branch, from what the tree says of them.

    Without ``keylen``, the size of one of its keys, keys are taken to be those of a small file.
    """
    embedded = [ref.embedded for ref in plan.baskets if ref.embedded is not None]
    free = [ref for ref in plan.baskets if ref.embedded is None]
    size = sum(basket.border for basket in embedded)
    if not free:
        return size
    names = sum(len(pack_tstring(text)) for text in (b"TBasket", *plan.key_names))
    tails = sum(4 * (ref.stop - ref.start + 2) for ref in free) if branch.entry_offset_len else 0
    return size + branch.tot_bytes - len(free) * (keylen or _BASKET_KEY_SIZE + names) - tails


def may_be_bytes(plan: BranchPlan, branch: StreamedBranch) -> tuple[int, int]:
    """What :func:`data_bytes` may be, as nothing was read yet: with short keys, or 64-bit ones."""
    size = data_bytes(plan, branch)
    free = sum(ref.embedded is None for ref in plan.baskets)
    # Some writers use long keys in small files too.
    return size, size - BIG_KEY * free


def unique_names(paths: Sequence[str], names: Sequence[str]) -> list[str]:
    """A name for each branch, unique in the tree: its own, else its path, else numbered."""
    seen: dict[str, int] = {}
    for name in names:
        seen[name] = seen.get(name, 0) + 1
    out: list[str] = []
    taken: set[str] = set()
    for path, name in zip(paths, names, strict=True):
        choice = name if seen[name] == 1 else path
        number = 2
        base = choice
        while choice in taken:
            choice = f"{base}#{number}"
            number += 1
        taken.add(choice)
        out.append(choice)
    return out
