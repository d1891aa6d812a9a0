"""Tables of the measured constants, of the job without work, and of the pipeline."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from benchmarks.scale.parameters import Costs, Data
from benchmarks.scale.tables import amount, duration, small
from benchmarks.tables import markdown_table


def constants_text(plain: Mapping[str, Any], costs: Costs, data: Mapping[str, Data]) -> str:
    """Costs of running a job, and of the work itself."""
    rows = [
        ["scheduler, per task", small(costs.scheduler_task)],
        ["driver's client, per task", small(costs.driver_task)],
        ["scheduler, per heartbeat of a worker", small(costs.heartbeat)],
        [
            "scheduler, per worker",
            f"{amount(costs.worker_bytes)}, {costs.worker_files:g} descriptors",
        ],
        ["driver and scheduler, per task in flight", amount(costs.task_bytes)],
        ["driver and scheduler, empty", amount(costs.base_bytes)],
        ["journal, per file: entered", small(costs.create_file)],
        ["journal, per file: taken and finished, in batches", small(costs.journal_file)],
        ["journal, per commit", small(costs.commit)],
        ["journal, on disk per file", amount(plain["journal"]["bytes_per_file"])],
        ["worker, per file beside the work", small(costs.work_file)],
        ["requests to the storage, per small file", f"{costs.requests_file:g}"],
    ]
    work = [
        [
            kind.name, f"{kind.ratio:.2f}", f"{kind.compress:.3f}", f"{kind.decode:.3f}",
            f"{kind.read:.3f}", f"{kind.restore:.3f}",
            f"{1 / (kind.compress + kind.decode + kind.read):.2f}", amount(kind.model_bytes),
        ]
        for kind in data.values()
    ]  # fmt: skip
    head = (
        "data", "ratio", "compress, s/MB", "decode", "read the source again", "restore",
        "MB/s per core in all", "model",
    )  # fmt: skip
    here = plain["machine"]
    return (
        f"{here['cpu']}, {here['cores']} cores, distributed "
        f"{plain['scheduler']['versions']['distributed']}.\n\n"
        f"{markdown_table(('measured', 'cost'), rows)}\n\n"
        "CPU seconds per MB of the source file, one thread:\n\n"
        f"{markdown_table(head, work)}"
    )


def noop_text(plain: Mapping[str, Any], costs: Costs) -> str:
    """A real job without work, beside a naive one."""
    rows = [
        [
            run["name"], f"{run['workers']:,}", f"{run['files']:,}", f"{run['tasks']:,}",
            duration(run["seconds"]), f"{run['files'] / run['seconds']:,.0f}",
            duration(_driver_seconds(run, costs)), f"{run['most_in_flight']:,}",
            amount(run["driver_bytes"]), run["error"] or "",
        ]
        for run in plain["runs"]
    ]  # fmt: skip
    head = (
        "job", "workers", "files done", "tasks", "time", "files/s", "model: CPU of the driver",
        "tasks in flight", "driver's memory grew by", "",
    )  # fmt: skip
    return f"{_where(plain)}\n\n{markdown_table(head, rows)}"


def _driver_seconds(run: Mapping[str, Any], costs: Costs) -> float:
    """What the model has driver and scheduler spend on what was done."""
    each = costs.scheduler_task + costs.driver_task
    return float(run["tasks"] * each + run["files"] * (costs.create_file + costs.journal_file))


def _where(plain: Mapping[str, Any]) -> str:
    here = plain["machine"]
    return f"{here['cpu']}, {here['cores']} cores, load before: {here['load_average']}."


def pipeline_text(plain: Mapping[str, Any]) -> str:
    """The pipeline beside a plain loop, with one worker and with two."""
    rows = [
        [
            run["name"], f"{run['seconds']:.1f}", f"{run['against_loop']:.3f}",
            f"{run['against_one']:.3f}" if run["against_one"] else "",
            f"{run['predicted_seconds']:.1f}", f"{run['predicted_seconds'] / run['seconds']:.2f}",
        ]
        for run in plain["runs"]
    ]  # fmt: skip
    head = (
        "run", "seconds, median", "of the plain loop", "of one worker", "predicted",
        "predicted / measured",
    )  # fmt: skip
    note = (
        f"{plain['files']} files of {amount(plain['file_bytes'])}, {plain['repeat']} runs of each,"
        " in alternating order, in processes of their own; seconds from the first file to the last."
        f" {_where(plain)}"
    )
    return f"{note}\n\n{markdown_table(head, rows)}"
