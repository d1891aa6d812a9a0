"""Readers: files of HEP formats as tables of columns, and those tables as files again.

:mod:`vortex_hep.readers.kinds` lists the kinds of files; each has a subpackage that opens a file,
keeps aside what is not columns (:meth:`~vortex_hep.core.schema.FileSource.remainder`), and writes
the file anew.
"""

from __future__ import annotations

from vortex_hep.readers.compare import compare_sources
from vortex_hep.readers.opening import open_source

__all__ = ["compare_sources", "open_source"]
