"""File operations at any place: list, stat, rename, remove."""

from __future__ import annotations

import contextlib
import errno
import fnmatch
import os
import re
import secrets
from collections.abc import Iterator

from vortex_hep.core.storage import paths
from vortex_hep.core.storage.backend import Backend, backend_of
from vortex_hep.core.storage.failures import reading, writing
from vortex_hep.core.storage.identity import Identity, identity_of
from vortex_hep.core.storage.output import BLOCK, create
from vortex_hep.core.storage.ranges import open_binary
from vortex_hep.core.storage.status import Stat
from vortex_hep.errors import MissingError, OutputError, SourceError

Found = tuple[str, Stat]

#: What stands for other characters; not a question mark that begins the parameters of a URL.
_MAGIC = re.compile(r"[*\[]|\?(?![\w.]+=)")


def stat(path: str | os.PathLike[str]) -> Stat:
    """Size, time of change and kind of a file or folder.

    Raises
    ------
    MissingError, DeniedError, NetworkError, SourceError
    """
    name = os.fspath(path)
    with reading(name):
        return backend_of(name).stat(name)


def exists(path: str | os.PathLike[str]) -> bool:
    """Whether there is a file or folder of this name.

    Raises
    ------
    DeniedError, NetworkError, SourceError
        That cannot be known.
    """
    try:
        stat(path)
    except MissingError:
        return False
    return True


def same_file(first: str | os.PathLike[str], second: str | os.PathLike[str]) -> bool:
    """Whether two names are of one file: by links, by hard links, or as written.

    Examples
    --------
    >>> same_file("a.root", "./a.root"), same_file("a.root", "root://host//a.root")
    (True, False)
    """
    one, other = os.fspath(first), os.fspath(second)
    if paths.scheme(one) == paths.scheme(other) == "file":
        with contextlib.suppress(OSError, ValueError):
            return os.path.samefile(paths.local_path(one), paths.local_path(other))  # noqa: PTH121
    return paths.same_file_key(one) == paths.same_file_key(other)


def check_distinct(
    output: str | os.PathLike[str], *inputs: str | os.PathLike[str], what: str = "the input"
) -> None:
    """Refuse to write over what is read.

    Parameters
    ----------
    output : str or path
    *inputs : str or path
    what : str
        What an input is called.

    Raises
    ------
    OutputError
        The output is one of the inputs, by whatever name.
    """
    for one in inputs:
        if same_file(output, one):
            raise OutputError(
                f"would be written over {what}, which is the same file", path=os.fspath(output),
                hint="choose another output",
            )  # fmt: skip


def list_files(folder: str | os.PathLike[str], *, recursive: bool = True) -> list[Found]:
    """Files in a folder, sorted by path; links are followed.

    Parameters
    ----------
    folder : str or path
    recursive : bool
        Those in folders in it, too.

    Returns
    -------
    list of (str, Stat)
        Full URLs; paths of what is on a local disk.

    Raises
    ------
    MissingError, DeniedError, NetworkError, SourceError
        A folder cannot be listed.
    """
    top = paths.local_path(os.fspath(folder))
    backend = backend_of(top)
    found: list[Found] = []
    todo: list[tuple[str, frozenset[str]]] = [(top, frozenset())]
    while todo:
        place, above = todo.pop()
        if paths.scheme(place) == "file":
            real = os.path.realpath(place)
            if real in above:  # a link to a folder that it is in
                continue
            above |= {real}
        for path, status in _children(backend, place):
            if not status.is_folder:
                found.append((path, status))
            elif recursive:
                todo.append((path, above))
    return sorted(found, key=lambda item: item[0])


def _children(backend: Backend, folder: str) -> list[Found]:
    with reading(folder, doing="cannot be listed"):
        return [(paths.join(folder, name), status) for name, status in backend.entries(folder)]


def glob(pattern: str | os.PathLike[str]) -> list[Found]:
    """Files and folders whose paths match a pattern, sorted by path.

    Parameters
    ----------
    pattern : str or path
        ``*``, ``?`` and ``[..]`` stand for parts of a name, ``**`` for any number of folders. Names
        that begin with a dot are matched by patterns that do.

    Returns
    -------
    list of (str, Stat)

    Raises
    ------
    DeniedError, NetworkError, SourceError
        A folder cannot be listed.
    """
    whole = paths.local_path(os.fspath(pattern))
    start = whole.index("://") + 3 if paths.is_url(whole) else 0
    magic = _MAGIC.search(whole, start)
    if magic is None or paths.scheme(whole) in ("http", "https"):
        try:
            return [(whole, stat(whole))]
        except MissingError:
            return []
    cut = whole.rfind("/", start, magic.start()) + 1
    top, rest = whole[:cut], whole[cut:]
    if paths.is_url(whole) and not cut:
        raise SourceError("no pattern can stand for a server", path=whole)
    backend = backend_of(whole)
    matched: dict[str, Stat] = {}
    for path, status in _matches(backend, top or ".", rest.split("/")):
        shown = path.removeprefix("./") if not top else path
        matched[shown] = status
    return sorted(matched.items())


