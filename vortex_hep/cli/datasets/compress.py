"""``vortex-hep dataset compress``: archives of a whole data set."""

from __future__ import annotations

import argparse
from typing import Any

from vortex_hep.cli.common.options import add_effort, add_model, add_overwrite, add_tree
from vortex_hep.cli.datasets.arguments import add_job, dataset_command, job_options
from vortex_hep.cli.datasets.jobrunning import run_job

DESCRIPTION = """\
Compress a data set: an archive of every file, beside it or under a prefix with the same tree of
folders. Each archive is written under a temporary name, read back, compared with its source bit for
bit, and only then gets its name; a journal keeps what became of every file. Files that fail are
tried again if that may help, then reported; they never stop the others.

With --model (see 'vortex-hep dataset train'), the model is stored once, beside the archives.
Without, one is fitted to each file and stored in its archive, which is slow: train one.
"""

EXAMPLES = """\
  vortex-hep dataset compress /data/ttbar --model ttbar.vxm --output archives/
  vortex-hep dataset compress files.txt --model ttbar.vxm
          --output root://eosuser.cern.ch//eos/user/a/alice/archives --site lxplus.yaml --dry-run
  vortex-hep dataset compress fileset.json --model ttbar.vxm --output archives/
          --scheduler tcp://login1:8786 --journal ttbar.sqlite
"""


def register(actions: Any) -> None:
    """Add the command."""
    parser = dataset_command(
        actions,
        "compress",
        summary="an archive of every file, verified against it",
        description=DESCRIPTION,
        examples=EXAMPLES,
    )
    add_model(parser, "model to predict with (default: fit one to each file, which is slow)")
    parser.add_argument(
        "-o", "--output", metavar="PREFIX",
        help="folder or URL for the archives, with the inputs' tree of folders (default: beside"
        " each input)",
    )  # fmt: skip
    add_overwrite(parser)
    parser.add_argument(
        "--exact", action="store_true", help="promise the very bytes of each file, with adler32"
    )
    parser.add_argument(
        "--embed-model", action="store_true",
        help="store the model in every archive instead of once beside them",
    )  # fmt: skip
    parser.add_argument(
        "--verify", choices=("source", "checksum"), default="source",
        help="compare each archive with its source bit for bit (default), or only prove while"
        " compressing that it decodes and compare checksums of what was written",
    )  # fmt: skip
    add_tree(parser, "tree to compress; may be repeated (default: all)")
    add_effort(parser)
    parser.add_argument(
        "--settle", type=float, metavar="S",
        help="leave files alone that were modified in the last S seconds: they may still be"
        " written",
    )  # fmt: skip
    add_job(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Compress the data set."""
    from vortex_hep.batch.jobs import plan

    options = job_options(
        args, "effort", "exact", "embed_model", "verify", "trees", "overwrite", "settle"
    )
    return run_job(
        args,
        lambda: plan(
            "compress",
            args.inputs,
            model=args.model,
            output=args.output,
            options=options,
            journal=args.journal,
        ),
    )
