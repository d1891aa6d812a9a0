"""``vortex-hep evaluate``: bits per byte of whole files."""

from __future__ import annotations

import argparse
import json
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from vortex_hep.cli.common.options import (
    add_command,
    add_effort,
    add_overwrite,
    add_resources,
    positive_int,
)
from vortex_hep.core.install import install_hint

DESCRIPTION = """\
Measure bits per byte of whole local files of any kind, taken as plain bytes as they lie on disk,
under gzip, zlib, bz2, lzma, zstd and brotli at their levels, and in archives of vortex_hep. All
results are decoded and compared. Prints a table per file and writes evaluate.json and evaluate.png.

Archives give back all that a file holds, bit for bit; where the file itself comes back with the
same bytes the table says "bytes", and --exact makes it so always. Files that are compressed inside,
as most ROOT files are, leave general-purpose codecs little to do: 'vortex-hep bench' compares
codecs on the uncompressed columns and baskets of one file instead.
"""

EXAMPLES = """\
  vortex-hep evaluate notes.txt numbers.bin
  vortex-hep evaluate c.root d.root --model ttbar.vxm --exact -o results/
  vortex-hep evaluate in.h5 --fit --levels quick --json in.json --no-plot
  vortex-hep evaluate big.bin --codecs zstd,brotli --max-bytes 10000000
"""


def register(commands: Any) -> None:
    """Add the sub-command."""
    parser = add_command(
        commands,
        "evaluate",
        summary="bits per byte of whole files, under many codecs",
        description=DESCRIPTION,
        examples=EXAMPLES,
    )
    parser.add_argument("sources", nargs="+", metavar="FILE", help="local files of any kind")
    parser.add_argument(
        "-o",
        "--output",
        default=".",
        metavar="DIR",
        help="folder for evaluate.json and evaluate.png (default: here)",
    )
    parser.add_argument("--json", metavar="PATH", help="write the JSON here instead")
    parser.add_argument("--no-plot", action="store_true", help="write no evaluate.png")
    add_overwrite(parser)
    parser.add_argument(
        "--model",
        action="append",
        default=[],
        metavar="MODEL.vxm",
        dest="models",
        help="add archives made with this model; may be repeated",
    )
    parser.add_argument(
        "--fit", action="store_true", help="add archives with a model fitted to each file itself"
    )
    parser.add_argument(
        "--exact", action="store_true", help="let archives promise the very bytes of each file"
    )
    parser.add_argument(
        "--codecs",
        type=_names,
        metavar="LIST",
        help="which of gzip,zlib,bz2,lzma,zstd,brotli (default: all; '' for none)",
    )
    parser.add_argument(
        "--levels",
        choices=("quick", "all"),
        default="all",
        help="all levels worth showing, or fast ones only (default: all)",
    )
    parser.add_argument(
        "--repeat",
        type=positive_int,
        default=1,
        metavar="N",
        help="runs, the best counts (default: 1)",
    )
    parser.add_argument(
        "--max-bytes", type=positive_int, metavar="N", help="take only the first N bytes of a file"
    )
    add_effort(parser)
    add_resources(parser)
    parser.set_defaults(run=run, usage_error=parser.error)


def _names(text: str) -> list[str]:
    """Names between commas."""
    return [name.strip() for name in text.split(",") if name.strip()]


def run(args: argparse.Namespace) -> int:
    """Measure, print, write."""
    from vortex_hep.cli.common.files import check_new
    from vortex_hep.cli.common.progress import progress_for
    from vortex_hep.errors import UnsupportedFeatureError
    from vortex_hep.testing.bench import EvaluateOptions, evaluate

    if args.codecs == [] and not args.models and not args.fit:
        args.usage_error("nothing to measure: give --codecs, --model or --fit")
    folder = Path(args.output)
    json_path = Path(args.json) if args.json else folder / "evaluate.json"
    plot_path = None if args.no_plot else folder / "evaluate.png"
    if plot_path is not None and find_spec("matplotlib") is None:
        # Before the work, not after.
        msg = "plots need matplotlib"
        raise UnsupportedFeatureError(msg, hint=f"{install_hint('plot')}, or --no-plot")
    folder.mkdir(parents=True, exist_ok=True)
    for output in (json_path, plot_path):
        if output is not None:
            check_new(str(output), overwrite=args.overwrite, inputs=[*args.sources, *args.models])
    evaluation = evaluate(
        args.sources,
        models=_models(args.models),
        options=EvaluateOptions(
            codecs=args.codecs,
            levels=args.levels,
            fit=args.fit,
            exact=args.exact,
            repeat=args.repeat,
            max_bytes=args.max_bytes,
            effort=args.effort,
            device=args.device,
            threads=args.threads,
        ),
        progress=progress_for(quiet=args.quiet),
    )
    show(evaluation)
    json_path.write_text(json.dumps(evaluation.as_json(), indent=2) + "\n")
    if plot_path is not None:
        from vortex_hep.testing.bench.evalplot import save_evaluation_plot

        save_evaluation_plot(evaluation, plot_path)
    return 0


def _models(paths: list[str]) -> dict[str, Any]:
    """Models by the names of their files, or by their paths where two have the same name."""
    from vortex_hep.cli.common.files import load_model

    names = [Path(path).name for path in paths]
    return {
        path if names.count(name) > 1 else name: load_model(path)
        for name, path in zip(names, paths, strict=True)
    }


def show(evaluation: Any) -> None:
    """Print a table per file, and one of all of them if there are several."""
    from vortex_hep.core.text import format_bytes, format_table
    from vortex_hep.testing.bench.evaltable import HEADER, evaluation_note, evaluation_rows

    last = len(HEADER) - 1
    for file in evaluation.files:
        print(f"{file.path}: {format_bytes(file.raw_bytes)}")
        print(format_table(HEADER, evaluation_rows(file.measurements), left=(0, last)))
        for note in file.notes:
            print(f"note: {note}")
        print()
    if len(evaluation.files) > 1:
        total = sum(file.raw_bytes for file in evaluation.files)
        print(f"all {len(evaluation.files)} files: {format_bytes(total)}")
        print(format_table(HEADER, evaluation_rows(evaluation.total()), left=(0, last)))
        print()
    print(evaluation_note(evaluation))
