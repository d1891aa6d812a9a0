"""Data sets on which the transformers are trained and measured."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.corpus import CorpusFile, checked, load_corpus
from vortex_hep.core.schema import VarBytes
from vortex_hep.nn.event.training.prepare import TableSample
from vortex_hep.testing.bench.content import load_content

Array = npt.NDArray[Any]

#: Dataset of the flavour-tagging file that is used.
JETS = "jets"


@dataclass(frozen=True)
class JetFiles:
    """Jets to learn from and jets to measure, in HDF5 files that hold nothing else.

    Parameters
    ----------
    train, test : Path
    name : str
        Of the file that they are from.
    """

    train: Path
    test: Path
    name: str


def jet_files(data: Path, cache: Path) -> JetFiles:
    """The jets of the corpus' flavour-tagging file, cut where the corpus says.

    Parameters
    ----------
    data : Path
        Folder that the corpus' paths start from.
    cache : Path
        Where the two files go.

    Raises
    ------
    SourceError
        The file is missing, or is not the one the corpus names.
    """
    file = _corpus_file("ftag", "split")
    return split_jets(checked(file, data), cache, file.split or 0.5)


def split_jets(source: Path, folder: Path, share: float) -> JetFiles:
    """Write the first jets of a file to one file and the others to another.

    Parameters
    ----------
    source : Path
    folder : Path
    share : float
        Of the jets, for training.
    """
    import h5py

    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{source.stem}.{JETS}-{role}{source.suffix}" for role in ("train", "test")]
    with h5py.File(source) as file:
        jets = file[JETS]
        cut = int(len(jets) * share)
        for path, rows in zip(paths, (jets[:cut], jets[cut:]), strict=True):
            with h5py.File(path, "w") as out:
                out.create_dataset(JETS, data=rows, chunks=True, compression="gzip", shuffle=True)
    return JetFiles(paths[0], paths[1], source.name)


def jets_of(path: Path) -> Array:
    """All jets of a file: a structured array, whose bytes are those of the file's records."""
    import h5py

    with h5py.File(path) as file:
        jets: Array = file[JETS][:]
        return jets


def jet_sample(path: Path) -> tuple[str, TableSample]:
    """The jets of a file as training takes them, and the family of their tree."""
    from vortex_hep.models.sample import gather
    from vortex_hep.readers import open_source

    with open_source(str(path)) as source:
        (tree,) = source.trees.values()
        (sample,) = gather([tree], 1 << 30)
        return tree.family, sample


def columns_of(sample: TableSample) -> dict[str, Array]:
    """The columns of a sample that are numbers."""
    columns = sample.data.columns.items()
    return {name: column for name, column in columns if not isinstance(column, VarBytes)}


def jet_records(path: Path) -> Array:
    """The jets of a file as records of bytes (uint8, shape (rows, width)), constants left out."""
    from vortex_hep.codec.tokens.records import layout_of

    _, sample = jet_sample(path)
    columns = columns_of(sample)
    layout = layout_of([s for s in sample.specs if s.name in columns], columns)
    return layout.pack(columns, sample.data.num_rows)


def text_records(data: Path, size: int) -> tuple[str, Array]:
    """The first bytes of the corpus' HepMC text: name, and uint8 array of shape (size, 1)."""
    file = _corpus_file("hepmc-ttbar", "test")
    text = load_content(str(checked(file, data))).stream or b""
    return Path(file.path).name, np.frombuffer(text[:size], np.uint8).reshape(-1, 1)


def _corpus_file(dataset: str, role: str) -> CorpusFile:
    return next(
        file
        for item in load_corpus()
        if item.name == dataset
        for file in item.files
        if file.role == role
    )
