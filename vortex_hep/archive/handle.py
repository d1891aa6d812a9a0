"""Shared state of an open archive and its trees: file, threads, engine, cache and model."""

from __future__ import annotations

import os
import weakref
from collections.abc import Mapping
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, BinaryIO, TypedDict

from vortex_hep.archive.cache import CacheLike, open_cache
from vortex_hep.archive.remainder import Remainder
from vortex_hep.codec.container.container import KIND_ARCHIVE, KIND_WEIGHTS, ContainerReader
from vortex_hep.codec.container.container_format import kind_with_article
from vortex_hep.core import storage
from vortex_hep.core.conversions import Conversion
from vortex_hep.core.options import thread_count
from vortex_hep.errors import (
    ChangedError,
    CorruptionError,
    ModelMismatchError,
    NotVortexError,
    UnsupportedTypeError,
    VortexError,
)
from vortex_hep.models.find import find_model, model_of
from vortex_hep.models.model import Model
from vortex_hep.nn.coding.engine import get_engine
from vortex_hep.readers.kinds import conversions

if TYPE_CHECKING:
    from typing_extensions import Unpack


class OpenOptions(TypedDict, total=False):
    """How archives are opened: keywords of :class:`~vortex_hep.archive.archive.Archive`."""

    model: Model | str | os.PathLike[str] | None
    threads: int | None
    device: str
    cache: CacheLike


def check_fingerprint(found: str, known: str, path: str, *, hint: str = "open it anew") -> None:
    """Compare an archive with the one that was there when work on it began.

    Parameters
    ----------
    found, known : str
        Fingerprints.
    path : str
    hint : str
        What to do if they differ.

    Raises
    ------
    ChangedError
        It is another one.
    """
    if found != known:
        raise ChangedError("the archive was replaced while it was in use", path=path, hint=hint)


@dataclass(frozen=True)
class _Held:
    """What one process holds; never changed, so that threads may share it."""

    process: int
    reader: ContainerReader
    outer: Executor
    inner: Executor


class OpenFile:
    """The open file of an archive, and two pools of threads; in a forked process, its own.

    Threads do not come along when a process forks, and a place in a file would be moved by both.

    Parameters
    ----------
    source : str, path or binary file
        As :func:`~vortex_hep.core.storage.open_binary` takes it.
    workers : int
        Threads of each pool.

    Raises
    ------
    VortexError
        As :class:`~vortex_hep.codec.container.container.ContainerReader`.
    """

    def __init__(self, source: str | os.PathLike[str] | BinaryIO, workers: int) -> None:
        self._workers = workers
        self.place = storage.absolute(source) if isinstance(source, (str, os.PathLike)) else None
        self._held = self._hold(ContainerReader(source))
        self._inherited: list[_Held] = []
        self._closed = False

    def _hold(self, reader: ContainerReader) -> _Held:
        # The pools start no thread before they are given work.
        pools = ThreadPoolExecutor(self._workers), ThreadPoolExecutor(self._workers)
        return _Held(os.getpid(), reader, *pools)

    def _now(self) -> _Held:
        held = self._held
        if held.process == os.getpid() or self._closed:
            return held
        if self.place is None:
            raise UnsupportedTypeError(
                "an archive opened from a file object cannot be read in a forked process",
                path=held.reader.path, hint="open it by its path or URL",
            )  # fmt: skip
        own = self._hold(ContainerReader(self.place))
        try:
            check_fingerprint(own.reader.fingerprint, held.reader.fingerprint, held.reader.path)
        except ChangedError:
            own.reader.close()
            raise
        # What the other process uses is left alone: its end would close the connection of both.
        self._inherited.append(held)
        self._held = own
        return own

    @property
    def reader(self) -> ContainerReader:
        """The file."""
        return self._now().reader

    @property
    def outer(self) -> Executor:
        """Threads for plans."""
        return self._now().outer

    @property
    def inner(self) -> Executor:
        """Threads for the lane groups within a plan."""
        return self._now().inner

    def close(self) -> None:
        """Close the file and stop the threads, unless they are another process's."""
        self._closed = True
        held = self._held
        if held.process == os.getpid():
            held.reader.close()
            held.outer.shutdown()
            held.inner.shutdown()

    def close_file(self) -> None:
        """Close the file, unless it is another process's; threads end by themselves."""
        if self._held.process == os.getpid():
            self._held.reader.close()


