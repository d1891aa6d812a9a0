"""vortex_hep itself on one file: archive size, speeds, and whether it decodes bit for bit."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

from vortex_hep.bench.measure import Measurement, Timing
from vortex_hep.errors import VerificationError

WITH_MODEL = "vortex_hep"
WITHOUT_MODEL = "vortex_hep, fitted to this file"


def measure_ours(
    path: str,
    raw_bytes: int,
    threads: tuple[int, ...],
    *,
    model: Any = None,
    effort: str = "normal",
    device: str = "cpu",
    repeat: int = 1,
) -> Measurement:
    """Compress one file, read all of it back, and compare.

    Parameters
    ----------
    path : str
    raw_bytes : int
        Bytes of the columns, which ratio and speed refer to.
    threads : tuple of int
        Numbers of threads to time.
    model : Model, optional
        Model of the dataset, kept apart from the archive. Without, one is fitted to the file and
        stored in the archive, and the time to fit it counts as encoding.
    effort, device : str
        As for :func:`vortex_hep.compress_file`.
    repeat : int
        Runs; the fastest counts.
    """
    import vortex_hep

    options: dict[str, Any] = {"model": model, "effort": effort, "device": device}
    embed = model is None
    if embed:
        # Fitting takes minutes; once, with all threads, is what a user would wait for.
        threads, repeat = threads[-1:], 1
    timings = []
    with tempfile.TemporaryDirectory() as folder:
        archive = str(Path(folder) / "bench.vxc")
        for count in threads:
            encode = decode = float("inf")
            for _ in range(repeat):
                start = time.perf_counter()
                report = vortex_hep.compress_file(
                    path, archive, threads=count, overwrite=True, embed_model=embed, **options
                )
                encode = min(encode, time.perf_counter() - start)
                start = time.perf_counter()
                vortex_hep.verify(archive, model=model, threads=count)
                decode = min(decode, time.perf_counter() - start)
            timings.append(Timing(count, encode, decode))
        found = vortex_hep.verify(archive, against=path, model=model)
        if not found.ok:
            # A measurement of a wrong archive must not exist.
            raise VerificationError(found.differences[0], path=path)
        stored = Path(archive).stat().st_size
    return Measurement(
        WITHOUT_MODEL if embed else WITH_MODEL,
        raw_bytes,
        stored,
        tuple(timings),
        verified=True,
        settings={"effort": effort, "device": device, "unit": "cluster of events"}
        | ({"model_sha256": model.sha256} if model is not None else {}),
        model_bytes=0 if embed else model.nbytes,
        embedded_model_bytes=report.model_bytes if embed else 0,
    )
