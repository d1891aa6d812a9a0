"""Reading many archives piece by piece, as ``uproot.iterate`` reads ROOT files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from vortex_hep.analysis.files import Files, FileSpec, find_files
from vortex_hep.analysis.steps import Range, even_steps
from vortex_hep.archive.archive import OpenOptions
from vortex_hep.archive.view import Filter, TreeView, check_step
from vortex_hep.core.options import checked_options
from vortex_hep.errors import UnsupportedTypeError

if TYPE_CHECKING:
    from typing_extensions import Unpack


@dataclass(frozen=True)
class Report:
    """Where a piece comes from; the names are those of ``uproot.behaviors.TBranch.Report``.

    Parameters
    ----------
    file_path, object_path : str
        Archive and tree.
    tree_entry_start, tree_entry_stop : int
        Range of entries in the tree.
    global_entry_start, global_entry_stop : int
        Range of entries, counted on from one tree to the next.
    """

    file_path: str
    object_path: str
    tree_entry_start: int
    tree_entry_stop: int
    global_entry_start: int
    global_entry_stop: int


@partial(checked_options, more=OpenOptions.__annotations__)
def iterate(
    files: Files,
    expressions: str | Sequence[str] | None = None,
    *,
    filter_name: Filter = None,
    step_size: int | str | None = None,
    library: str = "ak",
    report: bool = False,
    **options: Unpack[OpenOptions],
) -> Iterator[Any]:
    """Read branches of many archives piece by piece.

    Parameters
    ----------
    files : str, path, mapping, TreeView, or several of these
        See :func:`~vortex_hep.analysis.files.find_files`.
    expressions : str or sequence of str, optional
        Branch names; unlike ``filter_name``, one that does not exist is an error.
    filter_name : str, sequence of str or callable, optional
        Glob patterns, or a function of the name.
    step_size : int or str, optional
        Entries per piece, or their bytes in memory, such as ``"100 MB"``; by default the archives'
        clusters, which is the fastest. Pieces end where files do.
    library : {"ak", "np"}
        A record array of Awkward Array, or a dict of NumPy arrays.
    report : bool
        Whether to yield pairs of the piece and a :class:`Report`.
    **options
        ``model``, ``threads``, ``device`` and ``cache``, as :func:`vortex_hep.open` takes them.

    Yields
    ------
    ak.Array or dict of str to numpy.ndarray, or (this, Report)

    Raises
    ------
    UnsupportedTypeError, MissingError
        Files, ``library`` or ``step_size`` are not what they can be; raised at once.
    VortexError
        As :func:`vortex_hep.open` and :meth:`~vortex_hep.archive.archive.ArchiveTree.arrays` do;
        raised when a file's turn comes.

    Notes
    -----
    No cluster is decoded twice, wherever pieces begin and end.
    """
    if library not in ("ak", "np"):
        raise UnsupportedTypeError(f"library {library!r} is neither 'ak' nor 'np'")
    if step_size is not None:
        check_step(step_size)

    def pieces(specs: list[FileSpec]) -> Iterator[Any]:
        before = 0
        for spec in specs:
            with spec.open(**options) as tree:
                names = tree.names(expressions, filter_name)
                for start, stop in _ranges(tree, names, step_size, spec):
                    piece = tree.arrays(names, entry_start=start, entry_stop=stop, library=library)
                    if report:
                        where = Report(
                            spec.path, tree.name, start, stop, before + start, before + stop
                        )
                        yield piece, where
                    else:
                        yield piece
                before += tree.num_entries

    return pieces(find_files(files))


def _ranges(
    tree: TreeView, names: Sequence[str], step_size: int | str | None, spec: FileSpec
) -> list[Range]:
    given = spec.ranges(tree)
    if given is not None:
        return list(given)
    if step_size is None:
        return tree.cluster_ranges(0)
    return even_steps(0, tree.num_entries, tree.entries_per_step(names, step_size))
