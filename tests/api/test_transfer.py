"""Tests of models on other data than they were trained on: fine-tuning, new branches."""

from __future__ import annotations

import numpy as np
import pytest

import vortex_hep
from vortex_hep.models.options import TrainOptions


def jets(entries, seed, scale=30.0, extra=False):
    """Four columns of which three depend on one another."""
    rng = np.random.default_rng(seed)
    pt = rng.gamma(2.0, scale, entries).astype(np.float32)
    columns = {
        "pt": (pt.view(np.uint32) & 0xFFFFF000).view(np.float32),
        "area": (0.5 + 0.01 * np.log(pt) + rng.normal(0, 1e-3, entries)).astype(np.float16),
        "hits": rng.poisson(np.sqrt(pt)).astype(np.int16),
        "good": rng.random(entries) < 0.9,
    }
    if extra:
        columns["new"] = rng.normal(0, 1, entries).astype(np.float32)
    return columns


@pytest.fixture(scope="module")
def base():
    options = TrainOptions(effort="fast", threads=2)
    return vortex_hep.train([jets(30_000, 1), jets(30_000, 2)], options=options)


def stored(columns, model, path):
    report = vortex_hep.compress_file(
        columns, path, model=model, embed_model=False, overwrite=True, threads=2
    )
    assert vortex_hep.verify(path, model=model).ok
    return report


def test_a_model_of_several_sources_serves_others(base, tmp_path):
    report = stored(jets(20_000, 3), base, tmp_path / "a.vxc")
    assert {c["name"]: c["coder"] for c in report.columns}["hits"] == "network"


@pytest.mark.slow
def test_fine_tuning_beats_both_the_old_model_and_a_short_training(base, tmp_path):
    few, other = jets(4_000, 4, scale=45.0), jets(20_000, 5, scale=45.0)
    short = TrainOptions(effort="fast", seconds=0.5, threads=2)
    tuned = vortex_hep.train([few], options=TrainOptions(
        effort="fast", seconds=0.5, threads=2, base=base
    ))  # fmt: skip
    fresh = vortex_hep.train([few], options=short)
    assert tuned.sha256 not in (base.sha256, fresh.sha256)
    sizes = [
        stored(other, model, tmp_path / "a.vxc").stored_bytes for model in (tuned, fresh, base)
    ]
    assert sizes[0] == min(sizes)


def test_fine_tuning_takes_over_widths_and_fields(base):
    tuned = vortex_hep.train(
        [jets(5_000, 6, extra=True)],
        options=TrainOptions(effort="fast", seconds=0.2, threads=2, base=base),
    )
    (old,) = base.table_models("arrays").values()
    (new,) = tuned.table_models("arrays").values()
    assert (new.shape.hidden, new.shape.head) == (old.shape.hidden, old.shape.head)
    before = {f.columns: f for f in old.fields}
    for f in new.fields:
        if f.columns in before:
            assert f.segments.start.tolist() == before[f.columns].segments.start.tolist()
    assert ("new",) in {f.columns for f in new.fields}


def test_other_branches_are_told(base, tmp_path):
    columns = jets(5_000, 7, extra=True)
    columns.pop("hits")
    columns["area"] = columns["area"].astype(np.float64)
    report = stored(columns, base, tmp_path / "a.vxc")
    told = "\n".join(report.messages)
    assert "lacks 1 of the model's branches: 'hits'" in told
    assert "1 branches of another type" in told
    assert "'area'" in told
    assert "'new'" in told
