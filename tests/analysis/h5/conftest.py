"""Fixtures of the HDF5 view's tests: files, their archives, and counters of decoded chunks."""

from __future__ import annotations

import h5py
import numpy as np
import pytest

import vortex_hep
from tests.xrootd import xrootd, xrootd_base  # noqa: F401 - fixtures
from vortex_hep.archive import compress as compressing
from vortex_hep.nn.coding.treecoder import TreeDecoder


def _compress(source, path, *, cluster_bytes=200_000):
    """Make an archive of several clusters without training."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compressing, "CLUSTER_BYTES", cluster_bytes)
        vortex_hep.compress_file(
            source, path, model=vortex_hep.Model({}), effort="fast", check=False
        )
    return path


@pytest.fixture(scope="session")
def make_archive():
    return _compress


def _write_flavtag(path, jets=3000, tracks=8):
    """Jets, and tracks that are filled up to a fixed number, as flavour-tagging files have them."""
    random = np.random.default_rng(11)
    jet = np.zeros(jets, [("pt", "<f4"), ("eta", "<f2"), ("flavour", "<i4"), ("n_tracks", "<u1")])
    jet["pt"] = random.exponential(5e4, jets).round(-1)
    jet["eta"] = random.normal(0, 1, jets)
    jet["flavour"] = random.choice([0, 4, 5], jets)
    jet["n_tracks"] = random.integers(0, tracks, jets)
    track = np.zeros((jets, tracks), [("d0", "<f4"), ("hits", "<u1"), ("valid", "?")])
    track["d0"], track["hits"] = np.nan, 255
    filled = np.arange(tracks) < jet["n_tracks"][:, None]
    track["d0"][filled] = random.normal(0, 1, filled.sum()).round(3)
    track["hits"][filled] = random.integers(0, 9, filled.sum())
    track["valid"] = filled
    with h5py.File(path, "w") as f:
        f.create_dataset("jets", data=jet, chunks=(250,), compression="gzip", shuffle=True)
        f.create_dataset("tracks", data=track, chunks=(250, tracks), compression="lzf")
        f["jets"].attrs["flavour_label"] = ["ujets", "cjets", "bjets"]
        f.create_dataset("bookkeeper/counts", data=np.array([(7, 1.5)], "<i8,<f8"))
        f.attrs["tag"] = "p5627"
    return path


@pytest.fixture(scope="session")
def flavtag(tmp_path_factory):
    """Folder with ``jets.h5`` and ``jets.vxc``, an archive of several clusters."""
    folder = tmp_path_factory.mktemp("flavtag")
    _compress(_write_flavtag(folder / "jets.h5"), folder / "jets.vxc", cluster_bytes=24_000)
    return folder


@pytest.fixture
def pair(flavtag):
    """The file by h5py, and its archive."""
    with h5py.File(flavtag / "jets.h5") as f, vortex_hep.h5(flavtag / "jets.vxc") as g:
        yield f, g


def _same(a, b, what=""):
    """Assert that h5py's answer and ours are the same in type, shape and every bit."""
    assert type(a) is type(b), what
    if isinstance(a, dict):
        assert list(a) == list(b), what
        for key in a:
            _same(a[key], b[key], f"{what}@{key}")
        return
    if not isinstance(a, (np.ndarray, np.generic)):
        assert repr(a) == repr(b), what
        return
    assert a.dtype == b.dtype, what
    assert a.shape == b.shape, what
    if a.dtype.names:
        first, second = np.asarray(a), np.asarray(b)
        for name in a.dtype.names:
            _same(np.asarray(first[name]), np.asarray(second[name]), f"{what}.{name}")
    elif a.dtype.hasobject:
        assert repr(a.tolist()) == repr(b.tolist()), what
    else:
        assert a.tobytes() == b.tobytes(), what


@pytest.fixture(scope="session")
def same():
    return _same


@pytest.fixture
def decoded(monkeypatch):
    """Set of what is decoded during the test, as (chunk of the archive, its plan)."""
    seen: set[tuple[int, str]] = set()
    decode = TreeDecoder.decode

    def count(self, payloads, chunks, *args, **options):
        seen.update((int(chunks[plan]["id"]), plan) for plan in payloads)
        return decode(self, payloads, chunks, *args, **options)

    monkeypatch.setattr(TreeDecoder, "decode", count)
    return seen
