"""Timing a codec over many independent parts, with one thread or several."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TypeVar

In = TypeVar("In")
Out = TypeVar("Out")


@dataclass(frozen=True)
class Timing:
    """Seconds with a number of threads."""

    threads: int
    encode_seconds: float
    decode_seconds: float


@dataclass(frozen=True)
class Measurement:
    """What one codec made of one file.

    Parameters
    ----------
    codec : str
    raw_bytes : int
        Bytes that ratio and speed refer to: of the columns, or of the text.
    stored_bytes : int
        All bytes written, headers included, without a model kept apart.
    model_bytes : int
        Bytes of a model that is kept apart and shared by the files of a dataset.
    embedded_model_bytes : int
        Bytes of a model within ``stored_bytes``.
    timings : tuple of Timing
    verified : bool
        Whether decoding gave back the same bytes.
    settings : dict
    peak_memory_bytes : dict of str to int
        Largest resident memory of a process that does nothing but this call; by call.
    """

    codec: str
    raw_bytes: int
    stored_bytes: int
    timings: tuple[Timing, ...]
    verified: bool
    settings: dict[str, Any]
    model_bytes: int = 0
    embedded_model_bytes: int = 0
    peak_memory_bytes: dict[str, int] = field(default_factory=dict)

    @property
    def bytes_with_model(self) -> int:
        """All bytes, with a model that is kept apart charged to this one file."""
        return self.stored_bytes + self.model_bytes

    def timing(self, threads: int) -> Timing | None:
        """The timing with a number of threads; None where there is none."""
        return next((t for t in self.timings if t.threads == threads), None)

    def encode_speed(self, timing: Timing) -> float | None:
        """Megabytes of raw data per second; None where encoding was not timed."""
        return self.raw_bytes / timing.encode_seconds / 1e6 if timing.encode_seconds else None

    def decode_speed(self, timing: Timing) -> float | None:
        """Megabytes of raw data per second; None where decoding was not timed."""
        return self.raw_bytes / timing.decode_seconds / 1e6 if timing.decode_seconds else None

    def as_json(self) -> dict[str, Any]:
        """Plain data, with ratios and speeds worked out."""
        out = asdict(self)
        for plain, timing in zip(out["timings"], self.timings, strict=True):
            plain["encode_mb_per_s"] = _rounded(self.encode_speed(timing))
            plain["decode_mb_per_s"] = _rounded(self.decode_speed(timing))
        out["ratio"] = _rounded(self.raw_bytes / self.stored_bytes)
        out["ratio_with_model"] = _rounded(self.raw_bytes / self.bytes_with_model)
        return out


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


def timed(
    work: Callable[[In], Out], parts: Sequence[In], *, threads: int, repeat: int = 1
) -> tuple[list[Out], float]:
    """Apply ``work`` to each part.

    Parameters
    ----------
    work : callable
    parts : sequence
    threads : int
        Threads that share the parts.
    repeat : int
        Runs; the fastest counts, as a first run may compile or fill caches.

    Returns
    -------
    list
        One result per part.
    float
        Seconds of the fastest run.
    """
    best = float("inf")
    results: list[Out] = []
    for _ in range(repeat):
        start = time.perf_counter()
        if threads == 1:
            results = [work(part) for part in parts]
        else:
            with ThreadPoolExecutor(threads) as pool:
                results = list(pool.map(work, parts))
        best = min(best, time.perf_counter() - start)
    return results, best


def thread_counts(threads: int | None = None) -> tuple[int, ...]:
    """One thread, and all that may be used."""
    most = threads or len(_usable_cores())
    return (1, most) if most > 1 else (1,)


def _usable_cores() -> Sequence[int]:
    # Where the system can say it, the cores this process may use rather than those there are.
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return range(os.cpu_count() or 1)


def machine() -> dict[str, Any]:
    """The machine and the versions of what ran on it."""
    from importlib.metadata import PackageNotFoundError, version

    versions = {"python": platform.python_version()}
    for name in ("vortex-hep", "numpy", "numba", "pcodec", "openzl", "torch"):
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue
    return {
        "cpu": _cpu_name(),
        "cores": len(_usable_cores()),
        "system": f"{platform.system()} {platform.machine()}",
        "load_average": load_average(),
        "versions": versions,
    }


def load_average() -> float | None:
    """Processes that wanted to run in the last minute: speeds count on an idle machine only."""
    return round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None


def _cpu_name() -> str:
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
