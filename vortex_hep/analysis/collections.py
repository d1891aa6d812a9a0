"""dask-awkward collections over archives; only the columns in use are decoded."""

from __future__ import annotations

import itertools
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from vortex_hep.analysis.extras import needs
from vortex_hep.analysis.files import Files, FileSpec, find_files, tree_of
from vortex_hep.analysis.steps import cluster_steps
from vortex_hep.archive.archive import Archive, OpenOptions
from vortex_hep.archive.view import Filter
from vortex_hep.core import storage
from vortex_hep.core.options import checked_options
from vortex_hep.errors import UnsupportedTypeError

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from vortex_hep.analysis.partitions import Partition

#: Footers that are read at a time while a collection is made.
_OPENING = 16


@dataclass(frozen=True)
class _Found:
    """What is known of one file: its partitions, and the columns' forms."""

    partitions: list[Partition]
    columns: tuple[str, ...]
    types: list[tuple[Any, ...]]
    form: Any


@partial(checked_options, more=OpenOptions.__annotations__)
def dask(
    files: Files,
    expressions: str | Sequence[str] | None = None,
    *,
    filter_name: Filter = None,
    step_size: int | str = "100 MB",
    **options: Unpack[OpenOptions],
) -> Any:
    """Make a collection of dask-awkward of the trees of many archives.

    Parameters
    ----------
    files : str, path, mapping, or several of these
        See :func:`~vortex_hep.analysis.files.find_files`. ``steps`` given there are taken as they
        are.
    expressions : str or sequence of str, optional
        Branch names; unlike ``filter_name``, one that does not exist is an error.
    filter_name : str, sequence of str or callable, optional
        Glob patterns, or a function of the name.
    step_size : int or str
        Entries of a partition, or the bytes of its columns in memory. Partitions are made of whole
        clusters, so that no two tasks decode the same one: of as many as stay below this, or one.
    **options
        ``model``, ``threads``, ``device`` and ``cache``, as :func:`vortex_hep.open` takes them; by
        default one thread for each task. Give the path of a model, which else travels along.

    Returns
    -------
    dask_awkward.Array
        Records of the branches. What is computed of it decodes only the tables of the columns that
        are used.

    Raises
    ------
    UnsupportedFeatureError
        dask-awkward is missing.
    UnsupportedTypeError
        The files' branches differ in type, or an option is invalid.
    VortexError
        As :func:`vortex_hep.open`. The footer of every file is read here, and nothing else.

    Examples
    --------
    >>> import vortex_hep
    >>> events = vortex_hep.dask("c*.vxc:Events")
    >>> jets = events.Jet_pt[events.nJet > 2].compute()
    >>> len(jets) <= 120
    True
    """
    with needs("dask"):
        from dask_awkward.lib.io.io import from_map

        from vortex_hep.analysis.partitions import ReadArchive

    specs = find_files(files)
    how = cast("OpenOptions", {"threads": 1, **options})
    model = how.get("model")
    if isinstance(model, (str, os.PathLike)):
        how["model"] = storage.absolute(model)

    def look(spec: FileSpec) -> _Found:
        return _look(spec, expressions, filter_name, step_size, how)

    with ThreadPoolExecutor(_OPENING) as pool:
        found = list(pool.map(look, specs))
    first = found[0]
    for spec, other in zip(specs, found, strict=True):
        if (other.columns, other.types) != (first.columns, first.types):
            differ = set(zip(other.columns, other.types, strict=True)) ^ set(
                zip(first.columns, first.types, strict=True)
            )
            raise UnsupportedTypeError(
                f"has other branches, or of other types, than {specs[0].path}", path=spec.path,
                branch=min(c for c, _ in differ) if differ else None,
                hint="choose those that all files have with expressions or filter_name",
            )  # fmt: skip
    partitions = [p for f in found for p in f.partitions]
    divisions = (0, *itertools.accumulate(p.stop - p.start for p in partitions))
    read = ReadArchive(first.form, first.columns, how)
    return from_map(read, partitions, label="from-archives", divisions=divisions)


def _look(
    spec: FileSpec, expressions: str | Sequence[str] | None, filter_name: Filter,
    step_size: int | str, options: OpenOptions,
) -> _Found:  # fmt: skip
    from vortex_hep.analysis.partitions import Partition

    if spec.view is not None:
        raise UnsupportedTypeError("tasks cannot share an open tree", hint="pass its path")
    with Archive(spec.path, **options) as archive:
        tree = tree_of(archive, spec.tree)
        names = tree.names(expressions, filter_name)
        ranges = spec.ranges(tree)
        if ranges is None:
            entries = tree.entries_per_step(names, step_size)
            ranges = tuple(cluster_steps(tree, entries)) or ((0, 0),)
        # Sorted, as files of one kind may differ in the order of their branches.
        columns = tuple(sorted(names))
        branches = [tree.spec(n) for n in columns]
        return _Found(
            [
                Partition(storage.absolute(spec.path), tree.name, a, b, archive.fingerprint)
                for a, b in ranges
            ],
            columns,
            [(b.typename, b.dtype, b.inner, b.interpretation) for b in branches],
            tree.empty(columns).layout.form,
        )
