"""Tests of the training loop: schedule, stopping, best weights, resuming."""

import contextlib
import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from vortex_hep.errors import (
    ModelMismatchError,
    NotVortexError,
    SourceError,
    UnsupportedFeatureError,
    UnsupportedTypeError,
)
from vortex_hep.nn.schedule import EarlyStopping

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402

from vortex_hep.codec.weights.zipnn import compress_model_weights, save_compressed  # noqa: E402
from vortex_hep.nn.loop.data import LoaderOptions, make_loaders  # noqa: E402
from vortex_hep.nn.loop.feed import Feed  # noqa: E402
from vortex_hep.nn.loop.loop import mean_bits, run_loop  # noqa: E402
from vortex_hep.nn.loop.options import LoopOptions  # noqa: E402
from vortex_hep.nn.loop.precision import Precision  # noqa: E402

PLAIN: dict[str, Any] = {"precision": "float32", "warmup": 3, "rate": 0.02}


class Tiny(nn.Module):
    """Predicts a byte from the one before; draws from torch's generator and from its own."""

    def __init__(self, dropout=0.2, noise=0.01):
        super().__init__()
        with torch.random.fork_rng([]):
            torch.manual_seed(5)
            self.embedding = nn.Embedding(256, 8)
            self.head = nn.Linear(8, 256)
        self.dropout = nn.Dropout(dropout)
        self.noise = noise
        self.own = torch.Generator().manual_seed(1)

    def loss(self, batch):
        tokens = batch.long()
        x = self.dropout(self.embedding(tokens[:, :-1]))
        if self.training and self.noise:
            x = x + self.noise * torch.randn(x.shape, generator=self.own)
        logits = self.head(x).flatten(0, 1).float()
        return nn.functional.cross_entropy(logits, tokens[:, 1:].flatten()) / math.log(2)


def walks():
    """Bytes that say something about the next one."""
    random = np.random.default_rng(3)
    return np.cumsum(random.integers(-2, 3, (400, 4)), axis=1, dtype=np.int64).astype(np.uint8)


@pytest.fixture
def loaders():
    return make_loaders(walks(), LoaderOptions(window=32, batch=4))


def train(module, loaders, options, loss_of=None, **other):
    return run_loop(
        module, loss_of or module.loss, loaders.train,
        lambda: mean_bits(module.loss, loaders.validation, "cpu"), options, **other,
    )  # fmt: skip


class Watcher:
    """Progress that keeps what it is told."""

    def __init__(self):
        self.notes = []
        self.done = 0

    @contextlib.contextmanager
    def task(self, label, total, unit="B"):
        self.label, self.total, self.unit = label, total, unit
        yield self

    def advance(self, n=1, **postfix):
        self.done += n

    def note(self, text):
        self.notes.append(text)


def test_training_learns_and_tells(loaders):
    module, watcher = Tiny(), Watcher()
    before = torch.get_rng_state()
    options = LoopOptions(steps=45, eval_every=20, **PLAIN)
    baselines = {"none": 8.0, "magic": 1.0}
    result = train(module, loaders, options, progress=watcher, baselines=baselines)
    assert torch.equal(torch.get_rng_state(), before)
    assert [e.step for e in result.history] == [20, 40, 45]
    assert (result.stopped, result.steps, watcher.done) == ("steps", 45, 45)
    assert result.bits_per_byte == min(e.validation for e in result.history) < 8
    assert result.history[0].train > result.history[-1].train
    assert result.history[-1].rate == pytest.approx(0.02 * 0.01)
    assert watcher.notes[0] == "to beat, in bits per byte: magic 1.0000, none 8.0000"
    assert len(watcher.notes) == 4
    assert "beats 1 of 2" in watcher.notes[-1]
    assert f"validation {result.history[-1].validation:.4f}" in watcher.notes[-1]
    module.eval()
    assert mean_bits(module.loss, loaders.validation, "cpu") == result.bits_per_byte


class StopError(Exception):
    """Ends a training in the middle."""


@pytest.mark.parametrize("at", [7, 10, 23, 31])
def test_a_training_that_goes_on_ends_as_if_it_had_not_stopped(loaders, tmp_path, at):
    options = LoopOptions(steps=31, eval_every=10, snapshot_every=0, **PLAIN)
    whole = Tiny()
    expected = train(whole, loaders, options)
    options = replace(options, snapshot=tmp_path / "c.vxw")
    first = Tiny()
    calls = 0

    def loss_of(batch):
        nonlocal calls
        calls += 1
        if calls > at:
            raise StopError
        return first.loss(batch)

    with contextlib.suppress(StopError):
        train(first, loaders, options, loss_of)
    # Another process: fresh weights and loaders, and other random numbers on the way.
    torch.rand(3)
    second, watcher = Tiny(), Watcher()
    again = make_loaders(walks(), LoaderOptions(window=32, batch=4))
    result = train(second, again, options, progress=watcher)
    if at < options.steps:
        assert watcher.notes[0] == f"goes on after step {at}"
    for name, weights in whole.state_dict().items():
        assert torch.equal(second.state_dict()[name], weights), name
        assert torch.equal(result.state[name], weights), name
    assert [replace(e, seconds=0) for e in result.history] == [
        replace(e, seconds=0) for e in expected.history
    ]
    assert (result.bits_per_byte, result.steps) == (expected.bits_per_byte, 31)


