"""Counters of requests and bytes read, over all sources."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass

_LOCK = threading.Lock()
_ACTIVE: list[Count] = []


@dataclass
class Count:
    """What was read.

    Parameters
    ----------
    requests : int
        Requests to a server, or reads of a local file.
    bytes : int
        Bytes that came.
    """

    requests: int = 0
    bytes: int = 0


@contextlib.contextmanager
def counting() -> Iterator[Count]:
    """Count what all sources of :func:`~vortex_hep.core.storage.open_binary` read in the block.

    Yields
    ------
    Count
        Of this process, in whatever thread; goes on counting until the block ends.

    Examples
    --------
    >>> import io
    >>> from vortex_hep.core.storage import open_binary
    >>> with counting() as count:
    ...     data = open_binary(io.BytesIO(b"0123456789")).read_ranges([(2, 3), (7, 1)])
    >>> count
    Count(requests=2, bytes=4)
    """
    count = Count()
    with _LOCK:
        _ACTIVE.append(count)
    try:
        yield count
    finally:
        with _LOCK:
            _ACTIVE[:] = [other for other in _ACTIVE if other is not count]


def note(requests: int, size: int) -> None:
    """Add to all counts."""
    if not _ACTIVE:
        return
    with _LOCK:
        for count in _ACTIVE:
            count.requests += requests
            count.bytes += size
