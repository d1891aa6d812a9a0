"""Cost of a task and of a worker for dask's scheduler and its client."""

from __future__ import annotations

import time
from collections.abc import Sequence
from importlib import import_module
from typing import Any

import psutil  # type: ignore[import-untyped]

from benchmarks.scale.cluster import Usage, scheduler, usage, workers
from vortex_hep.batch.states import Order, Outcome

#: Tasks in flight per worker while tasks are counted.
WINDOW = 3


def orders(first: int, number: int) -> list[Order]:
    """Orders as a driver sends them."""
    return [
        Order(
            number=k, source=f"root://eos.example.org//eos/data/run3/nano/file-{k:07d}.root",
            target=f"root://eos.example.org//eos/data/run3/archives/file-{k:07d}.vxc",
            attempt=1, size=1_000_000_000, mtime=1.7e9,
        )
        for k in range(first, first + number)
    ]  # fmt: skip


def no_work(given: Sequence[Order]) -> list[Outcome]:
    """Outcomes as workers send them, at once."""
    now = time.time()
    groups = {f"Collection{k}": (123_456_789, 23_456_789) for k in range(20)}
    return [
        Outcome(
            number=order.number, attempt=order.attempt, ok=True, source_size=1_000_000_000,
            source_mtime=1.7e9, source_adler32="0badcafe", target_size=345_678_901,
            target_adler32="0badcafe", raw_bytes=1_900_000_000, model_bytes=0, groups=groups,
            stages={"compress": 400.0, "checksum": 1.0, "verify": 150.0}, worker="tcp://worker:1",
            started=now, finished=now,
        )
        for order in given
    ]  # fmt: skip


def measure(*, tasks: int = 4000, many: int = 100, idle_seconds: float = 10.0) -> dict[str, Any]:
    """Measure a scheduler in a process of its own, with two workers and with many.

    Parameters
    ----------
    tasks : int
        Tasks per run.
    many : int
        Workers of the second part.
    idle_seconds : float
        How long heartbeats alone are watched.

    Returns
    -------
    dict
        Plain data for a JSON file; seconds are CPU seconds of the process named.
    """
    from benchmarks.scale.model import heartbeats_per_second

    distributed: Any = import_module("distributed")
    with scheduler() as (address, process), distributed.Client(address) as client:
        here = psutil.Process()
        empty = usage(process)
        with workers(address, many):
            client.wait_for_workers(many)
            time.sleep(3.0)  # registration is over
            before, began = usage(process), time.monotonic()
            time.sleep(idle_seconds)
            idle = (usage(process).cpu_seconds - before.cpu_seconds) / (time.monotonic() - began)
            full = usage(process)
            crowd = _paced(client, process, tasks, WINDOW * many, idle)
        few = 2
        with workers(address, few):
            client.wait_for_workers(few)
            time.sleep(1.0)
            pair = _paced(client, process, tasks, WINDOW * few, 0.0)
            held = _held(client, (process, here), tasks)
        versions = {"distributed": distributed.__version__}
    return {
        "versions": versions,
        "tasks": tasks,
        "workers": [few, many],
        # The dearer of both: with few workers batches are small.
        "scheduler_seconds_per_task": max(pair["scheduler"], crowd["scheduler"]),
        "client_seconds_per_task": max(pair["client"], crowd["client"]),
        "by_workers": {str(few): pair, str(many): crowd},
        "seconds_per_heartbeat": idle / heartbeats_per_second(many),
        "bytes_per_task": held,
        "bytes_per_worker": (full.memory_bytes - empty.memory_bytes) / many,
        "descriptors_per_worker": (full.descriptors - empty.descriptors) / many,
        "base_bytes": empty.memory_bytes + usage(here).memory_bytes,
    }


def _paced(
    client: Any, process: psutil.Process, tasks: int, window: int, idle: float
) -> dict[str, float]:
    """Seconds per task with a bounded number of tasks in flight."""
    as_completed: Any = import_module("distributed").as_completed
    first, cpu, began = usage(process), time.process_time(), time.monotonic()
    sent = min(window, tasks)
    flying = as_completed(
        [client.submit(no_work, orders(k, 1), pure=False) for k in range(sent)], with_results=True
    )
    for _ in flying:
        if sent < tasks:
            flying.add(client.submit(no_work, orders(sent, 1), pure=False))
            sent += 1
    wall = time.monotonic() - began
    used = usage(process).cpu_seconds - first.cpu_seconds - idle * wall
    return {
        "scheduler": used / tasks,
        "client": (time.process_time() - cpu) / tasks,
        "tasks_per_second": tasks / wall,
    }


def _held(client: Any, processes: tuple[psutil.Process, psutil.Process], tasks: int) -> float:
    """Bytes of scheduler and client per task that is held, its result still with a worker."""
    wait: Any = import_module("distributed").wait
    before: list[Usage] = [usage(process) for process in processes]
    futures = [client.submit(no_work, orders(k, 1), pure=False) for k in range(tasks)]
    wait(futures)
    after = [usage(process) for process in processes]
    grown = sum(b.memory_bytes - a.memory_bytes for a, b in zip(before, after, strict=True))
    client.cancel(futures)
    return max(0.0, grown / tasks)
