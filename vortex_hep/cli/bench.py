"""``vortex-hep bench``: compare codecs on one file."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from vortex_hep.cli.common.options import (
    add_command,
    add_effort,
    add_model,
    add_overwrite,
    add_resources,
    positive_int,
)

DESCRIPTION = """\
Compare vortex_hep with other codecs on one local file: what its own format has (ROOT zlib 1,
zstd 5 and LZMA 9, each basket on its own as ROOT does it; HDF5 with shuffle and gzip 9; gzip and xz
of a HepMC text), and xz, zstd, pcodec and OpenZL on whole columns. All of them code the same
content, all results are decoded and compared. Prints a table and writes bench.json and bench.png.
Quote figures of files the model has not learnt from only.

What is compared is physics content, column by column and basket by basket. For bits per byte of
whole files of any kind, as they lie on disk, see 'vortex-hep evaluate'.
"""

EXAMPLES = """\
  vortex-hep bench in.root
  vortex-hep bench in.root --model ttbar.vxm -o results/
  vortex-hep bench in.hepmc3.gz --model ttbar.vxm
"""


def register(commands: Any) -> None:
    """Add the sub-command."""
    parser = add_command(
        commands,
        "bench",
        summary="compare codecs on the columns and baskets of one file",
        description=DESCRIPTION,
        examples=EXAMPLES,
    )
    parser.add_argument("path", metavar="FILE", help="local file (ROOT, HDF5, HepMC)")
    parser.add_argument(
        "-o", "--output", default=".", metavar="DIR", help="folder for bench.json and bench.png"
    )
    add_overwrite(parser)
    add_model(parser, "model of the dataset; without, one is fitted to the file")
    parser.add_argument(
        "--repeat",
        type=positive_int,
        default=2,
        metavar="N",
        help="runs, the best counts (default: 2)",
    )
    parser.add_argument("--no-plot", action="store_true", help="write no bench.png")
    add_effort(parser)
    add_resources(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Measure, print, write."""
    from vortex_hep.cli.common.files import check_new, load_model
    from vortex_hep.cli.common.progress import progress_for
    from vortex_hep.testing.bench import compare

    folder = Path(args.output)
    folder.mkdir(parents=True, exist_ok=True)
    outputs = [folder / "bench.json"] + ([] if args.no_plot else [folder / "bench.png"])
    for output in outputs:
        check_new(str(output), overwrite=args.overwrite, inputs=[args.path])
    model = load_model(args.model)
    comparison = compare(
        args.path,
        models=[] if model is None else [model],
        fit=model is None,
        effort=args.effort,
        device=args.device,
        threads=args.threads,
        repeat=args.repeat,
        progress=progress_for(quiet=args.quiet),
    )
    show(comparison)
    save(comparison, folder, plot=not args.no_plot)
    return 0


def show(comparison: Any) -> None:
    """Print the table of a comparison."""
    from vortex_hep.core.text import format_table
    from vortex_hep.testing.bench.table import header, table_rows, threads_note

    print(format_table(header(comparison), table_rows(comparison)))
    print(threads_note(comparison))


def save(comparison: Any, folder: Path, *, plot: bool) -> None:
    """Write ``bench.json`` and, if wanted, ``bench.png``."""
    from vortex_hep.testing.bench.plot import save_plot

    (folder / "bench.json").write_text(json.dumps(comparison.as_json(), indent=2) + "\n")
    if plot:
        save_plot(comparison, folder / "bench.png")
