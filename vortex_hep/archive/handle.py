"""What of an open archive belongs to one process: its file, and the threads that decode."""

from __future__ import annotations

import os
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass
from typing import BinaryIO

from vortex_hep.codec.container.container import ContainerReader
from vortex_hep.core import storage
from vortex_hep.errors import ChangedError, UnsupportedTypeError


def absolute(place: str | os.PathLike[str]) -> str:
    """Return the path under which another process finds a local file; URLs as they are.

    Examples
    --------
    >>> absolute("root://host//a.vxc")
    'root://host//a.vxc'
    """
    name = os.fspath(place)
    return name if storage.is_url(name) else os.path.abspath(name)  # noqa: PTH100


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
        self.place = absolute(source) if isinstance(source, (str, os.PathLike)) else None
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
