"""Measurement of vortex_hep on one file: size, speed, memory, round trip."""

from __future__ import annotations

import filecmp
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vortex_hep.errors import VerificationError
from vortex_hep.testing.bench.alone import run_alone
from vortex_hep.testing.bench.measure import Measurement, Timing

WITH_MODEL = "vortex_hep"
WITHOUT_MODEL = "vortex_hep, fitted to this file"


@dataclass(frozen=True)
class OursOptions:
    """How vortex_hep is measured.

    Parameters
    ----------
    effort, device : str
        As for :func:`vortex_hep.compress_file`.
    repeat : int
        Runs; the fastest counts.
    exact : bool
        Whether the archive promises the file byte for byte, and not only all that it holds.
    """

    effort: str = "normal"
    device: str = "cpu"
    repeat: int = 1
    exact: bool = False


def measure_ours(
    path: str,
    raw_bytes: int,
    threads: tuple[int, ...],
    *,
    model: Any = None,
    options: OursOptions = OursOptions(),
) -> Measurement:
    """Compress one file, read all of it back, restore it, and compare.

    Every call runs in a process of its own, whose memory at the peak is noted.

    Parameters
    ----------
    path : str
    raw_bytes : int
        Bytes that ratio and speed refer to.
    threads : tuple of int
        Numbers of threads to time.
    model : Model, optional
        Model of the dataset, kept apart from the archive. Without, one is fitted to the file and
        stored in the archive, and the time to fit it counts as encoding.
    options : OursOptions

    Raises
    ------
    VerificationError
        The archive, or the file restored from it, differs from the source.

    Notes
    -----
    The setting ``restored`` says what was compared and found equal: ``"bytes"`` of the whole file,
    or its ``"content"``, all of it, in a file that is laid out in another way.
    """
    repeat = options.repeat
    embed = model is None
    if embed:
        # Fitting takes minutes; once, with all threads, is what a user would wait for.
        threads = threads[-1:]
    timings = []
    peaks = {"compress": 0, "restore": 0}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        archive, restored = str(folder / "bench.vxc"), str(folder / f"restored{Path(path).suffix}")
        kept = None
        if model is not None:
            kept = str(folder / "bench.vxm")
            model.save(kept)
        for count in threads:
            encoded = run_alone(
                "compress", repeat=1 if embed else repeat, source=path, archive=archive,
                model=kept, effort=options.effort, device=options.device, exact=options.exact,
                threads=count,
            )  # fmt: skip
            decoded = run_alone("read", repeat=repeat, archive=archive, model=kept, threads=count)
            timings.append(Timing(count, encoded.seconds, decoded.seconds))
            peaks["compress"] = max(peaks["compress"], encoded.peak_memory_bytes)
        back = run_alone("restore", archive=archive, out=restored, model=kept, threads=threads[-1])
        peaks["restore"] = back.peak_memory_bytes
        for against in (path, restored):
            _check(archive, against, model)
        same = filecmp.cmp(path, restored, shallow=False)
        if options.exact and not same:
            raise VerificationError("the restored file has other bytes", path=path)
        stored = Path(archive).stat().st_size
    return Measurement(
        WITHOUT_MODEL if embed else WITH_MODEL,
        raw_bytes,
        stored,
        tuple(timings),
        verified=True,
        settings={
            "effort": options.effort,
            "device": options.device,
            "unit": "cluster of events",
            "restored": "bytes" if same else "content",
            "restore_seconds": round(back.seconds, 3),
        }
        | ({"model_sha256": model.sha256} if model is not None else {}),
        model_bytes=0 if embed else model.nbytes,
        embedded_model_bytes=encoded.result if embed else 0,
        peak_memory_bytes={call: peak for call, peak in peaks.items() if peak},
    )


def _check(archive: str, against: str, model: Any) -> None:
    """Raise where an archive and a file differ: a measurement of a wrong one must not exist."""
    import vortex_hep

    found = vortex_hep.verify(archive, against=against, model=model)
    if not found.ok:
        raise VerificationError(found.differences[0], path=against)
