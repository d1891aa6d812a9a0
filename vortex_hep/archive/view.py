"""Trees of an archive as users see them, read as one reads a TTree with uproot."""

from __future__ import annotations

import fnmatch
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from html import escape
from itertools import islice
from typing import Any

import numpy as np

from vortex_hep.core import arrays as build
from vortex_hep.core.conversions import Conversion, may_differ
from vortex_hep.core.options import checked_options
from vortex_hep.core.schema import Cluster, ColumnSpec, TableSpec
from vortex_hep.core.sizes import byte_count
from vortex_hep.core.text import html_table, near_misses, plural
from vortex_hep.errors import NotFoundError, UnsupportedTypeError

#: What to do about a tree or branch that is kept as bytes.
UNREAD_HINT = "restore the file and read it there"
#: Branches that a notebook shows of a tree.
_SHOWN = 50

Filter = str | Sequence[str] | Callable[[str], bool] | None


def check_step(step_size: int | str) -> int:
    """Read a step size: a number of entries, or of bytes where it is a text.

    Raises
    ------
    UnsupportedTypeError
        It is neither.
    """
    if isinstance(step_size, str):
        return byte_count(step_size)
    if step_size < 1 or step_size != int(step_size):
        raise UnsupportedTypeError(
            f"step_size {step_size!r} is not a positive number of entries, nor a size",
            hint="such as 1000 or '100 MB'",
        )
    return int(step_size)


