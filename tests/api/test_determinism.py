"""Tests of determinism: the same input gives the same bytes, whatever the machine's load."""

from dataclasses import replace

import pytest

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


@pytest.mark.slow
def test_models_do_not_depend_on_threads(tmp_path):
    source = tmp_path / "train.root"
    write_example(source, events=120, seed=4)
    options = vortex_hep.TrainOptions(
        tables=("(event)", "Muon"), effort="fast", seconds=0.2, seed=3, expected_rows=10**8
    )

    def made(**other):
        model = vortex_hep.train([source], options=replace(options, **other))
        assert {"", "Muon"} <= model.trees["Events"].keys()
        return model.sha256

    first = made(threads=1)
    assert made(threads=2) == first
    assert made(threads=1, seed=4) != first
