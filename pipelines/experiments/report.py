"""The report of an experiment: JSON, a Markdown table and a plot."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pipelines.experiments.description import Experiment
from vortex_hep.errors import UnsupportedFeatureError
from vortex_hep.testing.bench import Comparison
from vortex_hep.testing.bench.measure import Measurement
from vortex_hep.testing.bench.plot import save_plot
from vortex_hep.testing.bench.table import difference, speed_text

HEAD = (
    "file", "codec", "bytes", "bits per byte", "vs xz -9", "model bytes", "parameters",
    "MB/s in", "MB/s out", "verified",
)  # fmt: skip


def write_report(
    experiment: Experiment, context: dict[str, Any], found: Sequence[Comparison], folder: Path
) -> tuple[list[Path], list[str]]:
    """Write ``results.json``, ``results.md`` and a plot per file.

    Parameters
    ----------
    experiment : Experiment
    context : dict
        How the results came to be.
    found : sequence of Comparison
    folder : Path

    Returns
    -------
    list of Path
        What was written.
    list of str
        What the user should know.
    """
    folder.mkdir(parents=True, exist_ok=True)
    origin = context["origin"]
    title = experiment.title if origin == "open data" else f"{experiment.title}: {origin} files"
    plain = {
        "experiment": experiment.name,
        "title": title,
        **context,
        "files": [as_json(comparison) for comparison in found],
    }
    paths = [folder / "results.json", folder / "results.md"]
    paths[0].write_text(json.dumps(plain, indent=2) + "\n")
    paths[1].write_text(f"# {title}\n\n{_origin(origin)}\n\n{markdown(found)}\n")
    try:
        for comparison in found:
            path = folder / f"{Path(comparison.path).name}.png"
            save_plot(comparison, path, title=f"{title}, {Path(comparison.path).name}")
            paths.append(path)
    except UnsupportedFeatureError as error:
        return paths, [str(error)]
    return paths, []


def _origin(origin: str) -> str:
    note = "" if origin == "open data" else ", which stand in for the open data"
    return f"Measured on {origin} files{note}. The model's bytes are not part of the archive's."


def bits_per_byte(item: Measurement) -> float:
    """Bits stored for each byte of the content, without a model kept apart."""
    return 8 * item.stored_bytes / item.raw_bytes


def as_json(comparison: Comparison) -> dict[str, Any]:
    """Plain data of a comparison, with bits per byte."""
    plain = comparison.as_json()
    for item, out in zip(comparison.measurements, plain["measurements"], strict=True):
        out["bits_per_byte"] = round(bits_per_byte(item), 4)
    return plain


def markdown(found: Sequence[Comparison]) -> str:
    """A table with a row per file and codec, smallest first."""
    lines = [" | ".join(HEAD), " | ".join(["---"] * 2 + ["---:"] * (len(HEAD) - 2))]
    for comparison in found:
        for item in sorted(comparison.measurements, key=lambda item: item.stored_bytes):
            lines.append(" | ".join(_row(comparison, item)))
    return "\n".join(f"| {line} |" for line in lines)


def _row(comparison: Comparison, item: Measurement) -> list[str]:
    timing = item.timings[-1] if item.timings else None
    speeds = [
        "" if timing is None or speed(timing) is None else speed_text(speed(timing) or 0.0)
        for speed in (item.encode_speed, item.decode_speed)
    ]
    parameters = item.settings.get("parameters")
    return [
        Path(comparison.path).name,
        item.codec,
        f"{item.stored_bytes:,}",
        f"{bits_per_byte(item):.3f}",
        difference(item.stored_bytes, comparison.references()[1]),
        f"{item.model_bytes:,}" if item.model_bytes else "",
        f"{parameters:,}" if parameters else "",
        *speeds,
        "yes" if item.verified else "no",
    ]
