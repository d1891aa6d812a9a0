"""Failures of operating systems and servers as errors of this package."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator

from vortex_hep.core.install import install_hint
from vortex_hep.errors import (
    DeniedError,
    MissingError,
    NetworkError,
    OutputError,
    SourceError,
    UnsupportedFeatureError,
    VortexError,
)

#: Failures of the way to a server: the same call may succeed later.
NETWORK = frozenset(
    {
        errno.ECONNRESET, errno.ETIMEDOUT, errno.ECONNREFUSED, errno.ECONNABORTED, errno.EPIPE,
        errno.EHOSTUNREACH, errno.ENETUNREACH, errno.ENETDOWN, errno.ESTALE,
    }
)  # fmt: skip

_OUTPUT_HINTS = {
    errno.ENOSPC: "free some space or write to another disk",
    errno.EDQUOT: "the quota is used up; free some space or write to another disk",
    errno.EACCES: "no permission to write there",
    errno.EPERM: "no permission to write there",
    errno.EROFS: "the file system is read-only",
    errno.ENOENT: "the folder does not exist",
    errno.ENOTDIR: "a part of the path is not a folder",
    errno.EISDIR: "the path is a folder",
    errno.EFBIG: "the file system does not take files of this size",
    errno.ENAMETOOLONG: "the name is too long",
    errno.EEXIST: "pass overwrite=True",
}
#: Numbers of the classes that Python has for some.
_NUMBERS: dict[type[OSError], int] = {
    FileNotFoundError: errno.ENOENT,
    PermissionError: errno.EACCES,
    FileExistsError: errno.EEXIST,
    IsADirectoryError: errno.EISDIR,
    NotADirectoryError: errno.ENOTDIR,
    TimeoutError: errno.ETIMEDOUT,
    ConnectionError: errno.ECONNRESET,
}
#: Numbers for what web servers answer.
_STATUS = {
    401: errno.EACCES, 403: errno.EACCES, 404: errno.ENOENT, 410: errno.ENOENT,
    408: errno.ETIMEDOUT, 429: errno.ECONNRESET, 502: errno.ECONNRESET, 503: errno.ECONNRESET,
    504: errno.ETIMEDOUT,
}  # fmt: skip
_NETWORK_HINT = "try again later; is the server up, and its name right?"


def source_error(error: OSError, path: str, *, doing: str = "cannot be read") -> SourceError:
    """A :class:`SourceError` of the class that fits ``error``, with its number.

    Parameters
    ----------
    error : OSError
    path : str
    doing : str
        What failed.

    Returns
    -------
    MissingError, DeniedError, NetworkError or SourceError
    """
    number, text = _reason(error)
    wrapped: SourceError
    if number == errno.ENOENT:
        wrapped = MissingError(f"{doing}: {text}", path=path)
    elif number in (errno.EACCES, errno.EPERM):
        hint = None
        if "://" in path:
            hint = "are your credentials (Kerberos ticket, proxy or token) valid?"
        wrapped = DeniedError(f"{doing}: {text}", path=path, hint=hint)
    elif number in NETWORK:
        wrapped = NetworkError(f"{doing}: {text}", path=path, hint=_NETWORK_HINT)
    else:
        wrapped = SourceError(f"{doing}: {text}", path=path)
    wrapped.errno = number
    return wrapped


def output_error(error: OSError, path: str) -> OutputError:
    """An :class:`OutputError` that keeps the reason of ``error`` and adds path and hint."""
    number, text = _reason(error)
    hint = _NETWORK_HINT if number in NETWORK else _OUTPUT_HINTS.get(number or 0)
    wrapped = OutputError(f"cannot be written: {text}", path=path, hint=hint)
    wrapped.errno = number
    return wrapped


def _reason(error: OSError) -> tuple[int | None, str]:
    """Number and text of an error; libraries raise the built-in classes without a number."""
    number, text = error.errno, error.strerror
    if number is None:
        number = next((n for kind, n in _NUMBERS.items() if isinstance(error, kind)), None)
        if number is not None:  # their text is but the path
            text = os.strerror(number)
    return number, text or str(error) or type(error).__name__


def os_error(number: int, text: str | None = None) -> OSError:
    """An OSError of the built-in class that fits its number."""
    return OSError(number, text or os.strerror(number))


@contextlib.contextmanager
def reading(path: str, *, doing: str = "cannot be read") -> Iterator[None]:
    """Turn what goes wrong in the block into a :class:`SourceError`."""
    try:
        yield
    except VortexError:
        raise
    except ImportError as error:
        raise _needs(error, path) from error
    except Exception as error:  # every backend of fsspec raises its own
        raise source_error(_as_os_error(error), path, doing=doing) from error


@contextlib.contextmanager
def writing(path: str) -> Iterator[None]:
    """Turn what goes wrong in the block into an :class:`OutputError`."""
    try:
        yield
    except VortexError:
        raise
    except ImportError as error:
        raise _needs(error, path) from error
    except Exception as error:  # every backend of fsspec raises its own
        raise output_error(_as_os_error(error), path) from error


def _as_os_error(error: Exception) -> OSError:
    """What a client for HTTP or the like raises, by its status."""
    text = " ".join(str(error).split()) or type(error).__name__
    status = getattr(error, "status", None)
    if isinstance(status, int):
        number = _STATUS.get(status, errno.EIO)
        return os_error(number, f"the server answered {status}: {text}")
    if type(error).__module__.startswith("aiohttp.") and not isinstance(error, ValueError):
        silent = isinstance(error, TimeoutError) or "Timeout" in type(error).__name__
        return os_error(errno.ETIMEDOUT if silent else errno.ECONNRESET, text)
    if isinstance(error, OSError):
        return error
    made = OSError(text)
    if "Timeout" in type(error).__name__:
        made.errno = errno.ETIMEDOUT
    return made


def _needs(error: ImportError, path: str) -> UnsupportedFeatureError:
    """A URL whose client is not installed."""
    kind = path.partition("://")[0]
    if kind in ("http", "https"):
        hint = "pip install 'fsspec[http]'"
    elif kind in ("root", "roots", "xroot", "xroots"):
        hint = install_hint("grid")
    else:
        hint = f"install what fsspec needs for {kind}:// URLs"
    text = f"{kind}:// URLs need a package that is not installed: {error.name or error}"
    return UnsupportedFeatureError(text, path=path, hint=hint)
