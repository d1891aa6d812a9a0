"""Open archives, read as one reads ROOT files with uproot."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, BinaryIO

from vortex_hep.archive.cache import CacheLike
from vortex_hep.archive.handle import Handle, OpenOptions
from vortex_hep.archive.info import tree_info
from vortex_hep.archive.rootnames import (
    EarlierCycle,
    find_cycles,
    read_blob,
    remainder_numbers,
)
from vortex_hep.archive.tree import ArchiveBranch, ArchiveTree, MemberTree, TreeView
from vortex_hep.codec.container.container import ContainerReader
from vortex_hep.core import arrays as build
from vortex_hep.core.storage.identity import Identity
from vortex_hep.errors import CorruptionError, NotFoundError, UnsupportedFeatureError
from vortex_hep.models.model import Model

if TYPE_CHECKING:
    from typing_extensions import Unpack

__all__ = ["Archive", "ArchiveBranch", "ArchiveTree", "OpenOptions", "open", "open_unowned"]


class Archive(Mapping[str, TreeView]):
    """An open archive: its trees by name.

    Parameters
    ----------
    source : str, path or binary file
        A path, an fsspec URL, or a seekable file. Only what is asked for is read.
    model : Model, str or path, optional
        A model or its file, where the archive names a model but does not hold it and none lies
        beside it; see :func:`~vortex_hep.models.find.find_model`.
    threads : int, optional
        Workers; one per core by default.
    device : {"auto", "cpu", "cuda"}
        Where the network runs; the data do not depend on it.
    cache : str, path or ChunkCache, optional
        Where decoded chunks are kept: a folder, a size such as ``"500 MB"`` of memory, or a cache
        of :mod:`vortex_hep.archive.cache`. Arrays may then be read-only. By default the tree keeps
        what it decoded of the cluster that was read last.

    Notes
    -----
    Pickled, an archive is its path and these options, and is opened anew where it arrives; so it is
    in a process that was forked. If another archive is there by then, that is a ChangedError.

    Raises
    ------
    SourceError
        The file cannot be read.
    NotVortexError
        The file is something else.
    CorruptionError
        The file was cut or damaged.
    ModelMismatchError
        ``model`` is not the one the archive names.
    """

    def __init__(
        self,
        source: str | os.PathLike[str] | BinaryIO,
        *,
        model: Model | str | os.PathLike[str] | None = None,
        threads: int | None = None,
        device: str = "auto",
        cache: CacheLike = None,
    ) -> None:
        self._adopt(Handle(source, model=model, threads=threads, device=device, cache=cache))

    def _adopt(self, handle: Handle) -> None:
        """Take the trees of an open file."""
        self._handle = handle
        self.path = handle.path
        self.cache = handle.cache
        try:
            self.source: Mapping[str, Any] = handle.described("source", dict, {})
            handle.described("remainder", list, [])
            trees = [ArchiveTree(handle, d) for d in handle.described("trees", list)]
            self.coded = {t.name: t for t in trees}
            self.trees = self._views()
        except BaseException:
            self.close()
            raise

    @property
    def reader(self) -> ContainerReader:
        """The file."""
        return self._handle.reader

    @property
    def model(self) -> Model | None:
        """The model that the archive was made with; None where it needs none.

        Raises
        ------
        ModelMismatchError
            The archive only names its model, none was given, and none lies beside it.
        CorruptionError
            The model stored here, or beside it, is damaged.
        """
        return self._handle.model

    def _views(self) -> dict[str, TreeView]:
        """Trees as users know them: what is coded together comes apart."""
        out: dict[str, TreeView] = {}
        for tree in self.coded.values():
            views: list[TreeView] = [MemberTree(tree, m) for m in tree.members]
            for view in views or [tree]:
                if view.name in out:
                    raise CorruptionError(
                        "two trees have this name", path=self.path, tree=view.name
                    )
                out[view.name] = view
        return out

    def __getitem__(self, name: str) -> TreeView:
        if name in self.trees:
            return self.trees[name]
        key, _, cycle = name.rpartition(";")
        if key in self.trees and cycle.isdecimal():
            return self._cycle(key, int(cycle))
        known = ", ".join(self.trees) or "none"
        near = build.near_misses(name, list(self.trees))
        raise NotFoundError(
            f"no such tree; there are {known}", path=self.path, tree=name,
            hint=f"did you mean {near}?" if near else None,
        )  # fmt: skip

    def _cycle(self, name: str, number: int) -> TreeView:
        """A tree by its cycle in the ROOT file."""
        cycles = find_cycles(self._handle, name)
        found = cycles.get(number)
        if found is None or found.tree not in self.trees:
            known = ", ".join(str(n) for n in sorted(cycles, reverse=True)) or "no cycles"
            raise NotFoundError(
                f"no such cycle; there are {known}", path=self.path, tree=f"{name};{number}",
                hint=f"without a cycle, {name!r} is the newest",
            )  # fmt: skip
        if found.entries is None and found.known:
            return self.trees[found.tree]
        if found.entries is None:
            raise UnsupportedFeatureError(
                "the archive does not say which entries this older cycle has",
                path=self.path, tree=f"{name};{number}",
                hint="compress the file anew, or restore it and read it with ROOT",
            )  # fmt: skip
        return EarlierCycle(self.trees[found.tree], f"{name};{number}", found.entries)

    def __iter__(self) -> Iterator[str]:
        return iter(self.trees)

    def __len__(self) -> int:
        return len(self.trees)

    def __reduce__(self) -> tuple[Any, ...]:
        return _of, (self._handle,)

    def __repr__(self) -> str:
        return f"<Archive {self.path!r}: {', '.join(self.trees)}>"

    def remainder(self) -> Iterator[tuple[str, bytes]]:
        """Named blobs of what is not columns; see :class:`~vortex_hep.core.schema.FileSource`.

        Raises
        ------
        CorruptionError
            One of them is damaged.
        """
        for name, number in self._remainder_entries():
            yield name, self._blob(number)

    def blobs(self) -> Mapping[str, bytes]:
        """Return the remainder as a mapping, of which each blob is decoded when it is asked for."""
        return _Blobs(dict(self._remainder_entries()), self._blob)

    def _blob(self, number: int) -> bytes:
        return read_blob(self._handle, number)

    @property
    def identity(self) -> Identity | None:
        """Size and adler32 that the restored file has; None where no such thing is promised.

        Raises
        ------
        CorruptionError
            They are invalid.
        """
        found = self.source.get("exact")
        return None if found is None else Identity.parse(found)

    def _remainder_entries(self) -> list[tuple[str, int]]:
        return list(remainder_numbers(self._handle).items())

    def info(self) -> dict[str, Any]:
        """Sizes of everything: file, model, trees, tables and columns.

        Returns
        -------
        dict
            ``path, format_version, writer, stored_bytes, raw_bytes, remainder_bytes``, ``exact``
            (``size, adler32`` of the restored file, or None), ``model`` (``sha256, embedded,
            bytes``) and ``trees``, a list.
        """
        sizes = self.reader.chunks["stored_size"]
        named = self._handle.named_model or {}
        trees = [tree_info(t, sizes) for t in self.coded.values()]
        return {
            "path": self.path,
            "format_version": 1,
            "writer": self.reader.metadata.get("writer"),
            "stored_bytes": self.reader.size,
            "raw_bytes": sum(table["raw_bytes"] for t in trees for table in t["tables"]),
            "remainder_bytes": sum(int(sizes[i]) for _, i in self._remainder_entries()),
            "exact": None if self.identity is None else self.identity.document,
            "model": {
                "sha256": named.get("sha256"),
                "embedded": self._handle.embeds_model,
                "bytes": sum(int(sizes[i]) for _, _, i in named.get("tables") or ()),
            },
            "trees": trees,
        }

    @property
    def fingerprint(self) -> str:
        """What tells the archive from others: 32 hexadecimal digits that depend on all its data."""
        return self.reader.fingerprint

    def close(self) -> None:
        """Close the file and stop the workers."""
        self._handle.close()

    def __enter__(self) -> Archive:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class _Blobs(Mapping[str, bytes]):
    """Blobs by name, decoded anew every time, so that no more of them are in memory than needed."""

    def __init__(self, numbers: Mapping[str, int], decode: Callable[[int], bytes]) -> None:
        self._numbers, self._decode = numbers, decode

    def __getitem__(self, name: str) -> bytes:
        return self._decode(self._numbers[name])

    def __contains__(self, name: object) -> bool:
        return name in self._numbers

    def __iter__(self) -> Iterator[str]:
        return iter(self._numbers)

    def __len__(self) -> int:
        return len(self._numbers)


def open_unowned(
    path: str | os.PathLike[str] | BinaryIO, **options: Unpack[OpenOptions]
) -> Archive:
    """Open an archive that nobody will close: its file is, when nothing refers to it or its trees.

    Parameters
    ----------
    path : str, path or binary file
    **options
        As :class:`Archive` takes them.
    """
    archive = Archive(path, **options)
    archive._handle.close_when_unused()
    return archive


def _of(handle: Handle) -> Archive:
    """Unpickle an archive."""
    archive = Archive.__new__(Archive)
    archive._adopt(handle)
    return archive


def open(
    path: str | os.PathLike[str] | BinaryIO,
    *,
    model: Model | str | os.PathLike[str] | None = None,
    threads: int | None = None,
    device: str = "auto",
    cache: CacheLike = None,
) -> Archive:
    """Open an archive for reading.

    Parameters
    ----------
    path : str, path or binary file
        A path, an fsspec URL, or a seekable file.
    model, threads, device, cache
        As :class:`Archive` takes them.

    Returns
    -------
    Archive
        A mapping of tree names to trees; use it in a ``with`` block, or call ``close()``.

    Raises
    ------
    VortexError
        As :class:`Archive` lists them.
    """
    return Archive(path, model=model, threads=threads, device=device, cache=cache)
