"""Readers: files of HEP formats as tables of columns, and those tables as files again.

:mod:`vortex_hep.readers.kinds` lists the kinds of files; each has a subpackage that opens a file,
keeps aside what is not columns (:meth:`~vortex_hep.core.schema.FileSource.remainder`), and writes
the file again.

What a file has besides its columns is called by these words, here and in docs/SPEC.md:

*remainder*
    All that restoring a file needs besides its columns, as blobs.
*blob*
    Named bytes of the remainder, such as ``root/objects``; each is one chunk of the archive.
*skeleton*
    The blobs that say how the file is built: of a ROOT file its directories, keys and trees as
    JSON, of an HDF5 file its kept bytes, which alone are a valid file without chunks.
*hole*
    Bytes of the file that are made again from columns: a chunk of an HDF5 dataset; of a ROOT file
    that is promised byte for byte a basket, page or other record.
*kept bytes*
    The bytes of the file between its holes, as they are, in blobs of equal size
    (:mod:`vortex_hep.readers.holes`).
"""

from __future__ import annotations

from vortex_hep.readers.compare import compare_sources
from vortex_hep.readers.opening import open_source

__all__ = ["compare_sources", "open_source"]
