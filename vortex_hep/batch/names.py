"""Names of files: equality of names, and names in a tree of outputs."""

from __future__ import annotations

import os
from collections.abc import Sequence

from vortex_hep.core.storage.paths import is_url, server_and_path

#: What archives end in.
ARCHIVE_SUFFIX = ".vxc"

_HEPMC = tuple(
    f".hepmc{version}{packed}"
    for version in ("", "2", "3")
    for packed in ("", ".gz", ".zst", ".tar", ".tar.gz", ".tgz")
)
#: Suffixes of the files that are taken from a folder, for a job that makes archives.
DATA_SUFFIXES = (".root", ".h5", ".hdf5", *_HEPMC)

_LONGEST_FIRST = tuple(sorted((*DATA_SUFFIXES, ARCHIVE_SUFFIX), key=len, reverse=True))


def split_suffix(name: str) -> tuple[str, str]:
    """Stem and suffix of a file's name; no suffix unless it is one of a kind we read.

    Examples
    --------
    >>> split_suffix("a.hepmc3.gz"), split_suffix("run.2024")
    (('a', '.hepmc3.gz'), ('run.2024', ''))
    """
    lower = name.lower()
    for suffix in _LONGEST_FIRST:
        if lower.endswith(suffix) and len(name) > len(suffix):
            return name[: -len(suffix)], name[-len(suffix) :]
    return name, ""


def path_parts(path: str) -> list[str]:
    """Server (where there is one), folders and name of a path, as parts of a path below a folder.

    Examples
    --------
    >>> path_parts("root://host:1095//store/a.root?x=y")
    ['host_1095', 'store', 'a.root']
    """
    server, inner = server_and_path(path)
    inner = inner.partition("?")[0] if server else inner.replace(os.sep, "/")
    parts = [part for part in inner.split("/") if part]
    return [server.partition("://")[2].replace(":", "_"), *parts] if server else parts


def relative_to_common(paths: Sequence[str]) -> list[str]:
    """Each path below the folder that all have in common.

    Parameters
    ----------
    paths : sequence of str
        Paths or URLs of files.

    Examples
    --------
    >>> relative_to_common(["/d/a/x.root", "/d/b/x.root"]), relative_to_common(["/d/a/x.root"])
    (['a/x.root', 'b/x.root'], ['x.root'])
    """
    split = [path_parts(path) for path in paths]
    if not split:
        return []
    low, high = min(split), max(split)
    common = 0
    most = min(len(parts) for parts in split) - 1
    while common < most and low[common] == high[common]:
        common += 1
    return ["/".join(parts[common:]) for parts in split]


def below(path: str, folder: str) -> str | None:
    """Path of a file below a folder; None if it is not in it.

    Examples
    --------
    >>> below("root://h//store/mc/a.root", "root://h:1094//store"), below("/a/b", "/c")
    ('mc/a.root', None)
    """
    inner, outer = path_parts(path), path_parts(folder)
    if len(inner) <= len(outer) or inner[: len(outer)] != outer or is_url(path) != is_url(folder):
        return None
    return "/".join(inner[len(outer) :])
