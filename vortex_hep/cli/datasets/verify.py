"""``python -m pipelines.verify_dataset``: check the archives of a whole data set."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from vortex_hep.cli.common.options import add_model
from vortex_hep.cli.datasets.common import (
    add_job,
    dataset_parser,
    job_options,
    run_command,
    run_job,
)

DESCRIPTION = """\
Check the archives of a data set: decode all of each, under checksums that cover every byte, and
with --against compare it with its source bit for bit. Nothing is changed or deleted.
"""

EXAMPLES = """\
  python -m pipelines.verify_dataset archives/
  python -m pipelines.verify_dataset archives/ --against /data/ttbar --journal verify.sqlite
  python -m pipelines.verify_dataset root://eosuser.cern.ch//eos/user/a/alice/archives
          --model ttbar.vxm --site lxplus.yaml
"""


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = dataset_parser("verify_dataset", description=DESCRIPTION, examples=EXAMPLES)
    add_model(parser, "the model the archives name (default: look for it beside them)")
    parser.add_argument(
        "--against", metavar="PREFIX",
        help="folder or URL of the sources, with the archives' tree of folders; without it"
        " archives are checked by themselves",
    )  # fmt: skip
    add_job(parser)
    parser.set_defaults(run=run)
    return parser


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


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    return run_command(build_parser(), arguments)


if __name__ == "__main__":
    sys.exit(main())
