"""Test of a job over sixty files of all kinds on a real server, with every kind of fault."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil  # type: ignore[import-untyped]
import pytest

import vortex_hep
from tests.batch.kinds import KINDS, write_opaque
from tests.waiting import PATIENCE, wait_until
from tests.xrootd import XrootdServer, xrootd, xrootd_base
from vortex_hep.batch.jobs import resume
from vortex_hep.batch.journal.journal import Journal
from vortex_hep.batch.site.site import Site
from vortex_hep.batch.states import State
from vortex_hep.core import storage

__all__ = ["xrootd", "xrootd_base"]

ROOT = Path(__file__).parents[2]
FILES = 60
#: Files that are large enough for a server to be killed while they are written; bytes of each.
LARGE, LARGE_BYTES = 3, 40_000_000
DRIVER = """\
import sys
import vortex_hep
from vortex_hep.batch import jobs
from vortex_hep.batch.site.site import Site

if __name__ == "__main__":
    source, output, journal = sys.argv[1:]
    jobs.compress_dataset(
        [source], model=vortex_hep.Model({}), output=output, journal=journal,
        options=jobs.JobOptions(effort="fast", backoff=0.3, attempts=20, group_bytes=100_000),
        site=Site(workers=2, memory="1GB", dashboard="none"),
    )
"""


@pytest.fixture
def sources(xrootd: XrootdServer, request: pytest.FixtureRequest) -> Path:
    """The files, in folders on the server."""
    folder = xrootd.root / "in"
    kinds = list(KINDS.items())
    real: list[Path] = []
    with contextlib.suppress(pytest.skip.Exception):
        data = request.getfixturevalue("shared_data")
        real = [data / "real/alice/PMD_PED.root", data / "real/nanoaod/nano_dy_rntuple.root"]
    for number in range(FILES):
        suffix, write = kinds[number % len(kinds)]
        path = folder / suffix.partition(".")[0] / f"{number:02}.{suffix}"
        path.parent.mkdir(parents=True, exist_ok=True)
        if number // 20 == 1 and suffix == "dat" and len(list(folder.glob("large/*"))) < LARGE:
            # Their turn comes after the small ones of most kinds.
            large = folder / "large" / path.name
            large.parent.mkdir(exist_ok=True)
            write_opaque(large, number, LARGE_BYTES)
        elif real and suffix.endswith(".root") and number >= 40:
            path.write_bytes(real.pop().read_bytes())
        else:
            write(path, number)
    return folder


def wait_for(what: Callable[[], object], driver: subprocess.Popen[bytes]) -> None:
    """Wait until something is so, while the driver runs."""

    def happened() -> bool:
        assert driver.poll() is None, "the driver has ended"
        return bool(what())

    wait_until(happened, every=0.002)


@pytest.mark.network
@pytest.mark.slow
def test_sixty_files(xrootd: XrootdServer, sources, tmp_path):
    """Every file is there once, right, and nothing partial is left.

    Killed with SIGKILL: a worker, the server while it is read, the server while it is written to,
    the driver; then the job goes on.
    """
    output, journal = xrootd.root / "out", tmp_path / "job.sqlite"
    script = tmp_path / "driver.py"
    script.write_text(DRIVER)
    driver = subprocess.Popen(
        [sys.executable, str(script), xrootd.url("data/in/**/*.*"), xrootd.url("data/out"),
         str(journal)],
        env={**os.environ, "PYTHONPATH": str(ROOT)}, start_new_session=True,
    )  # fmt: skip
    workers: set[psutil.Process] = set()

    def done(count: int) -> Callable[[], bool]:
        return lambda: len(list(output.rglob("*.vxc"))) >= count

    def parts() -> list[Path]:
        return list(output.rglob(".*.part"))

    def being_written() -> bool:
        with contextlib.suppress(FileNotFoundError):
            return any(1_000_000 < path.stat().st_size < LARGE_BYTES for path in parts())
        return False

    def fail_over() -> None:
        xrootd.freeze()
        xrootd.kill()
        time.sleep(0.5)  # an outage as long as this
        xrootd.start()

    try:
        wait_for(done(6), driver)
        wait_for(parts, driver)
        workers |= set(psutil.Process(driver.pid).children(recursive=True))
        busy = [p for p in workers if "spawn_main" in " ".join(p.cmdline())]
        busy[0].kill()
        wait_for(done(12), driver)
        wait_for(parts, driver)
        fail_over()
        wait_for(being_written, driver)
        fail_over()
        wait_for(done(36), driver)
        wait_for(parts, driver)
        workers |= set(psutil.Process(driver.pid).children(recursive=True))
    finally:
        driver.send_signal(signal.SIGKILL)
        driver.wait()
    _, alive = psutil.wait_procs(workers, timeout=PATIENCE)
    assert not alive
    with Journal.open(journal, read_only=True) as opened:
        counts = opened.counts()
        histories = [o for row in opened.rows() for o in opened.history(row.number)]
    assert counts[State.DONE].files < FILES
    assert {"network", "worker lost"} <= {o.reason for o in histories if not o.ok}

    summary = resume(journal, failed=True, site=Site(workers=2, memory="1GB", dashboard="none"))

    assert (summary.done, summary.failed, summary.waiting) == (FILES, 0, 0)
    files = [path for path in output.rglob("*") if path.is_file()]
    extra = {path.name for path in files if path.suffix != ".vxc"}
    assert len(files) == FILES + 2, extra
    assert extra == {"job.sqlite", "e3b0c44298fc1c14.vxm"}
    with Journal.open(journal, read_only=True) as opened:
        rows = list(opened.rows())
        successes = [sum(o.ok for o in opened.history(row.number)) for row in rows]
    assert successes == [1] * FILES
    assert len({row.target for row in rows}) == FILES
    for row in rows:
        source, target = (
            xrootd.root / str(url).partition("//data/")[2] for url in (row.source, row.target)
        )
        report = vortex_hep.verify(target, against=source)
        assert report.ok, report.differences
        assert row.outcome is not None
        assert row.outcome.source_adler32 == storage.identity(str(source)).adler32
        assert row.outcome.target_adler32 == storage.identity(str(target)).adler32
