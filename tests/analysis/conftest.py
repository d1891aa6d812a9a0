"""Fixtures of the analysis tests: archives, and counters of decoded columns."""

from __future__ import annotations

from typing import Any

import pytest

import vortex_hep
from tests.xrootd import xrootd, xrootd_base  # noqa: F401 - fixtures
from vortex_hep.archive import compress as compressing
from vortex_hep.models import find as modelfinding
from vortex_hep.nn.coding.treecoder import TreeDecoder
from vortex_hep.testing.examples import write_example


def compress(source, path, *, cluster_bytes=60_000, **options):
    """Make an archive of several clusters without training."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compressing, "CLUSTER_BYTES", cluster_bytes)
        options = {"model": vortex_hep.Model({}), "effort": "fast", "check": False, **options}
        vortex_hep.compress_file(source, path, **options)
    return path


@pytest.fixture(scope="session")
def make_archive():
    return compress


@pytest.fixture(scope="session")
def dataset(tmp_path_factory):
    """Folder with ``a.root, b.root`` of 120 events each, and their archives."""
    folder = tmp_path_factory.mktemp("dataset")
    for name, seed in (("a", 7), ("b", 9)):
        write_example(folder / f"{name}.root", events=120, seed=seed)
        compress(folder / f"{name}.root", folder / f"{name}.vxc")
    return folder


@pytest.fixture(scope="session")
def model(example_model):
    """A model whose tables depend on one another."""
    return example_model


@pytest.fixture(scope="session")
def nameless_archive(dataset, model, tmp_path_factory):
    """An archive that names a model and neither holds it nor lies beside it."""
    path = tmp_path_factory.mktemp("nameless") / "a.vxc"
    return compress(dataset / "a.root", path, model=model, embed_model=False)


@pytest.fixture(scope="session")
def cluster():
    """Two worker processes of dask."""
    from distributed import LocalCluster

    with LocalCluster(
        n_workers=2, threads_per_worker=1, dashboard_address="127.0.0.1:0"
    ) as workers:
        yield workers


@pytest.fixture(autouse=True)
def no_models(monkeypatch):
    """A process that has loaded no model yet."""
    monkeypatch.setattr(modelfinding, "_models", type(modelfinding._models)())


class Decoded(list[Any]):
    """Chunks that were decoded, one by one, as (number, checksum, plan)."""

    @property
    def plans(self):
        return {plan for _, _, plan in self}


@pytest.fixture
def decoded(monkeypatch):
    """List of what is decoded during the test."""
    seen = Decoded()
    decode = TreeDecoder.decode

    def count(self, payloads, chunks, lanes, known=None):
        seen.extend((int(chunks[p]["id"]), int(chunks[p]["stored_xxh3"]), p) for p in payloads)
        return decode(self, payloads, chunks, lanes, known)

    monkeypatch.setattr(TreeDecoder, "decode", count)
    return seen
