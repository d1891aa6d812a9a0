"""``vortex-hep compress-weights``: weights files of networks, without loss."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from vortex_hep.cli.common.options import add_command, add_effort, add_output
from vortex_hep.core.text import format_bytes, format_table, plural

DESCRIPTION = """\
Compress the weights of any network without loss: a weights file of torch (.pt, .pth) or
safetensors becomes a .vxw file, and --restore writes it back with the same names, types, shapes and
bits. Exponents of trained weights take few values and are entropy-coded; mantissas are nearly
random and are stored. Expect to save about a sixth of float32 and a third of bfloat16.

Weights files of torch are read as weights alone: nothing in them is executed, and one that holds
objects other than tensors, numbers, strings, lists and dicts is refused. --report shows what each
part of the numbers costs; of a model (.vxm), whose weights are integers and compressed already,
only the report can be had.
"""

EXAMPLES = """\
  vortex-hep compress-weights run.pt                            writes run.vxw
  vortex-hep compress-weights model.safetensors -o small.vxw --report
  vortex-hep compress-weights run.pt -o run.vxw --effort fast   while training
  vortex-hep compress-weights run.vxw --restore -o back.pt      or -o back.safetensors
  vortex-hep compress-weights run.vxw --report                  signs, exponents, mantissas
"""


def register(commands: Any) -> None:
    """Add the sub-command."""
    parser = add_command(
        commands,
        "compress-weights",
        summary="compress weights files of any network without loss",
        description=DESCRIPTION,
        examples=EXAMPLES,
    )
    parser.add_argument(
        "weights", metavar="FILE", help="weights file, or .vxw to restore or report"
    )
    add_output(parser, "file to write (default: FILE with the suffix .vxw, or of the original)")
    parser.add_argument("--restore", action="store_true", help="write the weights file of a .vxw")
    parser.add_argument(
        "--report", action="store_true", help="print what signs, exponents and mantissas cost"
    )
    add_effort(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Compress, restore or report."""
    from vortex_hep.codec.weights.zipnn import load_compressed, weight_size_report

    kind = _kind(args.weights)
    packed: Any
    if args.restore:
        packed = _restore(args)
    elif kind is None:
        packed = _compress(args)
    else:
        packed = _integers(args) if kind == "model" else load_compressed(args.weights)
        _only_report(args, kind)
    if args.report:
        report = weight_size_report(packed, effort=args.effort)
        print(report_text(report))
    return 0


def _kind(path: str) -> str | None:
    """Whether a file is one of ours that is only to be read: "model" or "weights"; else None."""
    from vortex_hep.codec.container.container import KIND_MODEL, KIND_WEIGHTS, ContainerReader
    from vortex_hep.errors import NotVortexError

    try:
        with ContainerReader(path) as reader:
            return {KIND_MODEL: "model", KIND_WEIGHTS: "weights"}.get(reader.kind)
    except NotVortexError:
        return None


def _only_report(args: argparse.Namespace, kind: str) -> None:
    """Refuse to write where a report is all there is to be had."""
    from vortex_hep.errors import UnsupportedFeatureError

    if args.report and args.output is None:
        return
    does = "--restore writes the original file, " if kind == "weights" else ""
    raise UnsupportedFeatureError(
        "its weights are compressed already",
        path=args.weights,
        hint=f"{does}--report alone shows what they cost",
    )


def _integers(args: argparse.Namespace) -> dict[str, Any]:
    """The integer weights of a model by tree, plan and name."""
    import vortex_hep

    model = vortex_hep.Model.load(args.weights)
    return {
        f"{tree}/{plan}/{name}": array
        for tree, tables in model.trees.items()
        for plan, table in tables.items()
        for name, array in table.weights.items()
    }


def _compress(args: argparse.Namespace) -> Any:
    from vortex_hep.cli.common.files import check_new, out_path
    from vortex_hep.codec.weights.files import WEIGHTS_SUFFIX, compress_weights_file

    output = out_path(args.weights, args.output, WEIGHTS_SUFFIX)
    check_new(output, overwrite=args.overwrite, inputs=[args.weights])
    packed = compress_weights_file(
        args.weights, output, effort=args.effort, overwrite=args.overwrite
    )
    if not args.quiet:
        size = Path(output).stat().st_size
        saved = f", {1 - size / packed.raw_bytes:.1%} saved" if size < packed.raw_bytes else ""
        print(
            f"{output}: {plural(len(packed), 'tensor')}, {format_bytes(packed.raw_bytes)}"
            f" in {format_bytes(size)}{saved}"
        )
    return packed


def _restore(args: argparse.Namespace) -> Any:
    from vortex_hep.cli.common.files import check_new, out_path
    from vortex_hep.codec.weights.files import (
        ORIGINAL,
        SAFETENSORS_SUFFIX,
        TORCH_SUFFIXES,
        restore_weights_file,
    )
    from vortex_hep.codec.weights.zipnn import load_compressed

    kept = load_compressed(args.weights).metadata.get(ORIGINAL)
    origin = kept.get("format") if isinstance(kept, dict) else None
    suffix = SAFETENSORS_SUFFIX if origin == "safetensors" else TORCH_SUFFIXES[0]
    output = out_path(args.weights, args.output, suffix)
    check_new(output, overwrite=args.overwrite, inputs=[args.weights])
    packed = restore_weights_file(args.weights, output, overwrite=args.overwrite)
    if not args.quiet:
        what = f"{plural(len(packed), 'tensor')}, {format_bytes(packed.raw_bytes)}"
        print(f"{output}: restored, {what}, every bit as it was")
        if origin == "torch" and output.endswith(SAFETENSORS_SUFFIX):
            print("note: what is not a tensor cannot be in a .safetensors file and was left out")
    return packed


def report_text(report: Any) -> str:
    """Tables of data types and of planes for a reader.

    Parameters
    ----------
    report : vortex_hep.codec.weights.zipnn.WeightReport
    """
    header = ["type", "raw", "stored", "saved"]
    rows = [[name, *_sizes(size)] for name, size in report.dtypes.items()]
    rows.append(["all", *_sizes(report.total)])
    parts = ["", format_table(header, rows)]
    if report.planes:
        planes = [
            [dtype, plane, *_sizes(size)]
            for dtype, found in report.planes.items()
            for plane, size in found.items()
        ]
        header = ["type", "plane, coded on its own", "raw", "stored", "saved"]
        parts += ["", format_table(header, planes, left=(0, 1))]
    return "\n".join(parts)


def _sizes(size: Any) -> list[str]:
    return [format_bytes(size.raw_bytes), format_bytes(size.stored_bytes), f"{size.saved:.1%}"]
