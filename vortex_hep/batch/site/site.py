"""Sites, and the dask clusters of their workers."""

from __future__ import annotations

import asyncio
import contextlib
import difflib
import importlib
import importlib.util
import inspect
import logging
import os
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from vortex_hep.batch.site.sitefile import BATCH_KINDS, KINDS, Site, example, load_site
from vortex_hep.core.install import install_hint
from vortex_hep.errors import (
    NetworkError,
    OutputError,
    UnsupportedFeatureError,
    UnsupportedTypeError,
    VortexError,
)

__all__ = ["BATCH_KINDS", "KINDS", "Site", "connect", "example", "job_script", "load_site"]

#: Programs that submit jobs.
_SUBMIT = {"htcondor": "condor_submit", "lxplus": "condor_submit", "slurm": "sbatch"}
#: Where dask tells of connections that break when workers are closed.
_LOGGERS = ("distributed", "tornado.application", "tornado.general", "asyncio")
#: What schedulers and workers started here do otherwise than dask's own. A task is given up as
#: its worker is lost. Workers do not stop to take tasks when memory is short: waiting would free
#: none of ours, and the job would stand still; at its limit a worker is ended. Nor do workers look
#: at themselves many times a second: each time the threads that compress have to wait.
_CONFIG = {
    "distributed.scheduler.allowed-failures": 0,
    "distributed.worker.memory.pause": False,
    "distributed.worker.profile.enabled": False,
    "distributed.admin.tick.interval": "2s",
    "distributed.admin.system-monitor.interval": "5s",
}
#: Seconds in which workers are to end.
_CLOSING = 10.0


@contextlib.contextmanager
def connect(site: Site) -> Iterator[Any]:
    """Connect to a site's workers, starting them where they do not run yet.

    Parameters
    ----------
    site : Site

    Yields
    ------
    distributed.Client
        When the block ends, what was started here is closed. A scheduler started here gives up a
        task at once when its worker is lost: the journal counts the attempts.

    Raises
    ------
    NetworkError
        No scheduler answers at the address.
    OutputError
        Workers cannot be started on this machine.
    UnsupportedFeatureError
        The packages or programs that this takes are not installed.
    UnsupportedTypeError
        The site has options that do not exist.
    """
    distributed = _needed("distributed")
    if site.kind == "address":
        client = _client_of(distributed, str(site.address), site.timeout)
        try:
            yield client
        finally:
            with _silence():
                client.close()
        return
    if site.kind in BATCH_KINDS and shutil.which(_SUBMIT[site.kind]) is None:
        raise UnsupportedFeatureError(
            f"there is no program {_SUBMIT[site.kind]} here, which submits jobs to a site of kind"
            f" {site.kind!r}",
            hint="run this on a machine from which jobs can be submitted",
        )
    cluster = _cluster(site)
    try:
        if site.kind in BATCH_KINDS:
            cluster.scale(jobs=site.workers)
        client = distributed.Client(cluster, timeout=site.timeout)
        try:
            yield client
        finally:
            with _silence():
                client.close()
    finally:
        with _silence():
            cluster.close(timeout=_CLOSING)


def job_script(site: Site) -> str:
    """Text that is handed to a batch system for one worker.

    Raises
    ------
    UnsupportedTypeError
        The site has no batch system, or options that do not exist.
    UnsupportedFeatureError
        The packages that this takes are not installed.
    """
    if site.kind not in BATCH_KINDS:
        raise UnsupportedTypeError(
            f"a site of kind {site.kind!r} has no job script", hint=f"one of {BATCH_KINDS} has"
        )
    cluster = _cluster(site)
    try:
        return str(cluster.job_script())
    finally:
        with _silence():
            cluster.close(timeout=_CLOSING)


def _client_of(distributed: Any, address: str, timeout: float) -> Any:
    # A client that fails to connect stays behind half made, and complains when it is collected.
    with ThreadPoolExecutor(1) as pool, _silence():  # in a thread: ours may run an event loop
        try:
            kind = pool.submit(asyncio.run, _kind_of(distributed, address, timeout)).result()
            if kind == "Scheduler":
                return distributed.Client(address, timeout=timeout)
            said = f"a {kind.lower()} does" if kind else "something else does"
        except (OSError, ValueError) as error:
            raise _no_scheduler(address, str(error) or type(error).__name__) from error
        except Exception as error:  # whatever comes of reading another protocol as dask's
            raise _no_scheduler(address, "something else does") from error
    raise _no_scheduler(address, said)


