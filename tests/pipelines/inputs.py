"""Tiny files of every kind, placed where the experiments look for generated ones."""

import gzip

import awkward as ak
import h5py
import numpy as np
import uproot


def pair(rng, rows):
    """Two columns of which a coder that sees both needs half as much as one that sees each."""
    first = rng.integers(0, 256, rows)
    return first.astype("<f4"), (first + rng.integers(0, 4, rows)).astype("<f4")


def write_jets(path, jets=20_000, seed=0):
    rng = np.random.default_rng(seed)
    table = np.zeros(jets, [("pt", "<f4"), ("mass", "<f4"), ("flavour", "<i4")])
    table["pt"], table["mass"] = pair(rng, jets)
    table["pt"][::97] = np.frombuffer(b"\x01\x00\xc0\x7f", "<f4")  # NaN with a payload
    table["flavour"] = rng.choice([0, 4, 5], jets)
    tracks = np.zeros((jets, 2), [("d0", "<f2"), ("valid", "?")])
    tracks["valid"] = np.arange(2) < rng.integers(0, 3, jets)[:, None]
    tracks["d0"] = np.where(tracks["valid"], np.round(rng.normal(size=(jets, 2)), 1), np.nan)
    with h5py.File(path, "w") as file:
        file.create_dataset("jets", data=table, chunks=(100,), compression="gzip", shuffle=True)
        file.create_dataset("tracks", data=tracks, chunks=(100, 2), compression="gzip")
        file["jets"].attrs["note"] = "made"
        file["counts"] = np.arange(3)


def write_snapshot(path, particles=12_000, seed=0):
    rng = np.random.default_rng(seed)
    with h5py.File(path, "w") as file:
        for group, number in (("PartType0", particles), ("PartType1", particles // 2)):
            file[f"{group}/Density"], file[f"{group}/Energy"] = pair(rng, number)
            file[f"{group}/Velocities"] = rng.integers(0, 9, (number, 3)).astype("<f4")
        file.create_group("Header").attrs["Time"] = 1.0


def hepmc_text(events=1500, seed=0):
    rng = np.random.default_rng(seed)
    lines = ["HepMC::Version 3.02.06", "HepMC::Asciiv3-START_EVENT_LISTING"]
    for event in range(events):
        lines += [f"E {event} 1 6", "U GEV MM", "P 1 0 2212 0 0 7000 7000 0 4"]
        lines += ["P 2 0 2212 0 0 -7000 7000 0 4", "V -1 0 [1,2]"]
        for number, x in enumerate(rng.integers(-999, 999, 4)):
            kind, y = rng.choice([21, 1, 2]), x + rng.integers(0, 4)
            lines.append(f"P {3 + number} -1 {kind} {x} {y} {x} {abs(y)} 0 1")
    return "\n".join([*lines, "HepMC::Asciiv3-END_EVENT_LISTING", "", ""]).encode()


def write_frames(path, tracks=8000, seed=0):
    rng = np.random.default_rng(seed)
    with uproot.recreate(path) as file:
        for frame in (1, 2):
            first, second = pair(rng, tracks)
            index = np.arange(tracks, dtype="i4") // 5
            columns = {"fPt": first, "fSigned": second, "fIndexCollisions": index}
            file[f"DF_{frame}/O2track"] = columns


def write_events(path, events=6000, seed=0):
    rng = np.random.default_rng(seed)
    counts = rng.integers(0, 7, events)
    first, second = pair(rng, int(counts.sum()))
    with uproot.recreate(path) as file:
        jets = {"pt": first, "mass": second, "charge": rng.integers(-1, 2, len(first), "i4")}
        zipped = ak.zip({name: ak.unflatten(values, counts) for name, values in jets.items()})
        file["Events"] = {"event": np.arange(events, dtype="u8"), "Jet": zipped}
        file["Runs"] = {"run": np.array([1], "u4")}


def write_inputs(name, data):
    """Write what an experiment falls back to."""
    folder = data / "generated"
    for sub in ("ftag", "camels", "hepmc", "nanoaod", "alice"):
        (folder / sub).mkdir(parents=True, exist_ok=True)
    if name == "atlas_ftag":
        write_jets(folder / "ftag" / "mc-flavtag-ttbar-like.h5")
    elif name == "camels":
        write_snapshot(folder / "camels" / "snap_train.hdf5", seed=1)
        write_snapshot(folder / "camels" / "snap_test.hdf5", seed=2)
    elif name == "hepmc":
        for seed, file in enumerate(("ttbar.hepmc3.gz", "ttbar_test.hepmc3.gz")):
            (folder / "hepmc" / file).write_bytes(gzip.compress(hepmc_text(seed=seed)))
    elif name == "alice":
        write_frames(folder / "alice" / "AO2D_train.root", seed=1)
        write_frames(folder / "alice" / "AO2D_test.root", seed=2)
    else:
        write_events(folder / "nanoaod" / "ttbar_train.root", seed=1)
        write_events(folder / "nanoaod" / "ttbar_test.root", seed=2)
