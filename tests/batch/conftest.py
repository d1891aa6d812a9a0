"""Fixtures of the job tests: small files, and workers that are started once per module."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from vortex_hep.batch.site.site import Site, connect
from vortex_hep.testing.examples import write_example


@pytest.fixture(scope="module")
def workers() -> Iterator[Any]:
    """A client of two worker processes."""
    pytest.importorskip("distributed", reason="needs the extra 'grid'")
    with connect(Site(workers=2, memory="1GB", dashboard="none")) as client:
        client.wait_for_workers(2)
        yield client


@pytest.fixture(scope="session")
def tiny_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A NanoAOD-like file of 30 events: a job takes a fraction of a second for it."""
    path = tmp_path_factory.mktemp("tiny") / "tiny.root"
    write_example(path, events=30, seed=7)
    return path


@pytest.fixture
def dataset(tmp_path: Path, tiny_file: Path) -> Callable[[int], Path]:
    """Makes a folder of so many files, in folders."""

    def make(count: int) -> Path:
        folder = tmp_path / "in"
        for number in range(count):
            path = folder / f"set{number % 2}" / f"{number}.root"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(tiny_file.read_bytes())
        return folder

    return make
