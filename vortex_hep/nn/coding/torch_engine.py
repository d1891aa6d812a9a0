"""The event model on torch tensors, on the CPU or a GPU.

The rules are those of :mod:`vortex_hep.nn.event.reference`, run on tensors. Products run in
float64, which holds every sum exactly and which no setting of the process (TF32, bfloat16) touches;
all else is int64. Symbols are read from the streams on the host, so several groups in lock step
(``run_groups``) share the cost of getting there.
"""

from __future__ import annotations

from concurrent.futures import Executor
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import numpy.typing as npt
import torch

from vortex_hep.nn.arithmetic import SHARED
from vortex_hep.nn.coding.stepwise import ReferenceEngine
from vortex_hep.nn.event.reference import Arrays
from vortex_hep.nn.sequence.model import SequenceModel
from vortex_hep.nn.sequence.session import Operations
from vortex_hep.nn.sequence.torch_operations import TorchOperations, TorchWeights, exp2_weight

Array = npt.NDArray[Any]

#: Lanes of a transformer that are run at once on a device.
_LANES = 1 << 13
#: Bytes that their caches may take.
_CACHE_BYTES = 1 << 32


class TorchArrays(Arrays):
    """Array operations on the tensors of one device.

    Parameters
    ----------
    device : str
        As torch names it.
    """

    def __init__(self, device: str) -> None:
        self.device = torch.device(device)

    def where(self, condition: torch.Tensor, values: torch.Tensor, other: int) -> torch.Tensor:
        """Return ``values`` where ``condition`` holds, else ``other``."""
        return torch.where(condition, values, other)

    def integers(self, values: Array) -> torch.Tensor:
        """Return ``values`` as a new int64 tensor on the device."""
        return torch.from_numpy(np.array(values, np.int64)).to(self.device)

    def numpy(self, values: torch.Tensor) -> Array:
        """Return a tensor as a NumPy array."""
        out: Array = values.cpu().numpy()
        return out

    def product(self, x: torch.Tensor, w: torch.Tensor) -> torch.Tensor:
        """Return the exact matrix product of integers."""
        return (x.double() @ w.double()).long()

    def frequencies(self, logits: torch.Tensor) -> torch.Tensor:
        """Return :func:`vortex_hep.nn.arithmetic.frequencies` of a tensor."""
        top = logits.amax(1, keepdim=True)
        distance = top - logits
        weight = exp2_weight(distance)
        scale = (SHARED << 15) // weight.sum(1, keepdim=True)
        freq = 1 + ((weight * scale) >> 15)
        # The first of equal logits takes the rest; torch.argmax does not promise which it finds.
        order = torch.arange(16, 0, -1, device=logits.device)
        best = ((distance == 0) * order).argmax(1, keepdim=True)
        return freq.scatter_add(1, best, 65536 - freq.sum(1, keepdim=True))


class TorchEngine(ReferenceEngine):
    """Both kinds of networks on the tensors of one device.

    Parameters
    ----------
    device : str
        As torch names it.
    """

    def __init__(self, device: str) -> None:
        super().__init__(TorchArrays(device))
        self._device = device
        self._weights: WeakKeyDictionary[SequenceModel, TorchWeights] = WeakKeyDictionary()

    def operations(self, model: SequenceModel, pool: Executor, parts: int) -> Operations:
        """Return :class:`vortex_hep.nn.sequence.torch_operations.TorchOperations`."""
        weights = self._weights.get(model)
        if weights is None:
            weights = self._weights[model] = TorchWeights(model, self._device)
        return TorchOperations(weights)

    def lanes_together(self, group: int, lane_bytes: int) -> int:
        """Thousands, as far as a device's memory goes."""
        return max(group, min(_LANES, _CACHE_BYTES // max(1, lane_bytes)))


def torch_engine(device: str = "cpu") -> ReferenceEngine:
    """Return an engine that works on ``device``."""
    return TorchEngine(device)
