"""Fixtures of the comparison's tests: small files of other kinds than ROOT."""

import gzip

import h5py
import numpy as np
import pytest

ROWS = 3000


@pytest.fixture(scope="session")
def hdf5_file(tmp_path_factory):
    """Records, a contiguous and a growing dataset, strings, links and attributes."""
    path = tmp_path_factory.mktemp("hdf5") / "example.h5"
    rng = np.random.default_rng(3)
    records = np.zeros(ROWS, [("pt", "<f4"), ("eta", "<f2"), ("n", "<i4")])
    records["pt"] = rng.exponential(30, ROWS)
    records["eta"] = rng.normal(size=ROWS)
    records["n"] = rng.integers(0, 9, ROWS)
    records["pt"].view(np.uint32)[5] = 0x7FC12345  # a NaN with a payload
    with h5py.File(path, "w") as file:
        file.attrs["what"] = "an example"
        group = file.create_group("particles", track_order=True)
        group.attrs["time"] = np.float64(0.5)
        jets = group.create_dataset("jets", data=records, chunks=(512,), compression="gzip")
        jets.attrs["units"] = np.array([b"GeV", b"", b""])
        jets.attrs["flag"] = True
        group["energy"] = np.round(rng.normal(size=(ROWS, 3)), 2)
        grows = group.create_dataset(
            "id", data=np.arange(ROWS), maxshape=(None,), chunks=(4096,), fletcher32=True
        )
        grows.attrs["of"] = jets.ref
        group["name"] = np.array([f"jet {k}" for k in range(ROWS)], h5py.string_dtype())
        group["other"] = np.arange(7)
        group["none"] = h5py.Empty("f4")
        group["scalar"] = 4.5
        file["same jets"] = jets
        file["soft"] = h5py.SoftLink("/particles/energy")
    return path


@pytest.fixture(scope="session")
def hepmc_file(tmp_path_factory):
    """A HepMC3 text of events with one vertex each, compressed with gzip."""
    rng = np.random.default_rng(4)
    lines = ["HepMC::Version 3.02.05", "HepMC::Asciiv3-START_EVENT_LISTING", "W Default"]
    for event in range(200):
        lines += [f"E {event} 1 3", "U GEV MM", "W 1.0000000000000000000000e+00"]
        lines.append("P 1 0 21 0.0e+00 0.0e+00 6.5e+03 6.5e+03 0.0e+00 4")
        lines.append("V -1 0 [1]")
        for particle in (2, 3):
            px, py, pz = (f"{x:.16e}" for x in rng.normal(scale=20, size=3))
            lines.append(
                f"P {particle} -1 {13 if particle == 2 else -13} {px} {py} {pz} 5.0e+01 0.0e+00 1"
            )
    lines += ["HepMC::Asciiv3-END_EVENT_LISTING", ""]
    path = tmp_path_factory.mktemp("hepmc") / "example.hepmc3.gz"
    path.write_bytes(gzip.compress("\n".join(lines).encode(), mtime=0))
    return path


@pytest.fixture(scope="session")
def other_file(tmp_path_factory):
    """A file that no reader knows."""
    path = tmp_path_factory.mktemp("other") / "notes.txt"
    path.write_bytes(b"nothing of physics in here, but text again and again\n" * 200)
    return path