def test_snapshots_of_other_trainings_are_refused(loaders, tmp_path):
    options = LoopOptions(steps=2, eval_every=2, snapshot=tmp_path / "c.vxw", **PLAIN)
    train(Tiny(), loaders, options)
    for other in ({"rate": 0.5}, {"made_from": "other data"}, {"seed": 1}):
        with pytest.raises(ModelMismatchError, match="another model, other data"):
            train(Tiny(), loaders, replace(options, **other))
    longer = replace(options, seconds=1e4, snapshot_every=1.0)
    assert train(Tiny(), loaders, longer).steps == 2
    save_compressed(compress_model_weights(Tiny()), tmp_path / "w.vxw")
    with pytest.raises(NotVortexError, match="not a snapshot of a training"):
        train(Tiny(), loaders, replace(options, snapshot=tmp_path / "w.vxw"))


def test_the_best_weights_are_kept_when_patience_ends(loaders):
    module = Tiny()
    figures = iter([5.0, 4.0, 4.2, 3.99995, 4.1, 3.0])
    weights = []

    def validate():
        weights.append(module.head.weight.detach().clone())
        return next(figures)

    options = LoopOptions(steps=100, eval_every=2, patience=3, **PLAIN)
    result = run_loop(module, module.loss, loaders.train, validate, options)
    assert (result.stopped, result.steps, result.bits_per_byte) == ("patience", 10, 3.99995)
    assert torch.equal(module.head.weight, weights[3])


def test_a_training_that_diverges_ends_with_the_weights_before(loaders):
    module = Tiny()
    calls = 0

    def loss_of(batch):
        nonlocal calls
        calls += 1
        return module.loss(batch) * (math.nan if calls == 15 else 1)

    result = train(module, loaders, LoopOptions(steps=100, eval_every=10, **PLAIN), loss_of)
    assert (result.stopped, result.steps) == ("diverged", 20)
    assert math.isnan(result.history[-1].train)
    assert all(torch.isfinite(p).all() for p in module.parameters())
    assert result.bits_per_byte == result.history[0].validation


def test_the_schedule_ends_when_the_time_is_up(loaders, monkeypatch):
    module = Tiny()
    now = [0.0]
    monkeypatch.setattr("vortex_hep.nn.schedule.time.monotonic", lambda: now[0])

    def loss_of(batch):
        now[0] += 1
        return module.loss(batch)

    options = LoopOptions(steps=10_000, eval_every=10, seconds=40, patience=99, **PLAIN)
    watcher = Watcher()
    result = train(module, loaders, options, loss_of, progress=watcher)
    assert (result.stopped, result.steps, result.seconds) == ("seconds", 40, 40)
    rates = [e.rate for e in result.history]
    assert rates == sorted(rates, reverse=True)
    assert rates[1] == pytest.approx(0.02 * 0.505), "half of the time is half of the cosine"
    assert rates[-1] == pytest.approx(0.02 * 0.01)
    assert watcher.done == watcher.total == 100


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_figures_reach_tensorboard(loaders, tmp_path):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    options = LoopOptions(steps=6, eval_every=3, log_dir=tmp_path, **PLAIN)
    result = train(Tiny(), loaders, options)
    events = EventAccumulator(str(tmp_path)).Reload()
    for name in ("train", "validation"):
        seen = [(e.step, e.value) for e in events.Scalars(f"bits_per_byte/{name}")]
        assert seen == [(e.step, pytest.approx(getattr(e, name))) for e in result.history]
    assert len(events.Scalars("rate")) == 2


def test_logging_without_tensorboard_says_what_to_install(loaders, tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "torch.utils.tensorboard", None)
    with pytest.raises(UnsupportedFeatureError, match=r"vortex-hep\[tensorboard\]"):
        train(Tiny(), loaders, LoopOptions(log_dir=tmp_path, **PLAIN))


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_mixed_precision_trains_as_float32_does(loaders, tmp_path, precision):
    results = []
    for name in (precision, "float32"):
        options = LoopOptions(
            **{**PLAIN, "precision": name}, steps=20, eval_every=20, snapshot=tmp_path / name
        )
        results.append(train(Tiny(0), loaders, options))
    mixed, plain = results
    assert mixed.state["head.weight"].dtype == torch.float32
    assert mixed.bits_per_byte == pytest.approx(plain.bits_per_byte, abs=0.05)
    assert mixed.bits_per_byte != plain.bits_per_byte
    assert train(Tiny(0), loaders, replace(options, snapshot=tmp_path / precision,
                 precision=precision)).bits_per_byte == mixed.bits_per_byte  # fmt: skip


