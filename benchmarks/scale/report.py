"""The tables and the plot of ``docs/scale.md``, from the results."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from benchmarks.corpus import HERE
from benchmarks.run import RESULTS
from benchmarks.scale import tables
from benchmarks.scale.measured import constants_text, noop_text, pipeline_text
from benchmarks.scale.parameters import Site, constants_path, costs_of, load_constants, load_data
from benchmarks.transformers.report import inserted

DOCUMENT = HERE.parent / "docs" / "scale.md"
PICTURE = HERE.parent / "docs" / "img" / "scale.png"
#: Data that the first table shows: with a model, and without.
KINDS = ("nanoaod-ttbar", "ftag", "hepmc-ttbar", "ROOT, classical")
WORKERS = (10, 100, 1000, 4000, 10_000, 20_000, 40_000, 100_000)
COUNTS = (1000, 10_000, 100_000, 1_000_000, 10_000_000, 100_000_000)


def run(*, check: bool, results: Path = RESULTS) -> int:
    """Write tables and plot, or check that they are there; return the exit code."""
    wanted = wanted_text(results)
    if check:
        stale = [path.name for path in (DOCUMENT,) if path.read_text("utf-8") != wanted]
        stale += [] if PICTURE.exists() else [PICTURE.name]
        if stale:
            print(f"out of date: {', '.join(stale)}; run python -m benchmarks.scale report")
        return 1 if stale else 0
    from benchmarks.scale.plot import save_plot

    DOCUMENT.write_text(wanted, "utf-8")
    save_plot(load_data(results)[KINDS[0]], costs_of(load_constants(results)), PICTURE)
    return 0


def wanted_text(results: Path = RESULTS) -> str:
    """What the document should say."""
    plain = load_constants(results)
    data, costs, site = load_data(results), costs_of(plain), Site(4000)
    first = data[KINDS[0]]
    noop, simulation, pipeline = (
        _load(results, name) for name in ("scale-noop", "scale-simulation", "batch")
    )
    parts = {
        "summary": tables.summary_text(first, costs, site),
        "constants": constants_text(plain, costs, {name: data[name] for name in KINDS}),
        "assumptions": tables.assumptions_table(site),
        "kinds": tables.kinds_table(data, KINDS, costs, site),
        "workers": tables.workers_table(first, costs, WORKERS),
        "files": tables.files_table(first, costs, COUNTS, site),
        "limits": tables.limits_table(first, costs, site),
        "simulation": _or_missing(
            simulation, "simulate", lambda found: tables.simulation_table(found["cases"])
        ),
        "noop": _or_missing(noop, "noop", lambda found: noop_text(found, costs)),
        "pipeline": _or_missing(pipeline, "", pipeline_text),
    }
    text = DOCUMENT.read_text("utf-8")
    for name, made in parts.items():
        text = inserted(text, name, made)
    return text


def _or_missing(found: dict[str, Any] | None, command: str, make: Any) -> str:
    if found is None:
        wanted = f"benchmarks.scale {command}" if command else "benchmarks.batch"
        return f"*Not measured yet: `python -m {wanted}`.*"
    return str(make(found))


def _load(results: Path, name: str) -> dict[str, Any] | None:
    path = constants_path(results).with_name(f"{name}.json")
    if not path.exists():
        return None
    plain: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return plain
