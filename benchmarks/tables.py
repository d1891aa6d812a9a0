"""Tables of the benchmark report in Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from benchmarks.corpus import Dataset
from vortex_hep.testing.bench.compare import Comparison
from vortex_hep.testing.bench.measure import Measurement, Timing
from vortex_hep.testing.bench.table import (
    difference,
    header,
    model_text,
    peak_text,
    short_name,
    speed_text,
    table_rows,
    threads_note,
)

#: Comparisons by the name of their data set.
Results = dict[str, list[Comparison]]

OURS = "vortex_hep"
#: Headings of the kinds, in the order of the report.
KINDS = {
    "root": "ROOT files",
    "hdf5": "HDF5 files",
    "hepmc": "HepMC text",
    "opaque": "Other files",
}


def markdown_table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A Markdown table; the first column aligned left, the rest right."""
    names = list(head)
    rule = ["---", *["---:"] * (len(names) - 1)]
    return "\n".join(f"| {' | '.join(row)} |" for row in (names, rule, *rows))


def best_of_ours(comparison: Comparison) -> Measurement | None:
    """Our smallest row, its model counted; None where only baselines were measured."""
    ours = [item for item in comparison.measurements if item.codec.startswith(OURS)]
    return min(ours, key=lambda item: item.bytes_with_model, default=None)


def others(comparison: Comparison) -> list[Measurement]:
    """All other rows."""
    return [item for item in comparison.measurements if not item.codec.startswith(OURS)]


def report_text(results: Results, corpus: Iterable[Dataset]) -> str:
    """The whole of ``RESULTS.md``."""
    datasets = {dataset.name: dataset for dataset in corpus}
    parts = [
        "# Results",
        "Made by `python -m benchmarks.report`; how they came to be is in README.md.",
    ]
    for section in (targets_text, speed_text_of, losses_text):
        if text := section(results, datasets):
            parts.append(text)
    for kind, heading in KINDS.items():
        found = [(n, c) for n, cs in results.items() for c in cs if c.kind == kind]
        if found:
            parts.append(f"## {heading}")
        last = ""
        for name, comparison in found:
            if name != last:
                parts.append(f"### {datasets[name].title}")
                last = name
            table = markdown_table(header(comparison), table_rows(comparison))
            parts += [f"`{comparison.path}`: {threads_note(comparison)}", table]
    return "\n\n".join(parts) + "\n"


def targets_text(results: Results, datasets: dict[str, Dataset]) -> str:
    """Size over the reference, for the data sets that have a target."""
    rows = []
    for name, comparison, ours in _all_ours(results):
        target = datasets[name].target
        reference = comparison.references()[1]
        if target is None or reference is None:
            continue
        size = ours.stored_bytes / reference.stored_bytes
        rows.append(
            [
                datasets[name].title,
                reference.codec,
                f"{reference.stored_bytes:,}",
                f"{ours.stored_bytes:,}",
                f"{size:.3f}",
                f"{ours.bytes_with_model / reference.stored_bytes:.3f}",
                f"{target:.2f}",
                "yes" if size <= target else "**no**",
            ]
        )
    if not rows:
        return ""
    head = (
        "data set", "reference", "its bytes", "archive", "over reference", "with model", "target",
        "reached",
    )  # fmt: skip
    text = (
        "Bytes of the archive over the same content under LZMA -9. A model that serves a data set"
        " is not counted but under *with model*, which charges all of it to this one file."
    )
    return f"## Against the targets\n\n{text}\n\n{markdown_table(head, rows)}"


def speed_text_of(results: Results, datasets: dict[str, Dataset]) -> str:
    """Speed beside xz in the same run, and memory at the peak."""
    rows = []
    for name, comparison, ours in _all_ours(results):
        reference = comparison.references()[1]
        pair = None if reference is None else _same_threads(ours, reference)
        if reference is None or pair is None:
            continue
        own, theirs = pair
        threads = f"{own.threads}"
        if own.threads != theirs.threads:
            threads += f" (xz {theirs.threads})"
        rows.append(
            [
                datasets[name].title,
                threads,
                _speed(ours.encode_speed(own)),
                f"{theirs.encode_seconds / own.encode_seconds:.2f}",
                _speed(ours.decode_speed(own)),
                f"{theirs.decode_seconds / own.decode_seconds:.2f}",
                f"{own.encode_seconds / own.decode_seconds:.2f}",
                peak_text(ours),
            ]
        )
    if not rows:
        return ""
    head = (
        "data set", "threads", "in MB/s", "over xz -9", "out MB/s", "over xz -9 -d", "out over in",
        "peak MB in / out",
    )  # fmt: skip
    text = (
        "The same bytes, in one run, with as many threads; where a model is fitted to the file,"
        " fitting is part of *in*. Memory is that of the whole process, compressing and restoring."
    )
    return f"## Speed and memory\n\n{text}\n\n{markdown_table(head, rows)}"


