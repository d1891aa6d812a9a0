"""Time and size of the journal, per file and per commit."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.scale.scheduler import no_work, orders
from vortex_hep.batch.journal.journal import FileRow, Journal
from vortex_hep.batch.plan.inputs import InputFile
from vortex_hep.batch.states import Order

#: Outcomes that are finished together; one for the naive way.
BATCHES = (1, 10, 100)


def input_files(files: int, size: int) -> Iterator[InputFile]:
    """Files as a listing gives them."""
    for order in orders(0, files):
        yield InputFile(
            source=order.source, relative=f"file-{order.number}.root", size=size, mtime=1.7e9,
            target=order.target,
        )  # fmt: skip


def order_of(row: FileRow) -> Order:
    """What a worker would be asked to do with a file."""
    return Order(row.number, row.source, row.target, row.attempts, row.size, row.mtime)


def measure(*, files: int = 20_000, commits: int = 100, batch: int = 100) -> dict[str, Any]:
    """Time a journal on a local disk.

    Parameters
    ----------
    files : int
        Entered at the start.
    commits : int
        Of each kind.
    batch : int
        Files taken at once.

    Returns
    -------
    dict
        Plain data for a JSON file. Seconds of the wall, as commits wait for the disk; finishing
        is per file of the largest batch, its share of the commit included.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "journal.sqlite"
        began = time.perf_counter()
        journal = Journal.create(path, {"command": "compress"}, input_files(files, 1_000_000_000))
        create = time.perf_counter() - began
        with journal:
            taken: list[FileRow] = []
            began = time.perf_counter()
            wanted = commits * sum(BATCHES)
            while len(taken) < wanted:
                taken += journal.take(batch, time.time())
            take = (time.perf_counter() - began) / len(taken)
            size = path.stat().st_size
            seconds = {}
            rest = iter(taken)
            for together in BATCHES:
                lots = [no_work([order_of(next(rest)) for _ in range(together)])
                        for _ in range(commits)]  # fmt: skip
                began = time.perf_counter()
                for outcomes in lots:
                    journal.finish(outcomes)
                seconds[together] = (time.perf_counter() - began) / commits
            grown = (path.stat().st_size - size) / wanted
    row = seconds[BATCHES[-1]] / BATCHES[-1]
    return {
        "files": files,
        "create_seconds_per_file": create / files,
        "take_seconds_per_file": take,
        "finish_seconds_per_file": row,
        "commit_seconds": max(0.0, seconds[1] - row),
        "finish_seconds_by_batch": {str(n): value for n, value in seconds.items()},
        "bytes_per_file": size / files + grown,
    }
