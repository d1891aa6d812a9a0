"""Conformance of readers: a file as tables and a remainder, and from these the same file again.

The contract is :mod:`vortex_hep.readers.kinds`. A reader of another kind is tested once its module
is in ``KINDS`` there.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from vortex_hep.core.schema import (
    VARBYTES,
    Array,
    Cluster,
    ColumnSpec,
    FileSource,
    Member,
    TableData,
    TreeSource,
    VarBytes,
)
from vortex_hep.core.storage.identity import Identity
from vortex_hep.errors import LayoutError, UnsupportedFeatureError
from vortex_hep.readers import compare_sources, open_source
from vortex_hep.readers.kinds import KINDS, RestoreOptions, kind_module
from vortex_hep.testing.conformance.reporting import Subject, first_difference

#: Raw bytes of a cluster: small, so that files have several.
TARGET = 1 << 14

StrPath = str | os.PathLike[str]


@dataclass
class Contents:
    """All that a reader gave of a file, which is all that restoring it may need.

    Parameters
    ----------
    kind : str
        As archives name it.
    blobs : dict of str to bytes
        The remainder.
    ranges : dict of str to list of (start, stop)
        Entries of the clusters of each tree that users know.
    clusters : dict of (tree, start, stop) to Cluster
    notes : list of str
    identity : Identity, optional
        Where the file is to come back byte for byte.
    """

    kind: str
    blobs: dict[str, bytes] = field(default_factory=dict)
    ranges: dict[str, list[tuple[int, int]]] = field(default_factory=dict)
    clusters: dict[tuple[str, int, int], Cluster] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    identity: Identity | None = None


def reader_subject(source: FileSource) -> Subject:
    """Return a source as the errors of checks name it."""
    return Subject(f"reader {source.kind!r}", f"file {source.path}")


def read_contents(source: FileSource, *, target: int = TARGET, exact: bool = False) -> Contents:
    """Read all of a source, and check that it gives what it says it has.

    Parameters
    ----------
    source : FileSource
    target : int
        Raw bytes of a cluster.
    exact : bool
        Whether the source was opened to be restored byte for byte.

    Raises
    ------
    ConformanceError
        The ranges of a tree are not in one piece, or a cluster has other tables, columns, types,
        shapes or numbers of rows than the tree says.

    Examples
    --------
    >>> import numpy as np
    >>> contents = read_contents(open_source({"x": np.arange(3)}))
    >>> contents.ranges
    {'arrays': [(0, 3)]}
    """
    here = reader_subject(source)
    out = Contents(source.kind)
    for tree in source.trees.values():
        bounds = tree.cluster_ranges(target)
        check_ranges(here, tree, bounds)
        members = tree.members or (Member(tree.name, ""),)
        out.ranges |= {member.name: bounds for member in members}
        for start, stop in bounds:
            whole = tree.read(start, stop)
            check_cluster(here, tree, whole, (start, stop))
            for member in members:
                out.clusters[member.name, start, stop] = _of_member(whole, member.prefix)
    out.blobs = dict(source.remainder())
    out.notes = source.notes()
    if exact:
        out.identity = source.identity()  # type: ignore[attr-defined]
    return out


def check_ranges(here: Subject, tree: TreeSource, bounds: Sequence[tuple[int, int]]) -> None:
    """Check that ranges of entries cover a tree, one behind the other."""
    at = 0
    for start, stop in bounds:
        if start != at or stop <= start:
            raise here.error(
                f"cluster ranges of tree {tree.name!r} are not in one piece",
                expected=f"a range from entry {at} on", found=f"{start} to {stop}",
            )  # fmt: skip
        at = stop
    here.equal(f"entries of tree {tree.name!r} and the end of its ranges", at, tree.num_entries)


def check_cluster(
    here: Subject, tree: TreeSource, cluster: Cluster, entries: tuple[int, int]
) -> None:
    """Check that a cluster has the tables, columns, types and shapes that its tree says."""
    start, stop = entries
    place = f"tree {tree.name!r}, entries {start} to {stop}"
    here.equal(
        "names of tables", sorted(cluster), sorted(t.name for t in tree.tables), position=place
    )
    for table in tree.tables:
        data = cluster[table.name]
        where = f"{place}, table {table.name!r}"
        offsets = data.offsets
        here.equal("types of offsets", offsets.dtype.str, "<i8", position=where)
        here.equal("numbers of offsets", len(offsets), stop - start + 1, position=where)
        if offsets[0] != 0 or (np.diff(offsets) < 0).any():
            raise here.error("offsets do not rise from 0", position=where)
        if not table.jagged and table.parent is None and (np.diff(offsets) != 1).any():
            raise here.error("not one row per entry", position=where)
        names = [c.name for c in table.columns]
        here.equal("columns", list(data.columns), names, position=where)
        for spec in table.columns:
            _check_column(here, spec, data, f"{where}, column {spec.name!r}")


def _check_column(here: Subject, spec: ColumnSpec, data: TableData, where: str) -> None:
    column = data.columns[spec.name]
    if spec.dtype != VARBYTES:
        if isinstance(column, VarBytes):
            raise here.error("byte strings where numbers belong", position=where)
        here.equal("dtypes", column.dtype.str, spec.dtype, position=where)
        here.equal("shapes", column.shape, (data.num_rows, *spec.inner), position=where)
        return
    if not isinstance(column, VarBytes):
        raise here.error("numbers where byte strings belong", position=where)
    here.equal("numbers of rows", len(column), data.num_rows, position=where)
    here.equal("types of bytes", column.content.dtype.str, "|u1", position=where)
    here.equal("ends of rows", int(column.offsets[-1]), len(column.content), position=where)


def _of_member(whole: Cluster, prefix: str) -> Cluster:
    """Return what one tree of several that are coded together has of a cluster."""
    if not prefix:
        return whole
    data = whole[prefix.rstrip("/")]
    columns = {name.removeprefix(prefix): column for name, column in data.columns.items()}
    return {"": TableData(data.offsets, columns)}


def restore_contents(
    contents: Contents, out: StrPath, options: RestoreOptions | None = None
) -> None:
    """Write the file that contents were read of.

    Parameters
    ----------
    contents : Contents
    out : str or path
    options : RestoreOptions, optional
        By default an existing file is replaced, and one that was read to come back byte for byte
        must do so.
    """
    chosen = options or RestoreOptions(overwrite=True, identity=contents.identity)
    kind_module(contents.kind).restore_file(
        contents.blobs, contents.ranges, lambda *key: contents.clusters[key], out, chosen
    )


def check_reader_round_trip(
    path: StrPath,
    out: StrPath | None = None,
    *,
    kind: str | None = None,
    exact: bool = False,
    target: int = TARGET,
    options: RestoreOptions | None = None,
    compare: bool = True,
) -> Contents:
    """Check that a file comes back from what its reader gives of it.

    Parameters
    ----------
    path : str or path
        The file.
    out : str or path, optional
        Where the restored file goes; by default to a folder that is removed.
    kind : str, optional
        Name in :data:`~vortex_hep.readers.kinds.KINDS`; by default the file's first bytes say it.
    exact : bool
        Whether the file must come back byte for byte, and not only hold the same.
    target : int
        Raw bytes of a cluster.
    options : RestoreOptions, optional
        As for :func:`restore_contents`.
    compare : bool
        Whether the restored file is opened too, and compared bit for bit.

    Returns
    -------
    Contents
        What was read of the file.

    Raises
    ------
    ConformanceError
        Names the reader, the file, and the first tree, column and entry, or byte, that differs.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "data.bin")
    ...     _ = path.write_bytes(b"of no known format")
    ...     contents = check_reader_round_trip(path, exact=True)
    >>> contents.kind
    'opaque'
    """
    if out is None:
        with tempfile.TemporaryDirectory(prefix="vortex-conformance-") as folder:
            return check_reader_round_trip(
                path, Path(folder, Path(path).name), kind=kind, exact=exact, target=target,
                options=options, compare=compare,
            )  # fmt: skip
    subject = Subject(f"reader {kind or 'of this file'!r}", f"file {path}")
    contents = subject.call("reading", lambda: _read_settled(path, kind, exact, target))
    subject = Subject(f"reader {contents.kind!r}", f"file {path}")
    subject.call("restoring", restore_contents, contents, out, options)
    if exact:
        _check_bytes(subject, Path(out).read_bytes(), Path(path).read_bytes())
    if compare:
        with _open(path, kind) as first, _open(out, kind) as second:
            differences = subject.call("comparing", compare_sources, first, second)
        if differences:
            more = f" and {len(differences) - 1} more" if len(differences) > 1 else ""
            raise subject.error("the restored file differs", found=differences[0] + more)
        again = subject.call(
            "reading the restored file", lambda: _read_settled(out, kind, False, target)
        )
        _check_same_data(subject, again, contents)
    return contents


def _open(path: StrPath, kind: str | None, *, exact: bool = False) -> FileSource:
    if kind is None:
        return open_source(path, exact=exact)
    return kind_module(kind).open_file(path, trees=None, exact=exact)


def _read_settled(path: StrPath, kind: str | None, exact: bool, target: int) -> Contents:
    """Read a file as compressing does: where its data contradict its layout, once more."""
    with _open(path, kind, exact=exact) as source:
        try:
            return read_contents(source, target=target, exact=exact)
        except LayoutError:
            source.settle()
            return read_contents(source, target=target, exact=exact)


def _check_bytes(subject: Subject, found: bytes, expected: bytes) -> None:
    if found == expected:
        return
    size = min(len(found), len(expected))
    at = first_difference(np.frombuffer(found[:size], "u1"), np.frombuffer(expected[:size], "u1"))
    raise subject.error(
        "the restored file has other bytes", position=f"byte {size if at is None else at}",
        expected=f"{len(expected)} bytes", found=f"{len(found)} bytes",
    )  # fmt: skip


def _check_same_data(subject: Subject, found: Contents, expected: Contents) -> None:
    """Check data once more without the comparison that users have, where clusters are alike."""
    for key in expected.clusters.keys() & found.clusters.keys():
        for table, data in expected.clusters[key].items():
            other = found.clusters[key][table]
            where = f"of tree {key[0]!r}, entries {key[1]} to {key[2]}, table {table!r}"
            subject.same_bits(f"offsets {where}", other.offsets, data.offsets)
            for name, column in data.columns.items():
                for what, a, b in _arrays_of(other.columns[name], column):
                    subject.same_bits(f"{what} {where}, column {name!r}", a, b)


def _arrays_of(found: Array | VarBytes, expected: Array | VarBytes) -> list[tuple[str, Any, Any]]:
    if isinstance(expected, VarBytes) and isinstance(found, VarBytes):
        return [("ends of rows", found.offsets, expected.offsets),
                ("bytes", found.content, expected.content)]  # fmt: skip
    return [("items", found, expected)]


def check_columns_alone(source: FileSource, *, target: int = TARGET) -> None:
    """Check that any column read alone, in any range, is what it is among all.

    Parameters
    ----------
    source : FileSource
    target : int
        Raw bytes of a cluster.

    Raises
    ------
    ConformanceError

    Examples
    --------
    >>> import numpy as np
    >>> check_columns_alone(open_source({"x": np.arange(30), "y": np.ones(30)}))
    """
    here = reader_subject(source)
    for tree in source.trees.values():
        for start, stop in tree.cluster_ranges(target)[:2]:
            whole = tree.read(start, stop)
            for table in tree.tables:
                for spec in table.columns:
                    where = f"of tree {tree.name!r}, entries {start} to {stop}, {spec.name!r} alone"
                    alone = tree.read(start, stop, [spec.name]).get(table.name)
                    if alone is None or spec.name not in alone.columns:
                        raise here.error(f"no column {where}")
                    pair = _arrays_of(
                        alone.columns[spec.name], whole[table.name].columns[spec.name]
                    )
                    for what, a, b in pair:
                        here.same_bits(f"{what} {where}", a, b)


def check_reader_kinds(files: Mapping[str, object]) -> None:
    """Check that every kind of file that there is a reader for has a conformance entry.

    Parameters
    ----------
    files : mapping of str
        What is tested, by kind.

    Raises
    ------
    ConformanceError
        Names each kind without an entry.
    """
    for kind in sorted(KINDS.keys() | files.keys()):
        if kind not in files:
            raise Subject(f"reader {kind!r}").error("is known, but has no conformance entry")
        if kind not in KINDS:
            raise Subject(f"reader {kind!r}").error("has a conformance entry, but is not known")


class ReaderTests:
    """Tests of a reader, to inherit from.

    A subclass writes the files; pytest finds the tests.

    Examples
    --------
    >>> class TestOpaque(ReaderTests):
    ...     kind = "opaque"
    ...
    ...     def write_files(self, folder):
    ...         path = folder / "data.bin"
    ...         path.write_bytes(b"of no known format")
    ...         return [path]
    >>> TestOpaque().test_exact()
    """

    #: Name in :data:`~vortex_hep.readers.kinds.KINDS`.
    kind: str
    #: Whether files can come back byte for byte.
    exact = True
    #: Whether the kind is told from the first bytes of a file.
    told = True

    def write_files(self, folder: Path) -> list[Path]:
        """Write files into a folder and return their paths."""
        raise NotImplementedError

    def test_told(self) -> None:
        """The first bytes of a file say its kind."""
        if not self.told:
            return

        def check(path: Path) -> None:
            with open_source(path) as source:
                reader_subject(source).equal("kinds", source.kind, self.kind)

        self._each(check)

    def test_round_trip(self) -> None:
        """A file comes back with all that it holds, in clusters of any size."""
        for target in (1 << 8, TARGET, 1 << 25):
            self._each(partial(check_reader_round_trip, kind=self.kind, target=target))

    def test_exact(self) -> None:
        """A file comes back byte for byte, or the reader says that it cannot do that."""

        def check(path: Path) -> None:
            if self.exact:
                check_reader_round_trip(path, kind=self.kind, exact=True)
                return
            here = Subject(f"reader {self.kind!r}", f"file {path}")
            opening = kind_module(self.kind).open_file
            here.refuses(
                "opening for exact restoring", UnsupportedFeatureError,
                lambda: opening(path, trees=None, exact=True),
            )  # fmt: skip

        self._each(check)

    def test_columns_alone(self) -> None:
        """Columns can be read one by one."""

        def check(path: Path) -> None:
            with kind_module(self.kind).open_file(path, trees=None) as source:
                check_columns_alone(source)

        self._each(check)

    def _each(self, check: Callable[[Path], object]) -> None:
        with tempfile.TemporaryDirectory(prefix="vortex-conformance-") as folder:
            for path in self.write_files(Path(folder)):
                check(path)
