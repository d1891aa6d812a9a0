"""Fixtures of the public interface's tests: files, models and archives."""

from __future__ import annotations

import numpy as np
import pytest

import vortex_hep

from .files import write_odd, write_twins


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


@pytest.fixture(scope="session")
def odd_file(tmp_path_factory):
    return write_odd(tmp_path_factory.mktemp("odd") / "odd.root")


@pytest.fixture(scope="session")
def twins_model(tmp_path_factory):
    """A small model of twins files."""
    path = write_twins(tmp_path_factory.mktemp("twins") / "train.root", 4000, 1)
    options = vortex_hep.TrainOptions(effort="fast", seconds=0.3, expected_rows=10**7)
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
def plain_archive(tmp_path_factory):
    """Bytes of a small archive without a network."""
    folder = tmp_path_factory.mktemp("plain")
    source = write_twins(folder / "twins.root", 60, 2)
    vortex_hep.compress_file(source, folder / "a.vxc", model=vortex_hep.Model({}), threads=1)
    return (folder / "a.vxc").read_bytes()


@pytest.fixture(scope="session", params=["classical", "network", "not embedded"])
def example_archive(request, tmp_path_factory, example_file, example_model):
    """The example as archives of every kind, in several clusters: (path, model to read with)."""
    from vortex_hep.archive import compress as compressing

    path = tmp_path_factory.mktemp("archive") / "example.vxc"
    model = vortex_hep.Model({}) if request.param == "classical" else example_model
    embed = request.param != "not embedded"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compressing, "CLUSTER_BYTES", 150_000)
        vortex_hep.compress_file(example_file, path, model=model, effort="fast", embed_model=embed)
    return path, None if embed else model
