"""Real jobs whose workers return at once, which measure driver, scheduler and journal.

Each runs in a process of its own. With two workers it holds the driver and the scheduler of a local
cluster, so that its memory is that of both; many workers share a process, and a scheduler has one.
"""

from __future__ import annotations

import contextlib
import logging
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from importlib import import_module
from multiprocessing import get_context
from pathlib import Path
from typing import Any
from unittest import mock

import psutil  # type: ignore[import-untyped]

from benchmarks.scale.cluster import scheduler, workers
from benchmarks.scale.journal import input_files, order_of
from benchmarks.scale.scheduler import no_work
from vortex_hep.batch.jobs import resume
from vortex_hep.batch.journal.journal import Journal
from vortex_hep.batch.run import run
from vortex_hep.batch.site.site import Site, connect
from vortex_hep.batch.states import Outcome

_FEW, _MANY = 2, 100
#: Name of a job, bytes of a file, workers, and which part of the files: small files are grouped,
#: large ones are a task each.
JOBS = (
    ("bounded window, files of 1 MB, grouped", 1_000_000, _FEW, 1.0),
    ("bounded window, files of 1 GB", 1_000_000_000, _MANY, 0.2),
)
NAIVE = "naive: all submitted at once, a commit per file"


def measure(*, files: int = 100_000, seconds: float = 120.0) -> dict[str, Any]:
    """Run all of them.

    Parameters
    ----------
    files : int
    seconds : float
        After which the naive one is stopped; the others run to their end.

    Returns
    -------
    dict
        Plain data for a JSON file.
    """
    runs = []
    calls: list[tuple[Callable[..., dict[str, Any]], tuple[Any, ...]]] = [
        *((_job, (name, int(files * part), size, number)) for name, size, number, part in JOBS),
        (_naive, (NAIVE, files, seconds)),
    ]
    for call, arguments in calls:
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
            runs.append(pool.submit(call, *arguments).result())
        print(runs[-1], flush=True)
    return {"runs": runs}


class _Peak(threading.Thread):
    """The largest resident memory of this process."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self._process = psutil.Process()
        self._over = threading.Event()
        self.first = self.most = self._process.memory_info().rss

    def run(self) -> None:
        while not self._over.wait(0.2):
            self.most = max(self.most, self._process.memory_info().rss)

    def stop(self) -> int:
        """How far it grew."""
        self._over.set()
        return int(self.most - self.first)


@contextmanager
def _client(number: int) -> Iterator[Any]:
    if number > _FEW:
        connected: Any = import_module("distributed").Client
        with scheduler() as (address, _), workers(address, number), connected(address) as client:
            client.wait_for_workers(number)
            yield client
        return
    with connect(Site(workers=number, cores=1, memory="2GB", dashboard="none")) as client:
        client.wait_for_workers(number)
        yield client


def _job(name: str, files: int, size: int, number: int) -> dict[str, Any]:
    """The driver of the package, its work replaced by nothing."""
    sent = _Sent()
    with tempfile.TemporaryDirectory() as folder, _client(number) as client:
        peak = _Peak()
        peak.start()
        began = time.perf_counter()
        document = {"command": "compress", "job": "noop", "options": {}}
        path = Path(folder) / "job.sqlite"
        Journal.create(path, document, input_files(files, size)).close()
        entered = time.perf_counter() - began
        with mock.patch.object(run, "run_task", no_task), sent.counted(client):
            summary = resume(path, site=client)
        seconds = time.perf_counter() - began
    return _about(name, summary.done, sent, seconds, peak.stop(), entered, number, files, "stopped")


def no_task(*arguments: Any) -> list[Outcome]:
    """What a worker runs in place of the work."""
    (orders,) = (given for given in arguments if isinstance(given, (list, tuple)))
    return no_work(orders)


def _naive(name: str, files: int, limit: float) -> dict[str, Any]:
    """What one would write first."""
    # A scheduler that does not answer has one message per task to tell that.
    logging.disable(logging.CRITICAL)
    broken = "stopped"
    as_completed: Any = import_module("distributed").as_completed
    sent = _Sent()
    done = 0
    about: dict[str, Any] = {}
    # Nor may a cluster that was left with so many tasks close in time.
    with (
        contextlib.suppress(OSError, TimeoutError, RuntimeError),
        tempfile.TemporaryDirectory() as folder,
        _client(_FEW) as client,
    ):
        peak = _Peak()
        peak.start()
        began = time.perf_counter()
        path = Path(folder) / "job.sqlite"
        with Journal.create(path, {"command": "compress"}, input_files(files, 1)) as journal:
            entered = time.perf_counter() - began
            with sent.counted(client):
                orders = [order_of(row) for row in journal.take(files, time.time())]
                futures = [client.submit(no_work, [order], pure=False) for order in orders]
                for _, outcomes in as_completed(futures, with_results=True):
                    if not isinstance(outcomes, list):  # what became of the scheduler
                        broken = f"broke: {type(outcomes).__name__}"
                        break
                    journal.finish(outcomes)
                    done += 1
                    if time.perf_counter() - began > limit:
                        break
        seconds = time.perf_counter() - began
        grown = peak.stop()
        about = _about(name, done, sent, seconds, grown, entered, _FEW, files, broken)
    if not about:
        raise RuntimeError("nothing was measured")
    return about


class _Sent:
    """Tasks that a client submits."""

    def __init__(self) -> None:
        self.tasks = self.flying = self.most = 0

    @contextmanager
    def counted(self, client: Any) -> Iterator[None]:
        """Count those of a client's ``submit``, and how many are not done at a time."""
        submit = client.submit
        lock = threading.Lock()

        def ended(_: Any) -> None:
            with lock:
                self.flying -= 1

        def counting(*arguments: Any, **options: Any) -> Any:
            future = submit(*arguments, **options)
            with lock:
                self.tasks += 1
                self.flying += 1
                self.most = max(self.most, self.flying)
            future.add_done_callback(ended)
            return future

        with mock.patch.object(client, "submit", counting):
            yield


def _about(
    name: str,
    done: int,
    sent: _Sent,
    seconds: float,
    grown: int,
    entered: float,
    number: int,
    files: int,
    broken: str,
) -> dict[str, Any]:
    return {
        "name": name,
        "workers": number,
        "files": done,
        "tasks": sent.tasks,
        "seconds": seconds,
        "enter_seconds": entered,
        "most_in_flight": sent.most,
        "driver_bytes": grown,
        "error": None if done == files else f"{broken}, of {files:,} files",
    }
