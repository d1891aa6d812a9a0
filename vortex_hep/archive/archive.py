"""Open archives, read as one reads ROOT files with uproot."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from html import escape
from types import TracebackType
from typing import TYPE_CHECKING, Any, BinaryIO

from vortex_hep.archive.cache import CacheLike
from vortex_hep.archive.handle import Handle, OpenOptions
from vortex_hep.archive.info import tree_info
from vortex_hep.archive.tree import ArchiveBranch, ArchiveTree, MemberTree, TreeView
from vortex_hep.archive.view import UNREAD_HINT
from vortex_hep.codec.container.container import ContainerReader
from vortex_hep.core.options import checked_options
from vortex_hep.core.schema import Unread
from vortex_hep.core.storage.identity import Identity
from vortex_hep.core.text import fault_of, format_bytes, html_table, near_misses
from vortex_hep.errors import CorruptionError, NotFoundError, UnsupportedTypeError
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
            #: What no branch presents, and why.
            self.unread = self._unread_parts()
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

    def _unread_parts(self) -> list[Unread]:
        """What is kept as bytes; trees learn what they lack."""
        try:
            found = [Unread(*map(str, item)) for item in self.source.get("unread", ())]
        except TypeError as error:
            msg = f"invalid key 'unread' in the archive's metadata: {fault_of(error)}"
            raise CorruptionError(msg, path=self.path) from error
        for name, tree in self.trees.items():
            tree.note_unread({u.branch: u.reason for u in found if u.tree == name and u.branch})
        return found

    def __getitem__(self, name: str) -> TreeView:
        key = name.split(";")[0] if name not in self.trees else name
        if key not in self.trees:
            unread = next((u for u in self.unread if u.tree in ("", key) and not u.branch), None)
            if unread is not None:
                what = "this tree" if unread.tree else "the file"
                msg = f"{what} is kept as bytes: {unread.reason}"
                raise NotFoundError(msg, path=self.path, tree=name, hint=UNREAD_HINT)
            known = ", ".join(self.trees) or "none"
            near = near_misses(key, list(self.trees))
            raise NotFoundError(
                f"no such tree; there are {known}", path=self.path, tree=name,
                hint=f"did you mean {near}?" if near else None,
            )  # fmt: skip
        return self.trees[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self.trees)

    def __len__(self) -> int:
        return len(self.trees)

    def __reduce__(self) -> tuple[Any, ...]:
        return _of, (self._handle,)

    def __repr__(self) -> str:
        return f"<Archive {self.path!r}: {', '.join(self.trees)}>"

    def _repr_html_(self) -> str:
        rows = [
            [name, f"{tree.num_entries:,}", f"{len(tree):,}"] for name, tree in self.trees.items()
        ]
        size = format_bytes(self.reader.size)
        return f"<p>{escape(self.path)}: {size}</p>" + html_table(
            ["tree", "entries", "branches"], rows
        )

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        raise UnsupportedTypeError(
            "an archive is no array", path=self.path, hint="archive['tree'].arrays() reads a tree"
        )

    def remainder(self) -> Iterator[tuple[str, bytes]]:
        """Named blobs of what is not columns; see :class:`~vortex_hep.core.schema.FileSource`.

        Raises
        ------
        CorruptionError
            One of them is damaged.
        """
        blobs = self._handle.remainder()
        for name, number in blobs.entries:
            yield name, blobs.decoded(number)

    def blobs(self) -> Mapping[str, bytes]:
        """Return the remainder as a mapping, of which each blob is decoded when it is asked for."""
        return self._handle.remainder()

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

    def info(self) -> dict[str, Any]:
        """Sizes of everything: file, model, trees, tables and columns.

        Returns
        -------
        dict
            ``path, format_version, writer, stored_bytes, source_bytes, raw_bytes,
            remainder_bytes``, ``exact``
            (``size, adler32`` of the restored file, or None), ``model`` (``sha256, embedded,
            bytes``), ``trees``, a list, and ``unread``: what is kept as bytes (``tree, branch,
            reason``; empty for the whole tree, or file).
        """
        sizes = self.reader.chunks["stored_size"]
        named = self._handle.named_model or {}
        trees = [tree_info(t, sizes) for t in self.coded.values()]
        return {
            "path": self.path,
            "format_version": 1,
            "writer": self.reader.metadata.get("writer"),
            "stored_bytes": self.reader.size,
            "source_bytes": self._source_bytes(),
            "raw_bytes": sum(table["raw_bytes"] for t in trees for table in t["tables"]),
            "remainder_bytes": sum(int(sizes[i]) for _, i in self._handle.remainder().entries),
            "exact": None if self.identity is None else self.identity.document,
            "model": {
                "sha256": named.get("sha256"),
                "embedded": self._handle.embeds_model,
                "bytes": sum(int(sizes[i]) for _, _, i in named.get("tables") or ()),
            },
            "trees": trees,
            "unread": [vars(unread) for unread in self.unread],
        }

    def _source_bytes(self) -> int | None:
        """Size of the source; None in archives that do not tell."""
        told = self.source.get("bytes")
        if isinstance(told, int) and told > 0:
            return told
        return None if self.identity is None else self.identity.size

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


@checked_options
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
