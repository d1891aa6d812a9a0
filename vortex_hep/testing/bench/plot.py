"""Plot of a comparison: bytes against speed, both on log axes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from vortex_hep.core.install import install_hint
from vortex_hep.errors import UnsupportedFeatureError
from vortex_hep.testing.bench.compare import Comparison
from vortex_hep.testing.bench.measure import Measurement

OURS, OTHERS = "#c1272d", "#4d6a8a"


def save_plot(comparison: Comparison, path: str | Path, *, title: str | None = None) -> None:
    """Write a PNG with two panels: encoding and decoding.

    Parameters
    ----------
    comparison : Comparison
    path : path
    title : str, optional
        The file's name by default.

    Raises
    ------
    UnsupportedFeatureError
        If matplotlib is not installed.
    """
    figure = new_figure()
    for axis, encode in zip(figure.subplots(1, 2, sharey=True), (True, False), strict=True):
        for item in comparison.measurements:
            _point(axis, item, encode=encode)
        axis.set_xscale("log")
        axis.set_yscale("log")
        axis.set_xlabel(f"{'encoding' if encode else 'decoding'}, MB/s of columns, all threads")
        axis.grid(visible=True, which="both", alpha=0.2)
        axis.margins(x=0.25, y=0.1)
    figure.axes[0].set_ylabel("bytes stored (less is better)")
    figure.suptitle(title or Path(comparison.path).name)
    figure.savefig(path, dpi=130)


def new_figure() -> Any:
    """An empty figure for two panels.

    Raises
    ------
    UnsupportedFeatureError
        If matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        msg = "plots need matplotlib"
        raise UnsupportedFeatureError(msg, hint=install_hint("plot")) from error
    return Figure(figsize=(11, 4.6), layout="constrained")


def _point(axis: Any, item: Measurement, *, encode: bool) -> None:
    if not item.timings:
        return
    timing = item.timings[-1]
    speed = item.encode_speed(timing) if encode else item.decode_speed(timing)
    if speed is None:
        return
    ours = item.codec.startswith("vortex_hep")
    colour = OURS if ours else OTHERS
    axis.scatter([speed], [item.stored_bytes], color=colour, marker="*" if ours else "o", s=60)
    axis.annotate(
        item.codec.replace(", per column", "").replace(", per basket", ""),
        (speed, item.stored_bytes),
        xytext=(6, 4),
        textcoords="offset points",
        fontsize=8,
        color=colour,
    )
