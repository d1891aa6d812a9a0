"""Small files of every kind, as inputs of jobs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from vortex_hep.testing.examples import write_example


def write_ttree(path: Path, seed: int) -> None:
    """A ROOT file as an experiment's."""
    write_example(path, events=20 + seed % 10, seed=seed)


def write_rntuple(path: Path, seed: int) -> None:
    """A ROOT file with an RNTuple."""
    import awkward as ak
    import uproot

    rng = np.random.default_rng(seed)
    counts = rng.integers(0, 5, 200)
    with uproot.recreate(path) as file:
        file.mkrntuple(
            "Events",
            {
                "pt": ak.unflatten(rng.exponential(30, counts.sum()).astype("f4"), counts),
                "run": np.full(200, seed),
            },
        )


def write_hdf5(path: Path, seed: int) -> None:
    """An HDF5 file."""
    import h5py

    rng = np.random.default_rng(seed)
    with h5py.File(path, "w") as file:
        file["jets/pt"] = rng.exponential(30, (300, 4)).astype("f4")
        file["jets/pt"].attrs["unit"] = "GeV"
        file["event"] = np.arange(300) + seed


def write_hepmc(path: Path, seed: int) -> None:
    """A HepMC file."""
    rng = np.random.default_rng(seed)
    lines = ["HepMC::Version 3.02.05", "HepMC::Asciiv3-START_EVENT_LISTING", "W Weight"]
    for event in range(20):
        lines += [f"E {event} 1 3", "U GEV MM", "W 1.0000000000000000000000e+00"]
        for number, parent in ((1, 0), (2, 0), (3, -1)):
            px, py, pz, e = (f"{x:.16e}" for x in rng.normal(0, 40, 4))
            lines.append(f"P {number} {parent} 21 {px} {py} {pz} {e} {0:.16e} 1")
            if number == 2:
                lines.append("V -1 0 [1,2]")
    path.write_text("\n".join([*lines, "HepMC::Asciiv3-END_EVENT_LISTING", ""]))


def write_opaque(path: Path, seed: int, size: int = 20_000) -> None:
    """A file that nobody can read."""
    path.write_bytes(np.random.default_rng(seed).bytes(size))


#: By suffix of the file's name.
KINDS: dict[str, Callable[[Path, int], None]] = {
    "ttree.root": write_ttree,
    "rntuple.root": write_rntuple,
    "h5": write_hdf5,
    "hepmc3": write_hepmc,
    "dat": write_opaque,
}
