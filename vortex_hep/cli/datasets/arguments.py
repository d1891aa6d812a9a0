"""Arguments of the dataset commands: parsers, and the choices they stand for."""

from __future__ import annotations

import argparse
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from vortex_hep.cli.common.options import add_command, positive_int

if TYPE_CHECKING:
    from vortex_hep.batch.jobs import JobOptions
    from vortex_hep.batch.site.site import Site

INPUTS_HELP = """\
a file, a folder, a glob in quotes, a text list (@files.txt, *.txt or *.list: a path or URL a line),
or a coffea fileset (*.json, *.json.gz); local, root:// or https://
"""


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


def dataset_command(
    actions: Any, name: str, *, summary: str, description: str, examples: str
) -> argparse.ArgumentParser:
    """A parser for one command under ``vortex-hep dataset``, on a list of inputs."""
    parser = add_command(
        actions,
        name,
        summary=summary,
        description=description,
        examples=f"{examples}{EXIT_CODES}",
    )
    parser.set_defaults(usage_error=parser.error)
    add_inputs(parser)
    return parser


def add_inputs(parser: argparse.ArgumentParser, *, required: bool = True) -> None:
    """``INPUT...``."""
    parser.add_argument(
        "inputs",
        nargs="+" if required else "*",
        metavar="INPUT",
        help=" ".join(INPUTS_HELP.split()),
    )


def add_site(parser: argparse.ArgumentParser) -> None:
    """Where workers run; :func:`chosen_site` gives it."""
    group = parser.add_argument_group(
        "workers", "where the work is done (default: here, a worker per core)"
    )
    where = group.add_mutually_exclusive_group()
    where.add_argument(
        "--site", metavar="SITE.yaml", help="HTCondor, Slurm, lxplus or else, as this file says"
    )
    where.add_argument(
        "--scheduler",
        metavar="ADDRESS",
        help="use the workers of a dask scheduler that runs already, such as tcp://host:8786",
    )
    group.add_argument(
        "--workers",
        type=positive_int,
        metavar="N",
        help="workers to start, here or at the site (default: one per core; as the site says)",
    )


def chosen_site(args: argparse.Namespace) -> Site:
    """The site that the options name; the command line is wrong if they contradict.

    Raises
    ------
    VortexError
        The site's file cannot be read, or says something that there is not.
    """
    from vortex_hep.batch.site.site import Site, load_site

    if args.scheduler is not None:
        if args.workers is not None:
            args.usage_error("--workers has no effect on a scheduler that runs already")
        return Site(kind="address", address=args.scheduler)
    site = Site() if args.site is None else load_site(args.site)
    return site if args.workers is None else replace(site, workers=args.workers)


def add_journal(parser: argparse.ArgumentParser) -> None:
    """``--journal``."""
    parser.add_argument(
        "--journal",
        metavar="FILE",
        help="where the job's journal is, or will be (default: vortex-job.sqlite in the output"
        " folder if that is local, else in the current one)",
    )


def add_report(parser: argparse.ArgumentParser) -> None:
    """``--report`` and ``--no-report``."""
    choice = parser.add_mutually_exclusive_group()
    choice.add_argument(
        "--report", metavar="FILE.html", help="the HTML report (default: beside the journal)"
    )
    choice.add_argument("--no-report", action="store_true", help="write no HTML report")


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
