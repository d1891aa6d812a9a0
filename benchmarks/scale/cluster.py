"""Load on a dask scheduler: a scheduler in its own process, and many workers in another.

Run as ``python -m benchmarks.scale.cluster ADDRESS N``: connects ``N`` workers and keeps them.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil  # type: ignore[import-untyped]

#: Seconds until a process must have answered.
_PATIENCE = 60.0


@dataclass(frozen=True)
class Usage:
    """What a process has used so far."""

    cpu_seconds: float
    memory_bytes: int
    descriptors: int


def usage(process: psutil.Process) -> Usage:
    """Read it from the system."""
    cpu = process.cpu_times()
    return Usage(cpu.user + cpu.system, process.memory_info().rss, process.num_fds())


@contextmanager
def scheduler() -> Iterator[tuple[str, psutil.Process]]:
    """A scheduler without a dashboard; yields its address and its process."""
    with tempfile.TemporaryDirectory() as folder:
        about = Path(folder) / "scheduler.json"
        command = [
            sys.executable, "-m", "distributed.cli.dask_scheduler", "--host", "127.0.0.1",
            "--port", "0", "--no-dashboard", "--scheduler-file", str(about),
        ]  # fmt: skip
        with _running(command) as process:
            end = time.monotonic() + _PATIENCE
            while not about.exists() or not about.read_text():
                if time.monotonic() > end or process.poll() is not None:
                    raise RuntimeError("the scheduler does not start")
                time.sleep(0.05)
            yield json.loads(about.read_text())["address"], psutil.Process(process.pid)


@contextmanager
def workers(address: str, number: int) -> Iterator[None]:
    """Workers that share one process and run one task each."""
    command = [sys.executable, "-m", "benchmarks.scale.cluster", address, str(number)]
    with _running(command) as process:
        if process.stdout is None or process.stdout.readline().strip() != "ready":
            raise RuntimeError("the workers do not start")
        yield


@contextmanager
def _running(command: list[str]) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


async def _serve(address: str, number: int) -> None:
    from distributed import Worker

    found = [Worker(address, nthreads=1, memory_limit=0, dashboard=False) for _ in range(number)]
    await asyncio.gather(*found)
    print("ready", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_serve(sys.argv[1], int(sys.argv[2])))
