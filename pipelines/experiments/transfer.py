"""Reading remote files from a byte on: http(s) by the standard library, root:// by fsspec."""

from __future__ import annotations

import contextlib
import http.client
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any
from urllib.parse import urlsplit

from vortex_hep.errors import SourceError, UnsupportedFeatureError, VortexError

#: Bytes asked for at once.
BLOCK = 4 << 20

#: Codes by which XRootD says that a server answered: anything else is a failure of the network.
_XROOTD_ANSWERS = ("[3005]", "[3006]", "[3010]", "[3011]", "[3013]", "[3016]")


class NetworkError(SourceError):
    """A server could not be reached, or stopped to answer."""


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
        Seconds that the server may stay silent.

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
    if scheme in ("root", "roots", "xroot"):
        return _xrootd(url, offset, stamp, timeout)
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
def _xrootd(url: str, offset: int, stamp: str, timeout: float) -> Iterator[Transfer]:
    filesystem, path = _xrootd_filesystem(url, timeout)
    with _translated(url):
        info = filesystem.info(path)
        size = int(info["size"])
        told = f"{size}-{info.get('mtime', '')}"
        begin = offset if stamp == told and offset <= size else 0

        def blocks() -> Iterator[bytes]:
            for start in range(begin, size, BLOCK):
                yield bytes(filesystem.cat_file(path, start, min(size, start + BLOCK)))

        yield Transfer(begin, size, told, blocks())


def list_files(folder: str, pattern: str, *, timeout: float = 30.0) -> list[str]:
    """URLs of the files of a folder on an XRootD server, in the order of their names.

    Parameters
    ----------
    folder : str
    pattern : str
        Relative to the folder, of as many parts as the paths wanted; ``*`` stands for anything
        but a slash.
    timeout : float

    Raises
    ------
    NetworkError, SourceError, UnsupportedFeatureError
        As :func:`open_transfer` raises them.
    """
    parts = urlsplit(folder)
    if parts.scheme not in ("root", "roots", "xroot"):
        raise UnsupportedFeatureError("only root:// folders can be listed", path=folder)
    filesystem, path = _xrootd_filesystem(folder, timeout)
    with _translated(folder):
        found = [path.rstrip("/")]
        for part in pattern.split("/"):
            entries = [item["name"] for at in found for item in filesystem.ls(at, detail=True)]
            found = sorted(e for e in entries if fnmatchcase(e.rsplit("/", 1)[-1], part))
    return [f"{parts.scheme}://{parts.netloc}/{name}" for name in found]


@contextlib.contextmanager
def _translated(url: str) -> Iterator[None]:
    """Turn what fsspec-xrootd raises, all of it OSError, into what it means."""
    try:
        yield
    except VortexError:
        raise
    except OSError as error:
        if isinstance(error, FileNotFoundError) or any(c in str(error) for c in _XROOTD_ANSWERS):
            raise SourceError(f"the server refuses: {error}", path=url) from error
        raise NetworkError(f"cannot be reached: {str(error) or 'no answer'}", path=url) from error


def _xrootd_filesystem(url: str, timeout: float) -> tuple[Any, str]:
    """Give the server's file system and the path there."""
    parts = urlsplit(url)
    try:
        from fsspec_xrootd import XRootDFileSystem
        from XRootD import client
    except ImportError as error:
        raise UnsupportedFeatureError(
            f"root:// needs a package that is not installed ({error.name})", path=url,
            hint="pip install 'vortex-hep[grid]'; or give --data DIR with the file, or --offline",
        ) from error  # fmt: skip
    # As they come, a server that is down is reported after minutes.
    seconds = max(1, round(timeout))
    for name, value in {
        "ConnectionWindow": min(seconds, 10), "ConnectionRetry": 1, "RequestTimeout": seconds,
        "StreamTimeout": seconds, "StreamErrorWindow": 1, "TimeoutResolution": 1,
    }.items():  # fmt: skip
        client.EnvPutInt(name, value)
    with _translated(url):
        filesystem = XRootDFileSystem(
            hostid=parts.netloc, timeout=seconds, locate_all_sources=False,
            use_listings_cache=False, skip_instance_cache=True,
        )  # fmt: skip
    return filesystem, parts.path[1:] if parts.path.startswith("//") else parts.path
