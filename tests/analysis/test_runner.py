"""Tests of coffea's Runner: the same histograms on archives as on ROOT files."""

import pickle
from typing import Any

import pytest
from coffea import processor
from coffea.nanoevents import NanoAODSchema
from distributed import Client

import vortex_hep
from tests.analysis.processors import Dimuon, Failing
from vortex_hep.analysis.coffea.runner import Runner
from vortex_hep.errors import ChangedError, MissingError, ModelMismatchError, VortexError

pytestmark = [
    pytest.mark.filterwarnings("ignore:Missing cross-reference:RuntimeWarning"),
    pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning"),
]


def fileset(folder, suffix):
    return {"DY": [f"{folder}/a.{suffix}"], "tt": [f"{folder}/b.{suffix}"]}


def run(executor, files, what=None, **options):
    options = {"metadata_cache": {}, "schema": NanoAODSchema, "chunksize": 25, **options}
    return Runner(executor=executor, **options)(files, what or Dimuon(), treename="Events")


def iterative():
    return processor.IterativeExecutor(status=False, retries=0)


@pytest.fixture(scope="module")
def truth(dataset):
    """What coffea's own runner gives of the ROOT files."""
    runner = processor.Runner(executor=iterative(), chunksize=40, metadata_cache={})
    return runner(fileset(dataset, "root"), Dimuon(), treename="Events")


def assert_equal(found, expected):
    assert found["events"] == expected["events"]
    for name in ("mass", "jets"):
        assert sorted(found[name].axes[0]) == sorted(expected[name].axes[0])
        for dataset in expected[name].axes[0]:
            assert found[name][dataset, :] == expected[name][dataset, :]
        assert expected[name].sum(flow=True) != 0


def test_iterative(dataset, truth):
    assert truth["events"] == {"DY": 120, "tt": 120}
    assert_equal(run(iterative(), fileset(dataset, "vxc")), truth)


@pytest.mark.slow
def test_futures(dataset, truth):
    executor = processor.FuturesExecutor(workers=2, status=False)
    assert_equal(run(executor, fileset(dataset, "vxc")), truth)


def test_dask(dataset, truth, cluster):
    with Client(cluster) as client:
        executor = processor.DaskExecutor(client=client, status=False)
        assert_equal(run(executor, fileset(dataset, "vxc")), truth)


def test_archives_beside_root_files(dataset, truth):
    files = {
        "DY": {"files": {f"{dataset}/a.vxc": "Events"}},
        "tt": {"files": {f"{dataset}/b.root": "Events"}},
    }
    assert_equal(run(iterative(), files), truth)


def test_chunks_end_with_clusters(dataset):
    with vortex_hep.open(dataset / "a.vxc") as archive:
        ends = {stop for _, stop in archive["Events"].cluster_ranges(0)}
    files = {"DY": [f"{dataset}/a.vxc"]}
    runner = Runner(executor=iterative(), chunksize=25, metadata_cache={})
    chunks = list(runner.preprocess(files, treename="Events"))
    assert len(chunks) > 2
    assert {c.entrystop for c in chunks} <= ends
    assert [c.entrystart for c in chunks] == [0, *(c.entrystop for c in chunks[:-1])]
    even = Runner(executor=iterative(), chunksize=25, metadata_cache={}, align_archives=False)
    assert [len(c) for c in even.preprocess(files, treename="Events")] == [24] * 5


def test_what_was_decoded_and_read(dataset, decoded):
    files = {"DY": [f"{dataset}/a.vxc"]}
    out, metrics = run(iterative(), files, savemetrics=True)
    assert out["events"] == {"DY": 120}
    assert decoded.plans == {"", "/scalars", "Jet", "Muon"}
    assert len(decoded) == len(set(decoded))
    assert metrics["entries"] == 120
    assert any(c.startswith("Muon_pt") for c in metrics["columns"])
    assert metrics["bytesread"] > 0


def test_a_cache_serves_the_second_run(dataset, tmp_path, decoded):
    files, options = {"DY": [f"{dataset}/a.vxc"]}, {"open_options": {"cache": str(tmp_path)}}
    first = run(iterative(), files, **options)
    decoded.clear()
    assert_equal(run(iterative(), files, **options), first)
    assert decoded == []


def test_failures_name_the_file(dataset, make_archive, tmp_path):
    with pytest.raises(MissingError, match=r"c\.vxc"):
        run(iterative(), {"x": [f"{dataset}/c.vxc"]})
    with pytest.raises(
        VortexError, match=r"a\.vxc, tree 'Events': the processor failed on entr"
    ) as e:
        run(iterative(), {"x": [f"{dataset}/a.vxc"]}, Failing())
    assert isinstance(e.value.__cause__, RuntimeError)
    assert isinstance(pickle.loads(pickle.dumps(e.value)), VortexError)
    with pytest.warns(UserWarning, match="Skipping bad file"):
        out = run(iterative(), {"DY": [f"{dataset}/c.vxc", f"{dataset}/a.vxc"]}, skipbadfiles=True)
    assert out["events"] == {"DY": 120}


def test_an_archive_that_is_replaced_meanwhile(dataset, make_archive, tmp_path):
    path = tmp_path / "x.vxc"
    cache: dict[Any, Any] = {}
    path.write_bytes((dataset / "a.vxc").read_bytes())
    run(iterative(), {"DY": [str(path)]}, metadata_cache=cache)
    path.write_bytes((dataset / "b.vxc").read_bytes())
    with pytest.raises(ChangedError, match="replaced while it was in use"):
        run(iterative(), {"DY": [str(path)]}, metadata_cache=cache)


def test_a_new_runner_knows_nothing_of_what_was_replaced(dataset, tmp_path):
    path = tmp_path / "x.vxc"
    for name in ("a", "b"):
        path.write_bytes((dataset / f"{name}.vxc").read_bytes())
        found = run(iterative(), {"DY": [str(path)]}, metadata_cache=None)
        expected = run(iterative(), {"DY": [f"{dataset}/{name}.vxc"]})
        assert_equal(found, expected)


def test_checkpoints(dataset):
    class Checkpoints(processor.checkpointer.CheckpointerABC):
        def __init__(self):
            self.kept = {}

        def key(self, metadata):
            return metadata["filename"], metadata["entrystart"]

        def load(self, metadata, processor_instance):
            return self.kept.get(self.key(metadata))

        def save(self, output, metadata, processor_instance):
            self.kept[self.key(metadata)] = output

    files, checkpoints = {"DY": [f"{dataset}/a.vxc"]}, Checkpoints()
    first = run(iterative(), files, checkpointer=checkpoints)
    assert len(checkpoints.kept) > 2
    assert_equal(run(iterative(), files, checkpointer=checkpoints), first)


def test_a_model_that_is_not_there(dataset, nameless_archive):
    with pytest.raises(ModelMismatchError, match=r"needs model .* there is no"):
        run(iterative(), {"DY": [str(nameless_archive)]})
