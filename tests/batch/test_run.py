"""Tests of whole jobs: retries, failures, and skipping what is done."""

from __future__ import annotations

import contextlib
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

import vortex_hep
from tests.xrootd import XrootdServer, xrootd, xrootd_base
from vortex_hep.batch.jobs import (
    JobOptions,
    compress_dataset,
    plan,
    restore_dataset,
    resume,
    run_plan,
    verify_dataset,
)
from vortex_hep.batch.journal.journal import Journal
from vortex_hep.batch.plan.inputs import InputFile
from vortex_hep.batch.plan.modelplaces import store_model
from vortex_hep.batch.plan.plan import work_options_of
from vortex_hep.batch.run.retries import Policy, Retries
from vortex_hep.batch.run.run import run_job
from vortex_hep.batch.states import Outcome, Reason, State
from vortex_hep.batch.worker.tasks import group_length
from vortex_hep.core.progress import SilentProgress
from vortex_hep.errors import (
    MissingError,
    ModelMismatchError,
    UnsupportedFeatureError,
    UnsupportedTypeError,
)
from vortex_hep.models.find import model_file_name

__all__ = ["xrootd", "xrootd_base"]

MODEL = vortex_hep.Model({})
QUICK = JobOptions(backoff=0.05)


def files_in(folder: Path) -> list[str]:
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())


class Nobody:
    """A client that must not be needed."""


@pytest.mark.slow
def test_a_data_set_there_and_back(dataset, workers, tmp_path):
    source, output, back = dataset(6), tmp_path / "out", tmp_path / "back"
    seen: list[Outcome] = []
    planned = plan("compress", [source], model=MODEL, output=output)
    assert files_in(output) == []
    summary = run_plan(planned, site=workers, watch=seen.append)
    assert (summary.done, summary.failed, summary.exit_code) == (6, 0, 0)
    assert sorted(outcome.number for outcome in seen) == [1, 2, 3, 4, 5, 6]
    assert {outcome.worker for outcome in seen} <= set(workers.scheduler_info()["workers"])
    archives = [f"set{n % 2}/{n}.vxc" for n in range(6)]
    model = model_file_name(MODEL.sha256)
    assert files_in(output) == sorted([*archives, model, "vortex-job.sqlite"])
    assert vortex_hep.Model.load(output / model).sha256 == MODEL.sha256

    # Once more: nothing is left to do, not even for workers.
    again = compress_dataset([source], model=MODEL, output=output, site=Nobody())
    assert (again.done, again.failed) == (6, 0)
    assert again.total.adopted == 0
    with Journal.open(output / "vortex-job.sqlite", read_only=True) as journal:
        assert {row.attempts for row in journal.rows()} == {1}

    checked = verify_dataset(
        [output], against=source, site=workers, journal=tmp_path / "verify.sqlite"
    )
    assert checked.exit_code == 0
    assert checked.total.original_bytes == summary.total.original_bytes
    restored = restore_dataset([output], output=back, site=workers)
    assert restored.exit_code == 0
    assert files_in(back) == sorted([*files_in(source), "vortex-restore.sqlite"])
    assert vortex_hep.verify(output / "set1/1.vxc", against=back / "set1/1.root").ok


@pytest.mark.slow
def test_what_no_longer_holds_is_done_again(dataset, workers, tmp_path):
    source, output = dataset(5), tmp_path / "out"
    run = {"model": MODEL, "output": output, "site": workers, "options": QUICK}
    compress_dataset([source], **run)
    (output / "set0/0.vxc").unlink()
    (output / "set1/1.vxc").write_bytes(b"cut")
    with (source / "set0/2.root").open("ab") as file:
        file.write(b"more")
    (source / "set1/3.root").unlink()  # which one may do
    summary = resume(output / "vortex-job.sqlite", site=workers)
    assert (summary.done, summary.failed) == (3, 2)
    assert summary.reasons == {"output exists": 2}
    assert vortex_hep.verify(output / "set0/0.vxc", against=source / "set0/0.root").ok
    assert (output / "set1/1.vxc").read_bytes() == b"cut"
    (output / "set1/1.vxc").unlink()
    again = resume(output / "vortex-job.sqlite", site=Nobody())
    assert again.failed == 2  # failed ones stay so until they are asked for
    again = resume(output / "vortex-job.sqlite", failed=True, site=workers)
    assert (again.done, again.failed) == (4, 1)


