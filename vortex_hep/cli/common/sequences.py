"""Descriptions of the transformers in a model, for terminals."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from vortex_hep.core.text import format_bytes, format_table, plural


def _sequences(model: Any) -> Iterator[tuple[str, str, Any]]:
    """Tree, name of the table, and transformer."""
    from vortex_hep.codec.plan import CORE, REST
    from vortex_hep.core.options import EVENT_TABLE
    from vortex_hep.nn.sequence.model import SequenceModel

    shown = {CORE: "(counters)", REST: EVENT_TABLE}
    for tree, tables in model.trees.items():
        for plan, table in sorted(tables.items()):
            if isinstance(table, SequenceModel):
                yield tree, shown.get(plan, plan), table


def sequence_details(model: Any) -> list[dict[str, Any]]:
    """Describe the transformers of a model.

    Parameters
    ----------
    model : Model

    Returns
    -------
    list of dict
        ``tree, table``, the sizes of the network and of what it was trained on, bits per row on
        the rows held out in training as ``bits`` (by the network) and ``classical_bits`` (by the
        best quick classical coder of each column), and ``columns``, each with ``name``, ``tokens``
        and its part of these bits.
    """
    sizes = [row["bytes"] for row in model.summary() if row["kind"] == "sequence"]
    return [
        {
            "tree": tree,
            "table": table,
            "tokens": m.shape.types,
            "layers": m.shape.layers,
            "width": m.shape.width,
            "ff": m.shape.ff,
            "heads": m.shape.heads,
            "window": m.shape.window,
            "chunk": m.chunk,
            "lane_tokens": m.lane_tokens,
            "memory": m.use_memory,
            "parameters": m.parameters,
            "bytes": size,
            "bits": round(float(m.expected[:, 0].sum()), 3),
            "classical_bits": round(float(m.expected[:, 1].sum()), 3),
            "columns": [
                {
                    "name": part.name,
                    "tokens": len(part.coded),
                    "bits": round(float(ours), 3),
                    "classical_bits": round(float(theirs), 3),
                }
                for part, (ours, theirs) in zip(m.layout.parts, m.expected, strict=True)
            ],
        }
        for (tree, table, m), size in zip(_sequences(model), sizes, strict=True)
    ]


def sequences_text(details: list[dict[str, Any]], *, columns: bool) -> str:
    """The transformers of a model for a reader; empty without any.

    Parameters
    ----------
    details : list of dict
        As :func:`sequence_details` returns them.
    columns : bool
        Whether to list every column.
    """
    if not details:
        return ""
    header = [
        "tree", "transformer of", "columns", "bytes per row", "layers", "width", "chunk", "lane",
        "memory", "parameters", "size", "bits per row", "classical",
    ]  # fmt: skip
    rows = [
        [
            d["tree"], d["table"], str(len(d["columns"])), str(d["tokens"]), str(d["layers"]),
            str(d["width"]), str(d["chunk"]), str(d["lane_tokens"]), "yes" if d["memory"] else "no",
            f"{d['parameters']:,}", format_bytes(d["bytes"]), f"{d['bits']:.2f}",
            f"{d['classical_bits']:.2f}",
        ]
        for d in details
    ]  # fmt: skip
    parts = [format_table(header, rows, left=(0, 1))]
    if columns:
        found = [(d, c) for d in details for c in d["columns"]]
        found.sort(key=lambda item: item[1]["bits"] - item[1]["classical_bits"])
        parts.append(
            format_table(
                ["column", "transformer of", "bytes per row", "bits per row", "classical"],
                [
                    [c["name"], d["table"], str(c["tokens"]), f"{c['bits']:.2f}",
                     f"{c['classical_bits']:.2f}"]
                    for d, c in found
                ],
                left=(0, 1),
            )
        )  # fmt: skip
    return "\n" + "\n\n".join(parts) + "\n"


def sequence_gains(model: Any) -> list[str]:
    """A line per transformer: whether it is of use, and where."""
    lines = []
    for d in sequence_details(model):
        won = sum(c["bits"] < c["classical_bits"] for c in d["columns"])
        best = sum(min(c["bits"], c["classical_bits"]) for c in d["columns"])
        where = f"{d['tree']} {d['table']}: on rows held out"
        if won:
            lines.append(
                f"{where} smaller than by classical coders in {won} of"
                f" {plural(len(d['columns']), 'column')}: {best:.1f} bits per row instead of"
                f" {d['classical_bits']:.1f}"
            )
        else:
            lines.append(
                f"{where} smaller than by classical coders in no column: archives will hardly use"
                " it; train for longer, or on more data"
            )
    return lines
