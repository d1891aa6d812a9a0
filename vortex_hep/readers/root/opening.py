"""Opening ROOT files."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import uproot

from vortex_hep.core.storage.paths import local_path, scheme
from vortex_hep.errors import MissingError, SourceError, UnsupportedTypeError, VortexError
from vortex_hep.readers.opaque import OpaqueSource
from vortex_hep.readers.root.contents import NotPresentableError
from vortex_hep.readers.root.file.bytesource import ByteReader
from vortex_hep.readers.root.file.urlsource import UrlSource
from vortex_hep.readers.root.rootfile import RootFileSource

#: What uproot reads of a file is not kept for files that are opened later: a restored file has the
#: identifier of its original.
_NO_CACHES = {"object_cache": None, "array_cache": None}


def open_file(
    source: Any, *, trees: Sequence[str] | None, exact: bool = False
) -> RootFileSource | OpaqueSource:
    """Open a ROOT file as tables of columns and a remainder.

    Parameters
    ----------
    source : str, path or what uproot has open
    trees : sequence of str or None
        Only these trees; the others are not restored either.
    exact : bool
        Whether the restored file is to be the same byte for byte.

    Returns
    -------
    FileSource
        Of kind ``"root"``; or ``"opaque"``, without trees, where the file is sound but of a
        layout that is not known, or cannot be made again though ``exact`` asks for it: it is then
        carried whole.

    Raises
    ------
    SourceError
        The file is truncated or damaged.
    NotFoundError
        One of ``trees`` is not in the file.
    UnsupportedTypeError
        ``trees`` have an unsupported layout.
    UnsupportedFeatureError
        ``exact`` asks for all of the file, ``trees`` for a part of it.
    """
    file, path, owned = _open(source)
    try:
        try:
            return RootFileSource(file, path, owned=owned, trees=trees, exact=exact)
        except NotPresentableError as error:
            if trees is not None:
                raise UnsupportedTypeError(
                    f"cannot be presented as tables: {error}", path=path,
                    hint="the whole file can be compressed all the same, as bytes",
                ) from error  # fmt: skip
            reader = ByteReader(file.source, path)
            close = file.close if owned else _leave_open
            reason = " ".join(str(error).split())
            return OpaqueSource(reader, path, reason=reason, close=close)
    except BaseException:
        if owned:
            file.close()
        raise


def _leave_open() -> None:
    """Do not close what the caller has open."""


def _open(source: Any) -> tuple[Any, str, bool]:
    if isinstance(source, uproot.reading.ReadOnlyFile):
        return source, str(source.file_path), False
    if isinstance(source, uproot.reading.ReadOnlyDirectory):
        return source.file, str(source.file.file_path), False
    if not isinstance(source, (str, os.PathLike)):
        msg = f"expected a path, a URL or an uproot file, got {type(source).__name__}"
        raise UnsupportedTypeError(msg)
    path = os.fspath(source)
    place = path
    if scheme(path) == "file":
        place = local_path(path)
        if not Path(place).is_file():
            raise MissingError("no such file", path=path)
    try:
        # Not by mapping it into memory: all that was touched of a file counts as the process's.
        return uproot.open({place: None}, handler=UrlSource, **_NO_CACHES).file, path, True
    except VortexError:
        raise
    except Exception as error:
        msg = f"cannot be opened as a ROOT file: {error}"
        raise SourceError(
            msg, path=path, hint="the file is truncated or not a ROOT file"
        ) from error
