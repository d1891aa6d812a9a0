"""Reading archives as one reads ROOT files with uproot."""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Executor
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, BinaryIO, TypedDict

from vortex_hep.archive.cache import CacheLike, open_cache
from vortex_hep.archive.handle import OpenFile, absolute, check_fingerprint
from vortex_hep.archive.info import tree_info
from vortex_hep.archive.tree import ArchiveBranch, ArchiveTree, MemberTree, TreeView
from vortex_hep.codec.columns import classical
from vortex_hep.codec.container.container import (
    KIND_ARCHIVE,
    KIND_WEIGHTS,
    ContainerReader,
    check_decoded,
)
from vortex_hep.codec.container.container_format import kind_with_article
from vortex_hep.core import arrays as build
from vortex_hep.core.options import thread_count
from vortex_hep.core.storage.identity import Identity
from vortex_hep.errors import (
    CorruptionError,
    ModelMismatchError,
    NotFoundError,
    NotVortexError,
    UnsupportedTypeError,
)
from vortex_hep.models.find import find_model, load_model
from vortex_hep.models.model import CHUNK_REMAINDER, Model
from vortex_hep.nn.coding.engine import get_engine

if TYPE_CHECKING:
    from typing_extensions import Unpack

__all__ = ["Archive", "ArchiveBranch", "ArchiveTree", "OpenOptions", "open", "open_unowned"]


class OpenOptions(TypedDict, total=False):
    """How archives are opened: keywords of :class:`Archive`."""

    model: Model | str | os.PathLike[str] | None
    threads: int | None
    device: str
    cache: CacheLike


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
        workers = thread_count(threads)
        self.engine = get_engine(device)
        self.cache = open_cache(cache)
        given = load_model(model) if isinstance(model, (str, os.PathLike)) else model
        self._options: OpenOptions = {
            "model": model, "threads": threads, "device": device, "cache": self.cache,
        }  # fmt: skip
        self._file = OpenFile(source, workers)
        self.path = str(self.reader.path)
        self._given = given
        self._model: Model | None = None
        try:
            self._check_kind()
            metadata = self.reader.metadata
            self.source: Mapping[str, Any] = self._part(metadata.get("source", {}), dict)
            self._named = self._part(metadata.get("model"), (dict, type(None)))
            self._remainder = self._part(metadata.get("remainder", []), list)
            self._check_model()
            trees = [ArchiveTree(self, d) for d in self._part(metadata.get("trees"), list)]
            self.coded = {t.name: t for t in trees}
            self.trees = self._views()
        except BaseException:
            self.close()
            raise

    @property
    def reader(self) -> ContainerReader:
        """The file."""
        return self._file.reader

    @property
    def outer(self) -> Executor:
        """Threads for the plans of a cluster."""
        return self._file.outer

    @property
    def inner(self) -> Executor:
        """Threads for the lane groups within a plan."""
        return self._file.inner

    def _check_kind(self) -> None:
        if self.reader.kind != KIND_ARCHIVE:
            hint = "archives end in .vxc and come from 'vortex-hep compress'"
            if self.reader.kind == KIND_WEIGHTS:
                hint = "vortex_hep.codec.weights.zipnn and 'vortex-hep compress-weights' read it"
            msg = f"this is {kind_with_article(self.reader.kind)}, not an archive"
            raise NotVortexError(msg, path=self.path, hint=hint)

    def _part(self, value: Any, kind: Any) -> Any:
        if not isinstance(value, kind):
            raise CorruptionError("the archive's metadata make no sense", path=self.path)
        return value

    @property
    def _embeds_model(self) -> bool:
        return self._named is not None and self._named.get("tables") is not None

    def _check_model(self) -> None:
        """Compare names of models before anything is decoded."""
        if self._named is None or self._given is None or self._embeds_model:
            return
        if self._given.sha256 != self._named.get("sha256"):
            raise ModelMismatchError(
                f"made with model {self._short_name()}, but given {self._given.sha256[:16]}...",
                path=self.path, hint="pass the model that the archive names",
            )  # fmt: skip

    def _short_name(self) -> str:
        return f"{str((self._named or {}).get('sha256'))[:16]}..."

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
        if self._model is None and self._named is not None:
            if self._embeds_model:
                self._model = Model.read_from(self.reader, self._named)
            elif self._given is not None:
                self._model = self._given
            else:
                self._model = find_model(
                    str(self._named.get("sha256")), self._file.place, self.path
                )
        return self._model

    def _views(self) -> dict[str, TreeView]:
        """Trees as users know them: what is coded together comes apart."""
        out: dict[str, TreeView] = {}
        for tree in self.coded.values():
            views: list[TreeView] = [MemberTree(tree, m) for m in tree.members]
            for view in views or [tree]:
                if view.name in out:
                    raise CorruptionError("two trees have one name", path=self.path, tree=view.name)
                out[view.name] = view
        return out

    def __getitem__(self, name: str) -> TreeView:
        key = name.split(";")[0] if name not in self.trees else name
        if key not in self.trees:
            known = ", ".join(self.trees) or "none"
            near = build.near_misses(key, list(self.trees))
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
        place = self._file.place
        if place is None:
            raise UnsupportedTypeError(
                "an archive opened from a file object cannot be pickled", path=self.path,
                hint="open it by its path or URL",
            )  # fmt: skip
        options, model = self._options, self._options["model"]
        if isinstance(model, (str, os.PathLike)):
            options = {**options, "model": absolute(model)}
        return partial(_arrived, place, self.fingerprint, **options), ()

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
        row = self.reader.chunks[number]
        payload = self.reader.read(number)
        if row["kind"] != CHUNK_REMAINDER or len(payload) < 2:
            raise CorruptionError("a chunk of the remainder is none", path=self.path)
        coder = int.from_bytes(payload[:2], "little")
        blob = classical.decode(coder, payload[2:], "|u1", int(row["decoded_size"])).tobytes()
        check_decoded(row, blob, path=self.path)
        return blob

    @property
    def identity(self) -> Identity | None:
        """Size and adler32 that the restored file has; None where no such thing is promised.

        Raises
        ------
        CorruptionError
            They make no sense.
        """
        found = self.source.get("exact")
        return None if found is None else Identity.parse(found)

    def _remainder_entries(self) -> list[tuple[str, int]]:
        try:
            entries = [(str(name), int(number)) for name, number in self._remainder]
        except (TypeError, ValueError) as error:
            raise CorruptionError("the remainder's list makes no sense", path=self.path) from error
        if not all(0 <= number < len(self.reader.chunks) for _, number in entries):
            raise CorruptionError("the remainder names no chunk", path=self.path)
        return entries

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
        named = self._named or {}
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
                "embedded": self._embeds_model,
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
        self._file.close()

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
    """Open an archive that nobody will close: its file is closed when nothing refers to it.

    Parameters
    ----------
    path : str, path or binary file
    **options
        As :class:`Archive` takes them.
    """
    archive = Archive(path, **options)
    weakref.finalize(archive, archive._file.close_file)
    return archive


def _arrived(path: str, fingerprint: str, **options: Unpack[OpenOptions]) -> Archive:
    """Unpickle an archive."""
    archive = open_unowned(path, **options)
    check_fingerprint(archive.fingerprint, fingerprint, path)
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