class TreeView(ABC):
    """What users see of a tree: its branches, read as one reads a TTree with uproot.

    Attributes
    ----------
    name : str
    path : str
        Of the archive.
    num_entries : int
    tables : tuple of TableSpec
        Columns that share their rows.
    """

    def __init__(
        self, name: str, path: str, num_entries: int, tables: tuple[TableSpec, ...]
    ) -> None:
        self.name = name
        self.path = path
        self.num_entries = num_entries
        self.tables = tables
        self._specs = {c.name: c for t in tables for c in t.columns}
        self._table_of = {c.name: t for t in tables for c in t.columns}
        self._unread: dict[str, str] = {}

    def __repr__(self) -> str:
        return f"<Tree {self.name!r} ({self.num_entries} entries, {len(self._specs)} branches)>"

    def _repr_html_(self) -> str:
        rows = [[n, s.typename, s.title] for n, s in islice(self._specs.items(), _SHOWN)]
        if len(self._specs) > _SHOWN:
            rows.append([f"... {len(self._specs) - _SHOWN} more", "", ""])
        title = f"{self.name}: {plural(self.num_entries, 'entry', 'entries')}"
        return f"<p>{escape(title)}</p>" + html_table(
            ["branch", "type", "title"], rows, left=range(3)
        )

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        raise UnsupportedTypeError(
            f"the tree {self.name!r} is no array", path=self.path,
            hint="tree.arrays(library='np') gives a dict of arrays, tree['branch'].array() one",
        )  # fmt: skip

    @abstractmethod
    def cluster_ranges(self, target_bytes: int) -> list[tuple[int, int]]:
        """Entry ranges of the archive's clusters; ``target_bytes`` is of no effect."""

    @abstractmethod
    def raw_bytes(self, names: Sequence[str]) -> int:
        """Bytes that the values of these branches take, all entries together."""

    @abstractmethod
    def read(self, start: int, stop: int, columns: Sequence[str] | None = None) -> Cluster:
        """Read entries ``start`` to ``stop`` as tables, as a ``TreeSource`` does.

        Parameters
        ----------
        start, stop : int
        columns : sequence of str, optional
            Branch names; all of them by default.

        Returns
        -------
        dict of str to TableData

        Raises
        ------
        NotFoundError, CorruptionError, ModelMismatchError
            As in :meth:`arrays`.
        """

    def conversions(self) -> Mapping[str, Conversion]:
        """How columns become values, where they are not values as they are."""
        return {}

    def read_converted(
        self, start: int, stop: int, columns: Sequence[str], others: Sequence[str] = ()
    ) -> Cluster:
        """Read entries as tables of values.

        Parameters
        ----------
        start, stop : int
        columns : sequence of str
        others : sequence of str
            Columns that are read as they are stored.

        Raises
        ------
        UnsupportedTypeError
            A column is of a type that has no values here.
        NotFoundError, CorruptionError, ModelMismatchError
            As in :meth:`arrays`.
        """
        self._check_conversions(columns)
        found = self.read(start, stop, list(dict.fromkeys([*columns, *others])))
        return self._converted(found, columns)

    def _conversions_of(self, names: Sequence[str]) -> dict[str, Conversion]:
        some = [n for n in names if may_differ(self._spec(n))]
        # What decides is in the remainder, which is not read for nothing.
        known = self.conversions() if some else {}
        return {n: known[n] for n in some if n in known}

    def _check_conversions(self, names: Sequence[str]) -> None:
        for name, values in self._conversions_of(names).items():
            if values.refusal:
                values.of(np.zeros(0), path=self.path, tree=self.name, branch=name)

    def _converted(self, cluster: Cluster, names: Sequence[str]) -> Cluster:
        for name, values in self._conversions_of(names).items():
            data = cluster[self._table_of[name].name]
            column = np.asarray(data.columns[name])
            data.columns[name] = values.of(
                column, path=self.path, tree=self.name, branch=name
            )  # fmt: skip
        return cluster

    @abstractmethod
    def cost(self, *, filter_name: Filter = None) -> dict[str, int]:
        """What reading branches costs.

        Parameters
        ----------
        filter_name : str, sequence of str or callable, optional
            As in :meth:`arrays`.

        Returns
        -------
        dict of str to int
            Stored bytes to fetch, by the unit that is decoded as a whole: a collection,
            ``"/scalars"``, or ``""``, which is the counters.
        """

    def keys(self, *, filter_name: Filter = None) -> list[str]:
        """Names of the branches, table by table."""
        return [n for n in self._specs if _matches(n, filter_name)]

    def __iter__(self) -> Iterator[str]:
        return iter(self._specs)

    def __contains__(self, name: object) -> bool:
        return name in self._specs

    def __len__(self) -> int:
        return len(self._specs)

    def __getitem__(self, name: str) -> ArchiveBranch:
        return ArchiveBranch(self, self._spec(name))

    def typenames(self, *, filter_name: Filter = None) -> dict[str, str]:
        """Types of the branches, as uproot names them."""
        return {n: self._specs[n].typename for n in self.keys(filter_name=filter_name)}

    def spec(self, name: str) -> ColumnSpec:
        """What is known of a branch.

        Raises
        ------
        NotFoundError
            There is no such branch.
        """
        return self._spec(name)

    def empty(self, names: Sequence[str]) -> Any:
        """Record array without entries of these branches, which tells their types; decodes nothing.

        Parameters
        ----------
        names : sequence of str

        Raises
        ------
        NotFoundError
            There is no such branch.
        """
        cluster = self._converted(build.empty_cluster(self.tables), names)
        placed = {n: (self._spec(n), self._table_of[n], cluster) for n in names}
        tables = {t.name: t for t in self.tables}
        return build.assemble(placed, 0, "ak", tables=tables)

    def note_unread(self, reasons: Mapping[str, str]) -> None:
        """Note of branches that are kept as bytes why they are, for errors to tell."""
        self._unread = dict(reasons)

    def _spec(self, name: str) -> ColumnSpec:
        if name in self._unread:
            msg = f"this branch is kept as bytes: {self._unread[name]}"
            raise NotFoundError(msg, path=self.path, tree=self.name, branch=name, hint=UNREAD_HINT)
        if name not in self._specs:
            near = near_misses(name, list(self._specs))
            raise NotFoundError(
                "no such branch", path=self.path, tree=self.name, branch=name,
                hint=f"did you mean {near}?" if near else None,
            )  # fmt: skip
        return self._specs[name]

    @checked_options
    def arrays(
        self,
        expressions: str | Sequence[str] | None = None,
        *,
        filter_name: Filter = None,
        entry_start: int | None = None,
        entry_stop: int | None = None,
        library: str = "ak",
    ) -> Any:
        """Read branches.

        Parameters
        ----------
        expressions : str or sequence of str, optional
            Branch names; unlike ``filter_name``, one that does not exist is an error.
        filter_name : str, sequence of str or callable, optional
            Glob patterns, or a function of the name.
        entry_start, entry_stop : int, optional
            Range of entries; negative numbers count from the end.
        library : {"ak", "np"}
            A record array of Awkward Array, or a dict of NumPy arrays (of objects, where
            the branch is jagged).

        Returns
        -------
        ak.Array or dict of str to numpy.ndarray
            Strings as text; records that are stored as they are, as byte strings.

        Raises
        ------
        NotFoundError
            A branch does not exist.
        CorruptionError
            The archive is damaged where it was read.
        ModelMismatchError
            The archive needs a model that was not given.
        """
        if library not in ("ak", "np"):
            raise UnsupportedTypeError(f"library {library!r} is neither 'ak' nor 'np'")
        names = self.names(expressions, filter_name)
        start, stop = self.entry_range(entry_start, entry_stop)
        tables = {t.name: t for t in self.tables}
        counts = [c for n in names for _, c in build.lists_above(self._table_of[n], tables)]
        columns = self.read_converted(start, stop, names, counts)
        placed = {n: (self._specs[n], self._table_of[n], columns) for n in names}
        return build.assemble(placed, stop - start, library, tables=tables)

    @checked_options
    def iterate(
        self,
        expressions: str | Sequence[str] | None = None,
        *,
        filter_name: Filter = None,
        step_size: int | str | None = None,
        entry_start: int | None = None,
        entry_stop: int | None = None,
        library: str = "ak",
    ) -> Iterator[Any]:
        """Read branches piece by piece.

        Parameters
        ----------
        expressions, filter_name, entry_start, entry_stop, library
            As in :meth:`arrays`.
        step_size : int or str, optional
            Entries per piece, or their bytes in memory, such as ``"100 MB"``; by default the
            archive's clusters, which is the fastest.

        Yields
        ------
        ak.Array or dict of str to numpy.ndarray

        Raises
        ------
        UnsupportedTypeError
            ``step_size`` is neither.
        NotFoundError, CorruptionError, ModelMismatchError
            As in :meth:`arrays`.
        """
        names = self.names(expressions, filter_name)
        start, stop = self.entry_range(entry_start, entry_stop)
        if step_size is None:
            ranges = [(max(a, start), min(b, stop)) for a, b in self.cluster_ranges(0)]
        else:
            step = self.entries_per_step(names, step_size)
            ranges = [(a, min(a + step, stop)) for a in range(start, stop, step)]
        for a, b in ranges:
            if a < b:
                yield self.arrays(names, entry_start=a, entry_stop=b, library=library)

    def entries_per_step(self, names: Sequence[str], step_size: int | str) -> int:
        """How many entries a step has.

        Parameters
        ----------
        names : sequence of str
            Branches that are read.
        step_size : int or str
            Entries, or the bytes of these branches in memory, such as ``"100 MB"``.

        Raises
        ------
        UnsupportedTypeError
            It is neither.
        """
        wanted = check_step(step_size)
        if isinstance(step_size, str):
            total = self.raw_bytes(names)
            return max(1, wanted * self.num_entries // total if total else self.num_entries)
        return wanted

    def names(
        self, expressions: str | Sequence[str] | None = None, filter_name: Filter = None
    ) -> list[str]:
        """Branches that :meth:`arrays` reads when it is given these.

        Of all, or of those that a pattern matches, the ones without values are left out.

        Raises
        ------
        NotFoundError
            One of ``expressions`` does not exist.
        """
        if expressions is None:
            found = self.keys(filter_name=filter_name)
            refused = {n for n, v in self._conversions_of(found).items() if v.refusal}
            return [n for n in found if n not in refused]
        names = [expressions] if isinstance(expressions, str) else list(expressions)
        for name in names:
            self._spec(name)
        return [n for n in dict.fromkeys(names) if _matches(n, filter_name)]

    def entry_range(self, start: int | None, stop: int | None) -> tuple[int, int]:
        """Return the entries that a user's range means: negative numbers count from the end."""
        a, b, _ = slice(start, stop).indices(self.num_entries)
        return a, max(a, b)


class ArchiveBranch:
    """One branch of an archive's tree.

    Attributes
    ----------
    name, typename, title : str
    """

    def __init__(self, tree: TreeView, spec: ColumnSpec) -> None:
        self._tree = tree
        self.name = spec.name
        self.typename = spec.typename
        self.title = spec.title

    def __repr__(self) -> str:
        return f"<ArchiveBranch {self.name!r} of {self._tree.name!r}: {self.typename}>"

    @property
    def num_entries(self) -> int:
        """Entries of the tree."""
        return self._tree.num_entries

    def __len__(self) -> int:
        return self.num_entries

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        """Read the branch as a NumPy array, for ``np.asarray``.

        Raises
        ------
        UnsupportedTypeError
            The items of an entry differ in number, so that no NumPy array holds them.
        """
        import awkward as ak

        if copy is False:
            raise ValueError(f"the branch {self.name!r} is decoded, which makes a copy")
        found = self.array()
        try:
            out = ak.to_numpy(found, allow_missing=False)
        except (ValueError, TypeError) as error:
            raise UnsupportedTypeError(
                "its entries are lists of several lengths, or what NumPy has no type for",
                path=self._tree.path, tree=self._tree.name, branch=self.name,
                hint="branch.array() gives an Awkward Array, branch.array(library='np') objects",
            ) from error  # fmt: skip
        return out if dtype is None else out.astype(dtype)

    def _repr_html_(self) -> str:
        rows = [["type", self.typename], ["entries", f"{self.num_entries:,}"]]
        rows += [["title", self.title]] if self.title else []
        return html_table([self.name, ""], rows, left=(0, 1))

    @checked_options
    def array(
        self, *, entry_start: int | None = None, entry_stop: int | None = None, library: str = "ak"
    ) -> Any:
        """Read the branch.

        Parameters
        ----------
        entry_start, entry_stop : int, optional
            Range of entries; negative numbers count from the end.
        library : {"ak", "np"}

        Returns
        -------
        ak.Array or numpy.ndarray

        Raises
        ------
        CorruptionError, ModelMismatchError
            As in :meth:`TreeView.arrays`.
        """
        out = self._tree.arrays(
            [self.name], entry_start=entry_start, entry_stop=entry_stop, library=library
        )
        return out[self.name]


def _matches(name: str, filter_name: Filter) -> bool:
    if filter_name is None:
        return True
    if callable(filter_name):
        return bool(filter_name(name))
    patterns = [filter_name] if isinstance(filter_name, str) else filter_name
    return any(fnmatch.fnmatchcase(name, p) for p in patterns)
