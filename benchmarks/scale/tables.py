"""Predictions of the model as text: a list for one job, tables for many."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import fields, replace
from typing import Any

from benchmarks.scale.model import Prediction, heartbeats_per_second, predict
from benchmarks.scale.parameters import WINDOW, Costs, Data, Job, Site
from benchmarks.tables import markdown_table

#: The job that the tables are about.
PETABYTE = Job(100_000, 1e15)
_UNITS = {
    "workers": "",
    "cores": "per worker",
    "speed": "of a core, against the machine of the constants",
    "stream_bytes": "of one connection to the storage",
    "storage_bytes": "of the storage for this job, all connections",
    "request_seconds": "of a request that moves little data",
    "requests_per_second": "such requests per second that the storage serves to this job",
    "server_checksums": "adler32 known by the storage",
    "driver_bytes": "from the driver to all workers",
    "losses_per_hour": "workers lost, per worker",
    "replace_seconds": "until a lost worker is replaced",
    "transient": "of attempts end in a passing error",
    "open_files": "descriptors of the scheduler's process",
    "core_hour_price": "euro per core-hour",
    "tb_year_price": "euro per TB of disk and year",
}


def duration(seconds: float) -> str:
    """Seconds as people say them.

    Examples
    --------
    >>> duration(90), duration(5400), duration(3e5)
    ('90 s', '1.5 h', '3.5 days')
    """
    if seconds < 120:
        return f"{seconds:.3g} s"
    if seconds < 3600:
        return f"{seconds / 60:.0f} min"
    if seconds < 48 * 3600:
        return f"{seconds / 3600:.1f} h"
    return f"{seconds / 86400:.1f} days"


def amount(size: float) -> str:
    """Bytes with a unit.

    Examples
    --------
    >>> amount(1.5e15), amount(2e6), amount(999)
    ('1.5 PB', '2 MB', '999 B')
    """
    for unit, name in ((1e15, "PB"), (1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if abs(size) >= unit:
            return f"{size / unit:.3g} {name}"
    return f"{size:.3g} B"


def small(seconds: float) -> str:
    """A cost of less than a second.

    Examples
    --------
    >>> small(0.0123), small(4.5e-5)
    ('12.3 ms', '45 µs')
    """
    return f"{seconds * 1e3:.3g} ms" if seconds >= 1e-3 else f"{seconds * 1e6:.3g} µs"


def prediction_text(found: Prediction, job: Job, site: Site) -> str:
    """What the model says of one job, line by line."""
    bounds = ", ".join(f"{name} {duration(s)}" for name, s in sorted(found.bounds.items()))
    lines = [
        ("time", f"{duration(found.wall_seconds)}, {found.files_per_second:.3g} files/s"),
        ("held up by", found.held_up_by),
        ("each part alone", bounds),
        ("start", f"{duration(found.startup_seconds)} for journal and models"),
        ("tasks", f"{found.tasks:,} of {found.files_per_task:,} files and "
                  f"{duration(found.task_seconds)}"),
        ("core-hours", f"{found.core_hours:,.0f} reserved, {found.busy_core_hours:,.0f} with work,"
                       f" {found.cpu_hours:,.0f} computing"),
        ("cost", f"{found.euro:,.0f} euro"),
        ("read", amount(found.read_bytes)),
        ("written", amount(found.written_bytes)),
        ("saved", f"{amount(found.saved_bytes)} of {amount(job.bytes)}"),
        ("per saved TB", f"{found.euro_per_saved_tb:.3g} euro: paid back in "
                         f"{found.months_to_pay(site):.1f} months"),
        ("driver's memory", f"{amount(found.driver_bytes)}"
                            f" ({amount(found.all_at_once_bytes)} with all tasks at once)"),
        ("descriptors", f"{found.descriptors:,} of the scheduler"),
        ("given up", f"{found.lost_files:.3g} files that lose their worker twice"),
    ]  # fmt: skip
    return "\n".join([*(f"{name:16} {text}" for name, text in lines), *broken(found, site)])


def broken(found: Prediction, site: Site) -> list[str]:
    """Limits that a job meets."""
    out = []
    if found.descriptors > site.open_files:
        out.append(f"BREAKS: the scheduler needs {found.descriptors:,} descriptors")
    if found.driver_bytes > 8e9:
        out.append(f"BREAKS: the driver needs {amount(found.driver_bytes)}")
    return out


def summary_text(data: Data, costs: Costs, site: Site) -> str:
    """What a reader should take along."""
    found = predict(PETABYTE, data, site, costs)
    tenfold = predict(PETABYTE, data, replace(site, workers=10 * site.workers), costs)
    unread = predict(replace(PETABYTE, against_source=False), data, site, costs)
    limit = _tasks_per_second(costs, site)
    driver = found.bounds["driver"] / found.wall_seconds
    points = [
        f"1 PB of `{data.name}` in {PETABYTE.files:,} files takes {site.workers:,} workers of one "
        f"core {duration(found.wall_seconds)}, held up by the {found.held_up_by}: "
        f"{found.core_hours:,.0f} core-hours, {found.euro:,.0f} euro. It saves "
        f"{amount(found.saved_bytes)}, at {found.euro_per_saved_tb:.2f} euro per TB: paid back by "
        f"disk not bought in {found.months_to_pay(site):.1f} months.",
        f"Ten times the workers need {duration(tenfold.wall_seconds)}, held up by the "
        f"{tenfold.held_up_by}.",
        f"Comparing every archive with its source bit for bit is "
        f"{1 - unread.busy_core_hours / found.busy_core_hours:.0%} of the work and "
        f"{1 - unread.read_bytes / found.read_bytes:.0%} of what is read.",
        f"Scheduler and client pass {limit:,.0f} tasks/s. With {PETABYTE.files:,} files of "
        f"{amount(PETABYTE.file_bytes)} they are busy {driver:.1%} of the "
        f"time; they would hold up {site.workers:,} workers with tasks shorter than "
        f"{duration(site.workers / limit)}, which is why small files are grouped.",
    ]
    return "\n".join(f"* {point}" for point in points)


def _tasks_per_second(costs: Costs, site: Site) -> float:
    """What scheduler and client pass at most."""
    idle = 1 - heartbeats_per_second(site.workers) * costs.heartbeat
    return idle / (costs.scheduler_task + costs.driver_task)


def kinds_table(data: Mapping[str, Data], names: Iterable[str], costs: Costs, site: Site) -> str:
    """One petabyte of data of several kinds."""
    rows = []
    for name in names:
        kind = data[name]
        found = predict(PETABYTE, kind, site, costs)
        rows.append([
            name, f"{kind.ratio:.2f}", duration(found.wall_seconds), found.held_up_by,
            f"{found.core_hours:,.0f}", f"{found.euro:,.0f}", amount(found.read_bytes),
            amount(found.written_bytes), amount(found.saved_bytes),
            f"{found.euro_per_saved_tb:.2f}", f"{found.months_to_pay(site):.1f}",
        ])  # fmt: skip
    head = (
        "data", "ratio", "time", "held up by", "core-hours", "euro", "read", "written", "saved",
        "euro per saved TB", "months to pay",
    )  # fmt: skip
    return markdown_table(head, rows)


def workers_table(data: Data, costs: Costs, numbers: Iterable[int]) -> str:
    """One petabyte on growing numbers of workers."""
    rows = []
    for number in numbers:
        site = Site(number)
        found = predict(PETABYTE, data, site, costs)
        rows.append([
            f"{number:,}", duration(found.wall_seconds), found.held_up_by,
            f"{found.core_hours:,.0f}", f"{found.busy_core_hours / found.core_hours:.0%}",
            amount((found.read_bytes + found.written_bytes) / found.wall_seconds) + "/s",
            amount(found.driver_bytes), f"{found.descriptors:,}", f"{found.lost_files:,.0f}",
            "; ".join(text.partition(": ")[2] for text in broken(found, site)),
        ])  # fmt: skip
    head = (
        "workers", "time", "held up by", "core-hours", "with work", "storage", "driver's memory",
        "descriptors", "files given up", "breaks",
    )  # fmt: skip
    return markdown_table(head, rows)


def files_table(data: Data, costs: Costs, counts: Iterable[int], site: Site) -> str:
    """One petabyte, and 10 TB, in growing numbers of files, grouped and one per task."""
    rows = []
    for size in (1e15, 1e13):
        for count in counts:
            grouped = predict(Job(count, size), data, site, costs)
            single = predict(Job(count, size, group_files=1), data, site, costs)
            rows.append([
                amount(size), f"{count:,}", amount(size / count), f"{grouped.files_per_task:,}",
                duration(grouped.wall_seconds), grouped.held_up_by,
                duration(single.wall_seconds), single.held_up_by,
                amount(grouped.driver_bytes), amount(single.all_at_once_bytes),
            ])  # fmt: skip
    head = (
        "in all", "files", "of", "files per task", "time", "held up by", "one per task: time",
        "held up by", "driver's memory", "all tasks at once",
    )  # fmt: skip
    return markdown_table(head, rows)


def limits_table(data: Data, costs: Costs, site: Site) -> str:
    """The paces at which scheduler and journal would become the bottleneck."""
    tasks = _tasks_per_second(costs, site)
    files = 1 / costs.journal_file
    one_by_one = 1 / (costs.take_file + costs.finish_file + costs.commit)
    speed = data.compress + data.decode + data.read
    rows = [
        ["scheduler and client", f"{tasks:,.0f} tasks/s",
         f"tasks shorter than {duration(site.workers / tasks)}, which is "
         f"{amount(site.workers / tasks / speed * 1e6)} of source"],
        ["journal, outcomes in batches", f"{files:,.0f} files/s",
         f"files shorter than {duration(site.workers / files)}"],
        ["journal, a commit per file", f"{one_by_one:,.0f} files/s",
         f"files shorter than {duration(site.workers / one_by_one)}"],
        ["descriptors of the scheduler",
         f"{costs.worker_files:.3g} per worker",
         f"{int(1024 / costs.worker_files):,} workers with a limit of 1,024, "
         f"{int(site.open_files / costs.worker_files):,} with {site.open_files:,}"],
        ["memory, bounded window", f"{amount(costs.task_bytes)} per task in flight",
         f"{math.ceil(8e9 / (WINDOW * costs.task_bytes + costs.worker_bytes)):,} workers "
         "with 8 GB"],
        ["memory, all tasks at once", f"{amount(costs.task_bytes)} per file",
         f"{math.ceil(8e9 / costs.task_bytes):,} files with 8 GB"],
    ]  # fmt: skip
    return markdown_table(
        ("part", "measured", f"holds up {site.workers:,} workers, or fails, at"), rows
    )


def assumptions_table(site: Site) -> str:
    """What is assumed of a site."""
    rows = []
    for field in fields(site):
        if field.name == "workers":
            continue
        value = getattr(site, field.name)
        if field.name.endswith("_bytes"):
            text = f"{amount(value)}/s"
        elif field.name.endswith("_seconds"):
            text = f"{value:g} s"
        elif isinstance(value, bool):
            text = "yes" if value else "no"
        else:
            text = f"{value:,g}"
        option = f"--{field.name.replace('_', '-')}"
        if field.name == "server_checksums":
            option = "--no-server-checksums"
        rows.append([_UNITS[field.name], text, f"`{option}`"])
    return markdown_table(("assumed of the site", "value", "option"), rows)


def simulation_table(cases: Iterable[Mapping[str, Any]]) -> str:
    """Model beside simulation."""
    rows = [
        [
            case["case"], f"{case['workers']:,}", f"{case['tasks']:,}", case["held_up_by"],
            duration(case["predicted_seconds"]), duration(case["simulated_seconds"]),
            f"{case['predicted_seconds'] / case['simulated_seconds']:.3f}",
            f"{case['predicted_bytes'] / case['simulated_bytes']:.3f}",
            f"{case['busy']['workers']:.0%}", f"{case['busy']['storage']:.0%}",
            f"{case['busy']['driver']:.0%}",
            f"{case['predicted_failed']:.2g} / {case['simulated_failed']}",
        ]
        for case in cases
    ]  # fmt: skip
    head = (
        "job", "workers", "tasks", "held up by", "model", "simulation", "ratio", "ratio of bytes",
        "workers busy", "storage", "driver", "given up, model / simulation",
    )  # fmt: skip
    return markdown_table(head, rows)
