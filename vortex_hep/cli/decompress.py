"""``vortex-hep decompress``: restore the file of an archive."""

from __future__ import annotations

import argparse
from pathlib import PurePath
from typing import Any

from vortex_hep.cli.common.options import add_command, add_model, add_output, add_resources
from vortex_hep.cli.common.running import note

DESCRIPTION = """\
Restore the file an archive was made from: the same trees, branches and entries, every value the
same bits; from an archive made with --exact, the same file byte for byte. Most analyses need no
restored file: vortex_hep.open() reads columns straight from the archive.
"""

EXAMPLES = """\
  vortex-hep decompress in.vxc                                        in.root, in.h5, ...
  vortex-hep decompress in.vxc -o restored.root
  vortex-hep decompress in.vxc -o restored.root --compression lzma:9
  vortex-hep decompress in.vxc -o restored.root --model ttbar.vxm   (archive without its model)
"""


def register(commands: Any) -> None:
    """Add the sub-command."""
    parser = add_command(
        commands,
        "decompress",
        summary="restore the file of an archive",
        description=DESCRIPTION,
        examples=EXAMPLES,
    )
    parser.add_argument("archive", metavar="ARCHIVE.vxc", help="archive or URL")
    add_choices(parser)
    parser.add_argument(
        "--compression",
        metavar="CODEC:LEVEL",
        help="compression of the restored file: zstd, lzma, zlib or lz4, or none (default: zstd:5)",
    )
    parser.add_argument(
        "--no-exact",
        action="store_true",
        help="write a file of the same content even where the archive has the original's bytes",
    )
    parser.set_defaults(run=run)


def add_choices(parser: argparse.ArgumentParser) -> None:
    """How a file is restored: what every command that restores can be told."""
    add_output(parser, "file to write (default: ARCHIVE with the suffix of the source)")
    add_model(parser, "the model the archive names, where it does not hold it")
    add_resources(parser, device=False)


def run(args: argparse.Namespace) -> int:
    """Restore the file."""
    import vortex_hep
    from vortex_hep.cli.common.files import check_new, load_model, out_path
    from vortex_hep.cli.common.progress import progress_for

    with vortex_hep.open(args.archive) as archive:
        identity = None if args.no_exact else archive.identity
        output = out_path(args.archive, args.output, _suffix(str(archive.source.get("name", ""))))
    check_new(output, overwrite=args.overwrite, inputs=[args.archive], model=args.model)
    if identity is not None and args.compression is not None:
        note(
            args,
            "--compression is ignored: the archive has the original's bytes (--no-exact restores"
            " without them)",
        )
    vortex_hep.restore(
        args.archive,
        output,
        model=load_model(args.model),
        compression=args.compression,
        exact=not args.no_exact,
        threads=args.threads,
        overwrite=args.overwrite,
        progress=progress_for(quiet=args.quiet),
    )
    if not args.quiet:
        print(f"{output}: restored" + (f" byte for byte, {identity}" if identity else ""))
    return 0


def _suffix(name: str) -> str:
    """What a file like another ends in: of ``a.hepmc.gz`` both suffixes."""
    suffixes = PurePath(name).suffixes[-2:]
    return "".join(suffixes if suffixes[-1:] in ([".gz"], [".zst"]) else suffixes[-1:]) or ".out"
