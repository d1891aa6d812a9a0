"""The data model of readers and codecs: tables of typed columns over lanes.

A *tree* is a sequence of entries (events). Entries are *lanes*: they are independent of one
another. A tree holds *tables*; every table has zero or more rows per lane, and all columns of a
table share that row axis. The event scalars form the table named ``""`` (one row per lane); a
counted collection such as ``Jet_*`` forms a table whose rows per lane are given by a counter.

Bits, not values, are the contract: a column is a little-endian array whose bytes are what counts.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy.typing as npt

Array = npt.NDArray[Any]

#: dtypes (as little-endian ``numpy.dtype.str``) that a fixed-width column may have.
COLUMN_DTYPES: tuple[str, ...] = (
    "|b1", "|i1", "|u1", "<i2", "<u2", "<i4", "<u4", "<i8", "<u8", "<f2", "<f4", "<f8",
)  # fmt: skip

#: dtype string of a column of variable-length byte strings (strings, opaque records).
VARBYTES = "bytes"

#: Items that a row of a column may have.
MAX_COMPONENTS = 1 << 24


@dataclass(frozen=True)
class ColumnSpec:
    """What is known of a column before any of its data is read.

    Parameters
    ----------
    name : str
        Branch name, unique within its tree.
    dtype : str
        One of :data:`COLUMN_DTYPES` or :data:`VARBYTES`.
    inner : tuple of int
        Fixed inner shape; ``()`` for a plain column. A row then holds ``prod(inner)`` items.
    typename : str
        Type as uproot or ROOT names it (``"float[]"``, ``"std::string"``); shown to users.
    title : str
        Branch title, kept for users and for coffea.
    link : str or None
        Name of the table (same tree, same lane) whose rows this column's values index.
    interpretation : str
        For :data:`VARBYTES`: ``"text"`` (UTF-8), ``"string"`` (text behind its length, as ROOT
        stores it) or ``"opaque"`` (bytes of a record as stored).
    """

    name: str
    dtype: str
    inner: tuple[int, ...] = ()
    typename: str = ""
    title: str = ""
    link: str | None = None
    interpretation: str = ""


@dataclass(frozen=True)
class TableSpec:
    """Columns that share one row axis.

    Parameters
    ----------
    name : str
        ``""`` for the event scalars, else the collection's name (``"Jet"``).
    columns : tuple of ColumnSpec
    counter : str or None
        Name of the column of table ``""`` that holds the number of rows per lane, or ``None``
        where there is exactly one row per lane (``jagged`` is False) or where no branch
        records the counts (``jagged`` is True; the counts are then stored by the archive).
    jagged : bool
        Whether the number of rows per lane varies.
    parent : str or None
        For lists within lists: the table whose rows these rows belong to. Where it is None they
        belong to the lanes.
    inner_counts : str or None
        Column of the parent that holds the number of rows for each of its rows.
    """

    name: str
    columns: tuple[ColumnSpec, ...]
    counter: str | None = None
    jagged: bool = False
    parent: str | None = None
    inner_counts: str | None = None


@dataclass
class VarBytes:
    """Variable-length byte strings: ``content[offsets[i]:offsets[i + 1]]`` is row ``i``.

    Parameters
    ----------
    offsets : int64 array, shape (rows + 1,)
    content : uint8 array
    """

    offsets: Array
    content: Array

    def __len__(self) -> int:
        return len(self.offsets) - 1


@dataclass
class TableData:
    """The rows of one table for a range of lanes.

    Parameters
    ----------
    offsets : int64 array, shape (lanes + 1,)
        First row of each lane; ``offsets[0] == 0``.
    columns : dict of str to array of shape (rows, *inner) or VarBytes
    """

    offsets: Array
    columns: dict[str, Array | VarBytes] = field(default_factory=dict)

    @property
    def num_rows(self) -> int:
        """Rows of all lanes together."""
        return int(self.offsets[-1])


#: A cluster: tables by name, all over the same lanes.
Cluster = dict[str, TableData]


@dataclass(frozen=True)
class Member:
    """One of several trees of a source that are coded together, having as many entries each.

    Parameters
    ----------
    name : str
        Name by which users ask for it.
    prefix : str
        What its columns and tables are named with in front, in the tree that is coded.
    """

    name: str
    prefix: str


@dataclass(frozen=True)
class Unread:
    """What a file holds and no column presents.

    Parameters
    ----------
    tree : str
        Empty for the whole file.
    branch : str
        Empty for the whole tree.
    reason : str
        Why; shown to users.
    """

    tree: str
    branch: str
    reason: str

    @property
    def text(self) -> str:
        """What it is, and why, in a line."""
        what = f"tree {self.tree!r}" if self.tree else "the file"
        if self.branch:
            what = f"branch {self.branch!r} of {what}"
        return f"{what} is kept as bytes: {self.reason}"


#: Rows of a table that are read at a time, at most, about. However few bytes they have, each takes
#: some hundred while it is modelled and coded.
MOST_ROWS = 1 << 20


class TreeSource(Protocol):
    """One tree as a reader presents it.

    ``family`` is the name under which models know it: trees of one family are alike, in one file
    or in several. ``members`` are the trees that users know, where it joins several.
    """

    name: str
    num_entries: int
    family: str
    members: tuple[Member, ...]

    @property
    def tables(self) -> tuple[TableSpec, ...]:
        """Columns that share their rows."""
        ...

    def cluster_ranges(self, target_bytes: int) -> list[tuple[int, int]]:
        """Entry ranges (start, stop) that cover the tree, each near ``target_bytes`` raw.

        Fewer where many rows take few bytes: not much more than :data:`MOST_ROWS` of a table.
        """
        ...

    def read(self, start: int, stop: int, columns: Sequence[str] | None = None) -> Cluster:
        """Data of entries ``start`` to ``stop``; all columns, or only those named."""
        ...


class FileSource(Protocol):
    """A whole file as a reader presents it: its trees, and everything else as opaque bytes."""

    path: str
    kind: str
    trees: Mapping[str, TreeSource]

    def remainder(self) -> Iterator[tuple[str, bytes]]:
        """Named blobs that, with the trees' data, are all that is needed to restore the file."""
        ...

    def settle(self) -> object:
        """Check all data against the tables' layout; lay out anew the branches it contradicts."""
        ...

    def notes(self) -> list[str]:
        """What users should know of how the file was taken, a line each; empty if all is usual."""
        ...

    def unread(self) -> list[Unread]:
        """What is in no column, though it is in a tree, and why."""
        ...

    def close(self) -> None:
        """Close what was opened here."""
        ...

    def __enter__(self) -> FileSource: ...

    def __exit__(self, *error: object) -> None: ...
