"""Engines by name: different ways to compute the same integers."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from concurrent.futures import Executor
from typing import TYPE_CHECKING, Protocol

from vortex_hep.core.install import install_hint
from vortex_hep.core.options import check_device
from vortex_hep.errors import UnsupportedFeatureError
from vortex_hep.nn.coding.stepwise import ReferenceEngine
from vortex_hep.nn.devices import torch_device
from vortex_hep.nn.event import cpu
from vortex_hep.nn.event.network import Cluster, GroupArrays, Network

if TYPE_CHECKING:
    from vortex_hep.nn.sequence.model import SequenceModel
    from vortex_hep.nn.sequence.session import Operations


class Engine(Protocol):
    """Runs networks over what is to be coded; all engines compute the same integers."""

    def run_group(self, net: Network, cluster: Cluster, group: GroupArrays, decode: bool, /) -> int:
        """Fill ``group.freq``, ``cum`` and ``bits``, or decode ``group.words``.

        Returns the words read, or -1 where the stream is too short or does not end as it began.
        """

    def operations(self, model: SequenceModel, pool: Executor, parts: int, /) -> Operations:
        """Return what a transformer's passes are made of; ``parts`` threads may share them."""

    def lanes_together(self, group: int, lane_bytes: int, /) -> int:
        """Lanes of a transformer to run at once, given those of a group and their caches."""


class CompiledEngine:
    """The numba engine."""

    def operations(self, model: SequenceModel, pool: Executor, parts: int) -> Operations:
        """Return :class:`vortex_hep.nn.sequence.compiled.Compiled`."""
        from vortex_hep.nn.sequence.compiled import Compiled

        return Compiled(model, pool, parts)

    def lanes_together(self, group: int, lane_bytes: int) -> int:
        """One group: its caches should stay in the processor's."""
        return group

    def run_group(self, net: Network, cluster: Cluster, group: GroupArrays, decode: bool) -> int:
        """Call :func:`vortex_hep.nn.event.cpu.run_group`."""
        return int(cpu.run_group(net, cluster, group, decode))


def _torch(device: str) -> Engine:
    if importlib.util.find_spec("torch") is None:
        raise UnsupportedFeatureError(
            f"device {device!r} needs torch, which is not installed",
            hint=f"{install_hint('gpu')}, or use device 'cpu'",
        )
    from vortex_hep.nn.coding import torch_engine

    return torch_engine.torch_engine(device)


def _cuda() -> Engine:
    engine = _torch("cuda")
    torch_device("cuda")  # raises where there is none
    return engine


def _auto() -> Engine:
    # The compiled engine is the default even beside a GPU: symbols are read on the host, token
    # by token, and the way to the device and back costs more than the network does.
    return CompiledEngine()


#: By the names of :data:`vortex_hep.core.options.DEVICES`.
_ENGINES: dict[str, Callable[[], Engine]] = {
    "auto": _auto,
    "cpu": CompiledEngine,
    "cuda": _cuda,
    "reference": ReferenceEngine,
    "torch": lambda: _torch("cpu"),
}


def get_engine(device: str = "auto") -> Engine:
    """Return the engine of a name.

    Parameters
    ----------
    device : {"auto", "cpu", "cuda", "torch", "reference"}
        "cpu" is the compiled engine, "torch" runs on tensors in main memory, "reference" is
        the slow definition. All give the same bytes.

    Raises
    ------
    UnsupportedTypeError
        The name is unknown.
    UnsupportedFeatureError
        Torch or a CUDA device is missing.

    Examples
    --------
    >>> get_engine("cpu")  # doctest: +ELLIPSIS
    <vortex_hep.nn.coding.engine.CompiledEngine object at ...>
    """
    check_device(device)
    return _ENGINES[device]()


__all__ = ["CompiledEngine", "Engine", "get_engine"]
