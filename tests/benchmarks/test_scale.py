"""Tests of the scaling model: cases worked out by hand, limits, agreement with the simulation."""

import json
import math
from dataclasses import replace

import pytest

from benchmarks.scale import measured, model, report, tables
from benchmarks.scale.__main__ import main
from benchmarks.scale.cases import CASES
from benchmarks.scale.model import predict
from benchmarks.scale.parameters import Costs, Data, Job, Site, costs_of, load_constants, load_data
from benchmarks.scale.simulation import Clock, SharedLink, Simulation

FREE = Costs(
    scheduler_task=0, driver_task=0, heartbeat=0, create_file=0, take_file=0, finish_file=0,
    commit=0, work_file=0, requests_file=0, task_bytes=1e4, worker_bytes=1e5, worker_files=2,
    base_bytes=2e8,
)  # fmt: skip
DEAR = replace(
    FREE, scheduler_task=1e-3, driver_task=5e-4, heartbeat=5e-4, create_file=2e-5, take_file=3e-5,
    finish_file=1e-4, commit=5e-3, work_file=0.02, requests_file=12,
)  # fmt: skip
#: One CPU second per MB in all; archives of half the size.
PLAIN = Data("plain", ratio=2, compress=0.6, decode=0.3, read=0.1)
CALM = Site(10, losses_per_hour=0, transient=0, request_seconds=0, storage_bytes=1e15)


def test_computing_alone():
    job = Job(files=20, bytes=2e9, group_files=1)
    found = predict(job, PLAIN, CALM, FREE)
    assert found.task_seconds == pytest.approx(100)
    assert found.wall_seconds == pytest.approx(200)
    assert found.held_up_by == model.CPU
    assert found.core_hours == pytest.approx(2000 / 3600)
    assert found.busy_core_hours == found.cpu_hours == pytest.approx(found.core_hours)
    assert found.euro == pytest.approx(found.core_hours * 0.02)
    # Compressing reads the source and writes half of it; verifying reads both.
    assert (found.read_bytes, found.written_bytes) == (4e9 + 1e9, 1e9)
    assert found.saved_bytes == 1e9
    assert found.euro_per_saved_tb == pytest.approx(found.euro * 1000)
    assert found.months_to_pay(CALM) == pytest.approx(found.euro * 1000 / 20 * 12)
    assert found.driver_bytes == 2e8 + 10 * 1e5 + 20 * 1e4


def test_cores_speed_and_a_last_round():
    job = Job(files=21, bytes=2.1e9, group_files=1)
    assert predict(job, PLAIN, CALM, FREE).wall_seconds == pytest.approx(300)
    site = replace(CALM, cores=2, speed=2.0)
    found = predict(job, PLAIN, site, FREE)
    assert found.wall_seconds == pytest.approx(75)
    assert found.core_hours == pytest.approx(10 * 2 * 75 / 3600)


def test_checking_while_coding_reads_no_source_again():
    job = Job(files=10, bytes=1e9, against_source=False)
    found = predict(job, PLAIN, CALM, FREE)
    assert found.task_seconds == pytest.approx(90 * found.files_per_task)
    assert (found.read_bytes, found.written_bytes) == (1e9, 0.5e9)
    asked = predict(job, PLAIN, replace(CALM, server_checksums=False), FREE)
    assert asked.read_bytes == 1e9 + 1e9 + 0.5e9


def test_small_files_are_grouped():
    job = Job(files=1000, bytes=1e9, group_bytes=10e6)
    assert (job.files_per_task(10), job.tasks(10)) == (10, 100)
    assert replace(job, group_files=4).files_per_task(10) == 4
    assert Job(files=3, bytes=3e12).files_per_task(1) == 1
    # No task is more than a small part of what is left: all workers shall have some.
    assert Job(files=40, bytes=4e6).files_per_task(2) == 5
    assert Job(files=3, bytes=3e6).files_per_task(10) == 1


