"""Parameters of model and simulation: the job, the data, the site, and measured costs.

Costs are measured (``python -m benchmarks.scale measure``) and read from JSON. What only a site can
know, bandwidth and prices above all, is a :class:`Site`: its defaults are assumptions, not
measurements, and the tables say so.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.run import RESULTS

#: Bytes of a megabyte, as everywhere in the project.
MB = 1e6
#: Tasks in flight per worker: one that is worked on, one that waits for it.
WINDOW = 2


@dataclass(frozen=True)
class Job:
    """One list of files.

    Parameters
    ----------
    files : int
    bytes : float
        Of all source files together.
    group_bytes, group_files : float, int
        Small files go into one task until they reach one of these; by default as in jobs.
    against_source : bool
        Whether archives are compared with their sources bit for bit, which reads these again;
        otherwise chunks are decoded right after coding, and the stored bytes are read back.
    """

    files: int
    bytes: float
    group_bytes: float = 32 << 20
    group_files: int = 16
    against_source: bool = True

    @property
    def file_bytes(self) -> float:
        """Of one file, on average."""
        return self.bytes / self.files

    def files_per_task(self, workers: int) -> int:
        """Files of average size that go into one task, while many are left."""
        spread = self.files // (2 * WINDOW * workers)
        return max(1, min(self.group_files, spread, int(self.group_bytes // self.file_bytes)))

    def tasks(self, workers: int) -> int:
        """Tasks of the whole list, retries left out."""
        return -(-self.files // self.files_per_task(workers))


@dataclass(frozen=True)
class Data:
    """What files of a kind cost.

    Parameters
    ----------
    name : str
    ratio : float
        Bytes of the source file per byte of the archive, the model apart.
    compress : float
        CPU seconds per MB of the source file, without decoding to prove anything.
    decode : float
        CPU seconds per MB of the source file to decode its archive, checksums included.
    read : float
        CPU seconds per MB of the source file to read it once more, for a comparison.
    model_bytes : float
        Of the model that each worker gets.
    restore : float
        CPU seconds per MB of the source file to restore it; not part of compressing.
    """

    name: str
    ratio: float
    compress: float
    decode: float
    read: float
    model_bytes: float = 0.0
    restore: float = 0.0


@dataclass(frozen=True)
class Site:
    """What a site gives to a job. All defaults are assumptions.

    Parameters
    ----------
    workers : int
    cores : int
        Of one worker; its threads share the work of one file.
    speed : float
        Of a core, in cores of the machine that the constants were measured on.
    stream_bytes : float
        Bytes per second of one connection to the storage.
    storage_bytes : float
        Bytes per second of the storage in total, as far as this job gets them.
    request_seconds : float
        Of a request that moves little data: stat, open, read a header, close, rename.
    requests_per_second : float
        Such requests that the storage serves to this job.
    server_checksums : bool
        Whether the storage knows the adler32 of its files; otherwise they are read for it.
    driver_bytes : float
        Bytes per second between the driver and all workers: models go this way.
    losses_per_hour : float
        Workers lost per hour and worker: evicted, out of memory, machine rebooted.
    replace_seconds : float
        Until a lost worker is replaced.
    transient : float
        Attempts that end in a passing error, as a fraction of all; half of their time is lost.
    open_files : int
        Descriptors that the scheduler's process may have.
    core_hour_price, tb_year_price : float
        In euro.
    """

    workers: int
    cores: int = 1
    speed: float = 1.0
    stream_bytes: float = 100e6
    storage_bytes: float = 50e9
    request_seconds: float = 0.01
    requests_per_second: float = 20_000.0
    server_checksums: bool = True
    driver_bytes: float = 1.25e9
    losses_per_hour: float = 0.005
    replace_seconds: float = 120.0
    transient: float = 0.001
    open_files: int = 65536
    core_hour_price: float = 0.02
    tb_year_price: float = 20.0


@dataclass(frozen=True)
class Costs:
    """Measured costs of running a job, in seconds of CPU and bytes.

    Parameters
    ----------
    scheduler_task : float
        Seconds of the scheduler per task, from submission to release.
    driver_task : float
        Seconds of the driver's client per task.
    heartbeat : float
        Seconds of the scheduler per heartbeat of a worker.
    create_file, take_file, finish_file : float
        Seconds of the journal per file: entered, taken, finished, in batches.
    commit : float
        Seconds of one durable commit.
    work_file : float
        Seconds of a worker per file that are neither coding, nor transfer, nor requests.
    requests_file : float
        Requests per file, those for the data of a small one among them.
    task_bytes : float
        Memory of driver and scheduler per task in flight.
    worker_bytes, worker_files : float
        Memory and open descriptors of the scheduler per worker.
    base_bytes : float
        Memory of driver and scheduler without tasks and workers.
    """

    scheduler_task: float
    driver_task: float
    heartbeat: float
    create_file: float
    take_file: float
    finish_file: float
    commit: float
    work_file: float
    requests_file: float
    task_bytes: float
    worker_bytes: float
    worker_files: float
    base_bytes: float

    @property
    def journal_file(self) -> float:
        """Seconds of the journal per file while the job runs."""
        return self.take_file + self.finish_file


def constants_path(results: Path = RESULTS) -> Path:
    """Where the measured constants are: of the first machine that has any.

    Raises
    ------
    SystemExit
        If none were measured.
    """
    found = sorted(results.glob("*/scale-constants.json"))
    if not found:
        raise SystemExit("no constants yet: run python -m benchmarks.scale measure")
    return found[0]


def load_constants(results: Path = RESULTS) -> dict[str, Any]:
    """What ``measure`` wrote."""
    plain: dict[str, Any] = json.loads(constants_path(results).read_text("utf-8"))
    return plain


def costs_of(plain: dict[str, Any]) -> Costs:
    """Costs from the constants of a machine."""
    scheduler, journal, files = plain["scheduler"], plain["journal"], plain["file"]
    return Costs(
        scheduler_task=scheduler["scheduler_seconds_per_task"],
        driver_task=scheduler["client_seconds_per_task"],
        heartbeat=scheduler["seconds_per_heartbeat"],
        create_file=journal["create_seconds_per_file"],
        take_file=journal["take_seconds_per_file"],
        finish_file=journal["finish_seconds_per_file"],
        commit=journal["commit_seconds"],
        work_file=files["overhead_seconds"],
        requests_file=files["requests"] + files["transfers"],
        task_bytes=scheduler["bytes_per_task"],
        worker_bytes=scheduler["bytes_per_worker"],
        worker_files=scheduler["descriptors_per_worker"],
        base_bytes=scheduler["base_bytes"],
    )


def load_data(results: Path = RESULTS) -> dict[str, Data]:
    """Kinds of data by name: classical coding as measured here, models as the corpus' results have.

    Notes
    -----
    The corpus' results time ``compress_file`` with every chunk decoded again, and ``verify``;
    compressing alone is taken as their difference. Reading a source once more is taken from the
    classical measurement of the same format. All with one thread.
    """
    plain = load_constants(results)
    found = {}
    read = {}
    for entry in plain["codec"]:
        size = entry["file_bytes"] / MB
        read[entry["kind"]] = max(0.0, entry["compare_seconds"] - entry["decode_seconds"]) / size
        found[entry["name"]] = Data(
            name=entry["name"],
            ratio=entry["file_bytes"] / entry["stored_bytes"],
            compress=entry["compress_seconds"] / size,
            decode=entry["decode_seconds"] / size,
            read=read[entry["kind"]],
            restore=entry["restore_seconds"] / size,
        )
    for path in sorted(results.glob("*/*/*.vortex-hep.json")):
        entry = json.loads(path.read_text("utf-8"))
        timing = next((t for t in entry["timings"] if t["threads"] == 1), None)
        if timing is None or entry["kind"] not in read or entry["dataset"] in found:
            continue
        size = entry["file_bytes"] / MB
        found[entry["dataset"]] = Data(
            name=entry["dataset"],
            ratio=entry["file_bytes"] / entry["stored_bytes"],
            compress=(timing["encode_seconds"] - timing["decode_seconds"]) / size,
            decode=timing["decode_seconds"] / size,
            read=read[entry["kind"]],
            model_bytes=entry["model_bytes"],
            restore=entry["settings"]["restore_seconds"] / size,
        )
    return found
