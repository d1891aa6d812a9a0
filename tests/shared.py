"""Files that take long to make and that all processes of a run share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import vortex_hep

try:
    import fcntl
except ImportError:  # Windows: every process makes its own
    fcntl = None  # type: ignore[assignment]


def made_once(
    factory: pytest.TempPathFactory, name: str, make: Callable[[Path], object]
) -> Path:  # fmt: skip
    """Path of a file that the first process that wants it makes; the others wait for it.

    Parameters
    ----------
    factory : pytest.TempPathFactory
    name : str
        Of the file, and of no other one.
    make : callable
        Writes the file to the path it is given.
    """
    own = factory.getbasetemp()
    # Each worker of pytest-xdist has a folder of its own in that of the run.
    of_run = own.parent if own.name.startswith("popen-") and fcntl is not None else own
    path = of_run / "shared" / name
    path.parent.mkdir(exist_ok=True)
    with path.with_name(f"{name}.lock").open("w") as lock:
        if fcntl is not None:
            fcntl.flock(lock, fcntl.LOCK_EX)  # ends with the process that holds it
        if not path.exists():
            unfinished = path.with_name(f"unfinished-{name}")
            make(unfinished)
            unfinished.rename(path)
    return path


def trained_once(
    factory: pytest.TempPathFactory, name: str, train: Callable[[], vortex_hep.Model]
) -> vortex_hep.Model:
    """A model that the first process that wants it trains."""

    def make(path: Path) -> None:
        train().save(path, overwrite=True)

    return vortex_hep.Model.load(made_once(factory, f"{name}.vxm", make))
