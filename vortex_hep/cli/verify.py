"""``vortex-hep verify``: decode archives and compare them with their sources."""

from __future__ import annotations

import argparse
import json
from typing import Any

from vortex_hep.cli.common.many import Item, add_recursive, found_items, placed, run_each
from vortex_hep.cli.common.options import ARCHIVE_SUFFIX, add_command, add_model, add_resources
from vortex_hep.cli.common.running import OutsideError

DESCRIPTION = """\
Check archives. Every byte of the file is under a checksum, and so is the decoded data of every
chunk: verify decodes all of it and checks both. With --against, it also compares every branch with
the file given, bit for bit (NaN payloads and the sign of zero count). Models (.vxm) and compressed
weights (.vxw) can be checked, too.
"""

EXAMPLES = """\
  vortex-hep verify in.vxc
  vortex-hep verify in.vxc --against in.root && rm in.root
  vortex-hep verify archives/*.vxc --against data/           each with the file it was made from
  vortex-hep verify -r archives/ --json | jq '.[] | select(.ok | not)'
  vortex-hep verify ttbar.vxm

exit codes:
  0  sound, and equal to the file it was compared with
  1  could not be checked: a file is missing, say, or the model of the archive
  3  damaged, or a branch differs
  4  all branches are equal, bit for bit, and something differs that is in none: an object beside
     the trees, a title, or the bytes of a file whose archive promises them
Of several files, 3 if that is true of one; else 1, else 4.
"""

#: Differences to list before it is clear enough.
MOST_LINES = 20


def register(commands: Any) -> None:
    """Add the sub-command."""
    parser = add_command(
        commands,
        "verify",
        summary="check archives, alone or against their sources",
        description=DESCRIPTION,
        examples=EXAMPLES,
    )
    parser.add_argument(
        "archives",
        nargs="+",
        metavar="ARCHIVE.vxc",
        help="archives, models or URLs; - is standard input",
    )
    parser.add_argument(
        "--against",
        metavar="FILE",
        help="source file to compare with; of several archives, the folder of their sources",
    )
    add_recursive(parser, "the archives")
    parser.add_argument("--json", action="store_true", help="print JSON: a list for several files")
    add_model(parser, "the model the archive names, where it does not hold it")
    add_resources(parser, device=False)
    parser.set_defaults(run=run, usage_error=parser.error)


def run(args: argparse.Namespace) -> int:
    """Verify; damage counts as a difference, anything else that fails does not."""
    from vortex_hep.cli.common.files import is_folder, load_model
    from vortex_hep.core import storage

    items = found_items(args.archives, recursive=args.recursive, suffixes=[ARCHIVE_SUFFIX])
    if args.against is not None and len(items) > 1 and not is_folder(args.against):
        args.usage_error("--against needs the folder of the sources where archives are several")
    if args.against is not None and is_folder(args.against):
        # Where an output would lie, there lies what it is compared with.
        items = placed(items, storage.join(args.against, ""), "")
    found: list[dict[str, Any]] = []
    model = load_model(args.model)
    try:
        return run_each(args, items, lambda item: _verify(args, item, model, found))
    finally:
        if args.json and (found or len(items) > 1):
            print(json.dumps(found if len(items) > 1 else found[0], indent=2), flush=True)


def _verify(args: argparse.Namespace, item: Item, model: Any, found: list[dict[str, Any]]) -> None:
    """Verify one file, and add what is found to ``found``."""
    from vortex_hep.cli.common.files import readable
    from vortex_hep.errors import CorruptionError, VerificationError, VortexError

    row: dict[str, Any] = {"path": item.source, "ok": False}
    found.append(row)
    try:
        with readable(item.source, archive=True) as path:
            kind = _kind(path)
            row["kind"] = kind
            if kind == "archive":
                _archive(args, item, path, model, row)
            else:
                _other(path, kind)
                row["ok"] = True
                _say(args, f"{item.source}: sound")
    except CorruptionError as error:
        row["error"] = str(error)
        # The class decides the exit code; the text, with its place in the file, stays.
        raise VerificationError(str(error)) from error
    except VortexError as error:
        row["error"] = str(error)
        raise


def _kind(path: str) -> str:
    """What a file of ours holds: "archive", "model" or "weights"."""
    from vortex_hep.codec.container.container import KIND_MODEL, KIND_WEIGHTS, ContainerReader

    with ContainerReader(path) as reader:
        return {KIND_MODEL: "model", KIND_WEIGHTS: "weights"}.get(reader.kind, "archive")


def _other(path: str, kind: str) -> None:
    """Check every byte of a model or of weights, and decode it."""
    from vortex_hep.codec.container.container import ContainerReader
    from vortex_hep.codec.weights.zipnn import decompress_arrays, load_compressed
    from vortex_hep.models.model import Model

    with ContainerReader(path) as reader:
        reader.verify()
    if kind == "model":
        Model.load(path)
    else:
        decompress_arrays(load_compressed(path))


def _archive(
    args: argparse.Namespace, item: Item, path: str, model: Any, row: dict[str, Any]
) -> None:
    import vortex_hep
    from vortex_hep.cli.common.progress import progress_for
    from vortex_hep.core.text import format_bytes, plural
    from vortex_hep.errors import VerificationError

    report = vortex_hep.verify(
        path,
        against=_source_of(path, item, args.against),
        model=model,
        threads=args.threads,
        progress=progress_for(quiet=args.quiet),
    )
    row |= {
        "ok": report.ok, "against": report.against, "entries": report.entries,
        "raw_bytes": report.raw_bytes, "differences": report.differences,
        "outside": report.outside,
    }  # fmt: skip
    if report.ok:
        same = f", every bit as in {report.against}" if report.against else ""
        size = format_bytes(report.raw_bytes)
        entries = plural(report.entries, "entry", "entries")
        _say(args, f"{item.source}: sound; {entries}, {size}{same}")
        return
    if not args.json:
        _list(report.differences)
    count = plural(len(report.differences), "place")
    if report.branches_equal:
        raise OutsideError(
            f"equal to {report.against} in every branch, differs in {count} outside of them",
            path=item.source,
        )
    raise VerificationError(f"differs from {report.against} in {count}", path=item.source)


def _source_of(path: str, item: Item, against: str | None) -> str | None:
    """The file to compare an archive with: in a folder, the one whose name the archive has."""
    import vortex_hep
    from vortex_hep.core import storage

    if not item.output:
        return against
    with vortex_hep.open(path) as archive:
        return storage.join(storage.parent(item.output), str(archive.source.get("name", "")))


def _list(lines: list[str]) -> None:
    for line in lines[:MOST_LINES]:
        print(line)
    if len(lines) > MOST_LINES:
        print(f"... and {len(lines) - MOST_LINES} more")


def _say(args: argparse.Namespace, text: str) -> None:
    if not args.quiet and not args.json:
        print(text, flush=True)
