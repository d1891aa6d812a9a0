"""``vortex-hep train``: train a model on a few files of a dataset."""

from __future__ import annotations

import argparse
import glob
from pathlib import Path
from typing import Any

from vortex_hep.cli.common.options import (
    MODEL_SUFFIX,
    add_command,
    add_effort,
    add_output,
    add_record,
    add_resources,
    add_tree,
    positive_int,
)
from vortex_hep.cli.common.running import note
from vortex_hep.core.install import install_hint
from vortex_hep.core.options import DEFAULT_RECIPE

DESCRIPTION = f"""\
Learn a model from one or a few files, to compress the other files of the same dataset with.

The model learns how the columns of an event depend on one another: fields of the same object, the
object before it in its collection, the particle it points to, the event as a whole. It needs no
labels and no settings. Time is the one choice: --seconds or --passes bound it, and the longer it
learns the smaller the archives. Training needs torch, compressing and reading with the finished
model do not:

  {install_hint("train")}

--family transformer trains compressive transformers over the bytes of rows instead. A recipe says
how large, and for which hardware; it learns for the recipe's time unless --seconds says otherwise.
Archives made with one are written and read far more slowly: take the event model unless you have
measured that a transformer makes smaller ones of your data.
"""

EXAMPLES = """\
  vortex-hep train a.root b.root -o ttbar.vxm
  vortex-hep train a.root -o quick.vxm --seconds 120
  vortex-hep train new.root -o new.vxm --base ttbar.vxm --effort fast
  vortex-hep train a.root -o ttbar.vxm --device cuda --passes 20 --checkpoint ttbar.ckpt
  vortex-hep train jets.h5 -o jets.vxm --family transformer --recipe laptop_cpu --table jets
  vortex-hep train dump.bin -o dump.vxm --family transformer --record 4 --seconds 600
"""


def register(commands: Any) -> None:
    """Add the sub-command."""
    parser = add_command(
        commands,
        "train",
        summary="learn a model from files of a dataset",
        description=DESCRIPTION,
        examples=EXAMPLES,
    )
    parser.add_argument(
        "sources",
        nargs="+",
        metavar="FILE",
        help="files to learn from (ROOT, HDF5, HepMC; any other with --record)",
    )
    add_output(parser, f"model to write (default: FILE{MODEL_SUFFIX} of the first file)")
    add_tree(parser, "tree to learn from; may be repeated (default: all)")
    parser.add_argument(
        "--table", action="append", metavar="NAME", dest="tables",
        help="of the trees only this table, as 'info' of an archive names it; may be repeated"
        " (default: all)",
    )  # fmt: skip
    parser.add_argument(
        "--family", choices=("event", "transformer"), default="event",
        help="event: small networks inside each event (default); transformer: a compressive"
        " transformer over the bytes of each table's rows, for opaque data, comparison, or a GPU",
    )  # fmt: skip
    parser.add_argument(
        "--recipe", default=DEFAULT_RECIPE, metavar="NAME",
        help="of a transformer: laptop_cpu, colab_t4, rtx4070_8gb, default, rtx4090_24gb,"
        " amd_mi300x, or a YAML file"
        f" (default: {DEFAULT_RECIPE})",
    )  # fmt: skip
    parser.add_argument(
        "--log-dir", metavar="DIR", help="of a transformer: write TensorBoard's logs here"
    )
    parser.add_argument(
        "--passes",
        type=float,
        metavar="N",
        help="of an event model: times to go through the data at most",
    )
    parser.add_argument("--seconds", type=float, metavar="S", help="time to learn for at most")
    parser.add_argument(
        "--seed", type=int, default=0, metavar="N", help="seed of the training (default: 0)"
    )
    parser.add_argument(
        "--expected-rows",
        type=positive_int,
        metavar="N",
        help="of an event model: events it will serve in all, of which more carry a larger one",
    )
    parser.add_argument(
        "--independent",
        action="store_true",
        help="of an event model: code every table by itself, so that single collections read"
        " faster; archives are larger",
    )
    parser.add_argument(
        "--base",
        metavar="MODEL",
        help="of an event model: fine-tune this one instead of starting from nothing",
    )
    parser.add_argument(
        "--checkpoint",
        metavar="PATH",
        help="keep the state here (a transformer: once a minute, in a file per table beside it),"
        " and go on from it if it exists",
    )
    add_record(parser, "learn from the files as records of N bytes, whatever they are")
    add_effort(parser)
    add_resources(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Train and write the model."""
    import vortex_hep
    from vortex_hep.cli.common.files import check_new, out_path
    from vortex_hep.cli.common.progress import progress_for
    from vortex_hep.cli.common.sequences import sequence_gains
    from vortex_hep.core.text import format_bytes, plural

    output = out_path(args.sources[0], args.output, MODEL_SUFFIX)
    # Hours of training must not end at a file that may not be replaced.
    check_new(output, overwrite=args.overwrite, inputs=args.sources, model=args.base)
    options = vortex_hep.TrainOptions(
        trees=args.trees,
        tables=args.tables,
        family=args.family,
        recipe=args.recipe,
        log_dir=args.log_dir,
        passes=args.passes,
        seconds=args.seconds,
        seed=args.seed,
        device=args.device,
        threads=args.threads,
        checkpoint=args.checkpoint,
        effort=args.effort,
        record=args.record,
        expected_rows=args.expected_rows,
        independent=args.independent,
        base=None if args.base is None else vortex_hep.Model.load(args.base),
    )
    try:
        model = vortex_hep.train(
            args.sources, options=options, progress=progress_for(quiet=args.quiet)
        )
    except KeyboardInterrupt:
        _tell_what_is_kept(args)
        raise
    model.save(output, overwrite=args.overwrite)
    if not args.quiet:
        print(f"{output}: {format_bytes(model.nbytes)}, sha256 {model.sha256}")
        if found := len(model.predictions()):
            print(
                f"{plural(found, 'column', 'columns')} follow from others:"
                f" 'vortex-hep info {output}' lists them"
            )
        for line in sequence_gains(model):
            print(line)
    return 0


def _tell_what_is_kept(args: argparse.Namespace) -> None:
    """Say whether an interrupted training of a transformer can go on."""
    if args.family != "transformer":
        return
    if args.checkpoint is None:
        note(args, "nothing of the training is kept: --checkpoint PATH would keep it")
        return
    given = Path(args.checkpoint)
    kept = sorted(str(path) for path in given.parent.glob(f"{glob.escape(given.stem)}.*.vxw"))
    if kept:
        note(args, f"{', '.join(kept)}: the same command again goes on from here")
    else:
        note(args, "nothing of the training is kept: the first snapshot comes after a minute")
