"""``vortex-hep jobs``: look at batch jobs, and resume them."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from vortex_hep.cli.common.options import HelpFormatter, add_command
from vortex_hep.cli.datasets.arguments import add_report, add_site, chosen_site
from vortex_hep.core.install import install_hint

if TYPE_CHECKING:
    from vortex_hep.batch.report.summary import JobSummary
    from vortex_hep.core.progress import Progress

DESCRIPTION = """\
Look at batch jobs, and go on with them. A job is one command over a list of files: compressing,
verifying or restoring a data set, started by 'vortex-hep dataset' or from Python
(vortex_hep.batch.jobs). Its journal, an SQLite file, knows what became of every file.
"""

EXAMPLES = """\
  vortex-hep jobs list /eos/user/a/alice/archives       the jobs with journals in there
  vortex-hep jobs show ttbar.sqlite                     how far one is, what failed, what to do
  vortex-hep jobs inspect ttbar.sqlite a.root           all that is known of one file
  vortex-hep jobs report ttbar.sqlite -o ttbar.html     the same as a page, with plots
  vortex-hep jobs resume ttbar.sqlite --failed          go on, and try failed files once more
  vortex-hep jobs site lxplus > lxplus.yaml             a file that says where workers run

'vortex-hep jobs COMMAND --help' explains each.
"""

JOURNAL = "JOURNAL.sqlite"
JOURNAL_HELP = "the job's journal, a local path or a URL"


def register(commands: Any) -> None:
    """Add the sub-command and those under it."""
    parser = commands.add_parser(
        "jobs",
        help="look at batch jobs, and go on with them",
        description=DESCRIPTION,
        epilog=f"examples:\n{EXAMPLES}",
        formatter_class=HelpFormatter,
    )
    actions = parser.add_subparsers(dest="action", metavar="COMMAND [options]", required=True)
    _register_list(actions)
    _register_show(actions)
    _register_inspect(actions)
    _register_report(actions)
    _register_resume(actions)
    _register_site(actions)


def _register_list(actions: Any) -> None:
    parser = add_command(
        actions,
        "list",
        summary="find jobs by their journals",
        description="Find journals in folders and below, and say how far each job is.",
        examples="  vortex-hep jobs list\n  vortex-hep jobs list archives/ /data/jobs --json\n",
    )
    parser.add_argument(
        "folders", nargs="*", default=["."], metavar="FOLDER", help="local folders (default: here)"
    )
    _add_json(parser)
    parser.set_defaults(run=_list)


def _register_show(actions: Any) -> None:
    parser = add_command(
        actions,
        "show",
        summary="how far a job is, and what failed",
        description="Show a job's figures, and its failures with what to do about them. A running"
        " job can be\nlooked at: nothing is changed.",
        examples="  vortex-hep jobs show ttbar.sqlite\n"
        "  vortex-hep jobs show ttbar.sqlite --failed      every failed file, not just 20\n"
        "  vortex-hep jobs show ttbar.sqlite --json\n",
    )
    parser.add_argument("journal", metavar=JOURNAL, help=JOURNAL_HELP)
    parser.add_argument("--failed", action="store_true", help="list the failed files, all of them")
    _add_json(parser)
    parser.set_defaults(run=_show)


def _register_inspect(actions: Any) -> None:
    parser = add_command(
        actions,
        "inspect",
        summary="all that is known of one file",
        description="Show what the journal knows of one file: state, attempts, sizes, checksums,"
        " where and when it\nwas worked on, what its branch groups cost, the error if it failed.",
        examples="  vortex-hep jobs inspect ttbar.sqlite root://host//store/a.root\n"
        "  vortex-hep jobs inspect ttbar.sqlite store/a.root    the end of a name will do\n"
        "  vortex-hep jobs inspect ttbar.sqlite 17              or the file's number\n",
    )
    parser.add_argument("journal", metavar=JOURNAL, help=JOURNAL_HELP)
    parser.add_argument(
        "file", metavar="FILE", help="its source or target, the end of one, or its number"
    )
    _add_json(parser)
    parser.set_defaults(run=_inspect)


def _register_report(actions: Any) -> None:
    parser = add_command(
        actions,
        "report",
        summary="write a job's HTML report",
        description="Write a job's figures, plots and failures as one HTML file that needs nothing"
        f" else.\nNeeds matplotlib and jinja2:\n\n  {install_hint('grid')}",
        examples="  vortex-hep jobs report ttbar.sqlite\n"
        "  vortex-hep jobs report ttbar.sqlite -o /eos/user/a/alice/www/job.html\n",
    )
    parser.add_argument("journal", metavar=JOURNAL, help=JOURNAL_HELP)
    parser.add_argument(
        "-o", "--output", metavar="FILE.html", help="what to write (default: beside the journal)"
    )
    parser.set_defaults(run=_report)


def _register_resume(actions: Any) -> None:
    parser = add_command(
        actions,
        "resume",
        summary="go on with a job",
        description="Go on with a job that was interrupted, with the options it was started with."
        " Files that are\ndone are skipped after a cheap check; what no longer holds is done anew.",
        examples="  vortex-hep jobs resume ttbar.sqlite\n"
        "  vortex-hep jobs resume ttbar.sqlite --failed --site lxplus.yaml\n"
        "  vortex-hep jobs resume ttbar.sqlite --workers 4\n",
    )
    parser.add_argument("journal", metavar=JOURNAL, help="the job's journal")
    parser.add_argument(
        "--failed", action="store_true", help="try the files that failed once more, too"
    )
    add_site(parser)
    add_report(parser)
    parser.set_defaults(run=_resume, usage_error=parser.error)


def _register_site(actions: Any) -> None:
    parser = add_command(
        actions,
        "site",
        summary="print a file that says where workers run, to be changed",
        description="Print a commented YAML file for a kind of site, as --site takes it: change it"
        " to suit yours.",
        examples="  vortex-hep jobs site htcondor > site.yaml\n",
    )
    parser.add_argument(
        "kind", choices=("local", "address", "htcondor", "slurm", "lxplus"), help="kind of site"
    )
    parser.set_defaults(run=_site)


def _add_json(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="for programs: print JSON")


def _list(args: argparse.Namespace) -> int:
    from vortex_hep.cli.datasets.journaltext import print_jobs

    print_jobs(args.folders, as_json=args.json)
    return 0


def _show(args: argparse.Namespace) -> int:
    from vortex_hep.cli.datasets.jobrunning import open_journal
    from vortex_hep.cli.datasets.journaltext import print_failed, print_summary

    with open_journal(args.journal) as journal:
        if args.failed:
            print_failed(journal, as_json=args.json)
        else:
            print_summary(journal, as_json=args.json)
    return 0


def _inspect(args: argparse.Namespace) -> int:
    from vortex_hep.cli.datasets.jobrunning import open_journal
    from vortex_hep.cli.datasets.journaltext import print_file

    with open_journal(args.journal) as journal:
        print_file(journal, args.file, as_json=args.json)
    return 0


def _report(args: argparse.Namespace) -> int:
    from vortex_hep.cli.datasets.jobrunning import report_path, save_report
    from vortex_hep.core import storage

    path = args.output or report_path(args.journal)
    storage.check_distinct(path, args.journal, what="the journal")
    save_report(args.journal, path)
    if not args.quiet:
        print(f"{path}: written")
    return 0


def _site(args: argparse.Namespace) -> int:
    from vortex_hep.batch.site.site import example

    print(example(args.kind), end="")
    return 0


def _resume(args: argparse.Namespace) -> int:
    from vortex_hep.batch.jobs import resume
    from vortex_hep.cli.datasets.jobrunning import run_and_report

    site = chosen_site(args)

    def work(progress: Progress) -> JobSummary:
        return resume(args.journal, failed=args.failed, site=site, progress=progress)

    return run_and_report(args, work)
