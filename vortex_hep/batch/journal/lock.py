"""The lock of a journal's one writer."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import sys
import time
from pathlib import Path

from vortex_hep.core.storage.failures import output_error
from vortex_hep.errors import OutputError, UnsupportedFeatureError


class WriterLock:
    """The right to write a journal, which ends with the process that has it, however that ends.

    It is a lock of the operating system on a file beside the journal. That file may stay behind
    and means nothing; SQLite's own locks would keep readers away, too.

    Parameters
    ----------
    path : str
        Of the journal.

    Raises
    ------
    OutputError
        Another process has the right, or the file cannot be made.
    """

    def __init__(self, path: str) -> None:
        self._path = f"{path}.lock"
        while True:
            try:
                self._handle = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o666)
            except OSError as error:
                raise output_error(error, self._path) from error
            try:
                self._take(path)
                # The process that had the right may have removed the file since we opened it.
                if os.path.exists(self._path) and os.path.samestat(  # noqa: PTH110
                    os.fstat(self._handle),
                    os.stat(self._path),  # noqa: PTH116
                ):
                    break
            except BaseException:
                os.close(self._handle)
                raise
            os.close(self._handle)
        holder = f"process {os.getpid()} on {socket.gethostname()} since {time.strftime('%F %T')}"
        os.ftruncate(self._handle, 0)
        os.write(self._handle, holder.encode())

    def _take(self, path: str) -> None:
        try:
            _lock(self._handle)
        except OSError as error:
            if error.errno not in (errno.EAGAIN, errno.EACCES):
                raise OutputError(
                    f"this file system has no locks: {error.strerror}", path=path,
                    hint="put the journal on another disk",
                ) from error  # fmt: skip
            holder = os.pread(self._handle, 200, 0).decode("utf-8", "replace")
            busy = OutputError(
                f"another run is using this journal: {holder or 'it has just started'}", path=path,
                hint="wait for it, or end it",
            )  # fmt: skip
            busy.errno = errno.EBUSY
            raise busy from None

    def release(self) -> None:
        """Give the right back."""
        with contextlib.suppress(OSError):
            Path(self._path).unlink()
        os.close(self._handle)


def _lock(handle: int) -> None:
    """Lock an open file for as long as it is open, or fail at once."""
    if sys.platform == "win32":
        raise UnsupportedFeatureError("jobs run on POSIX systems only")
    import fcntl

    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
