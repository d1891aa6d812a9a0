"""Command line of the scaling model: time, cost and bottleneck of a job over many files.

``predict``, the default, prints that for one job. ``measure`` measures the constants of the model
on this machine, ``simulate`` compares model and simulation, ``noop`` runs a real job of 100,000
files without work; each writes a JSON file into the results of this machine. ``report`` makes the
tables and the plot of ``docs/scale.md`` of them; ``--check`` writes nothing and fails if they are
not current.

Examples
--------
``python -m benchmarks.scale --files 100000 --bytes 1e15 --workers 4000``
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from benchmarks.run import RESULTS, commit, slug
from benchmarks.scale.parameters import Job, Site, costs_of, load_constants, load_data
from vortex_hep.cli.common.options import positive_int
from vortex_hep.testing.bench.measure import machine

#: What the tables are about unless they say otherwise.
DEFAULT_DATA = "nanoaod-ttbar"


def main(arguments: list[str] | None = None) -> int:
    """Run what the command line asks for."""
    args = _parser().parse_args(arguments)
    if args.check:
        args.command = "report"
    run = {
        "predict": _predict,
        "measure": _measure,
        "simulate": _simulate,
        "noop": _noop,
        "report": _report,
    }[args.command]
    return run(args)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__,
        prog="python -m benchmarks.scale",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "command", nargs="?", default="predict",
        choices=("predict", "measure", "simulate", "noop", "report"),
    )  # fmt: skip
    parser.add_argument("--check", action="store_true", help="of the report: write nothing")
    job = parser.add_argument_group("the job")
    job.add_argument("--files", type=positive_int, default=100_000)
    job.add_argument("--bytes", type=float, default=1e15, help="of all source files together")
    job.add_argument("--group-bytes", type=float, default=Job.group_bytes)
    job.add_argument("--group-files", type=positive_int, default=Job.group_files)
    job.add_argument("--data-kind", default=DEFAULT_DATA, metavar="NAME")
    job.add_argument("--checksum-only", action="store_true", help="do not read sources again")
    site = parser.add_argument_group("the site (defaults are assumptions)")
    site.add_argument("--workers", type=positive_int, default=4000)
    for field in fields(Site)[1:]:
        if isinstance(field.default, bool):
            continue
        flag = f"--{field.name.replace('_', '-')}"
        site.add_argument(flag, type=type(field.default), default=field.default)
    site.add_argument("--no-server-checksums", action="store_true")
    measure = parser.add_argument_group("measuring")
    measure.add_argument(
        "--part", action="append", choices=("scheduler", "journal", "file", "codec"),
        help="measure only this again; may be repeated",
    )  # fmt: skip
    measure.add_argument("--data", type=Path, help="folder of the corpus' files")
    measure.add_argument("--results", type=Path, default=RESULTS, metavar="DIR")
    return parser


def job_of(args: argparse.Namespace) -> Job:
    """The job that the command line describes."""
    return Job(
        files=args.files, bytes=args.bytes, group_bytes=args.group_bytes,
        group_files=args.group_files,
        against_source=not args.checksum_only,
    )  # fmt: skip


def site_of(args: argparse.Namespace) -> Site:
    """The site that the command line describes."""
    names = [field.name for field in fields(Site) if field.name != "server_checksums"]
    site = Site(**{name: getattr(args, name) for name in names})
    return replace(site, server_checksums=not args.no_server_checksums)


def _predict(args: argparse.Namespace) -> int:
    from benchmarks.scale.model import predict
    from benchmarks.scale.tables import prediction_text

    known = load_data(args.results)
    if args.data_kind not in known:
        raise SystemExit(f"no data {args.data_kind!r}; there are: {', '.join(known)}")
    job, site = job_of(args), site_of(args)
    costs = costs_of(load_constants(args.results))
    print(prediction_text(predict(job, known[args.data_kind], site, costs), job, site))
    return 0


def _measure(args: argparse.Namespace) -> int:
    from benchmarks.scale import codec, journal, scheduler, worker

    calls: dict[str, Callable[[], Any]] = {
        "scheduler": scheduler.measure,
        "journal": journal.measure,
        "file": worker.measure,
        "codec": lambda: codec.measure(args.data),
    }
    path = place(args.results, "scale-constants")
    known = json.loads(path.read_text("utf-8")) if path.exists() else {}
    parts = {name: known[name] for name in calls if name in known}
    for name in args.part or calls:
        print(f"measuring: {name}", flush=True)
        parts[name] = calls[name]()
    print(f"wrote {write(args.results, 'scale-constants', parts)}")
    return 0


def _simulate(args: argparse.Namespace) -> int:
    from benchmarks.scale.cases import compare

    plain = {"cases": compare(load_data(args.results), costs_of(load_constants(args.results)))}
    print(f"wrote {write(args.results, 'scale-simulation', plain)}")
    return 0


def _noop(args: argparse.Namespace) -> int:
    from benchmarks.scale.noop import measure

    print(f"wrote {write(args.results, 'scale-noop', measure(files=args.files))}")
    return 0


def _report(args: argparse.Namespace) -> int:
    from benchmarks.scale import report

    return report.run(check=args.check, results=args.results)


def place(results: Path, what: str) -> Path:
    """Where a result of this machine goes."""
    here = machine()
    return results / slug(f"{here['cpu']} {here['cores']} cores") / f"{what}.json"


def write(results: Path, what: str, plain: dict[str, Any]) -> Path:
    """Write a result of this machine; return where."""
    path = place(results, what)
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f"{path.name}.part")
    text = json.dumps({"machine": machine(), "commit": commit(), **plain}, indent=2)
    unfinished.write_text(f"{text}\n", "utf-8")
    unfinished.replace(path)
    return path


if __name__ == "__main__":
    raise SystemExit(main())
