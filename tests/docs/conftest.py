"""Fixtures of the documentation's tests: a folder with the files that examples name."""

from __future__ import annotations

import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest

import vortex_hep
from vortex_hep.testing.examples import write_example

#: Names under which guides have the example files.
COPIES = {
    ("nano.vxc", "dy_1.vxc", "dy_2.vxc", "data/nano.vxc"): "c.vxc",
    ("tt.root",): "a.root",
    ("train/jets.vxc",): "jets.vxc",
}
GOLDEN = Path(__file__).parents[1] / "golden" / "files"


def _write_jets(path, jets=2000, tracks=8):
    """Jets with lists of tracks of a fixed length, as flavour-tagging files have them."""
    random = np.random.default_rng(3)
    jet = np.zeros(jets, [("pt", "<f4"), ("eta", "<f4"), ("flavour", "<i4"), ("n_tracks", "<i4")])
    jet["pt"] = random.exponential(5e4, jets).round(-1)
    jet["eta"] = random.normal(0, 1, jets)
    jet["flavour"] = random.choice([0, 4, 5], jets)
    jet["n_tracks"] = random.integers(0, tracks, jets)
    track = np.zeros((jets, tracks), [("d0", "<f4"), ("valid", "?")])
    track["valid"] = np.arange(tracks) < jet["n_tracks"][:, None]
    track["d0"][track["valid"]] = random.normal(0, 1, track["valid"].sum()).round(3)
    with h5py.File(path, "w") as f:
        f.create_dataset("jets", data=jet, chunks=(250,), compression="gzip", shuffle=True)
        f.create_dataset("tracks", data=track, chunks=(250, tracks), compression="gzip")
        f["jets"].attrs["generator"] = "none: random numbers"


@pytest.fixture(scope="session")
def prepared(tmp_path_factory, example_model):
    """Small files, their model and their archives.

    ``a.root``, ``b.root`` and ``c.root`` are NanoAOD-like, ``ttbar.vxm`` is a model of them;
    ``jets.h5`` has jets and tracks. ``c.vxc`` and ``jets.vxc`` are archives, and those with other
    names copies of them; ``events.vxc`` is one of HepMC text.
    """
    folder = tmp_path_factory.mktemp("examples")
    for seed, name in enumerate("abc", start=1):
        write_example(folder / f"{name}.root", events=120, seed=seed)
    _write_jets(folder / "jets.h5")
    none = vortex_hep.Model({})
    for source in ("c.root", "jets.h5"):
        target = (folder / source).with_suffix(".vxc")
        vortex_hep.compress_file(folder / source, target, model=none, effort="fast", check=False)
    example_model.save(folder / "ttbar.vxm")
    for names, source in COPIES.items():
        for name in names:
            (folder / name).parent.mkdir(exist_ok=True)
            shutil.copyfile(folder / source, folder / name)
    shutil.copyfile(GOLDEN / "events.hepmc3.vxc", folder / "events.vxc")
    return folder


@pytest.fixture
def example_folder(prepared, tmp_path, monkeypatch):
    """A copy of these files, as the current folder."""
    folder = tmp_path / "work"
    shutil.copytree(prepared, folder)
    monkeypatch.chdir(folder)
    return folder
