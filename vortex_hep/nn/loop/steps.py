"""One optimiser step: mixed precision, accumulated and clipped gradients, AdamW."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from vortex_hep.nn.loop.precision import Precision


def parameter_groups(module: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Sort trained parameters into those that decay and those that do not.

    Only what multiplies activations decays: not biases, nor normalisations, nor embeddings.

    Parameters
    ----------
    module : Module
    weight_decay : float

    Returns
    -------
    list of dict
        Groups for an optimiser, decaying ones first; empty groups are left out.

    Examples
    --------
    >>> groups = parameter_groups(nn.Sequential(nn.Embedding(9, 4), nn.Linear(4, 2)), 0.1)
    >>> [(len(group["params"]), group["weight_decay"]) for group in groups]
    [(1, 0.1), (2, 0.0)]
    """
    kept: dict[Tensor, bool] = {}
    for owner in module.modules():
        kind = type(owner).__name__
        exempt = "Embedding" in kind or "Norm" in kind
        for name, parameter in owner.named_parameters(recurse=False):
            still = parameter.ndim >= 2 and not exempt and "bias" not in name
            # A parameter that is tied decays only if it may in all its places.
            kept[parameter] = still and kept.get(parameter, True)
    groups = [
        {
            "params": [p for p, own in kept.items() if p.requires_grad and own is decays],
            "weight_decay": weight_decay if decays else 0.0,
        }
        for decays in (True, False)
    ]
    return [group for group in groups if group["params"]]


class AutogradStep:
    """Takes a step of AdamW on a network.

    Parameters
    ----------
    module : Module
    loss_of : callable
        Of a batch on the module's device: bits per byte, a scalar tensor.
    next_batch : callable
        Gives the next batch, on the module's device.
    precision : Precision
    weight_decay : float
    betas : tuple of float
    grad_clip : float or None
        Largest norm of the gradient of all parameters.
    accumulate : int
        Batches per step.
    """

    def __init__(
        self,
        module: nn.Module,
        loss_of: Callable[[Tensor], Tensor],
        next_batch: Callable[[], Tensor],
        precision: Precision,
        *,
        weight_decay: float = 0.01,
        betas: tuple[float, float] = (0.9, 0.95),
        grad_clip: float | None = 1.0,
        accumulate: int = 1,
    ) -> None:
        self._loss_of = loss_of
        self._next_batch = next_batch
        self._precision = precision
        self._grad_clip = grad_clip
        self._accumulate = accumulate
        self.optimiser = torch.optim.AdamW(
            parameter_groups(module, weight_decay),
            betas=betas,
            fused=precision.device_type in ("cpu", "cuda"),
        )
        self.scaler = precision.scaler()

    def __call__(self, rate: float) -> Tensor:
        """Take a step; return the loss (scalar, float32), which stays on its device.

        Nothing here waits for the device: a loss or gradient that is not finite shows at the
        next evaluation.
        """
        total: Tensor | None = None
        for _ in range(self._accumulate):
            batch = self._next_batch()
            with self._precision.autocast():
                loss = self._loss_of(batch) / self._accumulate
            self.scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
            part = loss.detach().float()
            total = part if total is None else total + part
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        if self._grad_clip is not None:
            self.scaler.unscale_(self.optimiser)
            parameters = [p for g in self.optimiser.param_groups for p in g["params"]]
            nn.utils.clip_grad_norm_(parameters, self._grad_clip)
        self.scaler.step(self.optimiser)
        self.scaler.update()
        self.optimiser.zero_grad()
        return torch.zeros(()) if total is None else total
