"""Batches of tensors from archives, each entry exactly once, over workers and processes."""

from __future__ import annotations

import contextlib
import difflib
import fnmatch
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import IterableDataset, get_worker_info

from vortex_hep.analysis.tensors.entries import Entries, is_unsigned, join, padded, widened
from vortex_hep.analysis.tensors.options import ServeOptions
from vortex_hep.archive.handle import check_fingerprint
from vortex_hep.core import storage
from vortex_hep.core.schema import VARBYTES, Array, ColumnSpec, TableSpec
from vortex_hep.errors import MissingError, NotFoundError, UnsupportedTypeError

if TYPE_CHECKING:
    from vortex_hep.archive.archive import Archive
    from vortex_hep.archive.view import TreeView

#: Archives that are opened at a time to see what is in them.
_OPENERS = 8
#: Bytes of the widest number that torch has.
_WIDEST = 8


class Jagged(NamedTuple):
    """Lists of any length.

    Attributes
    ----------
    values : Tensor, shape (items of all lists, ...)
    offsets : int64 Tensor, shape (entries + 1,)
        The list of entry i is ``values[offsets[i]:offsets[i + 1]]``.
    """

    values: Tensor
    offsets: Tensor


class Padded(NamedTuple):
    """Lists of one length.

    Attributes
    ----------
    values : Tensor, shape (entries, pad, ...)
        Zero behind the end of a list.
    lengths : int64 Tensor, shape (entries,)
    """

    values: Tensor
    lengths: Tensor


#: Columns by name, each a Tensor, :class:`Jagged` or :class:`Padded`.
Batch = dict[str, Any]


@dataclass(frozen=True)
class _Column:
    """A column that is served: the same in all files."""

    tree: str
    table: str
    spec: ColumnSpec
    is_list: bool
    parent: str | None


@dataclass(frozen=True)
class _File:
    """An archive, what tells it from others, and the entry ranges that are decoded as a whole."""

    path: str
    fingerprint: str
    ranges: tuple[tuple[int, int], ...]


