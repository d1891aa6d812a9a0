"""Tests of fitting transformers: which tables, how long, and trainings that go wrong."""

import time
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from vortex_hep.codec.plan import CORE, REST, Plan
from vortex_hep.core.schema import ColumnSpec, TableData, VarBytes
from vortex_hep.errors import UnsupportedFeatureError
from vortex_hep.nn.event.training.prepare import TableSample
from vortex_hep.nn.loop.options import LoopResult
from vortex_hep.nn.loop.recipes import load_recipe
from vortex_hep.nn.sequence import fit as fitting
from vortex_hep.nn.sequence.fit import fit_sequences, snapshot_path
from vortex_hep.nn.sequence.jobs import MEASURED, Job, check_recipe, job_of, why_not
from vortex_hep.nn.transformer import CATWrapper, OptimisedCompressiveTransformer
from vortex_hep.nn.transformer.config import TransformerConfig

RECIPE = replace(
    load_recipe("laptop_cpu"),
    transformer=TransformerConfig(
        d_model=16, n_layers=1, n_heads=2, d_ff=16, window=32, chunk_sizes=(32,), dropout=0.0
    ),
    batch=8, lane_tokens=32, steps=3, warmup=1, eval_every=3, precision="float32", seconds=None,
)  # fmt: skip


def sample(name=REST, rows=40_000, **columns):
    """A table of a byte that varies, a constant one and text, or of other columns."""
    data = columns or {"x": np.arange(rows).astype(np.uint8), "same": np.zeros(rows, np.int16)}
    rows = len(next(iter(data.values())))
    text = VarBytes(np.zeros(rows + 1, np.int64), np.zeros(0, np.uint8))
    specs = tuple(ColumnSpec(n, c.dtype.str, c.shape[1:]) for n, c in data.items())
    plan = Plan(name, "", tuple(data))
    return TableSample(plan, specs, TableData(np.arange(rows + 1), {**data, "text": text}))


def fit(*samples, recipe=RECIPE, **options):
    return fit_sequences([*samples], recipe, **options)


class Labels:
    """Progress that remembers the labels of tasks, and what was noted."""

    def __init__(self):
        self.seen = []

    def task(self, label, total, unit="B"):
        self.seen.append(label)
        return self

    def __enter__(self):
        return self

    def __exit__(self, *_):
        return None

    def advance(self, n=1, **postfix):
        pass

    def note(self, text):
        self.seen.append(text)


def test_what_is_left_to_others_and_why():
    wide = np.random.default_rng(1).integers(0, 256, (9, 20_000)).astype(np.uint8)
    for given, message in (
        (sample(rows=70_000), None),
        (sample(rows=1), "table 'event' has no rows"),
        (sample(CORE, rows=400), "table 'counters' has 400 bytes that vary, and 65,536 are the"),
        (sample("Jet", same=np.zeros(99_999, np.int64)), "table 'Jet' has 0 bytes that vary"),
        (sample("Jet", wide=wide), "'Jet' has rows of 20,000 bytes that vary, and 16,384"),
        (sample("Jet", x=np.arange(70_000, dtype=np.uint16)), None),
    ):
        found = why_not(given, RECIPE)
        assert (found is None) == (message is None)
        assert message is None or message in str(found)
    found = why_not(sample(rows=66_000), replace(RECIPE, lane_tokens=65_000))
    assert "fewer rows than a lane of the recipe, 65,000" in str(found)


def test_rows_that_are_held_out_come_last_and_are_bounded():
    for rows in (2, 9, 70_000, 8_000_000):
        some = job_of(sample(rows=70_000), RECIPE)
        assert isinstance(some, Job)
        job = Job(sample(rows=rows), {}, some.layout, "event")
        assert 0 < job.cut < job.held_out.stop <= rows
        assert job.held_out.stop - job.cut <= MEASURED


