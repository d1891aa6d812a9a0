"""Opening HepMC files."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from vortex_hep.core.storage.failstop import FailStopSource
from vortex_hep.core.storage.ranges import open_binary
from vortex_hep.core.storage.whole import whole_if_small
from vortex_hep.errors import NotFoundError, SourceError
from vortex_hep.readers.hepmc.packed.finding import find_text
from vortex_hep.readers.hepmc.packed.stream import Stream
from vortex_hep.readers.hepmc.source import TREE, HepmcSource, NotExactError
from vortex_hep.readers.opaque import OpaqueSource


def open_file(
    source: Any, *, trees: Sequence[str] | None, exact: bool = False
) -> HepmcSource | OpaqueSource:
    """Open a HepMC file as a tree of events and a remainder.

    Parameters
    ----------
    source : str, path or binary file
        Text of HepMC3 (Asciiv3) or HepMC2 (IO_GenEvent), plain, in gzip or Zstandard, and of
        either kind in a tar archive.
    trees : sequence of str or None
        ``["events"]``, which is the only one.
    exact : bool
        Whether a compressed file is to come back with the same bytes, and not only the same
        text.

    Returns
    -------
    FileSource
        Of kind ``"hepmc"``; or ``"opaque"`` where the compressed data are damaged, hold no such
        text, or cannot be made again though ``exact`` asks for it: it is then carried whole.

    Raises
    ------
    SourceError
        The file cannot be read.
    NotFoundError
        One of ``trees`` is not in the file.
    """
    path = os.fspath(source) if isinstance(source, (str, os.PathLike)) else ""
    bytes_of = FailStopSource(whole_if_small(open_binary(source)))
    try:
        path = path or bytes_of.name
        _check(trees, path)
        stream = Stream(bytes_of)
        try:
            text = find_text(stream)
            if text[2]:
                return HepmcSource(stream, path, text, exact=exact)
            reason = "of a format that no reader knows"
        except NotExactError:
            reason = f"its {stream.packing} data cannot be made again byte for byte"
        except SourceError as error:
            if stream.packing == "plain" or bytes_of.failure is not None:
                raise
            reason = error.message
        return OpaqueSource(bytes_of, path, reason=reason)
    except BaseException:
        bytes_of.close()
        raise


def _check(trees: Sequence[str] | None, path: str) -> None:
    for name in trees or ():
        if name != TREE:
            raise NotFoundError(f"no such tree; there is {TREE!r}", path=path, tree=name)


def exact_forecast(source: Any) -> str:
    """Say in a line whether a file would come back with the same bytes, compression included."""
    with open_file(source, trees=None) as file:
        if isinstance(file, HepmcSource):
            return file.exact_forecast()
        return f"the file comes back with the same bytes: {file.notes()[0]}"
