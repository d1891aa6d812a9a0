#!/usr/bin/env -S uv run --script

# /// script
# dependencies = ["nox>=2025.2.9"]
# ///

"""The checks and builds of this project, each in an environment of its own.

``nox`` runs lint, types and tests; ``nox --list`` names what else there is. The commands are those
of ``.ci/run``, and a test compares the two. With an environment at hand (CONTRIBUTING.md), they can
be typed as they are.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import nox

nox.needs_version = ">=2025.2.9"
nox.options.default_venv_backend = "uv|virtualenv"

ROOT = Path(__file__).parent
PROJECT = nox.project.load_toml(ROOT / "pyproject.toml")
PYTHONS = nox.project.python_versions(PROJECT)
#: The development environment of README.md.
DEVELOPMENT = ("-c", "constraints-ci.txt", "-e", ".[test]")


@nox.session
def lint(session: nox.Session) -> None:
    """Style of the code."""
    session.install(*nox.project.dependency_groups(PROJECT, "lint"))
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")


@nox.session
def types(session: nox.Session) -> None:
    """Types, in the environment of the tests: mypy has to see the packages that are used."""
    session.install(*DEVELOPMENT)
    session.run("mypy", "--strict")


@nox.session(python=PYTHONS)
def tests(session: nox.Session) -> None:
    """All tests; arguments go to pytest, as in ``nox -s tests-3.12 -- -m "not slow"``."""
    session.install(*DEVELOPMENT)
    session.run("python", "-m", "pytest", "-n", "auto", "--dist", "worksteal", *session.posargs)


@nox.session(default=False)
def coverage(session: nox.Session) -> None:
    """Which lines of the package the quick tests run; cheapest from Python 3.14 on."""
    session.install(*DEVELOPMENT)
    session.run(
        "python", "-m", "pytest", "-n", "auto", "--dist", "worksteal", "-m", "not slow", "--cov",
        *session.posargs,
    )  # fmt: skip


@nox.session(default=False)
def reports(session: nox.Session) -> None:
    """Tables and plots must be those that the committed figures give."""
    session.install(*DEVELOPMENT)
    session.run("python", "-m", "benchmarks.report", "--check")
    session.run("python", "-m", "benchmarks.hardware", "--check")
    session.run("python", "-m", "benchmarks.transformers", "report", "--check")
    session.run("python", "-m", "benchmarks.scale", "report", "--check")


@nox.session(default=False)
def hooks(session: nox.Session) -> None:
    """The hooks of pre-commit on all files; mypy among them needs the session ``types``."""
    session.install(*nox.project.dependency_groups(PROJECT, "hooks"))
    session.run("pre-commit", "run", "--all-files", *session.posargs, env={"SKIP": "mypy"})


@nox.session(default=False)
def docs(session: nox.Session) -> None:
    """The documentation; any warning is an error."""
    session.install("-c", "constraints-ci.txt", "-e", ".[docs]")
    session.run("mkdocs", "build", "--strict", *session.posargs)


@nox.session(default=False)
def build(session: nox.Session) -> None:
    """Source distribution and wheel, in ``dist``."""
    session.install(*nox.project.dependency_groups(PROJECT, "build"))
    shutil.rmtree(ROOT / "dist", ignore_errors=True)
    session.run("python", "-m", "build")
    session.run("twine", "check", "--strict", *(str(p) for p in sorted((ROOT / "dist").iterdir())))


@nox.session(python=PYTHONS, default=False)
def wheel(session: nox.Session) -> None:
    """The wheel of the session ``build`` in an empty environment: files there and back, jobs."""
    (built,) = (ROOT / "dist").glob("*.whl")
    walk = str(ROOT / "tests" / "packaging" / "walk.py")
    session.chdir(session.create_tmp())
    session.install(str(built))
    session.run("python", walk)
    session.install(f"{built}[grid]")
    session.run("python", walk)


if __name__ == "__main__":
    nox.main()
