"""The input files of a job: files, folders, patterns and lists as one list."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

from vortex_hep.batch.lists import is_list, read_list
from vortex_hep.batch.names import DATA_SUFFIXES, below, relative_to_common
from vortex_hep.batch.problems import Problems
from vortex_hep.core import storage
from vortex_hep.core.storage import Stat
from vortex_hep.core.storage.paths import is_url, same_file_key
from vortex_hep.errors import MissingError, UnsupportedTypeError, VortexError

#: Inputs on servers that are looked at at the same time.
_THREADS = 16


@dataclass(frozen=True)
class InputFile:
    """One file of a job, before anything was done with it.

    Parameters
    ----------
    source : str
        Path or URL.
    relative : str
        Path below the folder that was given, or below what all files of a list have in common;
        with ``/`` on every system. Outputs under a prefix keep it.
    size : int or None
        Bytes, where the listing told.
    mtime : float or None
        Seconds since 1970 of its last change, where the listing told.
    dataset, tree : str or None
        As a fileset names them.
    where : str
        Where it was named ("files.txt line 7"), for messages.
    target : str or None
        Where its output goes, once it has been placed.
    """

    source: str
    relative: str
    size: int | None = None
    mtime: float | None = None
    dataset: str | None = None
    tree: str | None = None
    where: str = ""
    target: str | None = None


def find_inputs(
    inputs: Sequence[str], *, suffixes: Sequence[str] | None = None, base: str | None = None
) -> list[InputFile]:
    """Find the files that inputs stand for.

    Parameters
    ----------
    inputs : sequence of str
        Paths or URLs of files; folders, of which all files with a known suffix are taken, those in
        folders in them too, but none whose name begins with a dot; patterns (``*``, ``?``,
        ``[..]``, ``**``); lists as text (``*.txt``, ``*.list``, or any name behind an ``@``), with
        a path or URL a line, relative ones from the list's folder, ``#`` for comments; filesets of
        coffea (``*.json``, ``*.json.gz``).
    suffixes : sequence of str, optional
        Of the files taken from folders; those of ROOT, HDF5 and HepMC files by default.
    base : str, optional
        Folder below which the files lie: :attr:`InputFile.relative` is counted from there, whatever
        the inputs have in common.

    Returns
    -------
    list of InputFile
        In the order of the inputs; folders and patterns sorted.

    Raises
    ------
    MissingError, DeniedError, NetworkError, SourceError
        An input is not there, or cannot be listed or read.
    UnsupportedTypeError
        An input names no file, two name the same one, or one is not below ``base``.
    """
    wanted = tuple(s.lower() for s in (DATA_SUFFIXES if suffixes is None else suffixes))
    if isinstance(inputs, str) or not inputs:
        raise UnsupportedTypeError("no input was given", hint="name files, folders or lists")
    problems = Problems("problems with the inputs")
    with ThreadPoolExecutor(_THREADS) as pool:
        futures = [pool.submit(_find, text, wanted) for text in inputs]
        found: list[list[InputFile]] = []
        for future in futures:
            try:
                found.append(future.result())
            except VortexError as error:
                problems.add(error)
    problems.check()
    files = _with_relative(found)
    if base is not None:
        files = [_rebased(file, base, problems) for file in files]
    _check_unique(files, problems)
    problems.check()
    return files


def _find(text: str, suffixes: tuple[str, ...]) -> list[InputFile]:
    """What one input stands for; ``relative`` is "" where it depends on the others."""
    if is_list(text):
        return _from_list(text)
    if _is_pattern(text):
        return _matching(text, where=text)
    status = storage.stat(text)
    if status.is_folder:
        return _in_folder(text, suffixes)
    return [InputFile(text, "", status.size, status.mtime, where=text)]


def _is_pattern(text: str) -> bool:
    # A "?" in a URL begins a query; a local file may be called like a pattern.
    if is_url(text):
        return any(c in text.partition("?")[0] for c in "*[")
    return any(c in text for c in "*?[") and not os.path.lexists(text)


def _from_list(text: str) -> list[InputFile]:
    listed = read_list(text)
    files = []
    for one in listed:
        if "*" in one.path.partition("?")[0]:
            matches = _matching(one.path, where=one.where)
            files += [replace(m, dataset=one.dataset, tree=one.tree) for m in matches]
        else:
            files.append(
                InputFile(one.path, "", dataset=one.dataset, tree=one.tree, where=one.where)
            )
    relative = relative_to_common([file.source for file in files])
    return [replace(f, relative=r) for f, r in zip(files, relative, strict=True)]


def _matching(pattern: str, *, where: str) -> list[InputFile]:
    files = [(path, s) for path, s in storage.glob(pattern) if not s.is_folder]
    if not files:
        raise MissingError("no file matches", path=pattern if where == pattern else where)
    top = pattern[: min(i for i in (pattern.find(c) for c in "*?[") if i >= 0)]
    return _listed(files, top[: top.rfind("/") + 1] or ".", where)


def _in_folder(folder: str, suffixes: tuple[str, ...]) -> list[InputFile]:
    files = [
        (path, status)
        for path, status in storage.list_files(folder)
        if path.lower().endswith(suffixes) and not storage.name(path).startswith(".")
    ]
    if not files:
        shown = ", ".join(suffixes if len(suffixes) <= 4 else (*suffixes[:4], "..."))
        raise UnsupportedTypeError(
            f"no files that end in {shown} are in this folder", path=folder,
            hint="use a pattern for files of other names",
        )  # fmt: skip
    return _listed(files, folder, folder)


def _listed(files: list[tuple[str, Stat]], folder: str, where: str) -> list[InputFile]:
    out = []
    for path, status in files:
        relative = below(path, folder) or storage.name(path)
        out.append(InputFile(path, relative, status.size, status.mtime, where=where))
    return out


def _with_relative(found: list[list[InputFile]]) -> list[InputFile]:
    """All files in order; those that were given one by one have a common folder too."""
    files = [file for group in found for file in group]
    single = [i for i, file in enumerate(files) if not file.relative]
    relative = relative_to_common([files[i].source for i in single])
    for i, path in zip(single, relative, strict=True):
        files[i] = replace(files[i], relative=path)
    return files


def _rebased(file: InputFile, base: str, problems: Problems) -> InputFile:
    relative = below(file.source, base)
    if relative is None:
        problems.add(UnsupportedTypeError(f"is not below the base {base}", path=file.source))
        return file
    return replace(file, relative=posixpath.normpath(relative))


def _check_unique(files: list[InputFile], problems: Problems) -> None:
    twice(
        files, lambda file: same_file_key(file.source), problems,
        lambda first, second: UnsupportedTypeError(
            f"{first.where} and {second.where} name one file" if first.where != second.where
            else f"{first.where} names one file twice",
            path=second.source, hint="remove one of them",
        ),
    )  # fmt: skip


def twice(
    files: Sequence[InputFile],
    key: Callable[[InputFile], str],
    problems: Problems,
    problem: Callable[[InputFile, InputFile], VortexError],
) -> None:
    """Add a problem for each file whose key an earlier one has."""
    seen: dict[str, InputFile] = {}
    for file in files:
        first = seen.setdefault(key(file), file)
        if first is not file:
            problems.add(problem(first, file))
