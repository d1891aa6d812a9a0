"""``vortex-hep dataset train``: one model for a whole data set."""

from __future__ import annotations

import argparse
from typing import Any

from vortex_hep.cli.common.options import (
    add_effort,
    add_output,
    add_resources,
    add_tree,
    positive_int,
)
from vortex_hep.cli.common.running import note
from vortex_hep.cli.datasets.arguments import dataset_command
from vortex_hep.core.install import install_hint

DESCRIPTION = f"""\
Learn a model from a data set, to compress all of its files with. Some files are taken, evenly over
the list, and events evenly from each; one model is trained from them, here and now (with --device
cuda on a GPU), and written in one piece. Training needs torch, compressing with the finished model
does not:

  {install_hint("train")}
"""

EXAMPLES = """\
  vortex-hep dataset train /data/ttbar -o ttbar.vxm
  vortex-hep dataset train files.txt -o ttbar.vxm --sample-files 32 --seconds 3600
  vortex-hep dataset train fileset.json --device cuda --passes 20
          -o root://eosuser.cern.ch//eos/user/a/alice/ttbar.vxm
"""


def register(actions: Any) -> None:
    """Add the command."""
    parser = dataset_command(
        actions,
        "train",
        summary="learn one model from some files of a data set",
        description=DESCRIPTION,
        examples=EXAMPLES,
    )
    add_output(parser, "model to write, a local path or a URL; needed")
    parser.add_argument(
        "--sample-files", type=positive_int, default=16, metavar="N",
        help="files to learn from, evenly over the list (default: 16)",
    )  # fmt: skip
    add_tree(parser, "tree to learn from; may be repeated (default: all)")
    parser.add_argument(
        "--passes", type=float, metavar="N", help="times to go through the data at most"
    )
    parser.add_argument("--seconds", type=float, metavar="S", help="time to learn for at most")
    parser.add_argument(
        "--seed", type=int, default=0, metavar="N", help="seed of the training (default: 0)"
    )
    parser.add_argument(
        "--checkpoint", metavar="PATH", help="keep the state here, and go on from it if it exists"
    )
    parser.add_argument(
        "--dry-run", action="store_true",
        help="check inputs and output, say which files would be learnt from, and stop",
    )  # fmt: skip
    add_effort(parser)
    add_resources(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Train and write the model."""
    from vortex_hep.batch.plan.learning import train_on_dataset
    from vortex_hep.cli.common.progress import progress_for
    from vortex_hep.core.text import format_duration, plural
    from vortex_hep.models.options import TrainOptions

    if args.output is None:
        args.usage_error("-o is needed: where the model goes")
    if args.dry_run:
        _show_sample(args)
        return 0
    report = train_on_dataset(
        args.inputs,
        output=args.output,
        sample_files=args.sample_files,
        overwrite=args.overwrite,
        options=TrainOptions(
            trees=args.trees,
            passes=args.passes,
            seconds=args.seconds,
            seed=args.seed,
            checkpoint=args.checkpoint,
            effort=args.effort,
            device=args.device,
            threads=args.threads,
        ),
        progress=progress_for(quiet=args.quiet),
    )
    for line in report.skipped:
        note(args, f"left out: {line}")
    if not args.quiet:
        print(
            f"{report.path}: sha256 {report.sha256}, from {plural(len(report.files), 'file')}"
            f" in {format_duration(report.seconds)}"
        )
    return 0


def _show_sample(args: argparse.Namespace) -> None:
    """Check what can be checked, and say which files would be learnt from."""
    from vortex_hep.batch.plan.inputs import find_inputs
    from vortex_hep.batch.plan.learning import sample
    from vortex_hep.core import storage
    from vortex_hep.core.text import one_line, plural
    from vortex_hep.errors import OutputError

    files = find_inputs(args.inputs)
    if storage.exists(args.output) and not args.overwrite:
        raise OutputError("the model exists already", path=args.output, hint="--overwrite")
    storage.check_writable(storage.parent(args.output))
    chosen = sample(files, args.sample_files)
    print(f"train: {plural(len(chosen), 'file')} of {len(files):,}")
    for file in chosen:
        print(f"  {one_line(file.source)}")
    print(f"model: {args.output}\ndry run: nothing was done")
