"""A meter of memory: bytes of all tensors alive during a computation, storage by storage."""

from typing import Any

import torch
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class Alive(TorchDispatchMode):
    """Sees what every operation returns, in the forward and in the backward pass.

    Storages that were there before are left out, and so is what an operation uses within itself.
    """

    def __init__(self, *known: torch.Tensor) -> None:
        super().__init__()
        self._known = {t.untyped_storage()._cdata for t in known}
        self._seen: dict[int, tuple[StorageWeakRef, int]] = {}
        self._at_most = 0
        self.peak = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        for x in tree_leaves(out):
            if isinstance(x, torch.Tensor):
                storage = x.untyped_storage()
                if storage._cdata not in self._known:
                    self._at_most += storage.nbytes()
                    self._seen[storage._cdata] = (StorageWeakRef(storage), storage.nbytes())
        if self._at_most > self.peak:
            self.peak = max(self.peak, self.now())
        return out

    def now(self) -> int:
        """Bytes alive."""
        self._seen = {k: v for k, v in self._seen.items() if not v[0].expired()}
        self._at_most = sum(size for _, size in self._seen.values())
        return self._at_most
