"""Options and results of the training loop; without torch, so that commands can read them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vortex_hep.errors import UnsupportedTypeError

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class LoopOptions:
    """How to train.

    Parameters
    ----------
    steps : int
        Optimiser steps.
    rate : float
        Peak learning rate; a linear warm-up, then a cosine to 1 % of it.
    warmup : int
        Steps of the warm-up.
    grad_clip : float or None
        Largest norm of the gradient.
    weight_decay : float
        Of what multiplies activations; see :func:`vortex_hep.nn.loop.steps.parameter_groups`.
    betas : tuple of float
        Of AdamW.
    accumulate : int
        Batches per step.
    eval_every : int
        Steps from one evaluation to the next; there is one more at the end.
    patience : int
        Evaluations in a row without a clear improvement after which to stop.
    min_delta : float
        What a clear improvement is, in bits per byte.
    seconds : float, optional
        Limit on the wall clock. The learning rate then follows the clock where that is ahead of
        the steps, so that it reaches its end in any case, and the warm-up is shorter in
        proportion; such a training cannot be repeated bit for bit.
    precision : {"auto", "float32", "bfloat16", "float16"}
        See :meth:`vortex_hep.nn.loop.precision.Precision.for_device`.
    compile : bool, optional
        Whether to compile the module's ``forward``; by default on CUDA devices only.
    seed : int
        Of torch's random numbers during the training.
    snapshot : path, optional
        File (``.vxw``) for snapshots of the training. A training whose file is there resumes
        from it; on a CPU it ends with the same weights as one that was not interrupted.
    snapshot_every : float
        Seconds between two writes; there is one more at the end.
    made_from : str
        What identifies data and model, beyond the shapes of the weights: a snapshot of another
        training is refused.
    log_dir : path, optional
        Folder for TensorBoard.

    Raises
    ------
    UnsupportedTypeError
        Values that do not fit together.
    """

    steps: int = 10_000
    rate: float = 1e-3
    warmup: int = 200
    grad_clip: float | None = 1.0
    weight_decay: float = 0.01
    betas: tuple[float, float] = (0.9, 0.95)
    accumulate: int = 1
    eval_every: int = 250
    patience: int = 5
    min_delta: float = 1e-4
    seconds: float | None = None
    precision: str = "auto"
    compile: bool | None = None
    seed: int = 0
    snapshot: str | os.PathLike[str] | None = None
    snapshot_every: float = 300.0
    made_from: str = ""
    log_dir: str | os.PathLike[str] | None = None

    def __post_init__(self) -> None:
        least = min(self.steps, self.accumulate, self.eval_every, self.patience)
        if least < 1 or self.rate <= 0 or (self.seconds is not None and self.seconds <= 0):
            raise UnsupportedTypeError(
                "steps, accumulate, eval_every and patience must be at least 1; rate and seconds "
                "must be above 0"
            )


@dataclass(frozen=True)
class LoopEvaluation:
    """One line of a training's history.

    Parameters
    ----------
    step : int
        Steps taken.
    seconds : float
        Since the training began.
    train : float
        Mean loss of the steps since the evaluation before, in bits per byte.
    validation : float
        Bits per byte.
    rate : float
        Learning rate at this point.
    """

    step: int
    seconds: float
    train: float
    validation: float
    rate: float


@dataclass(frozen=True)
class LoopResult:
    """What a training led to.

    Parameters
    ----------
    bits_per_byte : float
        Lowest validation figure; infinite where none was finite.
    state : mapping of str to Tensor
        The weights that had it; the module has them too.
    history : tuple of LoopEvaluation
    steps : int
        Steps taken.
    seconds : float
        Without those between two runs of a training that was resumed.
    stopped : {"steps", "seconds", "patience", "diverged"}
        Why it ended.
    """

    bits_per_byte: float
    state: Mapping[str, Tensor]
    history: tuple[LoopEvaluation, ...]
    steps: int
    seconds: float
    stopped: str
