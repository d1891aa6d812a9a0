"""``vortex-hep man``: manual pages of all commands."""

from __future__ import annotations

import argparse
from typing import Any

from vortex_hep.cli.common.options import add_command

DESCRIPTION = """\
Write manual pages of all commands to a folder, made of what --help says.
"""

EXAMPLES = """\
  vortex-hep man -o ~/.local/share/man/man1
"""


def register(commands: Any) -> None:
    """Add the sub-command."""
    parser = add_command(
        commands,
        "man",
        summary="write manual pages",
        description=DESCRIPTION,
        examples=EXAMPLES,
    )
    parser.add_argument(
        "-o", "--output", default="man", metavar="DIR", help="folder, which is made (default: man)"
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Write the pages."""
    from pathlib import Path

    from vortex_hep.cli.common.manpages import pages
    from vortex_hep.cli.vortex_compress import build_parser as compress_parser
    from vortex_hep.cli.vortex_decompress import build_parser as decompress_parser
    from vortex_hep.core import storage
    from vortex_hep.core.storage.atomic import atomic_output
    from vortex_hep.core.text import plural

    parsers = [args.whole, compress_parser(), decompress_parser()]
    storage.make_folder(args.output)
    written = 0
    for parser in parsers:
        for name, text in pages(parser).items():
            with atomic_output(Path(args.output) / name, overwrite=True) as file:
                file.write(text.encode())
            written += 1
    if not args.quiet:
        print(f"{args.output}: {plural(written, 'manual page')}")
    return 0