class ArchiveDataset(IterableDataset[Batch]):
    """Entries of archives as batches of tensors, for a ``DataLoader`` with ``batch_size=None``.

    Every entry is served once per epoch: by one of the processes, and by one of its workers. All
    files are looked at at once, so that what does not fit is an error here and not hours later.

    Parameters
    ----------
    files : str, path, or sequence of these
        Archives of any kind; paths, URLs and glob patterns.
    options : ServeOptions, optional

    Attributes
    ----------
    num_entries : int
        Of all files.
    columns : list of str
        Names of what a batch holds: a Tensor of shape (entries, ...) where there is one value, or
        as many of them, per entry; for lists, :class:`Jagged` or :class:`Padded`.

    Raises
    ------
    NotFoundError
        No such file, tree or column.
    UnsupportedTypeError
        Text, lists within lists, or unsigned integers without ``widen``; a file whose columns
        are of other types than those of the first.
    VortexError
        An archive cannot be read; while it is iterated over, one was replaced.

    Notes
    -----
    Call :meth:`set_epoch` before each epoch for another order; workers that live on see it.

    Examples
    --------
    >>> options = ServeOptions(tree=("jets", "tracks"), batch=512, shuffle=True, pad=40)
    >>> data = ArchiveDataset("jets*.vxc", options)
    >>> data.num_entries, data.columns[:2]
    (2000, ['jets/pt', 'jets/eta'])
    >>> next(iter(data))["tracks/d0"].values.shape
    torch.Size([512, 40])
    """

    def __init__(
        self,
        files: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
        options: ServeOptions | None = None,
    ) -> None:
        super().__init__()
        self.options = options or ServeOptions()
        # In memory that processes share, for workers get their copy of this object only once.
        self._epoch = torch.zeros((), dtype=torch.int64)
        self._epoch.share_memory_()  # type: ignore[no-untyped-call]
        paths = _paths(files)
        with self._open(paths[0]) as archive:
            self._trees = _trees(archive, self.options.tree)
            self._columns = self._find(archive)
        self.columns = list(self._columns)
        # The names are known, and a function would not reach workers.
        self.options = replace(self.options, filter_name=None, expressions=tuple(self.columns))
        with ThreadPoolExecutor(_OPENERS) as pool:
            self._files = list(pool.map(self._look, paths))
        self._fingerprints = {f.path: f.fingerprint for f in self._files}
        self.num_entries = sum(b - a for f in self._files for a, b in f.ranges)

    def set_epoch(self, epoch: int) -> None:
        """Say which epoch the next iteration is."""
        self._epoch.fill_(epoch)

    def __len__(self) -> int:
        """Batches of this process in an epoch, by all its workers."""
        first, last = self._share()
        o = self.options
        return (last - first) // o.batch if o.drop_last else -(-(last - first) // o.batch)

    def _share(self) -> tuple[int, int]:
        """Entries of this process, counted in the order in which the epoch takes them."""
        o = self.options
        if o.drop_last:
            each = self.num_entries // o.world
            return o.rank * each, (o.rank + 1) * each
        return self.num_entries * o.rank // o.world, self.num_entries * (o.rank + 1) // o.world

    def __iter__(self) -> Iterator[Batch]:
        worker = get_worker_info()
        number, workers = (0, 1) if worker is None else (worker.id, worker.num_workers)
        first, last = self._share()
        # In whole batches, so that there are as many of them whatever the number of workers.
        low, high = (len(self) * k // workers * self.options.batch for k in (number, number + 1))
        return self._serve(first + low, min(first + high, last))

    def _serve(self, first: int, last: int) -> Iterator[Batch]:
        """Batches of the entries ``first`` to ``last`` of the epoch."""
        o = self.options
        epoch = int(self._epoch)
        random = np.random.default_rng([o.seed % (1 << 64), epoch, first])
        enough = max(o.buffer, o.batch) if o.shuffle else o.batch
        parts: list[Entries] = []
        left = last - first
        for piece in self._read(self._order(epoch), first, last):
            parts.append(piece)
            left -= piece.count
            held = sum(p.count for p in parts)
            if held < enough and left:
                continue
            whole = join(parts)
            order = random.permutation(held) if o.shuffle else np.arange(held)
            full = held - held % o.batch if left else held
            for at in range(0, full, o.batch):
                yield self._batch_of(whole.take(order[at : min(at + o.batch, full)]))
            parts = [whole.take(order[full:])] if full < held else []

    def _order(self, epoch: int) -> list[tuple[str, int, int]]:
        """Clusters, as path and entry range, in the order of the epoch: file by file."""
        clusters = [[(f.path, a, b) for a, b in f.ranges] for f in self._files]
        if self.options.shuffle:
            random = np.random.default_rng([self.options.seed % (1 << 64), epoch])
            clusters = [clusters[i] for i in random.permutation(len(clusters))]
            clusters = [[of[i] for i in random.permutation(len(of))] for of in clusters]
        return [cluster for of in clusters for cluster in of]

    def _read(
        self, order: Sequence[tuple[str, int, int]], first: int, last: int
    ) -> Iterator[Entries]:
        """Read what ``first`` to ``last`` has of the clusters, with one file open at a time."""
        with contextlib.ExitStack() as stack:
            archive = None
            at = 0
            for path, start, stop in order:
                low, high = max(first, at), min(last, at + stop - start)
                if low < high:
                    if archive is None or archive.path != path:
                        stack.close()
                        archive = stack.enter_context(self._open(path))
                        check_fingerprint(archive.fingerprint, self._fingerprints[path], path)
                    yield self._entries(archive, start + low - at, start + high - at)
                at += stop - start

    def _entries(self, archive: Archive, start: int, stop: int) -> Entries:
        columns: dict[str, Array] = {}
        lists: dict[str, str] = {}
        offsets: dict[str, Array] = {}
        for name in self._trees:
            wanted = {n: c for n, c in self._columns.items() if c.tree == name}
            branches = [c.spec.name for c in wanted.values()]
            cluster = archive[name].read_converted(start, stop, branches)
            for full, column in wanted.items():
                table = cluster[column.table]
                # None of them is text, so all are arrays.
                columns[full] = np.asarray(table.columns[column.spec.name])
                if column.is_list:
                    lists[full] = f"{name}/{column.table}"
                    offsets[lists[full]] = table.offsets
        return Entries(stop - start, columns, lists, offsets)

    def _batch_of(self, entries: Entries) -> Batch:
        o = self.options
        out: Batch = {}
        for name, column in entries.columns.items():
            values = widened(column, name) if o.widen else column
            if name not in entries.lists:
                out[name] = torch.from_numpy(values)
                continue
            offsets = entries.offsets[entries.lists[name]]
            if o.pad is None:
                out[name] = Jagged(torch.from_numpy(values), torch.from_numpy(offsets))
            else:
                filled, lengths = padded(values, offsets, o.pad, truncate=o.truncate, name=name)
                out[name] = Padded(torch.from_numpy(filled), torch.from_numpy(lengths))
        return out

    def _open(self, path: str) -> Archive:
        # Archives are made of models of this package, and so can only be known here at need.
        from vortex_hep.archive.archive import Archive

        o = self.options
        return Archive(path, model=o.model, threads=o.threads, device="cpu", cache=o.cache)

    def _find(self, archive: Archive) -> dict[str, _Column]:
        """Columns to serve, by name."""
        o = self.options
        several = len(self._trees) > 1
        known: dict[str, _Column] = {}
        for name in self._trees:
            for table in archive[name].tables:
                for spec in table.columns:
                    full = f"{name}/{spec.name}" if several else spec.name
                    known[full] = _Column(name, table.name, spec, _is_list(table), table.parent)
        for wanted in o.expressions or ():
            if wanted not in known:
                near = ", ".join(repr(n) for n in difflib.get_close_matches(wanted, known, 3))
                raise NotFoundError(
                    "no such column", path=archive.path, branch=wanted,
                    hint=f"did you mean {near}?" if near else None,
                )  # fmt: skip
        names = dict.fromkeys(known if o.expressions is None else o.expressions)
        found = {n: known[n] for n in names if _matches(n, o.filter_name)}
        if not found:
            raise NotFoundError("no column matches expressions and filter_name", path=archive.path)
        for name, column in found.items():
            self._check(name, column, archive)
        return found

    def _check(self, name: str, column: _Column, archive: Archive) -> None:
        """Refuse what does not become a tensor."""
        path, dtype = archive.path, _dtype_of(archive[column.tree], column)
        if dtype is None or dtype.kind not in "biuf" or dtype.itemsize > _WIDEST:
            reason = "text and records do not become tensors"
        elif column.parent is not None:
            reason = "lists within lists do not become tensors"
        elif is_unsigned(dtype.str) and not self.options.widen:
            raise UnsupportedTypeError(
                f"torch cannot compute with {dtype.name}",
                path=path, branch=name, hint="widen=True serves it as a wider signed type",
            )  # fmt: skip
        else:
            return
        raise UnsupportedTypeError(
            reason, path=path, branch=name, hint="leave it out with expressions or filter_name"
        )

    def _look(self, path: str) -> _File:
        """Entry ranges of a file, whose columns are checked to be those of the first one."""
        with self._open(path) as archive:
            counts = {archive[name].num_entries for name in self._trees}
            if len(counts) > 1:
                raise UnsupportedTypeError(
                    f"the trees {', '.join(self._trees)} differ in their numbers of entries",
                    path=path,
                )
            known = self._find(archive)
            for name, column in self._columns.items():
                other = known[name].spec
                if (other.dtype, other.inner, known[name].is_list) != (
                    column.spec.dtype, column.spec.inner, column.is_list
                ):  # fmt: skip
                    raise UnsupportedTypeError(
                        f"expected type {column.spec.typename or column.spec.dtype} as in the "
                        f"first file, got {other.typename or other.dtype}",
                        path=path, branch=name,
                    )  # fmt: skip
            ranges = tuple(archive[self._trees[0]].cluster_ranges(0))
            return _File(archive.path, archive.fingerprint, ranges)


def _dtype_of(tree: TreeView, column: _Column) -> np.dtype[Any] | None:
    """Type of a column's values; None where these are byte strings of any length."""
    if column.spec.dtype == VARBYTES:
        return None
    name = column.spec.name
    return np.asarray(tree.read_converted(0, 0, [name])[column.table].columns[name]).dtype


def _paths(files: str | os.PathLike[str] | Sequence[str | os.PathLike[str]]) -> list[str]:
    """Paths of all files, in the order of their names where a pattern stands for them."""
    given = [files] if isinstance(files, (str, os.PathLike)) else list(files)
    out: list[str] = []
    for item in (os.fspath(path) for path in given):
        if not any(c in item for c in "*?["):
            out.append(item)
            continue
        found = [path for path, _ in storage.glob(item)]
        if not found:
            raise MissingError("no file matches the pattern", path=item)
        out += found
    if not out:
        raise MissingError("no files are given")
    return out


def _trees(archive: Archive, tree: str | Sequence[str] | None) -> tuple[str, ...]:
    if tree is not None:
        return (tree,) if isinstance(tree, str) else tuple(tree)
    if len(archive) != 1:
        raise NotFoundError(
            f"there are several trees: {', '.join(archive)}", path=archive.path,
            hint="say which one with tree=",
        )  # fmt: skip
    return tuple(archive)


def _is_list(table: TableSpec) -> bool:
    return table.jagged or table.counter is not None


def _matches(name: str, wanted: str | Sequence[str] | Callable[[str], bool] | None) -> bool:
    if wanted is None:
        return True
    if callable(wanted):
        return bool(wanted(name))
    patterns = [wanted] if isinstance(wanted, str) else wanted
    return any(fnmatch.fnmatchcase(name, p) for p in patterns)
