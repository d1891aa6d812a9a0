"""Opening any file, by its first bytes or by the library that has it open."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from vortex_hep.core.schema import FileSource
from vortex_hep.core.storage.ranges import open_binary
from vortex_hep.errors import UnsupportedTypeError
from vortex_hep.readers.kinds import HEAD_SIZE, kind_module, kind_of

#: Kind of what libraries have open, by the top-level package of its class.
_LIBRARIES = {
    "uproot": "root",
    "awkward": "arrays",
    "numpy": "arrays",
    "builtins": "arrays",
    "h5py": "hdf5",
}


def open_source(
    source: str | os.PathLike[str] | Any,
    *,
    trees: Sequence[str] | None = None,
    exact: bool = False,
    record: int | None = None,
) -> FileSource:
    """Open a file as tables of columns and a remainder.

    Parameters
    ----------
    source : str, path or open file
        A string with ``://`` is a URL (``root://``, ``https://``, or what else fsspec opens).
        A file that is open already (with uproot) stays the caller's to close.
    trees : sequence of str, optional
        Only these trees; the others are not restored either.
    exact : bool
        Whether the restored file is to be the same byte for byte: the remainder then has all that
        this takes.
    record : int, optional
        Take the file as records of so many bytes, whatever it is: one tree ``"bytes"`` with the
        column ``record``. The source is a path or URL then.

    Returns
    -------
    FileSource
        Of kind ``"opaque"``, without trees, where no reader knows the format: it is then carried
        whole.

    Raises
    ------
    SourceError
        The file is missing, or damaged.
    NotFoundError
        One of ``trees`` is not in the file.
    UnsupportedFeatureError
        ``exact`` is asked of arrays, or of a file of which ``trees`` leaves out a part.
    UnsupportedTypeError
        ``source`` is something else, or ``record`` is invalid.
    """
    if record is not None:
        from vortex_hep.readers import records

        return records.open_file(source, trees=trees, exact=exact, width=record)
    if not isinstance(source, (str, os.PathLike)):
        package = type(source).__module__.partition(".")[0]
        if package not in _LIBRARIES or isinstance(source, (int, float, list, bytes)):
            msg = f"expected a path, a URL, an open file or arrays, got {type(source).__name__}"
            raise UnsupportedTypeError(msg)
        return kind_module(_LIBRARIES[package]).open_file(source, trees=trees, exact=exact)
    bytes_of = open_binary(source)
    try:
        head = bytes_of.read_ranges([(0, min(bytes_of.size, HEAD_SIZE))])[0]
    finally:
        bytes_of.close()
    return kind_module(kind_of(head)).open_file(source, trees=trees, exact=exact)
