"""Time of the codec for one file without a network: whole calls, one thread."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import vortex_hep
from vortex_hep.testing.examples import write_example

#: Runs of each call; the fastest counts, so that compilation at first use does not.
_REPEAT = 2


def measure(data: Path | None, *, events: int = 3000) -> list[dict[str, Any]]:
    """Time classical compression, decoding, comparison and restoring, by kind of file.

    Parameters
    ----------
    data : path, optional
        Folder of the corpus. Without it, only a small ROOT file that is made here is measured.
    events : int
        Of that ROOT file.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if data is None:
            sources = [("ROOT, classical", "root", folder / "example.root")]
            write_example(sources[0][2], events=events, seed=5)
        else:
            sources = [
                ("ROOT, classical", "root", data / "generated/nanoaod/ttbar_test.root"),
                ("HDF5, classical", "hdf5", data / "generated/ftag/mc-flavtag-ttbar-like.h5"),
                ("HepMC, classical", "hepmc", data / "generated/hepmc/ttbar_test.hepmc3.gz"),
            ]
        return [
            {"name": label, "kind": kind, **_measure_file(source, folder)}
            for label, kind, source in sources
        ]


def _measure_file(source: Path, folder: Path) -> dict[str, Any]:
    archive, copy = folder / "a.vxc", folder / "copy"
    model = vortex_hep.Model({})

    def compress() -> None:
        vortex_hep.compress_file(
            str(source), archive, model=model, threads=1, check=False, overwrite=True
        )

    def restore() -> None:
        copy.unlink(missing_ok=True)
        vortex_hep.restore(archive, copy, threads=1)

    found = {
        "compress_seconds": _fastest(compress),
        "decode_seconds": _fastest(lambda: vortex_hep.verify(archive, threads=1)),
        "compare_seconds": _fastest(
            lambda: vortex_hep.verify(archive, against=str(source), threads=1)
        ),
        "restore_seconds": _fastest(restore),
    }
    return {
        "file": source.name,
        "file_bytes": source.stat().st_size,
        "stored_bytes": archive.stat().st_size,
        **found,
    }


def _fastest(call: Callable[[], Any]) -> float:
    """CPU seconds of this process: other processes on the machine count less that way."""
    best = float("inf")
    for _ in range(_REPEAT):
        began = time.process_time()
        call()
        best = min(best, time.process_time() - began)
    return best
