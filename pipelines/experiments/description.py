"""The description of an experiment: the contents of its ``experiment.toml``, checked."""

from __future__ import annotations

import sys
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import Any, TypeVar

from vortex_hep.errors import SourceError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROLES = ("train", "test", "split")
Described = TypeVar("Described")


@dataclass(frozen=True)
class Source:
    """A file of open data, or files of a folder that are listed when they are fetched.

    Parameters
    ----------
    role : {"train", "test", "split"}
        What the file is for; of a ``"split"`` file the first part is learnt from, the rest is
        measured.
    url : str, optional
        Where the file lies.
    mirrors : tuple of str
        Where it lies as well, for machines that cannot reach ``url`` or lack the client for it.
    name : str, optional
        Name of the local copy; the last part of the URL by default.
    bytes : int, optional
    adler32, sha256 : str, optional
        Where they are known, in lower-case hexadecimal digits.
    folder : str, optional
        Instead of ``url``: a folder on an XRootD server.
    pattern : str
        Which files of the folder, relative to it; ``*`` stands for anything but a slash.
    number : int
        How many of them: the first ones by name that no other source names.
    """

    role: str
    url: str | None = None
    mirrors: tuple[str, ...] = ()
    name: str | None = None
    bytes: int | None = None
    adler32: str | None = None
    sha256: str | None = None
    folder: str | None = None
    pattern: str = "*"
    number: int = 1

    @property
    def local_name(self) -> str:
        """Name of the local copy of a file; empty for a folder.

        Examples
        --------
        >>> Source("train", url="root://host//store/in.root").local_name
        'in.root'
        """
        return self.name or (self.url or "").rsplit("/", 1)[-1]


@dataclass(frozen=True)
class Fallback:
    """A generated file that stands in for the open data.

    Parameters
    ----------
    role : {"train", "test", "split"}
    path : str
        Relative to the folder of data.
    """

    role: str
    path: str


@dataclass(frozen=True)
class Made:
    """An example file that is made on the spot where not even generated files are there.

    Parameters
    ----------
    role : {"train", "test"}
    events : int
    seed : int
    """

    role: str
    events: int
    seed: int


@dataclass(frozen=True)
class Cutting:
    """How files are cut: into a part to learn from and one to measure, or to a smaller size.

    Parameters
    ----------
    kind : {"hdf5", "hepmc", "root"}
    rows_of : str, optional
        HDF5: the dataset whose rows are counted; datasets of as many rows are cut alike. Without,
        every long dataset keeps the same share of its rows.
    tree : str, optional
        ROOT: the tree whose entries are counted. Without, files are only used whole.
    train_share : float
        Share of the events of a ``"split"`` file that is learnt from.
    train_bytes, test_bytes : int, optional
        Largest size of what is learnt from and of what is measured, in bytes of the file as it
        came; larger files are cut to so many events.
    """

    kind: str
    rows_of: str | None = None
    tree: str | None = None
    train_share: float = 0.8
    train_bytes: int | None = None
    test_bytes: int | None = None


@dataclass(frozen=True)
class Learning:
    """How the models are trained.

    Parameters
    ----------
    effort : str
        Of the event model; see :class:`vortex_hep.TrainOptions`.
    recipe : str
        Of the byte-level transformer.
    trees : tuple of str
        Trees to learn, by name; empty for all of them.
    tables : tuple of str
        Tables that the transformer learns; empty for all of them.
    expected_rows : int, optional
        Events that the model will serve in all.
    """

    effort: str = "normal"
    recipe: str = "laptop_cpu"
    trees: tuple[str, ...] = ()
    tables: tuple[str, ...] = ()
    expected_rows: int | None = None


@dataclass(frozen=True)
class Experiment:
    """An experiment: what its folder describes.

    Parameters
    ----------
    name, title, record, licence : str
        ``record`` is the page that describes the data.
    sources : tuple of Source
    fallbacks : tuple of Fallback
    made : tuple of Made
    cutting : Cutting
    learning : Learning
    """

    name: str
    title: str
    record: str
    licence: str
    sources: tuple[Source, ...]
    fallbacks: tuple[Fallback, ...]
    made: tuple[Made, ...]
    cutting: Cutting
    learning: Learning


def load_experiment(folder: Path) -> Experiment:
    """Read and check the ``experiment.toml`` of a folder.

    Raises
    ------
    SourceError
        The file is missing, no TOML, or says something that an experiment has no place for.
    """
    path = folder / "experiment.toml"
    try:
        plain: dict[str, Any] = tomllib.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise SourceError(f"cannot be read as TOML: {error}", path=str(path)) from error
    experiment = Experiment(
        name=folder.name,
        title=_text(plain, "title", path),
        record=_text(plain, "record", path),
        licence=_text(plain, "licence", path),
        sources=tuple(_described(Source, item, path) for item in plain.pop("source", [])),
        fallbacks=tuple(_described(Fallback, item, path) for item in plain.pop("fallback", [])),
        made=tuple(_described(Made, item, path) for item in plain.pop("made", [])),
        cutting=_described(Cutting, plain.pop("cutting", {}), path),
        learning=_described(Learning, plain.pop("learning", {}), path),
    )
    if plain:
        raise SourceError(f"unknown keys: {', '.join(sorted(plain))}", path=str(path))
    _check(experiment, path)
    return experiment


def _text(plain: dict[str, Any], key: str, path: Path) -> str:
    value = plain.pop(key, None)
    if not isinstance(value, str):
        raise SourceError(f"key {key!r} is missing, or not text", path=str(path))
    return value


def _described(kind: type[Described], plain: dict[str, Any], path: Path) -> Described:
    """Make a dataclass of a table of TOML; lists become tuples."""
    known = {field.name: field for field in fields(kind)}  # type: ignore[arg-type]
    section = kind.__name__.lower()
    for key in plain:
        if key not in known:
            raise SourceError(
                f"unknown key {key!r} in {section!r}", path=str(path),
                hint=f"known are {', '.join(known)}",
            )  # fmt: skip
    for key, field in known.items():
        if field.default is MISSING and key not in plain:
            raise SourceError(f"key {key!r} is missing in {section!r}", path=str(path))
    return kind(**{k: tuple(v) if isinstance(v, list) else v for k, v in plain.items()})


def _check(experiment: Experiment, path: Path) -> None:
    roles = [source.role for source in experiment.sources]
    roles += [item.role for item in experiment.fallbacks]
    roles += [item.role for item in experiment.made]
    for role in roles:
        if role not in ROLES:
            msg = f"'role' must be one of {', '.join(ROLES)}, not {role!r}"
            raise SourceError(msg, path=str(path))
    for source in experiment.sources:
        if (source.url is None) == (source.folder is None):
            raise SourceError("'source' needs exactly one of 'url' and 'folder'", path=str(path))
    if not 0 < experiment.cutting.train_share < 1:
        raise SourceError("'train_share' must lie between 0 and 1", path=str(path))
