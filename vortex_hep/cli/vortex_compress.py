"""``vortex-compress``: any file to an archive that restores its bytes."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from vortex_hep.cli import compress
from vortex_hep.cli.common.options import (
    ARCHIVE_SUFFIX,
    add_input,
    add_output,
    one_input,
    program_parser,
)
from vortex_hep.cli.common.running import run_parsed

PROGRAM = "vortex-compress"

DESCRIPTION = """\
Compress any file to an archive from which 'vortex-decompress' makes the same file, byte for byte.

ROOT, HDF5 and HepMC files are taken apart into columns; any other file is taken as it is, or with
--record as records of so many bytes each, as plain arrays on disk are. Whether a model predicts
columns or records is a matter of the model: with --model nothing else need be said. Without, one is
fitted to the file, where that pays.

This is 'vortex-hep compress --exact' for one file; that command has more choices.
"""

EXAMPLES = """\
  vortex-compress events.root                                     writes events.vxc
  vortex-compress --model m.vxm --input dump.bin --output d.vxc
  vortex-compress dump.bin --record 4                             plain float32: records of 4 bytes
  vortex-compress dump.bin --model m.vxm --no-embed               leave the model out:
                                                                  'vortex-decompress' needs it too
"""


def build_parser() -> argparse.ArgumentParser:
    """The parser of the command line."""
    parser = program_parser(PROGRAM, description=DESCRIPTION, examples=EXAMPLES)
    add_input(parser, "FILE", "file or URL to compress")
    add_output(parser, f"archive, or folder for it (default: FILE{ARCHIVE_SUFFIX})")
    compress.add_choices(parser)
    parser.set_defaults(run=run, exact=True, dry_run=False, trees=None, recursive=False)
    return parser


def run(args: argparse.Namespace) -> int:
    """Compress the file."""
    args.sources = [one_input(args)]
    return compress.run(args)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; see :func:`vortex_hep.cli.main.main`."""
    return run_parsed(build_parser().parse_args(argv))
