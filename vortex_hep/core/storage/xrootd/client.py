"""The XRootD client: short time-outs, and its failures as OSErrors."""

from __future__ import annotations

import atexit
import ctypes
import errno
import functools
import importlib
import os
import warnings
from typing import Any

from vortex_hep.core.storage.failures import os_error

#: Seconds until a server that does not answer is given up.
REQUEST_SECONDS = 15
#: Seconds that a transfer of one block may take as long as the server sends at all.
TRANSFER_SECONDS = 120
#: Seconds for tidying up after a server has failed.
TIDY_SECONDS = 2
#: Settings of the client: as they come, a server that is down is reported after minutes.
_SETTINGS = {
    "ConnectionWindow": 5, "ConnectionRetry": 1, "RequestTimeout": REQUEST_SECONDS,
    "StreamTimeout": REQUEST_SECONDS, "StreamErrorWindow": 0, "TimeoutResolution": 1,
}  # fmt: skip

#: Numbers by which servers answer, as those of the operating system.
_ANSWERS = {
    3002: errno.ENAMETOOLONG, 3003: errno.EBUSY, 3004: errno.ECONNRESET, 3007: errno.EIO,
    3008: errno.ENOMEM, 3009: errno.ENOSPC, 3010: errno.EACCES, 3011: errno.ENOENT,
    3013: errno.ENOTSUP, 3014: errno.EHOSTUNREACH, 3015: errno.EISDIR, 3016: errno.EISDIR,
    3018: errno.EEXIST, 3019: errno.EBADMSG, 3020: errno.EAGAIN, 3021: errno.EDQUOT,
    3024: errno.ECONNRESET, 3025: errno.EROFS, 3028: errno.EACCES, 3029: errno.ENOENT,
    3030: errno.EACCES, 3034: errno.ETIMEDOUT, 3035: errno.ETIMEDOUT,
}  # fmt: skip
#: What servers say under the number for all that a file system refuses.
_REFUSALS = {
    "not a directory": errno.ENOTDIR, "directory not empty": errno.ENOTEMPTY,
    "no space left on device": errno.ENOSPC, "quota exceeded": errno.EDQUOT,
    "read-only file system": errno.EROFS, "read/only": errno.EROFS, "file too large": errno.EFBIG,
}  # fmt: skip
_FILE_SYSTEM_ERROR = 3005
#: Codes of the client itself.
_TIMED_OUT = (103, 206, 207)
_LOGIN = (203, 204)
_NOT_FOUND = 304
_ANSWERED = 400


@functools.cache
def xrootd() -> Any:
    """Give the module ``XRootD.client``, set up.

    Raises
    ------
    ImportError
        It is not installed.
    """
    client: Any = importlib.import_module("XRootD.client")
    atexit.register(_keep_quiet)
    for setting, value in _SETTINGS.items():
        if f"XRD_{setting.upper()}" not in os.environ:  # what the user has set is kept
            client.EnvPutInt(setting, value)
    return client


def _keep_quiet() -> None:
    """Prepare for the end: the client then looks at all objects, and some are deprecated."""
    warnings.filterwarnings("ignore", category=FutureWarning, module=r"XRootD\.")
    warnings.filterwarnings("ignore", category=DeprecationWarning, module=r"XRootD\.")


@functools.cache
def flags() -> Any:
    """Give the module ``XRootD.client.flags``."""
    xrootd()
    return importlib.import_module("XRootD.client.flags")


def new_file() -> Any:
    """Give a file of the client that is lost with its connection.

    By itself, the client opens a file again by its name, and goes on with whatever has that name
    by then.
    """
    file = xrootd().File()
    for recovery in ("ReadRecovery", "WriteRecovery"):
        done = file.set_property(recovery, "false")
        # Release 6.2 of the client returns True without a reference taken; before Python 3.12, the
        # interpreter ends once too many of these were dropped.
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(done))
    return file


def failure(status: Any) -> OSError:
    """What a status other than success means, as an OSError with a number."""
    text = " ".join(str(status.message).split())
    text = text.removeprefix("[ERROR] ").removeprefix("[FATAL] ")
    if status.code == _ANSWERED:
        number = _ANSWERS.get(status.errno)
        if status.errno == _FILE_SYSTEM_ERROR:
            number = next((n for t, n in _REFUSALS.items() if t in text.lower()), errno.EIO)
        text = text.removeprefix("Server responded with an error: ")
        return os_error(number or errno.EIO, f"the server answered: {text}")
    if status.code in _TIMED_OUT:
        return os_error(errno.ETIMEDOUT, f"the server does not answer ({text})")
    if status.code in _LOGIN:
        return os_error(errno.EACCES, f"the server does not let us in ({text})")
    if status.code == _NOT_FOUND:
        return os_error(errno.ENOENT, text)
    if 100 < status.code < 300:
        return os_error(errno.ECONNRESET, f"the server cannot be reached ({text})")
    return os_error(errno.EIO, text)


def checked(answer: tuple[Any, Any]) -> Any:
    """Return what a call gave.

    Raises
    ------
    OSError
        It failed.
    """
    status, value = answer
    if not status.ok:
        raise failure(status)
    return value
