"""Tables and plots from the results of ``benchmarks/run.py`` and ``benchmarks/ablation.py``.

``python -m benchmarks.report`` writes the tables of ``benchmarks/RESULTS.md`` and
``benchmarks/ABLATION.md``, the plots under ``docs/img/`` and the figures between the markers of the
README. With ``--check`` it writes nothing and fails if they do not say what the results say; with
``--results DIR`` it prints the report of another folder of results instead.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from benchmarks.corpus import HERE, load_corpus
from benchmarks.run import RESULTS
from benchmarks.tables import Results, ablation_text, cost_text, readme_text, report_text
from vortex_hep.testing.bench.compare import Comparison
from vortex_hep.testing.bench.measure import Measurement, Timing

ROOT = HERE.parent
README = ROOT / "README.md"
REPORT = HERE / "RESULTS.md"
ABLATION = HERE / "ABLATION.md"
IMAGES = ROOT / "docs" / "img"
#: Places of the README that are written here: ``<!-- NAME: begin -->`` to ``<!-- NAME: end -->``.
RESULTS_PLACE, COST_PLACE = "results", "cost"


def main() -> int:
    """Write, check or print the report."""
    parser = argparse.ArgumentParser(description=__doc__, prog="python -m benchmarks.report")
    parser.add_argument("--check", action="store_true", help="write nothing, fail on a difference")
    parser.add_argument(
        "--results", type=Path, metavar="DIR", help="print the report of these, write nothing"
    )
    args = parser.parse_args()
    if args.results is not None:
        texts = wanted_texts(args.results)
        print(readme_text(load_results(args.results), load_corpus()), end="\n\n")
        print(*(text for path, text in texts.items() if path != README), sep="\n")
        return 0
    wanted = wanted_texts(RESULTS)
    if args.check:
        stale = [p.name for p, text in wanted.items() if not p.exists() or p.read_text() != text]
        if stale:
            print(f"out of date: {', '.join(stale)}; run python -m benchmarks.report")
        return 1 if stale else 0
    for path, text in wanted.items():
        path.write_text(text)
    save_plots(load_results(RESULTS))
    return 0


def wanted_texts(results: Path) -> dict[Path, str]:
    """What the files of the report should say."""
    corpus = load_corpus()
    comparisons = load_results(results)
    texts = {
        README: inserted(
            inserted(README.read_text(), readme_text(comparisons, corpus), RESULTS_PLACE),
            cost_text(comparisons, corpus),
            COST_PLACE,
        ),
        REPORT: report_text(comparisons, corpus),
    }
    if ablations := load_ablations(results):
        texts[ABLATION] = ablation_text(ablations, corpus)
    return texts


def load_results(folder: Path) -> Results:
    """Comparisons by data set, in the order of the corpus; one per file and machine."""
    groups: dict[tuple[str, str, str], list[dict[str, Any]]] = {}
    for path in sorted(folder.glob("*/*/*.json")):
        plain = json.loads(path.read_text())
        key = (plain["dataset"], path.parts[-3], plain["file"])
        groups.setdefault(key, []).append(plain)
    out: Results = {}
    for name in (dataset.name for dataset in load_corpus()):
        found = [_comparison(items) for key, items in groups.items() if key[0] == name]
        if found:
            out[name] = found
    return out


def load_ablations(folder: Path) -> list[dict[str, Any]]:
    """What ``benchmarks/ablation.py`` wrote, in the order of the corpus."""
    order = [dataset.name for dataset in load_corpus()]
    found = [json.loads(path.read_text()) for path in folder.glob("ablation-*.json")]
    return sorted(found, key=lambda plain: order.index(plain["dataset"]))


def _comparison(items: list[dict[str, Any]]) -> Comparison:
    first = items[0]
    return Comparison(
        first["file"],
        first["file_bytes"],
        first["raw_bytes"],
        first["machine"],
        tuple(_measurement(item) for item in items),
        first.get("kind", "root"),  # results from before other kinds were measured
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
        plain.get("peak_memory_bytes", {}),
    )


def inserted(text: str, figures: str, place: str) -> str:
    """``text`` with ``figures`` between the markers of a place."""
    begin, end = f"<!-- {place}: begin -->", f"<!-- {place}: end -->"
    if text.count(begin) != 1 or text.count(end) != 1:
        sys.exit(f"README.md needs one {begin} and one {end}")
    before, _, rest = text.partition(begin)
    _, _, after = rest.partition(end)
    return f"{before}{begin}\n{figures}\n{end}{after}"


def save_plots(comparisons: Results) -> None:
    """One PNG per data set under ``docs/img``."""
    from vortex_hep.testing.bench.plot import save_plot

    titles = {dataset.name: dataset.title for dataset in load_corpus()}
    IMAGES.mkdir(parents=True, exist_ok=True)
    for name, found in comparisons.items():
        save_plot(found[0], IMAGES / f"bench-{name}.png", title=titles[name])


if __name__ == "__main__":
    raise SystemExit(main())
