"""Sources of this package for files that uproot opens by URL."""

from __future__ import annotations

import queue
from typing import Any, TypeAlias

import uproot

from vortex_hep.core.storage.failstop import FailStopSource
from vortex_hep.core.storage.ranges import open_binary
from vortex_hep.core.storage.whole import whole_if_small

Chunk: TypeAlias = uproot.source.chunk.Chunk


class UrlSource(uproot.source.chunk.Source):  # type: ignore[misc]
    """A file at a URL, as handler of :func:`uproot.open`.

    Parameters
    ----------
    file_path : str
        The URL.
    **options
        Of uproot; of no effect.

    Notes
    -----
    All ranges that uproot asks for together are fetched together, before it goes on.
    """

    def __init__(self, file_path: str, **options: Any) -> None:
        super().__init__()
        self._file_path = file_path
        self._open()

    def _open(self) -> None:
        self._source = FailStopSource(whole_if_small(open_binary(self._file_path)))
        self._num_bytes = self._source.size
        self._closed = False

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._file_path!r}>"

    def __getstate__(self) -> dict[str, Any]:
        state = dict(self.__dict__)
        state.pop("_source")
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__ = state
        self._open()

    def __enter__(self) -> UrlSource:
        return self

    def __exit__(self, *_: object) -> None:
        self._source.close()
        self._closed = True

    @property
    def vectored(self) -> bool:
        """Whether ranges go out together, so that what lies between them is not fetched."""
        return self._source.vectored

    @property
    def closed(self) -> bool:
        """Whether the file is closed."""
        return self._closed

    def chunk(self, start: int, stop: int) -> Chunk:
        """Fetch one range, as far as the file goes."""
        return self.chunks([(start, stop)], queue.Queue())[0]

    def chunks(
        self, ranges: list[tuple[int, int]], notifications: queue.Queue[Chunk]
    ) -> list[Chunk]:
        """Fetch ranges, as far as the file goes: uproot asks for more than small files have.

        Parameters
        ----------
        ranges : list of (start, stop)
        notifications : queue.Queue
            Gets every chunk.
        """
        size = self._source.size
        cut = [(min(int(start), size), min(int(stop), size)) for start, stop in ranges]
        blobs = self._source.read_ranges([(start, stop - start) for start, stop in cut])
        self._num_requests += 1
        self._num_requested_chunks += len(ranges)
        self._num_requested_bytes += sum(map(len, blobs))
        chunks = []
        for (start, stop), blob in zip(ranges, blobs, strict=True):
            chunk = Chunk(self, start, stop, uproot.source.futures.TrivialFuture(blob))
            notifications.put(chunk)
            chunks.append(chunk)
        return chunks
