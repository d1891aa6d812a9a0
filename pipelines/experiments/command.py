"""The command line shared by all experiments."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from pipelines.experiments.description import load_experiment
from pipelines.experiments.experiment import STEPS, Run, RunOptions
from pipelines.experiments.fetch import AUTO, FETCH, OFFLINE
from pipelines.experiments.learn import FAMILIES
from vortex_hep.cli.common.options import HelpFormatter, positive_int
from vortex_hep.cli.common.progress import progress_for
from vortex_hep.cli.common.running import run_parsed

DESCRIPTION = """\
Fetch the open data, split it by events, train a model on one part, and measure the other part: what
is compressed is restored and compared bit for bit. Without a network, generated files stand in.
Every step leaves what it made in the output folder and is skipped while nothing has changed.
"""


def main(folder: Path, arguments: Sequence[str] | None = None) -> int:
    """Run the experiment of a folder.

    Parameters
    ----------
    folder : Path
        Has an ``experiment.toml``.
    arguments : sequence of str, optional
        Of the command line; those of the process by default.

    Returns
    -------
    int
        The exit code, as of ``vortex-hep``.
    """
    parsed = build_parser(folder).parse_args(arguments)
    return run_parsed(parsed)


def build_parser(folder: Path) -> argparse.ArgumentParser:
    """The parser of the experiment of a folder."""
    program = f"python -m pipelines.experiments.{folder.name}"
    parser = argparse.ArgumentParser(
        prog=program,
        description=DESCRIPTION,
        epilog=f"examples:\n  {program} --data DIR --offline --seconds 60\n"
        f"  {program} --fetch --steps fetch,prepare\n",
        formatter_class=HelpFormatter,
    )
    parser.add_argument(
        "--data", type=Path, metavar="DIR",
        help="folder with the open data under their own names, or with generated/",
    )  # fmt: skip
    parser.add_argument(
        "--output", type=Path, metavar="DIR", default=Path("vortex-experiments") / folder.name,
        help="where all results go (default: vortex-experiments/NAME)",
    )  # fmt: skip
    network = parser.add_mutually_exclusive_group()
    network.add_argument(
        "--fetch", dest="mode", action="store_const", const=FETCH, default=AUTO,
        help="fail where the network does, instead of taking generated files",
    )  # fmt: skip
    network.add_argument(
        "--offline", dest="mode", action="store_const", const=OFFLINE, help="use local files only"
    )
    parser.add_argument(
        "--steps", type=_steps, default=STEPS, metavar="STEP,...",
        help=f"some of {','.join(STEPS)} (default: all)",
    )  # fmt: skip
    parser.add_argument(
        "--family", choices=(*FAMILIES, "both"), default=FAMILIES[0],
        help="which kind of model (default: event)",
    )  # fmt: skip
    parser.add_argument(
        "--recipe", metavar="NAME", help="of the transformer: a built-in one, or a YAML file"
    )
    parser.add_argument("--effort", choices=("fast", "normal", "max"), help="of the event model")
    parser.add_argument("--seconds", type=float, metavar="S", help="time for each training")
    parser.add_argument(
        "--limit-bytes", type=positive_int, metavar="N",
        help="cut each part to so many bytes of its file, where that can be done",
    )  # fmt: skip
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("--threads", type=positive_int, metavar="N")
    parser.add_argument(
        "--resume", action=argparse.BooleanOptionalAction, default=True,
        help="skip steps whose inputs and options are as before, and go on with an interrupted"
        " training (default: yes)",
    )  # fmt: skip
    parser.add_argument(
        "--timeout", type=float, default=30.0, metavar="S",
        help="how long a server may stay silent (default: 30 s)",
    )  # fmt: skip
    parser.add_argument("--quiet", "-q", action="store_true", help="no progress, errors only")
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    parser.set_defaults(run=_run, program=program, folder=folder)
    return parser


def _steps(text: str) -> tuple[str, ...]:
    chosen = tuple(part.strip() for part in text.split(",") if part.strip())
    for step in chosen:
        if step not in STEPS:
            raise argparse.ArgumentTypeError(f"{step!r} is not one of {', '.join(STEPS)}")
    if not chosen:
        raise argparse.ArgumentTypeError(f"some of {', '.join(STEPS)}")
    return chosen


def _run(args: argparse.Namespace) -> int:
    options = RunOptions(
        output=args.output,
        data=args.data,
        mode=args.mode,
        steps=args.steps,
        families=FAMILIES if args.family == "both" else (args.family,),
        effort=args.effort,
        recipe=args.recipe,
        seconds=args.seconds,
        limit_bytes=args.limit_bytes,
        device=args.device,
        threads=args.threads,
        resume=args.resume,
        timeout=args.timeout,
    )

    def say(line: str) -> None:
        if not args.quiet:
            print(line, file=sys.stderr, flush=True)

    experiment = load_experiment(args.folder)
    say(f"{experiment.name}: {experiment.title}")
    written = Run(experiment, options, say, progress_for(quiet=args.quiet))()
    for path in written:
        if path.suffix == ".md" and not args.quiet:
            print(path.read_text(), end="")
    say(f"all files are in {args.output}/")
    return 0
