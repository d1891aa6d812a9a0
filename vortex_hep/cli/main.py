"""The command's parser and its sub-commands."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from vortex_hep.cli import (
    bench,
    completion,
    compress,
    compress_weights,
    decompress,
    demo,
    evaluate,
    example,
    info,
    man,
    train,
    verify,
)
from vortex_hep.cli.common.options import HelpFormatter, Parser, VersionAction
from vortex_hep.cli.common.running import run_parsed
from vortex_hep.cli.datasets import dataset, jobs

PROGRAM = "vortex-hep"

DESCRIPTION = """\
Lossless compression of HEP data files with small neural networks.

An archive (.vxc) holds a ROOT, HDF5 or HepMC file, bit for bit, in far fewer bytes; single columns
of single event ranges can be read from it. A model (.vxm) holds what was learnt from files of the
same kind: train it once, then compress thousands of files with it. Without a model, compress
learns from the file itself and puts the model into the archive.
"""

EPILOG = """\
examples:
  vortex-hep demo                                   everything below on a small file of its own
  vortex-hep compress in.root                       writes in.vxc, nothing else needed
  vortex-hep train a.root b.root -o ttbar.vxm       learn from two files of a dataset ...
  vortex-hep compress c.root --model ttbar.vxm      ... and compress the rest with it
  vortex-hep verify c.vxc --against c.root          compare bit for bit
  vortex-hep decompress c.vxc -o c.restored.root    and back
  vortex-hep info c.vxc --columns                   what is in it and what it costs
  vortex-hep compress-weights run.pt                weights of any network, without loss
  vortex-hep dataset compress files.txt -o out/     all files of a data set, on many workers
  vortex-hep jobs show out/vortex-job.sqlite        how far that job is

exit codes:
  0  done
  1  failed, or some files of a batch job did; lines on stderr say what, where, and what to do
  2  the command line is wrong
  3  verify found a difference or damage
  4  verify --against found all branches equal, and differences outside of them
  130  interrupted; no partial output is left behind

'vortex-hep COMMAND --help' explains each command.
"""

COMMANDS = (
    train,
    compress,
    decompress,
    info,
    verify,
    bench,
    evaluate,
    compress_weights,
    dataset,
    jobs,
    example,
    demo,
    completion,
    man,
)


def build_parser() -> argparse.ArgumentParser:
    """The parser with all sub-commands."""
    parser = Parser(
        prog=PROGRAM, description=DESCRIPTION, epilog=EPILOG, formatter_class=HelpFormatter
    )
    parser.add_argument("--version", action=VersionAction, help="print the version and exit")
    # The demo runs other commands, and gets from here what parses them; completion and manual pages
    # are made of it.
    parser.set_defaults(program=PROGRAM, parse=parser.parse_args, whole=parser)
    commands = parser.add_subparsers(dest="command", metavar="COMMAND [options]", required=True)
    for module in COMMANDS:
        module.register(commands)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Parameters
    ----------
    argv : sequence of str, optional
        Arguments without the program's name; ``sys.argv[1:]`` by default.

    Returns
    -------
    int
        The exit code.
    """
    return run_parsed(build_parser().parse_args(argv))
