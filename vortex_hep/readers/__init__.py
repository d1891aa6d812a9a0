"""Readers: files of HEP formats as tables of columns, and those tables as files again.

The ROOT layer reads TTrees basket by basket, keeps everything else of the file aside
(:meth:`RootFileSource.remainder`) and writes the file anew (:func:`restore_root`).
"""

from __future__ import annotations

from vortex_hep.readers.compare import compare_sources
from vortex_hep.readers.decode import LayoutError
from vortex_hep.readers.opaque import OpaqueSource
from vortex_hep.readers.opening import open_source
from vortex_hep.readers.restore import restore_root
from vortex_hep.readers.rootfile import RootFileSource

__all__ = [
    "LayoutError",
    "OpaqueSource",
    "RootFileSource",
    "compare_sources",
    "open_source",
    "restore_root",
]
