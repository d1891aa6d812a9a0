"""HDF5 files over Python objects, closed before the interpreter ends.

The HDF5 library holds such an object for as long as the file is open, and where a file is still
open as the process ends, the library lets go of it after the interpreter was taken down: the
process dies of a segmentation fault. What holds the object is out of sight of Python's garbage
collection besides, so that a file in a cycle of references through it is never closed by that.
"""

from __future__ import annotations

import atexit
import io
import weakref
from typing import Any

import h5py
from h5py import h5f, h5fd, h5i, h5p, h5t

#: Objects that the library may hold, by the names of their files; a file that is closed for good
#: lets go of its own.
_held: weakref.WeakValueDictionary[bytes, io.IOBase] = weakref.WeakValueDictionary()


def open_file_id(file: io.IOBase) -> Any:
    """Open what an object of Python reads as an HDF5 file.

    Parameters
    ----------
    file : binary file
        Seekable; it stays open.

    Returns
    -------
    h5py FileID
        Read-only. If it is open when the interpreter ends, it is closed then, as are all objects
        of its file.

    Raises
    ------
    OSError
        It is not an HDF5 file, or damaged; what ``file`` raises goes through.
    """
    name = f"{type(file).__name__}-{id(file):x}".encode("ascii", "replace")
    access = h5p.create(h5p.FILE_ACCESS)
    try:
        access.set_fileobj_driver(h5fd.fileobj_driver, file)
        _held[name] = file
        return h5f.open(name, h5f.ACC_RDONLY, fapl=access)
    finally:
        # It holds the object too, and lives on in the traceback of an error: were it left to that,
        # an object that keeps the error it raised would never be let go.
        access.close()


def open_python_file(file: io.IOBase) -> h5py.File:
    """Open what an object of Python reads, as :func:`open_file_id` does.

    Parameters
    ----------
    file : binary file

    Returns
    -------
    h5py.File
    """
    return h5py.File(open_file_id(file))


@atexit.register
def _close_all() -> None:
    """Close the files that are open still; nobody but this thread runs Python from here on."""
    if not _held:
        return
    # Any object keeps a file open, also after what opened the file was dropped.
    for found in h5f.get_obj_ids(h5f.OBJ_ALL, h5f.OBJ_ALL):
        if not found.valid or (isinstance(found, h5t.TypeID) and not found.committed()):
            continue  # closed with its file, or of none
        if h5f.get_name(found) in _held:
            h5py.File(h5i.get_file_id(found)).close()
