"""``vortex-decompress``: an archive back to its file."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from vortex_hep.cli import decompress
from vortex_hep.cli.common.options import add_input, one_input, program_parser
from vortex_hep.cli.common.running import run_parsed

PROGRAM = "vortex-decompress"

DESCRIPTION = """\
Restore the file that an archive was made from. Archives that 'vortex-compress' wrote give the same
file, byte for byte, and its size and adler32 are checked before it gets its name.

This is 'vortex-hep decompress'; that command has more choices.
"""

EXAMPLES = """\
  vortex-decompress events.vxc                                        writes events.root, ...
  vortex-decompress events.vxc -o restored.root
  vortex-decompress --model m.vxm --input d.vxc --output dump.bin     (archive without its model)
"""


def build_parser() -> argparse.ArgumentParser:
    """The parser of the command line."""
    parser = program_parser(PROGRAM, description=DESCRIPTION, examples=EXAMPLES)
    add_input(parser, "ARCHIVE.vxc", "archive or URL")
    decompress.add_choices(parser)
    parser.set_defaults(run=run, compression=None, no_exact=False, recursive=False)
    return parser


def run(args: argparse.Namespace) -> int:
    """Restore the file."""
    args.archives = [one_input(args)]
    return decompress.run(args)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; see :func:`vortex_hep.cli.main.main`."""
    return run_parsed(build_parser().parse_args(argv))