@pytest.mark.parametrize(
    ("job", "site", "costs", "expected"),
    [
        (Job(5, 1e9, group_files=1), CALM, FREE, model.FEW),
        (Job(100, 1e10, group_files=1), replace(CALM, storage_bytes=1e7), FREE, model.STORAGE),
        (Job(100, 1e10, group_files=1), replace(CALM, stream_bytes=1e5), FREE, model.STREAM),
        (Job(1000, 1e6, group_files=1), replace(CALM, request_seconds=1), DEAR, model.LATENCY),
        (Job(1000, 1e6, group_files=1), replace(CALM, requests_per_second=1), DEAR, model.REQUESTS),
        (
            Job(10**6, 1e6, group_files=1),
            Site(10**5, requests_per_second=1e9),
            DEAR,
            model.SCHEDULER,
        ),
        (Job(10**6, 1e6, 1e2), CALM, replace(DEAR, finish_file=1.0), model.JOURNAL),
    ],
)
def test_what_holds_a_job_up(job, site, costs, expected):
    assert predict(job, PLAIN, site, costs).held_up_by == expected


def test_storage_bound_time_is_bytes_over_bandwidth():
    found = predict(Job(100, 1e10, group_files=1), PLAIN, replace(CALM, storage_bytes=1e7), FREE)
    assert found.wall_seconds == pytest.approx(3e10 / 1e7)


def test_more_workers_never_take_longer_and_more_files_never_less():
    numbers = [10**k for k in range(6)]
    times = [predict(Job(10**5, 1e14), PLAIN, Site(n), DEAR).wall_seconds for n in numbers]
    assert times == sorted(times, reverse=True)
    times = [predict(Job(n, 1e14), PLAIN, CALM, DEAR).bounds["driver"] for n in numbers]
    assert times == sorted(times)
    memory = [predict(Job(10**5, 1e14), PLAIN, Site(n), DEAR).driver_bytes for n in numbers]
    assert memory == sorted(memory)


def test_lost_workers():
    # A file of one hour on workers lost once an hour: e - 1 hours on average.
    site = replace(CALM, losses_per_hour=1.0)
    assert model.waste(site, 3600) == pytest.approx(math.e - 1)
    assert model.waste(replace(CALM, transient=0.5), 3600) == 2
    job = Job(files=1000, bytes=1000 * 36e6, group_files=1)
    found = predict(job, PLAIN, site, FREE)
    chance = 1 - math.exp(-0.01)
    assert found.lost_files == pytest.approx(1000 * chance**2)
    assert predict(job, PLAIN, CALM, FREE).lost_files == 0
    assert found.wall_seconds > predict(job, PLAIN, CALM, FREE).wall_seconds


def test_heartbeats_are_limited():
    assert model.heartbeats_per_second(10) == 20
    assert model.heartbeats_per_second(10**6) < 200


def test_streams_share_a_link():
    clock = Clock()
    link = SharedLink(clock, stream=10.0, total=15.0)
    ended = {}
    for name, start, size in (("a", 0.0, 100.0), ("b", 0.0, 50.0), ("lost", 1.0, 1e6)):

        def begin(name=name, size=size):
            transfer = link.move(size, lambda: ended.update({name: clock.now}))
            if name == "lost":
                clock.after(2.0, lambda: link.give_up(transfer))

        clock.at(start, begin)
    clock.run(lambda: False)
    # 7.5 each for 1 s, 5 each for 2 s, 7.5 each until b is through after 4.333 s, then 10.
    assert ended["b"] == pytest.approx(3 + 32.5 / 7.5)
    assert ended["a"] == pytest.approx(3 + 32.5 / 7.5 + 5)
    assert link.bytes == pytest.approx(150 + 10)


def test_simulated_by_hand():
    job = Job(files=21, bytes=2.1e9, group_files=1)
    run = Simulation(job, PLAIN, CALM, FREE).run()
    assert run.wall_seconds == pytest.approx(300)
    assert (run.done, run.failed, run.tasks, run.lost_tasks) == (21, 0, 21, 0)
    assert run.moved_bytes == pytest.approx(3 * 2.1e9)
    assert run.busy["workers"] == pytest.approx(0.7)


def test_simulated_window_is_kept():
    run = Simulation(Job(500, 5e7, group_files=1), PLAIN, CALM, DEAR).run()
    assert run.most_in_flight == 20
    assert run.done == 500


def test_largest_first_leaves_no_long_end():
    job, costs = Job(500, 5e10, group_files=1), FREE
    mixed = Simulation(job, PLAIN, CALM, costs, spread=1.0).run()
    sorted_ = Simulation(job, PLAIN, CALM, costs, spread=1.0, largest_first=True).run()
    assert 5000 <= sorted_.wall_seconds < mixed.wall_seconds
    assert sorted_.wall_seconds == pytest.approx(5000, rel=0.02)


