"""``vortex-hep info``: the contents of an archive or a model."""

from __future__ import annotations

import argparse
import json
from typing import Any

from vortex_hep.cli.common.many import Item, add_recursive, found_items, run_each
from vortex_hep.cli.common.options import ARCHIVE_SUFFIX, add_command
from vortex_hep.core.text import format_bytes, format_ratio, format_table, plural

DESCRIPTION = """\
Show what an archive or a model holds. Reads the index only, so it is quick on large and on remote
files. A table is a set of columns that share their rows: the event scalars are one, every
collection (Jet, Muon, ...) is one more.
"""

EXAMPLES = """\
  vortex-hep info in.vxc                        trees and tables, bytes before and after
  vortex-hep info in.vxc --columns              each column with its coder, largest first
  vortex-hep info in.vxc --json | jq .model     for programs
  vortex-hep info archives/*.vxc                one after the other
  vortex-hep info ttbar.vxm                     what a model covers
  vortex-hep info dump.vxm --columns            what a transformer saves in each column
"""


def register(commands: Any) -> None:
    """Add the sub-command."""
    parser = add_command(
        commands,
        "info",
        summary="show what an archive or a model holds",
        description=DESCRIPTION,
        examples=EXAMPLES,
    )
    parser.add_argument(
        "paths",
        nargs="+",
        metavar="FILE",
        help="archives, models or URLs; - is standard input",
    )
    add_recursive(parser, "the archives")
    parser.add_argument("--columns", action="store_true", help="list every column")
    parser.add_argument("--json", action="store_true", help="print JSON: a list for several files")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print the summaries of archives and models."""
    items = found_items(args.paths, recursive=args.recursive, suffixes=[ARCHIVE_SUFFIX])
    found: list[dict[str, Any]] = []
    texts = 0

    def show(item: Item) -> None:
        nonlocal texts
        details, text = _summary(item.source, columns=args.columns)
        found.append(details)
        if not args.json:
            print(("\n" if texts else "") + text, end="", flush=True)
            texts += 1

    code = run_each(args, items, show)
    if args.json:
        print(json.dumps(found if len(items) > 1 else found[0], indent=2))
    return code


def _summary(source: str, *, columns: bool) -> tuple[dict[str, Any], str]:
    """What an archive or a model holds, for programs and for readers."""
    import vortex_hep
    from vortex_hep.cli.common.files import readable
    from vortex_hep.errors import NotVortexError

    with readable(source, archive=True) as path:
        try:
            with vortex_hep.open(path) as archive:
                details = archive.info()
                embedded = columns and details["model"]["embedded"]
                predictions = archive.model.predictions() if embedded and archive.model else []
        except NotVortexError as error:
            # Not an archive: a model, or neither, and then the first error is the one to show.
            try:
                model = vortex_hep.Model.load(path)
            except NotVortexError:
                raise error from None
            return _model_summary(model, columns=columns)
    text = archive_text(details, columns=columns) + _predictions_text(predictions)
    return details, text + "\n"


def archive_text(details: dict[str, Any], *, columns: bool) -> str:
    """The summary of an archive for a reader.

    Parameters
    ----------
    details : dict
        As ``Archive.info()`` returns it.
    columns : bool
        Whether to list every column under its table.
    """
    from vortex_hep.core.schema import Unread

    model = details["model"]
    if model["sha256"] is None:
        model_text = "none"
    else:
        here = f"{format_bytes(model['bytes'])}, stored here"
        place = here if model["embedded"] else "needed to read this, not stored here"
        model_text = f"{model['sha256'][:16]}..., {place}"
    parts = [
        f"archive   {details['path']}",
        f"format    {details['format_version']}",
        f"stored    {format_bytes(details['stored_bytes'])}",
    ]
    for label, what in (("source", "source_bytes"), ("columns", "raw_bytes")):
        if details[what]:
            ratio = format_ratio(details[what], details["stored_bytes"])
            parts.append(f"{label:10}{format_bytes(details[what])}  ratio {ratio}")
    parts.append(f"model     {model_text}")
    if details["exact"] is not None:
        exact = details["exact"]
        parts.append(f"exact     restores {exact['size']} bytes of adler32 {exact['adler32']}")
    parts += [f"unread    {Unread(**item).text}" for item in details["unread"]]
    for tree in details["trees"]:
        parts += ["", _tree_text(tree, columns=columns)]
    return "\n".join(parts)


def _tree_text(tree: dict[str, Any], *, columns: bool) -> str:
    title = f"tree {tree['name']}: {plural(tree['entries'], 'entry', 'entries')}"
    header = ["table", "columns", "rows", "raw", "stored", "ratio"]
    rows = [
        [
            table["name"] or "(event)",
            f"{len(table['columns']):,}",
            f"{table['rows']:,}",
            *_sizes(table),
        ]
        for table in sorted(tree["tables"], key=lambda table: -table["stored_bytes"])
    ]
    parts = [title, format_table(header, rows)]
    if columns:
        parts += ["", _columns_text(tree)]
    return "\n".join(parts)


def _columns_text(tree: dict[str, Any]) -> str:
    found = [column for table in tree["tables"] for column in table["columns"]]
    found.sort(key=lambda column: -column["stored_bytes"])
    rows = [
        [column["name"], column["typename"], column["coder"], *_sizes(column)] for column in found
    ]
    header = ["column", "type", "coder", "raw", "stored", "ratio"]
    return format_table(header, rows, left=(0, 1, 2))


def _sizes(item: dict[str, Any]) -> list[str]:
    raw, stored = item["raw_bytes"], item["stored_bytes"]
    return [format_bytes(raw), format_bytes(stored), format_ratio(raw, stored)]


def _model_summary(model: Any, *, columns: bool) -> tuple[dict[str, Any], str]:
    from vortex_hep.cli.common.sequences import sequence_details, sequences_text

    tables, sequences = model.summary(), sequence_details(model)
    details = {
        "sha256": model.sha256,
        "bytes": model.nbytes,
        "tables": tables,
        "predictions": model.predictions(),
        "sequences": sequences,
    }
    text = f"model     {model.sha256}\nbytes     {format_bytes(model.nbytes)}\n"
    tables = [table for table in tables if table["kind"] == "event"]
    if tables:
        header = [name for name in tables[0] if name != "kind"]
        rows = [[str(table.get(name, "")) for name in header] for table in tables]
        text += f"\n{format_table(header, rows, left=(0, 1))}\n"
    text += sequences_text(sequences, columns=columns) + _predictions_text(details["predictions"])
    return details, text


def _predictions_text(predictions: list[dict[str, Any]]) -> str:
    """Columns that follow from others, those that save most first; empty without any."""
    found = sorted(predictions, key=lambda p: p["bits"] - p["classical_bits"])
    if not found:
        return ""
    header = ["predicted column", "from", "bits per value", "classical"]
    rows = [
        [
            p["column"] + (f"[{p['component']}]" if p["component"] else ""),
            p["formula"],
            f"{p['bits']:.2f}",
            f"{p['classical_bits']:.2f}",
        ]
        for p in found
    ]
    return f"\n{format_table(header, rows, left=(0, 1))}\n"
