"""The tables of ``docs/transformers.md``, and a plot, from the results."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.corpus import HERE
from benchmarks.run import RESULTS
from benchmarks.tables import markdown_table
from benchmarks.transformers.compare import EVENT, NEITHER, ROWS_LZMA, TRANSFORMER
from benchmarks.transformers.variants import BASE, JET_VARIANTS, TEXT_VARIANTS
from vortex_hep.testing.bench.table import speed_text

DOCUMENT = HERE.parent / "docs" / "transformers.md"
PICTURE = HERE.parent / "docs" / "img" / "transformers.png"
#: Rows of the tables of variants, in order.
_ORDER = {
    (stream, variant.name): k
    for stream, variants in (("jets", JET_VARIANTS), ("hepmc", TEXT_VARIANTS))
    for k, variant in enumerate(variants)
}


def run(*, check: bool, results: Path = RESULTS) -> int:
    """Write the tables and the plot, or check that they are there; return the exit code."""
    wanted = wanted_text(results)
    pictured = _pictured(results)
    if check:
        stale = [DOCUMENT] if DOCUMENT.read_text("utf-8") != wanted else []
        stale += [PICTURE] if pictured and not PICTURE.exists() else []
        if stale:
            names = ", ".join(path.name for path in stale)
            print(f"out of date: {names}; run python -m benchmarks.transformers report")
        return 1 if stale else 0
    DOCUMENT.write_text(wanted, "utf-8")
    if pictured:
        from benchmarks.transformers.plot import save_plot

        save_plot(*pictured, PICTURE)
    return 0


def wanted_text(results: Path) -> str:
    """What the document should say."""
    text = DOCUMENT.read_text("utf-8")
    parts: tuple[tuple[str, str, Callable[[dict[str, Any]], str]], ...] = (
        ("compare", "comparison", comparison_text),
        ("ablate", "variants", variants_text),
        ("rates", "rates", rates_text),
    )
    for what, name, make in parts:
        found = load(results, what)
        missing = f"*Not measured yet: `python -m benchmarks.transformers {what} --data DIR`.*"
        text = inserted(text, name, "\n\n".join(map(make, found)) or missing)
    link = "![Bits per byte over seconds of training](img/transformers.png)"
    return inserted(text, "picture", link if _pictured(results) else "")


def _pictured(results: Path) -> tuple[dict[str, Any], dict[str, Any]] | None:
    """What the plot shows: a comparison and an ablation; None where one is missing."""
    comparisons, ablations = load(results, "compare"), load(results, "ablate")
    return (comparisons[0], ablations[0]) if comparisons and ablations else None


def load(results: Path, what: str) -> list[dict[str, Any]]:
    """The results of a kind, one per machine."""
    paths = sorted(results.glob(f"*/transformers-{what}.json"))
    return [json.loads(path.read_text("utf-8")) for path in paths]


def comparison_text(plain: dict[str, Any]) -> str:
    """A transformer and the event model on the same jets."""
    lzma = next(c["stored_bytes"] for c in plain["codecs"] if c["codec"] == ROWS_LZMA)
    rows = [
        [
            c["codec"],
            f"{c['stored_bytes']:,}",
            f"{c['stored_bytes'] / lzma - 1:+.1%}",
            f"{c['bits_per_byte']:.3f}",
            f"{c['model_bytes']:,}" if c["model_bytes"] else "",
            f"{c['bits_per_byte_with_model']:.3f}",
            f"{c['parameters']:,}" if c.get("parameters") else "",
            "" if c["train_seconds"] is None else f"{c['train_seconds']:.0f}",
            f"{_number(c['encode_mb_per_s'])} / {_number(c['decode_mb_per_s'])}",
        ]
        for c in sorted(plain["codecs"], key=lambda c: -int(c["stored_bytes"]))
    ]
    head = (
        "codec", "bytes", "against LZMA", "bits per byte", "model bytes", "with model",
        "parameters", "training s", "MB/s in / out",
    )  # fmt: skip
    t = plain["transformer"]
    cost = t["exact_bits_per_token"] / t["bits_per_token"] - 1
    notes = (
        f"The last {plain['test_rows']:,} jets of `{plain['source']}` "
        f"({plain['raw_bytes']:,} bytes), models trained on the {plain['train_rows']:,} before;"
        f" {_machine(plain)}, {plain['threads']} threads. All of it was decoded and compared bit"
        " for bit. *With model* charges all of the model to these jets.\n\n"
        f"The transformer (`{plain['recipe']}`, {t['steps']:,} steps) codes {t['tokens_per_row']}"
        f" bytes of each jet. On the test jets it needs {t['bits_per_token']:.4f} bits per such"
        f" byte in floating point and {t['exact_bits_per_token']:.4f} in integers: quantisation"
        f" costs {cost:+.2%}. LZMA -9 needs {t['lzma_bits_per_token']:.4f} for the same bytes."
    )
    return f"{notes}\n\n{markdown_table(head, rows)}\n\n{columns_text(plain['columns'])}"


def columns_text(columns: dict[str, dict[str, int]]) -> str:
    """In how many columns which model is ahead, and what the better one of each would give."""
    better = [name for name, sizes in columns.items() if sizes[TRANSFORMER] < sizes[EVENT]]
    best = sum(min(sizes[TRANSFORMER], sizes[EVENT]) for sizes in columns.values())
    total = {name: sum(sizes[name] for sizes in columns.values()) for name in (EVENT, TRANSFORMER)}
    gains = sorted(columns, key=lambda name: columns[name][TRANSFORMER] - columns[name][EVENT])
    rows = [
        [f"`{name}`", *(f"{columns[name][k]:,}" for k in (NEITHER, EVENT, TRANSFORMER))]
        for name in dict.fromkeys([*gains[:3], *gains[-3:]])
    ]
    text = (
        f"Column by column the transformer is ahead in {len(better)} of {len(columns)}. The columns"
        f" take about {total[EVENT]:,} bytes with the event model, {total[TRANSFORMER]:,} with the"
        f" transformer, and {best:,} with the better one of each. Where they differ most:"
    )
    return f"{text}\n\n{markdown_table(('column', NEITHER, EVENT, TRANSFORMER), rows)}"


def variants_text(plain: dict[str, Any]) -> str:
    """One table per stream, and one of chunk sizes where lanes are longer than a chunk."""
    settings = plain["settings"]
    spent = [
        f"{settings[unit]:,} {unit}" for unit in ("steps", "seconds") if settings[unit] is not None
    ]
    parts = [
        f"Recipe `{settings['recipe']}`, {', at most '.join(spent)} each; {_machine(plain)}. Bits"
        " per byte on held-out bytes; *exact* is in integers, empty where a variant has no integer"
        " form."
    ]
    for stream in plain["streams"]:
        runs = [run for run in plain["runs"] if run["stream"] == stream["name"]]
        runs.sort(key=lambda run: _ORDER.get((run["stream"], run["variant"]), len(_ORDER)))
        parts += [
            f"**{stream['title']}**: {stream['bytes']:,} bytes, {stream['held_out_bytes']:,} of"
            f" them held out; records of {stream['record']}, lanes of {stream['lane_tokens']:,}."
            f" LZMA -9: {stream['lzma_bits_per_byte']:.4f}.",
            _variant_table(runs),
        ]
        several = [run for run in runs if len(run["by_chunk"]) > 1 and run["lanes"] == 1]
        if several:
            parts += ["The same networks in chunks of other sizes:", _chunk_table(several)]
    return "\n\n".join(parts)


def _variant_table(runs: list[dict[str, Any]]) -> str:
    base = next((run["bits_per_byte"] for run in runs if run["variant"] == BASE), None)
    rows = []
    for run in runs:
        bits, exact = run["bits_per_byte"], run["exact_bits_per_byte"]
        rows.append(
            [
                run["what"],
                f"{bits:.4f}",
                "" if base is None or run["variant"] == BASE else f"{bits / base - 1:+.2%}",
                "" if exact is None else f"{exact:.4f}",
                "" if exact is None else f"{exact / bits - 1:+.2%}",
                f"{run['parameters']:,}",
                "" if run["model_bytes"] is None else f"{run['model_bytes']:,}",
                f"{run['steps']:,}",
                f"{run['seconds']:.0f}",
            ]
        )
    head = (
        "network", "bits per byte", "against the first", "exact", "cost", "parameters",
        "model bytes", "steps", "s",
    )  # fmt: skip
    return markdown_table(head, rows)


def _chunk_table(runs: list[dict[str, Any]]) -> str:
    sizes = sorted({int(size) for run in runs for size in run["by_chunk"]})
    rows = [
        [run["what"], *(f"{run['by_chunk'][str(s)]:.4f}" for s in sizes)]
        for run in runs
        if all(str(s) in run["by_chunk"] for s in sizes)
    ]
    return markdown_table(("network", *map(str, sizes)), rows)


def rates_text(plain: dict[str, Any]) -> str:
    """Speeds by device."""
    rows = [
        [
            f"{entry['device']}: {entry['name']}",
            _number(entry["encode_mb_per_s"]),
            _number(entry["decode_mb_per_s"]),
        ]
        for entry in plain["devices"]
    ]
    same = "The archives are the same on all of them. " if len(rows) > 1 else ""
    text = (
        f"{plain['rows']:,} jets ({plain['raw_bytes']:,} bytes) in {plain['lanes']:,} lanes of"
        f" {plain['lane_tokens']:,} tokens, {plain['parameters']:,} integers, {plain['threads']}"
        f" threads; {_machine(plain)}. {same}All columns came back bit for bit."
    )
    return f"{text}\n\n{markdown_table(('device', 'MB/s in', 'MB/s out'), rows)}"


def _machine(plain: dict[str, Any]) -> str:
    here = plain["machine"]
    return f"{here['cpu']}, {here['cores']} cores"


def _number(value: float | None) -> str:
    return "" if value is None else speed_text(value)


def inserted(text: str, name: str, figures: str) -> str:
    """``text`` with ``figures`` between the markers of a name."""
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    if text.count(begin) != 1 or text.count(end) != 1:
        raise SystemExit(f"{DOCUMENT.name} needs one {begin} and one {end}")
    before, _, rest = text.partition(begin)
    _, _, after = rest.partition(end)
    return f"{before}{begin}\n{figures}\n{end}{after}"