def test_a_file_that_fails_stops_no_other(dataset, workers, tmp_path):
    source, output = dataset(5), tmp_path / "out"
    cut = source / "set0/2.root"
    cut.write_bytes(cut.read_bytes()[:5000])
    planned = plan("compress", [source], model=MODEL, output=output, options=QUICK)
    (source / "set1/3.root").unlink()
    # Of one file another size was listed: somebody is writing it, or was.
    planned.files[0] = replace(planned.files[0], size=17)
    summary = run_plan(planned, site=workers)
    assert (summary.done, summary.failed, summary.exit_code) == (3, 2, 1)
    assert summary.reasons == {"unreadable": 1, "vanished": 1}
    with Journal.open(planned.journal, read_only=True) as journal:
        rows = {Path(row.source).stem: row for row in journal.rows()}
        assert {name: row.attempts for name, row in rows.items()} == {
            "0": 2, "1": 1, "2": 1, "3": 1, "4": 1,
        }  # fmt: skip
        first = journal.history(rows["0"].number)[0]
        assert first.reason == Reason.BEING_WRITTEN.value
    assert files_in(output / "set0") == ["0.vxc", "4.vxc"]


def test_attempts_are_used_up(dataset, workers, tmp_path):
    options = JobOptions(backoff=0.05, settle=1000.0, attempts=2)
    output = tmp_path / "out"
    run = {"model": MODEL, "output": output, "options": options, "site": workers}
    summary = compress_dataset([dataset(2)], **run)
    assert summary.reasons == {"being written": 2}
    assert {failure.attempts for failure in summary.failures} == {2}
    # The same command again tries failed files again.
    summary = compress_dataset([tmp_path / "in"], **{**run, "options": QUICK})
    assert (summary.done, summary.failed) == (2, 0)


class Starting(SilentProgress):
    """Starts a server when it is told that a file is to be tried again."""

    def __init__(self, server: XrootdServer) -> None:
        self.server = server
        self.started = False

    @contextlib.contextmanager
    def task(self, label, total, unit="B"):
        yield self

    def advance(self, n=1, **postfix):
        if postfix.get("retried") and not self.started:
            self.started = True
            self.server.start()

    def note(self, text):
        pass


@pytest.mark.network
def test_a_server_that_comes_back(xrootd: XrootdServer, tiny_file, workers, tmp_path):
    for number in range(3):
        shutil.copyfile(tiny_file, xrootd.root / f"{number}.root")
    out = xrootd.url("data/out")
    planned = plan(
        "compress", [xrootd.url("data/*.root")], output=out, journal=tmp_path / "job.sqlite",
        options=JobOptions(backoff=0.3, attempts=9), model=MODEL,
    )  # fmt: skip
    document = planned.document([])
    with Journal.create(planned.journal, document, planned.files) as journal:
        xrootd.kill()
        progress = Starting(xrootd)
        how = work_options_of("compress", document["job"], planned.options)
        policy = Policy(attempts=9, backoff=0.3)
        summary = run_job(journal, workers, how, model=MODEL, policy=policy, progress=progress)
        assert (summary.done, summary.failed) == (3, 0)
        assert progress.started
        failures = [o for n in (1, 2, 3) for o in journal.history(n) if not o.ok]
    assert {o.reason for o in failures} == {Reason.NETWORK.value}
    assert files_in(xrootd.root / "out") == ["0.vxc", "1.vxc", "2.vxc"]


def test_a_journal_of_another_job(dataset, workers, tmp_path):
    source, output = dataset(1), tmp_path / "out"
    compress_dataset([source], model=MODEL, output=output, site=workers)
    for change in (
        {"options": JobOptions(exact=True)},
        {"model": None},
        {"output": tmp_path / "b"},
    ):
        arguments = {"model": MODEL, "output": output, **change}
        with pytest.raises(UnsupportedTypeError, match="journal of another job: "):
            compress_dataset(
                [source], journal=output / "vortex-job.sqlite", site=Nobody(), **arguments
            )
    (output / model_file_name(MODEL.sha256)).unlink()
    with pytest.raises(ModelMismatchError, match="is not where it was"):
        resume(output / "vortex-job.sqlite", site=Nobody())
    with pytest.raises(MissingError):
        resume(output / "other.sqlite", site=Nobody())


def test_a_longer_list(dataset, workers, tmp_path):
    output = tmp_path / "out"
    compress_dataset([dataset(2)], model=MODEL, output=output, site=workers)
    summary = compress_dataset([dataset(4)], model=MODEL, output=output, site=workers)
    assert (summary.done, summary.failed) == (4, 0)


