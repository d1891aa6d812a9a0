"""``vortex-hep dataset verify``: check the archives of a whole data set."""

from __future__ import annotations

import argparse
from typing import Any

from vortex_hep.cli.common.options import add_model
from vortex_hep.cli.datasets.arguments import add_job, dataset_command, job_options
from vortex_hep.cli.datasets.jobrunning import run_job

DESCRIPTION = """\
Check the archives of a data set: decode all of each, under checksums that cover every byte, and
with --against compare it with its source bit for bit. Nothing is changed or deleted.
"""

EXAMPLES = """\
  vortex-hep dataset verify archives/
  vortex-hep dataset verify archives/ --against /data/ttbar --journal verify.sqlite
  vortex-hep dataset verify root://eosuser.cern.ch//eos/user/a/alice/archives
          --model ttbar.vxm --site lxplus.yaml
"""


def register(actions: Any) -> None:
    """Add the command."""
    parser = dataset_command(
        actions,
        "verify",
        summary="check archives later, alone or against their sources",
        description=DESCRIPTION,
        examples=EXAMPLES,
    )
    add_model(parser, "the model the archives name (default: look for it beside them)")
    parser.add_argument(
        "--against", metavar="PREFIX",
        help="folder or URL of the sources, with the archives' tree of folders; without it"
        " archives are checked by themselves",
    )  # fmt: skip
    add_job(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Check the data set."""
    from vortex_hep.batch.jobs import plan

    options = job_options(args)
    return run_job(
        args,
        lambda: plan(
            "verify",
            args.inputs,
            model=args.model,
            against=args.against,
            options=options,
            journal=args.journal,
        ),
    )
