"""Tests of killed workers and drivers: nothing lost, nothing done twice, nothing left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil  # type: ignore[import-untyped]
import pytest

import vortex_hep
from tests.batch.faults import Faults
from tests.waiting import PATIENCE, wait_until
from vortex_hep.batch.jobs import JobOptions, compress_dataset, resume
from vortex_hep.batch.journal.journal import Journal
from vortex_hep.batch.site.site import Site, connect
from vortex_hep.batch.states import Reason, State

MODEL = vortex_hep.Model({})
QUICK = JobOptions(backoff=0.05)
ROOT = Path(__file__).parents[2]

#: A driver that dies after an archive got its name, and before the journal knows of it.
DRIVER = """\
import os, signal, sys
import vortex_hep
from vortex_hep.batch import jobs
from vortex_hep.batch.journal import journal
from vortex_hep.batch.site.site import Site

finish = journal.Journal.finish
calls = []

def dying(self, outcomes, **options):
    calls.append(outcomes)
    if len(calls) == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    finish(self, outcomes, **options)

if __name__ == "__main__":
    journal.Journal.finish = dying
    options = jobs.JobOptions(group_bytes=0)
    site = Site(workers=2, memory="1GB", dashboard="none")
    source, output = sys.argv[1:]
    jobs.compress_dataset(
        [source], model=vortex_hep.Model({}), output=output, options=options, site=site
    )
"""


@pytest.fixture(scope="module")
def faulty():
    """A client of two workers that some files kill."""
    site = Site(workers=2, memory="700MB", dashboard="none")
    with connect(site) as client:
        client.wait_for_workers(2)
        from distributed import WorkerPlugin

        class Plugin(Faults, WorkerPlugin):
            pass

        client.register_plugin(Plugin())
        yield client


def whole_and_alone(source: Path, output: Path, names: list[str]) -> None:
    """Each file has one archive that is right, and nothing else is there."""
    found = sorted(p.name for p in output.rglob("*") if p.is_file())
    archives = [f"{name}.vxc" for name in names]
    assert [n for n in found if not n.endswith((".vxm", ".sqlite"))] == sorted(archives)
    for name in names:
        assert vortex_hep.verify(output / f"{name}.vxc", against=source / f"{name}.root").ok


def make(folder: Path, tiny_file: Path, names: list[str]) -> Path:
    folder.mkdir()
    for name in names:
        (folder / f"{name}.root").write_bytes(tiny_file.read_bytes())
    return folder


def test_a_file_that_kills_its_workers(faulty, tiny_file, tmp_path):
    """It is tried twice, whatever goes with it; the others are done, those of its group, too."""
    names = ["a", "b", "c-once", "d", "e-killer", "f", "g", "h", "i", "j"]
    source, output = make(tmp_path / "in", tiny_file, names), tmp_path / "out"
    summary = compress_dataset([source], model=MODEL, output=output, site=faulty, options=QUICK)
    assert (summary.done, summary.failed) == (9, 1)
    (failure,) = summary.failures
    assert failure.reason == Reason.CRASHED.value
    assert failure.source.endswith("e-killer.root")
    assert "the worker was lost with this file" in failure.error
    with Journal.open(summary.journal, read_only=True) as journal:
        rows = {Path(row.source).stem: row for row in journal.rows()}
        blamed = [
            name
            for name, row in rows.items()
            for outcome in journal.history(row.number)
            if "with this file" in str(outcome.error)
        ]
    assert sorted(blamed) == ["c-once", "e-killer", "e-killer"]
    names.remove("e-killer")
    for marker in source.glob("*.seen"):
        marker.unlink()
    whole_and_alone(source, output, names)


@pytest.mark.slow
def test_a_file_that_needs_too_much_memory(faulty, tiny_file, tmp_path):
    names = ["a", "b", "hungry"]
    source, output = make(tmp_path / "in", tiny_file, names), tmp_path / "out"
    summary = compress_dataset([source], model=MODEL, output=output, site=faulty, options=QUICK)
    assert (summary.done, summary.reasons) == (2, {Reason.MEMORY.value: 1})
    whole_and_alone(source, output, ["a", "b"])


@pytest.mark.slow
def test_a_driver_that_is_killed(tiny_file, tmp_path, faulty):
    """It dies between renaming and journal, with other files in work: its workers do, too."""
    names = [f"{n:02}" for n in range(8)]
    source, output = make(tmp_path / "in", tiny_file, names), tmp_path / "out"
    script = tmp_path / "driver.py"
    script.write_text(DRIVER)
    driver = subprocess.Popen(
        [sys.executable, str(script), str(source), str(output)],
        env={**os.environ, "PYTHONPATH": str(ROOT)}, start_new_session=True,
    )  # fmt: skip
    workers: set[psutil.Process] = set()
    while driver.poll() is None:
        try:
            workers |= set(psutil.Process(driver.pid).children(recursive=True))
        except psutil.NoSuchProcess:
            break
        time.sleep(0.05)
    assert driver.wait() == -signal.SIGKILL
    assert len(workers) >= 2
    _, alive = psutil.wait_procs(workers, timeout=PATIENCE)
    assert not alive
    journal = output / "vortex-job.sqlite"
    with Journal.open(journal, read_only=True) as opened:
        counts = opened.counts()
    there = {p.stem for p in output.glob("*.vxc")}
    assert counts[State.RUNNING].files > 0
    assert len(there) > counts[State.DONE].files
    summary = resume(journal, site=faulty)
    assert (summary.done, summary.failed) == (8, 0)
    assert summary.total.adopted == len(there) - counts[State.DONE].files
    whole_and_alone(source, output, names)


@pytest.mark.slow
def test_interrupted(tiny_file, tmp_path):
    """Ctrl-C reaches all processes of a terminal; what stays is a journal to go on from."""
    names = [f"{n:02}" for n in range(40)]
    source, output = make(tmp_path / "in", tiny_file, names), tmp_path / "out"
    script = tmp_path / "driver.py"
    script.write_text(DRIVER.replace("== 3", "== 0"))
    driver = subprocess.Popen(
        [sys.executable, str(script), str(source), str(output)], stderr=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)}, start_new_session=True,
    )  # fmt: skip

    def some_are_done() -> bool:
        assert driver.poll() is None
        return len(list(output.glob("*.vxc"))) >= 3

    wait_until(some_are_done)
    os.killpg(driver.pid, signal.SIGINT)
    said = driver.communicate(timeout=PATIENCE)[1]
    assert said.count("Traceback") == 1
    assert said.strip().endswith("KeyboardInterrupt")
    assert not list(output.glob(".*"))
    with Journal.open(output / "vortex-job.sqlite") as journal:
        counts = journal.counts()
        assert counts[State.DONE].files > 0
        assert counts[State.FAILED].files == 0
        assert {len(journal.history(row.number)) for row in journal.rows(State.DONE)} == {1}
