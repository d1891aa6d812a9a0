"""``vortex-hep compress``: write archives."""

from __future__ import annotations

import argparse
from typing import Any

from vortex_hep.cli.common.options import (
    ARCHIVE_SUFFIX,
    add_command,
    add_effort,
    add_lanes,
    add_model,
    add_output,
    add_record,
    add_resources,
    add_tree,
)
from vortex_hep.cli.common.running import note

DESCRIPTION = """\
Compress files to archives that restore bit for bit.

With --model, the network of that model does the predicting. Without, one is fitted to each file
and stored in its archive if the bytes it saves outweigh its own. Every column is stored by
whichever coding is smallest, network or classical, so an archive is never beaten by LZMA. All
trees are compressed, and everything else in the file is kept as it is.

A restored ROOT file holds the same, bit for bit, in a file of its own; with --exact it is the same
file, byte for byte.
"""

EXAMPLES = """\
  vortex-hep compress in.root                                writes in.vxc
  vortex-hep compress in.root -o out.vxc --model ttbar.vxm
  vortex-hep compress *.root -o archives/ --model ttbar.vxm  one archive per file
  vortex-hep compress in.root --model ttbar.vxm --no-embed   leave the model out: 'decompress'
                                                             will then need --model too
  vortex-hep compress in.root --exact                        'decompress' gives in.root's bytes
  vortex-hep compress *.root --exact --dry-run               what that would cost
  vortex-hep compress dump.bin --record 4                    plain float32: records of 4 bytes
"""


def register(commands: Any) -> None:
    """Add the sub-command."""
    parser = add_command(
        commands,
        "compress",
        summary="write archives of files",
        description=DESCRIPTION,
        examples=EXAMPLES,
    )
    parser.add_argument(
        "sources",
        nargs="+",
        metavar="FILE",
        help="files or URLs (ROOT, HDF5, HepMC; any other is carried whole)",
    )
    add_output(parser, f"archive, or folder for archives (default: FILE{ARCHIVE_SUFFIX})")
    parser.add_argument(
        "--exact",
        action="store_true",
        help="let 'decompress' give the very bytes of FILE, with its adler32; what that costs is"
        " said first",
    )
    parser.add_argument(
        "--dry-run",
        action="store_true",
        help="with --exact: only say what can be promised, and what it costs",
    )
    add_tree(parser, "tree to compress; may be repeated (default: all)")
    add_choices(parser)
    parser.set_defaults(run=run, usage_error=parser.error)


def add_choices(parser: argparse.ArgumentParser) -> None:
    """How a file is compressed: what every command that compresses can be told."""
    add_model(parser, "model to predict with (default: fit one to the file)")
    parser.add_argument(
        "--no-embed",
        action="store_true",
        help="name the model in the archive by its SHA-256 instead of storing it there",
    )
    parser.add_argument(
        "--no-check",
        action="store_true",
        help="do not decode every chunk after it is made (saves about half the time)",
    )
    add_record(
        parser,
        "take the file as records of N bytes, whatever it is (default: as its format or the model"
        " says)",
    )
    add_lanes(parser)
    add_effort(parser)
    add_resources(parser)


def run(args: argparse.Namespace) -> int:
    """Compress each source."""
    from vortex_hep.cli.common.files import check_new, load_model, out_path

    outputs = [out_path(source, args.output, ARCHIVE_SUFFIX) for source in args.sources]
    if len(set(outputs)) < len(outputs):
        args.usage_error("several inputs would be written to one output: give a folder to -o")
    if args.no_embed and args.model is None:
        args.usage_error("--no-embed needs --model")
    if args.dry_run:
        if not args.exact:
            args.usage_error("--dry-run needs --exact")
        model = load_model(args.model)
        for source in args.sources:
            print(f"{source}: {_forecast(args, source, model)}", flush=True)
        return 0
    for output in outputs:
        check_new(output, overwrite=args.overwrite, inputs=args.sources, model=args.model)
    model = load_model(args.model)
    for source, output in zip(args.sources, outputs, strict=True):
        _compress(args, source, output, model)
    return 0


def _forecast(args: argparse.Namespace, source: str, model: Any) -> str:
    import vortex_hep

    return vortex_hep.exact_forecast(source, trees=args.trees, record=args.record, model=model)


def _compress(args: argparse.Namespace, source: str, output: str, model: Any) -> None:
    import vortex_hep
    from vortex_hep.cli.common.progress import progress_for
    from vortex_hep.core.text import format_bytes, format_ratio

    told = ""
    if args.exact:
        # Before the work, so that there is time to think better of it.
        told = _forecast(args, source, model)
        note(args, f"{source}: {told}")
    report = vortex_hep.compress_file(
        source,
        output,
        model=model,
        trees=args.trees,
        effort=args.effort,
        threads=args.threads,
        device=args.device,
        overwrite=args.overwrite,
        embed_model=not args.no_embed,
        check=not args.no_check,
        exact=args.exact,
        record=args.record,
        lanes=vortex_hep.LaneChoice(args.lane_tokens, args.chunk_size, args.memory),
        progress=progress_for(quiet=args.quiet),
    )
    for message in report.messages:
        if message != told:
            note(args, message)
    if not args.quiet:
        print(
            f"{output}: {format_bytes(report.stored_bytes)}"
            f" ({format_bytes(report.model_bytes)} of it model),"
            f" columns {format_bytes(report.raw_bytes)},"
            f" ratio {format_ratio(report.raw_bytes, report.stored_bytes)};"
            f" source {format_bytes(report.source_bytes)},"
            f" ratio {format_ratio(report.source_bytes, report.stored_bytes)}"
        )
