"""Plot of the time of a job against workers and files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.scale.model import FEW, JOURNAL, REQUESTS, SCHEDULER, STORAGE, predict
from benchmarks.scale.parameters import Costs, Data, Job, Site
from benchmarks.scale.tables import amount
from vortex_hep.testing.bench.plot import OTHERS, OURS, new_figure

#: Bytes per file, in one petabyte.
_SIZES = (1e10, 1e9, 1e8, 1e7)


def save_plot(data: Data, costs: Costs, path: Path) -> None:
    """Write a PNG with two panels.

    Parameters
    ----------
    data : Data
    costs : Costs
    path : Path
    """
    figure = new_figure()
    left, right = figure.subplots(1, 2)
    _over_workers(left, data, costs)
    _over_files(right, data, costs)
    for axis in (left, right):
        axis.set_xscale("log")
        axis.set_yscale("log")
        axis.grid(visible=True, which="major", alpha=0.2)
        axis.legend(fontsize=7)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=100)


def _over_workers(axis: Any, data: Data, costs: Costs) -> None:
    """The same petabyte in files of several sizes; marks say what holds it up."""
    numbers = np.unique(np.geomspace(10, 200_000, 60).astype(int))
    marks = {STORAGE: "s", REQUESTS: "D", SCHEDULER: "^", JOURNAL: "v", FEW: "o"}
    for k, size in enumerate(_SIZES):
        job = Job(round(1e15 / size), 1e15)
        found = [predict(job, data, Site(int(number)), costs) for number in numbers]
        hours = [one.wall_seconds / 3600 for one in found]
        axis.plot(numbers, hours, color=f"C{k}", label=f"files of {amount(size)}", linewidth=1.4)
        for what, mark in marks.items():
            where = [i for i, one in enumerate(found) if one.held_up_by == what][:1]
            axis.plot(numbers[where], [hours[i] for i in where], mark, color=f"C{k}", markersize=6)
    for what, mark in marks.items():
        axis.plot([], [], mark, color=OTHERS, label=f"from here: {what}")
    axis.set_xlabel("workers of one core")
    axis.set_ylabel("hours for 1 PB")


def _over_files(axis: Any, data: Data, costs: Costs) -> None:
    """What each part alone would need for the same bytes in more and more files."""
    counts = np.unique(np.geomspace(1000, 1e9, 60).astype(int))
    site = Site(4000)
    styles = (("grouped", Job.group_files, "-"), ("one file per task", 1, "--"))
    for label, group, style in styles:
        found = [predict(Job(int(n), 1e15, group_files=group), data, site, costs) for n in counts]
        for name, color in (("workers", OURS), ("driver", OTHERS)):
            hours = [one.bounds[name] / 3600 for one in found]
            text = "scheduler and journal" if name == "driver" else name
            axis.plot(counts, hours, style, color=color, label=f"{text}, {label}", linewidth=1.4)
    axis.set_xlabel("files of 1 PB, 4000 workers")
    axis.set_ylabel("hours, if the others were free")
