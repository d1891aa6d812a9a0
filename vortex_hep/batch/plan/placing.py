"""Output places: beside the sources, or in the same tree below another folder."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import PurePosixPath

from vortex_hep.batch.names import split_suffix
from vortex_hep.batch.plan.inputs import InputFile
from vortex_hep.codec.container.container import ContainerReader
from vortex_hep.core import storage
from vortex_hep.core.storage.paths import same_file_key
from vortex_hep.errors import VortexError

#: Archives that are asked at the same time for what they were made of.
_THREADS = 16


def place(
    files: Sequence[InputFile],
    *,
    output: str | None,
    suffix: str | Sequence[str],
    replace_suffix: bool = True,
) -> list[str]:
    """Name the output of each file.

    Parameters
    ----------
    files : sequence of InputFile
    output : str or None
        Folder (or URL of one) below which the outputs have the tree of the inputs; None for beside
        each source.
    suffix : str or sequence of str
        What outputs end in: all, or each by its own.
    replace_suffix : bool
        Whether the suffix of a known kind is replaced (``a.root`` to ``a.vxc``). Where two files
        differ in nothing but that suffix, both keep it (``a.root.vxc``, ``a.h5.vxc``).

    Returns
    -------
    list of str

    Examples
    --------
    >>> files = [InputFile("/d/a/x.root", "a/x.root"), InputFile("/d/b.h5", "b.h5")]
    >>> place(files, output="root://host//store/out", suffix=".vxc")
    ['root://host//store/out/a/x.vxc', 'root://host//store/out/b.vxc']
    """
    suffixes = [suffix] * len(files) if isinstance(suffix, str) else list(suffix)
    names = [_whole(file, output) for file in files]
    full = [name + end for name, end in zip(names, suffixes, strict=True)]
    if not replace_suffix:
        return full
    short = [_replaced(name, end) for name, end in zip(names, suffixes, strict=True)]
    keys = [same_file_key(name) for name in short]
    shared = Counter(keys)
    return [s if shared[key] == 1 else f for s, f, key in zip(short, full, keys, strict=True)]


def original_suffixes(files: Sequence[InputFile]) -> list[str]:
    """What the files end in that archives were made of.

    Parameters
    ----------
    files : sequence of InputFile
        Archives. Only those whose names do not tell (as ``a.root.vxc`` does) are opened; of one
        that cannot be read the suffix is "".

    Returns
    -------
    list of str
    """
    with ThreadPoolExecutor(_THREADS) as pool:
        return list(pool.map(lambda file: _original_suffix(file.source), files))


def _original_suffix(archive: str) -> str:
    told = split_suffix(split_suffix(storage.name(archive))[0])[1]
    if told:
        return told
    try:
        with ContainerReader(archive) as reader:
            source = reader.metadata.get("source")
    except VortexError:
        return ""
    name = str(source.get("name", "")) if isinstance(source, dict) else ""
    return split_suffix(name)[1] or PurePosixPath(name).suffix


def _whole(file: InputFile, output: str | None) -> str:
    """Place of the output, still with the source's name."""
    if output is not None:
        return storage.join(output, file.relative)
    name = storage.name(file.source)
    folder = storage.parent(file.source)
    return name if folder == "." and not file.source.startswith(".") else storage.join(folder, name)


def _replaced(name: str, suffix: str) -> str:
    stem = split_suffix(name)[0]
    return stem if suffix and stem.lower().endswith(suffix.lower()) else stem + suffix
