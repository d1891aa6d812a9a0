"""Snapshots of a running training: weights, optimiser, random numbers and position.

The file is one of weights (``.vxw``): tensors under names such as ``module/head.weight`` and
``optimiser/3/exp_avg``, and a JSON document.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from vortex_hep.codec.weights.zipnn import (
    compress_model_weights,
    decompress_state,
    load_compressed,
    save_compressed,
)
from vortex_hep.errors import ModelMismatchError, NotVortexError

#: What the document says it is.
_KIND = "training"
#: Version of what a snapshot holds; another one is refused.
_VERSION = 1


@dataclass(frozen=True)
class Snapshot:
    """What a file holds.

    Parameters
    ----------
    tensors : mapping of str to Tensor
        By name, on the CPU.
    document : mapping of str to JSON value
    """

    tensors: Mapping[str, Tensor]
    document: Mapping[str, Any]

    def within(self, folder: str) -> dict[str, Tensor]:
        """Return the tensors whose names begin with ``folder/``, by what follows."""
        start = f"{folder}/"
        return {k.removeprefix(start): v for k, v in self.tensors.items() if k.startswith(start)}


def generators_of(module: nn.Module) -> Iterator[tuple[str, torch.Generator]]:
    """Yield the random generators that modules have as attributes, with a name for each."""
    for owner, part in module.named_modules():
        for name, value in vars(part).items():
            if isinstance(value, torch.Generator):
                yield f"{owner}.{name}", value


def random_state(module: nn.Module, device: torch.device) -> dict[str, Tensor]:
    """Return the states of torch's generators and of those in a module, by name."""
    state = {"cpu": torch.get_rng_state()}
    if device.type == "cuda":
        state["cuda"] = torch.cuda.get_rng_state(device)
    return state | {f"own/{name}": g.get_state() for name, g in generators_of(module)}


def restore_random_state(
    module: nn.Module, device: torch.device, state: Mapping[str, Tensor]
) -> None:
    """Set generators to what :func:`random_state` returned."""
    torch.set_rng_state(state["cpu"])
    if device.type == "cuda" and "cuda" in state:
        torch.cuda.set_rng_state(state["cuda"], device)
    for name, generator in generators_of(module):
        generator.set_state(state[f"own/{name}"])


def optimiser_tensors(optimiser: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Return an optimiser's state as tensors, by number of the parameter and name."""
    state = optimiser.state_dict()["state"]
    return {f"{n}/{k}": torch.as_tensor(v) for n, own in state.items() for k, v in own.items()}


def restore_optimiser(optimiser: torch.optim.Optimizer, tensors: Mapping[str, Tensor]) -> None:
    """Set an optimiser to what :func:`optimiser_tensors` returned."""
    state: dict[int, dict[str, Tensor]] = {}
    for path, tensor in tensors.items():
        number, _, name = path.partition("/")
        state.setdefault(int(number), {})[name] = tensor
    groups = optimiser.state_dict()["param_groups"]
    optimiser.load_state_dict({"state": state, "param_groups": groups})


def save_snapshot(
    path: str | os.PathLike[str], tensors: Mapping[str, Tensor], document: Mapping[str, Any]
) -> None:
    """Write a snapshot in place of what is there, all or nothing.

    Parameters
    ----------
    path : path
    tensors : mapping of str to Tensor
    document : mapping of str to JSON value
    """
    compressed = compress_model_weights(tensors, effort="fast")
    kind = {"kind": _KIND, "version": _VERSION}
    save_compressed(compressed, path, metadata={**document, **kind}, overwrite=True)


def load_snapshot(path: str | os.PathLike[str], made_from: str) -> Snapshot | None:
    """Read a snapshot; None where there is no file.

    Parameters
    ----------
    path : path
    made_from : str
        What the document's ``made_from`` must be.

    Raises
    ------
    NotVortexError
        The file holds weights, but no training.
    ModelMismatchError
        It is of another training.
    """
    if not Path(path).exists():
        return None
    compressed = load_compressed(path)
    document = compressed.metadata
    if (document.get("kind"), document.get("version")) != (_KIND, _VERSION):
        raise NotVortexError(
            "these are weights, but not a snapshot of a training", path=os.fspath(path),
            hint="give another --checkpoint",
        )  # fmt: skip
    if document.get("made_from") != made_from:
        raise ModelMismatchError(
            "this snapshot is of another model, other data or other options",
            path=os.fspath(path), hint="remove it, or give another --checkpoint",
        )  # fmt: skip
    return Snapshot(decompress_state(compressed), document)
