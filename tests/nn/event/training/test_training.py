"""Tests of the fused training kernel, against torch's gradients and the coded size."""

from typing import Any

import numpy as np
import pytest

from vortex_hep.errors import UnsupportedFeatureError
from vortex_hep.nn.coding.engine import get_engine
from vortex_hep.nn.event.model import POSITIONS
from vortex_hep.nn.event.training.train_kernel import (
    Rows,
    Weights,
    fused_step,
    scratch,
    training_step,
)
from vortex_hep.testing.conformance.engines.cases import (
    FOREIGN,
    OWN,
    PARTLY,
    THREE,
    Case,
    encode,
    make_case,
)

torch = pytest.importorskip("torch")

from vortex_hep.nn.event.training.torch_loss import TensorRows, batch_bits  # noqa: E402
from vortex_hep.nn.event.training.trainer import Schedule, TableTrainer  # noqa: E402

SMALL: dict[str, Any] = {
    "widths": (1, 6, 12, 20),
    "flat": (0, 0, 1, 2),
    "weights": "small",
    "lanes": 20,
}
CASES: dict[str, dict[str, Any]] = {
    "all": {},
    "no previous": {"previous": False},
    "no link": {"links": ()},
    "plain": {"previous": False, "links": (), "lane_fields": 0},
    "constant fields": {"widths": (0, 6, 0, 9, 0), "links": ()},
    "foreign link": {"links": (FOREIGN,)},
    "three links": {"links": THREE, "lanes": 30},
    "four links": {"links": (PARTLY, FOREIGN, OWN, OWN), "previous": False, "lanes": 30},
    "larger": {"hidden": 40, "head": 24, "lanes": 60},
}


def training_rows(case: Case) -> Rows:
    fields = case.model.fields
    coded = encode(get_engine("cpu"), case, 64)
    rows = case.rows
    jagged = case.model.shape.previous
    n = len(case.tokens)
    assert coded.buckets.shape == (n, len(fields))
    return Rows(
        case.stacked(case.tokens),
        case.stacked_buckets(coded.buckets),
        rows.previous,
        rows.link if rows.link is not None else np.zeros((0, n), np.int64),
        np.minimum(rows.position, POSITIONS - 1) if jagged else np.zeros(n, np.int64),
        rows.lane,
        case.lane_buckets,
        case.net.has_match,
        case.net.link_fields,
    )


def fused(case: Case, rows: Rows, batch: np.ndarray) -> tuple[np.ndarray, Weights]:
    weights = Weights(**{k: v.astype(np.float32) for k, v in case.model.weights.items()})
    grads = Weights(*[np.zeros_like(v) for v in weights])
    bits = np.zeros(case.n_tokens)
    step = training_step(rows, weights, case.net.field_start, case.net.flat_bits)
    fused_step(step, scratch(step), batch, grads, bits, True)
    return bits, grads


@pytest.mark.parametrize("options", CASES.values(), ids=CASES)
def test_gradients_equal_those_of_autograd(options):
    case = make_case(30, **{**SMALL, **options})
    rows = training_rows(case)
    batch = np.random.default_rng(0).permutation(len(case.tokens))[:75]
    bits, grads = fused(case, rows, batch)
    weights = {
        k: torch.tensor(v, dtype=torch.float32, requires_grad=True)
        for k, v in case.model.weights.items()
    }
    loss = batch_bits(
        weights, TensorRows(rows, "cpu"), torch.from_numpy(batch), case.net.field_start,
        case.net.flat_bits,
    )  # fmt: skip
    assert np.allclose(loss.detach().numpy(), bits, rtol=1e-9)
    loss.sum().backward()
    for name, w in weights.items():
        expected = np.zeros(w.shape) if w.grad is None else w.grad.numpy()
        got = getattr(grads, name)
        assert np.abs(got - expected).max(initial=0) <= 1e-4 * np.abs(expected).max(initial=1e-6)
        if w.numel() and name not in ("nibble", "lane"):
            assert np.abs(expected).max() > 0


@pytest.mark.parametrize("options", CASES.values(), ids=CASES)
def test_loss_is_what_the_coder_pays(options):
    case = make_case(31, **{**SMALL, **options})
    rows = training_rows(case)
    bits, _ = fused(case, rows, np.arange(len(case.tokens)))
    by_field = [
        bits[a:b].sum()
        for a, b in zip(case.net.field_start[:-1], case.net.field_start[1:], strict=True)
    ]
    paid = encode(get_engine("cpu"), case, 64).bits.sum(axis=0)
    assert np.allclose(by_field, paid, rtol=1e-3, atol=1e-6)


def test_loss_without_training_is_the_same():
    case = make_case(32, **SMALL)
    rows = training_rows(case)
    trainer = _trainer(case, rows, "cpu", threads=1)
    lines = np.arange(len(case.tokens))
    other = _trainer(case, rows, "cpu-autograd")
    assert np.allclose(trainer.evaluate(lines), other.evaluate(lines), rtol=1e-9)


def _trainer(case: Case, rows: Rows, device: str, threads: int = 2) -> TableTrainer:
    return TableTrainer(
        case.model.shape, rows, case.net.field_start, case.net.flat_bits,
        Schedule(steps=12, batch=48, shrink=0.1), threads=threads,
        lines=np.arange(len(rows.lane)), device=device,
    )  # fmt: skip


@pytest.mark.parametrize("threads", [1, 2])
def test_weights_do_not_depend_on_threads(threads):
    case = make_case(33, **SMALL)
    rows = training_rows(case)
    one, other = _trainer(case, rows, "cpu", 1), _trainer(case, rows, "cpu", threads)
    one.advance(4)
    other.advance(4)
    for name, w in one.integer_weights().items():
        assert np.array_equal(w, other.integer_weights()[name])


@pytest.mark.parametrize("links", [(OWN,), THREE], ids=["one link", "three links"])
def test_autograd_trains_as_the_fused_kernel_does(links):
    case = make_case(34, links=links, **SMALL)
    rows = training_rows(case)
    losses = []
    for device in ("cpu", "cpu-autograd"):
        seen: list[float] = []

        def note(n: int, bits: float, seen: list[float] = seen) -> None:
            seen.append(bits / n)

        _trainer(case, rows, device).advance(12, note)
        losses.append(seen)
    assert losses[0][-1] < losses[0][0]
    assert np.allclose(losses[0], losses[1], rtol=1e-2)
    assert np.isclose(losses[0][0], losses[1][0], rtol=1e-6)


def test_training_on_a_missing_gpu_says_so(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    case = make_case(35, **SMALL)
    with pytest.raises(UnsupportedFeatureError, match="CUDA"):
        _trainer(case, training_rows(case), "cuda")


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_training_on_a_gpu():
    case = make_case(36, **SMALL)
    rows = training_rows(case)
    trainer, other = _trainer(case, rows, "cuda"), _trainer(case, rows, "cpu")
    lines = np.arange(len(case.tokens))
    assert np.allclose(trainer.evaluate(lines), other.evaluate(lines), rtol=1e-9)
    trainer.advance(12)