def losses_text(results: Results, datasets: dict[str, Dataset]) -> str:
    """Every row of another codec that is smaller than ours; nothing where there is none."""
    rows = []
    for name, comparison, ours in _all_ours(results):
        for item in sorted(others(comparison), key=lambda item: item.stored_bytes):
            if item.stored_bytes < ours.stored_bytes:
                when = "always"
            elif item.stored_bytes < ours.bytes_with_model:
                when = "if the model serves this file alone"
            else:
                continue
            rows.append(
                [
                    datasets[name].title,
                    item.codec,
                    f"{item.stored_bytes:,}",
                    f"{ours.stored_bytes:,}",
                    f"{ours.bytes_with_model:,}",
                    difference(ours.bytes_with_model, item),
                    when,
                ]
            )
    if not rows:
        return ""
    head = ("data set", "codec", "its bytes", "vortex_hep", "with model", "ours larger by", "when")
    return f"## Where it loses\n\n{markdown_table(head, rows)}"


def readme_text(results: Results, corpus: Iterable[Dataset]) -> str:
    """The figures of the README: one row per data set."""
    titles = {dataset.name: dataset.title for dataset in corpus}
    rows = []
    seen: set[str] = set()
    for name, comparison, ours in _all_ours(results):
        if name not in seen:
            seen.add(name)
            rows.append(_readme_row(titles[name], comparison, ours))
    head = (
        "content", "raw", "format's best", "xz -9", "best other", "vortex_hep", "model",
        "vs format's best", "vs xz -9", "with model", "MB/s in / out", "peak MB",
    )  # fmt: skip
    return markdown_table(head, rows)


#: The data set whose costs the first screen of the README shows.
_SHOWN = "nanoaod-ttbar"


def cost_text(results: Results, corpus: Iterable[Dataset]) -> str:
    """What one data set costs with each kind of codec: size, and speed of writing and reading."""
    titles = {dataset.name: dataset.title for dataset in corpus}
    comparison, ours = next((c, o) for name, c, o in _all_ours(results) if name == _SHOWN)
    kept = [m for m in comparison.measurements if m.codec.startswith(("ROOT", "xz", "zstd"))]
    ordered = sorted(kept, key=lambda m: -m.stored_bytes)
    rows = []
    for item in [*ordered, ours]:
        timing = item.timings[-1]
        name = f"**{item.codec}**" if item is ours else item.codec
        rows.append(
            [
                name,
                _mb(item.stored_bytes),
                f"{item.encode_speed(timing):.1f}",
                f"{item.decode_speed(timing):.1f}",
            ]
        )
    threads = ours.timings[-1].threads
    head = (
        f"{titles[_SHOWN]}: {_mb(comparison.raw_bytes)} MB of columns", "MB",
        f"MB/s in, {threads} threads", "MB/s out",
    )  # fmt: skip
    return markdown_table(head, rows)


def _readme_row(title: str, comparison: Comparison, ours: Measurement) -> list[str]:
    own, xz = comparison.references()
    best = min((item.stored_bytes for item in others(comparison)), default=0)
    fastest = ours.timings[-1]
    return [
        title,
        _mb(comparison.raw_bytes),
        f"{_mb(own.stored_bytes)} {short_name(own.codec).split()[0]}" if own else "",
        _mb(xz.stored_bytes) if xz else "",
        _mb(best) if best else "",
        f"**{_mb(ours.stored_bytes)}**",
        model_text(ours, "{:.3f}", 1e6) or "none",
        difference(ours.stored_bytes, own),
        difference(ours.stored_bytes, xz),
        difference(ours.bytes_with_model, xz),
        f"{ours.encode_speed(fastest):.1f} / {ours.decode_speed(fastest):.1f}",
        peak_text(ours),
    ]


def ablation_text(found: Iterable[dict[str, Any]], corpus: Iterable[Dataset]) -> str:
    """The whole of ``ABLATION.md``: one table per data set."""
    titles = {dataset.name: dataset.title for dataset in corpus}
    parts = [
        "# What each part is worth",
        "Made by `python -m benchmarks.report` from what `python -m benchmarks.ablation` measured:"
        " models trained alike but for the parts left out, each on the same test files.",
    ]
    for plain in found:
        runs = plain["runs"]
        whole = next(run for run in runs if not run["without"])
        rows = [
            [
                " and ".join(run["without"]) or "nothing",
                f"{run['stored_bytes']:,}",
                f"{run['stored_bytes'] / whole['stored_bytes'] - 1:+.1%}",
                f"{run['model_bytes']:,}",
                f"{run['train_seconds']:.0f}",
            ]
            for run in runs
        ]
        head = ("left out", "archive bytes", "larger by", "model bytes", "training s")
        spent = f"effort {plain['train_effort']}"
        if plain["seconds"] is not None:
            spent += f", {plain['seconds']:g} s at most"
        parts += [
            f"## {titles[plain['dataset']]}",
            f"Training: {spent}.",
            markdown_table(head, rows),
        ]
    return "\n\n".join(parts) + "\n"


def _all_ours(results: Results) -> Iterator[tuple[str, Comparison, Measurement]]:
    for name, found in results.items():
        for comparison in found:
            if (ours := best_of_ours(comparison)) is not None:
                yield name, comparison, ours


def _same_threads(ours: Measurement, reference: Measurement) -> tuple[Timing, Timing] | None:
    """Timings with as many threads; the most of each where they have no number in common."""
    if not ours.timings or not reference.timings:
        return None
    for own in reversed(ours.timings):
        if (theirs := reference.timing(own.threads)) is not None:
            return own, theirs
    return ours.timings[-1], reference.timings[-1]


def _speed(value: float | None) -> str:
    return "" if value is None else speed_text(value)


def _mb(count: int) -> str:
    return f"{count / 1e6:.3f}"
