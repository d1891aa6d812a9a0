"""Tests of sites: their files, their workers, and the scripts of their batch jobs."""

from __future__ import annotations

import os
import socket
import sys
import threading

import pytest

from tests.xrootd import free_port
from vortex_hep.batch.site.site import KINDS, Site, connect, example, job_script, load_site
from vortex_hep.errors import (
    MissingError,
    NetworkError,
    SourceError,
    UnsupportedFeatureError,
    UnsupportedTypeError,
)


@pytest.mark.parametrize("kind", list(KINDS))
def test_the_examples_are_sites(tmp_path, kind):
    path = tmp_path / "site.yaml"
    path.write_text(example(kind))
    assert load_site(path).kind == kind


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("kind: local\nworker: 3", r"unknown key 'worker' \(did you mean 'workers'\?\)"),
        ("kind: condor", r"unknown kind of site 'condor' \(did you mean 'htcondor'\?\)"),
        ("kind: htcondor", "key 'workers' is missing"),
        ("kind: address", "address of a scheduler"),
        ("address: tcp://host:1", "address of a scheduler"),
        ("workers: many", "workers must be a whole number from 1 on, not 'many'"),
        ("workers: 0", "not 0"),
        ("cores: true", "not True"),
        ("memory: 2000", "memory must be a size such as '2GB', not 2000"),
        ("memory: much", "not 'much'"),
        ("timeout: -1", "timeout"),
        ("dashboard: 8787", "dashboard must be a text"),
        ("options: [a]", "options must be keys"),
        ("- local", "described by keys"),
        ("", "described by keys"),
    ],
)
def test_site_files_with_mistakes(tmp_path, text, message):
    path = tmp_path / "site.yaml"
    path.write_text(text)
    with pytest.raises(UnsupportedTypeError, match=message) as caught:
        load_site(path)
    assert str(caught.value).startswith(f"{path}: ")


def test_site_files_that_cannot_be_read(tmp_path):
    path = tmp_path / "site.yaml"
    with pytest.raises(MissingError):
        load_site(path)
    for content in (b"kind: [", b"\xff\xfe\x00"):
        path.write_bytes(content)
        with pytest.raises(SourceError, match="not YAML") as caught:
            load_site(path)
        assert "\n" not in str(caught.value)


def _pause():
    import dask

    return dask.config.get("distributed.worker.memory.pause")


def test_workers_on_this_machine(capfd):
    """Processes with one thread and a limit, for every client of their scheduler; all end."""
    with connect(Site(workers=2, memory="700MB", dashboard="none")) as client:
        workers = client.scheduler_info()["workers"].values()
        assert {(w["nthreads"], w["memory_limit"]) for w in workers} == {(1, 700_000_000)}
        assert set(client.run(_pause).values()) == {False}
        pids = set(client.run(os.getpid).values())
        assert len(pids) == 2
        assert os.getpid() not in pids
        with connect(Site(kind="address", address=client.scheduler.address)) as other:
            assert other.submit(sum, [1, 2]).result() == 3
        assert client.submit(sum, [1, 2, 3]).result() == 6
        worker = next(iter(client.scheduler_info()["workers"]))
        with pytest.raises(NetworkError, match="a worker does"):
            connect(Site(kind="address", address=worker)).__enter__()
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
    assert capfd.readouterr().err == ""


def test_a_task_whose_worker_is_lost_is_not_repeated_by_dask():
    from distributed.scheduler import KilledWorker

    with connect(Site(workers=1, dashboard="none")) as client:
        with pytest.raises(KilledWorker):
            client.submit(os._exit, 1).result()
        assert client.submit(sum, [1, 2]).result() == 3


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("nowhere", "port"),
        ("abc://host:1", "unknown address scheme"),
        ("tcp://127.0.0.1:{port}", "127.0.0.1"),
    ],
)
def test_a_wrong_address(address, message):
    site = Site(kind="address", address=address.format(port=free_port()), timeout=0.5)
    with pytest.raises(NetworkError, match="no dask scheduler answers there") as caught:
        connect(site).__enter__()
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n" * 9])
def test_an_address_of_something_else(answer):
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve():
            with server.accept()[0] as connection:
                connection.sendall(answer)
                over.wait()

        over = threading.Event()
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        port = server.getsockname()[1]
        try:
            with pytest.raises(NetworkError, match="no dask scheduler answers there"):
                connect(
                    Site(kind="address", address=f"tcp://127.0.0.1:{port}", timeout=0.5)
                ).__enter__()
        finally:
            over.set()
            thread.join()


def test_the_job_of_htcondor():
    site = Site(
        kind="htcondor", workers=3, cores=4, memory="3GB", disk="7GB",
        options={"job_extra_directives": {"+JobFlavour": '"tomorrow"'}},
    )  # fmt: skip
    script = job_script(site)
    for line in (
        "MY.DaskWorkerCores = 4", "MY.DaskWorkerMemory = 3000000000",
        "MY.DaskWorkerDisk = 7000000000", '+JobFlavour = "tomorrow"',
    ):  # fmt: skip
        assert line in script.splitlines()
    assert "dask_worker tcp://" in script
    assert script.count("--nthreads") == 2
    assert "--nthreads 1'" in script


def test_the_job_of_slurm():
    options = {"queue": "long", "walltime": "12:00:00", "worker_extra_args": ["--lifetime", "11h"]}
    script = job_script(Site(kind="slurm", workers=3, memory="3GB", options=options))
    for line in ("#SBATCH -p long", "#SBATCH -t 12:00:00", "#SBATCH --cpus-per-task=1"):
        assert line in script.splitlines()
    assert "--nthreads 1 " in script
    assert "--lifetime 11h" in script


def test_batch_systems_that_are_not_here(monkeypatch):
    monkeypatch.setenv("PATH", "")
    for kind, program in (("htcondor", "condor_submit"), ("slurm", "sbatch")):
        with pytest.raises(UnsupportedFeatureError, match=f"no program {program}"):
            connect(Site(kind=kind, workers=1)).__enter__()
    with pytest.raises(UnsupportedTypeError, match="no job script"):
        job_script(Site())


def test_packages_that_are_not_here(monkeypatch):
    monkeypatch.setitem(sys.modules, "dask_lxplus", None)
    with pytest.raises(UnsupportedFeatureError, match="pip install dask-lxplus"):
        job_script(Site(kind="lxplus", workers=1))
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(UnsupportedFeatureError, match=r"vortex-hep\[grid\]"):
        connect(Site()).__enter__()


@pytest.mark.parametrize("kind", ["local", "slurm"])
def test_options_that_do_not_exist(kind):
    site = Site(kind=kind, workers=1, dashboard="none", options={"wall_time": "1"})
    with pytest.raises(UnsupportedTypeError, match="wall_time"):
        job_script(site) if kind == "slurm" else connect(site).__enter__()
