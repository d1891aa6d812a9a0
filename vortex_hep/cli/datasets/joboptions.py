"""Options of the dataset commands, on one worker or many."""

from __future__ import annotations

import argparse
from dataclasses import replace
from typing import TYPE_CHECKING

from vortex_hep.cli.common.options import positive_int

if TYPE_CHECKING:
    from vortex_hep.batch.site.site import Site

INPUTS_HELP = """\
a file, a folder, a glob in quotes, a text list (@files.txt, *.txt or *.list: a path or URL a line),
or a coffea fileset (*.json, *.json.gz); local, root:// or https://
"""


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
