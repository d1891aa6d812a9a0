"""Shared parts of the dataset commands: parser, trial run, the end of a job."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from vortex_hep.cli.common.options import HelpFormatter, VersionAction, positive_int
from vortex_hep.cli.common.running import run_parsed
from vortex_hep.cli.datasets.joboptions import (
    add_inputs,
    add_journal,
    add_report,
    add_site,
    chosen_site,
)
from vortex_hep.cli.datasets.jobrunning import run_and_report

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vortex_hep.batch.jobs import JobOptions, Plan
    from vortex_hep.batch.report.summary import JobSummary
    from vortex_hep.batch.site.site import Site
    from vortex_hep.core.progress import Progress

EXIT_CODES = """
exit codes:
  0  all files are done
  1  some failed, told in a line each on stderr (20 at most, the rest is counted); or nothing
     could begin, for the reason told
  2  the command line is wrong
  130  interrupted; the same command, or 'vortex-hep jobs resume JOURNAL', goes on

Running the same command again goes on: files that are done are skipped after a cheap check.
"""

#: Options of every job.
_OF_ALL = ("threads", "attempts", "group_bytes")
#: Targets that a trial run shows.
SHOWN_FILES = 5


def dataset_parser(program: str, *, description: str, examples: str) -> argparse.ArgumentParser:
    """A parser for a command that stands alone, on a list of inputs.

    Parameters
    ----------
    program : str
        Name of the module in ``pipelines``.
    description, examples : str
        What the help says first and last.
    """
    parser = argparse.ArgumentParser(
        prog=f"python -m pipelines.{program}",
        description=description,
        epilog=f"examples:\n{examples}{EXIT_CODES}",
        formatter_class=HelpFormatter,
    )
    parser.set_defaults(program=program, usage_error=parser.error)
    parser.add_argument("--version", action=VersionAction, help="print the version and exit")
    add_inputs(parser)
    parser.add_argument("--quiet", "-q", action="store_true", help="no progress, errors only")
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    return parser


def add_job(parser: argparse.ArgumentParser) -> None:
    """What every job over a list of files can be told."""
    add_site(parser)
    add_journal(parser)
    add_report(parser)
    parser.add_argument(
        "--dry-run",
        action="store_true",
        help="check everything that can be checked before the first file is read, say what would"
        " be done, and stop",
    )
    parser.add_argument(
        "--threads", type=positive_int, metavar="N",
        help="threads that work on one file (default: the cores of each worker, 1 unless the site"
        " says more)",
    )  # fmt: skip
    parser.add_argument(
        "--attempts", type=positive_int, metavar="N",
        help="times to try a file whose failure may pass: network, full disk, lost worker"
        " (default: 3)",
    )  # fmt: skip
    parser.add_argument(
        "--group-bytes", type=positive_int, metavar="N",
        help="put small files together in one task until they reach so many bytes (default: 32 MB)",
    )  # fmt: skip


def job_options(args: argparse.Namespace, *names: str) -> JobOptions:
    """How the job works, as the options say.

    Parameters
    ----------
    args : argparse.Namespace
    *names : str
        Options of this command that are options of jobs, beside those of every job.
    """
    from vortex_hep.batch.jobs import JobOptions

    chosen = {name: getattr(args, name) for name in (*names, *_OF_ALL)}
    return JobOptions(**{name: value for name, value in chosen.items() if value is not None})


def run_command(parser: argparse.ArgumentParser, arguments: Sequence[str] | None) -> int:
    """Parse and run; failures become one line and an exit code."""
    return run_parsed(parser.parse_args(arguments))


def absolute(path: str) -> str:
    """A path as workers can find it, whose working folder is another; URLs stay as they are.

    Examples
    --------
    >>> absolute("root://host//store/a.root"), absolute("@/data/../files.txt")
    ('root://host//store/a.root', '@/files.txt')
    """
    from vortex_hep.core.storage import is_url

    if is_url(path):
        return path
    mark = "@" if path.startswith("@") else ""
    return mark + os.path.abspath(path.removeprefix(mark))  # noqa: PTH100 - a str in, a str out


def run_job(args: argparse.Namespace, plan: Callable[[], Plan]) -> int:
    """Carry out a job, or show what it would do (``--dry-run``).

    Parameters
    ----------
    args : argparse.Namespace
    plan : callable
        Lists files and checks what can be checked.

    Returns
    -------
    int
        The exit code.
    """
    from vortex_hep.batch.jobs import run_plan

    site = chosen_site(args)
    planned = plan()
    if args.dry_run:
        _show_plan(planned, site)
        return 0

    def work(progress: Progress) -> JobSummary:
        return run_plan(planned, site=site, progress=progress)

    return run_and_report(args, work)


def _show_plan(plan: Plan, site: Site) -> None:
    """Say what a job would do."""
    from vortex_hep.core.text import format_bytes, one_line, plural

    sizes = [file.size for file in plan.files]
    known = sum(size for size in sizes if size is not None)
    unknown = sum(size is None for size in sizes)
    text = f"{plan.command}: {plural(len(sizes), 'file')}, {format_bytes(known)}"
    if unknown:
        text += f" and {plural(unknown, 'file')} of unknown size"
    print(text)
    for file, target in list(zip(plan.files, plan.targets, strict=True))[:SHOWN_FILES]:
        arrow = f" -> {one_line(target)}" if target else ""
        print(f"  {one_line(file.source)}{arrow}")
    if len(sizes) > SHOWN_FILES:
        print(f"  ... and {len(sizes) - SHOWN_FILES:,} more")
    state = "goes on" if Path(plan.journal).exists() else "new"
    print(f"journal: {plan.journal} ({state})")
    _show_site(site)
    print("dry run: nothing was done")


def _show_site(site: Site) -> None:
    """Say where workers would run: a scheduler is asked, a batch system is not."""
    from vortex_hep.batch.site.site import BATCH_KINDS, connect, job_script

    if site.kind == "address":
        with connect(site) as client:
            print(f"workers: {len(client.nthreads())} of the scheduler at {site.address}")
    elif site.kind in BATCH_KINDS:
        print(f"workers: {site.workers} jobs like this one ({site.kind}):")
        print(job_script(site).rstrip())
    else:
        print(f"workers: {site.workers or 'one per core'}, on this machine")
