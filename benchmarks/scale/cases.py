"""Jobs on which model and simulation are compared, one for each bottleneck."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from benchmarks.scale.model import predict
from benchmarks.scale.parameters import Costs, Data, Job, Site
from benchmarks.scale.simulation import Simulation


@dataclass(frozen=True)
class Case:
    """A job at a site.

    Parameters
    ----------
    name : str
    job : Job
    site : Site
    spread : float
        Standard deviation of the logarithm of file sizes.
    largest_first : bool
    scheduler_factor : float
        How many times slower than measured the scheduler is taken to be: one that is watched by a
        dashboard, or runs on a busy login node.
    """

    name: str
    job: Job
    site: Site
    spread: float = 0.0
    largest_first: bool = False
    scheduler_factor: float = 1.0


#: Where requests are answered quickly: a local file system.
_QUICK = Site(4000, request_seconds=0.001, requests_per_second=1e6)

CASES = (
    Case("1 PB, 100,000 files", Job(100_000, 1e15), Site(4000)),
    Case("sizes of all kinds, as listed", Job(100_000, 1e15), Site(4000), spread=0.4),
    Case("sizes of all kinds, largest first", Job(100_000, 1e15), Site(4000), 0.4, True),
    Case("ten times the workers", Job(100_000, 1e15), Site(40_000)),
    Case("workers often lost", Job(20_000, 2e14), Site(2000, losses_per_hour=0.1)),
    Case("10 TB, 100,000 files", Job(100_000, 1e13), Site(4000)),
    Case("small files, grouped", Job(200_000, 2e11), Site(200)),
    Case("small files, one per task", Job(200_000, 2e11, group_files=1), _QUICK),
    Case(
        "a scheduler ten times slower",
        Job(200_000, 2e11, group_files=1),
        _QUICK,
        scheduler_factor=10.0,
    ),
    Case("a few files", Job(40, 4e8, group_files=1), Site(2)),
)


def compare(
    data: Mapping[str, Data], costs: Costs, kind: str = "nanoaod-ttbar"
) -> list[dict[str, Any]]:
    """Predict and simulate every case.

    Returns
    -------
    list of dict
        Plain data for a JSON file.
    """
    return [_compare(case, data[kind], costs) for case in CASES]


def _compare(case: Case, data: Data, costs: Costs) -> dict[str, Any]:
    slower = replace(costs, scheduler_task=costs.scheduler_task * case.scheduler_factor)
    predicted = predict(case.job, data, case.site, slower)
    began = time.perf_counter()
    run = Simulation(
        case.job, data, case.site, slower, spread=case.spread, largest_first=case.largest_first
    ).run()
    return {
        "case": case.name,
        "files": case.job.files,
        "bytes": case.job.bytes,
        "workers": case.site.workers,
        "tasks": run.tasks,
        "held_up_by": predicted.held_up_by,
        "predicted_seconds": predicted.wall_seconds,
        "simulated_seconds": run.wall_seconds,
        "predicted_bytes": predicted.read_bytes + predicted.written_bytes,
        "simulated_bytes": run.moved_bytes,
        "busy": run.busy,
        "predicted_failed": predicted.lost_files,
        "simulated_failed": run.failed,
        "took_seconds": time.perf_counter() - began,
    }
