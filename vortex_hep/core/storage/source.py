"""Random-access sources: local paths, URLs and open binary files behind one interface."""

from __future__ import annotations

import os
from typing import BinaryIO

from vortex_hep.core.storage.backend import backend_of
from vortex_hep.core.storage.bytesource import ByteSource, FileObjectSource
from vortex_hep.core.storage.local import PathSource
from vortex_hep.core.storage.paths import is_url
from vortex_hep.errors import UnsupportedTypeError


def open_binary(source: str | os.PathLike[str] | BinaryIO) -> ByteSource:
    """Open a local path, a URL or a seekable binary file for ranged reads.

    Parameters
    ----------
    source : str, path or binary file object
        A string with ``://`` is a URL: ``root://`` is read with the XRootD client, all else with
        fsspec. A file object stays the caller's to close.

    Returns
    -------
    ByteSource
        Its ranges can be asked for by several threads at once.

    Raises
    ------
    MissingError, DeniedError, NetworkError, SourceError
        The source does not exist or cannot be opened.
    UnsupportedFeatureError
        What reads such a URL is not installed.
    """
    if isinstance(source, (str, os.PathLike)):
        name = os.fspath(source)
        return backend_of(name).source(name) if is_url(name) else PathSource(name)
    if hasattr(source, "read") and hasattr(source, "seek"):
        return FileObjectSource(source)
    msg = f"expected a path, a URL or a binary file, got {type(source).__name__}"
    raise UnsupportedTypeError(msg)