def test_workers_that_lack_what_it_takes(dataset, workers, tmp_path, monkeypatch):
    def absent(*_: object) -> None:
        raise ImportError("No module named 'vortex_hep'")

    monkeypatch.setattr("vortex_hep.batch.run.run.run_task", absent)
    planned = plan("compress", [dataset(2)], model=MODEL, output=tmp_path / "out")
    with pytest.raises(UnsupportedFeatureError, match="workers cannot run tasks: ImportError"):
        run_plan(planned, site=workers)
    with Journal.open(planned.journal, read_only=True) as journal:
        assert journal.counts()[State.FAILED].files == 0


def test_paths_do_not_depend_on_where_the_job_is_started(dataset, tmp_path, monkeypatch):
    dataset(1)
    monkeypatch.chdir(tmp_path)
    MODEL.save("model.vxm")
    planned = plan("compress", ["in"], model="model.vxm", output="out")
    (file,) = planned.files
    assert (file.source, file.target) == (
        str(tmp_path / "in/set0/0.root"), str(tmp_path / "out/set0/0.vxc"),
    )  # fmt: skip
    assert planned.output == str(tmp_path / "out")
    assert planned.model_path == str(tmp_path / "model.vxm")


def test_options_that_make_no_sense():
    for wrong in (
        {"effort": "much"}, {"verify": "no"}, {"attempts": 0}, {"backoff": -1}, {"threads": 0},
    ):  # fmt: skip
        with pytest.raises(UnsupportedTypeError):
            JobOptions(**wrong)
    with pytest.raises(UnsupportedTypeError):
        plan("shred", ["x"])


def test_groups():
    assert group_length([1] * 40, 100, 40) == 16
    assert group_length([1] * 40, 100, 3) == 3
    assert group_length([60, 60, 60], 100, 16) == 2
    assert group_length([None] * 9, 100, 16) == 4
    assert group_length([], 100, 16) == 0


def lost(number: int = 1) -> Outcome:
    return Outcome(number, 1, ok=False, reason=Reason.CRASHED.value)


def network(number: int = 1) -> Outcome:
    return Outcome(number, 1, ok=False, reason=Reason.NETWORK.value)


def test_retries_back_off():
    retries = Retries(Policy(attempts=4, backoff=8.0))
    delays = [retries.delay(network()) for _ in range(4)]
    assert delays[3] is None
    for expected, delay in zip((8, 16, 32), delays[:3], strict=True):
        assert delay is not None
        assert 0.75 * expected <= delay <= 1.25 * expected
    assert retries.delay(Outcome(2, 1, ok=False, reason=Reason.DAMAGED.value)) is None


def test_a_file_may_cost_two_workers():
    retries = Retries(Policy(attempts=9))
    assert retries.delay(lost(), lost=True) == 0.0
    assert retries.delay(lost(), lost=True) is None
    assert [retries.delay(lost(2), lost=True, blamed=False) for _ in range(9)] == [0.0] * 9


def test_a_storm_lets_files_wait():
    retries = Retries(Policy(backoff=8.0))
    for number in range(20):
        assert retries.storm(10) == (number >= 20)
        retries.note(network(number))
    assert retries.storm(10)
    assert 6 <= (retries.pause() or 0) <= 10
    assert 12 <= (retries.pause() or 0) <= 20
    retries.note(Outcome(1, 1, ok=True))
    assert not retries.storm(10)


def test_after_some_storm_a_run_gives_up():
    retries = Retries(Policy(backoff=1.0))
    for number in range(20):
        retries.note(network(number))
    pauses = [retries.pause() for _ in range(10)]
    assert None not in pauses[:8]
    assert pauses[8:] == [None, None]


def test_models_lie_where_readers_look(tmp_path):
    name = model_file_name(MODEL.sha256)
    out = tmp_path / "out"
    deep = [str(out / "a.vxc"), str(out / "1/2/3/b.vxc"), str(out / "1/2/3/4/5/c.vxc")]
    places = store_model(MODEL, deep, str(out))
    assert places == [str(out / name), str(out / "1/2" / name)]
    assert store_model(MODEL, deep, str(out)) == places
    beside = store_model(MODEL, [str(tmp_path / "x/a.vxc"), str(tmp_path / "y/b.vxc")], None)
    assert beside == [str(tmp_path / name)]
    (out / name).write_bytes(b"something else")
    with pytest.raises(ModelMismatchError, match="belongs here"):
        store_model(MODEL, deep, str(out))


def test_targets_must_differ(tmp_path):
    files = [InputFile(str(tmp_path / n), n, target=str(tmp_path / "x.vxc")) for n in ("a", "b")]
    with pytest.raises(UnsupportedTypeError, match="one target"):
        Journal.create(tmp_path / "j.sqlite", {}, files)
