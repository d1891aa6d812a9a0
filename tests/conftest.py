"""Options and fixtures that all tests share."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

VARIABLE = "VORTEX_HEP_DATA"

# Where several processes test, threads of torch that spin while they wait take the cores from the
# others. Results do not depend on it, and tests of threads say how many.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")


# The same examples in every run, and no judgement by the clock: what fails on a busy machine must
# fail on an idle one. Fixtures shared by the examples of a test are only read. To search further:
# --hypothesis-profile=search.
_FIXED = settings(
    max_examples=100, deadline=None, derandomize=True, database=None, print_blob=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)  # fmt: skip
settings.register_profile("fixed", _FIXED)
settings.register_profile("search", _FIXED, derandomize=False)
settings.load_profile("fixed")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--shared-data",
        metavar="DIR",
        help=(
            "folder with the benchmark data (generated/ and real/); the variable "
            f"{VARIABLE} says the same. Named but missing is an error; not named, the tests "
            "that need it are skipped."
        ),
    )


def pytest_configure(config: pytest.Config) -> None:
    """Refuse a data folder that was named but is not there: a skip would hide the mistake."""
    root = _shared_data(config)
    if root is None:
        return
    missing = [name for name in ("generated", "real") if not (root / name).is_dir()]
    if missing:
        raise pytest.UsageError(f"shared data folder {root}: no sub-folder {missing[0]!r}")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int | None:
    """Processes of ``-n auto``: more than a few would wait for each other's compilers."""
    if "PYTEST_XDIST_AUTO_NUM_WORKERS" in os.environ:
        return None
    return min(4, os.cpu_count() or 1)


def pytest_report_header(config: pytest.Config) -> str:
    return f"shared data: {_shared_data(config) or 'not given, tests that need it are skipped'}"


def _shared_data(config: pytest.Config) -> Path | None:
    named = config.getoption("--shared-data") or os.environ.get(VARIABLE)
    return Path(named).resolve() if named else None


@pytest.fixture(scope="session")
def shared_data(pytestconfig: pytest.Config) -> Path:
    """Folder of the benchmark data; skips where none was named."""
    root = _shared_data(pytestconfig)
    if root is None:
        pytest.skip(f"needs the benchmark data: give --shared-data DIR or set {VARIABLE}")
    return root


@pytest.fixture(scope="session")
def example_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small NanoAOD-like file of our own making: 300 events, trees Events and Runs."""
    from vortex_hep.testing.examples import write_example

    path = tmp_path_factory.mktemp("example") / "example.root"
    write_example(path, events=300, seed=7)
    return path


@pytest.fixture(scope="session")
def example_model(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A model of files like the example: of all its tables, which depend on one another."""
    import vortex_hep
    from tests.shared import trained_once
    from vortex_hep.testing.examples import write_example

    def train() -> vortex_hep.Model:
        path = tmp_path_factory.mktemp("train") / "train.root"
        write_example(path, events=300, seed=8)
        options = vortex_hep.TrainOptions(effort="fast", seconds=0.3, expected_rows=10**8)
        return vortex_hep.train([path], options=options)

    return trained_once(tmp_path_factory, "example", train)


@pytest.fixture
def short_trainings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Event models learn in as few steps as make one: for tests of what is done with them."""
    monkeypatch.setattr("vortex_hep.models.train._SPEND", {"fast": (60, 0.2)})
    monkeypatch.setattr("vortex_hep.nn.event.training.fit._TRIAL_STEPS", 20)
