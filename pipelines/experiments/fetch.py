"""The step "fetch": the experiment's open data, or generated files in their place."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pipelines.experiments.description import Experiment, Source
from pipelines.experiments.download import Expected, check_file, download
from pipelines.experiments.manifest import Outcome
from vortex_hep.core import storage
from vortex_hep.core.progress import SILENT, Progress
from vortex_hep.errors import NetworkError, SourceError

AUTO, FETCH, OFFLINE = "auto", "fetch", "offline"


@dataclass(frozen=True)
class Wanted:
    """Where files may come from.

    Parameters
    ----------
    output : Path
        Downloads go to its sub-folder ``data``.
    data : Path, optional
        Folder with the open data under their own names, or with generated files.
    mode : {"auto", "fetch", "offline"}
        ``"fetch"`` fails where the network does, ``"auto"`` then takes generated files.
    timeout : float
        Seconds that a server may stay silent.
    """

    output: Path
    data: Path | None
    mode: str
    timeout: float = 30.0


def fetch(
    experiment: Experiment, wanted: Wanted, say: Callable[[str], None], progress: Progress = SILENT
) -> Outcome:
    """Find or fetch the files of an experiment.

    Returns
    -------
    list of (str, Path)
        Files by role.
    dict
        ``origin``: ``"open data"``, ``"generated"`` or ``"examples"``.

    Raises
    ------
    SourceError
        Nothing that the experiment could use is there, or a download fails.
    CorruptionError
        A file is not the one that the experiment names.
    """
    if wanted.mode == OFFLINE:
        local = _local_open_data(experiment, wanted)
        return (local, {"origin": "open data"}) if local else _stand_in(experiment, wanted, say)
    try:
        return _open_data(experiment, wanted, say, progress), {"origin": "open data"}
    except NetworkError as error:
        if wanted.mode == FETCH:
            raise
        say(f"fetch: {error}")
        files, facts = _stand_in(experiment, wanted, say)
        named = ", ".join(str(path) for _, path in files)
        say(f"fetch: no network: using the {facts['origin']} files {named}")
        return files, facts


def _local_open_data(experiment: Experiment, wanted: Wanted) -> list[tuple[str, Path]]:
    """The open data where all of them are there already; else nothing."""
    found: list[tuple[str, Path]] = []
    for source in experiment.sources:
        paths = _local_copies(source, experiment, wanted)
        if not paths:
            return []
        found += [(source.role, path) for path in paths]
    return found


def _local_copies(source: Source, experiment: Experiment, wanted: Wanted) -> list[Path]:
    """Complete local files of a source, given or downloaded before; empty unless all are there."""
    named = {item.local_name for item in experiment.sources}
    for folder in (wanted.data, wanted.output / "data"):
        if folder is None:
            continue
        if source.folder is not None:
            found = (path for path in folder.glob(_flat(source.pattern)) if path.name not in named)
            paths = sorted(path for path in found if path.is_file())[: source.number]
            if len(paths) == source.number:
                return paths
        elif (path := folder / source.local_name).is_file():
            check_file(path, _expected_of(source))
            return [path]
    return []


def _flat(path: str) -> str:
    """The end of a path as a name: files of several folders may be called alike."""
    return path.replace("/", "_")


def _open_data(
    experiment: Experiment, wanted: Wanted, say: Callable[[str], None], progress: Progress
) -> list[tuple[str, Path]]:
    found: list[tuple[str, Path]] = []
    named = {source.url for source in experiment.sources}
    for source in experiment.sources:
        if paths := _local_copies(source, experiment, wanted):
            found += [(source.role, path) for path in paths]
            continue
        for url, name in _places(source, named):
            target = wanted.output / "data" / name
            if not target.exists():
                size = f"{source.bytes:,} bytes" if source.bytes else "of a size not known yet"
                say(f"fetch: {url}, {size}")
                download(
                    [url, *source.mirrors], target, expected=_expected_of(source),
                    timeout=wanted.timeout, progress=progress,
                )  # fmt: skip
            found.append((source.role, target))
    return found


def _places(source: Source, named: set[str | None]) -> list[tuple[str, str]]:
    """URLs of a source, and names of the local copies."""
    if source.folder is None:
        return [(source.url or "", source.local_name)]
    listed = [url for url, _ in storage.glob(storage.join(source.folder, source.pattern))]
    fresh = [url for url in listed if url not in named][: source.number]
    if len(fresh) < source.number:
        raise SourceError(
            f"has {len(fresh)} files {source.pattern!r} where {source.number} are wanted",
            path=source.folder,
        )
    depth = source.pattern.count("/") + 1
    return [(url, _flat("/".join(url.split("/")[-depth:]))) for url in fresh]


def _expected_of(source: Source) -> Expected:
    """What is known of a source's file."""
    return Expected(source.bytes, source.adler32, source.sha256)


def _stand_in(experiment: Experiment, wanted: Wanted, say: Callable[[str], None]) -> Outcome:
    """Generated files where they are there, else examples where there are any of the kind."""
    if wanted.data is not None:
        found = [(item.role, wanted.data / item.path) for item in experiment.fallbacks]
        missing = [str(path) for _, path in found if not path.is_file()]
        if found and not missing:
            return found, {"origin": "generated"}
        if missing:
            say(f"fetch: not there: {', '.join(missing)}")
    if not experiment.made:
        names = ", ".join(item.path for item in experiment.fallbacks)
        where = ", ".join(source.url or source.folder or "" for source in experiment.sources)
        raise SourceError(
            f"{experiment.name} has no files to work on",
            hint=f"give --data DIR with the generated files ({names}) or with the open data under"
            f" their own names ({where}), or --fetch where there is a network",
        )
    from vortex_hep.testing.examples import write_example

    made: list[tuple[str, Path]] = []
    folder = wanted.output / "examples"
    folder.mkdir(parents=True, exist_ok=True)
    for item in experiment.made:
        path = folder / f"{item.role}-{item.events}-{item.seed}.root"
        if not path.exists():
            say(f"fetch: making {path}, {item.events} events")
            write_example(path, events=item.events, seed=item.seed)
        made.append((item.role, path))
    return made, {"origin": "examples"}
