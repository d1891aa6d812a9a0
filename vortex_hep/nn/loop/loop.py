"""The training loop of byte-level models: steps, evaluations, the best weights, snapshots."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import math
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict

import torch
from torch import Tensor, nn

from vortex_hep.core.progress import SILENT, Progress, Task
from vortex_hep.nn.loop.eventlog import EventLog
from vortex_hep.nn.loop.feed import Feed
from vortex_hep.nn.loop.options import LoopEvaluation, LoopOptions, LoopResult
from vortex_hep.nn.loop.precision import Precision
from vortex_hep.nn.loop.scoreboard import Scoreboard
from vortex_hep.nn.loop.snapshot import (
    load_snapshot,
    optimiser_tensors,
    random_state,
    restore_optimiser,
    restore_random_state,
    save_snapshot,
)
from vortex_hep.nn.loop.steps import AutogradStep
from vortex_hep.nn.schedule import EarlyStopping, Pace

#: Learning rate at the end over the peak.
_FLOOR = 0.01
#: Options that may differ when a training goes on: they do not say what it is.
_FREE = ("seconds", "snapshot", "snapshot_every", "log_dir", "compile")


def mean_bits(
    loss_of: Callable[[Tensor], Tensor], batches: Iterable[Tensor], device: str | torch.device
) -> float:
    """Return the bits per byte of all batches together: exact where batches differ in size.

    Parameters
    ----------
    loss_of : callable
        Mean bits per byte of a batch.
    batches : iterable of Tensor
        Of bytes: every element counts as one.
    device : str or torch.device
        Where batches are put.

    Returns
    -------
    float
        NaN where there are no bytes.

    Examples
    --------
    >>> batches = [torch.tensor([1.0, 1.0]), torch.tensor([4.0])]
    >>> mean_bits(lambda batch: batch.mean(), batches, "cpu")
    2.0
    """
    bits, count = 0.0, 0
    with torch.no_grad():
        for batch in batches:
            bits += float(loss_of(batch.to(device, non_blocking=True))) * batch.numel()
            count += batch.numel()
    return bits / count if count else math.nan


def run_loop(
    module: nn.Module,
    loss_of: Callable[[Tensor], Tensor],
    batches: Iterable[Tensor],
    validate: Callable[[], float],
    options: LoopOptions | None = None,
    *,
    progress: Progress = SILENT,
    baselines: Mapping[str, float] | None = None,
) -> LoopResult:
    """Train a network and leave it with the weights that were best in validation.

    Parameters
    ----------
    module : Module
        On the device to train on. Random generators that it or its parts have as attributes are
        part of its snapshots.
    loss_of : callable
        Of a batch on that device: mean bits per byte, a scalar tensor.
    batches : iterable of Tensor
        An epoch per iteration: the ``train`` loader of
        :func:`vortex_hep.nn.loop.data.make_loaders`, or anything that gives the same batches each
        time.
    validate : callable
        Returns bits per byte; called without gradients, with the module in evaluation mode and
        in the precision of the training. :func:`mean_bits` helps.
    options : LoopOptions, optional
    progress : Progress
        Gets the scoreboard's lines as notes.
    baselines : mapping of str to float, optional
        Bits per byte of other codecs by name, for the scoreboard.

    Returns
    -------
    LoopResult

    Raises
    ------
    ModelMismatchError
        The snapshot is of another training.
    UnsupportedFeatureError
        The device lacks the precision asked for, or TensorBoard is not installed.

    Examples
    --------
    >>> layer = nn.Linear(1, 1, bias=False)
    >>> result = run_loop(
    ...     layer,
    ...     lambda batch: (layer(batch) - 3 * batch).square().mean(),
    ...     [torch.ones(4, 1)],
    ...     lambda: abs(layer.weight.item() - 3),
    ...     LoopOptions(steps=60, rate=0.3, warmup=5, eval_every=20, precision="float32"),
    ... )
    >>> result.bits_per_byte < 0.2, result.steps, len(result.history)
    (True, 60, 3)
    """
    options = options or LoopOptions()
    device = next(module.parameters()).device
    mode = module.training
    if options.compile if options.compile is not None else _compiles(device):
        module.compile()
    with (
        torch.random.fork_rng([device] if device.type == "cuda" else []),
        EventLog(options.log_dir) as log,
        progress.task("training", *_whole(options)) as task,
    ):
        torch.default_generator.manual_seed(options.seed)
        if device.type == "cuda":
            with torch.cuda.device(device):
                torch.cuda.manual_seed(options.seed)
        run = _Run(module, loss_of, batches, validate, options, device)
        run.show(log, task, baselines or {})
        result = run.to_the_end()
    module.train(mode)
    return result


def _whole(options: LoopOptions) -> tuple[int, str]:
    """How much there is to do, and in what unit: a clock does not know how many steps it allows."""
    return (options.steps, "steps") if options.seconds is None else (100, "%")


def _compiles(device: torch.device) -> bool:
    """Whether compiled code is worth its start on this device, and can be had."""
    return device.type == "cuda" and importlib.util.find_spec("triton") is not None


class _Run:
    """A training from its start, or from its snapshot, to its end."""

    def __init__(
        self,
        module: nn.Module,
        loss_of: Callable[[Tensor], Tensor],
        batches: Iterable[Tensor],
        validate: Callable[[], float],
        options: LoopOptions,
        device: torch.device,
    ) -> None:
        self._module = module
        self._validate = validate
        self._options = options
        self._device = device
        self._precision = Precision.for_device(device, options.precision)
        self._feed = Feed(batches, device)
        self._step = AutogradStep(
            module, loss_of, self._feed.next, self._precision,
            weight_decay=options.weight_decay, betas=options.betas,
            grad_clip=options.grad_clip, accumulate=options.accumulate,
        )  # fmt: skip
        self._stopping = EarlyStopping(options.patience, options.min_delta)
        self._best: dict[str, Tensor] = {}
        self._history: list[LoopEvaluation] = []
        self._losses, self._counted = torch.zeros((), device=device), 0
        self._stopped: str | None = None
        self._made_from = _fingerprint(module, options)
        self._pace = Pace(options.steps, options.rate, options.warmup, _FLOOR, options.seconds)
        self._resume()
        self._saved = time.monotonic()

    def show(self, log: EventLog, task: Task, baselines: Mapping[str, float]) -> None:
        """Say where figures go."""
        self._log, self._task = log, task
        self._board = Scoreboard(baselines, [e.validation for e in self._history])
        self._shown = 0
        if header := self._board.header():
            task.note(header)
        if self._pace.step:
            task.note(f"goes on after step {self._pace.step}")

    def to_the_end(self) -> LoopResult:
        """Take all steps that are left, and put the best weights into the module."""
        while self._stopped is None:
            self._module.train()
            left = self._options.eval_every - self._pace.step % self._options.eval_every
            self._pace.take(self._step, left, self._after_step)
            self._stopped = self._evaluate()
            if self._stopped is not None or self._due():
                self._save()
        if self._best:
            self._module.load_state_dict(self._best)
        return LoopResult(
            self._stopping.best,
            self._best or _copy_of(self._module),
            tuple(self._history),
            self._pace.step,
            self._history[-1].seconds,
            self._stopped,
        )

    def _after_step(self, loss: Tensor) -> None:
        self._losses += loss
        self._counted += 1
        self._advance()
        # What is due at an evaluation is written after it: a training goes on behind one.
        if self._pace.step % self._options.eval_every and not self._pace.over and self._due():
            self._save()

    def _advance(self) -> None:
        position = round(self._pace.position / self._options.steps * _whole(self._options)[0])
        if position > self._shown:
            self._task.advance(position - self._shown)
            self._shown = position

    def _evaluate(self) -> str | None:
        """Add to the history; return why to stop, if so."""
        train = float(self._losses) / self._counted if self._counted else math.nan
        diverged = self._counted > 0 and not math.isfinite(train)
        self._losses, self._counted = torch.zeros((), device=self._device), 0
        self._module.eval()
        with torch.no_grad(), self._precision.autocast():
            value = self._validate()
        if self._stopping.update(value):
            self._best = _copy_of(self._module)
        pace = self._pace
        entry = LoopEvaluation(pace.step, pace.elapsed, train, value, pace.current_rate())
        self._history.append(entry)
        self._log.write(
            pace.step,
            {"bits_per_byte/train": train, "bits_per_byte/validation": value, "rate": entry.rate},
        )
        self._task.note(self._board.line(pace.step, train, value))
        self._task.advance(
            0, step=pace.step, train=round(train, 4), best=round(self._stopping.best, 4)
        )
        if diverged or not math.isfinite(value):
            return "diverged"
        if pace.over:
            return "steps" if pace.step >= pace.steps else "seconds"
        return "patience" if self._stopping.stop else None

    def _due(self) -> bool:
        return time.monotonic() - self._saved >= self._options.snapshot_every

    def _save(self) -> None:
        if self._options.snapshot is None:
            return
        folders: dict[str, Mapping[str, Tensor]] = {
            "module": self._module.state_dict(),
            "best": self._best,
            "optimiser": optimiser_tensors(self._step.optimiser),
            "random": random_state(self._module, self._device),
            "loop": {"losses": self._losses},
        }
        document = {
            "made_from": self._made_from,
            "step": self._pace.step,
            "spent": self._pace.elapsed,
            "position": self._feed.position,
            "counted": self._counted,
            "scaler": self._step.scaler.state_dict(),
            "stopping": self._stopping.state(),
            "stopped": self._stopped,
            # JSON knows no NaN.
            "history": [
                {k: v if math.isfinite(v) else None for k, v in asdict(e).items()}
                for e in self._history
            ],
        }
        tensors = {f"{f}/{k}": v for f, part in folders.items() for k, v in part.items()}
        save_snapshot(self._options.snapshot, tensors, document)
        self._saved = time.monotonic()

    def _resume(self) -> None:
        if self._options.snapshot is None:
            return
        snapshot = load_snapshot(self._options.snapshot, self._made_from)
        if snapshot is None:
            return
        document = snapshot.document
        self._module.load_state_dict(snapshot.within("module"))
        self._best = {k: v.to(self._device) for k, v in snapshot.within("best").items()}
        restore_optimiser(self._step.optimiser, snapshot.within("optimiser"))
        self._step.scaler.load_state_dict(document["scaler"])
        self._losses = snapshot.within("loop")["losses"].to(self._device)
        self._counted = document["counted"]
        self._stopping.restore(document["stopping"])
        self._stopped = document["stopped"]
        self._history = [
            LoopEvaluation(**entry | {k: math.nan for k, v in entry.items() if v is None})
            for entry in document["history"]
        ]
        self._pace.step = document["step"]
        self._pace.spent = document["spent"]
        self._feed.seek(*document["position"])
        # Last, for a loader that is started may draw.
        restore_random_state(self._module, self._device, snapshot.within("random"))


def _copy_of(module: nn.Module) -> dict[str, Tensor]:
    """Copies of a module's weights, by name."""
    return {name: tensor.detach().clone() for name, tensor in module.state_dict().items()}


def _fingerprint(module: nn.Module, options: LoopOptions) -> str:
    """The identity of a training, by which its snapshots are recognised."""
    chosen = {k: v for k, v in asdict(options).items() if k not in _FREE}
    shapes = [(name, str(t.dtype), tuple(t.shape)) for name, t in module.state_dict().items()]
    return hashlib.sha256(json.dumps([chosen, shapes]).encode()).hexdigest()