@pytest.mark.parametrize(
    ("capability", "hip", "expected"),
    [((9, 0), None, "bfloat16"), ((7, 5), None, "float16"), ((9, 0), "6.0", "bfloat16")],
)
def test_precision_follows_the_gpu(monkeypatch, capability, hip, expected):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "an old GPU")
    monkeypatch.setattr(torch.version, "hip", hip)
    assert Precision.for_device("cuda:0").name == expected
    assert Precision.for_device("cuda:0", "float32").name == "float32"
    if expected == "float16":
        with pytest.raises(UnsupportedFeatureError, match="an old GPU"):
            Precision.for_device("cuda:0", "bfloat16")


@pytest.mark.parametrize("native", [True, False])
def test_precision_follows_the_cpu(monkeypatch, native):
    table = {"avx512_bf16": native}
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: table, raising=False)
    assert Precision.for_device("cpu").name == ("bfloat16" if native else "float32")
    with pytest.raises(UnsupportedTypeError, match="unknown precision"):
        Precision.for_device("cpu", "int3")


def test_bits_per_byte_count_every_byte_once(loaders):
    batches = list(loaders.validation)
    assert len({b.shape[1] for b in batches}) == 1
    uneven = make_loaders(walks()[:399], LoaderOptions(window=52, batch=2, fractions=(0.7, 0.3, 0)))
    assert len({b.shape[1] for b in uneven.validation}) == 2
    everything = walks()[279:399].astype(np.float64)
    got = mean_bits(lambda batch: batch.double().mean(), uneven.validation, "cpu")
    assert got == pytest.approx(everything.mean(), rel=1e-12)


def test_accumulated_batches_are_one_large_batch():
    data = torch.from_numpy(walks())
    whole, parts = Tiny(0, noise=0), Tiny(0, noise=0)
    options = LoopOptions(steps=3, **PLAIN)
    run_loop(whole, whole.loss, [data], lambda: 1.0, options)
    halves = [data[:200], data[200:]]
    run_loop(parts, parts.loss, halves, lambda: 1.0, replace(options, accumulate=2))
    assert torch.allclose(whole.head.weight, parts.head.weight, atol=1e-5)
    assert not torch.allclose(whole.head.weight, Tiny().head.weight, atol=1e-3)


def test_compiling_is_asked_for_or_left_out(loaders, monkeypatch):
    asked = []
    monkeypatch.setattr(nn.Module, "compile", lambda module: asked.append(module))
    module = Tiny()
    train(module, loaders, LoopOptions(steps=1, **PLAIN))
    assert asked == []
    train(module, loaders, LoopOptions(steps=1, compile=True, **PLAIN))
    assert asked == [module]


def test_a_feed_goes_back_to_where_it_was(loaders):
    feed = Feed(loaders.train, torch.device("cpu"))
    length = len(loaders.train)
    seen = [feed.next() for _ in range(2 * length + 3)]
    assert feed.position == (2, 3)
    for n in (0, 5, length, length + 1):
        epoch, taken = divmod(n, length)
        feed.seek(epoch, taken)
        assert all(torch.equal(feed.next(), b) for b in seen[n : n + length])
    with pytest.raises(SourceError, match="no batches"):
        Feed([], torch.device("cpu")).next()


def test_stopping_sees_slow_progress_and_survives_its_state():
    stopping = EarlyStopping(patience=3, min_delta=0.1)
    for k in range(20):
        stopping.update(5 - 0.04 * k)
        assert not stopping.stop, "small improvements add up"
    other = EarlyStopping(patience=3, min_delta=0.1)
    other.restore(stopping.state())
    assert other == stopping
    for value in (math.nan, math.inf, 9.0):
        assert not stopping.update(value)
    assert stopping.stop
    assert stopping.best == 5 - 0.04 * 19
    fresh = EarlyStopping()
    fresh.restore(EarlyStopping().state())
    assert fresh == EarlyStopping()


@pytest.mark.parametrize(
    "options", [{"steps": 0}, {"eval_every": 0}, {"rate": 0}, {"seconds": 0}, {"accumulate": 0}]
)
def test_options_that_make_no_sense(options):
    with pytest.raises(UnsupportedTypeError):
        LoopOptions(**options)
