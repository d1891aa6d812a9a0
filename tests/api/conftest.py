"""Files, models and archives that the tests of the public interface share."""

from __future__ import annotations

from pathlib import Path

import awkward as ak
import numpy as np
import pytest
import uproot

import vortex_hep
from vortex_hep.examples import write_example

NAN_PAYLOADS = np.array(
    [0x7FC00001, 0xFFC12345, 0x80000000, 0x00000001, 0x7F800000, 0x7FA00001], np.uint32
).view(np.float32)


def _bits(array):
    if isinstance(array, np.ndarray) and array.dtype != object:
        return array.dtype.str, array.shape, array.tobytes()
    if isinstance(array, np.ndarray):
        return [_bits(item) for item in array]
    return array


@pytest.fixture(scope="session")
def bits():
    """What must be equal of two NumPy arrays: dtype, shape and every bit; lists for jagged ones."""
    return _bits


def write_odd(path: Path) -> Path:
    """Write what analyses meet rarely: NaN payloads, -0.0, fixed shapes, folders, empty trees."""
    rng = np.random.default_rng(5)
    n = 60
    counts = rng.integers(0, 4, n)
    flat = np.resize(NAN_PAYLOADS, counts.sum())
    arrays = {
        "f32": np.resize(NAN_PAYLOADS, n),
        "f64": np.where(np.arange(n) % 3 == 0, -0.0, rng.normal(size=n)),
        "flag": rng.random(n) < 0.5,
        "u64": rng.integers(0, 1 << 63, n, dtype=np.uint64) * 2 + 1,
        "i8": rng.integers(-128, 128, n).astype(np.int8),
        "matrix": rng.normal(size=(n, 3, 2)).astype(np.float32),
        "Jet": ak.zip({"pt": ak.unflatten(flat, counts)}),
    }
    with uproot.recreate(path, compression=uproot.ZLIB(1)) as file:
        types = {k: v.type if isinstance(v, ak.Array) else (v.dtype, v.shape[1:])
                 for k, v in arrays.items()}  # fmt: skip
        file.mktree("t", types, title="an odd tree")
        for start, stop in ((0, 25), (25, 60)):
            file["t"].extend({k: v[start:stop] for k, v in arrays.items()})
        file.mktree("folder/empty", {"x": np.float32, "y": np.int16})
        file["folder/hist"] = np.histogram(np.arange(10.0), bins=4)
        file["note"] = "some text"
    return path


@pytest.fixture(scope="session")
def odd_file(tmp_path_factory):
    return write_odd(tmp_path_factory.mktemp("odd") / "odd.root")


def write_twins(path: Path, events: int, seed: int, **more: np.ndarray) -> Path:
    """Write a collection whose second branch follows from its first: a network's easy win."""
    rng = np.random.default_rng(seed)
    counts = rng.integers(0, 5, events)
    a = rng.integers(0, 200, counts.sum()).astype(np.int16)
    b = (a * 7 + 3).astype(np.int16)
    with uproot.recreate(path) as file:
        twins = ak.unflatten(ak.zip({"a": a, "b": b}), counts)
        file.mktree("Events", {"T": twins.type, **{k: v.dtype for k, v in more.items()}})
        file["Events"].extend({"T": twins, **more})
    return path


@pytest.fixture(scope="session")
def twins_model(tmp_path_factory):
    """A small model of twins files."""
    path = write_twins(tmp_path_factory.mktemp("twins") / "train.root", 4000, 1)
    options = vortex_hep.TrainOptions(effort="fast", seconds=3, expected_rows=10**7)
    return vortex_hep.train([path], options=options)


@pytest.fixture(scope="session")
def twins_file(tmp_path_factory):
    return write_twins(tmp_path_factory.mktemp("twins") / "twins.root", 300, 2)


@pytest.fixture(scope="session")
def tiny_archive(tmp_path_factory, twins_model, twins_file):
    """Bytes of a small archive with a network, model included."""
    path = tmp_path_factory.mktemp("tiny") / "tiny.vxc"
    report = vortex_hep.compress_file(twins_file, path, model=twins_model, threads=1)
    assert "network" in {c["coder"] for c in report.columns}
    return path.read_bytes()


@pytest.fixture(scope="session")
def example_model(tmp_path_factory):
    """A model of files like the example."""
    path = tmp_path_factory.mktemp("train") / "train.root"
    write_example(path, events=300, seed=8)
    options = vortex_hep.TrainOptions(effort="fast", seconds=2)
    return vortex_hep.train([path], options=options)


@pytest.fixture(scope="session", params=["classical", "network", "not embedded"])
def example_archive(request, tmp_path_factory, example_file, example_model):
    """The example as archives of every kind, in several clusters: (path, model to read with)."""
    from vortex_hep import compressing

    path = tmp_path_factory.mktemp("archive") / "example.vxc"
    model = vortex_hep.Model({}) if request.param == "classical" else example_model
    embed = request.param != "not embedded"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compressing, "CLUSTER_BYTES", 150_000)
        vortex_hep.compress_file(
            example_file, path, model=model, effort="fast", embed_model=embed
        )
    return path, None if embed else model
