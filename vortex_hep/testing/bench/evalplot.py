"""Plot of an evaluation: bits per byte against speed, the levels of a codec joined."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from vortex_hep.testing.bench.evaluation import Evaluation, bits_per_byte
from vortex_hep.testing.bench.measure import Measurement
from vortex_hep.testing.bench.plot import OURS, new_figure

#: Of the codecs that are not ours, none of them red.
COLOURS = ("C0", "C1", "C2", "C4", "C5", "C7", "C8", "C9")
#: Of our archives: one per model.
MARKERS = ("*", "P", "X", "D", "v")


def save_evaluation_plot(evaluation: Evaluation, path: str | Path) -> None:
    """Write a PNG with two panels: encoding and decoding of all files.

    A hollow marker above one of ours shows what it costs with the model that is kept apart.

    Parameters
    ----------
    evaluation : Evaluation
    path : path

    Raises
    ------
    UnsupportedFeatureError
        If matplotlib is not installed.
    """
    figure = new_figure()
    lines = _lines(evaluation.total())
    for axis, encode in zip(figure.subplots(1, 2, sharey=True), (True, False), strict=True):
        drawn = {True: 0, False: 0}
        for label, items in lines.items():
            ours = label.startswith("vortex_hep")
            number = drawn[ours]
            drawn[ours] += 1
            if ours:
                style = {"color": OURS, "marker": MARKERS[number % len(MARKERS)], "markersize": 9}
            else:
                style = {"color": COLOURS[number % len(COLOURS)], "marker": "o", "markersize": 5}
            _draw(axis, label, items, encode=encode, style=style)
        axis.set_xscale("log")
        axis.set_xlabel(f"{'encoding' if encode else 'decoding'}, MB/s")
        axis.grid(visible=True, which="both", alpha=0.2)
        axis.margins(x=0.1, y=0.1)
    figure.axes[0].set_ylabel("bits per byte (less is better)")
    handles, labels = figure.axes[0].get_legend_handles_labels()
    if handles:
        figure.legend(handles, labels, fontsize=8, loc="outside right center")
    names = [Path(file.path).name for file in evaluation.files]
    figure.suptitle(names[0] if len(names) == 1 else f"{len(names)} files")
    figure.savefig(path, dpi=130)


def _lines(measurements: Sequence[Measurement]) -> dict[str, list[Measurement]]:
    """Measurements by codec, in the order of its levels."""
    found: dict[str, list[Measurement]] = {}
    for item in measurements:
        found.setdefault(str(item.settings.get("codec", item.codec)), []).append(item)
    return found


def _draw(
    axis: Any, label: str, items: Sequence[Measurement], *, encode: bool, style: dict[str, Any]
) -> None:
    """Draw all levels of one codec."""
    x, y = [], []
    for item in items:
        timing = item.timings[0]
        speed = item.encode_speed(timing) if encode else item.decode_speed(timing)
        if speed is None:
            continue
        bits = bits_per_byte(item.stored_bytes, item.raw_bytes)
        x.append(speed)
        y.append(bits)
        if "level" in item.settings:
            axis.annotate(
                str(item.settings["level"]), (speed, bits), xytext=(4, 4),
                textcoords="offset points", fontsize=7, color=style["color"],
            )  # fmt: skip
        if item.model_bytes:
            above = bits_per_byte(item.bytes_with_model, item.raw_bytes)
            axis.plot([speed, speed], [bits, above], linestyle=":", fillstyle="none", **style)
    axis.plot(x, y, label=label, **style)
