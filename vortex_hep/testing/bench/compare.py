"""Comparison of all codecs on one file."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vortex_hep.core.progress import SILENT, Progress
from vortex_hep.errors import SourceError
from vortex_hep.testing.bench.measure import Measurement, machine, thread_counts

#: Baselines that the others are compared with, by kind of file: the strongest setting that its own
#: format has, and LZMA -9 on whole columns, or on the text where users have a text.
REFERENCES = {
    "root": ("ROOT LZMA 9, per basket", "xz -9, per column"),
    "hdf5": ("HDF5 gzip 9 + shuffle", "xz -9, per column"),
    "hepmc": ("gzip -9, whole text", "xz -9, whole text"),
    "opaque": ("gzip -9, whole file", "xz -9, whole file"),
}


@dataclass(frozen=True)
class Comparison:
    """All measurements of one file on one machine.

    Parameters
    ----------
    path : str
    file_bytes : int
    raw_bytes : int
        Bytes that ratios and speeds refer to: of the columns, or of the text of a HepMC file.
    machine : dict
    measurements : tuple of Measurement
    kind : str
        Kind of the file; says which baselines the others are compared with.
    """

    path: str
    file_bytes: int
    raw_bytes: int
    machine: dict[str, Any]
    measurements: tuple[Measurement, ...]
    kind: str = "root"

    def references(self) -> list[Measurement | None]:
        """The measurements that the table compares with; None where one does not apply."""
        by_name = {item.codec: item for item in self.measurements}
        return [by_name.get(name) for name in REFERENCES[self.kind]]

    def as_json(self) -> dict[str, Any]:
        """Plain data for a JSON file."""
        return {
            "file": Path(self.path).name,
            "kind": self.kind,
            "file_bytes": self.file_bytes,
            "raw_bytes": self.raw_bytes,
            "machine": self.machine,
            "measurements": [item.as_json() for item in self.measurements],
        }


def compare(
    path: str | os.PathLike[str],
    *,
    models: Sequence[Any] = (),
    fit: bool = True,
    baselines: bool = True,
    effort: str = "normal",
    device: str = "cpu",
    threads: int | None = None,
    repeat: int = 1,
    progress: Progress = SILENT,
) -> Comparison:
    """Measure baselines and vortex_hep on one local file.

    Parameters
    ----------
    path : path
    models : sequence of Model
        Models of the dataset; one row each.
    fit : bool
        Whether to add a row for a model fitted to this very file.
    baselines : bool
        Whether to measure the baselines too.
    effort, device : str
        As for :func:`vortex_hep.compress_file`.
    threads : int, optional
        Largest number of threads; all cores by default. One thread is timed as well.
    repeat : int
        Runs of vortex_hep; the fastest counts, so that compilation at first use does not.
    progress : Progress

    Returns
    -------
    Comparison

    Raises
    ------
    SourceError
        If the file cannot be read or holds no data.
    VerificationError
        If anything does not come back bit for bit.
    """
    from vortex_hep.testing.bench.content import load_content
    from vortex_hep.testing.bench.ours import OursOptions, measure_ours
    from vortex_hep.testing.bench.rivals.baselines import measure_all
    from vortex_hep.testing.bench.rivals.baskets import load_baskets

    name = os.fspath(path)
    here = machine()  # before the measurements load it
    counts = thread_counts(threads)
    found: list[Measurement] = []
    content = load_content(name)
    raw = content.raw_bytes
    if raw == 0:
        raise SourceError("holds no data to measure", path=name)
    with progress.task("measuring", None, "codecs") as task:
        if baselines:
            baskets = load_baskets(name) if content.kind == "root" else None
            for item in measure_all(name, content, baskets, counts):
                found.append(item)
                task.advance(1, last=item.codec)
        options = OursOptions(effort, device, repeat)
        for model in [*models, *([None] if fit else [])]:
            found.append(measure_ours(name, raw, counts, model=model, options=options))
            task.advance(1, last=found[-1].codec)
    size = Path(name).stat().st_size
    return Comparison(name, size, raw, here, tuple(found), content.kind)
