"""The example file: events of the toy generator as trees of a NanoAOD file."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

from vortex_hep.errors import OutputError
from vortex_hep.testing.examples.collections import Collection
from vortex_hep.testing.examples.event import (
    RUN,
    hard_process,
    identity,
    missing_momentum,
    pileup,
    triggers,
)
from vortex_hep.testing.examples.generator import generate
from vortex_hep.testing.examples.jets import generated_jets, reconstructed_jets
from vortex_hep.testing.examples.kinematics import Array
from vortex_hep.testing.examples.leptons import ELECTRON, MUON, leptons, link_to_jets

#: Events made and written at a time; each block becomes one basket per branch.
BLOCK = 2000

#: Columns that only serve to build the others.
INTERNAL = ("parton",)


def write_example(
    path: str | os.PathLike[str], *, events: int = 2500, seed: int = 1, overwrite: bool = False
) -> None:
    """Write a NanoAOD-like ROOT file of simulated top-quark pairs.

    The columns depend on one another as in a real file: particles list their mothers and repeat
    their momenta, jets point to generated jets and leptons, scores follow flavours, trigger bits
    follow the objects, and mantissas are rounded as CMS does.

    Parameters
    ----------
    path : path
        File to write.
    events : int
        Number of events, at least 1; 1000 events are about 2.5 MB of columns.
    seed : int
        Seed of the random numbers. The same seed gives the same columns, bit for bit, with the
        same NumPy; the bytes of the file differ, as ROOT files carry a time and an identifier.
    overwrite : bool
        Whether to replace ``path`` if it exists.

    Raises
    ------
    OutputError
        If ``path`` exists and may not be replaced, or cannot be written.
    """
    import uproot

    target = Path(path)
    if target.exists() and not overwrite:
        raise OutputError(
            "file exists already", path=str(target), hint="overwrite=True replaces it"
        )
    if not target.parent.is_dir():
        # uproot would make the folder, and a misspelt one would go unnoticed.
        raise OutputError("its folder does not exist", path=str(target))
    partial = target.with_name(f".{target.name}.part")
    rng = np.random.default_rng(seed)
    try:
        with uproot.recreate(partial, compression=uproot.LZMA(9)) as file:
            weights = np.zeros(2)
            first = int(rng.integers(1, 1_000_000))
            for start in range(0, events, BLOCK):
                scalars, collections = make_events(min(BLOCK, events - start), first + start, rng)
                weights += _sums(scalars["genWeight"])
                _append(file, scalars, collections)
            runs: dict[str, Array] = {
                "run": np.array([RUN], np.uint32),
                "genEventCount": np.array([events], np.int64),
                "genEventSumw": weights[:1],
                "genEventSumw2": weights[1:],
            }
            # mktree, as plain assignment makes an RNTuple in some versions of uproot.
            file.mktree("Runs", {name: data.dtype for name, data in runs.items()})
            file["Runs"].extend(runs)
        partial.replace(target)
    except OSError as error:
        raise OutputError(f"cannot write: {error.strerror}", path=str(target)) from error
    finally:
        partial.unlink(missing_ok=True)


def make_events(
    events: int, first: int, rng: np.random.Generator
) -> tuple[dict[str, Array], dict[str, Collection]]:
    """One block of events.

    Parameters
    ----------
    events : int
    first : int
        Number of the first event.
    rng : numpy.random.Generator

    Returns
    -------
    dict of str to array, shape (events,)
        Event scalars by branch name.
    dict of str to Collection
        Collections by name.
    """
    truth = generate(events, rng)
    conditions = pileup(events, rng)
    muons, electrons = leptons(truth, MUON, rng), leptons(truth, ELECTRON, rng)
    gen_jets = generated_jets(truth, rng)
    rho = conditions["Rho_fixedGridRhoFastjetAll"].astype(np.float64)
    jets = reconstructed_jets(gen_jets, {"muon": muons, "electron": electrons}, rho, rng)
    link_to_jets(muons, jets)
    link_to_jets(electrons, jets)
    particles, present = truth.particles.columns()
    collections = {
        "GenPart": Collection(particles, present),
        "GenJet": gen_jets,
        "Jet": jets,
        "Muon": muons,
        "Electron": electrons,
    }
    met = missing_momentum(truth, jets, rng)
    scalars = identity(events, first, rng) | conditions | hard_process(truth, rng) | met
    return scalars | triggers(collections, met["MET_pt"], rng), collections


def _append(file: Any, scalars: dict[str, Array], collections: dict[str, Collection]) -> None:
    """Write one block of events to the tree, making the tree at the first."""
    import awkward as ak

    block: dict[str, Any] = dict(scalars)
    for name, collection in collections.items():
        counts = collection.counts()
        block[name] = ak.zip(
            {
                column: ak.unflatten(collection.flat(column), counts)
                for column in collection.columns
                if column not in INTERNAL
            }
        )
    if "Events" not in file:
        types = {
            name: data.dtype if isinstance(data, np.ndarray) else data.type
            for name, data in block.items()
        }
        file.mktree("Events", types)
    file["Events"].extend(block)


def _sums(weights: Array) -> Array:
    """Sum of the weights and of their squares."""
    exact = weights.astype(np.float64)
    return np.array([exact.sum(), (exact**2).sum()])