def _no_scheduler(address: str, said: str) -> NetworkError:
    return NetworkError(
        f"no dask scheduler answers there: {said}", path=address,
        hint="is the address right, such as tcp://HOST:8786, and the scheduler up?",
    )  # fmt: skip


async def _kind_of(distributed: Any, address: str, timeout: float) -> str:
    """What a server of dask calls itself."""
    arguments = distributed.Security().get_connection_args("client")
    server = distributed.rpc(address, timeout=timeout, connection_args=arguments)
    try:
        answer = await asyncio.wait_for(server.identity(), timeout + 1)
        return str(answer.get("type", ""))
    except (asyncio.TimeoutError, TimeoutError) as error:
        raise OSError(f"no answer in {timeout:g} s") from error
    finally:
        await server.close_rpc()


def _cluster(site: Site) -> Any:
    """Start a scheduler, and on this machine the workers too."""
    dask = _needed("dask")
    shown, place = _dashboard(site)
    if site.kind == "local":
        distributed = _needed("distributed")
        make = distributed.LocalCluster
        _check_options(site, (make, distributed.Nanny, *distributed.Worker.__mro__))
        options = {
            "n_workers": site.workers or max(1, _cores() // site.cores), "threads_per_worker": 1,
            "processes": True, "memory_limit": site.memory, "silence_logs": logging.ERROR,
            "dashboard_address": place, "scheduler_kwargs": {"dashboard": shown}, **site.options,
        }  # fmt: skip
    else:
        make, options = _batch_cluster(site)
        _check_options(site, (*make.__mro__, *make.job_cls.__mro__))
        scheduler = {"dashboard": shown, "dashboard_address": place}
        options = {
            "cores": site.cores, "processes": 1, "memory": site.memory, **options, **site.options,
            "scheduler_options": {**scheduler, **site.options.get("scheduler_options", {})},
        }  # fmt: skip
        if site.cores > 1:
            # One file at a time, whatever the cores: the last such argument counts.
            extra = [*options.get("worker_extra_args", ()), "--nthreads", "1"]
            options["worker_extra_args"] = extra
    try:
        with dask.config.set(_CONFIG):
            return make(**options)
    except VortexError:
        raise
    except Exception as error:  # of dask's own kinds, or the operating system's
        cause: BaseException = error
        while cause.__cause__ is not None:
            cause = cause.__cause__
        msg = f"workers cannot be started: {cause}"
        if isinstance(cause, (TypeError, ValueError)):
            hint = "are the options of the site right?"
            raise UnsupportedTypeError(msg, hint=hint) from error
        raise OutputError(msg) from error


def _check_options(site: Site, classes: tuple[type, ...]) -> None:
    """Find options that no class takes: a cluster that does not start stays behind half made."""
    known = {name for c in classes for name in inspect.signature(c.__init__).parameters}  # type: ignore[misc]
    for name in site.options:
        if name not in known:
            near = difflib.get_close_matches(str(name), sorted(known), 1)
            hint = f"did you mean {near[0]!r}?" if near else f"see {classes[0].__name__} of dask"
            msg = f"a site of kind {site.kind!r} has no option {name!r}"
            raise UnsupportedTypeError(msg, hint=hint)


def _batch_cluster(site: Site) -> tuple[Any, dict[str, Any]]:
    """Class of the cluster, and arguments that only this kind has."""
    if site.kind == "slurm":
        return _needed("dask_jobqueue").SLURMCluster, {}
    if site.kind == "htcondor":
        return _needed("dask_jobqueue").HTCondorCluster, {"disk": site.disk}
    return _needed("dask_lxplus").CernCluster, {"disk": site.disk}


def _dashboard(site: Site) -> tuple[bool, str]:
    """Whether there is a dashboard, and the address of the scheduler's pages with or without."""
    if site.dashboard not in (None, "none"):
        return True, str(site.dashboard)
    return site.dashboard is None and importlib.util.find_spec("bokeh") is not None, ":0"


def _cores() -> int:
    """Cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _needed(package: str) -> Any:
    try:
        return importlib.import_module(package)
    except ImportError as error:
        # dask-lxplus is of use at CERN alone, so that no extra names it.
        own = package == "dask_lxplus"
        raise UnsupportedFeatureError(
            f"{package} is not installed, which runs jobs",
            hint="pip install dask-lxplus" if own else install_hint("grid"),
        ) from error


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """Keep quiet what dask says of connections that close; they are meant to."""
    loggers = [logging.getLogger(name) for name in _LOGGERS]
    loggers += [
        logging.getLogger(name)
        for name in logging.root.manager.loggerDict
        if name.startswith("distributed.")
    ]
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)
