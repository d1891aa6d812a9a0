"""Tests of full disks: no partial outputs, and the job goes on once there is space."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import vortex_hep
from tests.batch.kinds import write_opaque
from vortex_hep.batch.jobs import JobOptions, compress_dataset
from vortex_hep.batch.journal.journal import Journal
from vortex_hep.batch.report.summary import JobSummary
from vortex_hep.batch.states import Reason
from vortex_hep.errors import OutputError

FILES = 8
NAMES = [f"{number}.dat.vxc" for number in range(FILES)]


def mount(folder: Path, options: str) -> bool:
    """Mount a disk in memory."""
    command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk with room for half of the archives."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if shutil.which("mount") is None or os.getuid() != 0 or not mount(folder, "size=3m"):
        pytest.skip("only the superuser can make a small disk")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.fixture
def compress(tmp_path, small_disk, workers) -> Callable[[Path], JobSummary]:
    """Compresses files that do not become smaller to the small disk."""
    for number in range(FILES):
        write_opaque(tmp_path / f"{number}.dat", number, 600_000)
    inputs = [tmp_path / f"{number}.dat" for number in range(FILES)]

    def run(journal: Path) -> JobSummary:
        options = JobOptions(effort="fast", backoff=0.05, attempts=2)
        return compress_dataset(
            inputs, model=vortex_hep.Model({}), output=small_disk, journal=journal, site=workers,
            options=options,
        )  # fmt: skip

    return run


@pytest.mark.slow
def test_no_space_for_outputs(compress, small_disk, tmp_path):
    journal = tmp_path / "job.sqlite"
    summary = compress(journal)
    assert summary.done + summary.failed == FILES
    assert summary.reasons == {Reason.NO_SPACE.value: summary.failed}
    there = {path.name for path in small_disk.iterdir() if path.suffix != ".vxm"}
    assert len(there) == summary.done < FILES
    assert there < set(NAMES)
    mount(small_disk, "remount,size=30m")
    summary = compress(journal)
    assert (summary.done, summary.failed, summary.total.adopted) == (FILES, 0, 0)


@pytest.mark.slow
def test_no_space_for_the_journal(compress, small_disk, tmp_path):
    """It ends the job, as nothing can be recorded any more; the next run takes up what is there."""
    journal = small_disk / "vortex-job.sqlite"
    with pytest.raises(OutputError, match=r"journal cannot be written.*run the job again"):
        compress(journal)
    mount(small_disk, "remount,size=30m")
    summary = compress(journal)
    assert (summary.done, summary.failed) == (FILES, 0)
    files = sorted(path.name for path in small_disk.iterdir() if path.suffix != ".vxm")
    assert files == [*NAMES, "vortex-job.sqlite"]
    for number in range(FILES):
        archive, source = small_disk / f"{number}.dat.vxc", tmp_path / f"{number}.dat"
        assert vortex_hep.verify(archive, against=source).ok
    with Journal.open(journal, read_only=True) as opened:
        for row in opened.rows():
            assert len([o for o in opened.history(row.number) if o.ok]) == 1
