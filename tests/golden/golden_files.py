"""Small files of every kind, and golden archives of them: what is stored beside the columns.

``python -m tests.golden.golden_files --write`` writes those that are missing. Only what no library
may do otherwise one day is in them: no deflate, no zstd.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import awkward as ak
import h5py
import numpy as np
import uproot

from vortex_hep.archive.compress import compress_file
from vortex_hep.models.model import Model

FOLDER = Path(__file__).parent / "files"


def write_root(path: Path) -> None:
    """Trees of scalars, lists and strings, an RNTuple, a histogram, and a text."""
    rng = np.random.default_rng(1)
    jets = ak.unflatten(rng.exponential(30, 90).astype("f4"), rng.multinomial(90, [1 / 40] * 40))
    with uproot.recreate(path, compression=uproot.LZMA(1)) as file:
        file.mktree("folder/Events", {"run": "u4", "Jet_pt": "var * float32", "x": ("f8", (2,))})
        for part in (slice(0, 25), slice(25, 40)):
            file["folder/Events"].extend(
                {
                    "run": np.arange(40, dtype="u4")[part],
                    "Jet_pt": jets[part],
                    "x": rng.normal(size=(40, 2))[part],
                }
            )
        file.mkrntuple("ntuple", {"n": np.arange(30) % 7, "pt": jets[:30]})
        file["histogram"] = np.histogram(rng.normal(size=100), bins=10)
        file["text"] = "some words"


def write_hdf5(path: Path) -> None:
    """Jets and padded tracks, columns of a group, attributes, links, and filters."""
    rng = np.random.default_rng(2)
    jets = np.zeros(60, [("pt", "<f4"), ("flavour", "<i4"), ("valid", "?")])
    jets["pt"], jets["flavour"] = rng.exponential(40, 60), rng.choice([0, 4, 5], 60)
    tracks = np.zeros((60, 8), [("d0", "<f2"), ("z0", ">f4"), ("valid", "?")])
    tracks["d0"], tracks["z0"] = np.nan, np.nan
    for row, count in enumerate(rng.integers(0, 9, 60)):
        tracks[row, :count] = list(
            zip(rng.normal(size=count), rng.normal(size=count), [True] * count, strict=True)
        )
    with h5py.File(path, "w", libver=("earliest", "v110")) as file:
        file.attrs["comment"] = "made for tests"
        file.create_dataset("jets", data=jets, chunks=(16,), shuffle=True, track_times=False)
        file.create_dataset(
            "tracks", data=tracks, chunks=(16, 8), shuffle=True, fletcher32=True, track_times=False
        )
        group = file.create_group("PartType0")
        group.create_dataset("Coordinates", data=rng.random((50, 3)), track_times=False)
        group.create_dataset("IDs", data=np.arange(50, dtype="<u8") * 3, track_times=False)
        group.create_dataset(
            "Masses", (50,), "<f4", chunks=(20,), fillvalue=2.5, track_times=False
        )[:20] = 1.5
        file.create_dataset("words", data=["a", "few", "words"], track_times=False)
        file["again"] = h5py.SoftLink("/jets")


_EVENT3 = """E {n} 3 7
U GEV MM
W 1.0000000000000000e+00 9.8000000000000000e-01
A 0 GenCrossSection 1.01047733e+03 1.01047733e+03 1 3
A 0 alphaQCD 0.1130591542731{n}
A 3 flow1 50{n}
A 4 flow1 0
P 1 0 2212 0.0000000000000000e+00 0.0000000000000000e+00 6.5000000000000000e+03 6.5000000676991150e+03 9.3827000000000005e-01 4
P 2 0 2212 0.0000000000000000e+00 0.0000000000000000e+00 -6.5000000000000000e+03 6.5000000676991150e+03 9.3827000000000005e-01 4
V -1 0 [1,2]
P 3 -1 21 1.2500000000000000e+00 -{n}.5000000000000000e-01 3.0000000000000000e+00 4.0000000000000000e+00 0.0000000000000000e+00 61
P 4 -1 21 -1.2500000000000000e+00 {n}.5000000000000000e-01 -3.0000000000000000e+00 4.0000000000000000e+00 0.0000000000000000e+00 61
P 5 3 5 1.2500000000000000e+00 -{n}.5000000000000000e-01 3.0000000000000000e+00 4.0000000000000000e+00 4.7999999999999998e+00 2
V -3 0 [5] @ 1.2000000000000000e-01 -{n}.1000000000000001e-02 3.0000000000000004e-01 4.0000000000000002e-01
P 6 -3 -13 1.0000000000000000e+00 0 2.0000000000000000e+00 2.5000000000000000e+00 1.0566000000000000e-01 1
P 7 -3 13 2.5000000000000000e-01 -{n}.5000000000000000e-01 1.0000000000000000e+00 1.5000000000000000e+00 1.0566000000000000e-01 1
"""  # noqa: E501

_EVENT2 = """E {n} -1 2.5e+01 1.2e-01 7.5e-03 9999 -1 2 1 2 0 1 1.00e+00
U GEV MM
V -1 0 0 0 0 0 2 2 0
P 1 2212 0 0 7.00e+03 7.00e+03 9.38e-01 4 0 0 -1 0
P 2 2212 0 0 -7.00e+03 7.00e+03 9.38e-01 4 0 0 -1 0
P 3 21 1.25e+0{n} -2.50e+00 3.00e+00 4.00e+00 0 3 0 0 -2 1 1 501
P 4 21 -1.25e+0{n} 2.50e+00 -3.00e+00 4.00e+00 0 3 0 0 -3 2 1 502 2 501
V -2 0 1.00e-0{n} 2.00e-02 3.00e+00 3.10e+00 0 1 0
P 5 211 1.25e+0{n} -2.50e+00 3.00e+00 4.00e+00 1.40e-01 1 0 0 0 0
V -3 0 1.00e-03 0 0 0 0 0 0
"""


def write_hepmc3(path: Path) -> None:
    """Two events, the second with a line of its own, and a number printed oddly."""
    second = _EVENT3.format(n=2).replace("U GEV", "A 0 note odd one\nU GEV")
    path.write_text(
        "HepMC::Version 3.02.05\nHepMC::Asciiv3-START_EVENT_LISTING\nW a\\|b\n"
        + _EVENT3.format(n=1)
        + second.replace("2.5000000000000000e+00", "2.5")
        + "HepMC::Asciiv3-END_EVENT_LISTING\n\n"
    )


def write_hepmc2(path: Path) -> None:
    """Events with orphans and a vertex without particles; lines end as on Windows."""
    text = (
        "\nHepMC::Version 2.06.09\nHepMC::IO_GenEvent-START_EVENT_LISTING\n"
        + "".join(_EVENT2.format(n=n) for n in (1, 2, 3))
        + "HepMC::IO_GenEvent-END_EVENT_LISTING\n"
    )
    path.write_bytes(text.replace("\n", "\r\n").encode())


def write_other(path: Path) -> None:
    """A file of no known kind."""
    path.write_bytes(bytes(range(256)) * 3)


def write_records(path: Path) -> None:
    """Numbers one after another, and a part of one."""
    numbers = np.random.default_rng(3).normal(size=120).round(1).astype("<f4")
    path.write_bytes(numbers.tobytes() + b"end")


@dataclass(frozen=True)
class Made:
    """How a file and its archive are made.

    Parameters
    ----------
    write : callable
        Writes the file.
    exact : bool
        Whether the archive promises its bytes.
    record : int, optional
        Bytes of a record, where it is taken as such.
    """

    write: Callable[[Path], None]
    exact: bool = False
    record: int | None = None


FILES: dict[str, Made] = {
    "trees.root": Made(write_root),
    "exact.root": Made(write_root, exact=True),
    "jets.h5": Made(write_hdf5),
    "exact.h5": Made(write_hdf5, exact=True),
    "events.hepmc3": Made(write_hepmc3),
    "events.hepmc2": Made(write_hepmc2),
    "other.bin": Made(write_other),
    "records.bin": Made(write_records, exact=True, record=4),
}


def main() -> None:
    """Write what is missing."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", required=True)
    parser.parse_args()
    for name, made in FILES.items():
        path = FOLDER / name
        if not path.exists():
            made.write(path)
        if not (archive := FOLDER / f"{name}.vxc").exists():
            compress_file(path, archive, model=Model({}), exact=made.exact, record=made.record)


if __name__ == "__main__":
    main()
