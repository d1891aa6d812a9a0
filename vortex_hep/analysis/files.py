"""Selection of archives and trees, in the forms that uproot accepts."""

from __future__ import annotations

import contextlib
import itertools
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from vortex_hep.archive.archive import Archive, OpenOptions
from vortex_hep.archive.view import TreeView
from vortex_hep.core import storage
from vortex_hep.errors import MissingError, UnsupportedTypeError

if TYPE_CHECKING:
    from typing_extensions import Unpack

_GLOB = re.compile(r"[*?\[]|\{[^{}]*,[^{}]*\}")
_BRACES = re.compile(r"\{([^{}]*,[^{}]*)\}")
#: A colon that is neither a scheme's nor in front of a port.
_TREE = re.compile(r":(?!//)(?!\d+/)([^:]*)$")

Files = str | os.PathLike[str] | TreeView | Mapping[Any, Any] | Iterable[Any]
Steps = tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class FileSpec:
    """One tree of one archive.

    Parameters
    ----------
    path : str
        Of the archive.
    tree : str, optional
        The only one by default.
    steps : tuple of (int, int), optional
        Entry ranges to take.
    view : TreeView, optional
        The tree, where it is open already.
    """

    path: str
    tree: str | None = None
    steps: Steps | None = None
    view: TreeView | None = None

    @contextlib.contextmanager
    def open(self, **options: Unpack[OpenOptions]) -> Iterator[TreeView]:
        """Open the tree for a ``with`` block.

        Parameters
        ----------
        **options
            As :class:`~vortex_hep.archive.archive.Archive` takes them.

        Raises
        ------
        VortexError
            The archive cannot be opened, or has no such tree.
        """
        if self.view is not None:
            yield self.view
            return
        with Archive(self.path, **options) as archive:
            yield tree_of(archive, self.tree)

    def ranges(self, tree: TreeView) -> Steps | None:
        """Return the entry ranges to take, after comparing them with the tree.

        Raises
        ------
        UnsupportedTypeError
            The tree has no such entries.
        """
        for start, stop in self.steps or ():
            if stop > tree.num_entries:
                msg = f"entries {start} to {stop} are outside the tree's {tree.num_entries}"
                raise UnsupportedTypeError(msg, path=self.path, tree=tree.name)
        return self.steps


def tree_of(archive: Archive, name: str | None) -> TreeView:
    """Return a tree of an archive; where no name is given, its only one.

    Raises
    ------
    NotFoundError
        There is no such tree.
    UnsupportedTypeError
        There are several, or none.
    """
    if name is not None:
        return archive[name]
    if len(archive) != 1:
        known = ", ".join(archive) or "none"
        raise UnsupportedTypeError(
            f"name one of its trees: {known}", path=archive.path,
            hint="as in 'file.vxc:Events' or {'file.vxc': 'Events'}",
        )  # fmt: skip
    return next(iter(archive.values()))


def find_files(files: Files) -> list[FileSpec]:
    """List the trees that a user means.

    Parameters
    ----------
    files : str, path, TreeView, mapping or iterable
        ``"a.vxc"``, ``"a.vxc:Events"``, a path or URL with ``*``, ``?``, ``[...]`` or
        ``{a,b}``, a tree, a mapping ``{path: tree}`` or ``{path: {"object_path": tree, "steps":
        [[start, stop], ...]}}``, or several of these.

    Raises
    ------
    MissingError
        Nothing matches a pattern, or the list is empty.
    UnsupportedTypeError
        It is something else.
    """
    found = list(_find(files))
    if not found:
        raise MissingError("no files are given")
    return found


def _find(files: Any) -> Iterator[FileSpec]:
    if isinstance(files, TreeView):
        yield FileSpec(files.path, files.name, view=files)
    elif isinstance(files, str):
        # os.path: a Path refuses names that are too long
        tree = None if os.path.exists(files) else _TREE.search(files)  # noqa: PTH110
        path = files[: tree.start()] if tree else files
        yield from (FileSpec(p, tree[1] if tree else None) for p in _expand(path))
    elif isinstance(files, os.PathLike):
        yield from map(FileSpec, _expand(os.fspath(files)))
    elif isinstance(files, Mapping):
        for key, wanted in files.items():
            if not isinstance(key, (str, os.PathLike)):
                raise UnsupportedTypeError(f"expected a path, got {key!r}")
            tree_name, steps = _wanted(wanted, os.fspath(key))
            yield from (FileSpec(p, tree_name, steps) for p in _expand(os.fspath(key)))
    elif isinstance(files, Iterable) and not isinstance(files, (bytes, Archive)):
        for item in files:
            yield from _find(item)
    else:
        raise UnsupportedTypeError(
            f"expected files, got {type(files).__name__}",
            hint="pass paths, patterns, {path: tree}, trees, or a list of these",
        )


def _wanted(wanted: Any, path: str) -> tuple[str | None, Steps | None]:
    if wanted is None or isinstance(wanted, str):
        return wanted, None
    try:
        steps = wanted.get("steps")
        if steps is not None:
            steps = tuple((int(start), int(stop)) for start, stop in steps)
        name = wanted.get("object_path")
    except (AttributeError, TypeError, ValueError):
        name, steps = None, ((-1, -1),)
    if not all(0 <= start <= stop for start, stop in steps or ()):
        raise UnsupportedTypeError(
            f"{wanted!r} is neither a tree's name nor a mapping of 'object_path' and 'steps'",
            path=path, hint="steps are pairs of entries [[start, stop], ...]",
        )  # fmt: skip
    return name, steps


def _expand(path: str) -> list[str]:
    """Paths that a path means, which may hold wildcards."""
    if not storage.is_url(path):
        path = os.path.expanduser(path)  # noqa: PTH111 - a Path would change what users wrote
    if _GLOB.search(path) is None or os.path.exists(path):  # noqa: PTH110
        return [path]
    found = (p for pattern in _alternatives(path) for p, _ in storage.glob(pattern))
    out = list(dict.fromkeys(found))
    if not out:
        raise MissingError("no file matches the pattern", path=path)
    return out


def _alternatives(pattern: str) -> list[str]:
    """Patterns without braces that one with braces means."""
    parts = _BRACES.split(pattern)
    choices = [p.split(",") if k % 2 else [p] for k, p in enumerate(parts)]
    return ["".join(choice) for choice in itertools.product(*choices)]
