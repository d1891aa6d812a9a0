"""Writing files to XRootD servers."""

from __future__ import annotations

import contextlib
import errno
from typing import Any

from vortex_hep.core.storage.failures import NETWORK, os_error
from vortex_hep.core.storage.paths import split_url
from vortex_hep.core.storage.xrootd.client import (
    REQUEST_SECONDS,
    TIDY_SECONDS,
    TRANSFER_SECONDS,
    checked,
    flags,
    new_file,
    xrootd,
)

#: Bytes of one request.
REQUEST_BYTES = 1 << 23
#: Owner may write, all may read.
_FILE_MODE = 0o644


class XrootdSink:
    """A file that is being written (a :class:`~vortex_hep.core.storage.backend.Sink`).

    Parameters
    ----------
    url : str

    Raises
    ------
    OSError
    """

    def __init__(self, url: str) -> None:
        server, self._place = split_url(url)
        opaque = url.partition("?")
        self._server = xrootd().FileSystem(f"{server}/")
        self._file = new_file()
        self._size = 0
        how = flags().OpenFlags.DELETE
        whole = f"{server}/{self._place}{opaque[1]}{opaque[2]}"
        checked(self._file.open(whole, how, _FILE_MODE, timeout=REQUEST_SECONDS))

    def write(self, data: memoryview) -> None:
        """Append."""
        for start in range(0, len(data), REQUEST_BYTES):
            block = bytes(data[start : start + REQUEST_BYTES])
            self._do("write", block, self._size, len(block), timeout=TRANSFER_SECONDS)
            self._size += len(block)

    def restart(self) -> None:
        """Make it empty again."""
        self._do("truncate", 0, timeout=REQUEST_SECONDS)
        self._size = 0

    def finish(self) -> None:
        """Make durable what was written, close, and ask whether all of it is there."""
        self._do("sync", timeout=TRANSFER_SECONDS)
        self._do("close", timeout=TRANSFER_SECONDS)
        found = int(checked(self._server.stat(self._place, timeout=REQUEST_SECONDS)).size)
        if found != self._size:
            raise os_error(
                errno.EIO, f"the server has {found} of the {self._size} bytes it was sent"
            )

    def _do(self, what: str, *arguments: Any, timeout: int) -> None:
        try:
            checked(getattr(self._file, what)(*arguments, timeout=timeout))
        except ValueError as error:  # a broken connection closes the file
            raise os_error(errno.ECONNRESET, "the connection was lost") from error

    def abort(self, error: BaseException | None) -> None:
        """Close and remove; at once given up where the server is lost."""
        lost = isinstance(error, OSError) and error.errno in NETWORK
        seconds = TIDY_SECONDS if lost else REQUEST_SECONDS
        with contextlib.suppress(ValueError):
            self._file.close(timeout=seconds)
        self._server.rm(self._place, timeout=seconds)