def _matches(backend: Backend, folder: str, parts: list[str]) -> Iterator[Found]:
    part, rest = parts[0], parts[1:]
    try:
        children = _children(backend, folder)
    except SourceError as error:
        if isinstance(error, MissingError) or error.errno == errno.ENOTDIR:
            return
        raise
    if part == "**":
        if rest:
            yield from _matches(backend, folder, rest)
        for path, status in children:
            if paths.name(path).startswith("."):
                continue
            if not rest:
                yield path, status
            if status.is_folder:
                yield from _matches(backend, path, parts)
        return
    for path, status in children:
        name = paths.name(path)
        if not fnmatch.fnmatchcase(name, part) or (name.startswith(".") and part[0] != "."):
            continue
        if not rest:
            yield path, status
        elif status.is_folder:
            yield from _matches(backend, path, rest)


def make_folder(path: str | os.PathLike[str]) -> None:
    """Make a folder with all above it; fine if it is there.

    Raises
    ------
    OutputError
    """
    name = os.fspath(path)
    with writing(name):
        backend_of(name).make_folder(name)


def remove(path: str | os.PathLike[str], *, missing_ok: bool = True) -> None:
    """Remove a file, or a folder with all in it.

    Parameters
    ----------
    path : str or path
    missing_ok : bool
        Whether it is fine if there is none.

    Raises
    ------
    OutputError
    """
    name = paths.local_path(os.fspath(path))
    with writing(name):
        try:
            _remove(backend_of(name), name)
        except FileNotFoundError:
            if not missing_ok:
                raise


def _remove(backend: Backend, path: str) -> None:
    if paths.scheme(path) == "file" and os.path.islink(path):  # noqa: PTH114
        backend.remove_file(path)
        return
    if not backend.stat(path).is_folder:
        backend.remove_file(path)
        return
    for name, _ in backend.entries(path):
        with contextlib.suppress(FileNotFoundError):
            _remove(backend, paths.join(path, name))
    backend.remove_folder(path)


def rename(
    old: str | os.PathLike[str], new: str | os.PathLike[str], *, overwrite: bool = False
) -> None:
    """Give a file another name on the same disk or server.

    Parameters
    ----------
    old, new : str or path
    overwrite : bool
        Replace a file of the new name. Without it, such a file is an error; on servers whose
        protocol cannot rule it out, one that appears within milliseconds is replaced all the same.

    Raises
    ------
    OutputError
        ``errno`` is EEXIST where there is a file of the new name.
    """
    name, target = os.fspath(old), os.fspath(new)
    with writing(target):
        backend_of(name).rename(name, target, overwrite=overwrite)


def identity(path: str | os.PathLike[str], *, read: bool = False) -> Identity:
    """Size and Adler-32 of a file.

    Parameters
    ----------
    path : str or path
    read : bool
        Read the file even if its server knows the checksum.

    Raises
    ------
    MissingError, DeniedError, NetworkError, SourceError
    """
    name = os.fspath(path)
    if not read:
        with reading(name):
            backend = backend_of(name)
            size = backend.stat(name).size
            checksum = backend.checksum(name, size)
        if checksum is not None:
            return Identity.make(size, checksum)
    source = open_binary(name)
    try:
        return identity_of(source)
    finally:
        source.close()


def check_writable(folder: str | os.PathLike[str]) -> None:
    """Make a folder if it is not there, and write and remove a small file in it.

    Raises
    ------
    OutputError
        That is not possible.
    """
    name = os.fspath(folder)
    make_folder(name)
    probe = paths.join(name, f".vortex-probe-{secrets.token_hex(6)}")
    with create(probe) as out:
        out.write(b"probe")
    remove(probe)


def upload(local: str | os.PathLike[str], path: str | os.PathLike[str]) -> Identity:
    """Copy a file, in place of one that is there; not atomic.

    Parameters
    ----------
    local, path : str or path
        From and to; either may be a URL.

    Returns
    -------
    Identity
        Of what was copied.

    Raises
    ------
    SourceError
        It cannot be read.
    OutputError
        It cannot be written.
    """
    source = open_binary(os.fspath(local))
    try:
        with create(path) as out:
            for start in range(0, source.size, BLOCK):
                size = min(BLOCK, source.size - start)
                out.write(source.read_ranges([(start, size)])[0])
        return out.identity
    finally:
        source.close()


def download(path: str | os.PathLike[str], local: str | os.PathLike[str]) -> Identity:
    """Copy a file, as :func:`upload` does, the other way round."""
    return upload(path, local)
