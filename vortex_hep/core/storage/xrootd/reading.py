"""Reading files of XRootD servers by range."""

from __future__ import annotations

import errno
import math
import threading
import time
from collections.abc import Iterator, Sequence
from typing import Any

from vortex_hep.core.storage import traffic
from vortex_hep.core.storage.bytesource import Range, check_ranges
from vortex_hep.core.storage.failures import NETWORK, os_error, reading, source_error
from vortex_hep.core.storage.paths import split_url
from vortex_hep.core.storage.xrootd.client import (
    REQUEST_SECONDS,
    TIDY_SECONDS,
    TRANSFER_SECONDS,
    checked,
    flags,
    new_file,
)
from vortex_hep.errors import ChangedError, SourceError

#: What servers take in one vector read: chunks, and bytes of a chunk (``readv_ior_max``).
VECTOR_CHUNKS, VECTOR_CHUNK = 1024, 2_097_136
#: Bytes of one request at most, so that one that is slow is not taken for one that is dead.
REQUEST_BYTES = 1 << 24
#: Pauses before each attempt to open a file anew whose server was lost, in seconds.
PAUSES = (0.2, 0.8, 2.0, 4.0)


class XrootdSource:
    """A file of an XRootD server (a :class:`~vortex_hep.core.storage.bytesource.ByteSource`).

    Parameters
    ----------
    url : str

    Notes
    -----
    A connection that breaks is made anew, once for each call: the server may have been started
    again. The file must then be as large and as old as it was.
    """

    #: Ranges go out together, so that what lies between them need not be fetched.
    vectored = True

    def __init__(self, url: str) -> None:
        self.name = url
        self._lock = threading.Lock()
        self._generation = 0  # counts how often it was opened again
        self._closed = False
        self._lost_at = -math.inf  # when that failed last
        with reading(url, doing="cannot be opened"):
            self._file, self.size, self._mtime = self._open()

    def _open(self) -> tuple[Any, int, float]:
        server, place = split_url(self.name)
        opaque = self.name.partition("?")
        file = new_file()
        url = f"{server}/{place}{opaque[1]}{opaque[2]}"
        checked(file.open(url, flags().OpenFlags.READ, timeout=REQUEST_SECONDS))
        info = checked(file.stat(timeout=REQUEST_SECONDS))
        return file, int(info.size), float(info.modtime)

    def read_ranges(self, ranges: Sequence[Range]) -> list[bytes]:
        """Bytes of each ``(offset, size)``, in as few requests as the server allows."""
        if self._closed:
            raise SourceError("the file is closed", path=self.name)
        check_ranges(self.name, ranges, self.size)
        # The client refuses numpy's integers, and fails where a range is asked for twice.
        wanted = [(int(offset), int(size)) for offset, size in ranges]
        distinct = sorted(set(wanted))
        parts: dict[Range, list[bytes]] = {one: [] for one in distinct}
        for request in _requests(distinct):
            for (one, _, _), data in zip(request, self._fetch(request), strict=True):
                parts[one].append(data)
        whole = {
            one: found[0] if len(found) == 1 else b"".join(found) for one, found in parts.items()
        }
        return [whole[one] for one in wanted]

    def _fetch(self, request: list[_Piece]) -> list[bytes]:
        """Bytes of the pieces of one request."""
        file, generation = self._file, self._generation
        try:
            return self._ask(file, request)
        except OSError as error:
            if error.errno not in NETWORK:
                raise self._failed(error, request) from error
            self._open_anew(generation, error)
        try:
            return self._ask(self._file, request)
        except OSError as error:
            raise self._failed(error, request) from error

    def _ask(self, file: Any, request: list[_Piece]) -> list[bytes]:
        wanted = [(offset, size) for _, offset, size in request]
        try:
            if len(request) == 1:
                found = [checked(file.read(*wanted[0], timeout=TRANSFER_SECONDS))]
                begins = [wanted[0][0]]
            else:
                answer = checked(file.vector_read(wanted, timeout=TRANSFER_SECONDS))
                found = [chunk.buffer for chunk in answer.chunks]
                begins = [chunk.offset for chunk in answer.chunks]
        except ValueError as error:  # another thread has met the same failure and closed the file
            raise os_error(errno.ECONNRESET, str(error)) from error
        traffic.note(1, sum(map(len, found)))
        if list(zip(begins, map(len, found), strict=True)) != wanted:
            raise os_error(errno.EIO, "the server sends other bytes than it was asked for")
        return found

    def _open_anew(self, generation: int, error: OSError) -> None:
        """Open the file again, unless another thread has done so, or has failed to, since."""
        began = time.monotonic()
        with self._lock:
            if self._generation != generation:
                return
            if began < self._lost_at:
                raise source_error(error, self.name, doing="cannot be read on") from error
            # Who is silent was given time enough; who refuses connections may be starting again.
            pauses = PAUSES[:1] if error.errno == errno.ETIMEDOUT else PAUSES
            for pause in pauses:
                time.sleep(pause)
                try:
                    file, size, mtime = self._open()
                except OSError as again:
                    error = again
                    if again.errno not in NETWORK:
                        break
                    continue
                if (size, mtime) != (self.size, self._mtime):
                    _close(file)
                    raise ChangedError(
                        "the file changed while it was read", path=self.name,
                        hint="read it again once it is complete",
                    )  # fmt: skip
                self._file = file
                self._generation += 1
                return
            self._lost_at = time.monotonic()
            raise source_error(error, self.name, doing="cannot be read on") from error

    def _failed(self, error: OSError, request: list[_Piece]) -> SourceError:
        wrapped = source_error(error, self.name, doing="cannot be read")
        wrapped.offset = request[0][1]
        return wrapped

    def close(self) -> None:
        """Close the file."""
        self._closed = True
        with self._lock:
            _close(self._file)


#: The range that it is of, its offset in the file, its size.
_Piece = tuple[Range, int, int]


def _requests(ranges: Sequence[Range]) -> Iterator[list[_Piece]]:
    """Requests that servers take, which together read all ranges, each from its beginning on."""
    request: list[_Piece] = []
    weight = 0
    for offset, size in ranges:
        one = (offset, size)
        if size > VECTOR_CHUNK:
            for at in range(0, size, REQUEST_BYTES):
                yield [(one, offset + at, min(REQUEST_BYTES, size - at))]
        elif size:
            if request and (len(request) == VECTOR_CHUNKS or weight + size > REQUEST_BYTES):
                yield request
                request, weight = [], 0
            request.append((one, offset, size))
            weight += size
    if request:
        yield request


def _close(file: Any) -> None:
    """Close a file of which nothing is wanted any more."""
    try:
        file.close(timeout=TIDY_SECONDS)
    except ValueError:  # it is closed
        return
