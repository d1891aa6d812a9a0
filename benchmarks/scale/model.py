"""The analytic model of a job: its time, its cost, and its bottleneck.

A file passes through stages; a stage lasts as long as the slower of its computing and its transfer,
which overlap, and its requests come on top. Workers, storage, scheduler and journal each need a
time of their own for the whole job; they work side by side, so that the longest counts.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from benchmarks.scale.parameters import MB, WINDOW, Costs, Data, Job, Site

#: What can hold up a job.
CPU, STREAM, LATENCY = "CPU of workers", "bandwidth of a stream", "latency of requests"
STORAGE, REQUESTS = "bandwidth of the storage", "requests of the storage"
SCHEDULER, JOURNAL, FEW = "scheduler", "journal", "fewer tasks than workers"


@dataclass(frozen=True)
class Stage:
    """A part of the work on one file.

    Parameters
    ----------
    name : str
    cpu : float
        Seconds, on all cores of a worker.
    read, written : float
        Bytes that pass between worker and storage meanwhile.
    requests : float
        Requests that move little data.
    """

    name: str
    cpu: float
    read: float = 0.0
    written: float = 0.0
    requests: float = 0.0

    @property
    def moved(self) -> float:
        """Bytes of one connection."""
        return self.read + self.written

    def seconds(self, site: Site) -> float:
        """How long it lasts where nobody else asks anything of the storage."""
        wait = self.requests * site.request_seconds
        return wait + max(self.cpu, self.moved / site.stream_bytes)


def stages_of(job: Job, data: Data, site: Site, costs: Costs, size: float) -> list[Stage]:
    """What is done with a file of ``size`` bytes, in order."""
    archive = size / data.ratio
    per_byte = 1 / (MB * site.speed * site.cores)
    half = costs.requests_file / 2
    coding = data.compress if job.against_source else data.compress + data.decode
    stages = [
        Stage("compress", size * coding * per_byte, read=size, written=archive, requests=half),
    ]
    if job.against_source:
        cpu = size * (data.decode + data.read) * per_byte
        stages.append(Stage("verify", cpu, read=size + archive))
    unknown = (archive + size) * (not site.server_checksums)
    stages.append(
        Stage("checksum, rename", costs.work_file / site.speed, read=unknown, requests=half)
    )
    return stages


@dataclass(frozen=True)
class Prediction:
    """What the model says of a job.

    Parameters
    ----------
    wall_seconds : float
    startup_seconds : float
        Part of it: the journal is written, and models go to the workers.
    held_up_by : str
        What takes the longest, and so sets the time.
    bounds : dict of str to float
        Seconds that each part would need if the others were free.
    task_seconds : float
        Of one task on a worker.
    tasks, files_per_task : int
    core_hours, busy_core_hours, cpu_hours : float
        Reserved until the end, of workers that have something to do, and of computing.
    read_bytes, written_bytes, saved_bytes : float
    driver_bytes : float
        Memory of the driver with its scheduler; ``all_at_once_bytes`` if every task were submitted
        at the start.
    all_at_once_bytes : float
    descriptors : int
        Open files of the scheduler.
    lost_files : float
        Expected number of files that lose their worker twice and are reported as failed.
    euro : float
        Of the reserved core-hours.
    """

    wall_seconds: float
    startup_seconds: float
    held_up_by: str
    bounds: dict[str, float]
    task_seconds: float
    tasks: int
    files_per_task: int
    core_hours: float
    busy_core_hours: float
    cpu_hours: float
    read_bytes: float
    written_bytes: float
    saved_bytes: float
    driver_bytes: float
    all_at_once_bytes: float
    descriptors: int
    lost_files: float
    euro: float

    @property
    def files_per_second(self) -> float:
        """Pace of the whole."""
        return self.tasks * self.files_per_task / self.wall_seconds

    @property
    def euro_per_saved_tb(self) -> float:
        """Price of a terabyte that is no longer needed; infinite where nothing is saved."""
        return self.euro / (self.saved_bytes / 1e12) if self.saved_bytes > 0 else math.inf

    def months_to_pay(self, site: Site) -> float:
        """Until the saved terabytes have paid for the work."""
        return 12 * self.euro_per_saved_tb / site.tb_year_price


def heartbeats_per_second(workers: int) -> float:
    """Of all workers: distributed asks for fewer of each as there are more."""
    if workers <= 10:
        interval = 0.5
    elif workers < 50:
        interval = 1.0
    elif workers < 200:
        interval = 2.0
    else:
        interval = workers / 200 + 1
    return workers / interval


def waste(site: Site, task_seconds: float) -> float:
    """By how much lost workers and passing errors lengthen the work, as a factor.

    A task that needs ``d`` seconds without interruption, on workers lost at random at a rate ``r``,
    takes ``(exp(r d) - 1) / r`` on average.
    """
    exponent = min(site.losses_per_hour / 3600 * task_seconds, 50.0)
    lost = math.expm1(exponent) / exponent if exponent > 0 else 1.0
    return lost / (1 - site.transient)


def predict(job: Job, data: Data, site: Site, costs: Costs) -> Prediction:
    """Work out time, cost and bottleneck of a job.

    Parameters
    ----------
    job : Job
    data : Data
    site : Site
    costs : Costs

    Notes
    -----
    All files are taken to have the average size. Files of other sizes make the end less even: at
    most the time of the largest one is added, and nothing where large files come first.
    """
    size, together = job.file_bytes, job.files_per_task(site.workers)
    tasks = job.tasks(site.workers)
    stages = stages_of(job, data, site, costs, size)
    file_seconds = sum(stage.seconds(site) for stage in stages)
    task_seconds = together * file_seconds
    read = sum(stage.read for stage in stages)
    written = sum(stage.written for stage in stages)
    requests = sum(stage.requests for stage in stages)

    rounds = max(1.0, tasks / site.workers)
    storage = job.files * (read + written) / site.storage_bytes
    names = job.files * requests / site.requests_per_second
    # A storage that is asked for more than it gives makes each task longer.
    stretch = max(1.0, storage / (rounds * task_seconds), names / (rounds * task_seconds))
    factor = waste(site, stretch * task_seconds)
    again, last = _repeated(job, site, factor)
    scheduler = tasks * factor * (costs.scheduler_task + costs.driver_task)
    scheduler /= max(1e-3, 1 - heartbeats_per_second(site.workers) * costs.heartbeat)
    journal = job.files * factor * costs.journal_file
    bounds = {
        "workers": math.ceil(rounds) * task_seconds + again * file_seconds,
        STORAGE: storage * factor,
        REQUESTS: names * factor,
        # Both run in the driver's process, where one interpreter serves them in turn.
        "driver": scheduler + journal,
    }
    longest = max(bounds, key=lambda name: bounds[name])
    held_up = {
        "workers": FEW if tasks < site.workers else _slowest(stages, site),
        "driver": SCHEDULER if scheduler > journal else JOURNAL,
    }.get(longest, longest)

    startup = job.files * costs.create_file + site.workers * data.model_bytes / site.driver_bytes
    # What is lost in the last round is run once more, all else being through.
    unlucky = last * (_chance(site, stretch * file_seconds) + site.transient)
    tail = file_seconds * unlucky / (1 + unlucky)
    wall = startup + bounds[longest] + tail
    flight = min(tasks, WINDOW * site.workers)
    memory = costs.base_bytes + site.workers * costs.worker_bytes
    lost = _chance(site, stretch * task_seconds) * _chance(site, stretch * file_seconds)
    core_hours = site.workers * site.cores * wall / 3600
    return Prediction(
        wall_seconds=wall,
        startup_seconds=startup,
        held_up_by=held_up,
        bounds=bounds,
        task_seconds=task_seconds,
        tasks=tasks,
        files_per_task=together,
        core_hours=core_hours,
        busy_core_hours=job.files * factor * file_seconds * site.cores / 3600,
        cpu_hours=job.files * factor * site.cores * sum(s.cpu for s in stages) / 3600,
        read_bytes=job.files * factor * read,
        written_bytes=job.files * factor * written,
        saved_bytes=job.bytes * (1 - 1 / data.ratio) - data.model_bytes,
        driver_bytes=memory + flight * costs.task_bytes,
        all_at_once_bytes=memory + job.files * costs.task_bytes,
        descriptors=math.ceil(site.workers * costs.worker_files),
        lost_files=job.files * lost,
        euro=core_hours * site.core_hour_price,
    )


def _repeated(job: Job, site: Site, factor: float) -> tuple[int, float]:
    """Rounds of repeated files after those of all tasks, and how many files the last round has.

    Repeated files go one by one; idle workers of the last round of tasks take the first of them.
    """
    rounds = job.tasks(site.workers) / site.workers
    idle = (math.ceil(rounds) - rounds) * site.workers
    together = job.files_per_task(site.workers)
    over = job.files * (factor - 1) - idle * together
    if over < 1:
        return 0, (site.workers - idle) * together
    again = math.ceil(over / site.workers)
    return again, over - (again - 1) * site.workers


def _chance(site: Site, seconds: float) -> float:
    """That a worker is lost within some time."""
    return -math.expm1(-site.losses_per_hour / 3600 * seconds)


def _slowest(stages: list[Stage], site: Site) -> str:
    """What most of a worker's time goes into."""
    spent = {CPU: 0.0, STREAM: 0.0, LATENCY: 0.0}
    for stage in stages:
        transfer = stage.moved / site.stream_bytes
        spent[CPU if stage.cpu >= transfer else STREAM] += max(stage.cpu, transfer)
        spent[LATENCY] += stage.requests * site.request_seconds
    return max(spent, key=lambda name: spent[name])
