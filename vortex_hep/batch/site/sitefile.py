"""Site files: the description of a job's workers in YAML.

:func:`example` gives a commented file for each kind of site: copy one, and change it.
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from importlib import resources
from pathlib import Path
from types import MappingProxyType
from typing import Any

from vortex_hep.core.install import install_hint
from vortex_hep.core.storage.failures import source_error
from vortex_hep.errors import SourceError, UnsupportedFeatureError, UnsupportedTypeError

#: Kinds of sites, with what they are.
KINDS = {
    "local": "processes on this machine",
    "address": "a dask scheduler that runs already",
    "htcondor": "jobs of HTCondor",
    "slurm": "jobs of Slurm",
    "lxplus": "jobs of CERN's HTCondor, through dask-lxplus",
}
#: Kinds whose workers are jobs of a batch system.
BATCH_KINDS = ("htcondor", "slurm", "lxplus")

_SIZE = re.compile(r"\d+(\.\d+)?\s*[kKMGT]?i?B")


@dataclass(frozen=True)
class Site:
    """Where workers run, and what each of them has.

    Parameters
    ----------
    kind : str
        One of :data:`KINDS`.
    address : str, optional
        Of the scheduler, such as ``"tcp://host:8786"``; for the kind "address".
    workers : int, optional
        How many; on this machine by default as many as its cores allow. Batch systems must be told.
    cores : int
        Of each worker, which works on one file at a time.
    memory : str
        Of each worker, such as ``"2GB"``; one that needs more is ended.
    disk : str
        Of each worker, where the batch system wants to know.
    timeout : float
        Seconds until a scheduler that does not answer is given up.
    dashboard : str, optional
        Address of the dashboard, such as ``":8787"``, or "none". By default on a free port, where
        bokeh is installed. Of no effect on schedulers that run already.
    options : mapping
        Further arguments of ``LocalCluster``, ``HTCondorCluster``, ``SLURMCluster`` or
        ``CernCluster``.

    Raises
    ------
    UnsupportedTypeError
        A value is invalid.
    """

    kind: str = "local"
    address: str | None = None
    workers: int | None = None
    cores: int = 1
    memory: str = "2GB"
    disk: str = "10GB"
    timeout: float = 8.0
    dashboard: str | None = None
    options: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            near = difflib.get_close_matches(str(self.kind), list(KINDS), 1)
            hint = f"did you mean {near[0]!r}?" if near else f"one of {', '.join(KINDS)}"
            raise UnsupportedTypeError(f"unknown kind of site {self.kind!r}", hint=hint)
        _check_types(self)
        if (self.address is not None) != (self.kind == "address"):
            msg = (
                "the address of a scheduler belongs to the kind of site 'address', and to no other"
            )
            raise UnsupportedTypeError(msg, hint="kind: address, address: tcp://HOST:PORT")
        if self.kind in BATCH_KINDS and self.workers is None:
            msg = f"key 'workers' is missing, which a site of kind {self.kind!r} needs"
            raise UnsupportedTypeError(msg, hint="workers: 100")


def _check_types(site: Site) -> None:
    counts: list[tuple[str, Any]] = [("cores", site.cores)]
    if site.workers is not None:
        counts.append(("workers", site.workers))
    for name, count in counts:
        if type(count) is not int or count < 1:
            raise UnsupportedTypeError(f"{name} must be a whole number from 1 on, not {count!r}")
    size: Any
    text: Any
    for name, size in (("memory", site.memory), ("disk", site.disk)):
        if not isinstance(size, str) or not _SIZE.fullmatch(size.strip()):
            msg = f"{name} must be a size such as '2GB', not {size!r}"
            raise UnsupportedTypeError(msg)
    seconds: Any = site.timeout
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or not seconds > 0:
        raise UnsupportedTypeError(f"timeout must be seconds above 0, not {seconds!r}")
    for name, text in (("address", site.address), ("dashboard", site.dashboard)):
        if text is not None and (not isinstance(text, str) or not text.strip()):
            raise UnsupportedTypeError(f"{name} must be a text, not {text!r}")
    if not isinstance(site.options, Mapping):
        raise UnsupportedTypeError(f"options must be keys and values, not {site.options!r}")


def example(kind: str) -> str:
    """A commented YAML file for a kind of site.

    Examples
    --------
    >>> example("address").splitlines()[-1]
    'address: tcp://scheduler.example.org:8786'
    """
    return (resources.files("vortex_hep.batch.site") / "sites" / f"{kind}.yaml").read_text("utf-8")


def load_site(path: str | os.PathLike[str]) -> Site:
    """Read a site from a YAML file whose keys are the parameters of :class:`Site`.

    Raises
    ------
    MissingError, DeniedError, SourceError
        The file cannot be read, or is no YAML.
    UnsupportedTypeError
        It has an unknown key, or an invalid value.
    UnsupportedFeatureError
        PyYAML is not installed.
    """
    name = os.fspath(path)
    try:
        text = Path(name).read_text("utf-8")
    except OSError as error:
        raise source_error(error, name) from error
    except UnicodeDecodeError as error:
        raise SourceError("not YAML: it is not UTF-8 text", path=name) from error
    values = _parsed(text, name)
    known = [f.name for f in fields(Site)]
    for key in values:
        if key not in known:
            near = difflib.get_close_matches(str(key), known, 1)
            hint = f"did you mean {near[0]!r}?" if near else f"keys: {', '.join(known)}"
            raise UnsupportedTypeError(f"unknown key {key!r}", path=name, hint=hint)
    try:
        return Site(**values)
    except UnsupportedTypeError as error:
        raise UnsupportedTypeError(error.message, path=name, hint=error.hint) from error


def _parsed(text: str, path: str) -> dict[Any, Any]:
    try:
        import yaml
    except ImportError as error:
        raise UnsupportedFeatureError(
            "PyYAML is not installed: site files cannot be read", path=path,
            hint=install_hint("grid"),
        ) from error  # fmt: skip
    try:
        values = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise SourceError(f"not YAML: {error}", path=path) from error
    if not isinstance(values, dict):
        raise UnsupportedTypeError(
            "a site is described by keys and values", path=path, hint="such as 'kind: local'"
        )
    return values
