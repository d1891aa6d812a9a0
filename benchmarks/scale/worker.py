"""Overhead of a worker per file besides coding: seconds, and requests to a server."""

from __future__ import annotations

import statistics
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any
from unittest import mock

import vortex_hep
from tests.xrootd import XrootdServer
from vortex_hep.batch.jobs import compress_dataset
from vortex_hep.batch.journal.journal import Journal
from vortex_hep.testing.examples import write_example

#: What the client asks a server, by its classes.
_CALLS = {
    "FileSystem": ("stat", "rm", "rmdir", "mkdir", "mv", "query", "dirlist", "locate"),
    "File": ("open", "close", "stat", "sync", "truncate", "read", "write", "vector_read"),
}
#: Of these, what moves data.
_TRANSFERS = ("File.read", "File.write", "File.vector_read")


def measure(*, files: int = 12, events: int = 100) -> dict[str, Any]:
    """Run jobs over small files, from and to a local disk and a server on this machine.

    Parameters
    ----------
    files : int
    events : int
        Of each file.

    Returns
    -------
    dict
        Plain data for a JSON file. Seconds are of the wall, without compressing and verifying;
        requests are per file, what a job asks once left out.
    """
    # Not in a folder of this process alone: the server runs as somebody else.
    with tempfile.TemporaryDirectory() as name, _client() as client:
        base = Path(name)
        base.chmod(0o755)
        first = base / "example.root"
        write_example(first, events=events, seed=3)
        size = first.stat().st_size
        folder = base / "sources"
        folder.mkdir()
        for number in range(files):
            (folder / f"{number}.root").write_bytes(first.read_bytes())
        spare = _run(str(folder), str(base / "archives"), base / "local.sqlite", client)
        server = XrootdServer(base)
        counts = []
        for number in (1, 2):
            (server.root / f"{number}").mkdir()
            for copy in range(number):
                (server.root / f"{number}/{copy}.root").write_bytes(first.read_bytes())
        server.start()
        try:
            for number in (1, 2):
                target = server.url(f"data/archives{number}")
                with _counted() as count:
                    _run(server.url(f"data/{number}"), target, base / f"{number}.sqlite", client)
                counts.append(count)
        finally:
            server.stop()
    each = counts[1] - counts[0]
    transfers = {kind: number for kind, number in each.items() if kind in _TRANSFERS}
    requests = {kind: number for kind, number in each.items() if kind not in _TRANSFERS}
    return {
        "files": files,
        "file_bytes": size,
        "overhead_seconds": statistics.median(spare),
        "requests": sum(requests.values()),
        "transfers": sum(transfers.values()),
        "requests_by_kind": dict(sorted(requests.items())),
        "transfers_by_kind": dict(sorted(transfers.items())),
    }


@contextmanager
def _client() -> Iterator[Any]:
    """A worker within this process, where its calls can be counted."""
    connect: Any = import_module("distributed").Client
    with connect(
        processes=False, n_workers=1, threads_per_worker=1, dashboard_address=None
    ) as client:
        yield client


def _run(sources: str, output: str, journal: Path, client: Any) -> list[float]:
    """Run a job; seconds that each file took beside compressing and verifying."""
    summary = compress_dataset(
        [sources], model=vortex_hep.Model({}), output=output, journal=journal, site=client
    )
    if summary.failed:
        raise RuntimeError(f"{summary.failed} files failed")
    with Journal.open(journal, read_only=True) as opened:
        outcomes = [row.outcome for row in opened.rows() if row.outcome is not None]
    return [o.finished - o.started - o.stages["compress"] - o.stages["verify"] for o in outcomes]


@contextmanager
def _counted() -> Iterator[Counter[str]]:
    """Count calls of the XRootD client."""
    client: Any = import_module("XRootD.client")
    count: Counter[str] = Counter()

    def counting(kind: str, method: str) -> Any:
        original = getattr(getattr(client, kind), method)

        def call(*arguments: Any, **options: Any) -> Any:
            count[f"{kind}.{method}"] += 1
            return original(*arguments, **options)

        return call

    patches = [
        mock.patch.object(getattr(client, kind), method, counting(kind, method))
        for kind, names in _CALLS.items()
        for method in names
    ]
    for patch in patches:
        patch.start()
    try:
        yield count
    finally:
        for patch in patches:
            patch.stop()
