"""File lists: text with one path per line, and filesets of coffea."""

from __future__ import annotations

import gzip
import json
import os
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from vortex_hep.core import storage
from vortex_hep.core.storage.paths import is_url
from vortex_hep.core.text import plural
from vortex_hep.errors import SourceError, UnsupportedTypeError

_TEXT = (".txt", ".list", ".lst")
_FILESET = (".json", ".json.gz")
#: A list of a hundred thousand long URLs has some 20 MB; a data file given by mistake has more.
_MOST_BYTES = 1 << 28

_FILESET_FORM = 'a fileset has the form {"dataset": {"files": {"url": "tree"}}}'


@dataclass(frozen=True)
class Listed:
    """One file as a list names it.

    Parameters
    ----------
    path : str
    where : str
        Line or dataset, for messages.
    dataset, tree : str or None
        Where the list tells.
    """

    path: str
    where: str
    dataset: str | None = None
    tree: str | None = None


def is_list(name: str) -> bool:
    """Whether an input is a list of files by its name, and not a file itself."""
    return name.startswith("@") or name.lower().endswith((*_TEXT, *_FILESET))


def read_list(name: str) -> list[Listed]:
    """Files that a list names.

    Parameters
    ----------
    name : str
        Path or URL, with or without the ``@`` that marks lists.

    Raises
    ------
    MissingError, DeniedError, NetworkError, SourceError
        The list cannot be read.
    UnsupportedTypeError
        It is empty, or no list.
    """
    path = name.removeprefix("@")
    data = _read(path)
    fileset = path.lower().endswith(_FILESET)
    if path.lower().endswith(".gz"):
        try:
            data = gzip.decompress(data)
        except (OSError, EOFError, zlib.error) as error:
            raise SourceError(f"cannot be unpacked: {error}", path=path) from error
    text = _text(data, path)
    found = list(_fileset(text, path) if fileset else _lines(text, path))
    if not found:
        raise UnsupportedTypeError(
            "the list names no file", path=path,
            hint=_FILESET_FORM if fileset else "one path or URL a line, # for comments",
        )  # fmt: skip
    return found


def _read(path: str) -> bytes:
    source = storage.open_binary(path)
    try:
        if source.size > _MOST_BYTES:
            msg = f"{plural(source.size, 'byte')} are too many for a list of files"
            raise UnsupportedTypeError(msg, path=path, hint="is it a data file?")
        return bytes(source.read_ranges([(0, source.size)])[0]) if source.size else b""
    finally:
        source.close()


def _text(data: bytes, path: str) -> str:
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        at = error.start
    else:
        at = text.find("\0")
    if at >= 0:
        raise UnsupportedTypeError("not a list of files: it is not text", path=path, offset=at)
    return text


def _lines(text: str, path: str) -> Iterator[Listed]:
    folder = storage.parent(path)
    name = storage.name(path)
    for number, line in enumerate(text.split("\n"), 1):
        entry = line.strip()
        # A name may hold a "#", but hardly one behind a space.
        if not entry or entry.startswith("#"):
            continue
        entry = entry.split(" #", 1)[0].split("\t#", 1)[0].rstrip()
        where = f"{name} line {number}"
        if not entry.isprintable():
            msg = f"line {number} is not a path: it holds control characters"
            raise UnsupportedTypeError(msg, path=path)
        yield Listed(_beside(folder, entry), where)


def _beside(folder: str, path: str) -> str:
    """A path of a list; relative ones are meant from the list's folder."""
    if is_url(path) or os.path.isabs(path) or folder in ("", "."):  # noqa: PTH117
        return path
    return storage.join(folder, path)


def _fileset(text: str, path: str) -> Iterator[Listed]:
    try:
        document = json.loads(text)
    except ValueError as error:
        msg = f"not JSON: {error}"
        raise UnsupportedTypeError(msg, path=path, hint=_FILESET_FORM) from error
    folder = storage.parent(path)
    name = storage.name(path)
    if isinstance(document, list):
        document = {"": document}
    if not isinstance(document, dict):
        raise UnsupportedTypeError("not a fileset", path=path, hint=_FILESET_FORM)
    for dataset, content in document.items():
        where = f"{name}, dataset {dataset!r}" if dataset else name
        wrapped = isinstance(content, Mapping) and "files" in content
        files, tree = (content["files"], content.get("treename")) if wrapped else (content, None)
        for url, its_tree in _files(files, path, where):
            yield Listed(_beside(folder, url), where, dataset or None, its_tree or tree)


def _files(content: Any, path: str, where: str) -> Iterator[tuple[str, str | None]]:
    """URLs and trees of what a dataset has as its files."""
    pairs: list[tuple[Any, Any]]
    if isinstance(content, Mapping):
        pairs = list(content.items())
    elif isinstance(content, list):
        pairs = [(url, None) for url in content]
    else:
        raise UnsupportedTypeError(f"{where}: no files", path=path, hint=_FILESET_FORM)
    for url, value in pairs:
        tree = value.get("object_path") if isinstance(value, Mapping) else value
        if not isinstance(url, str) or not url or not isinstance(tree, (str, type(None))):
            raise UnsupportedTypeError(
                f"{where}: not a file and its tree: {json.dumps([url, value])[:100]}",
                path=path, hint=_FILESET_FORM,
            )  # fmt: skip
        yield url, tree
