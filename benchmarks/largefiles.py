"""Large test files of every kind, written quickly by repeating blocks of simulated events.

The blocks differ from one another and are not trivially constant, and each is larger than what is
compressed at once, so that for memory and speed such a file is like one that never repeats.
"""

from __future__ import annotations

import gzip
from collections.abc import Callable, Iterator
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np

from vortex_hep.testing.examples.collections import Collection
from vortex_hep.testing.examples.nanoaod import INTERNAL, make_events

#: Distinct blocks, and events or rows in each.
BLOCKS = 3
EVENTS = 5000
ROWS = 1 << 20
#: Events of HepMC text in a block, and particles in each.
TEXT_EVENTS = 1000
PARTICLES = 100
#: Bytes of a block of a file that no reader knows.
OPAQUE = 1 << 25


def write_large(kind: str, path: Path, size: int) -> None:
    """Write a file of at least ``size`` bytes of one of :data:`KINDS`."""
    KINDS[kind](path, size)


def _blocks() -> list[dict[str, Any]]:
    import awkward as ak

    out = []
    for number in range(BLOCKS):
        rng = np.random.default_rng(number)
        scalars, collections = make_events(EVENTS, 1 + number * EVENTS, rng)
        block: dict[str, Any] = dict(scalars)
        for name, collection in collections.items():
            block[name] = ak.zip(_jagged(collection))
        out.append(block)
    return out


def _jagged(collection: Collection) -> dict[str, Any]:
    import awkward as ak

    counts = collection.counts()
    return {
        name: ak.unflatten(collection.flat(name), counts)
        for name in collection.columns
        if name not in INTERNAL
    }


def _write_root(path: Path, size: int) -> None:
    import uproot

    with uproot.recreate(path, compression=uproot.LZ4(1)) as file:
        tree = None
        for block in cycle(_blocks()):
            if tree is None:
                types = {n: getattr(v, "dtype", None) or v.type.content for n, v in block.items()}
                tree = file.mktree("Events", types)
            tree.extend(block)
            if path.stat().st_size >= size:
                return


def _write_rntuple(path: Path, size: int) -> None:
    import uproot

    with uproot.recreate(path, compression=uproot.LZ4(1)) as file:
        ntuple = None
        for block in cycle(_blocks()):
            if ntuple is None:
                ntuple = file.mkrntuple("Events", block)
            else:
                ntuple.extend(block)
            if path.stat().st_size >= size:
                return


def _write_hdf5(path: Path, size: int) -> None:
    import h5py

    rng = np.random.default_rng(1)
    blocks = []
    for _ in range(BLOCKS):
        walk = np.cumsum(rng.normal(size=(ROWS, 3)), axis=0)
        blocks.append(
            {
                "Coordinates": np.float32(walk),
                "Masses": np.float32(rng.exponential(size=ROWS)),
                "ParticleIDs": np.cumsum(rng.integers(1, 9, ROWS)).astype(np.uint32),
            }
        )
    with h5py.File(path, "w") as file:
        group = file.create_group("PartType0")
        for name, data in blocks[0].items():
            group.create_dataset(
                name, (0, *data.shape[1:]), data.dtype, chunks=(1 << 14, *data.shape[1:]),
                maxshape=(None, *data.shape[1:]), compression="gzip", compression_opts=1,
                shuffle=True,
            )  # fmt: skip
        for block in cycle(blocks):
            for name, data in block.items():
                rows = len(group[name])
                group[name].resize(rows + ROWS, axis=0)
                group[name][rows:] = data
            file.flush()
            if path.stat().st_size >= size:
                return


def _texts() -> list[bytes]:
    out = []
    for number in range(BLOCKS):
        rng = np.random.default_rng(number)
        lines = []
        for event in range(TEXT_EVENTS):
            p = rng.normal(scale=30, size=(PARTICLES, 3))
            energy = np.sqrt((p**2).sum(axis=1) + 0.0195)
            lines.append(f"E {event} 1 {PARTICLES}\nU GEV MM\nW {rng.random():.16e}\n")
            lines += [
                f"P {i + 1} {-1 if i > 1 else 0} {pid} {x:.16e} {y:.16e} {z:.16e} {e:.16e}"
                f" 1.3957018000000000e-01 {1 if i > 1 else 4}\n"
                + ("V -1 0 [1,2]\n" if i == 1 else "")
                for i, (pid, (x, y, z), e) in enumerate(
                    zip(rng.choice([211, -211, 22], PARTICLES), p, energy, strict=True)
                )
            ]
        out.append("".join(lines).encode())
    return out


def _text_pieces(size: int) -> Iterator[bytes]:
    head = b"HepMC::Version 3.02.05\nHepMC::Asciiv3-START_EVENT_LISTING\n"
    yield head
    written = len(head)
    for text in cycle(_texts()):
        yield text
        written += len(text)
        if written >= size:
            break
    yield b"HepMC::Asciiv3-END_EVENT_LISTING\n\n"


def _write_hepmc(path: Path, size: int) -> None:
    with path.open("wb") as file:
        file.writelines(_text_pieces(size))


def _write_hepmc_gz(path: Path, size: int) -> None:
    """Here ``size`` is that of the text, as it is what is worked on."""
    with gzip.open(path, "wb", compresslevel=1) as file:
        file.writelines(_text_pieces(size))


def _write_opaque(path: Path, size: int) -> None:
    rng = np.random.default_rng(1)
    records = np.zeros(OPAQUE // 32, [("number", "<u8"), ("flags", "u1", 8), ("name", "S16")])
    records["number"] = np.arange(len(records))
    records["flags"] = rng.binomial(2, 0.05, (len(records), 8))
    records["name"] = rng.choice([b"muon", b"electron", b"photon"], len(records))
    with path.open("wb") as file:
        while file.tell() < size:
            file.write(records.tobytes())
            records["number"] += len(records)


#: How a file of each kind is written.
KINDS: dict[str, Callable[[Path, int], None]] = {
    "root": _write_root,
    "rntuple": _write_rntuple,
    "hdf5": _write_hdf5,
    "hepmc": _write_hepmc,
    "hepmc-gz": _write_hepmc_gz,
    "opaque": _write_opaque,
}
