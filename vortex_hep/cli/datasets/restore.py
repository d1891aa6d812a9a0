"""``vortex-hep dataset restore``: the files of a whole data set back from archives."""

from __future__ import annotations

import argparse
from typing import Any

from vortex_hep.cli.common.options import add_model, add_overwrite
from vortex_hep.cli.datasets.arguments import add_job, dataset_command, job_options
from vortex_hep.cli.datasets.jobrunning import run_job

DESCRIPTION = """\
Restore the files of a data set from its archives, beside them or under a prefix with the same tree
of folders: every value the same bits, and from archives made with --exact the same files byte for
byte. Each file is written under a temporary name, read back, and only then gets its name.

Most analyses need no restored files: vortex_hep.open() and nanoevents() read archives.
"""

EXAMPLES = """\
  vortex-hep dataset restore archives/ --output restored/
  vortex-hep dataset restore 'archives/2024*.vxc' --output restored/ --model ttbar.vxm
  vortex-hep dataset restore root://eosuser.cern.ch//eos/user/a/alice/archives
          --output root://eosuser.cern.ch//eos/user/a/alice/restored --site lxplus.yaml --dry-run
"""


def register(actions: Any) -> None:
    """Add the command."""
    parser = dataset_command(
        actions,
        "restore",
        summary="the files of archives again",
        description=DESCRIPTION,
        examples=EXAMPLES,
    )
    add_model(parser, "the model the archives name (default: look for it beside them)")
    parser.add_argument(
        "-o", "--output", metavar="PREFIX",
        help="folder or URL for the files, with the archives' tree of folders (default: beside"
        " each archive)",
    )  # fmt: skip
    add_overwrite(parser)
    parser.add_argument(
        "--compression", metavar="CODEC:LEVEL",
        help="of restored ROOT files: zstd, lzma, zlib or lz4, or none (default: as the original);"
        " of no effect on archives made with --exact",
    )  # fmt: skip
    parser.add_argument(
        "--verify", choices=("source", "checksum"), default="source",
        help="compare each file with its archive bit for bit (default), or only checksums of what"
        " was written",
    )  # fmt: skip
    add_job(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Restore the data set."""
    from vortex_hep.batch.jobs import plan

    options = job_options(args, "overwrite", "compression", "verify")
    return run_job(
        args,
        lambda: plan(
            "restore",
            args.inputs,
            model=args.model,
            output=args.output,
            options=options,
            journal=args.journal,
        ),
    )
