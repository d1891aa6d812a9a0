"""Running a job for a dataset command: summary, report, exit code."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from vortex_hep.cli.common.progress import progress_for
from vortex_hep.cli.common.running import note
from vortex_hep.cli.datasets.arguments import chosen_site

if TYPE_CHECKING:
    from vortex_hep.batch.jobs import JobPlan
    from vortex_hep.batch.journal.journal import Journal
    from vortex_hep.batch.report.summary import JobSummary
    from vortex_hep.core.progress import Progress


def run_job(args: argparse.Namespace, plan: Callable[[], JobPlan]) -> int:
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
    from vortex_hep.cli.datasets.dryrun import print_plan
    from vortex_hep.core import storage

    site = chosen_site(args)
    planned = plan()
    if args.dry_run:
        print_plan(planned, site)
        return 0

    if args.report is not None:
        storage.check_distinct(args.report, *(file.source for file in planned.files))
        storage.check_distinct(args.report, planned.journal, what="the journal")

    def work(progress: Progress) -> JobSummary:
        return run_plan(planned, site=site, progress=progress)

    return run_and_report(args, work)


def run_and_report(args: argparse.Namespace, run: Callable[[Progress], JobSummary]) -> int:
    """Run a job, then show its summary and write its report.

    Parameters
    ----------
    args : argparse.Namespace
        With ``quiet``, ``report`` and ``no_report``.
    run : callable
        Runs the job, and reports to the progress that it is given.

    Returns
    -------
    int
        0 where all files are done, 1 where some are not.
    """
    try:
        summary = run(progress_for(quiet=args.quiet))
    except KeyboardInterrupt:
        note(args, "what is done is kept: the same command again goes on from here")
        raise
    finish(args, summary)
    return summary.exit_code


def finish(args: argparse.Namespace, summary: JobSummary) -> None:
    """Print the summary and the failures, and write the report."""
    from vortex_hep.batch.report.summarytext import failure_lines, summary_text

    if not args.quiet:
        print(summary_text(summary), flush=True)
    if not args.no_report:
        path = args.report or report_path(summary.journal)
        save_report(summary.journal, path, summary)
        if not args.quiet:
            print(f"  report  {path}", flush=True)
    for line in failure_lines(summary):
        print(f"{args.program}: error: {line}", file=sys.stderr)


def report_path(journal: str) -> str:
    """Where the report of a job is, unless said otherwise.

    Examples
    --------
    >>> report_path("out/vortex-job.sqlite")
    'out/vortex-job.html'
    """
    return f"{journal.removesuffix('.sqlite')}.html"


def save_report(journal: str, path: str, summary: JobSummary | None = None) -> None:
    """Write the HTML report of a journal."""
    from vortex_hep.batch.report.page import write_report

    with open_journal(journal) as opened:
        write_report(opened, path, summary)


@contextmanager
def open_journal(path: str) -> Iterator[Journal]:
    """Open a journal for reading; one at a URL is copied here for as long as it is open.

    Parameters
    ----------
    path : str
        Local path or URL.

    Yields
    ------
    Journal
    """
    from vortex_hep.batch.journal.journal import Journal
    from vortex_hep.core import storage

    with tempfile.TemporaryDirectory(prefix="vortex-hep-") as folder:
        local = path
        if storage.is_url(path):
            local = str(Path(folder) / storage.name(path))
            storage.download(path, local)
        with Journal.open(local, read_only=True) as journal:
            journal.path = path  # as users know it
            yield journal
