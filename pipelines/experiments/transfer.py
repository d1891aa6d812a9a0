"""Remote files read from a given byte on, so that transfers can be resumed."""

from __future__ import annotations

import contextlib
import http.client
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from vortex_hep.core import storage
from vortex_hep.core.storage.paths import XROOTD_SCHEMES
from vortex_hep.errors import NetworkError, SourceError, UnsupportedFeatureError, VortexError

#: Bytes asked for at once.
BLOCK = 4 << 20


@dataclass(frozen=True)
class Transfer:
    """A remote file that is being read.

    Parameters
    ----------
    offset : int
        Where the blocks begin: as asked for, or 0 where the server cannot go on from there, or
        its file is another one now.
    size : int or None
        Of the whole file; None where the server does not tell.
    stamp : str
        Changes when the file does; empty where the server does not tell.
    blocks : iterator of bytes
    """

    offset: int
    size: int | None
    stamp: str
    blocks: Iterator[bytes]


def open_transfer(
    url: str, *, offset: int = 0, stamp: str = "", timeout: float = 30.0
) -> AbstractContextManager[Transfer]:
    """Open a remote file to read it from a byte on.

    Parameters
    ----------
    url : str
        ``https://``, ``http://`` or ``root://``.
    offset : int
        The first byte wanted.
    stamp : str
        What an earlier transfer told; only if the file still has it is ``offset`` of use.
    timeout : float
        Seconds that a server for http may stay silent; for XRootD there are fixed ones.

    Raises
    ------
    NetworkError
        The server cannot be reached.
    SourceError
        It does not have the file, or does not give it.
    UnsupportedFeatureError
        There is no client for the URL.
    """
    scheme = urlsplit(url).scheme
    if scheme in ("http", "https"):
        return _http(url, offset if stamp else 0, stamp, timeout)
    if scheme in XROOTD_SCHEMES:
        return _xrootd(url, offset, stamp)
    raise UnsupportedFeatureError(
        f"no client for {scheme or 'local'!r} URLs", path=url, hint="use https:// or root://"
    )


@contextlib.contextmanager
def _http(url: str, offset: int, stamp: str, timeout: float) -> Iterator[Transfer]:
    headers = {"User-Agent": "vortex_hep"}
    if offset:
        # With If-Range the server sends the whole file if it is not the one we have begun with.
        headers |= {"Range": f"bytes={offset}-", "If-Range": stamp}
    request = urllib.request.Request(url, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=timeout) as answer:
            begin, size = _place(answer, url)
            told = answer.headers.get("ETag") or answer.headers.get("Last-Modified") or ""
            yield Transfer(begin, size, told, iter(lambda: answer.read(BLOCK), b""))
    except urllib.error.HTTPError as error:
        error.close()
        raise SourceError(
            f"the server answered {error.code} {error.reason}", path=url,
            hint="it may have moved: see the page of the record in experiment.toml",
        ) from error  # fmt: skip
    except (OSError, http.client.HTTPException) as error:
        if isinstance(error, VortexError):  # what the caller of a block raised, to pass
            raise
        reason = getattr(error, "reason", None) or error
        raise NetworkError(f"cannot be reached: {reason}", path=url) from error


def _place(answer: Any, url: str) -> tuple[int, int | None]:
    """Where the bytes of an answer begin in the file, and the size of the file."""
    if answer.status == 206:
        kind, _, place = answer.headers.get("Content-Range", "").partition(" ")
        span, _, total = place.partition("/")
        first = span.partition("-")[0]
        if kind != "bytes" or not first.isdigit():
            raise SourceError("the server answers with a range that it does not name", path=url)
        return int(first), int(total) if total.isdigit() else None
    length = answer.headers.get("Content-Length", "")
    return 0, int(length) if length.isdigit() else None


@contextlib.contextmanager
def _xrootd(url: str, offset: int, stamp: str) -> Iterator[Transfer]:
    status = storage.stat(url)
    told = f"{status.size}-{status.mtime}"
    begin = offset if stamp == told and offset <= status.size else 0
    source = storage.open_binary(url)
    try:

        def blocks() -> Iterator[bytes]:
            for start in range(begin, source.size, BLOCK):
                yield source.read_ranges([(start, min(BLOCK, source.size - start))])[0]

        yield Transfer(begin, source.size, told, blocks())
    finally:
        source.close()
