"""Engines by name: different ways to compute the same integers."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from concurrent.futures import Executor
from typing import TYPE_CHECKING, Any, Protocol

import numpy.typing as npt

from vortex_hep.errors import UnsupportedFeatureError
from vortex_hep.nn.coding.stepwise import ReferenceEngine
from vortex_hep.nn.event import cpu
from vortex_hep.nn.event.cpu import Network

if TYPE_CHECKING:
    from vortex_hep.nn.sequence.model import SequenceModel
    from vortex_hep.nn.sequence.session import Operations

Array = npt.NDArray[Any]


class Engine(Protocol):
    """Runs the network over groups of lanes; see :func:`vortex_hep.nn.event.cpu.run_group`."""

    def run_group(
        self, net: Network, lanes: Array, offsets: Array, active: Array, tokens: Array,
        buckets: Array, link_row: Array, source_offsets: Array, lane_buckets: Array,
        given: Array, decode: bool, freq: Array, cum: Array, bits: Array, words: Array, /,
    ) -> int:  # fmt: skip
        """Fill ``freq``, ``cum`` and ``bits``, or decode ``words``."""

    def operations(self, model: SequenceModel, pool: Executor, parts: int, /) -> Operations:
        """Return what a sequence model's passes are made of; ``parts`` threads may share them."""

    def lanes_together(self, group: int, lane_bytes: int, /) -> int:
        """Lanes of a sequence model to run at once, given those of a group and their caches."""


class CompiledEngine:
    """The numba engine."""

    def operations(self, model: SequenceModel, pool: Executor, parts: int) -> Operations:
        """Return :class:`vortex_hep.nn.sequence.compiled.Compiled`."""
        from vortex_hep.nn.sequence.compiled import Compiled

        return Compiled(model, pool, parts)

    def lanes_together(self, group: int, lane_bytes: int) -> int:
        """One group: its caches should stay in the processor's."""
        del lane_bytes
        return group

    def run_group(
        self, net: Network, lanes: Array, offsets: Array, active: Array, tokens: Array,
        buckets: Array, link_row: Array, source_offsets: Array, lane_buckets: Array,
        given: Array, decode: bool, freq: Array, cum: Array, bits: Array, words: Array,
    ) -> int:  # fmt: skip
        """Call :func:`vortex_hep.nn.event.cpu.run_group`."""
        return int(
            cpu.run_group(
                net, lanes, offsets, active, tokens, buckets, link_row, source_offsets,
                lane_buckets, given, decode, freq, cum, bits, words,
            )
        )  # fmt: skip


def _torch(device: str) -> Engine:
    if importlib.util.find_spec("torch") is None:
        raise UnsupportedFeatureError(
            f"device {device!r} needs torch, which is not installed",
            hint="pip install 'vortex-hep[gpu]', or use device 'cpu'",
        )
    from vortex_hep.nn.coding import torch_engine

    return torch_engine.torch_engine(device)


def cuda_available() -> bool:
    """Whether torch is installed and sees a CUDA device."""
    if importlib.util.find_spec("torch") is None:
        return False
    import torch

    return torch.cuda.is_available()


def _cuda() -> Engine:
    engine = _torch("cuda")
    if not cuda_available():
        raise UnsupportedFeatureError(
            "torch sees no CUDA device", hint="use device 'cpu', which gives the same bytes"
        )
    return engine


def _auto() -> Engine:
    # The compiled engine is the default even beside a GPU: symbols are read on the host, token
    # by token, and the way to the device and back costs more than the network does.
    return CompiledEngine()


_ENGINES: dict[str, Callable[[], Engine]] = {
    "auto": _auto,
    "cpu": CompiledEngine,
    "cuda": _cuda,
    "reference": ReferenceEngine,
    "torch": lambda: _torch("cpu"),
}

#: Names that :func:`get_engine` knows.
DEVICES = tuple(_ENGINES)


def get_engine(device: str = "auto") -> Engine:
    """Return the engine of a name.

    Parameters
    ----------
    device : {"auto", "cpu", "cuda", "reference", "torch"}
        "cpu" is the compiled engine, "torch" runs on tensors in main memory, "reference" is
        the slow definition. All give the same bytes.

    Raises
    ------
    UnsupportedFeatureError
        If the name is unknown, or torch or a CUDA device is missing.

    Examples
    --------
    >>> get_engine("cpu")  # doctest: +ELLIPSIS
    <vortex_hep.nn.coding.engine.CompiledEngine object at ...>
    """
    if device not in _ENGINES:
        raise UnsupportedFeatureError(
            f"unknown device {device!r}", hint=f"one of {', '.join(sorted(_ENGINES))}"
        )
    return _ENGINES[device]()


__all__ = ["DEVICES", "CompiledEngine", "Engine", "cuda_available", "get_engine"]
