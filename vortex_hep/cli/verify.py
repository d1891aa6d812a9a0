"""``vortex-hep verify``: decode an archive and compare it with its source."""

from __future__ import annotations

import argparse
from typing import Any

from vortex_hep.cli.common.options import add_command, add_model, add_resources

DESCRIPTION = """\
Check an archive. Every byte of the file is under a checksum, and so is the decoded data of every
chunk: verify decodes all of it and checks both. With --against, it also compares every branch with
the file given, bit for bit (NaN payloads and the sign of zero count). Exits with 3 if anything
differs or is damaged.
"""

EXAMPLES = """\
  vortex-hep verify in.vxc
  vortex-hep verify in.vxc --against in.root && rm in.root
"""

#: Differences to list before it is clear enough.
MOST_LINES = 20


def register(commands: Any) -> None:
    """Add the sub-command."""
    parser = add_command(
        commands,
        "verify",
        summary="check an archive, alone or against its source",
        description=DESCRIPTION,
        examples=EXAMPLES,
    )
    parser.add_argument("archive", metavar="ARCHIVE.vxc", help="archive or URL")
    parser.add_argument("--against", metavar="FILE", help="source file to compare with")
    add_model(parser, "the model the archive names, where it does not hold it")
    add_resources(parser, device=False)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Verify; damage counts as a difference, anything else that fails does not."""
    import vortex_hep
    from vortex_hep.cli.common.files import load_model
    from vortex_hep.cli.common.progress import progress_for
    from vortex_hep.core.text import format_bytes, plural
    from vortex_hep.errors import CorruptionError, VerificationError

    try:
        report = vortex_hep.verify(
            args.archive,
            against=args.against,
            model=load_model(args.model),
            threads=args.threads,
            progress=progress_for(quiet=args.quiet),
        )
    except CorruptionError as error:
        # The class decides the exit code; the text, with its place in the file, stays.
        raise VerificationError(str(error)) from error
    if not report.ok:
        for line in report.differences[:MOST_LINES]:
            print(line)
        more = len(report.differences) - MOST_LINES
        if more > 0:
            print(f"... and {more} more")
        raise VerificationError(
            f"differs from {args.against} in {len(report.differences)} places", path=args.archive
        )
    if not args.quiet:
        same = f", every bit as in {args.against}" if args.against else ""
        size = format_bytes(report.raw_bytes)
        print(f"{args.archive}: sound; {plural(report.entries, 'entry', 'entries')}, {size}{same}")
    return 0
