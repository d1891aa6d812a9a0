"""Tables and plots from the results of ``benchmarks/run.py``.

``python -m benchmarks.report`` writes the tables of ``benchmarks/RESULTS.md``, the plots under
``docs/img/`` and the figures between the markers of the README. With ``--check`` it writes nothing
and fails if the README does not say what the results say.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from benchmarks.corpus import HERE, load_corpus
from benchmarks.run import RESULTS
from vortex_hep.bench.compare import Comparison
from vortex_hep.bench.measure import Measurement, Timing
from vortex_hep.bench.table import HEADER, table_rows, threads_note

ROOT = HERE.parent
README = ROOT / "README.md"
REPORT = HERE / "RESULTS.md"
IMAGES = ROOT / "docs" / "img"
BEGIN, END = "<!-- results: begin -->", "<!-- results: end -->"

OURS = "vortex_hep"


def main() -> int:
    """Write or check the report."""
    parser = argparse.ArgumentParser(description=__doc__, prog="python -m benchmarks.report")
    parser.add_argument("--check", action="store_true", help="write nothing, fail on a difference")
    args = parser.parse_args()
    comparisons = load_results(RESULTS)
    readme = README.read_text()
    wanted = inserted(readme, readme_text(comparisons))
    report = report_text(comparisons)
    if args.check:
        stale = [
            path.name
            for path, text in ((README, wanted), (REPORT, report))
            if not path.exists() or path.read_text() != text
        ]
        if stale:
            print(f"out of date: {', '.join(stale)}; run python -m benchmarks.report")
        return 1 if stale else 0
    README.write_text(wanted)
    REPORT.write_text(report)
    save_plots(comparisons)
    return 0


def load_results(folder: Path) -> dict[str, list[Comparison]]:
    """Comparisons by data set, in the order of the corpus; one per file and machine."""
    groups: dict[tuple[str, str, str], list[dict[str, Any]]] = {}
    for path in sorted(folder.glob("*/*/*.json")):
        plain = json.loads(path.read_text())
        key = (plain["dataset"], path.parts[-3], plain["file"])
        groups.setdefault(key, []).append(plain)
    out: dict[str, list[Comparison]] = {}
    for name in (dataset.name for dataset in load_corpus()):
        found = [_comparison(items) for key, items in groups.items() if key[0] == name]
        if found:
            out[name] = found
    return out


def _comparison(items: list[dict[str, Any]]) -> Comparison:
    first = items[0]
    return Comparison(
        first["file"],
        first["file_bytes"],
        first["raw_bytes"],
        first["machine"],
        tuple(_measurement(item) for item in items),
    )


def _measurement(plain: dict[str, Any]) -> Measurement:
    timings = tuple(
        Timing(t["threads"], t["encode_seconds"], t["decode_seconds"]) for t in plain["timings"]
    )
    return Measurement(
        plain["codec"],
        plain["raw_bytes"],
        plain["stored_bytes"],
        timings,
        plain["verified"],
        plain["settings"],
        plain["model_bytes"],
        plain["embedded_model_bytes"],
    )


def markdown_table(header: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A Markdown table; the first column aligned left, the rest right."""
    head = list(header)
    rule = ["---", *["---:"] * (len(head) - 1)]
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, rule, *rows))


def report_text(comparisons: dict[str, list[Comparison]]) -> str:
    """The whole of ``RESULTS.md``."""
    titles = {dataset.name: dataset.title for dataset in load_corpus()}
    parts = [
        "# Results",
        "Made by `python -m benchmarks.report`; how they came to be is in README.md.",
    ]
    for name, found in comparisons.items():
        parts.append(f"## {titles[name]}")
        for comparison in found:
            table = markdown_table(HEADER, table_rows(comparison))
            parts += [f"`{comparison.path}`: {threads_note(comparison)}", table]
    return "\n\n".join(parts) + "\n"


def readme_text(comparisons: dict[str, list[Comparison]]) -> str:
    """The figures of the README: one row per data set."""
    titles = {dataset.name: dataset.title for dataset in load_corpus()}
    rows = [
        _readme_row(titles[name], comparison)
        for name, found in comparisons.items()
        for comparison in found[:1]
    ]
    header = (
        "content", "columns", "ROOT LZMA 9", "xz -9 per column", "best other", "vortex_hep",
        "model", "vs ROOT LZMA 9", "vs xz -9", "MB/s in / out",
    )  # fmt: skip
    return markdown_table(header, [row for row in rows if row])


def _readme_row(title: str, comparison: Comparison) -> list[str] | None:
    ours = [item for item in comparison.measurements if item.codec.startswith(OURS)]
    if not ours:
        return None
    best = min(ours, key=lambda item: item.stored_bytes + item.model_bytes)
    others = [i for i in comparison.measurements if not i.codec.startswith(OURS)]
    lzma, xz = comparison.references()
    model = best.model_bytes or best.embedded_model_bytes
    place = "inside" if best.embedded_model_bytes else "beside"
    fastest = best.timings[-1]
    return [
        title,
        _mb(comparison.raw_bytes),
        _mb(lzma.stored_bytes) if lzma else "",
        _mb(xz.stored_bytes) if xz else "",
        _mb(min(item.stored_bytes for item in others)) if others else "",
        f"**{_mb(best.stored_bytes)}**",
        f"{_mb(model)} {place}" if model else "none",
        f"{best.stored_bytes / lzma.stored_bytes - 1:+.1%}" if lzma else "",
        f"{best.stored_bytes / xz.stored_bytes - 1:+.1%}" if xz else "",
        f"{best.encode_speed(fastest):.1f} / {best.decode_speed(fastest):.1f}",
    ]


def _mb(count: int) -> str:
    return f"{count / 1e6:.3f}"


def inserted(text: str, figures: str) -> str:
    """``text`` with ``figures`` between its markers."""
    if text.count(BEGIN) != 1 or text.count(END) != 1:
        sys.exit(f"README.md needs one {BEGIN} and one {END}")
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{figures}\n{END}{after}"


def save_plots(comparisons: dict[str, list[Comparison]]) -> None:
    """One PNG per data set under ``docs/img``."""
    from vortex_hep.bench.plot import save_plot

    titles = {dataset.name: dataset.title for dataset in load_corpus()}
    IMAGES.mkdir(parents=True, exist_ok=True)
    for name, found in comparisons.items():
        save_plot(found[0], IMAGES / f"bench-{name}.png", title=titles[name])


if __name__ == "__main__":
    raise SystemExit(main())
