"""Plot of trainings: bits per byte against seconds, with the other codecs as references."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks.transformers.compare import COLUMNS_LZMA, EVENT, ROWS_LZMA
from vortex_hep.testing.bench.plot import OTHERS, OURS, new_figure


def save_plot(comparison: dict[str, Any], ablation: dict[str, Any], path: Path) -> None:
    """Write a PNG: the training of the comparison, and those of the ablation by stream.

    Parameters
    ----------
    comparison, ablation : dict
        As their JSON files have them.
    path : Path
    """
    figure = new_figure()
    axes = figure.subplots(1, 1 + len(ablation["streams"]), squeeze=False)[0]
    _draw_comparison(axes[0], comparison)
    for axis, stream in zip(axes[1:], ablation["streams"], strict=True):
        runs = [run for run in ablation["runs"] if run["stream"] == stream["name"]]
        for number, run in enumerate(runs):
            _curve(axis, run["history"], 1.0, label=run["variant"], color=f"C{number}", width=1.2)
        _level(axis, stream["lzma_bits_per_byte"], "LZMA -9", "-")
        axis.set_title(stream["title"].replace("`", ""), fontsize=9)
    for axis in axes:
        axis.set_xlabel("seconds of training")
        axis.grid(visible=True, alpha=0.2)
        axis.legend(fontsize=7)
    axes[0].set_ylabel("bits per byte, held out")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=100)


def _draw_comparison(axis: Any, plain: dict[str, Any]) -> None:
    """In bits per byte of a row, constants included, so that codecs of whole rows compare."""
    about = plain["transformer"]
    row_bytes = plain["raw_bytes"] / plain["test_rows"]
    scale = about["tokens_per_row"] / row_bytes
    _curve(axis, about["history"], scale, label="transformer", color=OURS, width=2.0)
    for codec in plain["codecs"]:
        style = {ROWS_LZMA: "-", COLUMNS_LZMA: "--", EVENT: ":"}.get(codec["codec"])
        if style is not None:
            _level(axis, codec["bits_per_byte"], codec["codec"], style)
    axis.set_title(f"{plain['source']}, jets", fontsize=9)


def _curve(
    axis: Any, history: list[dict[str, Any]], scale: float, *, label: str, color: str, width: float
) -> None:
    seconds = [entry["seconds"] for entry in history]
    bits = [entry["validation"] * scale for entry in history]
    axis.plot(seconds, bits, label=label, color=color, linewidth=width, marker=".", markersize=4)


def _level(axis: Any, value: float, label: str, style: str) -> None:
    axis.axhline(value, color=OTHERS, linestyle=style, linewidth=1, label=label)