class Handle:
    """An open archive, as far as its trees need it: they hold this, not the archive.

    Parameters
    ----------
    source, model, threads, device, cache
        As :class:`~vortex_hep.archive.archive.Archive` takes them.

    Attributes
    ----------
    path : str
    engine : Engine
        Runs the network.
    cache : ChunkCache or None
        Keeps decoded chunks.
    named_model : dict or None
        What the metadata say of the model.

    Raises
    ------
    VortexError
        As :class:`~vortex_hep.archive.archive.Archive` lists them.

    Notes
    -----
    Pickled, it is the path and the options, and is opened anew where it arrives.
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
        given = model_of(model)
        self._options: OpenOptions = {
            "model": model, "threads": threads, "device": device, "cache": self.cache,
        }  # fmt: skip
        self._file = OpenFile(source, workers)
        self.path = str(self.reader.path)
        self._given = given
        self._model: Model | None = None
        self._values: Mapping[str, Mapping[str, Conversion]] | None = None
        try:
            self._check_kind()
            self.named_model = self.described("model", (dict, type(None)))
            self._check_model()
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

    def described(self, name: str, kind: Any, default: Any = None) -> Any:
        """Give a part of the metadata.

        Parameters
        ----------
        name : str
        kind : type or tuple of types
            What it must be.
        default : object
            Given where the metadata lack it.

        Raises
        ------
        CorruptionError
            It is something else.
        """
        value = self.reader.metadata.get(name, default)
        if not isinstance(value, kind):
            raise CorruptionError(f"invalid key {name!r} in the archive's metadata", path=self.path)
        return value

    def remainder(self) -> Remainder:
        """Return blobs of what is not columns.

        Raises
        ------
        CorruptionError
            The list of them is invalid.
        """
        return Remainder(lambda: self.reader, self.described("remainder", list, []), self.path)

    def values(self, tree: str) -> Mapping[str, Conversion]:
        """How columns of a tree, named as users know it, become values, where they do not as is.

        Raises
        ------
        CorruptionError
            The remainder is damaged, which says so.
        """
        if self._values is None:
            kind = str(self.described("source", dict, {}).get("kind"))
            try:
                self._values = conversions(kind, self.remainder())
            except VortexError as error:
                error.path = error.path or self.path
                raise
        return self._values.get(tree, {})

    def _check_kind(self) -> None:
        if self.reader.kind != KIND_ARCHIVE:
            hint = "archives end in .vxc and come from 'vortex-hep compress'"
            if self.reader.kind == KIND_WEIGHTS:
                hint = "vortex_hep.codec.weights.zipnn and 'vortex-hep compress-weights' read it"
            msg = f"this is {kind_with_article(self.reader.kind)}, not an archive"
            raise NotVortexError(msg, path=self.path, hint=hint)

    @property
    def embeds_model(self) -> bool:
        """Whether the archive holds the model that it names."""
        return self.named_model is not None and self.named_model.get("tables") is not None

    def _check_model(self) -> None:
        """Compare names of models before anything is decoded."""
        named = self.named_model
        if named is None or self._given is None or self.embeds_model:
            return
        if self._given.sha256 != named.get("sha256"):
            short = f"{str(named.get('sha256'))[:16]}..."
            raise ModelMismatchError(
                f"made with model {short}, but given {self._given.sha256[:16]}...",
                path=self.path, hint="pass the model that the archive names",
            )  # fmt: skip

    @property
    def model(self) -> Model | None:
        """The model of the archive; see :attr:`~vortex_hep.archive.archive.Archive.model`."""
        named = self.named_model
        if self._model is None and named is not None:
            if self.embeds_model:
                self._model = Model.read_from(self.reader, named)
            elif self._given is not None:
                self._model = self._given
            else:
                self._model = find_model(str(named.get("sha256")), self._file.place, self.path)
        return self._model

    def __reduce__(self) -> tuple[Any, ...]:
        place = self._file.place
        if place is None:
            raise UnsupportedTypeError(
                "an archive opened from a file object cannot be pickled", path=self.path,
                hint="open it by its path or URL",
            )  # fmt: skip
        options, model = self._options, self._options["model"]
        if isinstance(model, (str, os.PathLike)):
            options = {**options, "model": storage.absolute(model)}
        return partial(_arrived, place, self.reader.fingerprint, **options), ()

    def close(self) -> None:
        """Close the file and stop the workers."""
        self._file.close()

    def close_when_unused(self) -> None:
        """Close the file once neither an archive nor a tree refers to this."""
        weakref.finalize(self, self._file.close_file)


def _arrived(path: str, fingerprint: str, **options: Unpack[OpenOptions]) -> Handle:
    """Unpickle a handle, which nobody will close."""
    handle = Handle(path, **options)
    handle.close_when_unused()
    check_fingerprint(handle.reader.fingerprint, fingerprint, path)
    return handle
