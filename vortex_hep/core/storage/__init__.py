"""Storage: files on local disks, on XRootD servers, or where fsspec finds them.

Every failure is an error of this package: a :class:`~vortex_hep.errors.SourceError` (among them
:class:`~vortex_hep.errors.MissingError`, :class:`~vortex_hep.errors.DeniedError` and
:class:`~vortex_hep.errors.NetworkError`) of what is read, an
:class:`~vortex_hep.errors.OutputError` of what is written.
"""

from vortex_hep.core.storage.bytesource import ByteSource
from vortex_hep.core.storage.identity import Identity
from vortex_hep.core.storage.local import permissions_like
from vortex_hep.core.storage.operations import (
    check_distinct,
    check_writable,
    download,
    exists,
    glob,
    identity,
    list_files,
    make_folder,
    remove,
    rename,
    same_file,
    stat,
    upload,
)
from vortex_hep.core.storage.output import OutputFile, create
from vortex_hep.core.storage.paths import absolute, is_url, join, name, parent
from vortex_hep.core.storage.ranges import open_binary
from vortex_hep.core.storage.status import Stat
from vortex_hep.core.storage.traffic import Count, counting

__all__ = [
    "ByteSource", "Count", "Identity", "OutputFile", "Stat", "absolute", "check_distinct",
    "check_writable", "counting", "create", "download", "exists", "glob", "identity", "is_url",
    "join", "list_files", "make_folder", "name", "open_binary", "parent", "permissions_like",
    "remove", "rename", "same_file", "stat", "upload",
]  # fmt: skip
