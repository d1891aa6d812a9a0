"""``vortex-hep decompress``: restore the files of archives."""

from __future__ import annotations

import argparse
from pathlib import PurePath
from typing import Any

from vortex_hep.cli.common.many import (
    Item,
    add_recursive,
    check_outputs,
    found_items,
    output_of,
    placed,
    run_each,
    with_suffix,
)
from vortex_hep.cli.common.options import (
    ARCHIVE_SUFFIX,
    STDIO,
    add_command,
    add_keep,
    add_model,
    add_output,
    add_resources,
)
from vortex_hep.cli.common.running import note, say

DESCRIPTION = """\
Restore the files that archives were made from: the same trees, branches and entries, every value
the same bits; from an archive made with --exact, the same file byte for byte. Most analyses need no
restored file: vortex_hep.open() reads columns straight from the archive.
"""

EXAMPLES = """\
  vortex-hep decompress in.vxc                                        in.root, in.h5, ...
  vortex-hep decompress in.vxc -o restored.root
  vortex-hep decompress in.vxc -o restored.root --compression lzma:9
  vortex-hep decompress in.vxc -o restored.root --model ttbar.vxm   (archive without its model)
  vortex-hep decompress -r archives/ -o restored/ --skip-existing
  vortex-hep decompress - < in.vxc | head                           (of a HepMC file)
"""

#: What files of a kind end in, where their names do not tell.
_SUFFIXES = {"root": ".root", "hdf5": ".h5", "hepmc": ".hepmc"}


def register(commands: Any) -> None:
    """Add the sub-command."""
    parser = add_command(
        commands,
        "decompress",
        summary="restore the files of archives",
        description=DESCRIPTION,
        examples=EXAMPLES,
    )
    parser.add_argument(
        "archives",
        nargs="+",
        metavar="ARCHIVE.vxc",
        help="archives or URLs; - is standard input",
    )
    add_choices(parser)
    add_recursive(parser, "the archives")
    parser.add_argument(
        "--compression",
        metavar="CODEC:LEVEL",
        help="compression of a restored ROOT file: zstd, lzma, zlib or lz4 with a level, none, or"
        " original (default: as the file had it that was compressed, where the archive tells)",
    )
    parser.add_argument(
        "--no-exact",
        action="store_true",
        help="write a file of the same content even where the archive has the original's bytes",
    )
    parser.set_defaults(run=run, usage_error=parser.error)


def add_choices(parser: argparse.ArgumentParser) -> None:
    """How a file is restored: what every command that restores can be told."""
    add_output(
        parser,
        "file to write, - for standard output, or a folder/, which is made (default: ARCHIVE with"
        " the suffix of the source)",
    )
    add_keep(parser)
    add_model(parser, "the model the archive names, where it does not hold it")
    add_resources(parser, device=False)


def run(args: argparse.Namespace) -> int:
    """Restore the files."""
    if STDIO in args.archives and args.output is None:
        args.output = STDIO
    args.output = output_of(args)
    if args.rm and STDIO in (args.output, *args.archives):
        args.usage_error("--rm needs files, not standard input or output")
    if args.skip_existing and args.overwrite:
        args.usage_error("--skip-existing and --overwrite contradict one another")
    found = found_items(args.archives, recursive=args.recursive, suffixes=[ARCHIVE_SUFFIX])
    items = placed(found, args.output, "")
    check_outputs(args, items)
    from vortex_hep.cli.common.files import load_model

    model = load_model(args.model)
    return run_each(args, items, lambda item: _restore(args, item, model))


def _restore(args: argparse.Namespace, item: Item, model: Any) -> None:
    import vortex_hep
    from vortex_hep.cli.common.files import check_new, make_parent, readable, writable
    from vortex_hep.cli.common.progress import progress_for
    from vortex_hep.cli.compress import remove_verified
    from vortex_hep.core import storage

    with readable(item.source, archive=True) as source:
        with vortex_hep.open(source, model=model) as archive:
            identity = None if args.no_exact else archive.identity
            suffix = _suffix(str(archive.source.get("name", "")), str(archive.source.get("kind")))
        output = item.output
        if output not in (args.output, STDIO):
            output = with_suffix(output, suffix, args.output)
            make_parent(output, args.output)
        if output != STDIO:
            if args.skip_existing and storage.exists(output):
                say(args, f"{output}: exists already, left as it is")
                return
            check_new(output, overwrite=args.overwrite, inputs=args.archives, model=args.model)
        if identity is not None and args.compression is not None:
            note(
                args,
                "--compression is ignored: the archive has the original's bytes (--no-exact"
                " restores without them)",
            )
        with writable(output) as target:
            vortex_hep.restore(
                source,
                target,
                model=model,
                compression=args.compression,
                exact=not args.no_exact,
                threads=args.threads,
                overwrite=args.overwrite,
                progress=progress_for(quiet=args.quiet),
            )
    text = f"{output}: restored" + (f" byte for byte, {identity}" if identity else "")
    say(args, text, output=output)
    if args.rm:
        remove_verified(args, item.source, item.source, against=output)


def _suffix(name: str, kind: str) -> str:
    """What a file like another ends in: of ``a.hepmc.gz`` both suffixes."""
    suffixes = PurePath(name).suffixes[-2:]
    found = "".join(suffixes if suffixes[-1:] in ([".gz"], [".zst"]) else suffixes[-1:])
    return found or _SUFFIXES.get(kind, ".out")