def test_every_file_ends_where_workers_are_lost():
    site = replace(CALM, losses_per_hour=20.0, transient=0.1)
    run = Simulation(Job(300, 3e10, 1e9, 3), PLAIN, site, DEAR, spread=0.5).run()
    assert run.done + run.failed == 300
    assert run.lost_tasks > 0
    assert run.failed > 0
    assert run.repeated > 0


@pytest.mark.parametrize(
    ("job", "site"),
    [
        (Job(2000, 2e13), Site(80, losses_per_hour=0.02)),
        (Job(2000, 2e13), Site(800, storage_bytes=1e9)),
        (Job(20_000, 2e9, group_files=1), Site(1000)),
        (Job(20_000, 2e11), Site(50)),
    ],
    ids=["workers", "storage", "scheduler", "groups"],
)
def test_model_and_simulation_agree(job, site):
    found = predict(job, PLAIN, site, DEAR)
    run = Simulation(job, PLAIN, site, DEAR).run()
    assert found.wall_seconds == pytest.approx(run.wall_seconds, rel=0.08)
    assert found.read_bytes + found.written_bytes == pytest.approx(run.moved_bytes, rel=0.01)


def test_cases_cover_what_holds_up():
    costs, data = costs_of(load_constants()), load_data()["nanoaod-ttbar"]
    found = {predict(case.job, data, case.site, costs).held_up_by for case in CASES}
    assert {model.CPU, model.STORAGE, model.SCHEDULER} <= found


def test_committed_tables_are_those_of_the_results():
    assert report.DOCUMENT.read_text("utf-8") == report.wanted_text()


def test_stale_tables_fail_the_check(tmp_path, monkeypatch, capsys):
    copy = tmp_path / "scale.md"
    copy.write_text(report.DOCUMENT.read_text("utf-8").replace("| 4,000 |", "| 4,001 |"), "utf-8")
    monkeypatch.setattr(report, "DOCUMENT", copy)
    assert main(["--check"]) == 1
    assert "out of date: scale.md" in capsys.readouterr().out
    monkeypatch.setattr(report, "PICTURE", tmp_path / "img" / "scale.png")
    assert main(["report"]) == 0
    assert main(["--check"]) == 0


def test_prediction_on_the_command_line(capsys):
    assert main(["--files", "100000", "--bytes", "1e15", "--workers", "4000"]) == 0
    out = capsys.readouterr().out
    assert "held up by" in out
    assert "of 1 PB" in out
    assert main(["--workers", "100000", "--open-files", "1024"]) == 0
    assert "BREAKS: the scheduler needs" in capsys.readouterr().out
    with pytest.raises(SystemExit, match=r"no data 'x'; there are: .*nanoaod-ttbar"):
        main(["--data-kind", "x"])


def test_without_constants_it_says_what_to_run(tmp_path):
    with pytest.raises(SystemExit, match=r"python -m benchmarks\.scale measure"):
        load_data(tmp_path)


def test_results_of_other_machines_are_read(tmp_path):
    plain = load_constants()
    folder = tmp_path / "some-machine"
    folder.mkdir()
    (folder / "scale-constants.json").write_text(json.dumps(plain))
    assert set(load_data(tmp_path)) == {entry["name"] for entry in plain["codec"]}


def test_words():
    assert tables.duration(3600) == "1.0 h"
    assert tables.amount(0) == "0 B"


def test_measured_runs_as_tables():
    here = {"cpu": "A CPU", "cores": 2, "load_average": 0.1}
    runs = [
        {
            "name": "naive", "workers": 2, "files": 1000, "tasks": 2000, "seconds": 50.0,
            "most_in_flight": 2000, "driver_bytes": 5e6, "error": "stopped, of 2,000 files",
        }
    ]  # fmt: skip
    text = measured.noop_text({"machine": here, "runs": runs}, DEAR)
    row = text.splitlines()[-1].strip("| ").split(" | ")
    assert row[2:7] == ["1,000", "2,000", "50 s", "20", "3.15 s"]
    assert text.startswith("A CPU, 2 cores, load before: 0.1.")
    run = {"name": "one", "seconds": 41.0, "against_loop": 1.025, "predicted_seconds": 40.0}
    plain = {"machine": here, "files": 40, "file_bytes": 3e5, "repeat": 3}
    plain["runs"] = [{**run, "against_one": None}, {**run, "against_one": 0.5}]
    text = measured.pipeline_text(plain)
    assert "40 files of 300 kB, 3 runs of each" in text
    assert "| one | 41.0 | 1.025 | 0.500 | 40.0 | 0.98 |" in text
