"""Plots of a job as inline SVG.

matplotlib draws. Sizes are bounded whatever the number of files: histograms and at most
:data:`MOST_POINTS` points of a sorted curve, and a raster of workers over time.
"""

from __future__ import annotations

import html
import io
import re
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from vortex_hep.core.install import install_hint
from vortex_hep.core.options import EVENT_TABLE
from vortex_hep.core.text import format_bytes, format_ratio, plural
from vortex_hep.errors import UnsupportedFeatureError

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from vortex_hep.batch.report.series import Series
    from vortex_hep.batch.report.summary import JobSummary

MOST_POINTS = 1000
MOST_GROUPS = 30
#: Rows and columns of the raster of workers; more workers share rows.
MOST_ROWS, TIME_BINS = 200, 300
#: Workers up to which each row has a name.
NAMED_ROWS = 30
COLOUR, SECOND = "#2b6cb0", "#c05621"


@dataclass(frozen=True)
class Plot:
    """A plot for a page: a heading, what it says in words, and the picture as SVG."""

    title: str
    text: str
    svg: str


def job_plots(summary: JobSummary) -> list[Plot]:
    """All plots that a job's figures allow: of none where no file is done.

    Parameters
    ----------
    summary : JobSummary

    Returns
    -------
    list of Plot

    Raises
    ------
    UnsupportedFeatureError
        matplotlib is not installed.
    """
    series = summary.series
    ratios, speeds = _finite(series.ratios), _finite(series.speeds)
    plots: list[Plot] = []
    if len(ratios):
        draw = _spread(ratios, "ratio (file / archive)")
        plots.append(_plot("Ratio of each file", _in_words(ratios, ""), draw, (9, 3.2)))
    if len(speeds):
        draw = _spread(speeds, "MB/s (read, by one worker)")
        plots.append(_plot("Speed of each file", _in_words(speeds, " MB/s"), draw, (9, 3.2)))
    if summary.groups:
        plots.append(_groups_plot(summary.groups))
    if series.started:
        plots.append(_workers_plot(series))
    return [
        Plot(plot.title, plot.text, accessible(plot, number)) for number, plot in enumerate(plots)
    ]


def accessible(plot: Plot, number: int) -> str:
    """The SVG of a plot with a name and a description, and ids of its own on the page."""
    svg = re.sub(r'(\bid="|url\(#|href="#)', rf"\g<1>p{number}-", plot.svg)
    title, text = html.escape(plot.title), html.escape(plot.text)
    ids = f"p{number}-title p{number}-desc"
    return re.sub(
        r"<svg\b[^>]*>",
        lambda found: (
            f'{found[0][:-1]} role="img" aria-labelledby="{ids}">'
            f'<title id="p{number}-title">{title}</title><desc id="p{number}-desc">{text}</desc>'
        ),
        svg,
        count=1,
    )


def _plot(
    title: str, text: str, draw: Callable[[Figure], None], inches: tuple[float, float]
) -> Plot:
    """Draw a figure and make an SVG element of it."""
    try:
        import matplotlib
        from matplotlib.figure import Figure
    except ImportError as error:
        msg = "plots need matplotlib"
        raise UnsupportedFeatureError(msg, hint=install_hint("grid")) from error
    out = io.StringIO()
    # Text stays text: it can be read aloud, searched, and takes less room.
    with (
        matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": title}),
        warnings.catch_warnings(),
    ):
        warnings.filterwarnings("ignore", message="Glyph")
        figure = Figure(figsize=inches, layout="constrained")
        draw(figure)
        figure.savefig(out, format="svg", metadata={"Date": None})
    svg = out.getvalue()
    svg = svg[svg.index("<svg") :]
    return Plot(title, text, re.sub(r"<metadata>.*?</metadata>\s*", "", svg, flags=re.DOTALL))


def _finite(values: Sequence[float]) -> NDArray[np.float64]:
    array = np.asarray(values, np.float64)
    return np.sort(array[np.isfinite(array)])


def _in_words(values: NDArray[np.float64], unit: str) -> str:
    low, middle, high = np.quantile(values, (0.05, 0.5, 0.95))
    return (
        f"{plural(len(values), 'file')}: median {middle:.2f}{unit}; nine of ten lie between"
        f" {low:.2f}{unit} and {high:.2f}{unit}."
    )


def _spread(values: NDArray[np.float64], label: str) -> Callable[[Figure], None]:
    """A histogram, and all values in their order."""

    def draw(figure: Figure) -> None:
        left, right = figure.subplots(1, 2)
        bins = min(60, max(5, round(len(values) ** 0.5)))
        left.hist(values, bins=bins, color=COLOUR)
        left.set_xlabel(label)
        left.set_ylabel("files")
        places = np.unique(np.linspace(0, len(values) - 1, MOST_POINTS).astype(int))
        marker = "." if len(values) <= 100 else ""
        right.plot(places + 1, values[places], color=COLOUR, marker=marker)
        right.set_xlabel("files, in order of their value")
        right.set_ylabel(label)
        right.grid(visible=True, alpha=0.3)

    return draw


