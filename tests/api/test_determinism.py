"""Tests of determinism: the same input gives the same bytes, whatever the machine's load."""

import vortex_hep
from vortex_hep.archive import compress as compressing
from vortex_hep.testing.examples import write_example


def test_archives_do_not_depend_on_threads(example_file, example_model, tmp_path, monkeypatch):
    monkeypatch.setattr(compressing, "CLUSTER_BYTES", 150_000)
    made = set()
    for threads in (1, 2, 2):
        path = tmp_path / "a.vxc"
        vortex_hep.compress_file(
            example_file, path, model=example_model, threads=threads, effort="fast", overwrite=True
        )
        made.add(path.read_bytes())
    assert len(made) == 1


def test_models_do_not_depend_on_threads(tmp_path):
    source = tmp_path / "train.root"
    write_example(source, events=200, seed=4)
    made = set()
    for threads in (1, 2):
        options = vortex_hep.TrainOptions(effort="fast", passes=1, threads=threads, seed=3)
        made.add(vortex_hep.train([source], options=options).sha256)
    other = vortex_hep.TrainOptions(effort="fast", passes=1, threads=2, seed=4)
    assert len(made) == 1
    assert vortex_hep.train([source], options=other).sha256 not in made