def test_recipes_without_a_form_in_integers_are_refused_at_once():
    config = RECIPE.transformer
    for changed, message in (
        ({"norm": "layer", "feed_forward": "gelu"}, "norm must be rms; feed_forward must be"),
        ({"eviction": "strided"}, "eviction must be lte"),
        ({"d_ff": 1 << 15}, "d_ff must be at most 16384"),
        ({"d_model": 2048, "n_heads": 1}, "d_model / n_heads must be at most 1024"),
    ):  # fmt: skip
        with pytest.raises(UnsupportedFeatureError, match=message):
            fit(sample(), recipe=replace(RECIPE, transformer=replace(config, **changed)))
    check_recipe(replace(RECIPE, transformer=replace(config, memory=False, eviction="strided")))


@pytest.mark.slow
def test_tables_have_files_and_labels_of_their_own(tmp_path):
    seen = Labels()
    fits = fit(
        sample(rows=70_000), sample("a/b", rows=70_000), sample("few", rows=9),
        progress=seen, checkpoint=tmp_path / "run.vxw", log_dir=None,
    )  # fmt: skip
    assert list(fits) == [REST, "a/b"]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["run.a_b.vxw", "run.event.vxw"]
    assert snapshot_path("run", "a/b").name == "run.a_b.vxw"
    assert "left to the classical coders: table 'few' has 9 bytes that vary, and" in seen.seen[1]
    assert {"training event", "training a/b", "measuring event"} <= set(seen.seen)
    again = fit(sample(rows=70_000), checkpoint=tmp_path / "run.vxw")
    assert again[REST].loop.history == fits[REST].loop.history


def test_time_bounds_what_is_evaluated_and_measured(monkeypatch):
    wrapper = CATWrapper(OptimisedCompressiveTransformer(replace(RECIPE.transformer, types=1)))
    batches = [torch.full((2, 32), k, dtype=torch.uint8) for k in range(50)]
    assert fitting._validation(wrapper, batches, "cpu", None)[0] == batches
    chosen, pace = fitting._validation(wrapper, batches, "cpu", 1e-9)
    assert len(chosen) == 1
    assert pace > 0
    assert wrapper.training
    chosen, _ = fitting._validation(wrapper, batches, "cpu", 1e9)
    assert len(chosen) == 50
    model = fit(sample(rows=70_000))[REST].model
    records = np.arange(7000, dtype=np.uint8)[:, None]
    _, rows = fitting._measured(model, records, 1, time.monotonic() - 1)
    assert 0 < rows < 7000
    bits, rows = fitting._measured(model, records, 1, None)
    assert rows == 7000
    assert bits.shape == (1,)


def test_seconds_are_for_all_tables_together(monkeypatch):
    given, clock = [], [100.0]

    def instead(job, how, options):
        given.append(options.seconds)
        clock[0] += 0.5

    monkeypatch.setattr(fitting, "_fit", instead)
    monkeypatch.setattr(fitting, "time", SimpleNamespace(monotonic=lambda: clock[0]))
    tables = [sample(n, rows=r) for n, r in (("a", 70_000), ("b", 140_000), ("c", 70_000))]
    assert fit(*tables, seconds=4.0) == {}
    assert given == [1.0, (4 - 0.5) * 2 / 3, 4 - 1.0]
    fit(tables[0])
    fit(tables[0], recipe=replace(RECIPE, seconds=9.0))
    assert given[3:] == [None, 9.0]


def test_a_training_that_diverged_leaves_its_table_to_others(monkeypatch):
    seen = Labels()
    result = LoopResult(float("inf"), {}, (), 3, 1.0, "diverged")
    monkeypatch.setattr(fitting, "run_loop", lambda *_, **__: result)
    assert fit(sample(rows=70_000), progress=seen) == {}
    assert any("diverged" in text and "lower rate" in text for text in seen.seen)


def test_a_device_without_the_memory_is_said(monkeypatch):
    def full(*_args, **_kwargs):
        raise torch.cuda.OutOfMemoryError

    monkeypatch.setattr(fitting, "run_loop", full)
    with pytest.raises(UnsupportedFeatureError, match=r"'laptop_cpu' needs more memory.*smaller"):
        fit(sample(rows=70_000))
