"""``vortex-hep demo``: train, compress, verify and restore example files in one command."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from vortex_hep.cli.common.options import add_command, add_resources, positive_int

DESCRIPTION = """\
Show everything on files of the demo's own: write a training file and another one of the same kind,
train a small model on the first for a minute, compress the second with it, verify the archive,
restore the ROOT file, compare with other codecs and plot. Takes under three minutes on two cores
and leaves its files in vortex-demo/. A real model learns for longer, from more data, and does
better.
"""

EXAMPLES = """\
  vortex-hep demo
  vortex-hep demo --folder /tmp/demo --seconds 300
"""

TRAIN_SEED, TEST_SEED = 1, 2
#: Steps with an output: the demo may replace what an earlier demo left.
WRITING = ("example", "train", "compress", "decompress", "bench")


def register(commands: Any) -> None:
    """Add the sub-command."""
    parser = add_command(
        commands,
        "demo",
        summary="example, train, compress, verify, restore, compare: all in one",
        description=DESCRIPTION,
        examples=EXAMPLES,
    )
    parser.add_argument(
        "--folder",
        default="vortex-demo",
        metavar="DIR",
        help="where to work (default: vortex-demo)",
    )
    parser.add_argument(
        "--events",
        type=positive_int,
        default=2500,
        metavar="N",
        help="events of the file to compress",
    )
    parser.add_argument(
        "--train-events", type=positive_int, default=5000, metavar="N", help="events to learn from"
    )
    parser.add_argument(
        "--seconds", type=float, default=60.0, metavar="S", help="time to learn (default: 60)"
    )
    add_resources(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Run the steps, each shown as the command that does the same."""
    folder = Path(args.folder)
    folder.mkdir(parents=True, exist_ok=True)
    files = {
        name: str(folder / name)
        for name in ("train.root", "events.root", "model.vxm", "events.vxc", "restored.root")
    }
    limits = ["--seconds", f"{args.seconds:g}"]
    size = ["--events", str(args.events), "--seed", str(TEST_SEED)]
    train_size = ["--events", str(args.train_events), "--seed", str(TRAIN_SEED)]
    threads = ["--threads", str(args.threads)] if args.threads else []
    common = ["--device", args.device, *threads]
    model = ["--model", files["model.vxm"]]
    steps = [
        ["example", files["train.root"], *train_size],
        ["example", files["events.root"], *size],
        ["train", files["train.root"], "-o", files["model.vxm"], *limits, *common],
        ["compress", files["events.root"], "-o", files["events.vxc"], *model, *common],
        ["verify", files["events.vxc"], "--against", files["events.root"], *threads],
        ["decompress", files["events.vxc"], "-o", files["restored.root"], *threads],
        ["info", files["events.vxc"]],
        ["bench", files["events.root"], *model, "-o", str(folder), *common],
    ]
    for step in steps:
        _run_step(step, args.parse, quiet=args.quiet)
    if not args.quiet:
        print(f"\nall files are in {folder}/")
    return 0


def _run_step(
    step: list[str], parse: Callable[[Sequence[str]], argparse.Namespace], *, quiet: bool
) -> None:
    """Run one sub-command in this process; its errors rise to the caller."""
    print(f"\n$ vortex-hep {' '.join(step)}", flush=True)
    extra = ["--quiet"] if quiet else []
    if step[0] in WRITING:
        extra.append("--overwrite")
    if step[0] == "bench" and find_spec("matplotlib") is None:
        extra.append("--no-plot")
    arguments = parse([*step, *extra])
    arguments.run(arguments)
