"""``vortex-hep example``: write an example file."""

from __future__ import annotations

import argparse
from typing import Any

from vortex_hep.cli.common.options import add_command, add_overwrite, positive_int

DESCRIPTION = """\
Write a small NanoAOD-like ROOT file of simulated top-quark pairs, made from random numbers alone:
about 160 branches in event scalars, GenPart, GenJet, Jet, Muon and Electron, whose columns depend
on one another as in real files. For trying things out; it is no physics result.
"""

EXAMPLES = """\
  vortex-hep example out.root
  vortex-hep example out.root --events 10000 --seed 2
"""


def register(commands: Any) -> None:
    """Add the sub-command."""
    parser = add_command(
        commands,
        "example",
        summary="write a small NanoAOD-like file to try things on",
        description=DESCRIPTION,
        examples=EXAMPLES,
    )
    parser.add_argument("path", nargs="?", default="example.root", metavar="OUT.root")
    parser.add_argument(
        "--events", type=positive_int, default=2500, metavar="N", help="events (default: 2500)"
    )
    parser.add_argument(
        "--seed", type=int, default=1, metavar="N", help="seed of the events (default: 1)"
    )
    add_overwrite(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Write the example file."""
    from vortex_hep.cli.common.files import check_new
    from vortex_hep.core.text import plural
    from vortex_hep.testing.examples import write_example

    check_new(args.path, overwrite=args.overwrite)
    write_example(args.path, events=args.events, seed=args.seed, overwrite=args.overwrite)
    if not args.quiet:
        print(f"{args.path}: {plural(args.events, 'event')}, seed {args.seed}")
    return 0