def _groups_plot(groups: dict[str, tuple[int, int]]) -> Plot:
    """Ratio of each branch group beside what it occupies."""
    largest = sorted(groups.items(), key=lambda item: -item[1][1])
    shown = largest[:MOST_GROUPS]
    rest = largest[MOST_GROUPS:]
    if rest:
        sums = (sum(raw for _, (raw, _) in rest), sum(held for _, (_, held) in rest))
        shown.append((f"{len(rest)} others", sums))
    names = [_label(name or EVENT_TABLE) for name, _ in shown]
    ratios = [raw / held if held else 0.0 for _, (raw, held) in shown]
    megabytes = [held / 1e6 for _, (_, held) in shown]

    def draw(figure: Figure) -> None:
        left, right = figure.subplots(1, 2, sharey=True)
        places = np.arange(len(names))
        for axis, values, label, colour in (
            (left, ratios, "ratio (raw / stored)", COLOUR),
            (right, megabytes, "stored, MB", SECOND),
        ):
            axis.barh(places, values, color=colour)
            axis.set_xlabel(label)
            axis.grid(visible=True, axis="x", alpha=0.3)
        _name_rows(left, places, names)
        left.invert_yaxis()

    first, (raw, held) = shown[0]
    total = sum(part for _, part in groups.values())
    share = f"{100 * held / total:.0f} %" if total else "none"
    text = (
        f"{plural(len(groups), 'branch group')}, the largest first: {first or EVENT_TABLE} takes"
        f" {format_bytes(held)}, {share} of what columns take, at ratio {format_ratio(raw, held)}."
    )
    height = 1.2 + 0.24 * len(shown)
    return _plot("Branch groups: ratio and bytes stored", text, draw, (9, height))


def _workers_plot(series: Series) -> Plot:
    """Which part of each stretch of time workers were busy."""
    busy, span = busy_fractions(series)
    names = [_label(name) for name in series.names]

    def draw(figure: Figure) -> None:
        axis = figure.subplots()
        unit, size = ("h", 3600) if span > 7200 else ("min", 60) if span > 120 else ("s", 1)
        image = axis.imshow(
            busy, aspect="auto", interpolation="nearest", vmin=0, vmax=1, cmap="Blues",
            extent=(0, span / size, len(busy) - 0.5, -0.5),
        )  # fmt: skip
        axis.set_xlabel(f"time since the first file, {unit}")
        if len(busy) == len(names) <= NAMED_ROWS:
            _name_rows(axis, np.arange(len(busy)), names)
        else:
            axis.set_ylabel("workers")
            axis.set_yticks([])
        figure.colorbar(image, ax=axis, label="busy", ticks=[0, 0.5, 1])

    text = (
        f"{plural(len(names), 'worker')}, {100 * float(busy.mean()):.0f} % of their time at work"
        f" from the first file to the last."
    )
    return _plot("Workers over time", text, draw, (9, 1.4 + 0.18 * min(len(busy), NAMED_ROWS)))


def busy_fractions(series: Series) -> tuple[NDArray[np.float64], float]:
    """The part of each stretch of time that each worker was at work on files.

    Parameters
    ----------
    series : Series
        With at least one entry.

    Returns
    -------
    busy : array of float64, shape (rows, stretches)
        From 0 to 1; a row is one worker, or the mean of several where there are many.
    span : float
        Seconds from the left to the right.
    """
    begin = np.asarray(series.started, np.float64)
    end = np.maximum(np.asarray(series.finished, np.float64), begin)
    start = float(begin.min())
    span = max(float(end.max()) - start, 1e-3)
    share = -(-len(series.names) // MOST_ROWS)
    rows = np.asarray(series.workers, np.int64) // share
    count = -(-len(series.names) // share)
    first = (begin - start) / span * TIME_BINS
    last = (end - start) / span * TIME_BINS
    busy = np.zeros((count, TIME_BINS + 1))
    # Each interval is an edge up and an edge down; their running sum is the fraction covered.
    for edges, sign in ((first, 1.0), (last, -1.0)):
        cell = np.minimum(edges.astype(np.int64), TIME_BINS - 1)
        inside = cell + 1 - edges
        np.add.at(busy, (rows, cell), sign * inside)
        np.add.at(busy, (rows, cell + 1), sign * (1 - inside))
    covered = np.cumsum(busy, axis=1)[:, :TIME_BINS]
    members = np.bincount(np.arange(len(series.names)) // share, minlength=count)
    return np.clip(covered / members[:, None], 0, 1), span


def _label(name: str) -> str:
    """A name that fits beside an axis and that XML can hold."""
    text = "".join(c if c.isprintable() else "?" for c in name)
    return text if len(text) <= 40 else f"{text[:18]}...{text[-19:]}"


def _name_rows(axis: Any, places: NDArray[np.int64], names: Sequence[str]) -> None:
    """Put names at rows; a dollar sign in one starts no formula."""
    axis.set_yticks(places, names, parse_math=False)
