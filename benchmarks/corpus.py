"""The files of the benchmark, checked before they are used."""

from __future__ import annotations

import hashlib
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.hdf5split import write_rows
from vortex_hep.errors import SourceError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

HERE = Path(__file__).parent
CORPUS = HERE / "corpus.toml"


@dataclass(frozen=True)
class CorpusFile:
    """One file of the corpus; the fields are those of ``corpus.toml``."""

    path: str
    role: str
    tree: str
    events: int
    bytes: int
    sha256: str
    origin: str
    licence: str
    split: float | None = None
    limit_bytes: int | None = None


@dataclass(frozen=True)
class Dataset:
    """Files of one kind: some to learn from, some to measure.

    ``target`` is the most that an archive should cost, over the same content under LZMA -9.
    """

    name: str
    title: str
    files: tuple[CorpusFile, ...]
    target: float | None = None


@dataclass(frozen=True)
class Part:
    """A file ready for use: a corpus file, or the piece of one that its split assigns.

    Parameters
    ----------
    name : str
        Name in results and tables.
    path : Path
    source : CorpusFile
    """

    name: str
    path: Path
    source: CorpusFile


def load_corpus(path: Path = CORPUS) -> tuple[Dataset, ...]:
    """All data sets of the corpus."""
    plain: dict[str, Any] = tomllib.loads(path.read_text())
    return tuple(
        Dataset(
            item["name"],
            item["title"],
            tuple(CorpusFile(**file) for file in item["file"]),
            item.get("target"),
        )
        for item in plain["dataset"]
    )


def parts_of(dataset: Dataset, data: Path, cache: Path) -> tuple[list[Part], list[Part]]:
    """The files to learn from and the files to measure.

    Parameters
    ----------
    dataset : Dataset
    data : Path
        Folder the corpus' paths start from.
    cache : Path
        Folder for the two pieces of a split file.

    Raises
    ------
    SourceError
        If a file is missing or is not the one the corpus names.
    """
    train: list[Part] = []
    test: list[Part] = []
    for file in dataset.files:
        path = checked(file, data)
        if file.split is None:
            (train if file.role == "train" else test).append(Part(path.name, path, file))
            continue
        cut = int(file.events * file.split)
        for role, out, start, stop in (
            ("train", train, 0, cut),
            ("test", test, cut, file.events),
        ):
            piece = cache / f"{path.stem}.{role}{path.suffix}"
            if not piece.exists():
                _write_piece(path, piece, file, start, stop)
            out.append(Part(piece.name, piece, file))
    return train, test


def checked(file: CorpusFile, data: Path) -> Path:
    """Path of a corpus file whose bytes are the expected ones."""
    path = data / file.path
    if not path.is_file():
        raise SourceError("is not there", path=str(path), hint="see benchmarks/README.md")
    if hashlib.sha256(path.read_bytes()).hexdigest() != file.sha256:
        raise SourceError("is not the file of the corpus: its SHA-256 differs", path=str(path))
    return path


def _write_piece(path: Path, piece: Path, file: CorpusFile, start: int, stop: int) -> None:
    """Write a range of the entries of a file; the piece appears only when it is complete."""
    piece.parent.mkdir(parents=True, exist_ok=True)
    unfinished = piece.with_name(f"{piece.name}.part")
    if path.suffix == ".root":
        _write_entries(path, unfinished, file.tree, start, stop)
    else:
        write_rows(path, unfinished, file.events, start, stop)
    unfinished.replace(piece)


def _write_entries(source: Path, target: Path, tree: str, start: int, stop: int) -> None:
    """Write a range of entries of a tree of scalars and counted collections as a file."""
    import awkward as ak
    import numpy as np
    import uproot

    with uproot.open(source) as file:
        arrays = file[tree].arrays(entry_start=start, entry_stop=stop)
    counters = [name for name in arrays.fields if f"n{name[1:]}" == name]
    collections = {
        name[1:]: [field for field in arrays.fields if field.startswith(f"{name[1:]}_")]
        for name in counters
    }
    collections = {name: fields for name, fields in collections.items() if fields}
    counted = {field for fields in collections.values() for field in fields}
    block: dict[str, Any] = {
        name: ak.to_numpy(arrays[name])
        for name in arrays.fields
        if name not in counted and name.removeprefix("n") not in collections
    }
    for name, fields in collections.items():
        block[name] = ak.zip({field[len(name) + 1 :]: arrays[field] for field in fields})
    types = {
        name: data.dtype if isinstance(data, np.ndarray) else data.type
        for name, data in block.items()
    }
    with uproot.recreate(target, compression=uproot.LZMA(9)) as file:
        file.mktree(tree, types)
        file[tree].extend(block)
